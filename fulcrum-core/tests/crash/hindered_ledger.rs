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
    ledger::{Claim, Ledger, OrderQuery, OrderUpdate, Result as LedgerResult, SerialSlot, WriteReceipt},
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
    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> LedgerResult<Claim> {
        self.writing().await.claim(order, owner, ttl).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> LedgerResult<Vec<Claim>> {
        self.writing().await.claim_next(owner, ttl, limit, providers).await
    }
    async fn renew(&self, claim: &Claim, ttl: Duration) -> LedgerResult<Claim> {
        self.inner.renew(claim, ttl).await
    }
    async fn relinquish(&self, claim: &Claim) -> LedgerResult<()> {
        self.writing().await.relinquish(claim).await
    }
    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> LedgerResult<WriteReceipt> {
        self.writing().await.write(claim, change).await
    }
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> LedgerResult<()> {
        self.writing().await.request_cancel(order, by).await
    }
    async fn record_failed_drive(
        &self,
        claim: &Claim,
        reason: &str,
        next_try: jiff::Timestamp,
    ) -> LedgerResult<u32> {
        self.writing().await.record_failed_drive(claim, reason, next_try).await
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
    async fn purge(&self, order: &OrderId, before: jiff::Timestamp) -> LedgerResult<bool> {
        self.writing().await.purge(order, before).await
    }
    async fn consumer_offset(&self, name: &str) -> LedgerResult<u64> {
        self.inner.consumer_offset(name).await
    }
    async fn commit_offset(&self, name: &str, sequence: u64) -> LedgerResult<u64> {
        self.writing().await.commit_offset(name, sequence).await
    }
    async fn drop_consumer(&self, name: &str) -> LedgerResult<bool> {
        self.writing().await.drop_consumer(name).await
    }
    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> LedgerResult<SerialSlot> {
        self.writing().await.acquire_slot(name, claim, step, expected).await
    }
    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> LedgerResult<()> {
        self.writing().await.annotate_slot(name, claim, step, note).await
    }
    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> LedgerResult<()> {
        self.writing().await.vacate_slot(name, claim, step).await
    }
    async fn services_at(&self, provider: &ProviderId) -> LedgerResult<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.changes()
    }
}
