//! Machines: ordered with their key, found by its tag, read as services.

use std::{collections::BTreeMap, sync::Arc};

use base64::Engine;
use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};

use super::{
    cloud::{Cloud, changes, list, reads},
    handle::{Operation, Target},
    wire,
};
use crate::{
    model::{IdempotencyKey, OfferKind, Place, PurchaseOption, RegionId, Service, ServiceStatus, ZoneId},
    provider::{Call, ErrorKind, OperationHandle, ProvisionRequest, Result},
};

/// The tag that holds a machine's key.
pub(super) const KEY: &str = "fulcrum-key";
/// The zone that was bought; a machine without it may be in any.
const ZONE: &str = "fulcrum-zone";
/// Characters that a tag may have.
const MAX_TAG: usize = 255;

/// Orders a machine.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let call = Call::Provision;
    if request.kind != OfferKind::Machine || request.purchase_option != PurchaseOption::OnDemand {
        return Err(cloud.invalid(call, "only machines are sold here, and on demand only"));
    }
    let (config, region) = (&cloud.config, &request.place.region);
    let setting =
        |name: &str, otherwise: &Option<String>| request.setting(name).or_else(|| otherwise.clone());
    let image = setting("image", &config.image).ok_or_else(|| {
        cloud.invalid(call, "no image; write the setting `image`, here or in the provider's configuration")
    })?;
    let disks = cloud.image(region, &image, call).await?;
    if request.size_gib > 0 && disks.root.is_none() {
        return Err(
            cloud.invalid(call, format!("{image} has no system disk that could be sized; buy no disk"))
        );
    }
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
    let sized = disks.root.filter(|_| request.size_gib > 0).map(|root| (root, Some(request.size_gib)));
    let others =
        disks.disks.into_iter().filter(|(name, _)| sized.as_ref().is_none_or(|(root, _)| root != name));
    for ((name, size), at) in sized.iter().cloned().chain(others).zip(1..) {
        put(&format!("BlockDeviceMapping.{at}.DeviceName"), name);
        put(&format!("BlockDeviceMapping.{at}.Ebs.DeleteOnTermination"), "true".to_owned());
        if let Some(size) = size {
            put(&format!("BlockDeviceMapping.{at}.Ebs.VolumeSize"), size.to_string());
        }
    }
    if let Some(name) = setting("key_name", &config.key_name) {
        put("KeyName", name);
    }
    if let Some(subnet) = setting("subnet", &config.subnet) {
        put("SubnetId", subnet);
    }
    if let Some(groups) = setting("security_groups", &config.security_groups) {
        for (group, at) in groups.split(',').zip(1..) {
            put(&format!("SecurityGroupId.{at}"), group.trim().to_owned());
        }
    }
    if let Some(text) = setting("user_data", &None) {
        put("UserData", base64::engine::general_purpose::STANDARD.encode(text));
    }
    let asked = changes(call, "RunInstances", &fields).about(&request.sku);
    let answer = cloud.client(region, call)?.ask(&asked).await?;
    let made = wire::read(&answer, wire::made)?;
    let target = Target::new(region, &made).ok_or_else(|| answer.nonsense("instanceId: it is none"))?;
    Ok(Operation::Provision(target).handle())
}

fn exists(instance: &wire::Instance) -> bool {
    instance.state != "terminated"
}

/// One machine, also one that has ended and is still shown.
pub(super) async fn look(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Instance>> {
    let request = reads(call, "DescribeInstances").query("InstanceId.1", &target.id);
    let answer = match cloud.client(&target.region, call)?.ask(&request).await {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed = wire::read(&answer, wire::instances)?;
    match listed.items.into_iter().find(|instance| instance.id == target.id) {
        None if listed.next.is_some() => {
            Err(answer.nonsense("asked for one instance, it answers with a list that goes on"))
        }
        found => Ok(found),
    }
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
        future::ready(own.map(|_| service_of(&cloud, &region, &instance, call)).transpose())
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
    Ok(all.iter().find(|it| !is_ending(it)).or(all.first()).cloned())
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
