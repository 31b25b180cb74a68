//! A federation from its configuration, with the embedded ledger.

use std::path::Path;

use super::{ConfigError, Federation, FederationConfig, FulcrumError, ProviderConfig};
use crate::{catalogue::Rates, ledger::SqliteLedger, provider::adapters::catalogue_file::CatalogueFile};

impl Federation {
    /// Opens a federation from a configuration file; its paths are relative to it.
    ///
    /// # Errors
    /// [`FulcrumError::Config`] or [`FulcrumError::Document`], with file, path and line.
    pub async fn open(path: &Path) -> Result<Self, FulcrumError> {
        let io = |source| ConfigError::Io { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let config = FederationConfig::from_yaml(&text)?;
        Ok(config.open(path.parent().unwrap_or(Path::new("."))).await?)
    }
}

impl FederationConfig {
    /// Opens the federation. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`ConfigError`]: a file cannot be read, or the parts do not fit together.
    pub async fn open(&self, base: &Path) -> Result<Federation, ConfigError> {
        let ledger = match self.ledger.as_str() {
            ":memory:" => SqliteLedger::in_memory().await?,
            path => SqliteLedger::open(base.join(path)).await?,
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
