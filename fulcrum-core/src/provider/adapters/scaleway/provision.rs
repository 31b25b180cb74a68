//! The order of a server, and its first start.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    KEY_TAG, Scaleway,
    handle::{Disk, Handle, ServerRef},
    offers,
    services::key_of,
    volumes::{DISK_TAG, disk_of, recorded_disks, system_disk},
    wire::{Image, ImageReply, Images, NewServer, NewVolume, Server, ServerReply},
};
use crate::{
    model::{IdempotencyKey, OfferKind, Shortage, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, Line, OperationHandle, OperationStatus, Priced, ProvisionRequest, Result, Sold,
        SoldSize,
        adapters::{
            common::{CallErrors, RUNNING, failed, failed_for},
            operation_owner::OperationOwner,
            purchase_outcome::purchase_response,
        },
        check_exact, check_settings,
        http::{Method, Request},
        portable::{self, FirstBoot, KeyWords, System},
        surcharges::ipv4_of,
    },
};

/// The price of each field of the requests that make a server.
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

/// The tag by which a server's own boot script adds a key.
const AUTHORIZED_KEY_TAG: &str = "AUTHORIZED_KEY=";

/// The tags of a new server: the order's key, the customer's labels, and keys, in which blanks are underscores.
fn tags_of(request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Vec<String>, ErrorKind> {
    let boot = FirstBoot::of(request, &[], KeyWords::Keys)?;
    let labels =
        portable::labels_of(&request.settings).into_iter().map(|(name, value)| format!("{name}={value}"));
    let keys = boot.keys.iter().map(|key| format!("{AUTHORIZED_KEY_TAG}{}", key.replace(' ', "_")));
    Ok([format!("{KEY_TAG}{key}")].into_iter().chain(labels).chain(keys).collect())
}

/// The marketplace's label of a system's image, such as `debian_trixie`.
fn marketplace_label(system: System<'_>) -> Option<String> {
    match system.id {
        "debian" | "ubuntu" => system.code_name().map(|name| format!("{}_{name}", system.id)),
        "almalinux" | "fedora" => Some(format!("{}_{}", system.id, system.version)),
        "centos" => Some(format!("centos_stream_{}", system.version)),
        "rocky" => Some(format!("rockylinux_{}", system.version)),
        _ => None,
    }
}

impl Scaleway {
    /// Orders the service of a request. Returns its operation.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let zone = request.place.zone.as_ref().filter(|zone| self.zones.contains(zone));
        let unknown = || {
            self.invalid_request(
                call,
                format!("{} is not a zone of this account; choose a place of its offers", request.place),
            )
        };
        let zone = zone.ok_or_else(unknown)?;
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| self.check_request(request, zone)).map_err(|kind| self.error(call, kind))?;
        let size = disk_bytes(request).ok_or_else(|| {
            self.invalid_request(
                call,
                format!("{} GiB is not a valid disk size; ask for less", request.size_gib),
            )
        })?;
        let image = self.image(request, zone).await?;
        let hostname = request.setting("hostname");
        let volumes = BTreeMap::from([("0", NewVolume { size, volume_type: "sbs_volume" })]);
        let server = NewServer {
            name: hostname.as_deref().unwrap_or(&request.name),
            project: &self.settings.project,
            commercial_type: request.sku.as_str(),
            image: &image,
            boot_type: "local",
            dynamic_ip_required: self.settings.public_ip,
            tags: tags_of(request, key).map_err(|kind| self.error(call, kind))?,
            volumes,
        };
        let path = ["instance", "v1", "zones", zone.as_str(), "servers"];
        let ask = Request::post(call, path).json(&server).for_sku(&request.sku);
        let made: ServerReply = purchase_response(self.client.json(&ask).await)?;
        // A response without the order's key is about something else.
        if key_of(&made.server).as_ref() != Some(key) {
            let id = &made.server.id;
            let message =
                format!("the response names the server {id}, which does not have this order\'s key");
            return Err(self.protocol_error(call, &message));
        }
        let disks = made.server.volumes.values().map(disk_of).collect();
        let place = ServerRef { zone: zone.to_string(), server: made.server.id };
        Ok(OperationOwner::new(Some(key)).handle(&Handle::Provision { server: place, disks }.text()))
    }

    /// Checks that a request is for exactly one offer of this adapter.
    fn check_request(&self, request: &ProvisionRequest, zone: &ZoneId) -> Result<(), ErrorKind> {
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

    /// The image's id: as given, or by its label in the marketplace. It must bring no paid volumes.
    pub(super) async fn image(&self, request: &ProvisionRequest, zone: &ZoneId) -> Result<String> {
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        if let Ok(id) = uuid::Uuid::parse_str(&image) {
            let id = id.to_string();
            self.check_image(zone, &id).await?;
            return Ok(id);
        }
        let image = System::parse(&image).map_or(Ok(image.clone()), |system| {
            let unknown = || {
                let message =
                    format!("no label of the marketplace is known for {image}; write one as `image`");
                self.invalid_request(Call::Provision, message)
            };
            marketplace_label(system).ok_or_else(unknown)
        })?;
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
            self.invalid_request(Call::Provision, message)
        };
        let id = found.map(|image| image.id).ok_or_else(missing)?;
        self.check_image(zone, &id).await?;
        Ok(id)
    }

    pub(super) async fn poll_provision(
        &self,
        place: &ServerRef,
        made: &[Disk],
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let Some(server) = self.server(Call::Poll, place).await? else {
            return Ok(failed("the server is gone"));
        };
        self.check_owner(&server, owner)?;
        let sku = SkuId::new(&server.commercial_type).ok();
        match server.state.as_str() {
            // The server is made and not started yet. A second start is refused without effect.
            "stopped" => match self.first_start(place, &server, made, sku.as_ref()).await {
                Ok(()) => Ok(RUNNING),
                Err(error) => match error.kind {
                    ErrorKind::CapacityExhausted { .. } => {
                        Ok(failed_for("the type is sold out in this zone", Shortage::SoldOut))
                    }
                    ErrorKind::QuotaExceeded { quota } => {
                        Ok(failed_for(format!("over the quota of {quota}"), Shortage::Quota))
                    }
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                    kind => Err(self.error(Call::Poll, kind)),
                },
            },
            "running" => self.succeeded(place, &server),
            "starting" => Ok(RUNNING),
            other => Ok(failed(format!("the server is {other}: {}", server.state_detail))),
        }
    }

    /// Starts a server for the first time. Before that, it records the volumes of the purchase as tags.
    async fn first_start(
        &self,
        place: &ServerRef,
        server: &Server,
        made: &[Disk],
        sku: Option<&SkuId>,
    ) -> Result<()> {
        // If the response was lost, only the system disk is certain.
        let made = if made.is_empty() { system_disk(server) } else { made.to_vec() };
        if !made.is_empty() && recorded_disks(server).is_empty() {
            if let Some(key) = key_of(server) {
                self.tag_volumes(&place.zone, &key, &made).await?;
            }
            let tags: Vec<_> = made.iter().map(|disk| format!("{DISK_TAG}{}", disk.text())).collect();
            let tags: Vec<_> = server.tags.iter().chain(&tags).collect();
            let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
            let note = Request::new(Call::Act, Method::PATCH, path).json(&json!({ "tags": tags }));
            match self.client.send_ok(&note).await {
                Err(error) if error.is_retryable() || error.kind.may_have_happened() => return Err(error),
                Err(error) => {
                    tracing::warn!(server = server.id, %error, "the volumes of the purchase could not be recorded");
                }
                Ok(_) => {}
            }
        }
        self.post_action(Call::Act, place, "poweron", sku).await
    }

    /// Checks that an image brings no volumes of its own: each would be made and billed.
    async fn check_image(&self, zone: &ZoneId, image: &str) -> Result<()> {
        let call = Call::Provision;
        let ask = Request::get(call, ["instance", "v1", "zones", zone.as_str(), "images", image]);
        let found: Option<ImageReply> = self.client.get_optional(&ask).await?;
        let missing =
            || self.invalid_request(call, format!("no image {image} is in {zone}; set another `image`"));
        let found = found.ok_or_else(missing)?.image;
        if found.id != image {
            let message = format!("the response to a request about the image {image} is about {}", found.id);
            return Err(self.protocol_error(call, &message));
        }
        let extra = found.extra_volumes.unwrap_or_default();
        if extra.is_empty() {
            return Ok(());
        }
        let places: Vec<_> = extra.into_keys().collect();
        let message = format!(
            "the image {image} brings volumes of its own (at {}), which no line pays for; set another `image`",
            places.join(", ")
        );
        Err(self.invalid_request(call, message))
    }
}

/// The bytes of a request's disk: the least disk and the size that was bought beyond. The provider counts in 10⁹ bytes, so this
/// rounds up.
fn disk_bytes(request: &ProvisionRequest) -> Option<u64> {
    let bytes = offers::MIN_DISK_GIB.checked_add(request.size_gib)?.checked_mul(1 << 30)?;
    bytes.div_ceil(1_000_000_000).checked_mul(1_000_000_000)
}
