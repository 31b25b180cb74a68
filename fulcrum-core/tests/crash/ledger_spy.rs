//! A cloud that looks into the ledger at each call that changes something: its record must be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::Ledger,
    model::{CallProgress, IdempotencyKey, OrderId, ProviderId, Service, ServiceId, Step, StepState},
    provider::{
        Action, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProvisionRequest, Quote, Refusal, Result, ServiceStream, UsagePeriod, UsageStream, sandbox::Sandbox,
    },
};

/// What was seen of one order's calls.
#[derive(Debug)]
pub(crate) struct Witness {
    ledger: Arc<dyn Ledger>,
    id: OrderId,
    wrong: Mutex<Vec<String>>,
    asked: Mutex<BTreeSet<String>>,
}

impl Witness {
    /// Of calls for this order, whose records are in this ledger.
    pub(crate) fn new(ledger: Arc<dyn Ledger>, id: OrderId) -> Arc<Self> {
        Arc::new(Self { ledger, id, wrong: Mutex::default(), asked: Mutex::default() })
    }

    /// The clouds with this witness at each.
    pub(crate) fn at(self: &Arc<Self>, clouds: &[Sandbox]) -> BTreeMap<ProviderId, Arc<dyn Provider>> {
        let spy = |cloud: &Sandbox| {
            let provider: Arc<dyn Provider> = Arc::new(Spy { inner: cloud.clone(), witness: self.clone() });
            (provider.id().clone(), provider)
        };
        clouds.iter().map(spy).collect()
    }

    /// Calls that had no record.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().expect("no panic").clone()
    }

    /// What the clouds were asked to change, each with its key: the same one twice is one.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().expect("no panic").clone()
    }

    async fn see(&self, call: &str, is_recorded: impl Fn(&Step) -> bool) {
        self.asked.lock().expect("no panic").insert(call.to_owned());
        let order = loop {
            match self.ledger.load(&self.id).await {
                Ok(order) => break order.expect("an order"),
                // Its sessions are ended with those of the others.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        if !order.steps.iter().any(is_recorded) {
            self.wrong.lock().expect("no panic").push(format!("{call} without its record: {order:#?}"));
        }
    }
}

#[derive(Debug)]
struct Spy {
    inner: Sandbox,
    witness: Arc<Witness>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Spy {
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
        self.witness
            .see(&format!("provision {key}"), |step| {
                let is_intent =
                    matches!(step.state, StepState::Provisioning { progress: CallProgress::IntentOnly, .. });
                step.key == *key && is_intent
            })
            .await;
        self.inner.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.inner.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.inner.describe(service).await
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
        self.witness
            .see(&format!("act {service} {key}"), |step| {
                let StepState::Acting { service: of, progress: CallProgress::IntentOnly, .. } = &step.state
                else {
                    return false;
                };
                of.id == *service && key.as_str().starts_with(step.key.as_str())
            })
            .await;
        self.inner.act(service, action, key).await
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.witness
            .see(
                &format!("release {service} {key}"),
                |step| matches!(&step.state, StepState::Compensating { service: Some(of), .. } if of == service),
            )
            .await;
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
