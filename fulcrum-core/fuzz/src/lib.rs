//! The fuzz targets' bodies, which the tests of the stable compiler run too. Each target is a program of its own, so that it has
//! no more to count than what it can reach.
#![allow(unreachable_pub, dead_code, reason = "shared with tests")]

#[path = "../../tests/support/fuzz/mod.rs"]
pub mod bodies;
#[path = "../../../fulcrum-ffi/tests/support/c_calls.rs"]
pub mod c_calls;
#[cfg(target_arch = "x86_64")]
mod compares;
pub mod words;
#[path = "../../tests/adapter/imitation/mod.rs"]
pub mod imitation;
#[path = "../../tests/peers/server.rs"]
pub mod server;
mod peers {
    pub use crate::server;
}

use bodies::{draw, fault};
pub use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// Makes a program of a target's body. With FULCRUM_FUZZ_FAULT a fault is planted behind it.
#[macro_export]
macro_rules! target {
    ($body:expr) => {
        $crate::fuzz_target!(|bytes: &[u8]| {
            $crate::begin();
            let body: fn(&[u8]) -> bool = $body;
            body(bytes);
        });
    };
}

/// The same of a target that takes texts: half of the changes are made word by word.
#[macro_export]
macro_rules! text_target {
    ($body:expr) => {
        $crate::target!($body);
        $crate::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            if seed & 1 == 0 {
                $crate::words::mutate(&mut data[..max_size], size, seed)
            } else {
                $crate::fuzzer_mutate(data, size, max_size)
            }
        });
    };
}

/// What comes before the first input.
pub fn begin() {
    static BEGUN: std::sync::Once = std::sync::Once::new();
    BEGUN.call_once(|| {
        if std::env::var_os("FULCRUM_FUZZ_FAULT").is_some() {
            fault::request();
        }
    });
}
