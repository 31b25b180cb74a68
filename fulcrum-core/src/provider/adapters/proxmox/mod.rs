//! Proxmox VE: machines of a small provider's own cluster, cloned from templates, in sizes and at prices of a table.
//!
//! The key gives the machine's number and is its name: the same request again finds the number taken by what it has made, so
//! the class is [`IdempotencyClass::Natural`].

mod cluster;
mod config;
mod errors;
mod make;
mod numbers;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, TryStreamExt, stream};

use cluster::{Machine, SKU};
pub use config::{Numbers, ProxmoxConfig};
use make::{RUNNING, failed};
use wire::{Handle, Wanted};

use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, PurchaseOption, Service, ServiceId,
        ServiceStatus, SkuId,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, ServiceStream,
        adapters::whose::Whose,
        http::{Client, HttpConfigError, Request, Transport, bounded},
        table::Table,
    },
};

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

/// What each field costs of the requests that make a machine: the clone, its configuration, its disk, its start.
pub const FIELDS: &[(&str, Priced)] = &[
    ("ciuser", Priced::Free("names cost nothing")),
    ("cores", Priced::By(Line::Offer)),
    ("cpulimit", Priced::By(Line::Offer)),
    ("description", Priced::Free("notes cost nothing")),
    ("disk", Priced::Free("which disk is made as large as was bought")),
    ("full", Priced::Free("the copy's disk is its own, as large as was bought")),
    ("ipconfig0", Priced::Free("addresses are part of what the table sells")),
    ("memory", Priced::By(Line::Offer)),
    ("name", Priced::Free("names cost nothing")),
    ("newid", Priced::Free("numbers cost nothing")),
    ("size", Priced::By(Line::Disk)),
    ("sshkeys", Priced::Free("keys cost nothing")),
    ("storage", Priced::Free("where it is stored is the table's own matter")),
    ("tags", Priced::Free("tags cost nothing")),
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
            Call::Services,
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
        settings: Capabilities::takes(&["image", "ip", "ssh_key", "user"]),
    }
}

