//! Machines: ordered with their key, found by its tag, read as services.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine;
use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};

use super::{
    Ec2Config,
    cloud::{Cloud, changes, list, reads},
    handle::{Operation, Target},
    volumes, wire,
};
use crate::{
    model::{IdempotencyKey, Offer, Place, RegionId, Service, ServiceStatus, ZoneId},
    provider::{
        Call, ErrorKind, Line, OperationHandle, Priced, ProvisionRequest, Result,
        adapters::{bought::answered, whose::Whose},
    },
};

/// The tag that holds a machine's key.
pub(super) const KEY: &str = "fulcrum-key";
/// The zone that was bought; a machine without it may be in any.
const ZONE: &str = "fulcrum-zone";
/// The tag that names the disks which were made with a machine.
const DISKS: &str = "fulcrum-disks";
/// Characters that a tag may have.
const MAX_TAG: usize = 255;

/// What each field of the request that orders a machine costs.
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

/// Orders a machine.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let call = Call::Provision;
    let offer = cloud.sold(request, call).await?;
    let (config, region) = (&cloud.config, &request.place.region);
    let setting =
        |name: &str, otherwise: &Option<String>| request.setting(name).or_else(|| otherwise.clone());
    let image = setting("image", &config.image).ok_or_else(|| {
        cloud.invalid(call, "no image; write the setting `image`, here or in the provider's configuration")
    })?;
    let disk = Disk::of(request, offer, config).map_err(|why| cloud.invalid(call, why))?;
    let root = cloud.image(region, &image, call).await?;
    let root = root_of(&image, &root, &disk).map_err(|why| cloud.invalid(call, why))?;
    let name: String = request.name.chars().filter(|c| !c.is_control()).take(MAX_TAG).collect();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| fields.push((name.to_owned(), value));
    put("ImageId", image);
    put("InstanceType", request.sku.to_string());
    put("MinCount", "1".to_owned());
    put("MaxCount", "1".to_owned());
    put("ClientToken", key.to_string());
    put("TagSpecification.1.ResourceType", "instance".to_owned());
    let zone = request.place.zone.as_ref();
    let tags = [(KEY, Some(key.to_string())), ("Name", Some(name)), (ZONE, zone.map(ToString::to_string))];
    let tags = tags.into_iter().filter_map(|(name, value)| Some((name, value.filter(|it| !it.is_empty())?)));
    for ((name, value), at) in tags.zip(1..) {
        put(&format!("TagSpecification.1.Tag.{at}.Key"), name.to_owned());
        put(&format!("TagSpecification.1.Tag.{at}.Value"), value);
    }
    if let Some(zone) = zone {
        put("Placement.AvailabilityZone", zone.to_string());
    }
    // Nothing is left, and costs money, when the machine ends: images may say otherwise.
    put("BlockDeviceMapping.1.DeviceName", root);
    put("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true".to_owned());
    put("BlockDeviceMapping.1.Ebs.VolumeSize", disk.gib.to_string());
    put("BlockDeviceMapping.1.Ebs.VolumeType", disk.kind);
    if let Some(name) = setting("key_name", &config.key_name) {
        put("KeyName", name);
    }
    // Whether there is a public address is said with the network interface, and then all else of it.
    put("NetworkInterface.1.DeviceIndex", "0".to_owned());
    put("NetworkInterface.1.DeleteOnTermination", "true".to_owned());
    put("NetworkInterface.1.AssociatePublicIpAddress", config.public_ip.to_string());
    if let Some(subnet) = setting("subnet", &config.subnet) {
        put("NetworkInterface.1.SubnetId", subnet);
    }
    if let Some(groups) = setting("security_groups", &config.security_groups) {
        for (group, at) in groups.split(',').zip(1..) {
            put(&format!("NetworkInterface.1.SecurityGroupId.{at}"), group.trim().to_owned());
        }
    }
    if let Some(text) = setting("user_data", &None) {
        put("UserData", base64::engine::general_purpose::STANDARD.encode(text));
    }
    let asked = changes(call, "RunInstances", &fields).for_sku(&request.sku);
    let response = answered(cloud.client(region, call)?.send_ok(&asked).await)?;
    let made = wire::read(&response, wire::made)?;
    let target =
        Target::new(region, &made).ok_or_else(|| response.protocol_error("instanceId: it is none"))?;
    Ok(Whose::of(Some(key)).handle(&Operation::Provision(target).text()))
}

/// The system disk of a machine.
struct Disk {
    gib: u64,
    /// What the cloud calls its type.
    kind: String,
}

