//! One cloud: regions, the URLs of their services, flavors, and ids by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use tokio::sync::OnceCell;

use super::{
    OpenStackConfig,
    compute::{self, Compute, Microversion},
    offers,
    scope::Scope,
    session::Session,
    wire,
};
use crate::{
    model::{Offer, OfferKind, Place, ProviderId, RegionId, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, ProvisionRequest, RejectedRow, Result,
        adapters::common::CallErrors,
        find_exact_in_zones,
        http::{Client, HttpConfigError, Page, Redactor, Request, Response, Transport, paginate},
        portable::System,
    },
};

/// The version of nova's API that all its microversions belong to.
const NOVA_PATH: &str = "v2.1";
/// The age at which flavors and ids are read again.
const LISTS_FRESH_FOR: Duration = Duration::from_secs(600);
/// The age at which the list is read again for an unknown flavor.
const FLAVORS_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A region's flavors, and when they were read.
type Flavors = Option<(Instant, Arc<Vec<wire::Flavor>>)>;

/// Ids by region, kind and name, and when each was read.
type Names = BTreeMap<(RegionId, &'static str, String), (Instant, String)>;

/// One region.
#[derive(Debug)]
struct Region {
    /// Without a zone.
    place: Place,
    /// The newest microversion of its nova.
    newest: OnceCell<Microversion>,
    flavors: tokio::sync::Mutex<Flavors>,
    /// The zones of the last response.
    zones: Mutex<Option<Vec<ZoneId>>>,
}

/// One cloud, as one login sees it.
#[derive(Debug)]
pub(super) struct Cloud {
    pub config: OpenStackConfig,
    /// Rows of the price table in the configured regions.
    listed: Vec<Offer>,
    /// What of it is sold.
    pub sold: Vec<Offer>,
    /// Rows that are not sold, and why.
    rejected: Vec<RejectedRow>,
    keystone: Client,
    session: Arc<Session>,
    client: Client,
    regions: BTreeMap<RegionId, Region>,
    /// Ids by name.
    names: Mutex<Names>,
}

impl Cloud {
    pub(super) fn new(
        config: OpenStackConfig,
        listed: Vec<Offer>,
        keystone: Client,
    ) -> Result<Self, HttpConfigError> {
        let wanted = &config.regions;
        let is_wanted = |region: &RegionId| wanted.is_empty() || wanted.contains(region);
        let listed: Vec<Offer> = listed.into_iter().filter(|it| is_wanted(&it.place.region)).collect();
        let regions: BTreeSet<&RegionId> = listed.iter().map(|offer| &offer.place.region).collect();
        let setting = |why: String| Err(HttpConfigError::Setting(why));
        if let Some(unknown) = wanted.iter().find(|region| !regions.contains(region)) {
            return setting(format!(
                "regions: the price table has no offer in {unknown}; remove the region, or add rows"
            ));
        }
        // Ids of services are made of region names.
        if let Some(odd) = regions.iter().find(|region| region.as_str().contains('/')) {
            return setting(format!("regions: the name {odd} has a `/`, which this adapter cannot use"));
        }
        if !config.endpoints.is_empty() && regions.len() > 1 {
            return setting(
                "endpoints: these URLs are for one region; set `regions` to that region".to_owned(),
            );
        }
        Ok(Self::assemble(config, listed, keystone))
    }

    fn assemble(config: OpenStackConfig, listed: Vec<Offer>, keystone: Client) -> Self {
        let region = |offer: &Offer| {
            let place = Place { zone: None, ..(*offer.place).clone() };
            let (newest, flavors) = (OnceCell::new(), tokio::sync::Mutex::default());
            (offer.place.region.clone(), Region { place, newest, flavors, zones: Mutex::default() })
        };
        let regions = listed.iter().map(region).collect();
        let session = Session::new(keystone.clone(), Scope::of(&config.auth));
        let client = session.client();
        let (sold, rejected) = offers::sold_rows(&listed, &config.kinds());
        Self { config, listed, sold, rejected, keystone, session, client, regions, names: Mutex::default() }
    }

    /// The redactor of this login.
    pub(super) fn redactor(&self) -> &Redactor {
        self.keystone.redactor()
    }

    /// The same cloud over another transport, with empty caches.
    pub(super) fn with_transport(&self, transport: Arc<dyn Transport>) -> Self {
        let keystone = self.keystone.clone().with_transport(transport);
        Self::assemble(self.config.clone(), self.listed.clone(), keystone)
    }

    /// Rows that the lists of all services left out.
    pub(super) fn rejected(&self) -> Vec<RejectedRow> {
        self.rejected.iter().cloned().chain(self.client.rejected()).collect()
    }

    /// Whether a kind is sold in a region.
    pub(super) fn sells(&self, kind: OfferKind, region: &RegionId) -> bool {
        self.sold.iter().any(|offer| offer.kind == kind && offer.place.region == *region)
    }

    pub(super) fn id(&self) -> &ProviderId {
        &self.config.id
    }

    pub(super) fn regions(&self) -> Vec<RegionId> {
        self.regions.keys().cloned().collect()
    }

    /// A region without a zone.
    pub(super) fn place(&self, region: &RegionId) -> Option<&Place> {
        self.regions.get(region).map(|region| &region.place)
    }

    fn region(&self, region: &RegionId, call: Call) -> Result<&Region> {
        self.regions
            .get(region)
            .ok_or_else(|| self.error(call, ErrorKind::NotFound { what: format!("the region {region}") }))
    }

    /// The login's project.
    pub(super) async fn project(&self, call: Call) -> Result<String> {
        Ok(self.session.token(call).await?.project.clone())
    }

    /// A service by its type.
    pub(super) async fn service(&self, region: &RegionId, kind: &str, call: Call) -> Result<Client> {
        self.region(region, call)?;
        let broken = |message: String| self.protocol_error(call, &message);
        if let Some(address) = self.config.endpoints.get(kind) {
            return self.client.with_base_url(address).map_err(|error| broken(error.to_string()));
        }
        let token = self.session.token(call).await?;
        let name = self.config.region_names.get(region).map_or(region.as_str(), String::as_str);
        let is_here = |endpoint: &&wire::Endpoint| {
            endpoint.interface == self.config.interface
                && [&endpoint.region_id, &endpoint.region].into_iter().flatten().any(|it| it == name)
        };
        let entries = token.catalogue.iter().filter(|entry| entry.kind == kind);
        let endpoint = entries.flat_map(|entry| &entry.endpoints).find(is_here).ok_or_else(|| {
            let interface = &self.config.interface;
            self.error(
                call,
                ErrorKind::NotFound { what: format!("a {interface} endpoint of {kind} in {region}") },
            )
        })?;
        let client = self.client.with_base_url(&endpoint.url).map_err(|error| broken(error.to_string()))?;
        let host = client.base_url().host_str().unwrap_or_default();
        if is_this_machine(client.base_url()) && !is_this_machine(self.keystone.base_url()) {
            return Err(broken(format!(
                "{kind} is at {host}, which is this machine; if that is right, name it in `endpoints`"
            )));
        }
        let is_below = |allowed: &String| {
            host == allowed || host.strip_suffix(allowed.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        if self.config.hosts.is_empty() || self.config.hosts.iter().any(is_below) {
            return Ok(client);
        }
        Err(broken(format!(
            "{kind} is at {host}, which is not in `hosts`; add it if it belongs to the cloud"
        )))
    }

    /// A service, with the version segment that its path needs.
    pub(super) async fn versioned(
        &self,
        region: &RegionId,
        kind: &str,
        version: &'static str,
        call: Call,
    ) -> Result<(Client, Vec<&'static str>)> {
        let client = self.service(region, kind, call).await?;
        let has_version = client.base_url().path().split('/').any(|segment| segment == version);
        Ok((client, if has_version { Vec::new() } else { vec![version] }))
    }

    /// Nova, at the newest version that both know.
    pub(super) async fn compute(&self, region: &RegionId, call: Call) -> Result<Compute> {
        let client = self.service(region, "compute", call).await?;
        // Keystone may tell nova's URL without a version, as for glance and neutron.
        let has_version = client.base_url().path().split('/').any(|segment| segment.starts_with("v2"));
        let client = match has_version {
            true => client,
            false => {
                let address = format!("{}/{NOVA_PATH}", client.base_url().as_str().trim_end_matches('/'));
                let broken = |error: HttpConfigError| self.protocol_error(call, &error);
                client.with_base_url(&address).map_err(broken)?
            }
        };
        let newest = &self.region(region, call)?.newest;
        let newest = *newest.get_or_try_init(|| compute::newest(&client, call)).await?;
        Ok(Compute::new(client, newest))
    }

    /// All flavors that the project may use.
    pub(super) async fn flavors(
        &self,
        region: &RegionId,
        call: Call,
        fresh: Duration,
    ) -> Result<Arc<Vec<wire::Flavor>>> {
        let mut kept = self.region(region, call)?.flavors.lock().await;
        if let Some((at, flavors)) = &*kept
            && at.elapsed() < fresh
        {
            return Ok(flavors.clone());
        }
        let compute = self.compute(region, call).await?;
        let size = self.config.page_size;
        let first = compute.with_version(Request::get(call, ["flavors", "detail"]).query("limit", size));
        let start = first.clone();
        let read = move |_: &Request, response: &Response| {
            let page: wire::FlavorPage = response.json()?;
            let last = page.flavors.last_id().filter(|_| wire::has_next(&page.flavors_links));
            let next = last.map(|id| start.clone().query("marker", id));
            Ok(Page { items: page.flavors.into_iter().collect(), next })
        };
        let flavors: Vec<wire::Flavor> = paginate(compute.client, first, read).try_collect().await?;
        let flavors = Arc::new(flavors);
        *kept = Some((Instant::now(), flavors.clone()));
        Ok(flavors)
    }

    /// A flavor by its name.
    pub(super) async fn flavor(&self, region: &RegionId, sku: &SkuId, call: Call) -> Result<wire::Flavor> {
        for fresh in [LISTS_FRESH_FOR, FLAVORS_RETRY_AFTER] {
            let flavors = self.flavors(region, call, fresh).await?;
            if let Some(flavor) = flavors.iter().find(|flavor| flavor.name == sku.as_str()) {
                return Ok(flavor.clone());
            }
        }
        Err(self.error(call, ErrorKind::NotFound { what: format!("the flavor {sku} in {region}") }))
    }

    /// The name of a flavor by its id.
    pub(super) async fn flavor_name(
        &self,
        region: &RegionId,
        id: &str,
        call: Call,
    ) -> Result<Option<String>> {
        let flavors = self.flavors(region, call, LISTS_FRESH_FOR).await?;
        Ok(flavors.iter().find(|flavor| flavor.id == id).map(|flavor| flavor.name.clone()))
    }

    /// The zones of a region that can be chosen now. A single zone is not a failure domain of its own, so then there are none.
    pub(super) async fn zones(&self, region: &RegionId, call: Call) -> Result<Vec<ZoneId>> {
        let compute = self.compute(region, call).await?;
        let page: wire::ZonePage =
            compute.client.json(&compute.with_version(Request::get(call, ["os-availability-zone"]))).await?;
        let names: BTreeSet<String> =
            page.zones.into_iter().filter(|zone| zone.state.available).map(|zone| zone.name).collect();
        let zones: Vec<ZoneId> = match names.len() {
            0 | 1 => Vec::new(),
            _ => names.iter().filter_map(|zone| ZoneId::new(zone).ok()).collect(),
        };
        let mut known = self.region(region, call)?.zones.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(zones.clone());
        Ok(zones)
    }

    /// Checks that a request is for exactly one offer of this adapter.
    pub(super) async fn check_sold(&self, request: &ProvisionRequest, call: Call) -> Result<()> {
        let offer = find_exact_in_zones(request, &self.sold).map_err(|kind| self.error(call, kind))?;
        let Some(zone) = request.place.zone.as_ref().filter(|zone| offer.place.zone.as_ref() != Some(zone))
        else {
            return Ok(());
        };
        let region = &request.place.region;
        let known = self.region(region, call)?.zones.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let zones = match known {
            // A floating IP is in a region, not in a zone.
            _ if offer.kind != OfferKind::Machine => Vec::new(),
            Some(zones) => zones,
            None => self.zones(region, call).await?,
        };
        match zones.contains(zone) {
            true => Ok(()),
            false => {
                Err(self.invalid_request(call, format!("{} is not sold in {}", request.sku, request.place)))
            }
        }
    }

    /// The id of an image: the newest with this name, or the one with this id. An image that brings volumes is refused, as no
    /// line pays for them.
    pub(super) async fn image(&self, region: &RegionId, name: &str, call: Call) -> Result<String> {
        let is_id = uuid::Uuid::parse_str(name).is_ok();
        self.cached_id(region, "image", name, call, async {
            let (glance, mut path) = self.versioned(region, "image", "v2", call).await?;
            path.push("images");
            let image = if is_id {
                path.push(name);
                let response = glance.send(&Request::get(call, path)).await?;
                match response.status().as_u16() {
                    // Nothing is bought then, whoever sent the 404.
                    404 => None,
                    _ => {
                        glance.check(&response)?;
                        let image = response.json::<wire::Image>()?;
                        if image.id != name {
                            let message = format!("the response to a request about the image {name} is about {}", image.id);
                            return Err(response.protocol_error(message));
                        }
                        Some(image)
                    }
                }
            } else {
                let all = Request::get(call, path)
                    .query("status", "active")
                    .query("sort_key", "created_at")
                    .query("sort_dir", "desc");
                let named = all.clone().query("name", name).query("limit", 1);
                let named = glance.json::<wire::ImagePage>(&named).await?.images.into_iter().next();
                match (named, System::parse(name)) {
                    (None, Some(system)) => {
                        // A customer's own snapshot keeps these properties, and is not public.
                        let system = all
                            .query("os_distro", system.id)
                            .query("os_version", system.version)
                            .query("visibility", "public");
                        let images = glance.json::<wire::ImagePage>(&system).await?.images;
                        images.into_iter().find(wire::Image::is_usual)
                    }
                    (named, _) => named,
                }
            };
            match image {
                Some(image) if image.brings_volumes() => Err(self.invalid_request(
                    call,
                    format!(
                        "the image {name} brings volumes (`block_device_mapping`), which no line pays for; set another `image`"
                    ),
                )),
                image => Ok(image.map(|image| image.id)),
            }
        })
        .await
    }

    /// The identifier of a network.
    pub(super) async fn network(&self, region: &RegionId, name: &str, call: Call) -> Result<String> {
        self.id_of(region, "network", name, call, async {
            let (neutron, mut path) = self.versioned(region, "network", "v2.0", call).await?;
            path.push("networks");
            let request = Request::get(call, path).query("name", name).query("fields", "id");
            let page: wire::NetworkPage = neutron.json(&request).await?;
            if page.networks.len() > 1 {
                let count = page.networks.len();
                return Err(self.invalid_request(
                    call,
                    format!("{count} networks are called {name}; write the id of one"),
                ));
            }
            Ok(page.networks.into_iter().next().map(|network| network.id))
        })
        .await
    }

    /// The id of a name: the name itself if it is an id, else as [`cached_id`](Self::cached_id).
    async fn id_of(
        &self,
        region: &RegionId,
        kind: &'static str,
        name: &str,
        call: Call,
        find: impl Future<Output = Result<Option<String>>>,
    ) -> Result<String> {
        if uuid::Uuid::parse_str(name).is_ok() {
            return Ok(name.to_owned());
        }
        self.cached_id(region, kind, name, call, find).await
    }

    /// The cached id of a name, or the one that `find` finds.
    async fn cached_id(
        &self,
        region: &RegionId,
        kind: &'static str,
        name: &str,
        call: Call,
        find: impl Future<Output = Result<Option<String>>>,
    ) -> Result<String> {
        let place = (region.clone(), kind, name.to_owned());
        let kept = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some((_, id)) = kept.filter(|(at, _)| at.elapsed() < LISTS_FRESH_FOR) {
            return Ok(id);
        }
        let id = find.await?.ok_or_else(|| {
            self.invalid_request(
                call,
                format!("no {kind} is called {name} in {region}; set another `{kind}`"),
            )
        })?;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, (at, _)| at.elapsed() < LISTS_FRESH_FOR);
        names.insert(place, (Instant::now(), id.clone()));
        Ok(id)
    }
}

/// Whether a URL is on this machine. A cloud elsewhere must not lead requests to it.
fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => {
            let address = address.to_canonical();
            address.is_loopback() || address.is_unspecified()
        }
        None => false,
    }
}

impl CallErrors for Cloud {
    fn provider_id(&self) -> &ProviderId {
        &self.config.id
    }

    fn cleaned(&self, text: &str) -> String {
        self.redactor().sanitised(text, true)
    }
}