impl Proxmox {
    fn new(config: &ProxmoxConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: String| HttpConfigError::Setting(error);
        let Numbers { from, to } = config.vmids;
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
        let tables = Table::load(&base.to_read(&config.catalogue)?).map_err(|error| wrong(&error))?;
        let table = tables.into_iter().find(|table| table.provider == config.id);
        let missing = || wrong(&format!("it has no prices of `{}`; set `id` to one that it has", config.id));
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
            return Err(wrong(&format!("no machine is sold in {region}, which `nodes` names")));
        }
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities(config.list_lag_ms),
            config: Arc::new(config.clone()),
            listed: Arc::new(listed),
            places: Arc::new(places),
        })
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.with_transport(transport), ..self }
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.id.clone(), call, kind)
    }

    fn protocol_error(&self, call: Call, error: &dyn std::fmt::Display) -> ProviderError {
        self.error(call, ErrorKind::Protocol { message: error.to_string() })
    }

    fn handle(&self, call: Call, handle: &Handle) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle).map_err(|error| self.protocol_error(call, &error))?;
        Ok(OperationHandle::new(text))
    }

    /// A machine of ours by its service's id. What is no number does not exist.
    async fn ours(&self, call: Call, service: &ServiceId) -> Result<Option<Machine>> {
        let Some(vmid) = vmid_of(service) else { return Ok(None) };
        let machine = self.machine(call, vmid).await?;
        Ok(machine.filter(|machine| self.key(machine).is_some()))
    }

    /// A machine as a service. One that goes while it is looked at is looked at again: that is no proof yet.
    async fn described(&self, call: Call, machine: &Machine) -> Result<Service> {
        match self.power(call, machine).await? {
            Some(power) => self.service(call, machine, &power),
            None => {
                let cause = format!("the machine {} goes or moves at this moment", machine.vmid);
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
        }
    }

    /// What fits, as far as the cluster has room for it now.
    async fn sold(&self, filter: &OfferFilter) -> Result<Vec<Offer>> {
        let resources = self.resources(Call::Offers).await?;
        let with_stock = |offer: &Offer| {
            let memory = offer.capacity.memory_mib.saturating_mul(1 << 20).max(1);
            let room = self.room(&offer.place.region, &resources);
            let left: u64 = room.values().map(|room| room / memory).sum();
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            Offer { stock: Some(offer.stock.map_or(left, |stock| stock.min(left))), ..offer.clone() }
        };
        Ok(self.listed.iter().filter(|offer| filter.admits(offer)).map(with_stock).collect())
    }

    /// Gives a machine another size; it must be off. A disk only grows.
    async fn resize(&self, machine: &Machine, sku: &SkuId) -> Result<()> {
        let call = Call::Act;
        let running = || {
            let message = "it runs; stop it first".to_owned();
            self.error(call, ErrorKind::Conflict { message })
        };
        let power = self.power(call, machine).await?;
        power.filter(|power| power.status == "stopped").ok_or_else(running)?;
        let service = self.described(call, machine).await?;
        let size = self.size_of(call, sku, &service.place.region)?.capacity.clone();
        let before =
            self.size_of(call, &service.sku, &service.place.region).map(|offer| offer.capacity.disk_gib);
        if before.is_ok_and(|before| size.disk_gib > before) {
            self.grow(machine, size.disk_gib).await?;
        }
        let other = machine.config.description.lines().filter(|line| !line.trim().starts_with(SKU));
        let notes = other.map(str::to_owned).chain([format!("{SKU}{sku}\n")]).collect::<Vec<_>>().join("\n");
        let mut fields = make::sizes(&size);
        fields.push(("description", notes));
        self.configure(machine, fields).await
    }

    /// Whether a machine is as an action wants it: that its task is over is not all.
    async fn poll_act(&self, vmid: u64, wanted: &Wanted, whose: &Whose) -> Result<OperationStatus> {
        let call = Call::Poll;
        let Some(machine) = self.machine(call, vmid).await? else {
            return Ok(failed("the machine is gone"));
        };
        let service = self.described(call, &machine).await?;
        if service.key.is_none() {
            return Err(self.protocol_error(call, &"the machine has lost its name and its notes"));
        }
        if !whose.is_of(service.key.as_ref()) {
            return Err(self.error(call, Whose::forgotten(format!("the machine {vmid}"))));
        }
        let why = match wanted {
            Wanted::Running if service.status != ServiceStatus::Running => Err("it does not run".to_owned()),
            Wanted::Stopped if service.status != ServiceStatus::Stopped => Err("it is not off".to_owned()),
            Wanted::Size(sku) if service.sku != *sku => Err(format!("it is still a {}", service.sku)),
            Wanted::Size(sku) => {
                let size = self.size_of(call, sku, &service.place.region)?;
                machine.check_size(&size.capacity)
            }
            Wanted::Anything | Wanted::Running | Wanted::Stopped => Ok(()),
        };
        Ok(match why {
            Ok(()) => OperationStatus::Succeeded(Some(service)),
            Err(_) if !whose.is_settled(self.capabilities.list_lag()) => RUNNING,
            Err(why) => failed(format!("the task is over, and {why}")),
        })
    }

    /// That a machine has no disks that its purchase did not make: all that it has end with it.
    fn check_attached(&self, call: Call, machine: &Machine) -> Result<()> {
        let others = machine.foreign_disks(&self.config.disk);
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(machine.vmid, &others))),
        }
    }

    /// One step further towards nothing: stop, end.
    async fn poll_end(&self, vmid: u64, key: Option<&IdempotencyKey>) -> Result<OperationStatus> {
        let call = Call::Poll;
        let gone = Ok(OperationStatus::Succeeded(None));
        let Some(key) = key else { return gone };
        let machine = self.machine(call, vmid).await?.filter(|machine| !machine.is_container);
        let Some(machine) = machine else { return gone };
        match self.key(&machine) {
            Some(its) if its == *key => {}
            // Another order's has got its number since.
            Some(_) => return gone,
            None if machine.is_begun() => return Ok(RUNNING),
            // It is there: whose it is, its name and its notes do not tell any more.
            None => return Err(self.has_lost_its_key(call, &machine)),
        }
        let Some(power) = self.power(call, &machine).await? else { return Ok(RUNNING) };
        let is_busy = self.tasks(call, &machine).await?.iter().any(|task| task.endtime.is_none());
        if is_busy || power.lock.is_some() {
            return Ok(RUNNING);
        }
        self.check_attached(call, &machine)?;
        let outcome = match power.status.as_str() {
            "running" => self.power_to(Call::Release, &machine, "stop", &[]).await.map(drop),
            _ => {
                let vmid = vmid.to_string();
                let ask = Request::delete(Call::Release, machine.path(&vmid, &[]))
                    .query("purge", 1)
                    .query("destroy-unreferenced-disks", 0);
                self.client.send_ok(&ask).await.map(drop)
            }
        };
        match outcome {
            Ok(()) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::NotFound { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                ErrorKind::Forbidden => Ok(failed("the machine is protected, or the token may not end it")),
                _ => Err(error),
            },
        }
    }
}

