//! What every provider owes, whoever wrote it; what layers and the HTTP client add; and what happens when one lies.
#![cfg(all(feature = "sandbox", feature = "sqlite"))]

#[cfg(feature = "http")]
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../support/mod.rs"]
mod support;

mod ages;
mod callback;
#[cfg(feature = "http")]
mod causes;
mod conformance;
mod hostile;
#[cfg(feature = "http")]
mod http;
mod ingest;
mod layers;
#[cfg(feature = "http")]
mod proxy;
#[cfg(feature = "http")]
mod rotation;
#[cfg(all(feature = "hetzner", unix))]
mod trust;
