//! Exoscale: instances with a disk of any size, by the API of version 2, zone by zone.
//!
//! The key is a label that is set when an instance is made. Nothing keeps the same request from making two, so the engine
//! looks first: [`IdempotencyClass::Searchable`].

mod config;
mod errors;
mod sign;
mod wire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::Engine;
use futures::{FutureExt, TryStreamExt, stream};
use serde_json::{Value, json};

pub use config::ExoscaleConfig;
use wire::{
    At, Handle, Instance, InstanceType, InstanceTypes, Instances, OneTemplate, Operation, Templates, Volume,
    Volumes,
};

use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, PurchaseOption, RegionId, Resources,
        Service, ServiceId, ServiceStatus, SkuId,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, ServiceStream,
        adapters::{
            bought::{afterwards, answered},
            whose::Whose,
        },
        check_settings, find_exact,
        http::{Cache, Client, HttpConfigError, Method, Request, Transport, bounded, regional_url},
        surcharges::with_least_disk,
        table::Table,
    },
};

/// The label that holds the key.
const LABEL: &str = "fulcrum-key";
/// How old the list of types may be when one is looked up in it.
const FRESH: Duration = Duration::from_secs(60);
/// The least disk of a machine, in GiB. It is billed, and so a line of each machine whose disk is bought by size.
const LEAST_DISK: u64 = 10;
const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// The instances of one organisation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exoscale {
    id: ProviderId,
    /// One for each zone, by its name.
    zones: Arc<BTreeMap<RegionId, Zone>>,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    /// What the table sells.
    listed: Arc<Vec<Offer>>,
    rejected: Arc<Vec<RejectedRow>>,
}

#[derive(Debug, Clone)]
struct Zone {
    client: Client,
    cache: Cache,
    place: Place,
}

#[derive(Debug)]
struct Settings {
    image: String,
    public_ip: bool,
    ssh_keys: Vec<String>,
}

/// What each field of the body that orders an instance costs.
pub const FIELDS: &[(&str, Priced)] = &[
    ("auto-start", Priced::Free("it is what is bought")),
    ("disk-size", Priced::By(Line::Disk)),
    ("instance-type.id", Priced::By(Line::Offer)),
    ("labels.fulcrum-key", Priced::Free("labels cost nothing")),
    ("name", Priced::Free("names cost nothing")),
    ("public-ip-assignment", Priced::Free("an instance's own address costs nothing")),
    ("security-groups[].id", Priced::Free("security groups cost nothing")),
    ("ssh-keys[].name", Priced::Free("keys cost nothing")),
    ("template.id", Priced::Free("templates with a licence are refused by their name")),
    ("user-data", Priced::Free("data for the first boot cost nothing")),
];

/// What the adapter can do, with the longest time that a new instance may be missing from the list.
pub fn capabilities(list_lag_ms: u64) -> Capabilities {
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
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms }),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Capabilities::takes(&["image", "security_groups", "ssh_keys", "user_data"]),
    }
}

/// A machine of the table with the disk that it is made with.
fn with_disk(offer: Offer) -> Result<Offer, String> {
    match (offer.capacity.disk_gib, &offer.elastic_disk) {
        (0, None) => {
            Err("it is made with a disk, and the price table has no block storage in its zone".to_owned())
        }
        (0, Some(_)) => with_least_disk(offer, LEAST_DISK, LEAST_DISK)
            .ok_or_else(|| "its least disk cannot be priced".to_owned()),
        (LEAST_DISK.., _) => Ok(offer),
        (gib, _) => Err(format!("its disk of {gib} GiB is less than the least, {LEAST_DISK} GiB")),
    }
}

fn sku_of(kind: &InstanceType) -> String {
    format!("{}.{}", kind.family, kind.size)
}

