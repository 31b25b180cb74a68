//! Open Service Broker API 2.17: whatever a broker sells, databases above all.
//!
//! The key is the instance's id: the same request again is the same instance, so the class is
//! [`IdempotencyClass::Natural`]. There is no list of instances.

mod asked;
mod config;
mod errors;
mod instances;
mod prices;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{TryStreamExt, stream};
use iso_currency::Currency;
use secrecy::SecretString;
use serde_json::Value;

use asked::Asked;
pub use config::OsbConfig;
use instances::{Asking, FRESH, Seen};
use wire::{Begun, Bound, Catalog, Handle, Wanted};

use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, Place, ProviderId, RegionId, Service, ServiceId, ServiceStatus,
        SkuId, parse_json,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, Sold,
        adapters::{
            bought::{afterwards, answered},
            whose::Whose,
        },
        check_exact,
        http::{Cache, Client, HttpConfigError, Method, Request, Transport, bounded},
        surcharges::Rejections,
        table::{ProviderDocument, Table},
    },
};

/// Stands for a product that the broker does not name while it makes it.
const UNKNOWN: &str = "unknown";

/// One broker's services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Osb {
    client: Client,
    cache: Cache,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    /// What this process has asked for lately: brokers do not say it before it is there.
    asked: Asked,
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

/// What gives access to an instance.
#[derive(Debug)]
pub struct Binding {
    /// As the broker answers it, in JSON: addresses, names, passwords. It is the caller's to keep.
    pub credentials: SecretString,
}

/// What each field of the body that orders an instance costs.
pub const FIELDS: &[(&str, Priced)] = &[
    ("organization_guid", Priced::Free("for whom it is, not how much it costs")),
    ("parameters.*", Priced::Free("a plan's costs are those of its instances, whatever their parameters")),
    ("plan_id", Priced::By(Line::Offer)),
    ("service_id", Priced::By(Line::Offer)),
    ("space_guid", Priced::Free("for whom it is, not how much it costs")),
];

