//! Scaleway: instances with block storage, by the API of instances, version 1.
//!
//! The key is a tag that is set when a server is made. Nothing keeps the same request from making two, so the engine
//! looks first: [`IdempotencyClass::Searchable`].

mod config;
mod errors;
mod handle;
mod offers;
mod volumes;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use serde_json::json;

pub use config::ScalewayConfig;
use handle::{Disk, Handle, Left, Place};
use wire::{Image, Images, NewServer, NewVolume, OneServer, OneTask, Server, Servers};

use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, ProviderId, Service, ServiceId, ServiceStatus, Shortage,
        SkuId, ZoneId, parse_json,
    },
    provider::{
        Base, Call, Capabilities, ErrorKind, IdempotencyClass, Line, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Priced, Provider, ProviderError, ProvisionRequest, RejectedRow,
        Result, ServiceStream, Sold, SoldSize,
        adapters::{bought::answered, whose::Whose},
        check_exact, check_settings,
        http::{Client, HttpConfigError, Method, Page, Request, Response, Transport, bounded, paginate},
        surcharges::ipv4_of,
        table::{ProviderDocument, RegionDocument, Row, Table},
    },
};

/// Stands before the key in a tag.
const TAG: &str = "fulcrum-key=";
/// Stands before a volume in a tag: one that was made with the server.
const DISK: &str = "fulcrum-disk=";
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
    /// What the API does not tell: the prices of block storage and of addresses.
    rows: Arc<Vec<Row>>,
    storage: Arc<Vec<Offer>>,
    /// What the last list of each zone left out.
    rejected: Arc<Mutex<BTreeMap<ZoneId, Vec<RejectedRow>>>>,
}

#[derive(Debug)]
struct Settings {
    project: String,
    image: String,
    public_ip: bool,
}

/// What each field costs of the requests that make a server.
pub const FIELDS: &[(&str, Priced)] = &[
    ("action", Priced::Free("starting it is part of what is bought")),
    ("boot_type", Priced::Free("how it boots costs nothing")),
    ("commercial_type", Priced::By(Line::Offer)),
    ("dynamic_ip_required", Priced::By(Line::Address)),
    ("image", Priced::Free("a licence has types of its own, at its price; images with volumes are refused")),
    ("name", Priced::Free("names cost nothing")),
    ("project", Priced::Free("who pays, not how much")),
    ("tags[]", Priced::Free("tags cost nothing")),
    ("volumes.0.size", Priced::By(Line::Disk)),
    ("volumes.0.volume_type", Priced::By(Line::Disk)),
];

