//! Open Service Broker API 2.17: whatever a broker sells, databases above all.
//!
//! The key is the instance's id: the same request again is the same instance, so the class is
//! [`IdempotencyClass::Natural`]. There is no list of instances.

mod asked;
mod config;
mod errors;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::{TryStreamExt, stream};
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::Value;

use asked::Asked;
pub use config::OsbConfig;
use wire::{Begun, Bound, Catalog, Cost, Handle, Instance, LastOperation, Wanted};

use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, Place, ProviderId, RegionId, Service, ServiceId, ServiceStatus,
        SkuId, parse_json,
    },
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow, Result, Sold,
        check_exact,
        http::{Answer, Cache, Client, HttpConfigError, Method, Request, Transport, bounded},
        surcharges::Rejections,
        table::{ProviderDocument, Row, Table},
    },
};

/// How old the catalogue may be when an id is looked up in it.
const FRESH: Duration = Duration::from_secs(60);
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
    fn new(config: &OsbConfig, base: &Path) -> Result<Self, HttpConfigError> {
        let path = base.join(&config.provider);
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
        let client = Client::new(&facts.id, address, &config.http.clone().below(base))?
            .basic(&config.username, &config.password.read(base)?)?
            .header("x-broker-api-version", "2.17")
            .dialect(errors::Errors);
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
    pub fn over(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.over(transport), ..self }
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.id().clone(), call, kind)
    }

    async fn catalog(&self, call: Call, fresh_for: Duration) -> Result<Catalog> {
        let (answer, _) =
            self.cache.ask(&self.client, &Request::get(call, ["v2", "catalog"]), fresh_for).await?;
        answer.json()
    }

    /// Each product with its ids; one whose name is none is passed over.
    async fn products(&self, call: Call) -> Result<Vec<Ids>> {
        let catalog = self.catalog(call, FRESH).await?;
        let products = catalog.services.into_iter().flat_map(|service| {
            let (id, name) = (service.id, service.name);
            service.plans.into_iter().filter_map(move |plan| {
                let sku = SkuId::new(format!("{name}/{}", plan.name)).ok()?;
                Some(Ids { service: id.clone(), plan: plan.id, sku })
            })
        });
        Ok(products.collect())
    }

    async fn ids_of(&self, call: Call, sku: &SkuId) -> Result<Ids> {
        let found = self.products(call).await?.into_iter().find(|ids| ids.sku == *sku);
        found.ok_or_else(|| self.error(call, ErrorKind::NotFound { what: sku.to_string() }))
    }

    /// What is told of an instance's last operation; none if the broker knows of none, which is not yet that there is no
    /// instance: one that makes everything at once need not know operations, and refuses the question.
    async fn last_operation(
        &self,
        call: Call,
        instance: &str,
        operation: Option<&str>,
    ) -> Result<Option<LastOperation>> {
        let mut ask = Request::get(call, ["v2", "service_instances", instance, "last_operation"]);
        if let Some(operation) = operation {
            ask = ask.query("operation", operation);
        }
        let answer = self.client.send(&ask).await?;
        match self.client.check(&answer) {
            Ok(()) => answer.json().map(Some),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => Ok(None),
                ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported if is_worded(&answer) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The broker's word for absence is an empty object, which any proxy could say. So it has to show that it is the broker:
    /// by its catalogue, asked for anew.
    async fn witness(&self, call: Call) -> Result<()> {
        let catalog: Catalog = self.client.json(&Request::get(call, ["v2", "catalog"])).await?;
        if catalog.services.iter().all(|service| service.plans.is_empty()) {
            tracing::warn!("an instance is said not to exist, but the catalogue is empty; not believed");
            let cause =
                "an instance is said not to exist, but the catalogue is empty; nothing is believed of it";
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        Ok(())
    }

    /// What there is of an instance. A broker answers for one that is being made as if it were not there, or by 422: so the
    /// last operation is asked for first.
    async fn instance(&self, call: Call, id: &str) -> Result<Option<Service>> {
        let Ok(key) = IdempotencyKey::new(id) else { return Ok(None) };
        let last = self.last_operation(call, id, None).await?;
        let answer = self.client.send(&Request::get(call, ["v2", "service_instances", id])).await?;
        let told = match self.client.check(&answer) {
            Ok(()) => Some(answer.json::<Instance>()?),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => None,
                // Busy, or it does not tell: the last operation must do.
                ErrorKind::Conflict { .. } if last.is_none() && is_worded(&answer) => {
                    return Ok(Some(self.service(key, ServiceStatus::Starting, None).await?));
                }
                ErrorKind::Conflict { .. } | ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported
                    if last.is_some() =>
                {
                    None
                }
                _ => return Err(error),
            },
        };
        let status = match last.as_ref().map(|last| last.state.as_str()) {
            Some("failed") => ServiceStatus::Failed,
            Some("in progress") => ServiceStatus::Starting,
            // It may have been its end that has succeeded.
            Some("succeeded") if told.is_some() || !self.is_retrievable(call).await? => {
                ServiceStatus::Running
            }
            _ => {
                // An instance of which nothing is told is as thin a word as none.
                if told.as_ref().is_none_or(Instance::is_empty) {
                    self.witness(call).await?;
                }
                match &told {
                    Some(_) => ServiceStatus::Running,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(self.service(key, status, told).await?))
    }

    async fn service(
        &self,
        key: IdempotencyKey,
        status: ServiceStatus,
        told: Option<Instance>,
    ) -> Result<Service> {
        let call = Call::Describe;
        let ids = told.as_ref().and_then(|told| Some((told.service_id.clone()?, told.plan_id.clone()?)));
        let named = match ids {
            Some((service, plan)) => {
                let products = self.products(call).await?;
                products.into_iter().find(|ids| ids.service == service && ids.plan == plan).map(|ids| ids.sku)
            }
            None => self.asked.sku_of(&key),
        };
        let nonsense = |message: String| self.error(call, ErrorKind::Protocol { message });
        let sku =
            named.map_or_else(|| SkuId::new(UNKNOWN), Ok).map_err(|error| nonsense(error.to_string()))?;
        let place = self.place().ok_or_else(|| nonsense("its region is gone".to_owned()))?;
        let dashboard = told.and_then(|told| told.dashboard_url).map(|url| ("dashboard_url".to_owned(), url));
        Ok(Service {
            id: ServiceId::new(key.as_str()).map_err(|error| nonsense(error.to_string()))?,
            provider: self.id().clone(),
            key: Some(key),
            sku,
            place,
            status,
            attributes: dashboard.into_iter().collect(),
        })
    }

    fn handle(&self, call: Call, handle: &Handle) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle);
        text.map(OperationHandle::new)
            .map_err(|error| self.error(call, ErrorKind::Protocol { message: error.to_string() }))
    }

    /// Ends an instance; whether there is one still, and the operation that ends it. Which product it is must be said, and a
    /// broker does not tell it of one that it could not make: then each is tried.
    async fn end(&self, call: Call, instance: &str) -> Result<(bool, Option<String>)> {
        let known = self.instance(call, instance).await?;
        let Some(service) = known else { return Ok((false, None)) };
        let mut products = self.products(call).await?;
        if service.sku.as_str() != UNKNOWN {
            products.retain(|ids| ids.sku == service.sku);
        }
        let mut refusal = None;
        for ids in products {
            let ask = Request::delete(call, ["v2", "service_instances", instance])
                .query("service_id", &ids.service)
                .query("plan_id", &ids.plan)
                .query("accepts_incomplete", true);
            match self.client.ask(&ask).await {
                Ok(answer) => {
                    return Ok((true, answer.try_json::<Begun>().and_then(|begun| begun.operation)));
                }
                Err(error) => match error.kind {
                    // Busy with something else, or gone, if the broker itself says so: whoever polls tries again.
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => return Ok((true, None)),
                    ErrorKind::InvalidRequest { .. } => refusal = Some(error),
                    _ => return Err(error),
                },
            }
        }
        let message = || "its product is not in the catalogue any more; end it by hand".to_owned();
        Err(refusal.unwrap_or_else(|| self.error(call, ErrorKind::InvalidRequest { message: message() })))
    }

    /// Gives access to an instance. The same key gives the same access again.
    ///
    /// # Errors
    /// Not found, a conflict while it is busy, or what the broker says.
    pub async fn bind(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<Binding> {
        let call = Call::Act;
        let found = self.instance(call, service.as_str()).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let ids = self.ids_of(call, &found.ok_or_else(missing)?.sku).await?;
        let wanted = Wanted {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: BTreeMap::new(),
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
        let Some(found) = self.instance(call, service.as_str()).await? else { return Ok(()) };
        let ids = self.ids_of(call, &found.sku).await?;
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let ask = Request::delete(call, path).query("service_id", &ids.service).query("plan_id", &ids.plan);
        self.client.end_with(&ask, self.witness(call)).await.map(drop)
    }

    /// Whether an instance of this id is certainly of another product.
    async fn is_another(&self, key: &IdempotencyKey, sku: &SkuId) -> bool {
        let found = self.instance(Call::Provision, key.as_str()).await;
        found.is_ok_and(|found| found.is_some_and(|it| it.sku != *sku && it.sku.as_str() != UNKNOWN))
    }

    /// Whether each of the broker's instances is told when it is asked for: only then is one that is not told not there, when
    /// its last operation has succeeded.
    async fn is_retrievable(&self, call: Call) -> Result<bool> {
        let catalog = self.catalog(call, FRESH).await?;
        Ok(catalog.services.iter().all(|service| service.instances_retrievable))
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

    fn rows(&self, catalog: &Catalog) -> Vec<Row> {
        let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
        let currency = self.settings.currency.code();
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for service in &catalog.services {
            let kind = self.kind_of(&service.name);
            for plan in &service.plans {
                let name = format!("{}/{}", service.name, plan.name);
                let costs = plan.metadata.iter().flat_map(|metadata| &metadata.costs);
                let price = SkuId::new(&name)
                    .map_err(|error| error.to_string())
                    .and_then(|sku| Ok((sku, total(costs, currency, &self.settings.usage_units)?)));
                let (sku, Total { hourly, monthly }) = match price {
                    Ok(price) => price,
                    Err(why) => {
                        tracing::debug!(plan = name, why, "not offered");
                        rejected.push(RejectedRow::new(name, why));
                        continue;
                    }
                };
                rows.push(Row {
                    kind: kind.to_string(),
                    sku: Some(sku),
                    region: self.settings.region.to_string(),
                    hourly,
                    monthly,
                    currency: currency.to_owned(),
                    tax: "net".to_owned(),
                    observed: Some(today),
                    source: "GET /v2/catalog".to_owned(),
                    ..Row::default()
                });
            }
        }
        self.rejected.set(rejected);
        rows
    }
}

/// What all costs of a plan come to; at least one of them is there.
struct Total {
    hourly: Option<Decimal>,
    monthly: Option<Decimal>,
}

/// A month has so many hours where one sum is made of both.
const HOURS: u64 = crate::model::HOURS_PER_MONTH as u64;

/// The sum of a plan's costs: all of them are billed, those by use on top. By the hour and by the month together is a sum by
/// the month.
///
/// # Errors
/// In words: a cost that is not understood, so that nobody knows what the plan comes to.
fn total<'a>(
    costs: impl Iterator<Item = &'a Cost>,
    currency: &str,
    by_use: &BTreeSet<String>,
) -> Result<Total, String> {
    let (mut hourly, mut monthly) = (None, None);
    for cost in costs.filter(|cost| !by_use.contains(&cost.unit)) {
        let unit = cost.unit.to_ascii_lowercase();
        let sum = match unit.as_str() {
            "hourly" => &mut hourly,
            "monthly" => &mut monthly,
            _ => {
                return Err(format!(
                    "a cost per {:?} is not understood; if it is billed by use, name it in `usage_units`",
                    cost.unit
                ));
            }
        };
        let amount = cost.amount.get(&currency.to_lowercase());
        let amount = amount.ok_or_else(|| format!("a cost per {} is not told in {currency}", cost.unit))?;
        // Written with few digits: what a float prints is what was meant.
        let amount = Decimal::from_str_exact(&amount.to_string());
        let amount = amount.ok().filter(|amount| !amount.is_sign_negative());
        let before = sum.unwrap_or(Decimal::ZERO);
        let after = amount.and_then(|amount| before.checked_add(amount));
        *sum = Some(after.ok_or_else(|| format!("a cost per {} is no amount", cost.unit))?);
    }
    if let (Some(hour), Some(month)) = (hourly, monthly) {
        let both = hour.checked_mul(HOURS.into()).and_then(|hours| hours.checked_add(month));
        (hourly, monthly) = (None, Some(both.ok_or("its costs are no amount")?));
    }
    match (hourly, monthly) {
        (None, None) => Err(format!("no price is told in {currency}")),
        _ => Ok(Total { hourly, monthly }),
    }
}

/// Whether an answer is in the form in which brokers refuse.
fn is_worded(answer: &Answer) -> bool {
    answer.try_json::<serde_json::Map<String, Value>>().is_some()
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// A setting as the broker's schema may want it: JSON where it is that, else text.
fn parameter(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
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

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            let catalog = this.catalog(Call::Offers, Duration::ZERO).await?;
            let nonsense = |error: crate::model::DocumentError| {
                this.error(Call::Offers, ErrorKind::Protocol { message: error.to_string() })
            };
            let table = Table::from_rows(&this.settings.facts, this.rows(&catalog)).map_err(nonsense)?;
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
        self.asked.remember(key, &request.sku);
        let wanted = Wanted {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: Some(&self.settings.organization),
            space_guid: Some(&self.settings.space),
            parameters: request
                .settings
                .iter()
                .map(|(name, value)| (name.as_str(), parameter(value)))
                .collect(),
        };
        let ask = Request::put(call, ["v2", "service_instances", key.as_str()])
            .query("accepts_incomplete", true)
            .json(&wanted)
            .about(&request.sku);
        let answer = self.client.send(&ask).await?;
        if let Err(error) = self.client.check(&answer) {
            // The word for another instance of this id is an empty object, which any proxy could say: it has to be seen.
            let is_conflict = answer.status().as_u16() == 409 && is_worded(&answer);
            if is_conflict && self.is_another(key, &request.sku).await {
                let message = format!("{key} is an instance of another plan already");
                return Err(answer.error(ErrorKind::Conflict { message }));
            }
            return Err(error);
        }
        let begun: Begun = answer.json()?;
        self.handle(call, &Handle::Make { instance: key.to_string(), operation: begun.operation })
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.instance(Call::FindByKey, key.as_str()).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.instance(Call::Describe, service.as_str()).await
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let Action::Resize { sku } = action else { return Err(self.error(call, ErrorKind::Unsupported)) };
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        self.instance(call, service.as_str()).await?.ok_or_else(missing)?;
        let ids = self.ids_of(call, sku).await?;
        let wanted = Wanted {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: BTreeMap::new(),
        };
        let path = ["v2", "service_instances", service.as_str()];
        let ask = Request::new(call, Method::PATCH, path)
            .query("accepts_incomplete", true)
            .json(&wanted)
            .about(sku);
        let begun = self.client.ask(&ask).await?.try_json::<Begun>();
        let operation = begun.and_then(|begun| begun.operation);
        self.handle(call, &Handle::Change { instance: service.to_string(), operation })
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let instance = service.to_string();
        let (_, operation) = self.end(Call::Release, &instance).await?;
        self.handle(Call::Release, &Handle::End { instance, operation })
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let unknown = || self.error(call, ErrorKind::NotFound { what: "this operation".to_owned() });
        let handle: Handle = serde_json::from_str(operation.as_str()).map_err(|_| unknown())?;
        let (Handle::Make { instance, operation: named }
        | Handle::Change { instance, operation: named }
        | Handle::End { instance, operation: named }) = &handle;
        // None if it makes everything at once, or has forgotten the operation's name.
        let last = self.last_operation(call, instance, named.as_deref()).await?;
        let state = last.as_ref().map(|last| last.state.as_str());
        let why = || last.as_ref().and_then(|last| last.description.clone()).unwrap_or_default();
        match handle {
            Handle::End { .. } => match state {
                Some("in progress") => Ok(RUNNING),
                // What it was busy with is over, or ending it has failed: once more.
                _ => match self.end(Call::Release, instance).await? {
                    (false, _) => Ok(OperationStatus::Succeeded(None)),
                    (true, _) => Ok(RUNNING),
                },
            },
            Handle::Make { .. } | Handle::Change { .. } => match state {
                Some("in progress") => Ok(RUNNING),
                Some("failed") => Ok(failed(&format!("the broker has failed: {}", why()))),
                _ => match self.instance(call, instance).await? {
                    Some(service) if service.status == ServiceStatus::Starting => Ok(RUNNING),
                    Some(service) => Ok(OperationStatus::Succeeded(Some(service))),
                    None => Ok(failed("the instance is gone")),
                },
            },
        }
    }
}
