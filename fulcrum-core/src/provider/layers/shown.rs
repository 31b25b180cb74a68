//! What a provider says, as it may be shown and kept.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;

use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus,
        Provider, ProviderError, ProvisionRequest, Quote, RejectedRow, Result, ServiceStream, UsagePeriod,
        UsageStream, words,
    },
};

/// Characters of one attribute of a service that are kept.
const LONGEST_ATTRIBUTE: usize = 4_096;

/// Takes out of every answer what must be neither shown nor kept: credentials, marks that nobody sees, and what is too long to
/// be read. Whatever a provider says becomes an order's reason, a line of a log, or an attribute: this is the one place that all
/// of it passes. Stands innermost, so that no other layer sees more.
#[derive(Debug)]
pub struct Shown<P> {
    inner: Arc<P>,
}

impl<P: Provider> Shown<P> {
    /// Shows what a provider says.
    pub fn new(inner: P) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// What a call answers; `keep` makes of a success what may be kept.
    async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        call: Call,
        answer: F,
        keep: impl FnOnce(&Filter<P>, T) -> Result<T, String>,
    ) -> Result<T> {
        let filter = Filter(self.inner.clone());
        let kept = answer.await.map_err(|error| filter.error(error))?;
        keep(&filter, kept).map_err(|message| {
            ProviderError::new(self.inner.id().clone(), call, ErrorKind::Protocol { message })
        })
    }
}

/// Of one provider.
struct Filter<P>(Arc<P>);

impl<P: Provider> Filter<P> {
    /// Once marks are left out a secret may be whole that they had parted; and a cut leaves no part of one.
    fn shown(&self, text: &str, is_for_people: bool, most: usize) -> String {
        let seen = words::plain(text, usize::MAX);
        words::plain(&self.0.redacted(&seen, is_for_people), most)
    }

    /// For people.
    fn text(&self, text: &str) -> String {
        self.shown(text, true, ErrorKind::LONGEST)
    }

    fn error(&self, error: ProviderError) -> ProviderError {
        error.with_texts(|text| self.text(&text))
    }

    /// A handle means something to its provider only as it is.
    fn handle(&self, handle: OperationHandle) -> Result<OperationHandle, String> {
        match self.0.redacted(handle.as_str(), false) == handle.as_str() {
            true => Ok(handle),
            false => Err("what it calls the operation by holds a credential, and is not kept".to_owned()),
        }
    }

    fn service(&self, service: Service) -> Result<Service, String> {
        let names = [service.id.as_str(), service.sku.as_str()];
        if names.iter().any(|name| self.0.redacted(name, false) != *name) {
            return Err("the name of a service holds a credential, and is not kept".to_owned());
        }
        let kept = |text: &str| self.shown(text, false, LONGEST_ATTRIBUTE);
        let attributes = service.attributes.iter().map(|(name, value)| (kept(name), kept(value))).collect();
        Ok(Service { attributes, ..service })
    }

    fn status(&self, status: OperationStatus) -> Result<OperationStatus, String> {
        Ok(match status {
            OperationStatus::Succeeded(Some(service)) => {
                OperationStatus::Succeeded(Some(self.service(service)?))
            }
            OperationStatus::Failed { reason, shortage } => {
                OperationStatus::Failed { reason: self.text(&reason), shortage }
            }
            OperationStatus::Running { .. } | OperationStatus::Succeeded(None) => status,
        })
    }

    fn found(&self, service: Option<Service>) -> Result<Option<Service>, String> {
        service.map(|service| self.service(service)).transpose()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: Provider> Provider for Shown<P> {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let inner = self.inner.clone();
        let offers = self.inner.offers(filter);
        offers.map(move |offer| offer.map_err(|error| Filter(inner.clone()).error(error))).boxed()
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        let filter = Filter(self.inner.clone());
        let shown = |row: RejectedRow| RejectedRow::new(filter.text(&row.row), filter.text(&row.reason));
        self.inner.rejected().into_iter().map(shown).collect()
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.call(Call::Quote, self.inner.quote(request), |_, quote| Ok(quote)).await
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.call(Call::Reserve, self.inner.reserve(request, key), |_, until| Ok(until)).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.call(Call::Unreserve, self.inner.unreserve(key), |_, ()| Ok(())).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.call(Call::Provision, self.inner.provision(request, key), Filter::handle).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let answer = self.inner.resume_operation(request, service);
        let keep = |filter: &Filter<P>, handle: Option<OperationHandle>| {
            handle.map(|handle| filter.handle(handle)).transpose()
        };
        self.call(Call::ResumeOperation, answer, keep).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.call(Call::FindByKey, self.inner.find_by_key(key), Filter::found).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.call(Call::Describe, self.inner.describe(service), Filter::found).await
    }
    fn services(&self) -> ServiceStream {
        let inner = self.inner.clone();
        let shown = move |service: Result<Service>| {
            let filter = Filter(inner.clone());
            let service = service.map_err(|error| filter.error(error))?;
            filter.service(service).map_err(|message| {
                ProviderError::new(inner.id().clone(), Call::Services, ErrorKind::Protocol { message })
            })
        };
        self.inner.services().map(shown).boxed()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.call(Call::Act, self.inner.act(service, action, key), Filter::handle).await
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.call(Call::Release, self.inner.release(service, key), Filter::handle).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.call(Call::Poll, self.inner.poll(operation), Filter::status).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let inner = self.inner.clone();
        let usage = self.inner.usage(period);
        usage.map(move |record| record.map_err(|error| Filter(inner.clone()).error(error))).boxed()
    }
}