/// What the adapter can do.
///
/// A new server is in the list of its zone when the answer comes; the lag is ten times the longest that was seen in
/// recordings of other clients, as the provider promises none.
pub fn capabilities() -> Capabilities {
    let searchable = IdempotencyClass::Searchable { list_lag_ms: 10_000 };
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
            (Call::Provision, searchable),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Capabilities::takes(&["image"]),
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
            capabilities: capabilities(),
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

    fn invalid(&self, call: Call, message: impl Into<String>) -> ProviderError {
        self.error(call, ErrorKind::InvalidRequest { message: message.into() })
    }

    /// A service's place; what is no name of ours does not exist.
    ///
    /// # Errors
    /// It is in a zone that is not configured, or not any more: what is there is not known.
    fn place(&self, call: Call, service: &ServiceId) -> Result<Option<Place>> {
        let Some(place) = Place::of(service) else { return Ok(None) };
        self.check_zone(call, &place.zone, service)?;
        Ok(Some(place))
    }

    fn check_zone(&self, call: Call, zone: &str, what: impl std::fmt::Display) -> Result<()> {
        if self.zones.iter().any(|it| it.as_str() == zone) {
            return Ok(());
        }
        Err(self.invalid(call, format!("{what} is in {zone}, which is not configured; add it to `zones`")))
    }

    async fn server(&self, call: Call, place: &Place) -> Result<Option<Server>> {
        let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
        let found: Option<OneServer> = self.client.get_optional(&Request::get(call, path)).await?;
        match found {
            Some(OneServer { server }) if server.id != place.server => {
                let (asked, told) = (&place.server, &server.id);
                Err(self.protocol_error(call, &format!("asked for the server {asked}, it tells of {told}")))
            }
            found => Ok(found.map(|found| found.server)),
        }
    }

    async fn action(&self, call: Call, place: &Place, action: &str, sku: Option<&SkuId>) -> Result<()> {
        let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server, "action"];
        let mut request = Request::post(call, path).json(&json!({ "action": action }));
        if let Some(sku) = sku {
            request = request.for_sku(sku);
        }
        // It is answered with a task, whatever is in it.
        self.client.json::<OneTask>(&request).await.map(drop)
    }

    /// Whether a request is for exactly what is ordered for it.
    fn check(&self, request: &ProvisionRequest, zone: &ZoneId) -> Result<(), ErrorKind> {
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        let place = region.map_or_else(|| request.place.clone(), |region| self.place_of(region, zone));
        let unpriced = |what: &str| {
            let message = format!("{} is made with {what}, which no row prices in {place}", request.sku);
            ErrorKind::InvalidRequest { message }
        };
        let disk = offers::disk_of(&self.storage, &place).ok_or_else(|| unpriced("a disk"))?;
        let mut sold = Sold::on_demand(OfferKind::Machine, &place);
        sold.size = SoldSize::Disk(&disk.sku);
        sold.surcharges.push(&disk.sku);
        let address = ipv4_of(&self.storage, &place);
        if self.settings.public_ip {
            sold.surcharges.push(&address.ok_or_else(|| unpriced("an IPv4 address"))?.sku);
        }
        check_exact(request, &sold)
    }

    fn sells_disks(&self, zone: &ZoneId) -> bool {
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        region.is_some_and(|region| offers::disk_of(&self.storage, &self.place_of(region, zone)).is_some())
    }

    fn place_of(&self, region: &RegionDocument, zone: &ZoneId) -> crate::model::Place {
        crate::model::Place {
            provider: self.id.clone(),
            region: region.id.clone(),
            zone: Some(zone.clone()),
            country: region.country,
            coordinates: None,
        }
    }

    /// The image's id: as given, or by its label in the marketplace. It brings nothing that is paid.
    async fn image(&self, request: &ProvisionRequest, zone: &ZoneId) -> Result<String> {
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        if let Ok(id) = uuid::Uuid::parse_str(&image) {
            let id = id.to_string();
            self.check_image(zone, &id).await?;
            return Ok(id);
        }
        let ask = Request::get(Call::Provision, ["marketplace", "v2", "local-images"])
            .query("image_label", &image)
            .query("order_by", "type_asc")
            .query("type", "instance_sbs")
            .query("zone", zone);
        let images: Images = self.client.json(&ask).await?;
        let fits = |it: &Image| {
            it.compatible_commercial_types.is_empty()
                || it.compatible_commercial_types.iter().any(|name| name == request.sku.as_str())
        };
        let found = images.local_images.into_iter().find(fits);
        let missing = || {
            let message = format!("no image {image} of {zone} boots {}; set another `image`", request.sku);
            self.invalid(Call::Provision, message)
        };
        let id = found.map(|image| image.id).ok_or_else(missing)?;
        self.check_image(zone, &id).await?;
        Ok(id)
    }

    /// The servers of a zone, with a tag or all.
    fn list(&self, call: Call, zone: &ZoneId, tag: Option<&str>) -> BoxStream<'static, Result<Service>> {
        let mut first = Request::get(call, ["instance", "v1", "zones", zone.as_str(), "servers"])
            .query("project", &self.settings.project)
            .query("per_page", PAGE_SIZE)
            .query("page", 1);
        if let Some(tag) = tag {
            first = first.query("tags", tag);
        }
        let (this, zone) = (self.clone(), zone.clone());
        paginate(self.client.clone(), first, move |request, response| {
            let page: Servers = response.json()?;
            let count = page.servers.count();
            let next = next_servers(request, response, count)?;
            let servers = page.servers.conclusive(response, wire::is_foreign)?;
            let ours = servers.iter().filter(|server| key_of(server).is_some());
            let items = ours.map(|server| this.service(call, &zone, server)).collect::<Result<_>>()?;
            Ok(Page { items, next })
        })
    }

    /// All servers of ours in all zones; zones are asked side by side.
    fn all(&self, call: Call, tag: Option<String>) -> ServiceStream {
        let this = self.clone();
        let lists = self.zones.clone().into_iter().map(move |zone| {
            let list = this.list(call, &zone, tag.as_deref());
            async move { list.try_collect::<Vec<_>>().await }
        });
        let all = stream::iter(lists)
            .buffered(8)
            .map_ok(|services| stream::iter(services.into_iter().map(Ok)))
            .try_flatten();
        bounded(&self.id, call, all)
    }

    /// A server as a service, without a key if this library did not make it. It exists: what cannot be read of it is an error.
    fn service(&self, call: Call, zone: &ZoneId, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.id));
        let id = Place { zone: zone.to_string(), server: server.id.clone() }.service();
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        let region = region.ok_or_else(|| odd(&format!("the zone {zone}, which is not known")))?;
        let addresses = server.public_ips.iter().map(|ip| ip.address.as_str()).collect::<Vec<_>>().join(" ");
        let private = server.private_ip.clone().unwrap_or_default();
        let attributes = [("public_ip", addresses), ("private_ip", private)];
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Service {
            id: id.ok_or_else(|| odd("an id that is none"))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.commercial_type).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region, zone),
            status: status(&server.state),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    async fn poll_create(&self, place: &Place, made: &[Disk], whose: &Whose) -> Result<OperationStatus> {
        let Some(server) = self.server(Call::Poll, place).await? else {
            return Ok(failed("the server is gone", None));
        };
        self.check_whose(&server, whose)?;
        let sku = SkuId::new(&server.commercial_type).ok();
        match server.state.as_str() {
            // Made, and not started yet: whoever asks starts it. Starting twice is refused without effect.
            "stopped" => match self.begin(place, &server, made, sku.as_ref()).await {
                Ok(()) => Ok(OperationStatus::Running { percent: None }),
                Err(error) => match error.kind {
                    ErrorKind::CapacityExhausted { .. } => {
                        Ok(failed("none is left in this zone", Some(Shortage::SoldOut)))
                    }
                    ErrorKind::QuotaExceeded { quota } => {
                        Ok(failed(&format!("over the quota of {quota}"), Some(Shortage::Quota)))
                    }
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => {
                        Ok(OperationStatus::Running { percent: None })
                    }
                    kind => Err(self.error(Call::Poll, kind)),
                },
            },
            "running" => self.succeeded(place, &server),
            "starting" => Ok(OperationStatus::Running { percent: None }),
            other => Ok(failed(&format!("the server is {other}: {}", server.state_detail), None)),
        }
    }

    /// Starts a server for the first time. Before, it is written down which volumes its purchase made.
    async fn begin(&self, place: &Place, server: &Server, made: &[Disk], sku: Option<&SkuId>) -> Result<()> {
        // Where the answer was lost, the system disk is certain.
        let made = if made.is_empty() { root_of(server) } else { made.to_vec() };
        if !made.is_empty() && noted(server).is_empty() {
            if let Some(key) = key_of(server) {
                self.mark(&place.zone, &key, &made).await?;
            }
            let tags: Vec<_> = made.iter().map(|disk| format!("{DISK}{}", disk.text())).collect();
            let tags: Vec<_> = server.tags.iter().chain(&tags).collect();
            let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
            let note = Request::new(Call::Act, Method::PATCH, path).json(&json!({ "tags": tags }));
            match self.client.send_ok(&note).await {
                Err(error) if error.is_retryable() || error.kind.may_have_happened() => return Err(error),
                Err(error) => {
                    tracing::warn!(server = server.id, %error, "it is not written down which volumes the purchase made");
                }
                Ok(_) => {}
            }
        }
        self.action(Call::Act, place, "poweron", sku).await
    }

    /// That a server is the one that an operation's handle is for: nothing else is tagged, started or believed to be it.
    fn check_whose(&self, server: &Server, whose: &Whose) -> Result<()> {
        let key = key_of(server);
        if key.is_none() {
            return Err(self.protocol_error(Call::Poll, &"the server has lost its tag"));
        }
        match whose.is_of(key.as_ref()) {
            true => Ok(()),
            false => Err(self.error(Call::Poll, Whose::forgotten(format!("the server {}", server.id)))),
        }
    }

    fn succeeded(&self, place: &Place, server: &Server) -> Result<OperationStatus> {
        let zone = ZoneId::new(&place.zone).map_err(|error| self.protocol_error(Call::Poll, &error))?;
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &zone, server)?)))
    }

    /// That nothing hangs on a server but these.
    fn check_attached(&self, call: Call, server: &Server, disks: &[Disk]) -> Result<()> {
        let others = server.volumes.values().filter(|volume| !disks.iter().any(|disk| disk.id == volume.id));
        let others: Vec<_> = others
            .map(|volume| match &volume.name {
                Some(name) if *name != volume.id => format!("the volume {} ({name})", volume.id),
                _ => format!("the volume {}", volume.id),
            })
            .collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(&server.id, &others))),
        }
    }

    /// One step further towards nothing: stop, end, end the volumes. Each may be asked again. What is refused is refused of a
    /// part: the handle stays, as nothing else knows the volumes of a server that is gone.
    async fn poll_delete(&self, place: &Place, disks: &[Disk], whose: &Whose) -> Result<OperationStatus> {
        let running = Ok(OperationStatus::Running { percent: None });
        let of_server = |error: ProviderError| error.of_part(format!("the server {}", place.server));
        let server = self.server(Call::Poll, place).await.map_err(of_server)?;
        // Another order's server has got its name since: its own is gone.
        let is_ours = |server: &Server| whose.may_end(key_of(server).as_ref());
        let is_there = server.as_ref().map_or(Ok(false), is_ours);
        let is_there = is_there.map_err(|kind| self.error(Call::Poll, kind))?;
        if let Some(server) = server.filter(|_| is_there) {
            self.check_attached(Call::Poll, &server, disks)?;
            let outcome = match server.state.as_str() {
                "stopped" => {
                    let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
                    self.client.send_ok(&Request::delete(Call::Release, path)).await.map(drop)
                }
                "running" | "stopped in place" => self.action(Call::Release, place, "poweroff", None).await,
                "locked" => return Ok(failed("the server is locked by the provider", None)),
                _ => Ok(()),
            };
            return match outcome {
                Err(error) if !is_passing(&error.kind) => {
                    Err(of_server(ProviderError { call: Call::Poll, ..error }))
                }
                _ => running,
            };
        }
        self.end_volumes(&place.zone, disks, Some(&place.server), whose).await
    }
}

