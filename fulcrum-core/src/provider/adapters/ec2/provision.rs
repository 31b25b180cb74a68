//! The order of a machine, with its system disk.

use base64::Engine;

use super::{
    Ec2Config,
    client::{Cloud, mutation},
    handle::{Handle, ResourceRef},
    offers::{PRICED_BY_SIZE, system_disk_type},
    services::key_of,
    subnets,
    tags::{KEY_TAG, ZONE_TAG},
    volumes, wire,
};
use crate::{
    model::{IdempotencyKey, Offer},
    provider::{
        Call, Line, OperationHandle, Priced, ProvisionRequest, Result,
        adapters::{
            common::CallErrors, operation_owner::OperationOwner, purchase_outcome::purchase_response,
        },
        portable::{self, FirstBoot, KeyWords, System},
    },
};

/// The price of each field of the request that orders a machine.
pub const FIELDS: &[(&str, Priced)] = &[
    ("Action", Priced::Free("it says what is ordered")),
    ("BlockDeviceMapping.N.DeviceName", Priced::Free("names cost nothing")),
    ("BlockDeviceMapping.N.Ebs.DeleteOnTermination", Priced::Free("nothing is left behind")),
    ("BlockDeviceMapping.N.Ebs.VolumeSize", Priced::By(Line::Disk)),
    ("BlockDeviceMapping.N.Ebs.VolumeType", Priced::By(Line::Disk)),
    ("ClientToken", Priced::Free("keys cost nothing")),
    ("ImageId", Priced::Free("images with a licence, or with disks of their own, are refused")),
    ("InstanceType", Priced::By(Line::Offer)),
    ("KeyName", Priced::Free("keys cost nothing")),
    ("MaxCount", Priced::By(Line::Offer)),
    ("MinCount", Priced::By(Line::Offer)),
    ("NetworkInterface.N.AssociatePublicIpAddress", Priced::By(Line::Address)),
    ("NetworkInterface.N.DeleteOnTermination", Priced::Free("nothing is left behind")),
    ("NetworkInterface.N.DeviceIndex", Priced::Free("the first interface is part of a machine")),
    ("NetworkInterface.N.SecurityGroupId.N", Priced::Free("security groups cost nothing")),
    ("NetworkInterface.N.SubnetId", Priced::Free("subnets cost nothing")),
    ("Placement.AvailabilityZone", Priced::By(Line::Offer)),
    ("TagSpecification.N.ResourceType", Priced::Free("tags cost nothing")),
    ("TagSpecification.N.Tag.N.Key", Priced::Free("tags cost nothing")),
    ("TagSpecification.N.Tag.N.Value", Priced::Free("tags cost nothing")),
    ("UserData", Priced::Free("data for the first boot cost nothing")),
    ("Version", Priced::Free("it says which API is spoken")),
];

/// The tag that records the disks of a machine's purchase.
pub(super) const DISKS_TAG: &str = "fulcrum-disks";
/// Bytes of a machine's user data.
const MAX_USER_DATA_BYTES: usize = 16 << 10;
/// Characters of the longest tag.
const MAX_TAG_CHARS: usize = 255;

/// The system disk of a machine.
pub(super) struct Disk {
    pub(super) gib: u64,
    /// The cloud's name of its type.
    pub(super) kind: String,
}

impl Disk {
    /// The offer's own disk, and the size that was bought beyond.
    fn of(request: &ProvisionRequest, offer: &Offer, config: &Ec2Config) -> Result<Self, String> {
        let gib = offer.capacity.disk_gib.checked_add(request.size_gib);
        let gib =
            gib.ok_or_else(|| format!("{} GiB is not a valid disk size; ask for less", request.size_gib))?;
        let kind = system_disk_type(offer, config);
        if !PRICED_BY_SIZE.contains(&kind) {
            return Err(format!(
                "a disk of the type {kind} is not priced by its size alone; set `volume_type` to one of {}",
                PRICED_BY_SIZE.join(", ")
            ));
        }
        Ok(Self { gib, kind: kind.to_owned() })
    }
}

