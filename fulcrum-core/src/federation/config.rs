//! A federation from a document: what hosts in C and Python pass in, and people write.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Federation};
use crate::{
    catalogue::Rates,
    model::{DocumentError, parse_yaml},
    provider::adapters::catalogue_file::CatalogueFile,
};

/// Providers, ledger and exchange rates. Relative paths start where the document is, or where the host says.
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
    /// The ledger's file, or `:memory:` for one that is gone with the process.
    pub ledger: String,
    /// The European Central Bank's rates, as CSV or XML.
    #[serde(default)]
    pub rates: Option<PathBuf>,
    /// Who sells.
    pub providers: Vec<ProviderConfig>,
}

/// One provider, or several from one catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderConfig {
    /// Clouds in the process, for tests and demos.
    #[cfg(feature = "sandbox")]
    Sandbox(crate::provider::sandbox::SandboxConfig),
    /// Offers from a file or folder, to compare prices with.
    CatalogueFile(PathBuf),
}

impl FederationConfig {
    /// Reads a configuration in YAML or JSON.
    ///
    /// # Errors
    /// [`DocumentError`] with path and line.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        parse_yaml(text)
    }

    /// Opens the federation. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`ConfigError`]: a file cannot be read, or the parts do not fit together.
    #[cfg(feature = "sqlite")]
    pub async fn open(&self, base: &Path) -> Result<Federation, ConfigError> {
        let ledger = match self.ledger.as_str() {
            ":memory:" => crate::ledger::SqliteLedger::in_memory().await?,
            path => crate::ledger::SqliteLedger::open(base.join(path)).await?,
        };
        let mut builder = Federation::builder().ledger(ledger);
        if let Some(rates) = &self.rates {
            builder = builder.rates(read_rates(&base.join(rates))?);
        }
        for provider in &self.providers {
            match provider {
                #[cfg(feature = "sandbox")]
                ProviderConfig::Sandbox(config) => {
                    builder = config
                        .build(base)?
                        .into_iter()
                        .fold(builder, |builder, cloud| builder.provider(cloud));
                }
                ProviderConfig::CatalogueFile(path) => {
                    let providers = CatalogueFile::open(&base.join(path))?;
                    builder = providers.into_iter().fold(builder, |builder, file| builder.provider(file));
                }
            }
        }
        builder.build()
    }
}

/// Reads the ECB's rates, telling CSV and XML by the first character.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read, or is neither.
fn read_rates(path: &Path) -> Result<Rates, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
    let is_xml = text.trim_start().starts_with('<');
    Ok(if is_xml { Rates::from_ecb_xml(&text)? } else { Rates::from_ecb_csv(&text)? })
}
