//! Volumes of cinder, attached to a server if the order says so.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::{client::Cloud, marks::attached_server, resources::Sort};
use super::server_id;
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ErrorKind, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress, Resource},
        },
        http::Request,
    },
};

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
        cloud.check_sold(request, call).await?;
        match request.size_gib {
            0 => Err(cloud.invalid_request(call, "a volume of 0 GiB cannot be made; ask for more")),
            _ => Ok(()),
        }
    }

    async fn body(
        &self,
        _: &Cloud,
        _: usize,
        order: &Order,
        _: &Parts,
    ) -> Result<Option<Map<String, Value>>> {
        let mut body = Map::from_iter([
            ("size".to_owned(), order.size_gib.into()),
            ("volume_type".to_owned(), order.sku.as_str().into()),
        ]);
        body.extend(order.zone.as_ref().map(|zone| ("availability_zone".to_owned(), zone.as_str().into())));
        Ok(Some(body))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let call = Call::Poll;
        let (Some(server), Some(volume)) = (order.service("attach"), parts.get(0)) else {
            return Ok(Progress::Done);
        };
        let server = server_id(cloud, &order.region, &server, call)?;
        if servers(volume).any(|id| id == server) {
            return Ok(Progress::Done);
        }
        let compute = cloud.compute(&order.region, call).await?;
        let body = json!({ "volumeAttachment": { "volumeId": volume.id } });
        let path = ["servers", server.as_str(), "os-volume_attachments"];
        let attach = compute.with_version(Request::post(Call::Act, path).json(&body));
        compute.client.send_ok(&attach).await?;
        Ok(Progress::Running)
    }

    async fn foreign(&self, _: &Cloud, _: &RegionId, parts: &Parts, _: Call) -> Result<Vec<String>> {
        let Some(volume) = parts.get(0) else { return Ok(Vec::new()) };
        let own = attached_server(volume);
        let others = servers(volume).filter(|id| own.as_deref() != Some(*id));
        Ok(others.map(|id| format!("an attachment to the server {id}")).collect())
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let call = Call::Poll;
        let Some(volume) = parts.get(0) else { return Ok(Progress::Done) };
        let mut progress = Progress::Done;
        for server in servers(volume) {
            progress = Progress::Running;
            if volume.text("/status") == Some("detaching") {
                continue;
            }
            let compute = cloud.compute(region, call).await?;
            let path = ["servers", server, "os-volume_attachments", &volume.id];
            let detach = compute.with_version(Request::delete(Call::Release, path));
            match compute.client.delete_if_exists(&detach).await {
                // It is just being attached or detached.
                Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => {}
                detached => drop(detached?),
            }
        }
        Ok(progress)
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let device = parts.get(0).and_then(|volume| volume.text("/attachments/0/device"));
        device.map(|it| ("device".to_owned(), it.to_owned())).into_iter().collect()
    }
}

/// The servers that a volume is attached to.
fn servers(volume: &Resource) -> impl Iterator<Item = &str> {
    let all = volume.value.get("attachments").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|it| it.get("server_id")?.as_str())
}
