//! Pseudo-random numbers without a state, the same on every machine.

/// Turns between the first ones of two searches that go on side by side: more than either will see.
pub(crate) const APART: u64 = 1 << 24;

/// A number that looks random and is always the same (the finaliser of SplitMix64: G. Steele, D. Lea, C. Flood,
/// OOPSLA 2014).
pub(crate) fn mixed(turn: u64, class: u64) -> u64 {
    let mut z = (turn << 32 ^ class).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
