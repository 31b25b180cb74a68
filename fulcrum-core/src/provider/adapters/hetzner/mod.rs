//! Hetzner Cloud: servers, by the API of version 1; also of clouds that speak the same.
//!
//! The key is the server's name, which is unique in a project, and a label: the same request again finds the name taken by
//! what it has made, so the class is [`IdempotencyClass::Natural`].

mod config;
mod errors;
mod handle;
mod offers;
mod operations;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{TryStreamExt, stream::BoxStream};
use serde_json::json;

pub use config::HetznerConfig;
use handle::{Handle, Wanted, number};
use wire::{Firewall, Made, Meta, NewServer, OneAction, OneServer, PublicNet, Server, Servers};

use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, Service, ServiceId, ServiceStatus,
        SkuId, parse_json,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, ServiceStream, Sold,
        adapters::{
            bought::{afterwards, answered},
            whose::Whose,
        },
        check_exact, check_settings, find_exact,
        http::{Client, HttpConfigError, Page, Request, Transport, bounded, paginate},
        surcharges::Rejections,
        table::{ProviderDocument, RegionDocument, Table},
    },
};

/// The label that holds the key.
const LABEL: &str = "fulcrum-key";
/// Things on a page; the most that the API gives.
const PAGE_SIZE: u32 = 50;
const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// The servers of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hetzner {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    facts: Arc<ProviderDocument>,
    /// The locations that are known.
    places: Arc<Vec<Place>>,
    /// Whether a table tells prices, instead of the API.
    is_table: bool,
    /// What the table sells; empty if the API tells prices.
    listed: Arc<Vec<Offer>>,
    rejected: Rejections,
}

#[derive(Debug)]
struct Settings {
    image: String,
    public_ipv4: bool,
    ssh_keys: Vec<String>,
}

