//! A ledger that remembers how long the writes of each step took.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Claim, Ledger, OrderQuery, OrderUpdate, Result, SerialSlot, WriteReceipt},
    model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId},
};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct TimedLedger {
    inner: Arc<dyn Ledger>,
    of_step: Mutex<HashMap<(OrderId, u32), Duration>>,
}

impl TimedLedger {
    pub(crate) fn new(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, of_step: Mutex::default() }
    }

    pub(crate) fn forget(&self) {
        self.of_step.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What all writes of one step took, in the middle and at the 99th percentile.
    pub(crate) fn overhead(&self) -> Option<(Duration, Duration)> {
        let mut all: Vec<Duration> =
            self.of_step.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect();
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, *all.get(all.len() * 99 / 100)?))
    }
}

#[async_trait]
impl Ledger for TimedLedger {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn create(&self, order: &Order) -> Result<()> {
        self.inner.create(order).await
    }
    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        self.inner.load(order).await
    }
    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        self.inner.list(query).await
    }
    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim> {
        self.inner.claim(order, owner, ttl).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        self.inner.claim_next(owner, ttl, limit, providers).await
    }
    async fn renew(&self, claim: &Claim, ttl: Duration) -> Result<Claim> {
        self.inner.renew(claim, ttl).await
    }
    async fn relinquish(&self, claim: &Claim) -> Result<()> {
        self.inner.relinquish(claim).await
    }
    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> Result<WriteReceipt> {
        let start = Instant::now();
        let written = self.inner.write(claim, change).await?;
        if let ([step], None) = (&change.steps[..], &change.order) {
            let mut of_step = self.of_step.lock().unwrap_or_else(PoisonError::into_inner);
            *of_step.entry((claim.order.clone(), step.index)).or_default() += start.elapsed();
        }
        Ok(written)
    }
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        self.inner.request_cancel(order, by).await
    }
    async fn record_failed_drive(
        &self,
        claim: &Claim,
        reason: &str,
        next_try: jiff::Timestamp,
    ) -> Result<u32> {
        self.inner.record_failed_drive(claim, reason, next_try).await
    }
    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        self.inner.is_cancelled(order).await
    }
    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        self.inner.events(after, order, limit).await
    }
    async fn verify(&self, order: &OrderId) -> Result<()> {
        self.inner.verify(order).await
    }
    async fn purge(&self, order: &OrderId, before: jiff::Timestamp) -> Result<bool> {
        self.inner.purge(order, before).await
    }
    async fn consumer_offset(&self, name: &str) -> Result<u64> {
        self.inner.consumer_offset(name).await
    }
    async fn commit_offset(&self, name: &str, sequence: u64) -> Result<u64> {
        self.inner.commit_offset(name, sequence).await
    }
    async fn drop_consumer(&self, name: &str) -> Result<bool> {
        self.inner.drop_consumer(name).await
    }
    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> Result<SerialSlot> {
        self.inner.acquire_slot(name, claim, step, expected).await
    }
    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        self.inner.annotate_slot(name, claim, step, note).await
    }
    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        self.inner.vacate_slot(name, claim, step).await
    }
    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
}
