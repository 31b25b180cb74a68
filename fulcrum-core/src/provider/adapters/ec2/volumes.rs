//! Volumes that were made with a machine and have outlived it: somebody has detached them, or set them to stay.

use futures::TryStreamExt;

use super::{
    client::{Cloud, list, mutation, query},
    handle::{Handle, ResourceRef},
    services,
    tags::{KEY_TAG, SKU_TAG},
    wire::{self, Disk},
};
use crate::{
    model::{IdempotencyKey, RegionId, Service, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, Result,
        adapters::{
            common::{CallErrors, RUNNING},
            operation_owner::OperationOwner,
        },
    },
};

fn key_of(disk: &Disk) -> Option<IdempotencyKey> {
    IdempotencyKey::new(disk.tags.get(KEY_TAG)?).ok()
}

/// Tags the volumes of a machine with its key, so that a search finds them without the machine. A final refusal is only logged.
pub(super) async fn tag_volumes(
    cloud: &Cloud,
    target: &ResourceRef,
    made: &str,
    key: &IdempotencyKey,
) -> Result<()> {
    let call = Call::Poll;
    let ids = made.split(' ').zip(1..).map(|(id, at)| (format!("ResourceId.{at}"), id.to_owned()));
    let tag = [("Tag.1.Key", KEY_TAG), ("Tag.1.Value", key.as_str())];
    let tag = tag.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields: Vec<_> = ids.chain(tag).collect();
    match cloud.client(&target.region, call)?.send_ok(&mutation(Call::Act, "CreateTags", &fields)).await {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(instance = target.id, %error, "the disks could not be tagged; a search will not find them without their machine");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The volume of a key in a region whose machine is not in the list, or the machine that such a volume names.
pub(super) async fn find_orphan(
    cloud: &Cloud,
    region: &RegionId,
    key: &IdempotencyKey,
    call: Call,
) -> Result<Option<Service>> {
    let first = query(call, "DescribeVolumes")
        .query("Filter.1.Name", format!("tag:{KEY_TAG}"))
        .query("Filter.1.Value.1", key)
        .query("MaxResults", cloud.config.page_size.clamp(5, 500));
    let listed = list(cloud.client(region, call)?.clone(), first, wire::volumes);
    let listed: Vec<Disk> = match listed.try_collect().await {
        Ok(listed) => listed,
        // Most volumes end with their machine, so a key that may not see volumes can still buy and end machines.
        Err(error) if matches!(error.kind, ErrorKind::Forbidden) => {
            tracing::warn!(%region, %error, "cannot see whether a disk has outlived its machine; allow ec2:DescribeVolumes");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    // A volume that was bought by itself is no part of a machine.
    let is_part = |disk: &Disk| key_of(disk).as_ref() == Some(key) && !disk.tags.contains_key(SKU_TAG);
    let Some(disk) = listed.into_iter().find(|disk| is_part(disk) && exists(disk)) else {
        return Ok(None);
    };
    for machine in disk.machines.iter().filter_map(|id| ResourceRef::new(region, id)) {
        let instance = services::get(cloud, &machine, call).await?;
        if let Some(instance) = instance.filter(|it| services::key_of(it).as_ref() == Some(key)) {
            return services::service_of(cloud, region, &instance, call).map(Some);
        }
    }
    service_of(cloud, region, &disk, call).map(Some)
}

fn exists(disk: &Disk) -> bool {
    disk.status != "deleted"
}

/// One volume; none if it is gone.
async fn get(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<Disk>> {
    let request = query(call, "DescribeVolumes").query("VolumeId.1", &target.id);
    let response = match cloud.client(&target.region, call)?.send_ok(&request).await {
        Ok(response) => response,
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed = wire::read(&response, wire::volumes)?;
    if let Some(other) = listed.items.iter().find(|disk| disk.id != target.id) {
        return Err(response.protocol_error(format!(
            "the response to a request about the volume {} is about {}",
            target.id, other.id
        )));
    }
    if listed.next.is_some() {
        return Err(response.protocol_error("the response about one volume is a list of several pages"));
    }
    Ok(listed.items.into_iter().next().filter(exists))
}

/// A volume without its machine, as a failed service. The volume exists, so a field that cannot be read is an error.
fn service_of(cloud: &Cloud, region: &RegionId, disk: &Disk, call: Call) -> Result<Service> {
    let odd = |what: &str| cloud.protocol_error(call, &format!("the volume {} {what}", disk.id));
    let place = cloud.place(region).ok_or_else(|| odd("is in a region that is not configured"))?;
    let id = ResourceRef::volume(region, &disk.id).and_then(|target| target.service());
    Ok(Service {
        id: id.ok_or_else(|| odd("has an id that is not valid"))?,
        provider: cloud.id().clone(),
        key: key_of(disk),
        sku: SkuId::new(disk.kind.as_deref().unwrap_or("volume")).map_err(|error| odd(&error.to_string()))?,
        place: place.clone(),
        status: ServiceStatus::Failed,
        attributes: [("left".to_owned(), "a volume without its machine".to_owned())].into(),
    })
}

pub(super) async fn describe(cloud: &Cloud, target: &ResourceRef) -> Result<Option<Service>> {
    let disk = get(cloud, target, Call::Describe).await?;
    disk.map(|disk| service_of(cloud, &target.region, &disk, Call::Describe)).transpose()
}

/// Checks that a volume may be deleted: it has a key and no attachment.
fn check(cloud: &Cloud, disk: &Disk, call: Call) -> Result<()> {
    if key_of(disk).is_none() {
        return Err(cloud.error(call, ErrorKind::Forbidden));
    }
    let machines: Vec<_> = disk.machines.iter().map(|id| format!("the instance {id}")).collect();
    match machines.is_empty() {
        true => Ok(()),
        false => Err(cloud.error(call, ErrorKind::attached_to(format!("the volume {}", disk.id), &machines))),
    }
}

pub(super) async fn release(cloud: &Cloud, target: ResourceRef) -> Result<OperationHandle> {
    let mut owner = OperationOwner::default();
    if let Some(disk) = get(cloud, &target, Call::Release).await? {
        check(cloud, &disk, Call::Release)?;
        owner = OperationOwner::new(key_of(&disk).as_ref());
    }
    Ok(owner.handle(&Handle::ReleaseVolume(target).text()))
}

/// Deletes a volume until it is gone.
pub(super) async fn poll_release(
    cloud: &Cloud,
    target: &ResourceRef,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let Some(disk) = get(cloud, target, call).await? else { return Ok(OperationStatus::Succeeded(None)) };
    if !owner.may_release(key_of(&disk).as_ref()).map_err(|kind| cloud.error(call, kind))? {
        return Ok(OperationStatus::Succeeded(None));
    }
    check(cloud, &disk, call)?;
    if disk.status == "deleting" {
        return Ok(RUNNING);
    }
    let ask = mutation(Call::Release, "DeleteVolume", &[("VolumeId".to_owned(), target.id.clone())]);
    match cloud.client(&target.region, call)?.delete_if_exists(&ask).await {
        Ok(true) => Ok(RUNNING),
        Ok(false) => Ok(OperationStatus::Succeeded(None)),
        // The volume is just being detached.
        Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => Ok(RUNNING),
        Err(error) => {
            let error = ProviderError { call, ..error };
            Err(error.of_part(format!("the volume {}", target.id)))
        }
    }
}
