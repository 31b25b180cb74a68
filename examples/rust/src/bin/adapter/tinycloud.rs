//! The smallest adapter that can sell: a cloud whose customers name their machines.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fulcrum_core::{
    model::{DocumentError, IdempotencyKey, Place, ProviderId, Service, ServiceId, ServiceStatus, SkuId},
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Result, ServiceStream,
        http::{
            AbsenceRule, Client, Credential, ErrorMapper, HttpConfig, HttpConfigError, Page, Request,
            Response, ValueMatch, paginate,
        },
        table::{ProviderDocument, Row, Table},
    },
};
use futures::StreamExt;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What an operator writes down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TinyConfig {
    /// Its name in the federation.
    pub(crate) id: ProviderId,
    /// Where the token is.
    pub(crate) token: Credential,
    /// How the API is reached.
    #[serde(default)]
    pub(crate) http: HttpConfig,
}

/// The adapter.
#[derive(Debug, Clone)]
pub(crate) struct Tiny {
    client: Client,
    capabilities: Capabilities,
    facts: ProviderDocument,
}

// What the API answers; other fields are passed over.
#[derive(Deserialize)]
struct Product {
    code: SkuId,
    cpus: u32,
    ram_gib: u32,
    eur_per_hour: String,
}

#[derive(Deserialize)]
struct Listed<T> {
    items: Vec<T>,
    next: Option<u32>,
}

#[derive(Deserialize)]
struct Machine {
    name: String,
    code: SkuId,
    state: String,
}

/// A proxy answers 404, too: that a machine is gone is believed in the API's own words only.
#[derive(Debug)]
struct TinyErrors;

impl ErrorMapper for TinyErrors {
    fn kind_of(&self, _: &Response) -> Option<ErrorKind> {
        None
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "/error", ValueMatch::Exactly("no such machine"))] }
    }
}

impl Tiny {
    /// Reads the token and sets the adapter up; does not connect yet.
    pub(crate) fn new(config: &TinyConfig, base: impl Into<Base>) -> Result<Self, HttpConfigError> {
        let wrong = |error: DocumentError| HttpConfigError::Setting(error.to_string());
        let facts = format!(
            r#"{{"id": "{}", "name": "Tiny Cloud", "legal_name": "Tiny Cloud OÜ", "country": "EE",
                "regions": [{{"id": "tallinn", "country": "EE"}}]}}"#,
            config.id
        );
        let natural = IdempotencyClass::Natural;
        let base = &base.into();
        let client = Client::new(&config.id, "https://api.tiny.example", &config.http.clone().below(base)?)?;
        Ok(Self {
            client: client.bearer(config.token.read(base)?)?.with_error_mapper(TinyErrors),
            capabilities: Capabilities {
                calls: vec![
                    Call::Offers,
                    Call::Provision,
                    Call::FindByKey,
                    Call::Describe,
                    Call::Services,
                    Call::Release,
                    Call::Poll,
                ],
                // The name is the key: making it twice makes it once.
                idempotency: BTreeMap::from([(Call::Provision, natural), (Call::Release, natural)]),
                concurrency: Some(8),
                poll_interval_ms: 50,
                list_lag_ms: None,
                settings: Some(fulcrum_core::model::DeclaredSettings::default()),
                attributes: None,
                secrets: BTreeMap::new(),
                places: None,
                kinds: None,
                tested: BTreeMap::new(),
                accept: None,
            },
            facts: fulcrum_core::model::parse_json(&facts).map_err(wrong)?,
        })
    }

    fn rows(products: Vec<Product>) -> Vec<Row> {
        let row = |product: Product| Row {
            kind: "machine".to_owned(),
            region: "*".to_owned(),
            vcpu: Some(product.cpus.into()),
            memory_mib: Some((product.ram_gib * 1024).into()),
            hourly: Decimal::from_str_exact(&product.eur_per_hour).ok(),
            sku: Some(product.code),
            currency: "EUR".to_owned(),
            tax: "net".to_owned(),
            observed: Some(jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()),
            source: "GET /products".to_owned(),
            ..Row::default()
        };
        products.into_iter().map(row).collect()
    }

    /// A machine as a service; none if this library did not make it.
    fn service(&self, machine: &Machine) -> Option<Service> {
        let key = IdempotencyKey::new(machine.name.strip_prefix("fulcrum-")?).ok()?;
        let region = self.facts.regions.first()?;
        Some(Service::new(
            ServiceId::new(&machine.name).ok()?,
            self.facts.id.clone(),
            Some(key),
            machine.code.clone(),
            Place {
                provider: self.facts.id.clone(),
                region: region.id.clone(),
                zone: None,
                country: region.country,
                coordinates: None,
            },
            match machine.state.as_str() {
                "on" => ServiceStatus::Running,
                "making" => ServiceStatus::Starting,
                _ => ServiceStatus::Failed,
            },
        ))
    }

    async fn machine(&self, call: Call, name: &str) -> Result<Option<Service>> {
        let found: Option<Machine> =
            self.client.get_optional(&Request::get(call, ["machines", name])).await?;
        Ok(found.and_then(|machine| self.service(&machine)))
    }
}

