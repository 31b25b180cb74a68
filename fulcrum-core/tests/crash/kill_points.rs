//! A ledger and a provider with points at which their process dies.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Claim, Ledger, OrderQuery, OrderUpdate, Result as LedgerResult, SerialSlot, WriteReceipt},
    model::{IdempotencyKey, Operator, Order, OrderEvent, OrderId, ProviderId, Service, ServiceId},
    provider::{
        Action, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProvisionRequest, Quote, Refusal, Result, ServiceStream, UsagePeriod, UsageStream, sandbox::Sandbox,
    },
};

static KILL_AT: AtomicU64 = AtomicU64::new(0);
static POINT: AtomicU64 = AtomicU64::new(0);

/// At which point this process dies; at none if it is 0.
pub(crate) fn die_at(point: u64) {
    KILL_AT.store(point, Ordering::SeqCst);
}

/// How many points there were.
pub(crate) fn points() -> u64 {
    POINT.load(Ordering::SeqCst)
}

/// One point at which the power may fail.
pub(crate) fn point() {
    let here = POINT.fetch_add(1, Ordering::SeqCst) + 1;
    if here == KILL_AT.load(Ordering::SeqCst) {
        let pid = std::process::id().to_string();
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
        std::thread::sleep(Duration::from_secs(10));
    }
}

/// A point before and one after.
async fn mortal<T>(call: impl Future<Output = T>) -> T {
    point();
    let answer = call.await;
    point();
    answer
}

/// A ledger or provider with a kill point before and after every call that changes something.
#[derive(Debug)]
pub(crate) struct Mortal<T> {
    inner: T,
}

impl Mortal<Arc<dyn Ledger>> {
    pub(crate) fn ledger(inner: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        Arc::new(Self { inner })
    }
}

impl Mortal<Sandbox> {
    pub(crate) fn provider(inner: Sandbox) -> Arc<dyn Provider> {
        Arc::new(Self { inner })
    }
}

#[async_trait]
impl Ledger for Mortal<Arc<dyn Ledger>> {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn create(&self, order: &Order) -> LedgerResult<()> {
        mortal(self.inner.create(order)).await
    }
    async fn load(&self, order: &OrderId) -> LedgerResult<Option<Order>> {
        self.inner.load(order).await
    }
    async fn list(&self, query: &OrderQuery) -> LedgerResult<Vec<OrderId>> {
        self.inner.list(query).await
    }
    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> LedgerResult<Claim> {
        mortal(self.inner.claim(order, owner, ttl)).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> LedgerResult<Vec<Claim>> {
        mortal(self.inner.claim_next(owner, ttl, limit, providers)).await
    }
    async fn renew(&self, claim: &Claim, ttl: Duration) -> LedgerResult<Claim> {
        self.inner.renew(claim, ttl).await
    }
    async fn relinquish(&self, claim: &Claim) -> LedgerResult<()> {
        mortal(self.inner.relinquish(claim)).await
    }
    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> LedgerResult<WriteReceipt> {
        mortal(self.inner.write(claim, change)).await
    }
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> LedgerResult<()> {
        mortal(self.inner.request_cancel(order, by)).await
    }
    async fn record_failed_drive(
        &self,
        claim: &Claim,
        reason: &str,
        next_try: jiff::Timestamp,
    ) -> LedgerResult<u32> {
        mortal(self.inner.record_failed_drive(claim, reason, next_try)).await
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
        mortal(self.inner.purge(order, before)).await
    }
    async fn consumer_offset(&self, name: &str) -> LedgerResult<u64> {
        self.inner.consumer_offset(name).await
    }
    async fn commit_offset(&self, name: &str, sequence: u64) -> LedgerResult<u64> {
        mortal(self.inner.commit_offset(name, sequence)).await
    }
    async fn drop_consumer(&self, name: &str) -> LedgerResult<bool> {
        mortal(self.inner.drop_consumer(name)).await
    }
    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> LedgerResult<SerialSlot> {
        mortal(self.inner.acquire_slot(name, claim, step, expected)).await
    }
    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> LedgerResult<()> {
        mortal(self.inner.annotate_slot(name, claim, step, note)).await
    }
    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> LedgerResult<()> {
        mortal(self.inner.vacate_slot(name, claim, step)).await
    }
    async fn services_at(&self, provider: &ProviderId) -> LedgerResult<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.changes()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Mortal<Sandbox> {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.inner.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        mortal(self.inner.quote(request)).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        mortal(self.inner.dry_run(requests)).await
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        mortal(self.inner.reserve(request, key)).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        mortal(self.inner.unreserve(key)).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        mortal(self.inner.provision(request, key)).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        mortal(self.inner.find_by_key(key)).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        mortal(self.inner.describe(service)).await
    }
    fn services(&self) -> ServiceStream {
        self.inner.services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        mortal(self.inner.act(service, action, key)).await
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        mortal(self.inner.release(service, key)).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        mortal(self.inner.poll(operation)).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.inner.usage(period)
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.inner.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }
}