/// The key that a server was made with; none if this library did not make it.
fn key_of(server: &Server) -> Option<IdempotencyKey> {
    key_in(&server.tags)
}

fn key_in(tags: &[String]) -> Option<IdempotencyKey> {
    IdempotencyKey::new(tags.iter().find_map(|tag| tag.strip_prefix(TAG))?).ok()
}

/// The volumes that a server's purchase made, by its tags.
fn noted(server: &Server) -> Vec<Disk> {
    server.tags.iter().filter_map(|tag| Disk::of(tag.strip_prefix(DISK)?)).collect()
}

fn disk_of(volume: &wire::Volume) -> Disk {
    Disk { is_block: volume.volume_type.starts_with("sbs"), id: volume.id.clone() }
}

/// The system disk.
fn root_of(server: &Server) -> Vec<Disk> {
    server.volumes.get("0").map(disk_of).into_iter().collect()
}

/// The next page of servers. A list that has fewer of them than it says is no whole one.
fn next_servers(request: &Request, response: &Response, count: usize) -> Result<Option<Request>> {
    let next = match response.header("link") {
        Some(_) => offers::next_page(request, response),
        // Where nothing is said, a full page may not be the last one.
        None => (count >= PAGE_SIZE as usize).then(|| request.clone().next_page("page")),
    };
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<usize>().ok());
    let before = number(request.parameter("page")).unwrap_or(1).saturating_sub(1) * PAGE_SIZE as usize;
    match number(response.header("x-total-count")) {
        Some(total) if next.is_none() && before.saturating_add(count) < total => {
            Err(response.protocol_error(format!("{total} servers are there, and the list ends before")))
        }
        _ => Ok(next),
    }
}

