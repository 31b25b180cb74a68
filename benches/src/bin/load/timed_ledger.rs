//! A ledger that remembers how long the writes of each step took.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Change, Claim, Gate, Ledger, OrderQuery, Result, Written},
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
    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        self.inner.claim(order, owner, lease).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        self.inner.claim_next(owner, lease, limit, providers).await
    }
    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim> {
        self.inner.renew(claim, lease).await
    }
    async fn release(&self, claim: &Claim) -> Result<()> {
        self.inner.release(claim).await
    }
    async fn write(&self, claim: &Claim, change: &Change) -> Result<Written> {
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
    async fn note_failed_drive(&self, claim: &Claim, reason: &str, next_try: jiff::Timestamp) -> Result<u32> {
        self.inner.note_failed_drive(claim, reason, next_try).await
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
    async fn forget(&self, order: &OrderId, before: jiff::Timestamp) -> Result<bool> {
        self.inner.forget(order, before).await
    }
    async fn cursor(&self, name: &str) -> Result<u64> {
        self.inner.cursor(name).await
    }
    async fn advance(&self, name: &str, sequence: u64) -> Result<u64> {
        self.inner.advance(name, sequence).await
    }
    async fn drop_cursor(&self, name: &str) -> Result<bool> {
        self.inner.drop_cursor(name).await
    }
    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> Result<Gate> {
        self.inner.enter_gate(name, claim, step, instead_of).await
    }
    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        self.inner.note_gate(name, claim, step, note).await
    }
    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        self.inner.leave_gate(name, claim, step).await
    }
    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
}
