//! Floating IPs, at a server's first port if the order says so.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::{client::Cloud, marks::attached_server, resources::Sort};
use super::{ports, server_id, text};
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
pub(in super::super) struct FloatingIp;

#[async_trait]
impl Product<Cloud> for FloatingIp {
    fn kind(&self) -> OfferKind {
        OfferKind::PublicIp
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::FloatingIp]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        if cloud.config.floating_network.is_none() {
            let why = "no public addresses are sold; set `floating_network` in the provider's configuration";
            return Err(cloud.invalid_request(call, why));
        }
        cloud.check_sold(request, call).await
    }

    async fn body(
        &self,
        cloud: &Cloud,
        _: usize,
        order: &Order,
        _: &Parts,
    ) -> Result<Option<Map<String, Value>>> {
        let name = cloud.config.floating_network.as_deref().unwrap_or_default();
        let network = cloud.network(&order.region, name, Call::Provision).await?;
        Ok(Some(Map::from_iter([("floating_network_id".to_owned(), network.into())])))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let call = Call::Poll;
        let (Some(server), Some(address)) = (order.service("attach"), parts.get(0)) else {
            return Ok(Progress::Done);
        };
        let server = server_id(cloud, &order.region, &server, call)?;
        match holder(cloud, &order.region, address, call).await? {
            None => {}
            Some(holder) if holder == server => return Ok(Progress::Done),
            Some(holder) => {
                let message = format!("the floating IP {} is at {holder} already", address.id);
                return Err(cloud.error(call, ErrorKind::Conflict { message }));
            }
        }
        let ports = ports(cloud, &order.region, "device_id", &server, call).await?;
        let port = ports.first().and_then(|port| text(port, "/id")).ok_or_else(|| {
            cloud.invalid_request(call, format!("the server {server} is in no network; give it one"))
        })?;
        let (neutron, mut path) = cloud.versioned(&order.region, "network", "v2.0", call).await?;
        path.extend(["floatingips", &address.id]);
        let body = json!({ "floatingip": { "port_id": port } });
        neutron.send_ok(&Request::put(Call::Act, path).json(&body)).await?;
        Ok(Progress::Running)
    }

    /// The server of somebody else, if the address was bought for one. By itself it is given back wherever it is.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(address) = parts.get(0) else { return Ok(Vec::new()) };
        let Some(own) = attached_server(address) else { return Ok(Vec::new()) };
        let holder = holder(cloud, region, address, call).await?.filter(|holder| *holder != own);
        Ok(holder.map(|holder| format!("an association with the server {holder}")).into_iter().collect())
    }

    /// `address` is what it was called until 0.2.
    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let address = parts.get(0).and_then(|it| it.text("/floating_ip_address"));
        let named = address
            .into_iter()
            .flat_map(|it| ["public_ipv4", "address"].map(|name| (name.to_owned(), it.to_owned())));
        named.collect()
    }
}

/// The server at whose port an address is.
async fn holder(cloud: &Cloud, region: &RegionId, address: &Resource, call: Call) -> Result<Option<String>> {
    let Some(port) = address.text("/port_id") else { return Ok(None) };
    let ports = ports(cloud, region, "id", port, call).await?;
    let device = ports.first().and_then(|port| text(port, "/device_id"));
    Ok(device.filter(|device| !device.is_empty()).map(str::to_owned))
}