impl Exoscale {
    fn new(config: &ExoscaleConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: String| HttpConfigError::Setting(error);
        let keys = [
            config.key.read_as(base, "env:EXOSCALE_API_KEY")?,
            config.secret.read_as(base, "env:EXOSCALE_API_SECRET")?,
        ];
        let tables = Table::load(&base.to_read(&config.catalogue)?)
            .map_err(|error| setting(format!("catalogue: {error}")))?;
        let table = tables.into_iter().find(|table| table.provider == config.id);
        let missing = || {
            setting(format!("catalogue: it has no prices of `{}`; set `id` to one that it has", config.id))
        };
        let (mut listed, mut rejected) = (Vec::new(), Vec::new());
        for offer in table.ok_or_else(missing)?.into_listed() {
            let is_sold = offer.kind == OfferKind::Machine
                && offer.price.purchase_option == PurchaseOption::OnDemand
                && offer.place.zone.is_none()
                && (config.zones.is_empty() || config.zones.contains(&offer.place.region));
            if !is_sold {
                continue;
            }
            let id = offer.id();
            match with_disk(offer) {
                Ok(offer) => listed.push(offer),
                Err(why) => rejected.push(RejectedRow::new(id, why)),
            }
        }
        let http = config.http.clone().below(base)?;
        let mut zones = BTreeMap::new();
        for place in listed.iter().map(|offer| &*offer.place) {
            if zones.contains_key(&place.region) {
                continue;
            }
            let address = regional_url("https://api-{region}.exoscale.com/v2", &place.region)?;
            let client = Client::new(&config.id, &address, &http)?
                .with_error_mapper(errors::Errors)
                .signed(keys.clone(), sign::Exo2::new)?;
            let place = Place { zone: None, ..place.clone() };
            zones.insert(place.region.clone(), Zone { client, cache: Cache::default(), place });
        }
        if let Some(zone) = config.zones.iter().find(|zone| !zones.contains_key(*zone)) {
            return Err(setting(format!("zones: the table sells nothing in {zone}")));
        }
        Ok(Self {
            id: config.id.clone(),
            zones: Arc::new(zones),
            capabilities: capabilities(config.list_lag_ms),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                public_ip: config.public_ip,
                ssh_keys: config.ssh_keys.clone(),
            }),
            listed: Arc::new(listed),
            rejected: Arc::new(rejected),
        })
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: &Arc<dyn Transport>) -> Self {
        let over = |(name, zone): (&RegionId, &Zone)| {
            let client = zone.client.clone().with_transport(transport.clone());
            (name.clone(), Zone { client, ..zone.clone() })
        };
        Self { zones: Arc::new(self.zones.iter().map(over).collect()), ..self }
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.id.clone(), call, kind)
    }

    fn protocol_error(&self, call: Call, error: &dyn std::fmt::Display) -> ProviderError {
        self.error(call, ErrorKind::Protocol { message: error.to_string() })
    }

    fn handle(&self, call: Call, handle: &Handle, key: Option<&IdempotencyKey>) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle).map_err(|error| self.protocol_error(call, &error))?;
        Ok(Whose::of(key).handle(&text))
    }

    fn zone(&self, call: Call, name: &str) -> Result<&Zone> {
        let found = self.zones.iter().find(|(zone, _)| zone.as_str() == name);
        let unknown = || {
            let message = format!(
                "the zone {name} is not configured; add it to `zones`, and to the price table that `catalogue` names"
            );
            self.error(call, ErrorKind::InvalidRequest { message })
        };
        found.map(|(_, zone)| zone).ok_or_else(unknown)
    }

    async fn types(&self, call: Call, zone: &Zone, fresh_for: Duration) -> Result<Vec<InstanceType>> {
        let request = Request::get(call, ["instance-type"]);
        let (response, _) = zone.cache.fetch(&zone.client, &request, fresh_for).await?;
        Ok(response.json::<InstanceTypes>()?.instance_types.into_iter().collect())
    }

    async fn instance(&self, call: Call, at: &At) -> Result<Option<Instance>> {
        let zone = self.zone(call, &at.zone)?;
        let ask = Request::get(call, ["instance", &at.instance]);
        let found: Option<Instance> =
            zone.client.get_optional_with(&ask, self.not_listed(call, zone, at)).await?;
        match found {
            Some(other) if other.id != at.instance => {
                let (asked, told) = (&at.instance, &other.id);
                Err(self.protocol_error(call, &format!("asked for the instance {asked}, it tells of {told}")))
            }
            found => Ok(found),
        }
    }

    /// That the list of a zone, which must be whole, does not have an instance either.
    async fn not_listed(&self, call: Call, zone: &Zone, at: &At) -> Result<()> {
        let list: Instances = zone.client.json(&Request::get(call, ["instance"])).await?;
        let names_it = |row: &Value| row.to_string().contains(&at.instance);
        let is_odd = list.instances.unreadable().iter().any(|odd| odd.may_match(names_it));
        if is_odd || list.instances.iter().any(|it| it.id == at.instance) {
            tracing::warn!(
                instance = at.instance,
                "it is said not to exist, and is in the list; not believed"
            );
            let cause = format!("{} is said not to exist, and is in the list", at.instance);
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        Ok(())
    }

    /// What the table sells in a zone and the zone has, in its sizes.
    async fn sold(&self, zone: &Zone) -> Result<Vec<Offer>> {
        let types = self.types(Call::Offers, zone, Duration::ZERO).await?;
        let here = self.listed.iter().filter(|offer| offer.place.region == zone.place.region);
        let there = here.filter_map(|offer| {
            let kind = types.iter().find(|kind| sku_of(kind) == offer.sku.as_str() && kind.authorized)?;
            let is_here =
                kind.zones.is_empty() || kind.zones.iter().any(|name| name == zone.place.region.as_str());
            let capacity = Resources {
                vcpu_milli: kind.cpus.saturating_mul(1000),
                memory_mib: kind.memory >> 20,
                gpu: kind.gpus,
                ..offer.capacity.clone()
            };
            is_here.then(|| Offer { capacity, ..offer.clone() })
        });
        Ok(there.collect())
    }

    /// The instances of ours in a zone. There is one page.
    async fn in_zone(&self, call: Call, zone: &Zone) -> Result<Vec<Service>> {
        let response = zone.client.send_ok(&Request::get(call, ["instance"])).await?;
        let instances = response.json::<Instances>()?.instances.conclusive(&response, wire::is_foreign)?;
        let ours: Vec<_> = instances.iter().filter(|it| key_of(it).is_some()).collect();
        if ours.is_empty() {
            return Ok(Vec::new());
        }
        let types = self.types(call, zone, FRESH).await?;
        ours.into_iter().map(|instance| self.service(call, zone, instance, &types)).collect()
    }

    async fn everywhere(&self, call: Call) -> Result<Vec<Service>> {
        let lists = self.zones.values().map(|zone| self.in_zone(call, zone));
        Ok(futures::future::try_join_all(lists).await?.into_iter().flatten().collect())
    }

    /// An instance as a service, without a key if this library did not make it. It exists: what cannot be read of it is an
    /// error.
    fn service(
        &self,
        call: Call,
        zone: &Zone,
        instance: &Instance,
        types: &[InstanceType],
    ) -> Result<Service> {
        let odd = |what: &dyn std::fmt::Display| {
            self.protocol_error(call, &format!("the instance {} has an odd name: {what}", instance.id))
        };
        let kind = types.iter().find(|kind| kind.id == instance.instance_type.id);
        let sku = kind.map_or_else(|| instance.instance_type.id.clone(), sku_of);
        let addresses = [("public_ipv4", &instance.public_ip), ("public_ipv6", &instance.ipv6_address)];
        let attributes =
            addresses.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        Ok(Service {
            id: ServiceId::new(format!("{}/{}", zone.place.region, instance.id))
                .map_err(|error| odd(&error))?,
            provider: self.id.clone(),
            key: key_of(instance),
            sku: SkuId::new(sku).map_err(|error| odd(&error))?,
            place: zone.place.clone(),
            status: status(&instance.state),
            attributes: attributes.filter(|(_, value)| !value.is_empty()).collect(),
        })
    }

    async fn described(&self, call: Call, at: &At) -> Result<Option<(Instance, Service)>> {
        let Some(instance) = self.instance(call, at).await? else { return Ok(None) };
        let zone = self.zone(call, &at.zone)?;
        let types = self.types(call, zone, FRESH).await?;
        let service = self.service(call, zone, &instance, &types)?;
        Ok(Some((instance, service)))
    }

    /// A service's place; what is no name of ours does not exist.
    ///
    /// # Errors
    /// It is in a zone that is not configured, or not any more: what is there is not known.
    fn at(&self, call: Call, service: &ServiceId) -> Result<Option<At>> {
        let Some((zone, instance)) = service.as_str().split_once('/') else { return Ok(None) };
        if !uuid::Uuid::parse_str(instance).is_ok_and(|id| id.to_string() == instance) {
            return Ok(None);
        }
        self.zone(call, zone)?;
        Ok(Some(At { zone: zone.to_owned(), instance: instance.to_owned() }))
    }

    async fn template(&self, zone: &Zone, image: &str) -> Result<String> {
        let is_paid = |name: &str| name.to_ascii_lowercase().contains("windows");
        let paid = || {
            let message = format!(
                "the template {image} is paid for, at a price that no line has; choose another `image`"
            );
            self.error(Call::Provision, ErrorKind::InvalidRequest { message })
        };
        if uuid::Uuid::parse_str(image).is_ok() {
            // One that is not told is none, and the order of it is refused.
            let ask = Request::get(Call::Provision, ["template", image]);
            let told: Option<OneTemplate> = zone.client.get_optional_with(&ask, async { Ok(()) }).await?;
            return match told {
                Some(told) if is_paid(&told.name) || is_paid(&told.family) => Err(paid()),
                _ => Ok(image.to_owned()),
            };
        }
        if is_paid(image) {
            return Err(paid());
        }
        let ask = Request::get(Call::Provision, ["template"]).query("visibility", "public");
        let templates: Templates = zone.client.json(&ask).await?;
        let found = templates.templates.into_iter().find(|template| template.name == image);
        let missing = || {
            let message = format!("no template is called {image}; set another `image`");
            self.error(Call::Provision, ErrorKind::InvalidRequest { message })
        };
        found.map(|template| template.id).ok_or_else(missing)
    }

    async fn new_instance(
        &self,
        zone: &Zone,
        request: &ProvisionRequest,
        disk_gib: u64,
        key: &IdempotencyKey,
    ) -> Result<Value> {
        let call = Call::Provision;
        let types = self.types(call, zone, FRESH).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: request.sku.to_string() });
        let kind = types.iter().find(|kind| sku_of(kind) == request.sku.as_str()).ok_or_else(missing)?;
        let setting = |name: &str| request.setting(name);
        let mut instance = json!({
            "name": request.name,
            "instance-type": { "id": kind.id },
            "template": { "id": self.template(zone, &setting("image").unwrap_or_else(|| self.settings.image.clone())).await? },
            "disk-size": disk_gib,
            "labels": { LABEL: key },
            "public-ip-assignment": if self.settings.public_ip { "inet4" } else { "none" },
            "auto-start": true,
        });
        let keys = request.setting_list("ssh_keys").unwrap_or_else(|| self.settings.ssh_keys.clone());
        if !keys.is_empty() {
            instance["ssh-keys"] = keys.iter().map(|name| json!({ "name": name })).collect();
        }
        if let Some(groups) = request.setting_list("security_groups") {
            instance["security-groups"] = groups.iter().map(|id| json!({ "id": id })).collect();
        }
        if let Some(data) = setting("user_data") {
            instance["user-data"] = json!(base64::engine::general_purpose::STANDARD.encode(data));
        }
        Ok(instance)
    }

    /// How an operation ended; none if well, or if it is forgotten.
    async fn unfinished(&self, at: &At, operation: &str) -> Result<Option<OperationStatus>> {
        let zone = self.zone(Call::Poll, &at.zone)?;
        let ask = Request::get(Call::Poll, ["operation", operation]);
        // A forgotten operation proves nothing: the instance itself is looked at.
        let found: Option<Operation> = zone.client.get_optional_with(&ask, async { Ok(()) }).await?;
        if let Some(other) = found.as_ref().filter(|found| found.id != operation) {
            let message = format!("asked for the operation {operation}, it tells of {}", other.id);
            return Err(self.protocol_error(Call::Poll, &message));
        }
        Ok(found.and_then(|operation| match operation.state.as_str() {
            "success" => None,
            "pending" => Some(RUNNING),
            state => {
                let message = operation.message.unwrap_or_else(|| state.to_owned());
                let shortage = errors::shortage_of(&message);
                let reason = match operation.reason {
                    Some(reason) => format!("{message} ({reason})"),
                    None => message,
                };
                Some(OperationStatus::Failed { reason, shortage })
            }
        }))
    }

    /// Starts an instance that was made and is off: its own start has failed.
    async fn start_new(&self, at: &At, whose: &Whose) -> Result<()> {
        let Some(instance) = self.instance(Call::Poll, at).await? else { return Ok(()) };
        if instance.state != "stopped" || !whose.is_of(key_of(&instance).as_ref()) {
            return Ok(());
        }
        let name = format!("{}:start", at.instance);
        let ask = Request::new(Call::Act, Method::PUT, ["instance", &name]).json(&json!({}));
        match self.zone(Call::Poll, &at.zone)?.client.send_ok(&ask).await {
            Err(error) if !matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => {
                Err(ProviderError { call: Call::Poll, ..error })
            }
            _ => Ok(()),
        }
    }

    /// Whether an instance is in a state, and of a type if one is wanted. That an operation is over need not say so.
    async fn reached(
        &self,
        at: &At,
        state: &str,
        sku: Option<&SkuId>,
        whose: &Whose,
    ) -> Result<OperationStatus> {
        match self.described(Call::Poll, at).await? {
            None => Ok(failed("the instance is gone")),
            Some((_, service)) if service.key.is_none() => {
                Err(self.protocol_error(Call::Poll, &"the instance has lost its label"))
            }
            Some((instance, service)) if !whose.is_of(service.key.as_ref()) => {
                let what = format!("the instance {}", instance.id);
                Err(self.error(Call::Poll, Whose::forgotten(what)))
            }
            Some((instance, service)) if instance.state == state => match sku {
                Some(sku) if service.sku != *sku && whose.is_settled(self.capabilities.list_lag()) => {
                    Ok(failed(&format!("the operation is over, and the instance is still a {}", service.sku)))
                }
                Some(sku) if service.sku != *sku => Ok(RUNNING),
                _ => Ok(OperationStatus::Succeeded(Some(service))),
            },
            Some((instance, _)) if matches!(instance.state.as_str(), "error" | "destroyed") => {
                Ok(failed(&format!("the instance is in the state {}", instance.state)))
            }
            Some(_) => Ok(RUNNING),
        }
    }

    /// That nothing hangs on an instance which its purchase did not make: its disk is of one piece with it.
    async fn check_attached(&self, call: Call, at: &At, instance: &Instance) -> Result<()> {
        let zone = self.zone(call, &at.zone)?;
        let volumes = match zone.client.json::<Volumes>(&Request::get(call, ["block-storage"])).await {
            Ok(list) => {
                let odd = list.block_storage_volumes.unreadable();
                let names_it = |row: &Value| row.to_string().contains(&instance.id);
                if let Some(odd) = odd.iter().find(|odd| odd.may_match(names_it)) {
                    let part =
                        format!("the volume {}, of which not all can be read ({})", odd.name, odd.reason);
                    return Err(self.error(call, ErrorKind::attached(&instance.id, &[part])));
                }
                list.block_storage_volumes.into_iter().collect()
            }
            // A zone without block storage, or a key that may not see it.
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } | ErrorKind::Forbidden | ErrorKind::Unsupported => Vec::new(),
                _ => return Err(error),
            },
        };
        let is_here = |volume: &&Volume| volume.instance.as_ref().is_some_and(|it| it.id == instance.id);
        let volumes = volumes.iter().filter(is_here).map(|volume| match &volume.name {
            Some(name) if *name != volume.id => format!("the volume {} ({name})", volume.id),
            _ => format!("the volume {}", volume.id),
        });
        let addresses = instance.elastic_ips.iter();
        let addresses = addresses.map(|it| format!("the elastic IP {}", it.ip.as_ref().unwrap_or(&it.id)));
        let parts: Vec<_> = volumes.chain(addresses).collect();
        match parts.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(&instance.id, &parts))),
        }
    }

    async fn poll_end(&self, at: &At, whose: &Whose) -> Result<OperationStatus> {
        let call = Call::Poll;
        let Some(instance) = self.instance(call, at).await? else {
            return Ok(OperationStatus::Succeeded(None));
        };
        let may_end = whose.may_end(key_of(&instance).as_ref());
        if !may_end.map_err(|kind| self.error(call, kind))? {
            return Ok(OperationStatus::Succeeded(None));
        }
        if matches!(instance.state.as_str(), "expunging" | "destroying") {
            return Ok(RUNNING);
        }
        self.check_attached(call, at, &instance).await?;
        let ask = Request::delete(Call::Release, ["instance", &at.instance]);
        match self.zone(call, &at.zone)?.client.send_ok(&ask).await {
            Ok(_) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                _ => Err(error),
            },
        }
    }
}

