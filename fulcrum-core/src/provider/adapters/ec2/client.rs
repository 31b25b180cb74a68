//! One cloud: a client for each region, with its instance types, images and zones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use secrecy::SecretString;

use super::{
    Ec2Config,
    endpoints::ApiName,
    offers,
    sign::V4,
    wire::{self, InstanceType, ListPage, Xml},
};
use crate::{
    model::{IdempotencyKey, Offer, OfferKind, Place, ProviderId, RegionId, ZoneId},
    provider::{
        Call, ErrorKind, ProvisionRequest, RejectedRow, Result,
        adapters::common::CallErrors,
        find_exact_in_zones,
        http::{Client, HttpConfigError, Page, Request, Response, Secret, Transport, paginate},
        portable::PasswordMaker,
    },
};

/// The age at which instance types and images are read again.
const LISTS_FRESH_FOR: Duration = Duration::from_secs(600);

/// Images by id, and when each was read.
type Images = BTreeMap<String, (Instant, wire::Image)>;

/// A region's instance types, and when they were read.
type Types = Option<(Instant, Arc<BTreeMap<String, InstanceType>>)>;

#[derive(Debug)]
struct Region {
    /// Without a zone.
    place: Place,
    client: Client,
    /// Clients of the APIs beside EC2.
    further: BTreeMap<ApiName, Client>,
    types: tokio::sync::Mutex<Types>,
    images: tokio::sync::Mutex<Images>,
    /// The zones of the last response.
    zones: Mutex<Option<Vec<ZoneId>>>,
}

impl Region {
    fn new(place: Place, client: Client, further: BTreeMap<ApiName, Client>) -> Self {
        let (types, images) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Self { place, client, further, types, images, zones: Mutex::default() }
    }
}

/// One cloud, as one pair of keys sees it.
#[derive(Debug)]
pub(super) struct Cloud {
    pub config: Ec2Config,
    /// Rows of the price table in the configured regions.
    pub listed: Vec<Offer>,
    /// Rows that are not offered, and why.
    pub rejected: Vec<RejectedRow>,
    /// Makes passwords; none without a secret.
    pub passwords: Option<PasswordMaker>,
    /// When this process has sent a new password, by database.
    password_changes: Mutex<BTreeMap<String, Instant>>,
    regions: BTreeMap<RegionId, Region>,
}

/// A request of an action that only reads. It is a GET, so that each page of a list has a URL of its own.
pub(super) fn query(call: Call, action: &str) -> Request {
    query_of(ApiName::Ec2, call, action)
}

/// The same at another API.
pub(super) fn query_of(api: ApiName, call: Call, action: &str) -> Request {
    Request::get(call, []).query("Action", action).query("Version", api.version())
}

/// A request of an action that changes something.
pub(super) fn mutation(call: Call, action: &str, fields: &[(String, String)]) -> Request {
    mutation_of(ApiName::Ec2, call, action, fields)
}

/// The same at another API.
pub(super) fn mutation_of(api: ApiName, call: Call, action: &str, fields: &[(String, String)]) -> Request {
    let fixed = [("Action", action), ("Version", api.version())];
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Request::post(call, []).form(fixed.into_iter().chain(fields))
}

/// A list's pages.
pub(super) fn list<T: Send + 'static>(
    client: Client,
    first: Request,
    parse: impl Fn(Xml<'_, '_>) -> Option<ListPage<T>> + Send + Sync + 'static,
) -> futures::stream::BoxStream<'static, Result<T>> {
    let start = first.clone();
    let read = move |_: &Request, response: &Response| {
        let ListPage { items, next } = wire::read(response, &parse)?;
        Ok(Page { items, next: next.map(|token| start.clone().query("NextToken", token)) })
    };
    paginate(client, first, read).boxed()
}

