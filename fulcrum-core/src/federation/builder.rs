//! Setting a federation up.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, RwLock},
};

use jiff::Timestamp;

use super::Federation;
use crate::{
    catalogue::{CatalogueBuilder, Rates},
    ledger::{Ledger, LedgerError},
    model::{DocumentError, ProviderId},
    provider::{Provider, layers, table::TableError},
    purchase::Engine,
};

/// A federation cannot be set up like this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Nobody sells.
    #[error("no provider; call `.provider(…)` at least once, or list one under `providers`")]
    NoProvider,
    /// Two providers have one name.
    #[error("two providers are called {0}; give one of them another name")]
    Duplicate(ProviderId),
    /// Nowhere to remember purchases.
    #[error(
        "no ledger; call `.ledger(…)`, or write `ledger: orders.db`, or `ledger: \":memory:\"` for a trial"
    )]
    NoLedger,
    /// It does not say where the ledger is.
    #[error("ledger: {0}")]
    LedgerAddress(String),
    /// The configuration is not well formed.
    #[error("configuration: {0}")]
    Document(#[from] DocumentError),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A catalogue file is wrong.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A sandbox is wrong.
    #[cfg(feature = "sandbox")]
    #[error(transparent)]
    Sandbox(#[from] crate::provider::sandbox::SandboxError),
    /// An adapter is wrong.
    #[cfg(feature = "http")]
    #[error("provider {provider}: {source}")]
    Adapter {
        /// Which provider.
        provider: ProviderId,
        /// What is wrong.
        source: crate::provider::http::HttpConfigError,
    },
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Takes the parts of a [`Federation`] and checks them together in [`build`](Self::build). Does no I/O.
#[derive(Debug, Default)]
pub struct FederationBuilder {
    providers: Vec<Arc<dyn Provider>>,
    ledger: Option<Arc<dyn Ledger>>,
    rates: Rates,
}

impl FederationBuilder {
    /// Adds a provider under the recommended layers: trace, retry, concurrency, deadline.
    #[must_use]
    pub fn provider(self, provider: impl Provider) -> Self {
        self.layered(layers::recommended(Arc::new(provider)))
    }

    /// Adds a provider as it is, with the layers that the host has chosen.
    #[must_use]
    pub fn layered(mut self, provider: Arc<dyn Provider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Sets where purchases are remembered.
    #[must_use]
    pub fn ledger(mut self, ledger: impl Ledger + 'static) -> Self {
        self.ledger = Some(Arc::new(ledger));
        self
    }

    /// Sets the exchange rates; without them, offers in other currencies than the blueprint's are not used.
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
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
        let empty = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, self.rates.clone()).build();
        let catalogue = Arc::new(RwLock::new(Arc::new(empty)));
        let engine = Engine::new(by_id, ledger).with_rates(self.rates.clone()).with_market(catalogue.clone());
        Ok(Federation { providers: self.providers, engine: Arc::new(engine), rates: self.rates, catalogue })
    }
}