/// The bytes of a request's disk: what each machine has, and what was bought beyond. The provider counts in 10⁹ bytes: the
/// next whole one that holds all of it.
fn size_of(request: &ProvisionRequest) -> Option<u64> {
    let bytes = offers::LEAST_DISK.checked_add(request.size_gib)?.checked_mul(1 << 30)?;
    bytes.div_ceil(1_000_000_000).checked_mul(1_000_000_000)
}

/// Whether asking again later is all that is needed.
fn is_passing(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous | ErrorKind::NotFound { .. })
}

fn failed(reason: &str, shortage: Option<Shortage>) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage }
}

fn status(state: &str) -> ServiceStatus {
    match state {
        "running" => ServiceStatus::Running,
        "starting" => ServiceStatus::Starting,
        "stopped" | "stopped in place" | "stopping" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
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

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        let zone = request.place.zone.as_ref().filter(|zone| self.zones.contains(zone));
        let unknown = || self.invalid(call, format!("{} is no zone of this account", request.place));
        let zone = zone.ok_or_else(unknown)?;
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| self.check(request, zone)).map_err(|kind| self.error(call, kind))?;
        let size = size_of(request)
            .ok_or_else(|| self.invalid(call, format!("{} GiB are no size of a disk", request.size_gib)))?;
        let image = self.image(request, zone).await?;
        let volumes = BTreeMap::from([("0", NewVolume { size, volume_type: "sbs_volume" })]);
        let server = NewServer {
            name: &request.name,
            project: &self.settings.project,
            commercial_type: request.sku.as_str(),
            image: &image,
            boot_type: "local",
            dynamic_ip_required: self.settings.public_ip,
            tags: [format!("{TAG}{key}")],
            volumes,
        };
        let path = ["instance", "v1", "zones", zone.as_str(), "servers"];
        let ask = Request::post(call, path).json(&server).for_sku(&request.sku);
        let made: OneServer = answered(self.client.json(&ask).await)?;
        // What has not our key is not what was ordered.
        if key_of(&made.server).as_ref() != Some(key) {
            let id = &made.server.id;
            let message = format!("it answers with the server {id}, which has not this order's key");
            return Err(self.protocol_error(call, &message));
        }
        let disks = made.server.volumes.values().map(disk_of).collect();
        let place = Place { zone: zone.to_string(), server: made.server.id };
        Ok(Whose::of(Some(key)).handle(&Handle::Create(place, disks).text()))
    }

    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let place = self.place(Call::ResumeOperation, &service.id)?;
        let handle = place.map(|place| Handle::Create(place, Vec::new()));
        Ok(handle.map(|handle| Whose::of(service.key.as_ref()).handle(&handle.text())))
    }

    /// Who looks does not know whether it was ever started: a server is made first, and started by another call. So one that
    /// is off is told as starting, and [`resume_operation`](Provider::resume_operation) starts it.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut all = self.all(Call::FindByKey, Some(format!("{TAG}{key}")));
        let mut found = None;
        // All zones are read: an error in one of them must not look like nothing.
        while let Some(service) = all.try_next().await? {
            if service.key.as_ref() == Some(key) {
                found = found.or(Some(service));
            }
        }
        if found.is_none() {
            // Somebody may have ended the server by itself: its volumes stay, and cost.
            // Where no row prices a disk nothing is made; there may be no block storage at all.
            let zones = self.zones.iter().filter(|zone| self.sells_disks(zone));
            let lists = zones.map(|zone| self.left_of(Call::FindByKey, zone, key));
            found = futures::future::try_join_all(lists).await?.into_iter().flatten().next();
        }
        Ok(found.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        if let Some(left) = Left::of(service) {
            return self.describe_left(Call::Describe, &left).await;
        }
        let Some(place) = self.place(Call::Describe, service)? else { return Ok(None) };
        let server = self.server(Call::Describe, &place).await?;
        let zone = ZoneId::new(&place.zone).map_err(|error| self.protocol_error(Call::Describe, &error))?;
        server.map(|server| self.service(Call::Describe, &zone, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        self.all(Call::Services, None)
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let place = self.place(call, service)?.ok_or_else(missing)?;
        let server = self.server(call, &place).await?.ok_or_else(missing)?;
        // Nothing that this library did not make is ever touched.
        let key = key_of(&server).ok_or_else(missing)?;
        let mut wanted = None;
        let state = match action {
            Action::Start => {
                if !matches!(server.state.as_str(), "running" | "starting") {
                    let sku = SkuId::new(&server.commercial_type).ok();
                    self.action(call, &place, "poweron", sku.as_ref()).await?;
                }
                "running"
            }
            Action::Stop => {
                if !matches!(server.state.as_str(), "stopped" | "stopping") {
                    self.action(call, &place, "poweroff", None).await?;
                }
                "stopped"
            }
            Action::Resize { sku } => {
                if server.commercial_type != sku.as_str() {
                    let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
                    let patch = Request::new(call, Method::PATCH, path)
                        .json(&json!({ "commercial_type": sku }))
                        .for_sku(sku);
                    let told: OneServer = self.client.json(&patch).await?;
                    if told.server.id != place.server {
                        let (asked, told) = (&place.server, &told.server.id);
                        let message = format!("asked to change the server {asked}, it tells of {told}");
                        return Err(self.protocol_error(call, &message));
                    }
                }
                wanted = Some(sku.clone());
                "stopped"
            }
            Action::Other { name } if name == "reboot" => {
                self.action(call, &place, "reboot", None).await?;
                "running"
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        Ok(Whose::of(Some(&key)).handle(&Handle::Reach(place, state.to_owned(), wanted).text()))
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        let nobodys = |handle: Handle| Ok(Whose::default().handle(&handle.text()));
        if let Some(left) = Left::of(service) {
            let key = self.check_left(call, &left).await?;
            return Ok(Whose::of(key.as_ref()).handle(&Handle::Volume(left).text()));
        }
        let Some(place) = self.place(call, service)? else {
            // It cannot exist here.
            let unknown = Place { zone: self.zones[0].to_string(), server: "0".to_owned() };
            return nobodys(Handle::Delete(unknown, Vec::new()));
        };
        let Some(server) = self.server(call, &place).await? else {
            return nobodys(Handle::Delete(place, Vec::new()));
        };
        let key = key_of(&server).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
        // They outlive the server and cost money: who asks for the rest of the way must know them.
        let noted = noted(&server);
        let disks = if noted.is_empty() { root_of(&server) } else { noted };
        self.check_attached(call, &server, &disks)?;
        Ok(Whose::of(Some(&key)).handle(&Handle::Delete(place, disks).text()))
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let unknown = || {
            self.error(
                Call::Poll,
                ErrorKind::NotFound { what: operation.as_str().chars().take(60).collect() },
            )
        };
        let (text, whose) = Whose::read(operation);
        match Handle::of(text).ok_or_else(unknown)? {
            Handle::Create(place, disks) => self.poll_create(&place, &disks, &whose).await,
            Handle::Delete(place, disks) => self.poll_delete(&place, &disks, &whose).await,
            Handle::Volume(Left { zone, volume }) => {
                self.end_volumes(&zone, &[Disk { is_block: true, id: volume }], None, &whose).await
            }
            Handle::Reach(place, state, sku) => {
                let Some(server) = self.server(Call::Poll, &place).await? else {
                    return Ok(failed("the server is gone", None));
                };
                self.check_whose(&server, &whose)?;
                let is_sized = sku.is_none_or(|sku| server.commercial_type == sku.as_str());
                match server.state == state {
                    true if is_sized => self.succeeded(&place, &server),
                    true if whose.is_settled(self.capabilities.list_lag()) => {
                        Ok(failed(&format!("the server is still a {}", server.commercial_type), None))
                    }
                    _ => Ok(OperationStatus::Running { percent: None }),
                }
            }
        }
    }
}