impl Cloud {
    pub(super) fn new(
        config: Ec2Config,
        listed: Vec<Offer>,
        client: Client,
        keys: Vec<Secret>,
    ) -> Result<Self, HttpConfigError> {
        let wanted = &config.regions;
        let is_wanted = |region: &RegionId| wanted.is_empty() || wanted.contains(region);
        let listed: Vec<Offer> = listed.into_iter().filter(|it| is_wanted(&it.place.region)).collect();
        let (sold, rejected) = offers::sold_rows(&listed, &config);
        let mut regions = BTreeMap::new();
        for offer in &listed {
            let id = &offer.place.region;
            if regions.contains_key(id) {
                continue;
            }
            let signed = |api: ApiName| -> Result<Option<Client>, HttpConfigError> {
                let Some(address) = config.urls().of(api, id)? else { return Ok(None) };
                let name = id.clone();
                let signer = move |keys: &[_]| V4::new(name.as_str(), api, keys);
                client.with_base_url(&address)?.signed(keys.iter().cloned(), signer).map(Some)
            };
            let Some(of_machines) = signed(ApiName::Ec2)? else { continue };
            let mut further = BTreeMap::new();
            for kind in &config.kinds {
                let Some(api) = ApiName::of(*kind) else { continue };
                let name = api.name();
                let client = signed(api)?.ok_or_else(|| {
                    HttpConfigError::Setting(format!(
                        "kinds: {kind} needs the URL of {name}; set `endpoints: {{ {name}: … }}`, or leave the kind out"
                    ))
                })?;
                further.insert(api, client);
            }
            let place = Place { zone: None, ..(*offer.place).clone() };
            regions.insert(id.clone(), Region::new(place, of_machines, further));
        }
        let setting = |why: String| Err(HttpConfigError::Setting(why));
        if let Some(unknown) = wanted.iter().find(|region| !regions.contains_key(*region)) {
            return setting(format!(
                "regions: the price table has no offer in {unknown}; remove the region, or add rows"
            ));
        }
        let is_one = !config.endpoint.contains("{region}") || config.http.base_url.is_some();
        if is_one && regions.len() > 1 {
            return setting(
                "endpoint: this URL is for one region; set `regions` to that region, or write {region} into the URL".to_owned(),
            );
        }
        let password_changes = Mutex::default();
        Ok(Self { config, listed: sold, rejected, passwords: None, password_changes, regions })
    }

    /// With a secret from which passwords are made.
    pub(super) fn with_passwords(self, secret: &Secret) -> Result<Self, HttpConfigError> {
        for client in self.regions.values().filter_map(|region| region.further.get(&ApiName::Rds)) {
            // A document may name the secret only if it may send it there.
            client.may_get(secret)?;
        }
        let maker = PasswordMaker::new(secret.value())
            .map_err(|why| HttpConfigError::Setting(format!("password_secret: {why}")))?;
        Ok(Self { passwords: Some(maker), ..self })
    }

    /// When this process has sent a new password of a database.
    pub(super) fn password_change(&self, database: &str) -> Option<Instant> {
        self.password_changes.lock().unwrap_or_else(PoisonError::into_inner).get(database).copied()
    }

    pub(super) fn note_password_change(&self, database: &str) {
        let mut changes = self.password_changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.insert(database.to_owned(), Instant::now());
    }

    /// The change is over.
    pub(super) fn forget_password_change(&self, database: &str) {
        self.password_changes.lock().unwrap_or_else(PoisonError::into_inner).remove(database);
    }

    /// The password of what this key bought. Without a secret it is one that nobody knows.
    pub(super) fn password_of(&self, key: &IdempotencyKey) -> SecretString {
        let password = match &self.passwords {
            Some(maker) => maker.password(key),
            None => PasswordMaker::random().password(key),
        };
        // The regions share one redactor.
        if let Some(region) = self.regions.values().next() {
            region.client.redactor().add(password.clone());
        }
        password
    }

    /// The same cloud over another transport, with empty caches.
    pub(super) fn with_transport(&self, transport: &Arc<dyn Transport>) -> Self {
        let region = |(id, region): (&RegionId, &Region)| {
            let over = |client: &Client| client.clone().with_transport(transport.clone());
            let further = region.further.iter().map(|(api, client)| (*api, over(client))).collect();
            let region = Region::new(region.place.clone(), over(&region.client), further);
            (id.clone(), region)
        };
        let regions = self.regions.iter().map(region).collect();
        let (config, listed, rejected) = (self.config.clone(), self.listed.clone(), self.rejected.clone());
        let (passwords, password_changes) = (self.passwords.clone(), Mutex::default());
        Self { config, listed, rejected, passwords, password_changes, regions }
    }

    /// Rows that the lists of all regions left out.
    pub(super) fn rejected(&self) -> Vec<RejectedRow> {
        let clients = self.regions.values().flat_map(|it| it.further.values().chain([&it.client]));
        let told = clients.flat_map(Client::rejected);
        self.rejected.iter().cloned().chain(told).collect()
    }

    /// The regions share one login.
    pub(super) fn redacted(&self, text: &str, is_for_people: bool) -> String {
        match self.regions.values().next() {
            Some(region) => region.client.redactor().sanitised(text, is_for_people),
            None => text.to_owned(),
        }
    }

    pub(super) fn id(&self) -> &ProviderId {
        &self.config.id
    }

    pub(super) fn regions(&self) -> Vec<RegionId> {
        self.regions.keys().cloned().collect()
    }

    pub(super) fn place(&self, region: &RegionId) -> Option<&Place> {
        self.regions.get(region).map(|region| &region.place)
    }

    fn region(&self, region: &RegionId, call: Call) -> Result<&Region> {
        self.regions
            .get(region)
            .ok_or_else(|| self.error(call, ErrorKind::NotFound { what: format!("the region {region}") }))
    }

