//! Open Service Broker API 2.17: services of a broker, databases above all.
//!
//! The key is the instance's id. The same request names the same instance, so the class is [`IdempotencyClass::Natural`]. The
//! API has no list of instances.

mod bindings;
mod config;
mod errors;
mod handle;
mod instance_cache;
mod lifecycle;
mod offers;
mod parameters;
mod provision;
mod services;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use iso_currency::Currency;

use self::{handle::Handle, instance_cache::InstanceCache, services::Evidence};
use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, ProviderId, RegionId, Service, ServiceId, ServiceStatus, map_of,
        parse_json,
    },
    provider::{
        Access, Base, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, TestedAgainst, adapters,
        http::{Cache, Client, HttpConfigError, Transport},
        surcharges::Rejections,
        table::ProviderDocument,
    },
};

pub use bindings::Binding;
pub use config::OsbConfig;
pub use provision::FIELDS;

/// One broker's services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Osb {
    client: Client,
    cache: Cache,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    /// Recent orders of this process: a broker does not tell an instance's product before the instance is there.
    instance_cache: InstanceCache,
    rejected: Rejections,
}

#[derive(Debug)]
struct Settings {
    facts: ProviderDocument,
    region: RegionId,
    currency: Currency,
    kinds: BTreeMap<String, OfferKind>,
    usage_units: BTreeSet<String>,
    organization: String,
    space: String,
}

/// The adapter's capabilities with this list lag.
pub fn capabilities(list_lag_ms: u64) -> Capabilities {
    let natural = IdempotencyClass::Natural;
    Capabilities {
        calls: vec![
            Call::Offers,
            Call::DryRun,
            Call::Provision,
            Call::ResumeOperation,
            Call::FindByKey,
            Call::Describe,
            Call::Act,
            Call::Access,
            Call::Release,
            Call::Poll,
        ],
        idempotency: map_of([(Call::Provision, natural), (Call::Act, natural), (Call::Release, natural)]),
        concurrency: Some(8),
        poll_interval_ms: 1_000,
        list_lag_ms: Some(list_lag_ms),
        settings: None,
        attributes: Some(
            OfferKind::ALL.into_iter().map(|(kind, _)| (kind, ["dashboard_url".to_owned()].into())).collect(),
        ),
        places: None,
        kinds: None,
        tested: OfferKind::ALL.into_iter().map(|(kind, _)| (kind, TestedAgainst::Server)).collect(),
        secrets: BTreeMap::new(),
        accept: None,
    }
}

impl Osb {
    fn new(config: &OsbConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let path = base.to_read(&config.provider)?;
        let text = crate::model::read_text(&path)
            .map_err(|source| HttpConfigError::Io { path: path.clone(), source })?;
        let wrong = |why: String| HttpConfigError::Setting(format!("{}: {why}", path.display()));
        let mut facts: ProviderDocument = parse_json(&text).map_err(|error| wrong(error.to_string()))?;
        facts.check().map_err(|error| wrong(error.to_string()))?;
        facts.offers.clear();
        if let Some(id) = &config.id {
            facts.id = id.clone();
        }
        let known = |region: &RegionId| facts.regions.iter().any(|it| it.id == *region);
        let region = match (&config.region, facts.regions.as_slice()) {
            (Some(region), _) if known(region) => region.clone(),
            (Some(region), _) => {
                return Err(wrong(format!(
                    "there is no region {region}; set `region` to one of its regions"
                )));
            }
            (None, [only]) => only.id.clone(),
            (None, _) => {
                return Err(wrong(
                    "it has several regions; set `region` to the one of the broker's services".to_owned(),
                ));
            }
        };
        let address = config.http.base_url.as_deref().unwrap_or_default();
        let client = Client::new(&facts.id, address, &config.http.clone().below(base)?)?
            .basic(&config.username, &config.password.read(base)?)?
            .header("x-broker-api-version", "2.17")
            .with_error_mapper(errors::Errors);
        let settings = Settings {
            facts,
            region,
            currency: config.currency,
            kinds: config.kinds.clone(),
            usage_units: config.usage_units.clone(),
            organization: config.organization_guid.clone(),
            space: config.space_guid.clone(),
        };
        let cache = Cache::default();
        let capabilities = Capabilities {
            settings: config.settings.clone(),
            secrets: config.secrets.clone(),
            accept: config.accept,
            ..capabilities(config.list_lag_ms)
        };
        Ok(Self {
            client,
            cache,
            capabilities,
            settings: Arc::new(settings),
            instance_cache: InstanceCache::default(),
            rejected: Rejections::default(),
        })
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }
}

#[async_trait]
impl Provider for Osb {
    fn id(&self) -> &ProviderId {
        &self.settings.facts.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.client.redactor().sanitised(text, is_for_people)
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.list_offers(filter)
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        let mut rows = self.rejected.get();
        rows.extend(self.client.rejected());
        rows
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        adapters::dry_run::dry_run(self, requests).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_provision(request, key).await
    }

    /// The handle carries the request: a broker that does not return instances tells of an instance only by the same request.
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let Some(key) = service.key.as_ref().filter(|_| service.status == ServiceStatus::Starting) else {
            return Ok(None);
        };
        let (sku, settings) = (Some(request.sku.clone()), Some(request.settings.clone()));
        let handle =
            Handle::Provision { instance: key.to_string(), operation: None, sku, is_done: false, settings };
        self.handle(Call::ResumeOperation, &handle).map(Some)
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        match self.look_up(call, key).await? {
            Evidence::Retrieved(service) | Evidence::Inferred(service) => Ok(Some(service)),
            // An instance that may exist counts as starting: the same request tells its state.
            Evidence::Unknown => self.service(key.clone(), ServiceStatus::Starting, None).await.map(Some),
            Evidence::Absent => {
                // The next look-up by key needs a new proof.
                self.instance_cache.clear_absent(key);
                Ok(None)
            }
        }
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Ok(key) = IdempotencyKey::new(service.as_str()) else { return Ok(None) };
        match self.look_up(Call::Describe, &key).await? {
            Evidence::Retrieved(service) | Evidence::Inferred(service) => Ok(Some(service)),
            Evidence::Unknown => self.service(key, ServiceStatus::Running, None).await.map(Some),
            Evidence::Absent => Ok(None),
        }
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_action(service, action).await
    }

    async fn access(&self, service: &ServiceId) -> Result<Access> {
        self.credentials(service).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let instance = service.to_string();
        let (_, operation) = self.delete_instance(Call::Release, &instance).await?;
        self.handle(Call::Release, &Handle::Release { instance, operation })
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.poll_operation(operation).await
    }
}

impl adapters::dry_run::DryRun for Osb {}
