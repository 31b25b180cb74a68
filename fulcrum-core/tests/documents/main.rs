//! Sources, schemas and what people write: in the form that is promised, and never a panic.

#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[path = "../support/fuzz_bodies.rs"]
mod bodies;
#[allow(unreachable_pub, reason = "shared by tests")]
#[path = "../support/seed.rs"]
mod seed;

mod architecture;
mod fuzz_smoke;
mod price_tables;
mod schemas;
mod security;
