//! Sources, schemas and what people write: in the form that is promised, and never a panic.

#[cfg(all(feature = "adapters", feature = "sandbox", feature = "sqlite", unix))]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[path = "../support/fuzz/mod.rs"]
mod bodies;
#[cfg(all(feature = "adapters", feature = "sandbox", feature = "sqlite", unix))]
#[path = "../adapter/imitation/mod.rs"]
mod imitation;
#[cfg(all(feature = "adapters", feature = "sandbox", feature = "sqlite", unix))]
#[path = "../peers/mod.rs"]
mod peers;
#[allow(unreachable_pub, reason = "shared by tests")]
#[path = "../support/seed.rs"]
mod seed;

mod architecture;
mod bindings;
mod claims;
#[cfg(all(feature = "adapters", feature = "sandbox", feature = "sqlite", unix))]
mod fuzz_smoke;
mod guides;
mod long_words;
mod names;
mod price_tables;
mod published;
mod schemas;
mod security;
mod shipped_counts;
