//! Volumes that were made with a machine and have outlived it: somebody has taken them off, or said that they stay.

use futures::TryStreamExt;

use super::{
    cloud::{Cloud, changes, list, reads},
    handle::{Operation, Target},
    instances::{self, KEY},
    wire::{self, Disk},
};
use crate::{
    model::{IdempotencyKey, RegionId, Service, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, Result, adapters::whose::Whose,
    },
};

fn key_of(disk: &Disk) -> Option<IdempotencyKey> {
    IdempotencyKey::new(disk.tags.get(KEY)?).ok()
}

/// Marks the volumes that were made with a machine by its key, so that they are found without it. What is refused for good is
/// only told in the log.
pub(super) async fn mark(cloud: &Cloud, target: &Target, made: &str, key: &IdempotencyKey) -> Result<()> {
    let call = Call::Poll;
    let ids = made.split(' ').zip(1..).map(|(id, at)| (format!("ResourceId.{at}"), id.to_owned()));
    let tag = [("Tag.1.Key", KEY), ("Tag.1.Value", key.as_str())];
    let tag = tag.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields: Vec<_> = ids.chain(tag).collect();
    match cloud.client(&target.region, call)?.send_ok(&changes(Call::Act, "CreateTags", &fields)).await {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(instance = target.id, %error, "its disks are not marked, and not found without it");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// What a key has made in a region and the list of machines does not have: a volume that has outlived its machine, or the
/// machine that such a volume names.
pub(super) async fn left_of(
    cloud: &Cloud,
    region: &RegionId,
    key: &IdempotencyKey,
    call: Call,
) -> Result<Option<Service>> {
    let first = reads(call, "DescribeVolumes")
        .query("Filter.1.Name", format!("tag:{KEY}"))
        .query("Filter.1.Value.1", key)
        .query("MaxResults", cloud.config.page_size.clamp(5, 500));
    let listed = list(cloud.client(region, call)?.clone(), first, wire::volumes);
    let listed: Vec<Disk> = match listed.try_collect().await {
        Ok(listed) => listed,
        // Most volumes end with their machine: who may not see them can buy and end machines all the same.
        Err(error) if matches!(error.kind, ErrorKind::Forbidden) => {
            tracing::warn!(%region, %error, "whether a disk has outlived its machine cannot be seen; allow ec2:DescribeVolumes");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let Some(disk) = listed.into_iter().find(|disk| key_of(disk).as_ref() == Some(key) && exists(disk))
    else {
        return Ok(None);
    };
    for machine in disk.machines.iter().filter_map(|id| Target::new(region, id)) {
        let instance = instances::get(cloud, &machine, call).await?;
        if let Some(instance) = instance.filter(|it| instances::key_of(it).as_ref() == Some(key)) {
            return instances::service_of(cloud, region, &instance, call).map(Some);
        }
    }
    service_of(cloud, region, &disk, call).map(Some)
}

fn exists(disk: &Disk) -> bool {
    disk.status != "deleted"
}

/// One volume; none if it is gone.
async fn get(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<Disk>> {
    let request = reads(call, "DescribeVolumes").query("VolumeId.1", &target.id);
    let response = match cloud.client(&target.region, call)?.send_ok(&request).await {
        Ok(response) => response,
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed = wire::read(&response, wire::volumes)?;
    if let Some(other) = listed.items.iter().find(|disk| disk.id != target.id) {
        return Err(
            response.protocol_error(format!("asked for the volume {}, it tells of {}", target.id, other.id))
        );
    }
    if listed.next.is_some() {
        return Err(response.protocol_error("asked for one volume, it answers with a list that goes on"));
    }
    Ok(listed.items.into_iter().next().filter(exists))
}

/// A volume whose machine is gone, as what is left of a service. It exists: what cannot be read of it is an error.
fn service_of(cloud: &Cloud, region: &RegionId, disk: &Disk, call: Call) -> Result<Service> {
    let odd = |what: &str| {
        cloud.error(call, ErrorKind::Protocol { message: format!("the volume {} {what}", disk.id) })
    };
    let place = cloud.place(region).ok_or_else(|| odd("is in no region that is configured"))?;
    let id = Target::volume(region, &disk.id).and_then(|target| target.service());
    Ok(Service {
        id: id.ok_or_else(|| odd("has an id that is none"))?,
        provider: cloud.id().clone(),
        key: key_of(disk),
        sku: SkuId::new(disk.kind.as_deref().unwrap_or("volume")).map_err(|error| odd(&error.to_string()))?,
        place: place.clone(),
        status: ServiceStatus::Failed,
        attributes: [("left".to_owned(), "a volume without its machine".to_owned())].into(),
    })
}

pub(super) async fn describe(cloud: &Cloud, target: &Target) -> Result<Option<Service>> {
    let disk = get(cloud, target, Call::Describe).await?;
    disk.map(|disk| service_of(cloud, &target.region, &disk, Call::Describe)).transpose()
}

/// That a volume may be ended: it carries a key, and hangs on nothing.
fn check(cloud: &Cloud, disk: &Disk, call: Call) -> Result<()> {
    if key_of(disk).is_none() {
        return Err(cloud.error(call, ErrorKind::Forbidden));
    }
    let machines: Vec<_> = disk.machines.iter().map(|id| format!("the instance {id}")).collect();
    match machines.is_empty() {
        true => Ok(()),
        false => Err(cloud.error(call, ErrorKind::held(format!("the volume {}", disk.id), &machines))),
    }
}

pub(super) async fn release(cloud: &Cloud, target: Target) -> Result<OperationHandle> {
    let mut whose = Whose::default();
    if let Some(disk) = get(cloud, &target, Call::Release).await? {
        check(cloud, &disk, Call::Release)?;
        whose = Whose::of(key_of(&disk).as_ref());
    }
    Ok(whose.handle(&Operation::ReleaseVolume(target).text()))
}

/// Asks for a volume's end until it is gone.
pub(super) async fn poll_release(cloud: &Cloud, target: &Target, whose: &Whose) -> Result<OperationStatus> {
    let call = Call::Poll;
    let running = OperationStatus::Running { percent: None };
    let Some(disk) = get(cloud, target, call).await? else { return Ok(OperationStatus::Succeeded(None)) };
    if !whose.may_end(key_of(&disk).as_ref()).map_err(|kind| cloud.error(call, kind))? {
        return Ok(OperationStatus::Succeeded(None));
    }
    check(cloud, &disk, call)?;
    if disk.status == "deleting" {
        return Ok(running);
    }
    let ask = changes(Call::Release, "DeleteVolume", &[("VolumeId".to_owned(), target.id.clone())]);
    match cloud.client(&target.region, call)?.delete_if_exists(&ask).await {
        Ok(true) => Ok(running),
        Ok(false) => Ok(OperationStatus::Succeeded(None)),
        // It is just taken off.
        Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => Ok(running),
        Err(error) => {
            let error = ProviderError { call, ..error };
            Err(error.of_part(format!("the volume {}", target.id)))
        }
    }
}
