//! Volumes (EBS), attached to a machine if the order says so.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

use super::super::{
    client::{Cloud, mutation, query},
    endpoints::ApiName,
    query_api::{Fields, fields},
    resources::Sort,
    tags::attached_machine,
};
use super::{check_sold, machine_id};
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ErrorKind, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress, Resource},
        },
    },
};

/// The names of devices at a machine that AWS recommends for further volumes.
const DEVICES: std::ops::RangeInclusive<char> = 'f'..='p';

#[derive(Debug)]
pub(in super::super) struct BlockStorage;

#[async_trait]
impl Product<Cloud> for BlockStorage {
    fn kind(&self) -> OfferKind {
        OfferKind::BlockStorage
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::Volume]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await?;
        match request.size_gib {
            0 => Err(cloud.invalid_request(call, "a volume of 0 GiB cannot be made; ask for more")),
            _ => Ok(()),
        }
    }

    async fn body(&self, cloud: &Cloud, _: usize, order: &Order, _: &Parts) -> Result<Option<Fields>> {
        let call = Call::Provision;
        let mut zone = order.zone.as_ref().map(ToString::to_string);
        if zone.is_none()
            && let Some(machine) = order.service("attach")
        {
            zone = zone_of(cloud, order, &machine, call).await?;
        }
        if zone.is_none() {
            zone = cloud.zone_names(&order.region, call).await?.into_iter().next();
        }
        let zone =
            zone.ok_or_else(|| cloud.invalid_request(call, format!("{} has no zone", order.region)))?;
        Ok(Some(fields([
            ("AvailabilityZone", zone),
            ("ClientToken", order.key.to_string()),
            ("Size", order.size_gib.to_string()),
            ("VolumeType", order.sku.to_string()),
        ])))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let call = Call::Poll;
        let (Some(machine), Some(volume)) = (order.service("attach"), parts.get(0)) else {
            return Ok(Progress::Done);
        };
        let machine = machine_id(cloud, &order.region, &machine, call)?;
        match attachments(volume).find(|(id, _)| *id == machine) {
            Some((_, "attached")) => return Ok(Progress::Done),
            Some(_) => return Ok(Progress::Running),
            None => {}
        }
        let device = free_device(cloud, &order.region, &machine, &volume.id, call).await?;
        let attach = mutation(
            Call::Act,
            "AttachVolume",
            &fields([("Device", device), ("InstanceId", machine), ("VolumeId", volume.id.clone())]),
        );
        match cloud.change(ApiName::Ec2, &order.region, &attach).await {
            // Another volume has taken the device's name meanwhile.
            Err(error) if matches!(&error.kind, ErrorKind::InvalidRequest { message } if message.contains("in use")) =>
                {}
            attached => drop(attached?),
        }
        Ok(Progress::Running)
    }

    async fn foreign(&self, _: &Cloud, _: &RegionId, parts: &Parts, _: Call) -> Result<Vec<String>> {
        let Some(volume) = parts.get(0) else { return Ok(Vec::new()) };
        let own = attached_machine(volume);
        let others = attachments(volume).filter(|(id, _)| own.as_deref() != Some(*id));
        Ok(others.map(|(id, _)| format!("an attachment to the instance {id}")).collect())
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let Some(volume) = parts.get(0) else { return Ok(Progress::Done) };
        let attached: Vec<_> = attachments(volume).collect();
        for (machine, state) in &attached {
            if *state != "detaching" {
                let from = [("InstanceId", (*machine).to_owned()), ("VolumeId", volume.id.clone())];
                let detach = mutation(Call::Release, "DetachVolume", &fields(from));
                cloud.change(ApiName::Ec2, region, &detach).await?;
            }
        }
        Ok(if attached.is_empty() { Progress::Done } else { Progress::Running })
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let Some(volume) = parts.get(0) else { return BTreeMap::new() };
        let device = volume.text("/attachmentSet/0/device").map(|it| ("device".to_owned(), it.to_owned()));
        let zone = volume.text("/availabilityZone").map(|it| ("zone".to_owned(), it.to_owned()));
        device.into_iter().chain(zone).collect()
    }
}

/// The machines that a volume is attached to, and the state of each attachment.
fn attachments(volume: &Resource) -> impl Iterator<Item = (&str, &str)> {
    let all = volume.value.pointer("/attachmentSet").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|it| {
        let state = it.get("status").and_then(Value::as_str).unwrap_or("attached");
        (state != "detached").then_some((it.get("instanceId")?.as_str()?, state))
    })
}

async fn zone_of(cloud: &Cloud, order: &Order, machine: &str, call: Call) -> Result<Option<String>> {
    let instance =
        instance(cloud, &order.region, &machine_id(cloud, &order.region, machine, call)?, call).await?;
    Ok(instance.pointer("/placement/availabilityZone").and_then(Value::as_str).map(str::to_owned))
}

/// A machine as the API tells it.
async fn instance(cloud: &Cloud, region: &RegionId, id: &str, call: Call) -> Result<Value> {
    let rows = cloud
        .rows(
            ApiName::Ec2,
            region,
            query(call, "DescribeInstances").query("InstanceId.1", id),
            "/reservationSet",
        )
        .await?;
    let instance = rows.first().and_then(|row| row.pointer("/instancesSet/0")).cloned();
    instance.ok_or_else(|| cloud.error(call, ErrorKind::NotFound { what: format!("the instance {id}") }))
}

/// A device's name that is free at a machine. Different volumes begin to look at different names.
async fn free_device(
    cloud: &Cloud,
    region: &RegionId,
    machine: &str,
    volume: &str,
    call: Call,
) -> Result<String> {
    let instance = instance(cloud, region, machine, call).await?;
    let taken = instance.pointer("/blockDeviceMapping").and_then(Value::as_array);
    let taken: BTreeSet<&str> =
        taken.into_iter().flatten().filter_map(|it| it.get("deviceName")?.as_str()).collect();
    let names: Vec<String> = DEVICES.map(|letter| format!("/dev/sd{letter}")).collect();
    let first = volume.bytes().map(usize::from).sum::<usize>() % names.len();
    let mut free = (0..names.len()).filter_map(|at| names.get((first + at) % names.len()));
    let free = free.find(|name| !taken.contains(name.as_str())).cloned();
    free.ok_or_else(|| {
        cloud.invalid_request(call, format!("the instance {machine} has no name left for another volume"))
    })
}
