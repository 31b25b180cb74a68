//! A cloud that answers at once, so that what takes time is the engine and its ledger.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use fulcrum_benches::published::Error;
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    model::{Blueprint, IdempotencyKey, Offer, Plan, ProviderId, Service, ServiceId, ServiceStatus},
    provider::{
        Action, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Result, ServiceStream,
        UsagePeriod, UsageStream, table::Table,
    },
};
use futures::{StreamExt, stream};

#[derive(Debug)]
pub(crate) struct BenchCloud {
    id: ProviderId,
    capabilities: Capabilities,
    offers: Vec<Offer>,
    services: Mutex<HashMap<String, Service>>,
}

fn offers() -> Result<Vec<Offer>, Error> {
    let provider = r#"{"id": "alpha", "name": "alpha", "legal_name": "alpha GmbH", "country": "DE",
        "regions": [{"id": "r", "country": "DE"}]}"#;
    let csv = "kind,sku,region,vcpu,memory_mib,disk_gib,architecture,monthly,currency,tax,observed,source\n\
               machine,small,r,2,4096,40,x86_64,10,EUR,net,2026-11-01,a bench\n";
    Ok(Table::from_csv(&fulcrum_core::model::parse_json(provider)?, csv)?.offers)
}

/// A plan of so many small machines.
pub(crate) fn plan(steps: u32) -> Result<Plan, Error> {
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::UNIX_EPOCH, Rates::none());
    builder.extend(offers()?);
    let blueprint = format!("{{ name: load, components: {{ web: {{ vcpu: 2, replicas: {steps} }} }} }}");
    let blueprint = Blueprint::from_yaml(&blueprint)?;
    Ok(compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)?)
}

/// The cloud that sells, by its name.
pub(crate) fn providers(cloud: Arc<BenchCloud>) -> BTreeMap<ProviderId, Arc<dyn Provider>> {
    [(cloud.id.clone(), cloud as Arc<dyn Provider>)].into()
}

/// A cloud without services.
pub(crate) fn cloud() -> Result<Arc<BenchCloud>, Error> {
    let (offers, id) = (offers()?, ProviderId::new("alpha")?);
    let calls = vec![
        Call::Offers,
        Call::Quote,
        Call::Provision,
        Call::FindByKey,
        Call::Describe,
        Call::Release,
        Call::Poll,
    ];
    let idempotency =
        [(Call::Provision, IdempotencyClass::Key), (Call::Release, IdempotencyClass::Key)].into();
    let capabilities = Capabilities {
        calls,
        idempotency,
        concurrency: None,
        poll_interval_ms: 1,
        list_lag_ms: None,
        settings: None,
        attributes: None,
        secrets: BTreeMap::new(),
        places: None,
        kinds: None,
        tested: BTreeMap::new(),
        accept: None,
    };
    Ok(Arc::new(BenchCloud { id, capabilities, offers, services: Mutex::default() }))
}

impl BenchCloud {
    /// Its services are somebody else's memory, and must not be counted as the engine's.
    pub(crate) fn empty(&self) {
        self.with(|services| *services = HashMap::new());
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Service>) -> T) -> T {
        work(&mut self.services.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn unsupported(&self, call: Call) -> ProviderError {
        ProviderError::new(self.id.clone(), call, ErrorKind::Unsupported)
    }
}

#[async_trait]
impl Provider for BenchCloud {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, _: &OfferFilter) -> OfferStream {
        stream::iter(self.offers.clone().into_iter().map(Ok)).boxed()
    }
    async fn quote(&self, _: &ProvisionRequest) -> Result<Quote> {
        Ok(Quote {
            price: self.offers[0].price.clone(),
            disk: None,
            surcharges: Vec::new(),
            valid_until: None,
        })
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let id = ServiceId::new(format!("s-{key}")).map_err(|_| self.unsupported(Call::Provision))?;
        let service = Service::new(
            id,
            self.id.clone(),
            Some(key.clone()),
            request.sku.clone(),
            request.place.clone(),
            ServiceStatus::Running,
        );
        self.with(|services| services.insert(key.to_string(), service));
        Ok(OperationHandle::new(key.as_str()))
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        Ok(self.with(|services| services.get(key.as_str()).cloned()))
    }
    async fn describe(&self, _: &ServiceId) -> Result<Option<Service>> {
        Ok(None)
    }
    fn services(&self) -> ServiceStream {
        stream::iter(self.with(|services| services.values().cloned().map(Ok).collect::<Vec<_>>())).boxed()
    }
    async fn act(&self, _: &ServiceId, _: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        Err(self.unsupported(Call::Act))
    }
    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.with(|services| services.retain(|_, other| other.id != *service));
        Ok(OperationHandle::new("released"))
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        Ok(OperationStatus::Succeeded(self.with(|services| services.get(operation.as_str()).cloned())))
    }
    fn usage(&self, _: &UsagePeriod) -> UsageStream {
        stream::iter([Err(self.unsupported(Call::Usage))]).boxed()
    }
}
