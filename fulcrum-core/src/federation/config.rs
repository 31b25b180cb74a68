//! The configuration document of a federation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(feature = "sqlite")]
use super::FederationBuilder;
#[cfg(all(feature = "http", feature = "sqlite"))]
use crate::model::ProviderId;
#[cfg(feature = "sqlite")]
use crate::provider::{Base, adapters::catalogue_file::CatalogueFile};
use crate::{
    catalogue::AgeLimits,
    model::{DocumentError, check_size, limits, parse_yaml},
    provider::adapters::for_each_adapter,
};

/// Providers, ledger and exchange rates. Relative paths start where the document is, or where the host says.
///
/// A file that is opened by its name ([`Federation::open`](super::Federation::open)) is the operator's own, and trusted. A text
/// may be anybody's: it reads and writes files below one folder, and sends each secret only to the public API that it is for,
/// unless the program lets it do more ([`open_within`](Self::open_within)).
///
/// ```yaml
/// ledger: orders.db
/// rates: eurofxref.csv
/// providers:
///   - sandbox: { catalogue: examples/catalogue, seed: 7, operation_ms: [50, 200] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederationConfig {
    /// The ledger's file, `:memory:` for one that is gone with the process, `postgresql://user@host/database` for one
    /// that many hosts share, or `env:NAME` for what that environment variable says.
    pub ledger: String,
    /// The file with the European Central Bank's exchange rates, as CSV or XML; without it each currency is by itself.
    #[serde(default)]
    pub rates: Option<PathBuf>,
    /// The greatest age in hours of the last list of a provider that does not answer; older offers are in no plan.
    #[serde(default = "max_offer_age_hours")]
    pub max_offer_age_hours: u32,
    /// The greatest age in days of the rates; older ones convert nothing. The file is read again with each refresh.
    #[serde(default = "max_rates_age_days")]
    pub max_rates_age_days: u32,
    /// The greatest age in days of a price of a dated table; older ones are left out.
    #[serde(default = "max_table_age_days")]
    pub max_table_age_days: u32,
    /// The providers: adapters, price tables and sandboxes, each under the name of its kind.
    pub providers: Vec<ProviderConfig>,
}

fn max_offer_age_hours() -> u32 {
    AgeLimits::default().max_offer_age_hours
}

fn max_rates_age_days() -> u32 {
    AgeLimits::default().max_rates_age_days
}

fn max_table_age_days() -> u32 {
    AgeLimits::default().max_table_age_days
}

macro_rules! provider_config {
    ($($(#[$doc:meta])* $feature:literal => $module:ident::$adapter:ident($config:ident);)*) => {
        /// One provider, or several from one catalogue.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProviderConfig {
            /// Clouds in the process, for tests and demos.
            #[cfg(feature = "sandbox")]
            Sandbox(crate::provider::sandbox::SandboxConfig),
            /// Offers from a file or folder, to compare prices with.
            CatalogueFile(PathBuf),
            $(
                $(#[$doc])*
                #[cfg(feature = $feature)]
                #[serde(rename = $feature)]
                $adapter(crate::provider::adapters::$module::$config),
            )*
        }

        #[cfg(feature = "sqlite")]
        impl ProviderConfig {
            /// Adds the providers to a federation, under the recommended layers. Does not connect yet.
            ///
            /// # Errors
            /// [`ConfigError`](super::ConfigError): a setting or a file is wrong.
            pub(super) fn add_to(
                &self,
                builder: FederationBuilder,
                base: &Base,
            ) -> Result<Added, super::ConfigError> {
                Ok(match self {
                    #[cfg(feature = "sandbox")]
                    Self::Sandbox(config) => {
                        let clouds = config.build(base)?;
                        let stored_offers = clouds.iter().map(|cloud| cloud.offer_count()).sum();
                        let builder = clouds.into_iter().fold(builder, FederationBuilder::provider);
                        Added { builder, stored_offers }
                    }
                    Self::CatalogueFile(path) => {
                        let files = CatalogueFile::open(&base.to_read(path)?)?;
                        let stored_offers = files.iter().map(CatalogueFile::listed).sum();
                        let builder = files.into_iter().fold(builder, FederationBuilder::provider);
                        Added { builder, stored_offers }
                    }
                    $(
                        #[cfg(feature = $feature)]
                        Self::$adapter(config) => {
                            let adapter = config
                                .build(base)
                                .map_err(|source| adapter_error(config.id.clone(), $feature, source))?;
                            Added { builder: builder.provider(adapter), stored_offers: 0 }
                        }
                    )*
                })
            }
        }
    };
}
for_each_adapter!(provider_config);

/// A federation with the providers of one [`ProviderConfig`].
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub(super) struct Added {
    pub(super) builder: FederationBuilder,
    /// How many offers of a catalogue are kept in memory; those of an API are listed when they are asked for.
    pub(super) stored_offers: usize,
}

/// An adapter's error, in the name of the configured provider, or of the adapter where the id comes from another file.
#[cfg(all(feature = "http", feature = "sqlite"))]
#[allow(dead_code, reason = "a build with the HTTP layer alone has no adapter")]
fn adapter_error(
    id: impl Into<Option<ProviderId>>,
    adapter: &str,
    source: crate::provider::http::HttpConfigError,
) -> super::ConfigError {
    let provider =
        id.into().unwrap_or_else(|| ProviderId::new(adapter).expect("a feature's name is a provider's name"));
    super::ConfigError::Adapter { provider, source }
}

impl FederationConfig {
    /// Reads a configuration in YAML or JSON.
    ///
    /// # Errors
    /// [`DocumentError`] with path and line.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_FEDERATION_BYTES)?;
        parse_yaml(text)
    }
}