/// Orders a machine.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let call = Call::Provision;
    let offer = cloud.offer_of(request, call).await?;
    let (config, region) = (&cloud.config, &request.place.region);
    let has_address =
        portable::has_address(request, config.public_ip).map_err(|why| cloud.invalid_request(call, why))?;
    let setting =
        |name: &str, otherwise: &Option<String>| request.setting(name).or_else(|| otherwise.clone());
    let image = setting("image", &config.image).ok_or_else(|| {
        cloud.invalid_request(
            call,
            "no image is set; set `image`, in the component's settings or in the provider's configuration",
        )
    })?;
    let image = config.images.get(&image).cloned().unwrap_or(image);
    // `ami-1` has the form of a system, too.
    let image = match System::parse(&image).filter(|system| system.title().is_some()) {
        Some(system) => cloud.newest_image(region, system, offer, call).await?,
        None => image,
    };
    let invalid = |kind| cloud.error(call, kind);
    let boot = FirstBoot::of(request, &[], KeyWords::Keys).map_err(invalid)?;
    let disk = Disk::of(request, offer, config).map_err(|why| cloud.invalid_request(call, why))?;
    let root = cloud.image(region, &image, call).await?;
    let root = system_device(&image, &root, &disk).map_err(|why| cloud.invalid_request(call, why))?;
    let name: String = request.name.chars().filter(|c| !c.is_control()).take(MAX_TAG_CHARS).collect();
    let subnet = match request.setting("network") {
        None => setting("subnet", &config.subnet),
        Some(service) => Some(subnets::subnet_of_service(cloud, request, &service, call).await?),
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| fields.push((name.to_owned(), value));
    put("ImageId", image);
    put("InstanceType", portable::machine_type(&request.sku).to_owned());
    put("MinCount", "1".to_owned());
    put("MaxCount", "1".to_owned());
    put("ClientToken", key.to_string());
    put("TagSpecification.1.ResourceType", "instance".to_owned());
    let zone = request.place.zone.as_ref();
    let own = (has_address != config.public_ip).then(|| "true".to_owned());
    let tags = [
        (KEY_TAG, Some(key.to_string())),
        ("Name", Some(name)),
        (ZONE_TAG, zone.map(ToString::to_string)),
        (portable::NO_ADDRESS_LABEL, own),
    ];
    let tags = tags.into_iter().map(|(name, value)| (name.to_owned(), value));
    let labels = portable::labels_of(&request.settings);
    // A customer's own `Name` stands in the place of ours.
    let tags = tags.filter(|(name, _)| !labels.contains_key(name));
    let tags = tags.filter_map(|(name, value)| Some((name, value.filter(|it| !it.is_empty())?)));
    let tags: Vec<_> = tags.collect();
    let tags = tags.into_iter().chain(labels);
    for ((name, value), at) in tags.zip(1..) {
        put(&format!("TagSpecification.1.Tag.{at}.Key"), name);
        put(&format!("TagSpecification.1.Tag.{at}.Value"), value);
    }
    if let Some(zone) = zone {
        put("Placement.AvailabilityZone", zone.to_string());
    }
    // The disk ends with the machine, also if the image says otherwise.
    put("BlockDeviceMapping.1.DeviceName", root);
    put("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true".to_owned());
    put("BlockDeviceMapping.1.Ebs.VolumeSize", disk.gib.to_string());
    put("BlockDeviceMapping.1.Ebs.VolumeType", disk.kind);
    if let Some(name) = setting("key_name", &config.key_name) {
        put("KeyName", name);
    }
    // A public address is a property of the network interface, and so the interface must be given in full.
    put("NetworkInterface.1.DeviceIndex", "0".to_owned());
    put("NetworkInterface.1.DeleteOnTermination", "true".to_owned());
    put("NetworkInterface.1.AssociatePublicIpAddress", has_address.to_string());
    if let Some(subnet) = subnet {
        put("NetworkInterface.1.SubnetId", subnet);
    }
    if let Some(groups) = setting("security_groups", &config.security_groups) {
        for (group, at) in groups.split(',').zip(1..) {
            put(&format!("NetworkInterface.1.SecurityGroupId.{at}"), group.trim().to_owned());
        }
    }
    if let Some(text) = boot.document(MAX_USER_DATA_BYTES).map_err(invalid)? {
        put("UserData", base64::engine::general_purpose::STANDARD.encode(text));
    }
    let asked = mutation(call, "RunInstances", &fields).for_sku(&request.sku);
    let response = purchase_response(cloud.client(region, call)?.send_ok(&asked).await)?;
    let made = wire::read(&response, wire::new_instance_id)?;
    let target = ResourceRef::new(region, &made)
        .ok_or_else(|| response.protocol_error("instanceId: not a valid id"))?;
    Ok(OperationOwner::new(Some(key)).handle(&Handle::Provision(target).text()))
}

/// The device name of an image's system disk. The image must be free and fit the disk.
fn system_device(name: &str, image: &wire::Image, disk: &Disk) -> Result<String, String> {
    if let Some(licence) = &image.licence {
        return Err(format!(
            "the image {name} has a licence ({licence}) that no line pays for; choose another `image`"
        ));
    }
    let none = || format!("the image {name} has no system disk; choose another `image`");
    let root = image.root.clone().ok_or_else(none)?;
    for (device, size) in &image.disks {
        let size = size.unwrap_or(0);
        if *device != root {
            return Err(format!(
                "the image {name} brings the disk {device} of {size} GiB, which no line pays for; choose another `image`"
            ));
        }
        if size > disk.gib {
            return Err(format!(
                "the image {name} needs a disk of {size} GiB, and {} GiB are bought; ask for a larger `disk_gib`",
                disk.gib
            ));
        }
    }
    Ok(root)
}

/// The disks of a machine's purchase, if they are not recorded: each disk that ends with the machine.
pub(super) fn unrecorded_disks(instance: &wire::Instance) -> Option<String> {
    let made = instance.volumes.iter().filter(|volume| volume.ends).map(|volume| volume.id.as_str());
    let made = made.collect::<Vec<_>>().join(" ");
    let is_noted = made.is_empty() || made.len() > MAX_TAG_CHARS || instance.tags.contains_key(DISKS_TAG);
    (!is_noted).then_some(made)
}

/// Records the disks of a machine's purchase as a tag, once: a disk that is attached later is not among them.
pub(super) async fn record_disks(
    cloud: &Cloud,
    target: &ResourceRef,
    instance: &wire::Instance,
) -> Result<()> {
    let call = Call::Poll;
    let Some(made) = unrecorded_disks(instance) else { return Ok(()) };
    if let Some(key) = key_of(instance) {
        volumes::tag_volumes(cloud, target, &made, &key).await?;
    }
    let fields = [("ResourceId.1", target.id.as_str()), ("Tag.1.Key", DISKS_TAG), ("Tag.1.Value", &made)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked =
        cloud.client(&target.region, call)?.send_ok(&mutation(Call::Act, "CreateTags", &fields)).await;
    match asked {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(instance = target.id, %error, "the disks of the purchase could not be recorded");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}
