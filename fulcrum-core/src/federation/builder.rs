//! The builder of a federation.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::Federation;
use crate::{
    catalogue::{AgeLimits, MarketState, Rates},
    ledger::{Ledger, LedgerError},
    model::{DocumentError, ProviderId, limits, read_text_within},
    provider::{AccessDenied, Base, Provider, layers, table::TableError},
    purchase::Engine,
};

/// The parts of a federation do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no provider.
    #[error("no provider; call `.provider(…)` at least once, or list one under `providers`")]
    NoProvider,
    /// Two providers have the same id.
    #[error("two providers are called {0}; give one of them another name")]
    Duplicate(ProviderId),
    /// There is no ledger.
    #[error(
        "no ledger; call `.ledger(…)`, or write `ledger: orders.db`, or `ledger: \":memory:\"` for a trial"
    )]
    NoLedger,
    /// The ledger's address is not valid.
    #[error("ledger: {0}")]
    LedgerAddress(String),
    /// The configuration is not valid.
    #[error("configuration: {0}")]
    Document(#[from] DocumentError),
    /// The document may not access a path, host, setting or ledger.
    #[error(transparent)]
    AccessDenied(#[from] AccessDenied),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A price table is not valid.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A sandbox's configuration is not valid.
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Sandbox(#[from] crate::provider::sandbox::SandboxError),
    /// An adapter's configuration is not valid.
    #[cfg(feature = "http")]
    #[error("provider {provider}: {source}")]
    Adapter {
        /// The provider.
        provider: ProviderId,
        /// The cause.
        source: crate::provider::http::HttpConfigError,
    },
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Collects the parts of a [`Federation`], and checks them together in [`build`](Self::build), without I/O.
#[derive(Debug, Default)]
pub struct FederationBuilder {
    providers: Vec<Arc<dyn Provider>>,
    ledger: Option<Arc<dyn Ledger>>,
    rates: Rates,
    rates_file: Option<RatesFile>,
    ages: AgeLimits,
}

impl FederationBuilder {
    /// Adds a provider with the recommended layers; see [`layers`].
    #[must_use]
    pub fn provider(self, provider: impl Provider) -> Self {
        self.layered(layers::recommended(Arc::new(provider)))
    }

    /// Adds a provider without further layers.
    #[must_use]
    pub fn layered(mut self, provider: Arc<dyn Provider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Sets the ledger.
    #[must_use]
    pub fn ledger(mut self, ledger: impl Ledger + 'static) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Sets the exchange rates; without them, offers in other currencies than the blueprint's are not used.
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        (self.rates, self.rates_file) = (rates, None);
        self
    }

    /// Reads the European Central Bank's rates from a file, now and with each refresh.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read, or is neither the CSV nor the XML.
    pub fn rates_file(self, path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        self.rates_of(RatesFile { base: Base::trusted(""), path: path.into() })
    }

    /// As [`rates_file`](Self::rates_file), of a file that a document names: each time it must be one that it may read.
    pub(super) fn rates_of(mut self, file: RatesFile) -> Result<Self, ConfigError> {
        (self.rates, self.rates_file) = (file.read()?, Some(file));
        Ok(self)
    }

    /// The age limit, in hours, of the last list of a failing provider; 24 by default.
    #[must_use]
    pub fn max_offer_age_hours(mut self, hours: u32) -> Self {
        self.ages.max_offer_age_hours = hours;
        self
    }

    /// The age limit, in days, of exchange rates; 7 by default.
    #[must_use]
    pub fn max_rates_age_days(mut self, days: u32) -> Self {
        self.ages.max_rates_age_days = days;
        self
    }

    /// The age limit, in days, of prices in dated tables; 90 by default.
    #[must_use]
    pub fn max_table_age_days(mut self, days: u32) -> Self {
        self.ages.max_table_age_days = days;
        self
    }

    /// Checks the parts.
    ///
    /// # Errors
    /// [`ConfigError`]: a part is missing or there twice.
    pub fn build(self) -> Result<Federation, ConfigError> {
        let ledger = self.ledger.ok_or(ConfigError::NoLedger)?;
        if self.providers.is_empty() {
            return Err(ConfigError::NoProvider);
        }
        let mut by_id: BTreeMap<ProviderId, Arc<dyn Provider>> = BTreeMap::new();
        for provider in &self.providers {
            if by_id.insert(provider.id().clone(), provider.clone()).is_some() {
                return Err(ConfigError::Duplicate(provider.id().clone()));
            }
        }
        let market = Arc::new(MarketState::new(self.rates, self.ages));
        let engine = Arc::new(Engine::new(by_id, ledger).with_market(market.clone()));
        Ok(Federation { providers: self.providers, engine, market, rates_file: self.rates_file })
    }
}

/// A file of the ECB's rates, with the access rights of the document that names it.
#[derive(Debug)]
pub(super) struct RatesFile {
    pub(super) base: Base,
    pub(super) path: PathBuf,
}

impl RatesFile {
    /// Reads the rates, telling CSV and XML by the first character.
    pub(super) fn read(&self) -> Result<Rates, ConfigError> {
        let path = self.base.to_read(&self.path)?;
        let text = read_text_within(&path, limits::MAX_RATES_BYTES)
            .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        let is_xml = text.trim_start().starts_with('<');
        let rates = if is_xml { Rates::from_ecb_xml(&text) } else { Rates::from_ecb_csv(&text) };
        let file = || path.display().to_string();
        rates.map_err(|source| ConfigError::Table(TableError::Document { file: file(), source }))
    }
}
