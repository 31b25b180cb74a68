//! The present state of the market, shared by composition and purchase.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use super::{AgeLimits, Catalogue, CatalogueBuilder, IngestOptions, Rates, ingest};
use crate::provider::Provider;

/// A host's newest catalogue and exchange rates, within its age limits.
#[derive(Debug)]
pub(crate) struct MarketState {
    ages: AgeLimits,
    rates: RwLock<Arc<Rates>>,
    catalogue: RwLock<Arc<Catalogue>>,
}

impl MarketState {
    /// The state before the first refresh.
    pub(crate) fn new(rates: Rates, ages: AgeLimits) -> Self {
        let empty = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, rates.clone()).build();
        Self { ages, rates: RwLock::new(Arc::new(rates)), catalogue: RwLock::new(Arc::new(empty)) }
    }

    pub(crate) fn set_rates(&self, rates: Rates) {
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rates);
    }

    /// The configured exchange rates, however old.
    pub(crate) fn configured_rates(&self) -> Arc<Rates> {
        self.rates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rates to convert by; empty, with the reason, if the configured ones are too old.
    pub(crate) fn rates(&self) -> (Arc<Rates>, Option<String>) {
        let given = self.configured_rates();
        match self.ages.rates_too_old(&given, Timestamp::now()) {
            Some(refused) => (Arc::new(given.cleared()), Some(refused)),
            None => (given, None),
        }
    }

    /// The newest catalogue, without offers that have become too old since.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        let newest = self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(still_good) = newest.without_stale(self.ages, Timestamp::now()) else { return newest };
        let still_good = Arc::new(still_good);
        let mut present = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&present, &newest) {
            *present = still_good;
        }
        present.clone()
    }

    /// Lists all providers' offers within the age limits, and keeps the catalogue.
    pub(crate) async fn refresh(
        &self,
        providers: &[Arc<dyn Provider>],
        options: IngestOptions,
    ) -> Arc<Catalogue> {
        let before = self.catalogue();
        let options = IngestOptions { ages: self.ages, ..options };
        let catalogue = Arc::new(ingest(providers, Some(&before), options).await);
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = catalogue.clone();
        catalogue
    }
}
