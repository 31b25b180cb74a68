//! The purchase engine as the federation sees it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    PurchaseError, absent_provider::AbsentProvider, listing_cache::ListingCache, recent_orders::RecentOrders,
};
use crate::{
    catalogue::{AgeLimits, MarketState, Rates},
    ledger::{Ledger, LedgerError},
    model::{KeyNamespace, Order, OrderId, ProviderId},
    provider::Provider,
};

/// Drives orders. Several engines, also in several processes, may share a ledger.
#[derive(Debug)]
pub struct Engine {
    pub(super) providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    pub(super) ledger: Arc<dyn Ledger>,
    /// The present market: offers for fail-overs, rates for checking prices.
    pub(super) market: Arc<MarketState>,
    /// Stands for providers that an order names and that are not here.
    pub(super) absent: Arc<dyn Provider>,
    /// The providers' lists, for checking prices.
    pub(super) listings: ListingCache,
    /// Orders that this process has just accepted.
    pub(super) recent: RecentOrders,
    /// The namespace of the keys of orders that are accepted here.
    pub(super) namespace: Option<KeyNamespace>,
    pub(super) owner: String,
    pub(super) claim_ttl: Duration,
}

impl Engine {
    /// An engine over some providers and a ledger.
    pub fn new(providers: BTreeMap<ProviderId, Arc<dyn Provider>>, ledger: Arc<dyn Ledger>) -> Self {
        let owner = format!("process {} {}", std::process::id(), uuid::Uuid::now_v7());
        let market = Arc::new(MarketState::new(Rates::none(), AgeLimits::default()));
        let (listings, recent) = (ListingCache::default(), RecentOrders::default());
        let claim_ttl = Duration::from_secs(15);
        let absent = AbsentProvider::shared();
        let namespace = KeyNamespace::of_ledger(ledger.id());
        Self { providers, ledger, market, absent, listings, recent, namespace, owner, claim_ttl }
    }

    /// Sets the exchange rates for checking prices.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        self.market.set_rates(rates);
        self
    }

    /// Sets how old offers, exchange rates and price tables may be.
    #[must_use]
    pub fn with_ages(self, ages: AgeLimits) -> Self {
        let rates = (*self.market.configured_rates()).clone();
        Self { market: Arc::new(MarketState::new(rates, ages)), ..self }
    }

    /// Shares what is known of the market, so that a fail-over also knows the offers of a provider that does not answer.
    #[must_use]
    pub(crate) fn with_market(self, market: Arc<MarketState>) -> Self {
        Self { market, ..self }
    }

    /// Sets the claim TTL: how long another host waits before it takes over the orders of a dead one. 15 s by default.
    #[must_use]
    pub fn with_claim_ttl(self, ttl: Duration) -> Self {
        Self { claim_ttl: ttl, ..self }
    }

    /// The ledger of this engine.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// One order.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchOrder`], or the ledger cannot be read.
    pub async fn load(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let loaded = self.ledger.load(order).await?;
        loaded.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()).into())
    }
}