/// What each field of the body that orders a server costs.
pub const FIELDS: &[(&str, Priced)] = &[
    ("firewalls[].firewall", Priced::Free("firewalls cost nothing")),
    ("image", Priced::Free("images, also snapshots, are booted for nothing")),
    ("labels.fulcrum-key", Priced::Free("labels cost nothing")),
    ("labels.fulcrum-name", Priced::Free("labels cost nothing")),
    ("location", Priced::By(Line::Offer)),
    ("name", Priced::Free("names cost nothing")),
    ("networks[]", Priced::Free("private networks cost nothing")),
    ("placement_group", Priced::Free("placement groups cost nothing")),
    ("public_net.enable_ipv4", Priced::By(Line::Address)),
    ("public_net.enable_ipv6", Priced::Free("IPv6 networks cost nothing")),
    ("server_type", Priced::By(Line::Offer)),
    ("ssh_keys[]", Priced::Free("keys cost nothing")),
    ("start_after_create", Priced::Free("a server costs the same, on or off")),
    ("user_data", Priced::Free("data for the first boot cost nothing")),
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
        settings: Capabilities::takes(&[
            "firewalls",
            "image",
            "networks",
            "placement_group",
            "ssh_keys",
            "user_data",
        ]),
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
                let tables = Table::load(&base.to_read(path)?).map_err(|error| setting(&error))?;
                let table = tables.into_iter().find(|table| table.provider == config.id);
                let none = || {
                    setting(&format!("it has no prices of `{}`; set `id` to the one that it has", config.id))
                };
                let listed = table.ok_or_else(none)?.into_listed();
                let places =
                    listed.iter().map(|offer| Place { zone: None, ..(*offer.place).clone() }).collect();
                let (listed, left_out) = offers::of_table(listed, config.public_ipv4);
                rejected = left_out;
                (listed, places)
            }
        };
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities(config.list_lag_ms),
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

    fn invalid(&self, call: Call, message: String) -> ProviderError {
        self.error(call, ErrorKind::InvalidRequest { message })
    }

    async fn server(&self, call: Call, id: u64) -> Result<Option<Server>> {
        let found: Option<OneServer> =
            self.client.get_optional(&Request::get(call, ["servers", &id.to_string()])).await?;
        match found {
            Some(OneServer { server }) if server.id != id => {
                Err(self
                    .protocol_error(call, &format!("asked for the server {id}, it tells of {}", server.id)))
            }
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers that a filter leaves, page by page.
    fn servers(&self, call: Call, filter: &str, value: impl ToString) -> BoxStream<'static, Result<Server>> {
        let first = Request::get(call, ["servers"])
            .query(filter, value)
            .query("per_page", PAGE_SIZE)
            .query("sort", "id:asc")
            .query("page", 1);
        paginate(self.client.clone(), first, |request, response| {
            let Servers { servers, meta } = response.json()?;
            let items = servers.conclusive(response, wire::is_foreign)?;
            Ok(Page { items, next: next_page(request, &meta) })
        })
    }

    /// The server that a key has as its name, whoever made it.
    async fn named(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Server>> {
        let servers: Vec<_> = self.servers(call, "name", key).try_collect().await?;
        Ok(servers.into_iter().find(|server| server.name == key.as_str()))
    }

    /// The server that has a key as its label: a person may have given it another name.
    async fn labelled(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Server>> {
        let selector = format!("{LABEL}=={key}");
        let servers: Vec<_> = self.servers(call, "label_selector", selector).try_collect().await?;
        Ok(servers.into_iter().find(|server| key_of(server).as_ref() == Some(key)))
    }

    /// A server of ours by its service's id. What is no number does not exist.
    async fn ours(&self, call: Call, service: &ServiceId) -> Result<Option<(Server, Service)>> {
        let Some(id) = number(service.as_str()) else { return Ok(None) };
        let Some(server) = self.server(call, id).await?.filter(|server| key_of(server).is_some()) else {
            return Ok(None);
        };
        let service = self.service(call, &server)?;
        Ok(Some((server, service)))
    }

    /// A server as a service, without a key if this library did not make it. It exists: what cannot be read of it is an error.
    fn service(&self, call: Call, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.id));
        let location = server.location.as_ref().or(server.datacenter.as_ref().map(|it| &it.location));
        let location = location.ok_or_else(|| odd("no location"))?;
        let place = self.places.iter().find(|place| place.region.as_str() == location.name);
        let ip = |address: &wire::Address| address.ip.clone();
        let private = server.private_net.iter().map(ip).collect::<Vec<_>>().join(" ");
        let attributes = [
            ("public_ipv4", server.public_net.ipv4.as_ref().map(ip)),
            ("public_ipv6", server.public_net.ipv6.as_ref().map(ip)),
            ("private_ip", Some(private).filter(|text| !text.is_empty())),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Service {
            id: ServiceId::new(server.id.to_string()).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.server_type.name).map_err(|error| odd(&error.to_string()))?,
            place: place
                .ok_or_else(|| odd(&format!("the location {}, which is not known", location.name)))?
                .clone(),
            status: status(&server.status),
            attributes: attributes.collect(),
        })
    }

    /// Whether a request is for exactly what is ordered for it.
    fn check(&self, request: &ProvisionRequest) -> Result<(), ErrorKind> {
        if self.is_table {
            return find_exact(request, self.listed.iter()).map(drop);
        }
        let place = self.places.iter().find(|place| place.region == request.place.region);
        let unknown = || {
            let message = format!("{} is no location of this cloud", request.place);
            ErrorKind::InvalidRequest { message }
        };
        let (address, mut sold) =
            (offers::ipv4(), Sold::on_demand(OfferKind::Machine, place.ok_or_else(unknown)?));
        sold.surcharges.extend(self.settings.public_ipv4.then_some(&address));
        check_exact(request, &sold)
    }

    /// What a request says beyond product and place.
    fn new_server<'a>(
        &'a self,
        request: &'a ProvisionRequest,
        key: &'a IdempotencyKey,
    ) -> Result<NewServer<'a>> {
        let call = Call::Provision;
        let setting = |name: &str| request.setting(name);
        let numbers = |name: &str| -> Result<Vec<u64>> {
            let wrong = || {
                self.invalid(
                    call,
                    format!("`{name}` is not a list of numbers; write ids with commas between"),
                )
            };
            let words = request.setting_list(name).unwrap_or_default();
            words.iter().map(|word| number(word).ok_or_else(wrong)).collect()
        };
        let ssh_keys = request.setting_list("ssh_keys").unwrap_or_else(|| self.settings.ssh_keys.clone());
        let mut labels = BTreeMap::from([(LABEL, key.to_string())]);
        // For people; a label takes few characters.
        let name: String =
            request.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
        let name = name.trim_matches('-');
        if !name.is_empty() {
            labels.insert("fulcrum-name", name.to_owned());
        }
        let placement_group = match numbers("placement_group")?.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => {
                let message = "`placement_group` has several ids; a server is in one group at most";
                return Err(self.invalid(call, message.to_owned()));
            }
        };
        Ok(NewServer {
            name: key.as_str(),
            server_type: request.sku.as_str(),
            image: setting("image").unwrap_or_else(|| self.settings.image.clone()),
            location: request.place.region.as_str(),
            start_after_create: true,
            labels,
            public_net: PublicNet { enable_ipv4: self.settings.public_ipv4, enable_ipv6: true },
            ssh_keys,
            user_data: setting("user_data"),
            networks: numbers("networks")?,
            firewalls: numbers("firewalls")?.into_iter().map(|firewall| Firewall { firewall }).collect(),
            placement_group,
        })
    }

    /// The operation of a server that is there already, if the same request has made it.
    fn made_before(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
        there: &Server,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let service = self.service(call, there)?;
        let is_it = service.key.as_ref() == Some(key)
            && service.sku == request.sku
            && service.place.region == request.place.region;
        if is_it && there.status != "deleting" {
            let handle = Handle::Make { server: there.id, actions: Vec::new() };
            return Ok(Whose::of(Some(key)).handle(&handle.text()));
        }
        let message = format!("the server {} has this order's name or label, and is another one", there.id);
        Err(self.error(call, ErrorKind::Conflict { message }))
    }

    /// Asks for an action on a server; the action's id.
    async fn action(&self, server: u64, action: &str, body: &impl serde::Serialize) -> Result<u64> {
        let path = ["servers", &server.to_string(), "actions", action];
        let begun: OneAction = self.client.json(&Request::post(Call::Act, path).json(body)).await?;
        let mut servers = begun.action.resources.iter().filter(|it| it.kind == "server");
        match servers.find(|it| it.id != server) {
            Some(other) => {
                let message = format!("asked for an action on the server {server}, it tells of {}", other.id);
                Err(self.protocol_error(Call::Act, &message))
            }
            None => Ok(begun.action.id),
        }
    }

    /// Asks for a server's end; whether there still was one. Its disk and its addresses are of one piece with it; backups end
    /// with it, and no purchase orders any.
    async fn end(&self, call: Call, server: &Server) -> Result<bool> {
        let volumes = server.volumes.iter().map(|id| format!("the volume {id}"));
        let addresses = server.public_net.floating_ips.iter().map(|id| format!("the floating IP {id}"));
        let backups = server.backup_window.iter().map(|window| format!("backups (made at {window})"));
        let parts: Vec<_> = volumes.chain(addresses).chain(backups).collect();
        if !parts.is_empty() {
            return Err(self.error(call, ErrorKind::attached(&server.name, &parts)));
        }
        let ask = Request::delete(Call::Release, ["servers", &server.id.to_string()]);
        match self.client.delete_if_exists(&ask).await {
            // Busy with something else: whoever polls asks again.
            Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => Ok(true),
            is_there => is_there,
        }
    }
}

