//! Proxmox VE: machines of a provider's own cluster, cloned from templates, in sizes and at prices of a table.
//!
//! The machine's number follows from the key, and the key is its name. The cluster refuses the same request, as the number is
//! taken: the class is [`IdempotencyClass::Natural`].

mod config;
mod errors;
mod handle;
mod lifecycle;
mod offers;
mod provision;
mod services;
mod vmid;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt, TryStreamExt, stream};

use self::services::vmid_of;
use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, PurchaseOption, Service, ServiceId,
        SettingType, map_of,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::CallErrors},
        http::{Client, HttpConfigError, Transport, bounded},
        portable,
        table::Table,
    },
};

pub use config::{ProxmoxConfig, VmidRange};
pub use provision::FIELDS;

/// One cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxmox {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    config: Arc<ProxmoxConfig>,
    /// What the table sells here.
    listed: Arc<Vec<Offer>>,
    /// The regions.
    places: Arc<Vec<Place>>,
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
                portable::image("the name of a template"),
                portable::own("ip", SettingType::Text, "the address, as in `ipconfig0`"),
                portable::own("ssh_key", SettingType::Text, "one public key; write `ssh_keys`"),
                portable::ssh_keys(SettingType::PublicKey, "keys of the user"),
                portable::own("user", SettingType::Text, "the user who logs in"),
            ]
            .into_iter()
            .collect(),
        ),
        attributes: Capabilities::machine_attributes(["node"]),
        places: None,
        kinds: None,
        tested: Capabilities::machines_tested(TestedAgainst::Server),
        secrets: map_of([]),
        accept: None,
    }
}

impl Proxmox {
    fn new(config: &ProxmoxConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: String| HttpConfigError::Setting(error);
        let VmidRange { from, to } = config.vmids;
        if from < 100 || to > 999_999_999 || from > to {
            return Err(setting("vmids: write a range within 100 and 999999999".to_owned()));
        }
        let (header, id) = (::http::header::AUTHORIZATION, config.token_id.clone());
        let address = config.http.base_url.as_deref().unwrap_or_default();
        let client = Client::new(&config.id, address, &config.http.clone().below(base)?)?
            .secret_header_of(header, config.token.read(base)?, move |token| {
                format!("PVEAPIToken={id}={token}")
            })?
            .with_error_mapper(errors::Errors);
        let wrong = |error: &dyn std::fmt::Display| setting(format!("catalogue: {error}"));
        let tables = Table::load_bare(&base.to_read(&config.catalogue)?).map_err(|error| wrong(&error))?;
        let table = tables.into_iter().find(|table| table.provider == config.id);
        let missing =
            || wrong(&format!("it has no prices of `{}`; set `id` to a provider of the table", config.id));
        let mut listed = table.ok_or_else(missing)?.into_listed();
        listed.retain(|offer| {
            offer.kind == OfferKind::Machine
                && offer.price.purchase_option == PurchaseOption::OnDemand
                && offer.place.zone.is_none()
                && config.nodes.contains_key(&offer.place.region)
        });
        let mut places: Vec<Place> = Vec::new();
        for offer in &listed {
            if !places.contains(&offer.place) {
                places.push((*offer.place).clone());
            }
        }
        if let Some(region) = config.nodes.keys().find(|it| !places.iter().any(|place| place.region == **it))
        {
            return Err(wrong(&format!(
                "there is no machine in {region}, which `nodes` names; add rows, or remove the region"
            )));
        }
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities(config.list_lag_ms).accepting(config.accept),
            config: Arc::new(config.clone()),
            listed: Arc::new(listed),
            places: Arc::new(places),
        })
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }
}

#[async_trait]
impl Provider for Proxmox {
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
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            this.list_offers(&filter).await.map(|offers| stream::iter(offers.into_iter().map(Ok)))
        };
        bounded(&self.id, Call::Offers, list.into_stream().try_flatten())
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.client.rejected()
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        adapters::dry_run::dry_run(self, requests).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin_provision(request, key).await
    }

    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let Some(key) = &service.key else { return Ok(None) };
        self.provision_handle(Call::ResumeOperation, key, request, None).map(Some)
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        let resources = self.resources(call).await?;
        match self.machine_of_key(call, &resources, key).await? {
            Some(machine) => self.describe_machine(call, &machine).await.map(Some),
            None => Ok(None),
        }
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let call = Call::Describe;
        let Some(vmid) = vmid_of(service) else { return Ok(None) };
        match self.machine(call, vmid).await? {
            Some(machine) if machine.is_clone_starting() => {
                let cause = format!("the clone {vmid} has just begun, and has no name yet");
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
            // Without a key if it has none: a number is free, or some machine has it. This library makes no containers.
            Some(machine) if !machine.is_container => self.describe_machine(call, &machine).await.map(Some),
            _ => Ok(None),
        }
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        let list = async move {
            let own = this.own_services(Call::Services).await?;
            Ok(stream::iter(own.into_iter().map(Ok)))
        };
        bounded(&self.id, Call::Services, list.into_stream().try_flatten())
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

impl adapters::dry_run::DryRun for Proxmox {}
