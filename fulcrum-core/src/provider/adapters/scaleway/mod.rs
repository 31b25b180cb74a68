//! Scaleway: instances with block storage, by the API of instances, version 1.
//!
//! The request that makes a server sets a tag with the key. The API makes two servers of the same request sent twice, so the
//! engine searches first: the class is [`IdempotencyClass::Searchable`].

mod config;
mod errors;
mod handle;
mod lifecycle;
mod offers;
mod provision;
mod services;
mod volumes;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use self::handle::{Handle, VolumeRef};
use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, ProviderId, Service, ServiceId, SettingType, ZoneId,
        map_of, parse_json,
    },
    provider::{
        Base, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::CallErrors, operation_owner::OperationOwner},
        http::{Client, HttpConfigError, Transport},
        portable,
        table::{ProviderDocument, Row, Table},
    },
};

pub use config::ScalewayConfig;
pub use provision::FIELDS;

/// Begins the tag that holds the key.
const KEY_TAG: &str = "fulcrum-key=";
/// Servers on a page.
const PAGE_SIZE: u32 = 100;

/// Scaleway's instances in one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scaleway {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    zones: Vec<ZoneId>,
    settings: Arc<Settings>,
    facts: Arc<ProviderDocument>,
    /// Prices of block storage and addresses, which the API does not tell.
    rows: Arc<Vec<Row>>,
    storage: Arc<Vec<Offer>>,
    /// Rows that the last list of each zone left out.
    rejected: Arc<Mutex<BTreeMap<ZoneId, Vec<RejectedRow>>>>,
}

#[derive(Debug)]
struct Settings {
    project: String,
    image: String,
    public_ip: bool,
}

/// The adapter's capabilities.
///
/// The provider promises no list lag. In recordings of other clients a new server is in the list of its zone when the response
/// comes; the declared lag is ten times the longest that was seen.
pub fn capabilities() -> Capabilities {
    let searchable = IdempotencyClass::Searchable { list_lag_ms: 10_000 };
    Capabilities {
        calls: vec![
            Call::Offers,
            Call::DryRun,
            Call::Provision,
            Call::ResumeOperation,
            Call::FindByKey,
            Call::Describe,
            Call::Services,
            Call::Act,
            Call::Release,
            Call::Poll,
        ],
        idempotency: map_of([
            (Call::Provision, searchable),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Some(
            [
                portable::hostname("the name of the server"),
                portable::image("the marketplace's image of that system; or a label of the marketplace, or the id of an image"),
                portable::disk([OfferKind::Machine]),
                portable::labels("tags of the server, as `name=value`"),
                portable::public_ipv4(SettingType::Always(true), "the server's flexible address; by `public_ip` of the configuration"),
                portable::ssh_keys(SettingType::PublicKey, "tags of the server, as `AUTHORIZED_KEY=…`"),
            ]
            .into_iter()
            .collect(),
        ),
        attributes: Capabilities::machine_attributes(["public_ipv4", "public_ip", "private_ip"]),
        places: None,
        kinds: None,
        tested: Capabilities::machines_tested(TestedAgainst::Recording),
        secrets: BTreeMap::new(),
        accept: None,
    }
}

impl Scaleway {
    fn new(config: &ScalewayConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: String| HttpConfigError::Setting(error);
        let token = config.secret_key.read_as(base, "env:SCW_SECRET_KEY")?;
        let client = Client::new(&config.id, "https://api.scaleway.com", &config.http.clone().below(base)?)?
            .secret_header("x-auth-token".parse().map_err(|_| setting("a header".to_owned()))?, &token)?
            .with_error_mapper(errors::Errors);
        let mut facts: ProviderDocument =
            parse_json(include_str!("provider.json")).map_err(|error| setting(error.to_string()))?;
        facts.id = config.id.clone();
        let (name, text) = match &config.storage {
            None => ("storage.csv".to_owned(), include_str!("storage.csv").to_owned()),
            Some(path) => {
                let path = base.to_read(path)?;
                let text = crate::model::read_text(&path)
                    .map_err(|source| HttpConfigError::Io { path: path.clone(), source })?;
                (path.display().to_string(), text)
            }
        };
        let wrong = |error: &dyn std::fmt::Display| setting(format!("storage: {name}: {error}"));
        let rows = Table::rows(&text).map_err(|error| wrong(&error))?;
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).filter(offers::is_ordered).collect();
        let storage = Table::from_dated_and(&facts, rows.clone(), Vec::new());
        let storage = storage.map_err(|error| wrong(&error))?.into_listed();
        let known = || facts.regions.iter().flat_map(|region| region.zones.iter());
        let zones: Vec<_> =
            if config.zones.is_empty() { known().cloned().collect() } else { config.zones.clone() };
        if let Some(zone) = zones.iter().find(|zone| !known().any(|it| it == *zone)) {
            let known: Vec<_> = known().map(ZoneId::as_str).collect();
            return Err(setting(format!("no zone is called {zone}; write some of {}", known.join(", "))));
        }
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: Capabilities {
                places: Some(zones.iter().map(ToString::to_string).collect()),
                ..capabilities().with_public_ipv4(config.public_ip, false).accepting(config.accept)
            },
            zones,
            settings: Arc::new(Settings {
                project: config.project.clone(),
                image: config.image.clone(),
                public_ip: config.public_ip,
            }),
            facts: Arc::new(facts),
            rows: Arc::new(rows),
            storage: Arc::new(storage),
            rejected: Arc::default(),
        })
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }
}

#[async_trait]
impl Provider for Scaleway {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.client.redactor().sanitised(text, is_for_people)
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        offers::offers(self, filter)
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        let all = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().flatten().cloned().chain(self.client.rejected()).collect()
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        adapters::dry_run::dry_run(self, requests).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_provision(request, key).await
    }

    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let place = self.server_ref(Call::ResumeOperation, &service.id)?;
        let handle = place.map(|server| Handle::Provision { server, disks: Vec::new() });
        Ok(handle.map(|handle| OperationOwner::new(service.key.as_ref()).handle(&handle.text())))
    }

    /// A server is made by one call and started by another. So a server that is off counts as starting, and
    /// [`resume_operation`](Provider::resume_operation) starts it.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.find_service(key).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        if let Some(left) = VolumeRef::parse(service) {
            return self.describe_orphan(Call::Describe, &left).await;
        }
        let Some(place) = self.server_ref(Call::Describe, service)? else { return Ok(None) };
        let server = self.server(Call::Describe, &place).await?;
        let zone = ZoneId::new(&place.zone).map_err(|error| self.protocol_error(Call::Describe, &error))?;
        server.map(|server| self.service(Call::Describe, &zone, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        self.list_zones(Call::Services, None)
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_action(service, action).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_release(service).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.poll_operation(operation).await
    }
}

impl adapters::dry_run::DryRun for Scaleway {}