/// What the adapter can do where lists lag for so long.
pub fn capabilities(list_lag_ms: u64) -> Capabilities {
    let natural = IdempotencyClass::Natural;
    Capabilities {
        calls: vec![
            Call::Offers,
            Call::Provision,
            Call::ResumeOperation,
            Call::FindByKey,
            Call::Describe,
            Call::Act,
            Call::Release,
            Call::Poll,
        ],
        idempotency: BTreeMap::from([
            (Call::Provision, natural),
            (Call::Act, natural),
            (Call::Release, natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 1_000,
        list_lag_ms: Some(list_lag_ms),
        settings: None,
    }
}

/// A product's ids.
struct Ids {
    service: String,
    plan: String,
    sku: SkuId,
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
            (Some(region), _) => return Err(wrong(format!("it has no region {region}"))),
            (None, [only]) => only.id.clone(),
            (None, _) => {
                return Err(wrong(
                    "say in which of its regions the broker's services run: `region`".to_owned(),
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
        let capabilities =
            Capabilities { settings: config.settings.clone(), ..capabilities(config.list_lag_ms) };
        Ok(Self {
            client,
            cache,
            capabilities,
            settings: Arc::new(settings),
            asked: Asked::default(),
            rejected: Rejections::default(),
        })
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.id().clone(), call, kind)
    }

    async fn catalog(&self, call: Call, fresh_for: Duration) -> Result<Catalog> {
        let (response, _) =
            self.cache.fetch(&self.client, &Request::get(call, ["v2", "catalog"]), fresh_for).await?;
        response.json()
    }

    /// Each product with its ids; one whose name is none is passed over.
    async fn products(&self, call: Call) -> Result<Vec<Ids>> {
        Ok(products_of(self.catalog(call, FRESH).await?))
    }

    async fn ids_of(&self, call: Call, sku: &SkuId) -> Result<Ids> {
        let found = self.products(call).await?.into_iter().find(|ids| ids.sku == *sku);
        found.ok_or_else(|| self.error(call, ErrorKind::NotFound { what: sku.to_string() }))
    }

    fn handle(&self, call: Call, handle: &Handle) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle);
        text.map(OperationHandle::new)
            .map_err(|error| self.error(call, ErrorKind::Protocol { message: error.to_string() }))
    }

    /// Gives access to an instance. The same key gives the same access again.
    ///
    /// # Errors
    /// Not found, a conflict while it is busy, or what the broker says.
    pub async fn bind(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<Binding> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let ids = self.product_of(call, service).await?.ok_or_else(missing)?;
        let wanted = Wanted {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: None,
        };
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let bound: Bound = self.client.json(&Request::put(call, path).json(&wanted)).await?;
        let credentials = bound.credentials.unwrap_or(Value::Null).to_string();
        Ok(Binding { credentials: SecretString::from(credentials) })
    }

    /// Takes access away; what is gone is success.
    ///
    /// # Errors
    /// A conflict while it is busy, or what the broker says.
    pub async fn unbind(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<()> {
        let call = Call::Act;
        let Some(ids) = self.product_of(call, service).await? else { return Ok(()) };
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let ask = Request::delete(call, path).query("service_id", &ids.service).query("plan_id", &ids.plan);
        self.client.delete_if_exists_with(&ask, self.witness_route(call, false)).await.map(drop)
    }

    /// Whether a request is for exactly what is ordered for it.
    fn check(&self, request: &ProvisionRequest) -> Result<(), ErrorKind> {
        let service = request.sku.as_str().rsplit_once('/').map_or("", |(service, _)| service);
        let place = self.place().ok_or(ErrorKind::Unsupported)?;
        check_exact(request, &Sold::on_demand(self.kind_of(service), &place))
    }

    /// What sort of product one of the broker's services is.
    fn kind_of(&self, service: &str) -> OfferKind {
        self.settings.kinds.get(service).copied().unwrap_or(OfferKind::Database)
    }

    fn place(&self) -> Option<Place> {
        let region = self.settings.facts.regions.iter().find(|region| region.id == self.settings.region)?;
        Some(Place {
            provider: self.id().clone(),
            region: region.id.clone(),
            zone: None,
            country: region.country,
            coordinates: None,
        })
    }
}

fn products_of(catalog: Catalog) -> Vec<Ids> {
    let products = catalog.services.into_iter().flat_map(|service| {
        let (id, name) = (service.id, service.name);
        service.plans.into_iter().filter_map(move |plan| {
            let sku = SkuId::new(format!("{name}/{}", plan.name)).ok()?;
            Some(Ids { service: id.clone(), plan: plan.id, sku })
        })
    });
    products.collect()
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

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
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            let catalog = this.catalog(Call::Offers, Duration::ZERO).await?;
            let protocol_error = |error: crate::model::DocumentError| {
                this.error(Call::Offers, ErrorKind::Protocol { message: error.to_string() })
            };
            let table =
                Table::from_rows(&this.settings.facts, this.rows(&catalog)).map_err(protocol_error)?;
            this.rejected.add(table.rejected.iter().cloned());
            Ok(table.into_listed().into_iter().filter(|offer| filter.admits(offer)).collect::<Vec<_>>())
        };
        let offers =
            stream::once(list).map_ok(|offers| stream::iter(offers.into_iter().map(Ok))).try_flatten();
        bounded(self.id(), Call::Offers, offers)
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        let mut rows = self.rejected.get();
        rows.extend(self.client.rejected());
        rows
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        let is_known = self.capabilities.check_settings(&request.settings);
        is_known.and_then(|()| self.check(request)).map_err(|kind| self.error(call, kind))?;
        let ids = self.ids_of(call, &request.sku).await?;
        let asked = answered(self.ask_for(call, key, &ids, &request.settings).await)?;
        let (operation, is_done) = match asked {
            Asking::Done { is_new } => (None, is_new),
            Asking::Begun(operation) => (operation, false),
            // Busy with what the same request has begun, as the instance's id is the order's own key.
            Asking::Busy(error) => return answered(Err(error)),
        };
        let (instance, sku) = (key.to_string(), Some(ids.sku));
        afterwards(self.handle(call, &Handle::Make { instance, operation, sku, is_done, settings: None }))
    }

    /// The request goes with the operation: of a broker that does not tell what it has made, only the same request learns it.
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
            Handle::Make { instance: key.to_string(), operation: None, sku, is_done: false, settings };
        self.handle(Call::ResumeOperation, &handle).map(Some)
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        match self.seen(call, key).await? {
            Seen::Told(service) | Seen::Likely(service) => Ok(Some(service)),
            // What may be there and is asked for is found as unfinished: asking again tells.
            Seen::Maybe => self.service(key.clone(), ServiceStatus::Starting, None).await.map(Some),
            Seen::Gone => {
                // Who looks by the key once more wants a new proof.
                self.asked.may_exist(key);
                Ok(None)
            }
        }
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Ok(key) = IdempotencyKey::new(service.as_str()) else { return Ok(None) };
        match self.seen(Call::Describe, &key).await? {
            Seen::Told(service) | Seen::Likely(service) => Ok(Some(service)),
            Seen::Maybe => self.service(key, ServiceStatus::Running, None).await.map(Some),
            Seen::Gone => Ok(None),
        }
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let Action::Resize { sku } = action else { return Err(self.error(call, ErrorKind::Unsupported)) };
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let key = IdempotencyKey::new(service.as_str()).map_err(|_| missing())?;
        if let Seen::Gone = self.seen(call, &key).await? {
            return Err(missing());
        }
        let ids = self.ids_of(call, sku).await?;
        let wanted = Wanted {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: None,
        };
        let path = ["v2", "service_instances", service.as_str()];
        let ask = Request::new(call, Method::PATCH, path)
            .query("accepts_incomplete", true)
            .json(&wanted)
            .for_sku(sku);
        self.asked.forget(&key);
        let response = self.client.send_ok(&ask).await?;
        // Another document is nobody's word that it was done.
        let Begun { operation } = Begun::of(&response)?;
        let is_done = match response.status().as_u16() {
            200 => true,
            202 => false,
            status => return Err(response.protocol_error(format!("{status} is no answer to this request"))),
        };
        let (instance, sku) = (service.to_string(), Some(sku.clone()));
        let text = self.handle(call, &Handle::Change { instance, operation, sku, is_done })?;
        Ok(Whose::of(Some(&key)).handle(text.as_str()))
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let instance = service.to_string();
        let (_, operation) = self.end(Call::Release, &instance).await?;
        self.handle(Call::Release, &Handle::End { instance, operation })
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let unknown = || self.error(call, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, whose) = Whose::read(operation);
        let handle: Handle = serde_json::from_str(text).map_err(|_| unknown())?;
        let (Handle::Make { instance, operation: named, .. }
        | Handle::Change { instance, operation: named, .. }
        | Handle::End { instance, operation: named }) = &handle;
        let key = IdempotencyKey::new(instance).map_err(|_| unknown())?;
        // None if it makes everything at once, or has forgotten the operation's name.
        let last = self.last_operation(call, instance, named.as_deref()).await?.told;
        let state = last.as_ref().map(|last| last.state.as_str());
        let why = || last.as_ref().and_then(|last| last.description.clone()).unwrap_or_default();
        let is_change = matches!(handle, Handle::Change { .. });
        let (sku, is_done, settings) = match handle {
            _ if state == Some("in progress") => return Ok(RUNNING),
            // What it was busy with is over, or ending it has failed: once more.
            Handle::End { instance, .. } => {
                return Ok(match self.end(Call::Release, &instance).await? {
                    (false, _) => OperationStatus::Succeeded(None),
                    (true, _) => RUNNING,
                });
            }
            _ if state == Some("failed") => return Ok(failed(&format!("the broker has failed: {}", why()))),
            Handle::Make { sku, is_done, settings, .. } => (sku, is_done, settings),
            Handle::Change { sku, is_done, .. } => (sku, is_done, None),
        };
        let service = match (self.seen(call, &key).await?, settings) {
            (Seen::Told(service) | Seen::Likely(service), _) if service.status == ServiceStatus::Starting => {
                return Ok(RUNNING);
            }
            // The broker tells its plan, and it is still another one than was asked for.
            (Seen::Told(service) | Seen::Likely(service), _)
                if is_change
                    && service.sku.as_str() != UNKNOWN
                    && sku.as_ref().is_some_and(|sku| *sku != service.sku) =>
            {
                return Ok(match whose.is_settled(self.capabilities.list_lag()) {
                    true => failed(&format!("the instance is still a {}", service.sku)),
                    false => RUNNING,
                });
            }
            (Seen::Told(service) | Seen::Likely(service), _) => service,
            // The same request may be sent again.
            (Seen::Gone, Some(_)) => return Err(unknown()),
            (Seen::Gone, None) => return Ok(failed("the instance is gone")),
            // Its answer has said so.
            (Seen::Maybe, None) if is_done => self.service(key.clone(), ServiceStatus::Running, None).await?,
            // Whoever looks by the key asks again.
            (Seen::Maybe, None) => return Err(unknown()),
            (Seen::Maybe, Some(settings)) => {
                self.witness(call).await?;
                let ids = self.ids_of(call, sku.as_ref().ok_or_else(unknown)?).await?;
                match self.ask_for(call, &key, &ids, &settings).await? {
                    Asking::Done { .. } => self.service(key.clone(), ServiceStatus::Running, None).await?,
                    Asking::Begun(_) | Asking::Busy(_) => return Ok(RUNNING),
                }
            }
        };
        // What the broker does not say, it has said by taking the request.
        Ok(OperationStatus::Succeeded(Some(match sku {
            Some(sku) if service.sku.as_str() == UNKNOWN => {
                self.asked.remember(&key, &sku);
                Service { sku, ..service }
            }
            _ => service,
        })))
    }
}
