//! Machines: found by their key's tag, and read as services.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};

use super::{
    client::{Cloud, list, query},
    handle::ResourceRef,
    provision::{DISKS_TAG, unrecorded_disks},
    tags::{KEY_TAG, ZONE_TAG},
    volumes, wire,
};
use crate::{
    model::{IdempotencyKey, Place, RegionId, Service, ServiceStatus, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, Result,
        adapters::common::CallErrors,
        portable::{NO_ADDRESS_LABEL, sku_without_address},
    },
};

fn exists(instance: &wire::Instance) -> bool {
    instance.state != "terminated"
}

/// One machine, also one that has ended and is still listed.
pub(super) async fn get_with_ended(
    cloud: &Cloud,
    target: &ResourceRef,
    call: Call,
) -> Result<Option<wire::Instance>> {
    let request = query(call, "DescribeInstances").query("InstanceId.1", &target.id);
    let response = match cloud.client(&target.region, call)?.send_ok(&request).await {
        Ok(response) => response,
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed = wire::read(&response, wire::instances)?;
    if let Some(other) = listed.items.iter().find(|instance| instance.id != target.id) {
        let message =
            format!("the response to a request about the instance {} is about {}", target.id, other.id);
        return Err(response.protocol_error(message));
    }
    if listed.next.is_some() {
        return Err(response.protocol_error("the response about one instance is a list of several pages"));
    }
    Ok(listed.items.into_iter().next())
}

/// One machine; none if it is gone or was never there.
pub(super) async fn get(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<wire::Instance>> {
    Ok(get_with_ended(cloud, target, call).await?.filter(exists))
}

/// A machine that this library has made; none if it is gone.
pub(super) async fn get_own(
    cloud: &Cloud,
    target: &ResourceRef,
    call: Call,
) -> Result<Option<wire::Instance>> {
    match get(cloud, target, call).await? {
        Some(instance) if key_of(&instance).is_none() => {
            let message = format!("{} was not made by this library; it is not changed", instance.id);
            Err(cloud.error(call, ErrorKind::Conflict { message }))
        }
        instance => Ok(instance),
    }
}

/// Checks that nothing is attached to a machine which its purchase did not make. Without the record of its own disks, those
/// that end with the machine count as its own: a disk that is attached later stays, unless its owner sets it to end.
pub(super) fn check_attached(cloud: &Cloud, instance: &wire::Instance, call: Call) -> Result<()> {
    let noted = instance.tags.get(DISKS_TAG);
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

/// The machines of a region with any key, or with the given key; one request for each page polled.
pub(super) fn list_region(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: Option<&IdempotencyKey>,
    call: Call,
) -> BoxStream<'static, Result<Service>> {
    let client = match cloud.client(region, call) {
        Ok(client) => client.clone(),
        Err(error) => return futures::stream::iter([Err(error)]).boxed(),
    };
    let first = query(call, "DescribeInstances").query("MaxResults", cloud.config.page_size.clamp(5, 1000));
    let first = match key {
        Some(key) => first.query("Filter.1.Name", format!("tag:{KEY_TAG}")).query("Filter.1.Value.1", key),
        None => first.query("Filter.1.Name", "tag-key").query("Filter.1.Value.1", KEY_TAG),
    };
    let (cloud, region, key) = (cloud.clone(), region.clone(), key.cloned());
    let own = move |instance: wire::Instance| {
        let own = key_of(&instance).filter(|own| key.as_ref().is_none_or(|key| own == key));
        let own = own.filter(|_| exists(&instance));
        let service = own.map(|_| service_of(&cloud, &region, &instance, call)).transpose();
        // A look-up by key continues the purchase, as its disks are not recorded yet.
        let is_unfinished = call == Call::FindByKey && unrecorded_disks(&instance).is_some();
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

/// The service of a key in a region, as far as lists show it.
pub(super) async fn find_in_region(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: &IdempotencyKey,
) -> Result<Option<Service>> {
    let all: Vec<Service> = list_region(cloud, region, Some(key), Call::FindByKey).try_collect().await?;
    // A machine that is ending does not count if there is another one.
    let is_ending = |service: &&Service| service.status == ServiceStatus::Releasing;
    match all.iter().find(|it| !is_ending(it)).or(all.first()) {
        None => volumes::find_orphan(cloud, region, key, Call::FindByKey).await,
        found => Ok(found.cloned()),
    }
}

/// The key that a machine was made with.
pub(super) fn key_of(instance: &wire::Instance) -> Option<IdempotencyKey> {
    IdempotencyKey::new(instance.tags.get(KEY_TAG)?).ok()
}

/// The product code of a machine.
pub(super) fn sku_of(instance: &wire::Instance) -> SkuId {
    let is_without = instance.tags.contains_key(NO_ADDRESS_LABEL);
    let without = || sku_without_address(instance.kind.as_str());
    is_without.then(without).flatten().unwrap_or_else(|| instance.kind.clone())
}

fn status_of(state: &str) -> ServiceStatus {
    match state {
        // A machine that is stopping still runs.
        "running" | "stopping" => ServiceStatus::Running,
        "stopped" => ServiceStatus::Stopped,
        "shutting-down" => ServiceStatus::Releasing,
        _ => ServiceStatus::Starting,
    }
}

/// A machine as a service, without a key if this library did not make it. The machine exists, so a field that cannot be read is
/// an error.
pub(super) fn service_of(
    cloud: &Cloud,
    region: &RegionId,
    instance: &wire::Instance,
    call: Call,
) -> Result<Service> {
    let odd = |what: &str| cloud.protocol_error(call, &format!("the instance {} {what}", instance.id));
    let place = cloud.place(region).ok_or_else(|| odd("is in a region that is not configured"))?;
    let target = ResourceRef::new(region, &instance.id).ok_or_else(|| odd("has an id that is not valid"))?;
    let zone = instance.tags.get(ZONE_TAG).and_then(|zone| ZoneId::new(zone).ok());
    let mut attributes = BTreeMap::new();
    let facts = [
        ("public_ipv4", instance.public.as_ref()),
        ("private_ip", instance.private.as_ref()),
        // As they were called until 0.2.
        ("address", instance.public.as_ref().or(instance.private.as_ref())),
        ("private_address", instance.private.as_ref()),
        ("zone", instance.zone.as_ref()),
        ("name", instance.tags.get("Name")),
    ];
    for (name, value) in facts {
        attributes.extend(value.map(|value| (name.to_owned(), value.clone())));
    }
    Ok(Service {
        id: target.service().ok_or_else(|| odd("has an id that is not valid"))?,
        provider: cloud.id().clone(),
        key: key_of(instance),
        sku: sku_of(instance),
        place: Place { zone, ..place.clone() },
        status: status_of(&instance.state),
        attributes,
    })
}
