//! The federation: several providers as one market, with catalogue, composition and purchase.

mod builder;
mod config;
mod error;
mod market;
#[cfg(feature = "sqlite")]
mod open;
mod orders;

pub use builder::{ConfigError, FederationBuilder};
pub use config::{FederationConfig, ProviderConfig};
pub use error::FulcrumError;
pub use market::Federation;
pub use orders::Events;
