//! Sequences of calls, those that are kept and random ones: what the fuzzer (`make fuzz`) does for longer, with coverage and
//! under AddressSanitizer.
#![allow(unreachable_pub, dead_code, reason = "shared with the fuzz targets")]

#[path = "support/c_calls.rs"]
mod c_calls;
#[path = "../../fulcrum-core/tests/support/fuzz/draw.rs"]
mod draw;
#[path = "../../fulcrum-core/tests/support/fuzz/fault.rs"]
mod fault;

/// Random sequences beside those that are kept.
const RANDOM: u64 = 200;

/// Bytes from a number, each time the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn prop_no_sequence_of_calls_breaks_the_library() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fulcrum-core/tests/fuzz/c_calls");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let kept: usize =
        files.iter().map(|file| usize::from(c_calls::c_calls(&std::fs::read(file).expect("a file")))).sum();
    assert!(kept > 0, "no sequence that is kept comes to anything");
    let random: usize = (0..RANDOM).map(|seed| usize::from(c_calls::c_calls(&noise(seed, 300)))).sum();
    println!("{kept} of {} and {random} of {RANDOM} come to something", files.len());
    assert!(random > 0, "no random sequence comes to anything");
}
