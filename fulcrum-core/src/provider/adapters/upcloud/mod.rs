//! UpCloud: servers in plans with their disk, by the API of version 1.3.
//!
//! The key is a label that is set when a server is made. Nothing keeps the same request from making two, so the engine looks
//! first: [`IdempotencyClass::Searchable`].

mod config;
mod errors;
mod handle;
mod offers;
mod storages;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{TryStreamExt, stream::BoxStream};
use iso_currency::Currency;
use serde_json::{Value, json};

pub use config::UpCloudConfig;
use handle::{Handle, disk_of, is_plain, server_of};
use storages::{disk_title, key_of_disk};
use wire::{OneServer, Server, Servers};

use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, Place, ProviderId, Service, ServiceId, ServiceStatus, SkuId,
        parse_json, setting_text,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, ServiceStream, Sold,
        adapters::{bought::answered, whose::Whose},
        check_exact, check_settings,
        http::{Client, HttpConfigError, Method, Page, Request, Transport, paginate},
        surcharges::Rejections,
        table::{ProviderDocument, RegionDocument},
    },
};

/// The label that holds the key.
const LABEL: &str = "fulcrum-key";
/// Servers on a page.
const PAGE_SIZE: usize = 100;
const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

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

/// What each field of the body that orders a server costs.
pub const FIELDS: &[(&str, Priced)] = &[
    ("server.hostname", Priced::Free("names cost nothing")),
    ("server.labels.label[].key", Priced::Free("labels cost nothing")),
    ("server.labels.label[].value", Priced::Free("labels cost nothing")),
    ("server.login_user.create_password", Priced::Free("no password is made")),
    ("server.login_user.ssh_keys.ssh_key[]", Priced::Free("keys cost nothing")),
    ("server.login_user.username", Priced::Free("names cost nothing")),
    ("server.metadata", Priced::Free("the metadata service costs nothing")),
    (
        "server.networking.interfaces.interface[].ip_addresses.ip_address[].family",
        Priced::Free("one public IPv4 address is part of a plan with a disk, others cost nothing"),
    ),
    ("server.networking.interfaces.interface[].type", Priced::Free("interfaces cost nothing")),
    ("server.plan", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].action", Priced::Free("what is cloned is the plan's own disk")),
    ("server.storage_devices.storage_device[].size", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].storage", Priced::Free("templates with a licence are refused")),
    ("server.storage_devices.storage_device[].tier", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].title", Priced::Free("names cost nothing")),
    ("server.title", Priced::Free("names cost nothing")),
    ("server.user_data", Priced::Free("data for the first boot cost nothing")),
    ("server.zone", Priced::By(Line::Offer)),
];

