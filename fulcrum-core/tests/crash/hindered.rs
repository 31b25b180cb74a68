//! A ledger that something comes in the way of, at one of its writes.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Change, Claim, Gate, Ledger, OrderQuery, Result as LedgerResult, Written},
    model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId},
};

/// What comes in the way.
#[async_trait]
pub(crate) trait Hindrance: Debug + Send + Sync {
    async fn begin(&self);
}

/// A ledger with a hindrance that begins just before its `at`-th write.
#[derive(Debug)]
pub(crate) struct Hindered {
    inner: Arc<dyn Ledger>,
    at: usize,
    writes: AtomicUsize,
    by: Arc<dyn Hindrance>,
}

impl Hindered {
    pub(crate) fn new(inner: Arc<dyn Ledger>, at: usize, by: Arc<dyn Hindrance>) -> Arc<Self> {
        Arc::new(Self { inner, at, writes: AtomicUsize::new(0), by })
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    async fn writing(&self) -> &dyn Ledger {
        if self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            self.by.begin().await;
        }
        &*self.inner
    }
}

#[async_trait]
impl Ledger for Hindered {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn create(&self, order: &Order) -> LedgerResult<()> {
        self.writing().await.create(order).await
    }
    async fn load(&self, order: &OrderId) -> LedgerResult<Option<Order>> {
        self.inner.load(order).await
    }
    async fn list(&self, query: &OrderQuery) -> LedgerResult<Vec<OrderId>> {
        self.inner.list(query).await
    }
    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> LedgerResult<Claim> {
        self.writing().await.claim(order, owner, lease).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> LedgerResult<Vec<Claim>> {
        self.writing().await.claim_next(owner, lease, limit, providers).await
    }
    async fn renew(&self, claim: &Claim, lease: Duration) -> LedgerResult<Claim> {
        self.inner.renew(claim, lease).await
    }
    async fn release(&self, claim: &Claim) -> LedgerResult<()> {
        self.writing().await.release(claim).await
    }
    async fn write(&self, claim: &Claim, change: &Change) -> LedgerResult<Written> {
        self.writing().await.write(claim, change).await
    }
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> LedgerResult<()> {
        self.writing().await.request_cancel(order, by).await
    }
    async fn note_failed_drive(
        &self,
        claim: &Claim,
        reason: &str,
        next_try: jiff::Timestamp,
    ) -> LedgerResult<u32> {
        self.writing().await.note_failed_drive(claim, reason, next_try).await
    }
    async fn is_cancelled(&self, order: &OrderId) -> LedgerResult<bool> {
        self.inner.is_cancelled(order).await
    }
    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> LedgerResult<Vec<OrderEvent>> {
        self.inner.events(after, order, limit).await
    }
    async fn verify(&self, order: &OrderId) -> LedgerResult<()> {
        self.inner.verify(order).await
    }
    async fn forget(&self, order: &OrderId, before: jiff::Timestamp) -> LedgerResult<bool> {
        self.writing().await.forget(order, before).await
    }
    async fn cursor(&self, name: &str) -> LedgerResult<u64> {
        self.inner.cursor(name).await
    }
    async fn advance(&self, name: &str, sequence: u64) -> LedgerResult<u64> {
        self.writing().await.advance(name, sequence).await
    }
    async fn drop_cursor(&self, name: &str) -> LedgerResult<bool> {
        self.writing().await.drop_cursor(name).await
    }
    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> LedgerResult<Gate> {
        self.writing().await.enter_gate(name, claim, step, instead_of).await
    }
    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> LedgerResult<()> {
        self.writing().await.note_gate(name, claim, step, note).await
    }
    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> LedgerResult<()> {
        self.writing().await.leave_gate(name, claim, step).await
    }
    async fn services_at(&self, provider: &ProviderId) -> LedgerResult<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.changes()
    }
}