/// Types of disks whose price is that of their size.
pub(super) const BY_SIZE: [&str; 5] = ["standard", "gp2", "gp3", "st1", "sc1"];

impl Disk {
    /// The disk that is part of the machine, and what was bought beyond.
    fn of(request: &ProvisionRequest, offer: &Offer, config: &Ec2Config) -> Result<Self, String> {
        let gib = offer.capacity.disk_gib.checked_add(request.size_gib);
        let gib = gib.ok_or_else(|| format!("{} GiB are no size of a disk", request.size_gib))?;
        let sku = offer.elastic_disk.as_ref().map(|disk| disk.sku.as_str());
        let kind = sku.filter(|sku| BY_SIZE.contains(sku)).unwrap_or(&config.volume_type);
        if !BY_SIZE.contains(&kind) {
            return Err(format!(
                "a disk of the type {kind} is not paid by its size alone; set `volume_type` to one of {}",
                BY_SIZE.join(", ")
            ));
        }
        Ok(Self { gib, kind: kind.to_owned() })
    }
}

/// What an image calls its system disk, if it can be had for what the machine costs.
fn root_of(name: &str, image: &wire::Image, disk: &Disk) -> Result<String, String> {
    if let Some(licence) = &image.licence {
        return Err(format!(
            "the image {name} is paid for ({licence}), at a price that no line has; choose another `image`"
        ));
    }
    let none = || format!("the image {name} has no system disk that could be sized; choose another `image`");
    let root = image.root.clone().ok_or_else(none)?;
    for (device, size) in &image.disks {
        let size = size.unwrap_or(0);
        if *device != root {
            return Err(format!(
                "the image {name} brings the disk {device} of {size} GiB, which no line has; choose another `image`"
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

fn exists(instance: &wire::Instance) -> bool {
    instance.state != "terminated"
}

/// One machine, also one that has ended and is still shown.
pub(super) async fn look(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Instance>> {
    let request = reads(call, "DescribeInstances").query("InstanceId.1", &target.id);
    let response = match cloud.client(&target.region, call)?.send_ok(&request).await {
        Ok(response) => response,
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed = wire::read(&response, wire::instances)?;
    if let Some(other) = listed.items.iter().find(|instance| instance.id != target.id) {
        let message = format!("asked for the instance {}, it tells of {}", target.id, other.id);
        return Err(response.protocol_error(message));
    }
    if listed.next.is_some() {
        return Err(response.protocol_error("asked for one instance, it answers with a list that goes on"));
    }
    Ok(listed.items.into_iter().next())
}

/// One machine; none if it is gone or was never there.
pub(super) async fn get(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Instance>> {
    Ok(look(cloud, target, call).await?.filter(exists))
}

/// A machine that this library has made; none if it is gone.
pub(super) async fn get_own(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Instance>> {
    match get(cloud, target, call).await? {
        Some(instance) if key_of(&instance).is_none() => {
            let message = format!("{} was not made by this library", instance.id);
            Err(cloud.error(call, ErrorKind::Conflict { message }))
        }
        instance => Ok(instance),
    }
}

/// The disks that a machine's purchase made, if they are not written down: all that it makes ends with the machine.
fn unnoted(instance: &wire::Instance) -> Option<String> {
    let made = instance.volumes.iter().filter(|volume| volume.ends).map(|volume| volume.id.as_str());
    let made = made.collect::<Vec<_>>().join(" ");
    let is_noted = made.is_empty() || made.len() > MAX_TAG || instance.tags.contains_key(DISKS);
    (!is_noted).then_some(made)
}

/// Writes down which disks a machine's purchase made, once: what is attached later is not among them.
pub(super) async fn note_disks(cloud: &Cloud, target: &Target, instance: &wire::Instance) -> Result<()> {
    let call = Call::Poll;
    let Some(made) = unnoted(instance) else { return Ok(()) };
    if let Some(key) = key_of(instance) {
        volumes::mark(cloud, target, &made, &key).await?;
    }
    let fields = [("ResourceId.1", target.id.as_str()), ("Tag.1.Key", DISKS), ("Tag.1.Value", &made)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = cloud.client(&target.region, call)?.send_ok(&changes(Call::Act, "CreateTags", &fields)).await;
    match asked {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(instance = target.id, %error, "it is not written down which disks the purchase made");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// That nothing hangs on a machine which its purchase did not make. Where it is not written down what it made, disks are its
/// own which end with it: attached later they stay, unless their owner asks for it.
pub(super) fn check_attached(cloud: &Cloud, instance: &wire::Instance, call: Call) -> Result<()> {
    let noted = instance.tags.get(DISKS);
    let is_own = |volume: &&wire::Volume| match noted {
        Some(noted) => noted.split(' ').any(|id| id == volume.id),
        None => volume.ends,
    };
    let volumes = instance.volumes.iter().filter(|volume| !is_own(volume));
    let volumes = volumes.map(|volume| format!("the volume {}", volume.id));
    let interfaces = instance.interfaces.iter().map(|id| format!("the network interface {id}"));
    let parts: Vec<_> = volumes.chain(interfaces).collect();
    match parts.is_empty() {
        true => Ok(()),
        false => Err(cloud.error(call, ErrorKind::attached(&instance.id, &parts))),
    }
}

/// The machines of a region that carry a key, of one key if it is given; one request for each page polled.
pub(super) fn of_region(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: Option<&IdempotencyKey>,
    call: Call,
) -> BoxStream<'static, Result<Service>> {
    let client = match cloud.client(region, call) {
        Ok(client) => client.clone(),
        Err(error) => return futures::stream::iter([Err(error)]).boxed(),
    };
    let first = reads(call, "DescribeInstances").query("MaxResults", cloud.config.page_size.clamp(5, 1000));
    let first = match key {
        Some(key) => first.query("Filter.1.Name", format!("tag:{KEY}")).query("Filter.1.Value.1", key),
        None => first.query("Filter.1.Name", "tag-key").query("Filter.1.Value.1", KEY),
    };
    let (cloud, region, key) = (cloud.clone(), region.clone(), key.cloned());
    let own = move |instance: wire::Instance| {
        let own = key_of(&instance).filter(|own| key.as_ref().is_none_or(|key| own == key));
        let own = own.filter(|_| exists(&instance));
        let service = own.map(|_| service_of(&cloud, &region, &instance, call)).transpose();
        // Who looks by the key goes on with the purchase: its disks are not written down yet.
        let is_unfinished = call == Call::FindByKey && unnoted(&instance).is_some();
        future::ready(service.map(|service| {
            service.map(|service| match service.status {
                ServiceStatus::Running if is_unfinished => {
                    Service { status: ServiceStatus::Starting, ..service }
                }
                _ => service,
            })
        }))
    };
    list(client, first, wire::instances).try_filter_map(own).boxed()
}

/// What a key has made in a region, as far as lists show it.
pub(super) async fn find(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: &IdempotencyKey,
) -> Result<Option<Service>> {
    let all: Vec<Service> = of_region(cloud, region, Some(key), Call::FindByKey).try_collect().await?;
    // What is ending is nobody's any more if there is another.
    let is_ending = |service: &&Service| service.status == ServiceStatus::Releasing;
    match all.iter().find(|it| !is_ending(it)).or(all.first()) {
        None => volumes::left_of(cloud, region, key, Call::FindByKey).await,
        found => Ok(found.cloned()),
    }
}

/// The key that a machine was made with.
pub(super) fn key_of(instance: &wire::Instance) -> Option<IdempotencyKey> {
    IdempotencyKey::new(instance.tags.get(KEY)?).ok()
}

fn status_of(state: &str) -> ServiceStatus {
    match state {
        // It works until it has stopped.
        "running" | "stopping" => ServiceStatus::Running,
        "stopped" => ServiceStatus::Stopped,
        "shutting-down" => ServiceStatus::Releasing,
        _ => ServiceStatus::Starting,
    }
}

/// A machine as a service, without a key if it is not of this library. It exists: what cannot be read of it is an error.
pub(super) fn service_of(
    cloud: &Cloud,
    region: &RegionId,
    instance: &wire::Instance,
    call: Call,
) -> Result<Service> {
    let odd = |what: &str| {
        cloud.error(call, ErrorKind::Protocol { message: format!("the instance {} {what}", instance.id) })
    };
    let place = cloud.place(region).ok_or_else(|| odd("is in no region that is configured"))?;
    let target = Target::new(region, &instance.id).ok_or_else(|| odd("has an id that is none"))?;
    let zone = instance.tags.get(ZONE).and_then(|zone| ZoneId::new(zone).ok());
    let mut attributes = BTreeMap::new();
    let facts = [
        ("address", instance.public.as_ref().or(instance.private.as_ref())),
        ("private_address", instance.private.as_ref()),
        ("zone", instance.zone.as_ref()),
        ("name", instance.tags.get("Name")),
    ];
    for (name, value) in facts {
        attributes.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    Ok(Service {
        id: target.service().ok_or_else(|| odd("has an id that is none"))?,
        provider: cloud.id().clone(),
        key: key_of(instance),
        sku: instance.kind.clone(),
        place: Place { zone, ..place.clone() },
        status: status_of(&instance.state),
        attributes,
    })
}
