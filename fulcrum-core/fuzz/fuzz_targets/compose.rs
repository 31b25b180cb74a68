#![no_main]

#[path = "../../tests/support/fuzz_bodies.rs"]
#[allow(dead_code, reason = "shared by targets")]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bodies::plan(bytes);
});
