//! Redaction of everything that a provider returns.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use secrecy::SecretString;

use super::withheld::Withheld;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId, map_of},
    provider::{
        Access, Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal, RejectedRow, Result,
        ServiceStream, UsagePeriod, UsageStream, single_line,
    },
};

/// Characters of one attribute of a service.
const MAX_ATTRIBUTE_CHARS: usize = 4_096;

/// Removes credentials and invisible characters from every result, and truncates long texts. A provider's texts become reasons
/// of orders, lines of logs and attributes; all of them pass this layer. Stands innermost, so that no other layer sees more.
#[derive(Debug)]
pub struct Redact<P> {
    inner: Arc<P>,
    withheld: Arc<Withheld>,
}

impl<P: Provider> Redact<P> {
    /// Redacts the results of a provider.
    pub fn new(inner: P) -> Self {
        Self { inner: Arc::new(inner), withheld: Arc::default() }
    }

    fn redaction(&self) -> Redaction<P> {
        Redaction(self.inner.clone(), self.withheld.clone())
    }

    /// The redacted result of a call; `keep` redacts a success.
    async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        call: Call,
        answer: F,
        keep: impl FnOnce(&Redaction<P>, T) -> Result<T, String>,
    ) -> Result<T> {
        let filter = self.redaction();
        let kept = answer.await.map_err(|error| filter.error(error))?;
        keep(&filter, kept).map_err(|message| {
            ProviderError::new(self.inner.id().clone(), call, ErrorKind::Protocol { message })
        })
    }
}

/// The redaction of one provider's texts.
struct Redaction<P>(Arc<P>, Arc<Withheld>);

impl<P: Provider> Redaction<P> {
    /// Invisible characters go first, as they may split a secret; truncation comes last, so that no part of a secret remains.
    fn clean(&self, text: &str, is_for_people: bool, most: usize) -> String {
        let seen = single_line(text, usize::MAX);
        let shown = self.0.redacted(&seen, is_for_people);
        let shown = if is_for_people { self.1.hidden(shown) } else { self.1.hidden_attribute(shown) };
        single_line(&shown, most)
    }

    /// For people.
    fn text(&self, text: &str) -> String {
        self.clean(text, true, ErrorKind::MAX_MESSAGE_CHARS)
    }

    fn error(&self, error: ProviderError) -> ProviderError {
        error.with_texts(|text| self.text(&text))
    }

    /// A handle must stay unchanged, so one that holds a credential is an error.
    fn handle(&self, handle: OperationHandle) -> Result<OperationHandle, String> {
        match self.0.redacted(handle.as_str(), false) == handle.as_str() {
            true => Ok(handle),
            false => Err("the operation's handle holds a credential and is not stored".to_owned()),
        }
    }

    fn service(&self, service: Service) -> Result<Service, String> {
        let names = [service.id.as_str(), service.sku.as_str()];
        if names.iter().any(|name| self.0.redacted(name, false) != *name) {
            return Err("the id or SKU of a service holds a credential and is not stored".to_owned());
        }
        let kept = |text: &str| self.clean(text, false, MAX_ATTRIBUTE_CHARS);
        let attributes = map_of(service.attributes.iter().map(|(name, value)| (kept(name), kept(value))));
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
impl<P: Provider> Provider for Redact<P> {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }
    fn withhold(&self, secrets: &[SecretString]) {
        self.withheld.add(secrets);
        self.inner.withhold(secrets);
    }
    fn offers(&self, wanted: &OfferFilter) -> OfferStream {
        let filter = self.redaction();
        let offers = self.inner.offers(wanted);
        offers.map(move |offer| offer.map_err(|error| filter.error(error))).boxed()
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        let filter = self.redaction();
        let shown = |row: RejectedRow| RejectedRow::new(filter.text(&row.row), filter.text(&row.reason));
        self.inner.rejected().into_iter().map(shown).collect()
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.call(Call::Quote, self.inner.quote(request), |_, quote| Ok(quote)).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.call(Call::DryRun, self.inner.dry_run(requests), |filter, refusals| {
            let shown = |refusal: Refusal| Refusal { error: filter.error(refusal.error), ..refusal };
            Ok(refusals.into_iter().map(shown).collect())
        })
        .await
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.call(Call::Reserve, self.inner.reserve(request, key), |_, until| Ok(until)).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.call(Call::Unreserve, self.inner.unreserve(key), |_, ()| Ok(())).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.call(Call::Provision, self.inner.provision(request, key), Redaction::handle).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let answer = self.inner.resume_operation(request, service);
        let keep = |filter: &Redaction<P>, handle: Option<OperationHandle>| {
            handle.map(|handle| filter.handle(handle)).transpose()
        };
        self.call(Call::ResumeOperation, answer, keep).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.call(Call::FindByKey, self.inner.find_by_key(key), Redaction::found).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.call(Call::Describe, self.inner.describe(service), Redaction::found).await
    }
    fn services(&self) -> ServiceStream {
        let (inner, filter) = (self.inner.clone(), self.redaction());
        let shown = move |service: Result<Service>| {
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
        self.call(Call::Act, self.inner.act(service, action, key), Redaction::handle).await
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.call(Call::Release, self.inner.release(service, key), Redaction::handle).await
    }
    /// The values pass as they are: they are secrets, and exactly they are wanted.
    async fn access(&self, service: &ServiceId) -> Result<Access> {
        self.call(Call::Access, self.inner.access(service), |_, access| Ok(access)).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.call(Call::Poll, self.inner.poll(operation), Redaction::status).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let filter = self.redaction();
        let usage = self.inner.usage(period);
        usage.map(move |record| record.map_err(|error| filter.error(error))).boxed()
    }
}
