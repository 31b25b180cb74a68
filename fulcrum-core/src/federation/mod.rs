//! What a host holds: several providers as one market.

mod builder;
mod config;
mod market;
#[cfg(feature = "sqlite")]
mod open;

pub use builder::{ConfigError, FederationBuilder};
pub use config::{FederationConfig, ProviderConfig};
pub use market::{Events, Federation, FulcrumError};
