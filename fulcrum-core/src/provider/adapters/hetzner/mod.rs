//! Hetzner Cloud and clouds with the same API (version 1): servers.
//!
//! The key is the server's name, which is unique in a project, and a label. The API refuses the same request, as the name is
//! taken: the class is [`IdempotencyClass::Natural`].

mod config;
mod dry_run;
mod errors;
mod handle;
mod lifecycle;
mod offers;
mod provision;
mod services;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;

use self::{
    handle::{Handle, number},
    services::{key_of, place},
};
use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, Service, ServiceId, ServiceStatus,
        SettingType, map_of, parse_json,
    },
    provider::{
        Base, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::KEY_LABEL, operation_owner::OperationOwner},
        http::{Client, HttpConfigError, Transport, bounded},
        portable,
        surcharges::Rejections,
        table::{ProviderDocument, Table},
    },
};

pub use config::HetznerConfig;
pub use provision::FIELDS;

/// Rows on a page; the API's maximum.
const PAGE_SIZE: u32 = 50;

/// The servers of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hetzner {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    facts: Arc<ProviderDocument>,
    /// The known locations.
    places: Arc<Vec<Place>>,
    /// Whether prices come from a table instead of the API.
    is_table: bool,
    /// The offers of the table; empty if the API tells prices.
    listed: Arc<Vec<Offer>>,
    rejected: Rejections,
}

#[derive(Debug)]
struct Settings {
    image: String,
    public_ipv4: bool,
    ssh_keys: Vec<String>,
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
            Call::Services,
            Call::Act,
            Call::Release,
            Call::Poll,
        ],
        idempotency: map_of([(Call::Provision, natural), (Call::Act, natural), (Call::Release, natural)]),
        concurrency: Some(8),
        poll_interval_ms: 1_000,
        list_lag_ms: Some(list_lag_ms),
        settings: Some(
            [
                portable::own(
                    "firewalls",
                    SettingType::List(Box::new(SettingType::Number)),
                    "ids of firewalls",
                ),
                portable::hostname("by cloud-init"),
                portable::image(
                    "the cloud's own image of that system; or the name of an image, or the id of a snapshot",
                ),
                portable::disk([OfferKind::Machine]),
                portable::labels("labels of the server"),
                portable::own(
                    "networks",
                    SettingType::List(Box::new(SettingType::Number)),
                    "ids of networks",
                ),
                portable::own(
                    "placement_group",
                    SettingType::List(Box::new(SettingType::Number)),
                    "the id of a placement group",
                ),
                portable::public_ipv4(
                    SettingType::Boolean,
                    "the server's IPv4 address; without one it is a product of its own",
                ),
                portable::ssh_keys(
                    SettingType::Text,
                    "public keys by cloud-init; or names of keys of the project",
                ),
                portable::user_data("as it is, up to 32 KiB"),
            ]
            .into_iter()
            .collect(),
        ),
        attributes: Capabilities::machine_attributes(["public_ipv4", "public_ipv6", "private_ip"]),
        places: None,
        kinds: None,
        tested: Capabilities::machines_tested(TestedAgainst::Server),
        secrets: map_of([]),
        accept: None,
    }
}

impl Hetzner {
    fn new(config: &HetznerConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: &dyn std::fmt::Display| HttpConfigError::Setting(format!("catalogue: {error}"));
        let client =
            Client::new(&config.id, "https://api.hetzner.cloud/v1", &config.http.clone().below(base)?)?
                .bearer(&config.token.read_as(base, "env:HCLOUD_TOKEN")?)?
                .with_error_mapper(errors::Errors)
                .leaky_bucket();
        let facts: ProviderDocument =
            parse_json(include_str!("provider.json")).map_err(|error| setting(&error))?;
        let facts = ProviderDocument { id: config.id.clone(), ..facts };
        let mut rejected = Vec::new();
        let (listed, places) = match &config.catalogue {
            None => (Vec::new(), facts.regions.iter().map(|region| place(&config.id, region)).collect()),
            Some(path) => {
                let tables = Table::load_bare(&base.to_read(path)?).map_err(|error| setting(&error))?;
                let table = tables.into_iter().find(|table| table.provider == config.id);
                let none = || {
                    setting(&format!(
                        "it has no prices of `{}`; set `id` to a provider of the table",
                        config.id
                    ))
                };
                let listed = table.ok_or_else(none)?.into_listed();
                let places =
                    listed.iter().map(|offer| Place { zone: None, ..(*offer.place).clone() }).collect();
                let (listed, left_out) = offers::sold_rows(listed, config.public_ipv4);
                rejected = left_out;
                (listed, places)
            }
        };
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities(config.list_lag_ms)
                .with_public_ipv4(config.public_ipv4, config.catalogue.is_none())
                .accepting(config.accept),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                public_ipv4: config.public_ipv4,
                ssh_keys: config.ssh_keys.clone(),
            }),
            facts: Arc::new(facts),
            places: Arc::new(places),
            is_table: config.catalogue.is_some(),
            listed: Arc::new(listed),
            rejected: Rejections::new(rejected),
        })
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }
}

#[async_trait]
impl Provider for Hetzner {
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

    /// A server that is off may never have started.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let is_unfinished = service.status == ServiceStatus::Starting;
        let server = number(service.id.as_str()).filter(|_| is_unfinished);
        let handle = server.map(|server| Handle::Provision { server, actions: Vec::new() });
        Ok(handle.map(|handle| OperationOwner::new(service.key.as_ref()).handle(&handle.text())))
    }

    /// A service that is off counts as starting, and [`resume_operation`](Provider::resume_operation) starts it: the response
    /// to its order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.find_service(key).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Some(id) = number(service.as_str()) else { return Ok(None) };
        let server = self.server(Call::Describe, id).await?;
        server.map(|server| self.service(Call::Describe, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        let (this, call) = (self.clone(), Call::Services);
        let ours = self.servers(call, "label_selector", KEY_LABEL).try_filter_map(move |server| {
            let service = key_of(&server).map(|_| this.service(call, &server)).transpose();
            futures::future::ready(service)
        });
        bounded(&self.id, call, ours)
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
