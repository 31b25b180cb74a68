//! What is known of the market at present, shared by those who compose and those who buy.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use super::{AgeLimits, Catalogue, CatalogueBuilder, IngestOptions, Rates, ingest};
use crate::provider::Provider;

/// The newest catalogue and the exchange rates of a host, as far as they are not too old.
#[derive(Debug)]
pub(crate) struct PresentMarket {
    ages: AgeLimits,
    rates: RwLock<Arc<Rates>>,
    catalogue: RwLock<Arc<Catalogue>>,
}

impl PresentMarket {
    /// Before anybody was asked.
    pub(crate) fn new(rates: Rates, ages: AgeLimits) -> Self {
        let empty = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, rates.clone()).build();
        Self { ages, rates: RwLock::new(Arc::new(rates)), catalogue: RwLock::new(Arc::new(empty)) }
    }

    pub(crate) fn set_rates(&self, rates: Rates) {
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rates);
    }

    /// Exchange rates as they were given, however old.
    pub(crate) fn given_rates(&self) -> Arc<Rates> {
        self.rates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rates to convert by: none, and why, if those that were given are too old.
    pub(crate) fn rates(&self) -> (Arc<Rates>, Option<String>) {
        let given = self.given_rates();
        match self.ages.of_rates(&given, Timestamp::now()) {
            Some(refused) => (Arc::new(given.emptied()), Some(refused)),
            None => (given, None),
        }
    }

    /// The newest catalogue. What has become too old since it was taken is not in it any more, for all who look.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        let newest = self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(still_good) = newest.without_old(self.ages, Timestamp::now()) else { return newest };
        let still_good = Arc::new(still_good);
        let mut present = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&present, &newest) {
            *present = still_good;
        }
        present.clone()
    }

    /// Asks all providers, within the limits of age of this market, and keeps the answer.
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
