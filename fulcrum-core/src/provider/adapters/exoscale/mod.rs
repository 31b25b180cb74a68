//! Exoscale: instances with a disk of any size, by the API of version 2. Each zone has an API of its own.
//!
//! The request that makes an instance sets a label with the key. The API makes two instances of the same request sent twice, so
//! the engine searches first: the class is [`IdempotencyClass::Searchable`].

mod config;
mod dry_run;
mod errors;
mod handle;
mod lifecycle;
mod offers;
mod provision;
mod services;
mod sign;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, TryStreamExt, stream};

use self::{handle::Handle, offers::with_disk};
use crate::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, Place, ProviderId, PurchaseOption, RegionId, Service,
        ServiceId, ServiceStatus, SettingType, map_of,
    },
    provider::{
        Base, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::CallErrors},
        http::{Cache, Client, HttpConfigError, Transport, bounded, regional_url},
        portable,
        table::Table,
    },
};

pub use config::ExoscaleConfig;
pub use provision::FIELDS;

/// The instances of one organisation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exoscale {
    id: ProviderId,
    /// The zones by name.
    zones: Arc<BTreeMap<RegionId, Zone>>,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    /// The offers of the table.
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

/// The adapter's capabilities with this list lag.
pub fn capabilities(list_lag_ms: u64) -> Capabilities {
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
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms }),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
        settings: Some(
            [
                portable::hostname("by cloud-init"),
                portable::image("the newest public template of that system; or the name or id of a template"),
                portable::disk([OfferKind::Machine]),
                portable::labels("labels of the instance"),
                portable::public_ipv4(SettingType::Boolean, "the instance's address, which costs nothing"),
                portable::own(
                    "security_groups",
                    SettingType::List(Box::new(SettingType::Text)),
                    "ids of security groups",
                ),
                portable::ssh_keys(
                    SettingType::Text,
                    "public keys by cloud-init; or names of keys of the organisation",
                ),
                portable::user_data("as it is, up to 24 KiB"),
            ]
            .into_iter()
            .collect(),
        ),
        attributes: Capabilities::machine_attributes(["public_ipv4", "public_ipv6"]),
        places: None,
        kinds: None,
        tested: Capabilities::machines_tested(TestedAgainst::Document),
        secrets: BTreeMap::new(),
        accept: None,
    }
}

impl Exoscale {
    fn new(config: &ExoscaleConfig, base: &Base) -> Result<Self, HttpConfigError> {
        let setting = |error: String| HttpConfigError::Setting(error);
        let keys = [
            config.key.read_as(base, "env:EXOSCALE_API_KEY")?,
            config.secret.read_as(base, "env:EXOSCALE_API_SECRET")?,
        ];
        let tables = Table::load_bare(&base.to_read(&config.catalogue)?)
            .map_err(|error| setting(format!("catalogue: {error}")))?;
        let table = tables.into_iter().find(|table| table.provider == config.id);
        let missing = || {
            setting(format!(
                "catalogue: it has no prices of `{}`; set `id` to a provider of the table",
                config.id
            ))
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
            return Err(setting(format!(
                "zones: the price table has no offer in {zone}; remove the zone, or add rows"
            )));
        }
        Ok(Self {
            id: config.id.clone(),
            capabilities: Capabilities {
                places: Some(zones.keys().map(ToString::to_string).collect()),
                ..capabilities(config.list_lag_ms)
                    .with_public_ipv4(config.public_ip, true)
                    .accepting(config.accept)
            },
            zones: Arc::new(zones),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                public_ip: config.public_ip,
                ssh_keys: config.ssh_keys.clone(),
            }),
            listed: Arc::new(listed),
            rejected: Arc::new(rejected),
        })
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        let over = |(name, zone): (&RegionId, &Zone)| {
            let client = zone.client.clone().with_transport(transport.clone());
            (name.clone(), Zone { client, ..zone.clone() })
        };
        Self { zones: Arc::new(self.zones.iter().map(over).collect()), ..self }
    }

    fn zone(&self, call: Call, name: &str) -> Result<&Zone> {
        let found = self.zones.iter().find(|(zone, _)| zone.as_str() == name);
        let unknown = || {
            let message = format!(
                "the zone {name} is not configured; add it to `zones`, and to the price table that `catalogue` names"
            );
            self.invalid_request(call, message)
        };
        found.map(|(_, zone)| zone).ok_or_else(unknown)
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
        self.list_offers(filter)
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        let mut rows = self.rejected.to_vec();
        rows.extend(self.zones.values().flat_map(|zone| zone.client.rejected()));
        rows
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
        let call = Call::ResumeOperation;
        let Some(at) =
            self.instance_ref(call, &service.id)?.filter(|_| service.status == ServiceStatus::Starting)
        else {
            return Ok(None);
        };
        self.handle(call, &Handle::Provision { at, operation: None }, service.key.as_ref()).map(Some)
    }

    /// A service that is off counts as starting, and [`resume_operation`](Provider::resume_operation) starts it: the response
    /// to its order may be lost, and its start may have failed.
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        // All zones are read: an error in one of them is not absence.
        let all = self.list_zones(Call::FindByKey).await?;
        let found = all.into_iter().find(|service| service.key.as_ref() == Some(key));
        Ok(found.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Some(at) = self.instance_ref(Call::Describe, service)? else { return Ok(None) };
        Ok(self.describe_instance(Call::Describe, &at).await?.map(|(_, service)| service))
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        let list =
            async move { Ok(stream::iter(this.list_zones(Call::Services).await?.into_iter().map(Ok))) };
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
