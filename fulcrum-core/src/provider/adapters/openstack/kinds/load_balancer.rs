//! Load balancers of octavia: listener, pool, members and health check in the request that makes them, and gone with it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::{client::Cloud, handle::network_id, resources::Sort};
use super::{ports, server_id, text};
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product},
        },
        portable,
    },
};

/// Seconds between two checks of a target, and of the wait for its answer.
const CHECK_EVERY_S: u64 = 10;
const CHECK_TIMEOUT_S: u64 = 5;
/// Checks in a row that change a target's state.
const CHECKS_TO_CHANGE: u64 = 3;

#[derive(Debug)]
pub(in super::super) struct LoadBalancer;

#[async_trait]
impl Product<Cloud> for LoadBalancer {
    fn kind(&self) -> OfferKind {
        OfferKind::LoadBalancer
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::LoadBalancer]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        cloud.check_sold(request, call).await?;
        portable::ports(&|name| request.setting(name))
            .map(drop)
            .map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(
        &self,
        cloud: &Cloud,
        _: usize,
        order: &Order,
        _: &Parts,
    ) -> Result<Option<Map<String, Value>>> {
        let call = Call::Provision;
        let asked =
            portable::ports(&|name| order.setting(name)).map_err(|why| cloud.invalid_request(call, why))?;
        let (mut members, mut vip) = (Vec::new(), None);
        for service in order.services("targets") {
            let server = server_id(cloud, &order.region, &service, call)?;
            let ports = ports(cloud, &order.region, "device_id", &server, call).await?;
            let fixed = ports.first().and_then(|port| port.pointer("/fixed_ips/0"));
            let address = fixed.and_then(|it| Some((text(it, "/ip_address")?, text(it, "/subnet_id")?)));
            let (address, subnet) = address.ok_or_else(|| {
                cloud.invalid_request(call, format!("the server {server} is in no network; give it one"))
            })?;
            vip = vip.or_else(|| Some(("vip_subnet_id", subnet.to_owned())));
            members.push(json!({ "address": address, "protocol_port": asked.target, "subnet_id": subnet }));
        }
        if let Some(service) = order.service("network") {
            let network = network_id(&order.region, &service).ok_or_else(|| {
                cloud.invalid_request(call, format!("{service} is not a network in {}", order.region))
            })?;
            vip = Some(("vip_network_id", network.to_owned()));
        }
        let (place, id) = match vip {
            Some(place) => place,
            None => ("vip_network_id", default_network(cloud, &order.region, call).await?),
        };
        let protocol = match order.setting("protocol").as_deref() {
            Some("http") => "HTTP",
            _ => "TCP",
        };
        let mut monitor = json!({
            "type": if asked.check.is_some() { "HTTP" } else { "TCP" },
            "delay": CHECK_EVERY_S,
            "timeout": CHECK_TIMEOUT_S,
            "max_retries": CHECKS_TO_CHANGE,
        });
        if let Some(path) = asked.check {
            monitor["url_path"] = path.into();
        }
        let pool = json!({ "name": "targets", "lb_algorithm": "ROUND_ROBIN", "protocol": protocol, "members": members, "healthmonitor": monitor });
        let listener = json!({ "name": "front", "protocol": protocol, "protocol_port": asked.listen, "default_pool": pool });
        let body = json!({ (place): id, "listeners": [listener] });
        Ok(body.as_object().cloned())
    }

    /// Listeners and pools of others: they would end with the load balancer.
    async fn foreign(&self, _: &Cloud, _: &RegionId, parts: &Parts, _: Call) -> Result<Vec<String>> {
        let Some(balancer) = parts.get(0) else { return Ok(Vec::new()) };
        let count = |field: &str| balancer.value.get(field).and_then(Value::as_array).map_or(0, Vec::len);
        let more = [("listeners", "further listeners"), ("pools", "further pools")];
        Ok(more
            .into_iter()
            .filter(|(field, _)| count(field) > 1)
            .map(|(_, words)| words.to_owned())
            .collect())
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let address = parts.get(0).and_then(|it| it.text("/vip_address"));
        address.map(|it| ("private_ip".to_owned(), it.to_owned())).into_iter().collect()
    }
}

/// The configuration's network.
async fn default_network(cloud: &Cloud, region: &RegionId, call: Call) -> Result<String> {
    match cloud.config.network.as_str() {
        "auto" | "none" => {
            let why = "a load balancer without targets needs a network; give it one, or set `network` in the provider's configuration";
            Err(cloud.invalid_request(call, why))
        }
        name => cloud.network(region, name, call).await,
    }
}
