//! Deterministic random numbers, the same on every machine.

/// Iterations between the streams of two threads: more than either will use.
pub(crate) const STREAM_STRIDE: u64 = 1 << 24;

/// The finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
pub(crate) fn splitmix64(stream: u64, index: u64) -> u64 {
    let mut z = (stream << 32 ^ index).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
