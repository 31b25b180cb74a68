//! Wrappers that add one concern each to any provider and forward everything else.
//!
//! [`recommended`] gives the recommended order, outermost first. Trace sees each call once; retry repeats retryable calls;
//! concurrency holds a permit only during an attempt; the deadline bounds each attempt; redaction comes first on the way back.

mod concurrency;
mod deadline;
mod redact;
mod retry;
mod trace;
mod withheld;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

pub use concurrency::Concurrency;
pub use deadline::Deadline;
pub use redact::Redact;
pub use retry::{Retry, RetryPolicy};
pub use trace::Trace;

use super::{
    Access, Action, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
    ProvisionRequest, Quote, Refusal, RejectedRow, Result, ServiceStream, UsagePeriod, UsageStream,
};
use crate::model::{IdempotencyKey, ProviderId, Service, ServiceId};

/// All layers with their default settings: 30 seconds an attempt, the provider's own concurrency limit or 16, five attempts.
pub fn recommended(provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
    let max_concurrent_calls = provider.capabilities().concurrency.unwrap_or(16);
    let timed = Deadline::new(Redact::new(provider), Duration::from_secs(30));
    let limited = Concurrency::new(timed, max_concurrent_calls);
    Arc::new(Trace::new(Retry::new(limited, RetryPolicy::default())))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Arc<dyn Provider> {
    fn id(&self) -> &ProviderId {
        (**self).id()
    }
    fn capabilities(&self) -> &Capabilities {
        (**self).capabilities()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        (**self).redacted(text, is_for_people)
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        (**self).withhold(secrets);
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        (**self).offers(filter)
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        (**self).rejected()
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        (**self).quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        (**self).dry_run(requests).await
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        (**self).reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        (**self).unreserve(key).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        (**self).provision(request, key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        (**self).resume_operation(request, service).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        (**self).find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        (**self).describe(service).await
    }
    fn services(&self) -> ServiceStream {
        (**self).services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        (**self).act(service, action, key).await
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        (**self).release(service, key).await
    }
    async fn access(&self, service: &ServiceId) -> Result<Access> {
        (**self).access(service).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        (**self).poll(operation).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        (**self).usage(period)
    }
}

/// Implements [`Provider`] for a layer: `id`, `capabilities`, `redacted` and `rejected` are forwarded; each other call goes
/// through the layer's own `call` (one result) or `stream` (many).
macro_rules! forward_through {
    ($layer:ident) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Provider> Provider for $layer<P> {
            fn id(&self) -> &ProviderId {
                self.inner.id()
            }
            fn capabilities(&self) -> &Capabilities {
                self.inner.capabilities()
            }
            fn redacted(&self, text: &str, is_for_people: bool) -> String {
                self.inner.redacted(text, is_for_people)
            }
            fn withhold(&self, secrets: &[secrecy::SecretString]) {
                self.inner.withhold(secrets);
            }
            fn offers(&self, filter: &OfferFilter) -> OfferStream {
                let (inner, filter) = (self.inner.clone(), filter.clone());
                self.stream(Call::Offers, move || inner.offers(&filter))
            }
            fn rejected(&self) -> Vec<crate::provider::RejectedRow> {
                self.inner.rejected()
            }
            async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
                self.call(Call::Quote, || self.inner.quote(request)).await
            }
            async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<crate::provider::Refusal>> {
                self.call(Call::DryRun, || self.inner.dry_run(requests)).await
            }
            async fn reserve(
                &self,
                request: &ProvisionRequest,
                key: &IdempotencyKey,
            ) -> Result<jiff::Timestamp> {
                self.call(Call::Reserve, || self.inner.reserve(request, key)).await
            }
            async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
                self.call(Call::Unreserve, || self.inner.unreserve(key)).await
            }
            async fn provision(
                &self,
                request: &ProvisionRequest,
                key: &IdempotencyKey,
            ) -> Result<OperationHandle> {
                self.call(Call::Provision, || self.inner.provision(request, key)).await
            }
            async fn resume_operation(
                &self,
                request: &ProvisionRequest,
                service: &Service,
            ) -> Result<Option<OperationHandle>> {
                self.call(Call::ResumeOperation, || self.inner.resume_operation(request, service)).await
            }
            async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
                self.call(Call::FindByKey, || self.inner.find_by_key(key)).await
            }
            async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
                self.call(Call::Describe, || self.inner.describe(service)).await
            }
            fn services(&self) -> ServiceStream {
                let inner = self.inner.clone();
                self.stream(Call::Services, move || inner.services())
            }
            async fn act(
                &self,
                service: &ServiceId,
                action: &Action,
                key: &IdempotencyKey,
            ) -> Result<OperationHandle> {
                self.call(Call::Act, || self.inner.act(service, action, key)).await
            }
            async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
                self.call(Call::Release, || self.inner.release(service, key)).await
            }
            async fn access(&self, service: &ServiceId) -> Result<crate::provider::Access> {
                self.call(Call::Access, || self.inner.access(service)).await
            }
            async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
                self.call(Call::Poll, || self.inner.poll(operation)).await
            }
            fn usage(&self, period: &UsagePeriod) -> UsageStream {
                let (inner, period) = (self.inner.clone(), *period);
                self.stream(Call::Usage, move || inner.usage(&period))
            }
        }
    };
}
use forward_through;