/// The key that a server was made with; none if this library did not make it. A cloud that keeps no labels is known by the name
/// alone.
fn key_of(server: &Server) -> Option<IdempotencyKey> {
    match server.labels.get(LABEL) {
        Some(label) => IdempotencyKey::new(label).ok(),
        None => IdempotencyKey::new(&server.name).ok().filter(|name| name.step().is_some()),
    }
}

fn place(provider: &ProviderId, region: &RegionDocument) -> Place {
    Place {
        provider: provider.clone(),
        region: region.id.clone(),
        zone: None,
        country: region.country,
        coordinates: None,
    }
}

/// The next page, if this one says that there is one.
fn next_page(request: &Request, meta: &Meta) -> Option<Request> {
    meta.pagination.next_page.map(|_| request.clone().next_page("page"))
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

fn status(word: &str) -> ServiceStatus {
    match word {
        "running" => ServiceStatus::Running,
        "initializing" | "starting" | "migrating" | "rebuilding" => ServiceStatus::Starting,
        "off" | "stopping" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
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

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| self.check(request)).map_err(|kind| self.error(call, kind))?;
        let server = self.new_server(request, key)?;
        // A person may have given it another name since: then its name is free, and keeps nothing from being made twice.
        if let Some(there) = self.labelled(call, key).await? {
            return self.made_before(request, key, &there);
        }
        let ask = Request::post(call, ["servers"]).json(&server).for_sku(&request.sku);
        match self.client.json::<Made>(&ask).await {
            // What has not our key is not what was ordered.
            Ok(Made { server, .. }) if key_of(&server).as_ref() != Some(key) => {
                let message =
                    format!("it answers with the server {}, which has not this order's key", server.id);
                Err(self.protocol_error(call, &message))
            }
            Ok(Made { server, action, next_actions }) => {
                let actions = [action].into_iter().chain(next_actions).map(|action| action.id).collect();
                let handle = Handle::Make { server: server.id, actions };
                Ok(Whose::of(Some(key)).handle(&handle.text()))
            }
            // The name is taken: by what the same request has made before, or by something else.
            Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => {
                match afterwards(self.named(call, key).await)? {
                    // Whose it is, is seen: a stranger's name keeps ours from being made.
                    Some(there) if key_of(&there).as_ref() != Some(key) => {
                        self.made_before(request, key, &there)
                    }
                    Some(there) => afterwards(self.made_before(request, key, &there)),
                    // It may be ours, and not be listed yet.
                    None => answered(Err(error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// A server that is off may never have started: whoever looks does not know.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let is_unfinished = service.status == ServiceStatus::Starting;
        let server = number(service.id.as_str()).filter(|_| is_unfinished);
        let handle = server.map(|server| Handle::Make { server, actions: Vec::new() });
        Ok(handle.map(|handle| Whose::of(service.key.as_ref()).handle(&handle.text())))
    }

    /// One that is off is told as starting, and [`resume_operation`](Provider::resume_operation) starts it: the answer to its
    /// order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        let named = self.named(call, key).await?.filter(|server| key_of(server).as_ref() == Some(key));
        let server = match named {
            None => self.labelled(call, key).await?,
            named => named,
        };
        let service = server.map(|server| self.service(call, &server)).transpose()?;
        Ok(service.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Some(id) = number(service.as_str()) else { return Ok(None) };
        let server = self.server(Call::Describe, id).await?;
        server.map(|server| self.service(Call::Describe, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        let (this, call) = (self.clone(), Call::Services);
        let ours = self.servers(call, "label_selector", LABEL).try_filter_map(move |server| {
            let service = key_of(&server).map(|_| this.service(call, &server)).transpose();
            futures::future::ready(service)
        });
        bounded(&self.id, call, ours)
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        // Nothing that this library did not make is ever touched.
        let (server, _) = self.ours(call, service).await?.ok_or_else(missing)?;
        let id = server.id;
        let is_off = server.status == "off";
        let nothing = json!({});
        let (begun, wanted) = match action {
            Action::Start if is_off => (Some(self.action(id, "poweron", &nothing).await?), Wanted::On),
            Action::Start => (None, Wanted::On),
            Action::Stop if is_off => (None, Wanted::Off),
            Action::Stop => (Some(self.action(id, "shutdown", &nothing).await?), Wanted::Off),
            // The disk keeps its size: only so can the way back be gone.
            Action::Resize { sku } => {
                let body = json!({ "server_type": sku, "upgrade_disk": false });
                let begun = match server.server_type.name == sku.as_str() {
                    true => None,
                    false => Some(self.action(id, "change_type", &body).await?),
                };
                (begun, Wanted::Type(sku.clone()))
            }
            Action::Other { name } => match name.as_str() {
                "reboot" | "poweroff" | "reset" => {
                    (Some(self.action(id, name, &nothing).await?), Wanted::Anything)
                }
                _ => return Err(self.error(call, ErrorKind::Unsupported)),
            },
        };
        let handle = Handle::Act { server: id, action: begun, wanted };
        Ok(Whose::of(key_of(&server).as_ref()).handle(&handle.text()))
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        // What is no number cannot exist here, and 0 never does.
        let id = number(service.as_str()).unwrap_or(0);
        let mut whose = Whose::default();
        if let Some(server) = self.server(call, id).await? {
            let key = key_of(&server);
            if key.is_none() {
                return Err(self.error(call, ErrorKind::Forbidden));
            }
            self.end(call, &server).await?;
            whose = Whose::of(key.as_ref());
        }
        Ok(whose.handle(&Handle::End { server: id }.text()))
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let what = || operation.as_str().chars().take(60).collect();
        let unknown = || self.error(call, ErrorKind::NotFound { what: what() });
        let (text, whose) = Whose::read(operation);
        match Handle::of(text).ok_or_else(unknown)? {
            Handle::Make { server, actions } => {
                for action in actions {
                    if let Some(status) = self.unfinished(action).await? {
                        return Ok(status);
                    }
                }
                self.made(server, &whose).await
            }
            Handle::Act { server, action, wanted } => {
                if let Some(action) = action
                    && let Some(status) = self.unfinished(action).await?
                {
                    return Ok(status);
                }
                self.reached(server, &wanted, &whose).await
            }
            Handle::End { server } => {
                let Some(found) = self.server(call, server).await? else {
                    return Ok(OperationStatus::Succeeded(None));
                };
                let may_end = whose.may_end(key_of(&found).as_ref());
                if !may_end.map_err(|kind| self.error(call, kind))? {
                    return Ok(OperationStatus::Succeeded(None));
                }
                if found.status == "deleting" {
                    return Ok(RUNNING);
                }
                // What it was busy with is over, or the request was lost.
                Ok(match self.end(call, &found).await? {
                    true => RUNNING,
                    false => OperationStatus::Succeeded(None),
                })
            }
        }
    }
}
