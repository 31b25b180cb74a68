//! Where chance starts, and how to start there again.

/// The seed of `FULCRUM_SEED`, else a new one; printed.
pub fn seed() -> u64 {
    let set = std::env::var("FULCRUM_SEED").ok().and_then(|text| text.parse().ok());
    let seed = set.unwrap_or_else(rand::random::<u64>);
    println!("seed {seed}; set FULCRUM_SEED to repeat");
    seed
}