/// What the adapter can do.
///
/// The provider does not say how long a new server may be missing from the list; in recordings of other clients it is there
/// at once.
pub fn capabilities() -> Capabilities {
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
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms: 10_000 }),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Capabilities::takes(&["image", "ssh_keys", "user", "user_data"]),
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
            capabilities: capabilities(),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                ssh_keys: config.ssh_keys.clone(),
                currency: config.currency,
            }),
            facts: Arc::new(ProviderDocument { id: config.id.clone(), ..facts }),
            rejected: Rejections::default(),
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

    async fn server(&self, call: Call, id: &str) -> Result<Option<Server>> {
        let found: Option<OneServer> = self.client.get_optional(&Request::get(call, ["server", id])).await?;
        match found {
            Some(OneServer { server }) if server.uuid != id => {
                Err(self
                    .protocol_error(call, &format!("asked for the server {id}, it tells of {}", server.uuid)))
            }
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers with a label, page by page.
    fn list(&self, call: Call, label: String) -> BoxStream<'static, Result<Service>> {
        let first =
            Request::get(call, ["server"]).query("label", label).query("limit", PAGE_SIZE).query("offset", 0);
        let this = self.clone();
        paginate(self.client.clone(), first, move |request, response| {
            let page: Servers = response.json()?;
            let count = page.servers.server.count();
            let servers = page.servers.server.conclusive(response, wire::is_foreign)?;
            let next = (count == PAGE_SIZE).then(|| request.clone().next_offset("offset", PAGE_SIZE));
            let ours = servers.iter().filter(|server| key_of(server).is_some());
            Ok(Page { items: ours.map(|server| this.service(call, server)).collect::<Result<_>>()?, next })
        })
    }

    /// A server as a service, without a key if this library did not make it. It exists: what cannot be read of it is an error.
    fn service(&self, call: Call, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.uuid));
        let region = self.facts.regions.iter().find(|region| region.id.as_str() == server.zone);
        let region = region.ok_or_else(|| odd(&format!("the zone {}, which is not known", server.zone)))?;
        let addresses = |access: &str, family: &str| {
            let all = server.ip_addresses.ip_address.iter();
            let some = all.filter(|ip| ip.access == access && ip.family == family);
            some.map(|ip| ip.address.as_str()).collect::<Vec<_>>().join(" ")
        };
        let attributes = [
            ("public_ipv4", addresses("public", "IPv4")),
            ("public_ipv6", addresses("public", "IPv6")),
            ("private_ip", addresses("utility", "IPv4")),
        ];
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Service {
            id: ServiceId::new(&server.uuid).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.plan).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region),
            status: status(&server.state),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    fn place_of(&self, region: &RegionDocument) -> Place {
        Place {
            provider: self.id.clone(),
            region: region.id.clone(),
            zone: None,
            country: region.country,
            coordinates: None,
        }
    }

    /// The body that makes a server: everything in one request, the label too.
    async fn new_server(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Value> {
        let call = Call::Provision;
        let plans = self.plans(call).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: request.sku.to_string() });
        let plan = plans.get(request.sku.as_str()).ok_or_else(missing)?;
        if plan.storage_size == 0 {
            let message = format!("the disk of {} is sold apart; choose a plan with one", request.sku);
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        let setting = |name: &str| request.setting(name);
        let disk = json!({
            "action": "clone",
            "storage": self.image(request).await?,
            "title": disk_title(key),
            "size": plan.storage_size,
            "tier": plan.storage_tier.as_deref().unwrap_or("maxiops"),
        });
        let face = |kind: &str, family: &str| json!({ "type": kind, "ip_addresses": { "ip_address": [{ "family": family }] } });
        let faces = [face("public", "IPv4"), face("utility", "IPv4"), face("public", "IPv6")];
        let mut server = json!({
            "title": request.name,
            "hostname": key,
            "zone": request.place.region,
            "plan": plan.name,
            "metadata": "yes",
            "labels": { "label": [{ "key": LABEL, "value": key }] },
            "storage_devices": { "storage_device": [disk] },
            "networking": { "interfaces": { "interface": faces } },
        });
        // A whole public key has spaces: text holds one on each line.
        let keys: Vec<String> = match request.settings.get("ssh_keys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(setting_text).collect(),
            Some(text) => {
                let text = setting_text(text).unwrap_or_default();
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
            None => self.settings.ssh_keys.clone(),
        };
        if keys.is_empty() && setting("user").is_some() {
            let message = "`user` is who logs in with `ssh_keys`, and there are none; give some".to_owned();
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        if !keys.is_empty() {
            server["login_user"] = json!({
                "username": setting("user").unwrap_or_else(|| "root".to_owned()),
                "create_password": "no",
                "ssh_keys": { "ssh_key": keys },
            });
        }
        if let Some(data) = setting("user_data") {
            server["user_data"] = json!(data);
        }
        Ok(json!({ "server": server }))
    }

    async fn ask_for(&self, call: Call, id: &str, action: &str, body: &Value) -> Result<()> {
        self.change(call, id, &Request::post(call, ["server", id, action]).json(body)).await
    }

    /// Asks for a change of a server. It is answered with the server.
    async fn change(&self, call: Call, id: &str, ask: &Request) -> Result<()> {
        let OneServer { server } = self.client.json(ask).await?;
        match server.uuid == id {
            true => Ok(()),
            false => {
                let message = format!("asked to change the server {id}, it tells of {}", server.uuid);
                Err(self.protocol_error(call, &message))
            }
        }
    }

    fn succeeded(&self, server: &Server, whose: &Whose) -> Result<OperationStatus> {
        let key = key_of(server);
        if key.is_none() {
            return Err(self.protocol_error(Call::Poll, &"the server has lost its label"));
        }
        if !whose.is_of(key.as_ref()) {
            return Err(self.error(Call::Poll, Whose::forgotten(format!("the server {}", server.uuid))));
        }
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, server)?)))
    }

    /// The disks that a server's purchase made.
    ///
    /// # Errors
    /// A conflict: something else hangs on it, which would be ended with it.
    fn own_disks(&self, call: Call, server: &Server, key: &IdempotencyKey) -> Result<Vec<String>> {
        // What is in the drive stays when the server goes.
        let disks = server.storage_devices.storage_device.iter().filter(|device| device.kind != "cdrom");
        let (own, others): (Vec<_>, Vec<_>) = disks.partition(|disk| disk.storage_title == disk_title(key));
        let others = others.iter().map(|disk| match disk.storage_title.as_str() {
            title if title.is_empty() || title == disk.storage => format!("the storage {}", disk.storage),
            title => format!("the storage {} ({title})", disk.storage),
        });
        let addresses = &server.ip_addresses.ip_address;
        let faces: BTreeSet<_> =
            addresses.iter().map(|ip| (ip.access.as_str(), ip.family.as_str())).collect();
        let several = faces.into_iter().filter(|(access, _)| matches!(*access, "public" | "utility"));
        let several = several.filter_map(|face| {
            let of_face = addresses.iter().filter(|ip| (ip.access.as_str(), ip.family.as_str()) == face);
            let of_face: Vec<_> = of_face.map(|ip| ip.address.as_str()).collect();
            (of_face.len() > 1).then(|| format!("the addresses {}, one of", of_face.join(" and ")))
        });
        let others: Vec<_> = others.chain(several).collect();
        match others.is_empty() {
            true => Ok(own.into_iter().map(|disk| disk.storage.clone()).collect()),
            false => Err(self.error(call, ErrorKind::attached(&server.uuid, &others))),
        }
    }

    /// One step further towards nothing: stop, end, end the disks. Each may be asked again. What is refused is refused of a
    /// part: the handle stays, as nothing else knows the disks of a server that is gone.
    async fn poll_delete(&self, id: &str, disks: &[String], whose: &Whose) -> Result<OperationStatus> {
        let of_server = |error: ProviderError| error.of_part(format!("the server {id}"));
        let Some(server) = self.server(Call::Poll, id).await.map_err(of_server)? else {
            return self.end_disks(Some(id), disks, whose).await;
        };
        let foreign = |kind| self.error(Call::Poll, kind);
        let key = key_of(&server);
        if !whose.may_end(key.as_ref()).map_err(foreign)? {
            return self.end_disks(Some(id), disks, whose).await;
        }
        let key = key.ok_or_else(|| foreign(ErrorKind::Forbidden))?;
        let own = self.own_disks(Call::Poll, &server, &key)?;
        if !own.iter().all(|disk| disks.contains(disk)) {
            // Handles of older versions name no disks: released again, it does.
            let what = "a handle without the server's disks".to_owned();
            return Err(self.error(Call::Poll, ErrorKind::NotFound { what }));
        }
        let outcome = match server.state.as_str() {
            "started" => {
                let hard = json!({ "stop_server": { "stop_type": "hard" } });
                self.ask_for(Call::Release, id, "stop", &hard).await
            }
            "maintenance" => return Ok(RUNNING),
            // Without its storages: what is attached at this moment stays.
            _ => self.client.send_ok(&Request::delete(Call::Release, ["server", id])).await.map(drop),
        };
        match outcome {
            Ok(()) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::NotFound { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                _ => Err(of_server(error)),
            },
        }
    }
}