fn vmid_of(service: &ServiceId) -> Option<u64> {
    service.as_str().parse().ok().filter(|vmid: &u64| vmid.to_string() == service.as_str())
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
        let list =
            async move { this.sold(&filter).await.map(|offers| stream::iter(offers.into_iter().map(Ok))) };
        bounded(&self.id, Call::Offers, list.into_stream().try_flatten())
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.client.rejected()
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.clone_for(request, key).await
    }

    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let Some(key) = &service.key else { return Ok(None) };
        self.make_handle(Call::ResumeOperation, key, request, None).map(Some)
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        let resources = self.resources(call).await?;
        match self.of_key(call, &resources, key).await? {
            Some(machine) => self.described(call, &machine).await.map(Some),
            None => Ok(None),
        }
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let call = Call::Describe;
        let Some(vmid) = vmid_of(service) else { return Ok(None) };
        match self.machine(call, vmid).await? {
            Some(machine) if machine.is_begun() => {
                let cause = format!("the clone {vmid} has just begun, and has no name yet");
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
            // Without a key if it does not tell one: a number is free, or somebody has it. No container was ever ours.
            Some(machine) if !machine.is_container => self.described(call, &machine).await.map(Some),
            _ => Ok(None),
        }
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        let list = async move {
            let own = this.own(Call::Services).await?;
            Ok(stream::iter(own.into_iter().map(Ok)))
        };
        bounded(&self.id, Call::Services, list.into_stream().try_flatten())
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let machine = self.ours(call, service).await?.ok_or_else(missing)?;
        let is_running = self.power(call, &machine).await?.is_some_and(|power| power.status == "running");
        let start = || async { self.power_to(call, &machine, "start", &[]).await.map(Some) };
        // What does not shut down within a minute is switched off.
        let gently = [("timeout", "60"), ("forceStop", "1")];
        let stop = || async { self.power_to(call, &machine, "shutdown", &gently).await.map(Some) };
        let (task, wanted) = match action {
            Action::Start if is_running => (None, Wanted::Running),
            Action::Start => (start().await?, Wanted::Running),
            Action::Stop if is_running => (stop().await?, Wanted::Stopped),
            Action::Stop => (None, Wanted::Stopped),
            Action::Resize { sku } => {
                if machine.sku().as_ref() != Some(sku) {
                    self.resize(&machine, sku).await?;
                }
                (None, Wanted::Size(sku.clone()))
            }
            Action::Other { name } if matches!(name.as_str(), "reboot" | "reset") => {
                (Some(self.power_to(call, &machine, name, &[]).await?), Wanted::Anything)
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        let text = self.handle(call, &Handle::Act { vmid: machine.vmid, task, wanted })?;
        Ok(Whose::of(self.key(&machine).as_ref()).handle(text.as_str()))
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        let vmid = vmid_of(service).unwrap_or(0);
        let machine = if vmid > 0 { self.machine(call, vmid).await? } else { None };
        let Some(machine) = machine else { return self.handle(call, &Handle::End { vmid, key: None }) };
        let key = self.key(&machine);
        if key.is_none() {
            let message = "its clone has just begun".to_owned();
            let kind =
                if machine.is_begun() { ErrorKind::Conflict { message } } else { ErrorKind::Forbidden };
            return Err(self.error(call, kind));
        }
        self.check_attached(call, &machine)?;
        self.handle(call, &Handle::End { vmid, key })
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let unknown = |_| self.error(call, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, whose) = Whose::read(operation);
        match serde_json::from_str(text).map_err(unknown)? {
            Handle::Make { key, sku, task, settings, size_gib } => {
                self.poll_make(&key, &sku, task.as_deref(), &settings, size_gib).await
            }
            Handle::End { vmid, key } => self.poll_end(vmid, key.as_ref()).await,
            Handle::Act { vmid, task, wanted } => {
                if let Some(task) = task
                    && let Some(status) = self.unfinished_task(&task).await?
                {
                    return Ok(status);
                }
                self.poll_act(vmid, &wanted, &whose).await
            }
        }
    }
}
