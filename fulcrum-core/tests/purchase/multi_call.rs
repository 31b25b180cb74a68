//! A service that takes several calls is driven on by whoever finds it, when the answer to the first call was lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support;
use async_trait::async_trait;
use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{Blueprint, IdempotencyKey, OrderState, Policy, Service, ServiceId, ServiceStatus},
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Result, ServiceStream, sandbox::Sandbox,
    },
    purchase::Engine,
};

/// A cloud whose machines start by a second call only, which polling makes. The answer to the first is lost.
#[derive(Debug)]
struct TwoCalls {
    cloud: Sandbox,
    capabilities: Capabilities,
    is_started: AtomicBool,
    asked: AtomicUsize,
    /// Whether its machines start by themselves after all, and it names an operation that is too long to be kept.
    is_wordy: bool,
}

impl TwoCalls {
    fn new(cloud: Sandbox, is_wordy: bool) -> Self {
        let mut capabilities = cloud.capabilities().clone();
        capabilities.calls.push(Call::ResumeOperation);
        Self { cloud, capabilities, is_started: false.into(), asked: 0.into(), is_wordy }
    }

    fn seen(&self, service: Service) -> Service {
        let status =
            if self.is_started.load(Ordering::SeqCst) { service.status } else { ServiceStatus::Starting };
        {
            let mut changed = service;
            changed.status = status;
            changed
        }
    }
}

#[async_trait]
impl Provider for TwoCalls {
    fn id(&self) -> &fulcrum_core::model::ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.cloud.offers(filter)
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.cloud.provision(request, key).await?;
        Err(ProviderError::new(self.id().clone(), Call::Provision, ErrorKind::Ambiguous))
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        assert_eq!(request.settings["image"], "debian", "who goes on must know with what");
        if self.is_wordy {
            self.is_started.store(true, Ordering::SeqCst);
            return Ok(Some(OperationHandle::new("x".repeat(1 << 20))));
        }
        Ok(Some(OperationHandle::new(format!("make/{}", service.id))))
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        Ok(self.cloud.find_by_key(key).await?.map(|service| self.seen(service)))
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        Ok(self.cloud.describe(service).await?.map(|service| self.seen(service)))
    }
    fn services(&self) -> ServiceStream {
        self.cloud.services()
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.cloud.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let Some(id) = operation.as_str().strip_prefix("make/") else {
            return self.cloud.poll(operation).await;
        };
        self.is_started.store(true, Ordering::SeqCst);
        let service = self.cloud.describe(&ServiceId::new(id).expect("a name")).await?;
        Ok(match service {
            Some(service) if service.status == ServiceStatus::Running => {
                OperationStatus::Succeeded(Some(service))
            }
            _ => OperationStatus::Running { percent: None },
        })
    }
}

#[tokio::test]
async fn what_needs_a_second_call_is_not_waited_for_in_vain() {
    let lagging = IdempotencyClass::Searchable { list_lag_ms: 20 };
    for (class, is_wordy) in [(IdempotencyClass::Natural, false), (lagging, false), (lagging, true)] {
        let cloud = support::cloud("alpha", None).idempotency(class).build();
        let provider = Arc::new(TwoCalls::new(cloud.clone(), is_wordy));
        let providers = BTreeMap::from([(cloud.id().clone(), provider.clone() as Arc<dyn Provider>)]);
        let engine = Engine::new(providers, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
        let blueprint = "{ name: app, components: { web: { vcpu: 2, settings: { image: debian } } } }";
        let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
        let options = ComposeOptions::default();
        let plan = compose(&support::catalogue(), &blueprint, &options, &mut |_| Signal::Continue);
        let policy = Policy::default().with_step_timeout_s(5);
        let order = engine.accept(plan.expect("a plan"), policy, None).await.expect("accepted");
        let driven = tokio::time::timeout(Duration::from_secs(300), engine.drive(&order.id)).await;
        let order = driven.expect("in time").expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        assert_eq!((provider.asked.load(Ordering::SeqCst), support::count(&[cloud]).0), (1, 1));
    }
}
