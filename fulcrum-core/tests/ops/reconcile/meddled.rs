//! A provider at which something happens while a scan looks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use fulcrum_core::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProvisionRequest, Quote, Refusal, Result, ServiceStream, UsagePeriod, UsageStream, sandbox::Sandbox,
    },
    purchase::Engine,
};
use futures::{FutureExt, StreamExt, future::BoxFuture};

use super::Market;
use crate::support::providers;

pub(crate) type Meddle = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A provider at which something happens right after a list was read, or right before a service is looked at.
pub(crate) struct Meddled {
    inner: Sandbox,
    at: Call,
    meddle: Meddle,
    is_done: AtomicBool,
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Meddled {
    /// An engine over the same clouds and ledger at which something happens once.
    pub(crate) fn engine(market: &Market, service: &Service, at: Call, meddle: Meddle) -> Engine {
        let mut all = providers(&market.clouds);
        let inner = market.cloud(service).clone();
        let meddled = Self { inner, at, meddle, is_done: AtomicBool::new(false) };
        all.insert(service.provider.clone(), Arc::new(meddled));
        Engine::new(all, market.engine.ledger().clone())
    }

    async fn happen(&self, now: Call) {
        if now == self.at && !self.is_done.swap(true, Ordering::SeqCst) {
            (self.meddle)().await;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Meddled {
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
        self.inner.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.inner.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.inner.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.inner.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.happen(Call::Describe).await;
        self.inner.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        let is_now = self.at == Call::Services && !self.is_done.swap(true, Ordering::SeqCst);
        let (inner, meddle) = (self.inner.clone(), self.meddle.clone());
        async move {
            let listed: Vec<_> = inner.services().collect().await;
            if is_now {
                meddle().await;
            }
            futures::stream::iter(listed)
        }
        .flatten_stream()
        .boxed()
    }
    async fn act(&self, of: &ServiceId, action: &Action, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.inner.act(of, action, key).await
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.inner.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.inner.poll(operation).await
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
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        self.inner.reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.inner.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }
}
