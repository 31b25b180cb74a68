//! What a host holds: several providers as one market.

mod builder;
mod config;
mod market;

pub use builder::{ConfigError, FederationBuilder};
pub use config::{FederationConfig, ProviderConfig};
pub use market::{Events, Federation, FulcrumError};