#[async_trait]
impl Provider for Tiny {
    fn id(&self) -> &ProviderId {
        &self.facts.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (facts, filter) = (self.facts.clone(), filter.clone());
        let first = Request::get(Call::Offers, ["products"]).query("page", 1);
        paginate(self.client.clone(), first, move |request, response| {
            let page: Listed<Product> = response.json()?;
            let table = Table::from_rows(&facts, Self::rows(page.items))
                .map_err(|error| response.protocol_error(error.to_string()))?;
            let items = table.into_listed().into_iter().filter(|offer| filter.admits(offer)).collect();
            Ok(Page { items, next: page.next.map(|_| request.clone().next_page("page")) })
        })
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let name = format!("fulcrum-{key}");
        let body = json!({ "code": request.sku });
        let ask = Request::put(Call::Provision, ["machines", &name]).json(&body).for_sku(&request.sku);
        self.client.send_ok(&ask).await?;
        Ok(OperationHandle::new(format!("make/{name}")))
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.machine(Call::FindByKey, &format!("fulcrum-{key}")).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.machine(Call::Describe, service.as_str()).await
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        let first = Request::get(Call::Services, ["machines"]).query("page", 1);
        paginate(self.client.clone(), first, move |request, response| {
            let page: Listed<Machine> = response.json()?;
            let items = page.items.iter().filter_map(|machine| this.service(machine)).collect();
            Ok(Page { items, next: page.next.map(|_| request.clone().next_page("page")) })
        })
        .boxed()
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        // Nothing that this library did not make is ever touched.
        if let Some(found) = self.machine(Call::Release, service.as_str()).await? {
            let ask = Request::delete(Call::Release, ["machines", found.id.as_str()]);
            self.client.get_optional::<serde_json::Value>(&ask).await?;
        }
        Ok(OperationHandle::new(format!("end/{service}")))
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let failed = |reason: &str| OperationStatus::Failed { reason: reason.to_owned(), shortage: None };
        Ok(match operation.as_str().split_once('/') {
            Some(("make", name)) => match self.machine(Call::Poll, name).await? {
                None => failed("the machine is gone"),
                Some(service) if service.status == ServiceStatus::Failed => failed("the machine is broken"),
                Some(service) if service.status == ServiceStatus::Starting => {
                    OperationStatus::Running { percent: None }
                }
                Some(service) => OperationStatus::Succeeded(Some(service)),
            },
            Some(("end", name)) => match self.machine(Call::Poll, name).await? {
                None => OperationStatus::Succeeded(None),
                Some(_) => OperationStatus::Running { percent: None },
            },
            _ => {
                let kind = ErrorKind::NotFound { what: "this operation".to_owned() };
                return Err(ProviderError::new(self.facts.id.clone(), Call::Poll, kind));
            }
        })
    }
}
