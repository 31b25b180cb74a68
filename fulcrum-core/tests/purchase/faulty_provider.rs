//! A cloud that answers otherwise than it should, in one way at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{Action, Blueprint, IdempotencyKey, Plan, ProviderId, Service, ServiceId},
    provider::{
        Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProviderError, ProvisionRequest, Result, ServiceStream, sandbox::Sandbox,
    },
    purchase::Engine,
};
use futures::{StreamExt, stream};

use crate::support;

/// A sandbox, and what is odd about it.
#[derive(Debug)]
pub(crate) struct Odd {
    pub(crate) cloud: Sandbox,
    capabilities: Capabilities,
    /// Look-ups by key and lists find nothing, however long one waits.
    pub(crate) hides: AtomicBool,
    /// So many polls say that there is no such operation.
    pub(crate) forgets: AtomicU32,
    /// Polls get no answer while this is so.
    pub(crate) is_silent: AtomicBool,
    /// What single services and operations are said to be.
    pub(crate) says: std::sync::Mutex<fn(Service) -> Service>,
    /// Actions are said to be done, and nothing is.
    pub(crate) only_says_done: AtomicBool,
    /// How long a look at one service takes.
    pub(crate) look: std::sync::Mutex<Duration>,
    pub(crate) asked: AtomicU32,
    pub(crate) acted: AtomicU32,
    pub(crate) polled: AtomicU32,
}

impl Odd {
    pub(crate) fn new(cloud: Sandbox) -> Arc<Self> {
        let capabilities = cloud.capabilities().clone();
        Arc::new(Self {
            cloud,
            capabilities,
            hides: false.into(),
            forgets: 0.into(),
            is_silent: false.into(),
            says: std::sync::Mutex::new(|service| service),
            only_says_done: false.into(),
            look: std::sync::Mutex::default(),
            asked: 0.into(),
            acted: 0.into(),
            polled: 0.into(),
        })
    }

    pub(crate) async fn engine(self: &Arc<Self>) -> Engine {
        self.engine_with(Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
    }

    pub(crate) fn engine_with(self: &Arc<Self>, ledger: Arc<dyn Ledger>) -> Engine {
        let providers = BTreeMap::from([(self.cloud.id().clone(), self.clone() as Arc<dyn Provider>)]);
        Engine::new(providers, ledger)
    }

    fn told(&self, service: Service) -> Service {
        (self.says.lock().expect("no panic"))(service)
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.cloud.id().clone(), call, kind)
    }
}

/// One machine at alpha.
pub(crate) fn one() -> Plan {
    let blueprint =
        Blueprint::from_yaml("{ name: app, components: { web: { vcpu: 2 } } }").expect("a blueprint");
    let plan =
        compose(&support::catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    plan.expect("a plan")
}

#[async_trait]
impl Provider for Odd {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.cloud.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<fulcrum_core::provider::Quote> {
        self.cloud.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<fulcrum_core::provider::Refusal>> {
        self.cloud.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.cloud.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        if self.hides.load(Ordering::SeqCst) {
            return Ok(None);
        }
        Ok(self.cloud.find_by_key(key).await?.map(|service| self.told(service)))
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let look = *self.look.lock().expect("no panic");
        if !look.is_zero() {
            tokio::time::sleep(look).await;
        }
        Ok(self.cloud.describe(service).await?.map(|service| self.told(service)))
    }
    fn services(&self) -> ServiceStream {
        if self.hides.load(Ordering::SeqCst) {
            return stream::empty().boxed();
        }
        let told = *self.says.lock().expect("no panic");
        self.cloud.services().map(move |service| service.map(told)).boxed()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.acted.fetch_add(1, Ordering::SeqCst);
        match self.only_says_done.load(Ordering::SeqCst) {
            true => Ok(OperationHandle::new(format!("said/{service}"))),
            false => self.cloud.act(service, action, key).await,
        }
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.cloud.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.polled.fetch_add(1, Ordering::SeqCst);
        if self.is_silent.load(Ordering::SeqCst) {
            return Err(self.error(Call::Poll, ErrorKind::unavailable("no answer")));
        }
        let forgets = |left: u32| left.checked_sub(1);
        if self.forgets.fetch_update(Ordering::SeqCst, Ordering::SeqCst, forgets).is_ok() {
            return Err(self.error(Call::Poll, ErrorKind::NotFound { what: operation.as_str().to_owned() }));
        }
        if let Some(id) = operation.as_str().strip_prefix("said/") {
            let service = self.cloud.describe(&ServiceId::new(id).expect("a name")).await?;
            return Ok(OperationStatus::Succeeded(service.map(|service| self.told(service))));
        }
        Ok(match self.cloud.poll(operation).await? {
            OperationStatus::Succeeded(Some(service)) => OperationStatus::Succeeded(Some(self.told(service))),
            other => other,
        })
    }
}