/// The key that an instance was made with; none if this library did not make it.
fn key_of(instance: &Instance) -> Option<IdempotencyKey> {
    IdempotencyKey::new(instance.labels.get(LABEL)?).ok()
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

fn status(state: &str) -> ServiceStatus {
    match state {
        "running" => ServiceStatus::Running,
        "starting" | "migrating" => ServiceStatus::Starting,
        "stopped" | "stopping" => ServiceStatus::Stopped,
        "expunging" | "destroying" => ServiceStatus::Releasing,
        _ => ServiceStatus::Failed,
    }
}

#[async_trait]
impl Provider for Exoscale {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        let each = self.zones.values().map(|zone| zone.client.redactor());
        each.fold(text.to_owned(), |text, redactor| redactor.sanitised(&text, is_for_people))
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            let wanted =
                |zone: &&Zone| filter.regions.is_empty() || filter.regions.contains(&zone.place.region);
            let lists = this.zones.values().filter(wanted).map(|zone| this.sold(zone));
            let all = futures::future::try_join_all(lists).await?.into_iter().flatten();
            Ok(stream::iter(all.filter(|offer| filter.admits(offer)).map(Ok).collect::<Vec<_>>()))
        };
        bounded(&self.id, Call::Offers, list.into_stream().try_flatten())
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        let mut rows = self.rejected.to_vec();
        rows.extend(self.zones.values().flat_map(|zone| zone.client.rejected()));
        rows
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.error(call, kind))?;
        let unknown = |_| {
            let message = format!("{} is no zone of this organisation", request.place);
            self.error(call, ErrorKind::InvalidRequest { message })
        };
        let zone = self.zone(call, request.place.region.as_str()).map_err(unknown)?;
        let offer = find_exact(request, self.listed.iter()).map_err(|kind| self.error(call, kind))?;
        let too_large = || {
            let message = format!("{} GiB are no size of a disk", request.size_gib);
            self.error(call, ErrorKind::InvalidRequest { message })
        };
        let disk_gib = offer.capacity.disk_gib.checked_add(request.size_gib).ok_or_else(too_large)?;
        let body = self.new_instance(zone, request, disk_gib, key).await?;
        let ask = Request::post(call, ["instance"]).json(&body).for_sku(&request.sku);
        let begun: Operation = answered(zone.client.json(&ask).await)?;
        let nameless = || self.protocol_error(call, &"the operation names no instance");
        let instance = begun.reference.ok_or_else(nameless)?.id;
        let at = At { zone: request.place.region.to_string(), instance };
        afterwards(self.handle(call, &Handle::Make { at, operation: Some(begun.id) }, Some(key)))
    }

    /// One that is off may never have started: whoever looks does not know.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let call = Call::ResumeOperation;
        let Some(at) = self.at(call, &service.id)?.filter(|_| service.status == ServiceStatus::Starting)
        else {
            return Ok(None);
        };
        self.handle(call, &Handle::Make { at, operation: None }, service.key.as_ref()).map(Some)
    }

    /// One that is off is told as starting, and [`resume_operation`](Provider::resume_operation) starts it: the answer to its
    /// order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        // All zones are read: an error in one of them must not look like nothing.
        let all = self.everywhere(Call::FindByKey).await?;
        let found = all.into_iter().find(|service| service.key.as_ref() == Some(key));
        Ok(found.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Some(at) = self.at(Call::Describe, service)? else { return Ok(None) };
        Ok(self.described(Call::Describe, &at).await?.map(|(_, service)| service))
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        let list =
            async move { Ok(stream::iter(this.everywhere(Call::Services).await?.into_iter().map(Ok))) };
        bounded(&self.id, Call::Services, list.into_stream().try_flatten())
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let at = self.at(call, service)?.ok_or_else(missing)?;
        // Nothing that this library did not make is ever touched.
        let (instance, known) = self.described(call, &at).await?.ok_or_else(missing)?;
        known.key.as_ref().ok_or_else(missing)?;
        let zone = self.zone(call, &at.zone)?;
        let is_on = instance.state == "running";
        let mut wanted = None;
        let (verb, body, state) = match action {
            Action::Start => ((!is_on).then_some("start"), json!({}), "running"),
            Action::Stop => (is_on.then_some("stop"), json!({}), "stopped"),
            Action::Resize { sku } => {
                let types = self.types(call, zone, FRESH).await?;
                let kind = types.iter().find(|kind| sku_of(kind) == sku.as_str());
                let none = || self.error(call, ErrorKind::NotFound { what: sku.to_string() });
                let body = json!({ "instance-type": { "id": kind.ok_or_else(none)?.id } });
                wanted = Some(sku.clone());
                ((known.sku != *sku).then_some("scale"), body, "stopped")
            }
            Action::Other { name } if name == "reboot" => (Some("reboot"), json!({}), "running"),
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        let operation = match verb {
            None => None,
            Some(verb) => {
                let name = format!("{}:{verb}", at.instance);
                let ask = Request::new(call, Method::PUT, ["instance", &name]).json(&body);
                let begun: Operation = zone.client.json(&ask).await?;
                if let Some(other) = begun.reference.filter(|it| it.id != at.instance) {
                    let message = format!("asked to {verb} {}, it tells of {}", at.instance, other.id);
                    return Err(self.protocol_error(call, &message));
                }
                Some(begun.id)
            }
        };
        let handle = Handle::Reach { at, operation, state: state.to_owned(), sku: wanted };
        self.handle(call, &handle, known.key.as_ref())
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        // What is no name of ours cannot exist.
        let at = self.at(call, service)?;
        let mut key = None;
        if let Some(at) = &at
            && let Some(instance) = self.instance(call, at).await?
        {
            key = key_of(&instance);
            if key.is_none() {
                return Err(self.error(call, ErrorKind::Forbidden));
            }
            self.check_attached(call, at, &instance).await?;
        }
        self.handle(call, &Handle::End { at }, key.as_ref())
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let unknown = |_| self.error(Call::Poll, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, whose) = Whose::read(operation);
        let mut is_new = false;
        let (at, operation, state, sku) = match serde_json::from_str(text).map_err(unknown)? {
            Handle::End { at: None } => return Ok(OperationStatus::Succeeded(None)),
            Handle::End { at: Some(at) } => return self.poll_end(&at, &whose).await,
            Handle::Make { at, operation } => {
                is_new = true;
                (at, operation, "running".to_owned(), None)
            }
            Handle::Reach { at, operation, state, sku } => (at, operation, state, sku),
        };
        if let Some(operation) = operation
            && let Some(status) = self.unfinished(&at, &operation).await?
        {
            return Ok(status);
        }
        if is_new {
            self.start_new(&at, &whose).await?;
        }
        self.reached(&at, &state, sku.as_ref(), &whose).await
    }
}