    pub(super) fn client(&self, region: &RegionId, call: Call) -> Result<&Client> {
        Ok(&self.region(region, call)?.client)
    }

    /// Whether anything that is bought here is made by EC2's own API, or stands in its networks. Buckets alone are at S3.
    pub(super) fn speaks_ec2(&self) -> bool {
        self.config.kinds.iter().any(|kind| *kind != OfferKind::ObjectStorage)
    }

    /// The client of an API.
    pub(super) fn client_of(&self, api: ApiName, region: &RegionId, call: Call) -> Result<&Client> {
        let here = self.region(region, call)?;
        if api == ApiName::Ec2 {
            return Ok(&here.client);
        }
        here.further.get(&api).ok_or_else(|| {
            let name = api.name();
            self.invalid_request(
                call,
                format!("the URL of {name} is not known; set `endpoints: {{ {name}: … }}`"),
            )
        })
    }

    /// All instance types of a region.
    pub(super) async fn types(
        &self,
        region: &RegionId,
        call: Call,
    ) -> Result<Arc<BTreeMap<String, InstanceType>>> {
        let region = self.region(region, call)?;
        let mut kept = region.types.lock().await;
        if let Some((at, types)) = &*kept
            && at.elapsed() < LISTS_FRESH_FOR
        {
            return Ok(types.clone());
        }
        // A page has at most a hundred rows here.
        let first = query(call, "DescribeInstanceTypes").query("MaxResults", self.config.page_size.min(100));
        let all: Vec<InstanceType> =
            list(region.client.clone(), first, wire::instance_types).try_collect().await?;
        let types = Arc::new(all.into_iter().map(|it| (it.name.clone(), it)).collect::<BTreeMap<_, _>>());
        *kept = Some((Instant::now(), types.clone()));
        Ok(types)
    }

    /// An image with its disks.
    pub(super) async fn image(&self, region: &RegionId, id: &str, call: Call) -> Result<wire::Image> {
        let here = self.region(region, call)?;
        let mut kept = here.images.lock().await;
        kept.retain(|_, (at, _)| at.elapsed() < LISTS_FRESH_FOR);
        if let Some((_, image)) = kept.get(id) {
            return Ok(image.clone());
        }
        let response = here.client.send_ok(&query(call, "DescribeImages").query("ImageId.1", id)).await?;
        let image = wire::read(&response, wire::image)?;
        let image = image.ok_or_else(|| {
            self.invalid_request(call, format!("there is no image {id} in {region}; set another `image`"))
        })?;
        kept.insert(id.to_owned(), (Instant::now(), image.clone()));
        Ok(image)
    }

    /// The names of all zones of a region that can be used now, in order.
    pub(super) async fn zone_names(&self, region: &RegionId, call: Call) -> Result<BTreeSet<String>> {
        let response = self.client(region, call)?.send_ok(&query(call, "DescribeAvailabilityZones")).await?;
        Ok(wire::read(&response, wire::zones)?.into_iter().collect())
    }

    /// The zones of a region that can be chosen now. A single zone is not a failure domain of its own, so then there are none.
    pub(super) async fn zones(&self, region: &RegionId, call: Call) -> Result<Vec<ZoneId>> {
        let names = self.zone_names(region, call).await?;
        let zones: Vec<ZoneId> = match names.len() {
            0 | 1 => Vec::new(),
            _ => names.iter().filter_map(|zone| ZoneId::new(zone).ok()).collect(),
        };
        let mut known = self.region(region, call)?.zones.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(zones.clone());
        Ok(zones)
    }

    /// The zones of the last response; reads them if there was none.
    async fn known_zones(&self, region: &RegionId, call: Call) -> Result<Vec<ZoneId>> {
        let known = self.region(region, call)?.zones.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(zones) => Ok(zones),
            None => self.zones(region, call).await,
        }
    }

    /// The offer of exactly this request.
    pub(super) async fn offer_of(&self, request: &ProvisionRequest, call: Call) -> Result<&Offer> {
        let offer = find_exact_in_zones(request, &self.listed).map_err(|kind| self.error(call, kind))?;
        if let Some(zone) = request.place.zone.as_ref().filter(|zone| offer.place.zone.as_ref() != Some(zone))
            && !self.known_zones(&request.place.region, call).await?.contains(zone)
        {
            return Err(
                self.invalid_request(call, format!("{} is not sold in {}", request.sku, request.place))
            );
        }
        Ok(offer)
    }
}

impl CallErrors for Cloud {
    fn provider_id(&self) -> &ProviderId {
        &self.config.id
    }

    fn cleaned(&self, text: &str) -> String {
        self.redacted(text, true)
    }
}