/// The key that a server was made with; none if this library did not make it.
fn key_of(server: &Server) -> Option<IdempotencyKey> {
    IdempotencyKey::new(&server.labels.label.iter().find(|label| label.key == LABEL)?.value).ok()
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

fn status(state: &str) -> ServiceStatus {
    match state {
        "started" => ServiceStatus::Running,
        "maintenance" => ServiceStatus::Starting,
        "stopped" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
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

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        let region = self.facts.regions.iter().find(|region| region.id == request.place.region);
        let unknown = || {
            let message = format!("{} is no zone of this cloud", request.place);
            self.error(call, ErrorKind::InvalidRequest { message })
        };
        let place = self.place_of(region.ok_or_else(unknown)?);
        // Its disk and one IPv4 address are part of a plan.
        let sold = Sold::on_demand(OfferKind::Machine, &place);
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| check_exact(request, &sold)).map_err(|kind| self.error(call, kind))?;
        let server = self.new_server(request, key).await?;
        let ask = Request::post(call, ["server"]).json(&server).for_sku(&request.sku);
        let made: OneServer = answered(self.client.json(&ask).await)?;
        // What has not our key is not what was ordered.
        if key_of(&made.server).as_ref() != Some(key) {
            let uuid = &made.server.uuid;
            let message = format!("it answers with the server {uuid}, which has not this order's key");
            return Err(self.protocol_error(call, &message));
        }
        Ok(Whose::of(Some(key)).handle(&Handle::Create(made.server.uuid).text()))
    }

    /// One that is off may never have started: whoever looks does not know.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let server = server_of(&service.id).filter(|_| service.status == ServiceStatus::Starting);
        let handle = server.map(|server| Handle::Create(server.to_owned()));
        Ok(handle.map(|handle| Whose::of(service.key.as_ref()).handle(&handle.text())))
    }

    /// One that is off is told as starting, and [`resume_operation`](Provider::resume_operation) starts it: the answer to its
    /// order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut all = self.list(Call::FindByKey, format!("{LABEL}={key}"));
        let mut found = None;
        // The list is read to its end: an error on a later page must not look like nothing.
        while let Some(service) = all.try_next().await? {
            if service.key.as_ref() == Some(key) {
                found = found.or(Some(service));
            }
        }
        match found {
            // Somebody may have ended the server by itself: its disk stays, and costs.
            None => self.left_of(Call::FindByKey, key).await,
            Some(found) if found.status == ServiceStatus::Stopped => {
                Ok(Some(Service { status: ServiceStatus::Starting, ..found }))
            }
            found => Ok(found),
        }
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        if let Some(disk) = disk_of(service) {
            let disk = self.disk(Call::Describe, disk).await?;
            return disk.map(|disk| self.left(Call::Describe, &disk)).transpose();
        }
        let Some(id) = server_of(service) else { return Ok(None) };
        let server = self.server(Call::Describe, id).await?;
        server.map(|server| self.service(Call::Describe, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        self.list(Call::Services, LABEL.to_owned())
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let id = server_of(service).ok_or_else(missing)?;
        let server = self.server(call, id).await?.ok_or_else(missing)?;
        // Nothing that this library did not make is ever touched.
        let key = key_of(&server).ok_or_else(missing)?;
        let mut wanted = None;
        // What does not stop within a minute is switched off.
        let soft = json!({ "stop_type": "soft", "timeout": "60", "timeout_action": "destroy" });
        let is_on = server.state == "started";
        let state = match action {
            Action::Start => {
                if !is_on {
                    self.ask_for(call, id, "start", &json!({ "server": {} })).await?;
                }
                "started"
            }
            Action::Stop => {
                if is_on {
                    let gently = json!({ "stop_server": { "stop_type": "soft", "timeout": "60" } });
                    self.ask_for(call, id, "stop", &gently).await?;
                }
                "stopped"
            }
            Action::Resize { sku } => {
                if server.plan != sku.as_str() {
                    let body = json!({ "server": { "plan": sku } });
                    let ask = Request::new(call, Method::PUT, ["server", id]).json(&body).for_sku(sku);
                    self.change(call, id, &ask).await?;
                }
                wanted = Some(sku.clone());
                "stopped"
            }
            Action::Other { name } if name == "reboot" => {
                self.ask_for(call, id, "restart", &json!({ "restart_server": soft })).await?;
                "started"
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        Ok(Whose::of(Some(&key)).handle(&Handle::Reach(id.to_owned(), state.to_owned(), wanted).text()))
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        if let Some(id) = disk_of(service) {
            let mut whose = Whose::default();
            if let Some(disk) = self.disk(call, id).await? {
                let key = key_of_disk(&disk.title).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
                self.check_held(call, &disk, None)?;
                whose = Whose::of(Some(&key));
            }
            return Ok(whose.handle(&Handle::Disk(id.to_owned()).text()));
        }
        let Some(id) = server_of(service) else {
            // It cannot exist here.
            let nothing = Handle::Delete(uuid::Uuid::nil().to_string(), Vec::new());
            return Ok(Whose::default().handle(&nothing.text()));
        };
        let (disks, whose) = match self.server(call, id).await? {
            None => (Vec::new(), Whose::default()),
            Some(server) => {
                let key = key_of(&server).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
                (self.own_disks(call, &server, &key)?, Whose::of(Some(&key)))
            }
        };
        if let Some(odd) = disks.iter().find(|disk| !is_plain(disk)) {
            return Err(self.protocol_error(call, &format!("the server {id} has a storage {odd:?}")));
        }
        Ok(whose.handle(&Handle::Delete(id.to_owned(), disks).text()))
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let what = || operation.as_str().chars().take(60).collect();
        let unknown = || self.error(Call::Poll, ErrorKind::NotFound { what: what() });
        let (text, whose) = Whose::read(operation);
        let is_new = text.starts_with("create/");
        let (id, wanted, plan) = match Handle::of(text).ok_or_else(unknown)? {
            Handle::Delete(id, disks) => return self.poll_delete(&id, &disks, &whose).await,
            Handle::Disk(disk) => return self.end_disks(None, &[disk], &whose).await,
            Handle::Create(id) => (id, "started".to_owned(), None),
            Handle::Reach(id, state, plan) => (id, state, plan),
        };
        match self.server(Call::Poll, &id).await? {
            None => Ok(failed("the server is gone")),
            Some(server) if server.state == wanted => match plan {
                Some(plan) if server.plan != plan.as_str() => {
                    Ok(match whose.is_settled(self.capabilities.list_lag()) {
                        true => failed(&format!("the server is still a {}", server.plan)),
                        false => RUNNING,
                    })
                }
                _ => self.succeeded(&server, &whose),
            },
            // Its own start has failed.
            Some(server) if is_new && server.state == "stopped" && whose.is_of(key_of(&server).as_ref()) => {
                match self.ask_for(Call::Act, &id, "start", &json!({ "server": {} })).await {
                    Ok(()) => Ok(RUNNING),
                    Err(error) => match error.kind {
                        ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                        _ => Err(ProviderError { call: Call::Poll, ..error }),
                    },
                }
            }
            Some(server) if server.state == "error" => Ok(failed("the provider says that it is broken")),
            Some(_) => Ok(RUNNING),
        }
    }
}
