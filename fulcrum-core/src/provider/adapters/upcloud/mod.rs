//! UpCloud: servers in plans with their disk, by the API of version 1.3.
//!
//! The request that makes a server sets a label with the key. The API makes two servers of the same request sent twice, so the
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

use std::sync::Arc;

use async_trait::async_trait;
use iso_currency::Currency;

use self::handle::{Handle, disk_of, server_of};
use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, ProviderId, Service, ServiceId, ServiceStatus, SettingType,
        map_of, parse_json,
    },
    provider::{
        Base, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::KEY_LABEL, operation_owner::OperationOwner},
        http::{Client, HttpConfigError, Transport},
        portable,
        surcharges::Rejections,
        table::ProviderDocument,
    },
};

pub use config::UpCloudConfig;
pub use provision::FIELDS;

/// Servers on a page.
const PAGE_SIZE: usize = 100;

/// The servers of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpCloud {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    facts: Arc<ProviderDocument>,
    rejected: Rejections,
}

#[derive(Debug)]
struct Settings {
    image: String,
    ssh_keys: Vec<String>,
    currency: Currency,
}

/// The adapter's capabilities.
///
/// The provider promises no list lag. In recordings of other clients a new server is in the list at once.
pub fn capabilities() -> Capabilities {
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
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms: 10_000 }),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Some(
            [
                portable::hostname("the name of the host"),
                portable::image("the public template of that system; or the id of a storage"),
                portable::disk([OfferKind::Machine]),
                portable::labels("labels of the server"),
                portable::public_ipv4(SettingType::Always(true), "plans include an address"),
                portable::ssh_keys(SettingType::PublicKey, "keys of the user"),
                portable::own("user", SettingType::Text, "the user who logs in"),
                portable::user_data("as it is"),
            ]
            .into_iter()
            .collect(),
        ),
        attributes: Capabilities::machine_attributes(["public_ipv4", "public_ipv6", "private_ip"]),
        places: None,
        kinds: None,
        tested: Capabilities::machines_tested(TestedAgainst::Recording),
        secrets: map_of([]),
        accept: None,
    }
}

impl UpCloud {
    fn new(config: &UpCloudConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let token = config.token.read_as(base, "env:UPCLOUD_TOKEN")?;
        let client =
            Client::new(&config.id, "https://api.upcloud.com/1.3", &config.http.clone().below(base)?)?
                .with_error_mapper(errors::Errors);
        let client = match &config.username {
            Some(username) => client.basic(username, &token)?,
            None => client.bearer(&token)?,
        };
        let facts: ProviderDocument = parse_json(include_str!("provider.json"))
            .map_err(|error| HttpConfigError::Setting(error.to_string()))?;
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities().accepting(config.accept),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                ssh_keys: config.ssh_keys.clone(),
                currency: config.currency,
            }),
            facts: Arc::new(ProviderDocument { id: config.id.clone(), ..facts }),
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
impl Provider for UpCloud {
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
        let mut rejected = self.rejected.get();
        rejected.extend(self.client.rejected());
        rejected
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        adapters::dry_run::dry_run(self, requests).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_provision(request, key).await
    }

    /// A service that is off may never have started.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let server = server_of(&service.id).filter(|_| service.status == ServiceStatus::Starting);
        let handle = server.map(|server| Handle::Provision { server: server.to_owned() });
        Ok(handle.map(|handle| OperationOwner::new(service.key.as_ref()).handle(&handle.text())))
    }

    /// A service that is off counts as starting, and [`resume_operation`](Provider::resume_operation) starts it: the response
    /// to its order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.find_service(key).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        if let Some(disk) = disk_of(service) {
            let disk = self.disk(Call::Describe, disk).await?;
            return disk.map(|disk| self.orphan_service(Call::Describe, &disk)).transpose();
        }
        let Some(id) = server_of(service) else { return Ok(None) };
        let server = self.server(Call::Describe, id).await?;
        server.map(|server| self.service(Call::Describe, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        self.list(Call::Services, KEY_LABEL.to_owned())
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

impl adapters::dry_run::DryRun for UpCloud {}
