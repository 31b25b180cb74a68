//! The C functions as C calls them, over two sandbox clouds whose prices are written here.
#![expect(clippy::expect_used, reason = "a test stops at what fails")]

mod access;
mod accessors;
mod callback;
mod errors;
mod log;
mod offers;
mod orders;
mod provider;
mod questions;
mod tasks;

use std::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
    path::PathBuf,
    ptr::{null, null_mut},
    sync::atomic::{AtomicU32, Ordering},
};

use fulcrum::*;
use serde_json::json;

/// A folder with a price table and a ledger; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fulcrum-ffi-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let provider = |name: &str, monthly: &str| {
            json!({
                "id": name, "name": name, "legal_name": name, "country": "DE",
                "regions": [{"id": "r1", "country": "DE"}],
                "offers": [{
                    "kind": "machine", "sku": "0012", "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
                    "monthly": monthly, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test",
                }],
            })
        };
        let catalogue = json!({
            "format": "fulcrum-catalogue/1",
            "providers": [provider("alpha", "10.00"), provider("beta", "12.5")],
        });
        let folder = Self(folder);
        folder.write("catalogue.json", &catalogue.to_string());
        folder
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("written");
    }

    /// A federation that has asked for its offers; making a service takes so many milliseconds.
    fn market(&self, operation_ms: u64) -> *mut fulcrum_federation {
        let sandbox = json!({
            "catalogue": "catalogue.json", "seed": 7, "operation_ms": [operation_ms, operation_ms],
        });
        self.open(&json!({ "ledger": "orders.db", "providers": [{ "sandbox": sandbox }] }))
    }

    /// A federation that has asked for its offers.
    fn open(&self, config: &serde_json::Value) -> *mut fulcrum_federation {
        let config = config.to_string();
        let base = self.0.to_str().expect("UTF-8");
        let (mut market, mut error) = (null_mut(), null_mut());
        // SAFETY: all pointers are valid.
        unsafe {
            let (config, length) = bytes(&config);
            let (base, base_length) = bytes(base);
            let status =
                fulcrum_federation_open(config, length, base, base_length, &raw mut market, &raw mut error);
            assert_eq!(status, FULCRUM_OK, "{}", message(error));
            assert_eq!(fulcrum_federation_refresh(market, null_mut()), FULCRUM_OK);
        }
        market
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A structure of the library's with its size and nothing else.
fn sized<T>() -> MaybeUninit<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the first member is the size.
    unsafe { value.as_mut_ptr().cast::<usize>().write(size_of::<T>()) };
    value
}

/// What a reader fills.
macro_rules! read {
    ($kind:ty, $function:ident($($argument:expr),*)) => {{
        let mut value = crate::sized::<$kind>();
        let mut error = std::ptr::null_mut();
        let status = $function($($argument,)* value.as_mut_ptr(), &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        value.assume_init()
    }};
}
use read;

const SHOP: &str = r#"{"name": "shop", "components": {"web": {"vcpu": 2, "memory_mib": 4096, "replicas": 2}},
    "constraints": [{"survive": {"components": ["web"], "loss_of": "provider"}}]}"#;

fn compose(market: *const fulcrum_federation) -> *mut fulcrum_plan {
    let (blueprint, length) = bytes(SHOP);
    let (mut plan, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status =
            fulcrum_federation_compose(market, blueprint, length, null(), &raw mut plan, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
    }
    plan
}

fn bytes(text: &str) -> (*const c_char, usize) {
    (text.as_ptr().cast(), text.len())
}

/// # Safety
/// Text that the library answered.
unsafe fn text(text: *const c_char) -> String {
    assert!(!text.is_null());
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().expect("UTF-8").to_owned()
}

/// # Safety
/// NULL or an error that was not freed.
unsafe fn message(error: *const fulcrum_error) -> String {
    // SAFETY: the caller's promise.
    unsafe { text(fulcrum_error_message(error)) }
}
