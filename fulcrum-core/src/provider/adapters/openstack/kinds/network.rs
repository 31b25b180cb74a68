//! Private networks of neutron: a network, its subnet, a router to the network of floating IPs if there is one, and a security
//! group if it has a firewall.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::{
    client::Cloud,
    resources::Sort,
    security_groups::{open_firewall, rules},
};
use super::{ports, text};
use crate::{
    model::{FirewallRule, OfferKind, RegionId},
    provider::{
        Call, ErrorKind, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress},
        },
        http::Request,
        portable,
    },
};

/// The positions of the parts.
const NETWORK_INDEX: usize = 0;
const SUBNET_INDEX: usize = 1;
const ROUTER_INDEX: usize = 2;
const FIREWALL_INDEX: usize = 3;
/// Begins the owner of neutron's own ports.
const NEUTRONS_OWN: &str = "network:";
/// The owner of a router's port in the network of floating IPs.
const GATEWAYS_OWN: &str = "network:router_gateway";
/// The owner of a router's ports.
const ROUTERS_OWN: &str = "network:router";

#[derive(Debug)]
pub(in super::super) struct Network;

#[async_trait]
impl Product<Cloud> for Network {
    fn kind(&self) -> OfferKind {
        OfferKind::Network
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::Network, Sort::Subnet, Sort::Router, Sort::SecurityGroup]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        cloud.check_sold(request, call).await?;
        let cidr = portable::Cidr::of(&|name| request.setting(name));
        let rules = FirewallRule::all(request.settings.get("firewall")).map(drop);
        cidr.map(drop).and(rules).map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(
        &self,
        cloud: &Cloud,
        at: usize,
        order: &Order,
        parts: &Parts,
    ) -> Result<Option<Map<String, Value>>> {
        let call = Call::Poll;
        let id = |at: usize| parts.get(at).map(|part| part.id.clone()).unwrap_or_default();
        let body = match at {
            NETWORK_INDEX => json!({}),
            SUBNET_INDEX => {
                let cidr = portable::Cidr::of(&|name| order.setting(name));
                let cidr = cidr.map_err(|why| cloud.invalid_request(call, why))?;
                json!({ "network_id": id(NETWORK_INDEX), "cidr": cidr.to_string(), "ip_version": 4 })
            }
            FIREWALL_INDEX if rules(cloud, order, call)?.is_none() => return Ok(None),
            FIREWALL_INDEX => json!({}),
            _ => {
                let Some(name) = cloud.config.floating_network.as_deref() else { return Ok(None) };
                let outside = cloud.network(&order.region, name, call).await?;
                json!({ "external_gateway_info": { "network_id": outside } })
            }
        };
        Ok(body.as_object().cloned())
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let Some(subnet) = parts.get(SUBNET_INDEX) else { return Ok(Progress::Done) };
        if let (Some(group), Some(rules)) = (parts.get(FIREWALL_INDEX), rules(cloud, order, Call::Poll)?) {
            let cidr = subnet.text("/cidr").unwrap_or_default();
            if open_firewall(cloud, &order.region, &rules, &group.id, cidr).await? == Progress::Running {
                return Ok(Progress::Running);
            }
        }
        let Some(router) = parts.get(ROUTER_INDEX) else { return Ok(Progress::Done) };
        if is_joined(cloud, &order.region, &router.id, &subnet.id).await? {
            return Ok(Progress::Done);
        }
        change_interface(cloud, &order.region, &router.id, &subnet.id, "add_router_interface", Call::Act)
            .await?;
        Ok(Progress::Running)
    }

    /// Ports of others: those of servers and load balancers.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(network) = parts.get(NETWORK_INDEX) else { return Ok(Vec::new()) };
        let own_router = parts.get(ROUTER_INDEX).map(|router| router.id.as_str());
        let ports = ports(cloud, region, "network_id", &network.id, call).await?;
        let is_foreign = |port: &&Value| {
            let owner = text(port, "/device_owner").unwrap_or_default();
            match owner.starts_with(ROUTERS_OWN) {
                true => text(port, "/device_id") != own_router,
                false => !owner.starts_with(NEUTRONS_OWN),
            }
        };
        let named = |port: &Value| format!("the port {}", text(port, "/id").unwrap_or_default());
        let mut found: Vec<String> = ports.iter().filter(is_foreign).map(named).collect();
        let own = parts.get(SUBNET_INDEX).map(|subnet| subnet.id.as_str());
        let subnets = network.value.get("subnets").and_then(Value::as_array);
        let others = subnets.into_iter().flatten().filter_map(Value::as_str).filter(|id| Some(*id) != own);
        found.extend(others.map(|id| format!("the subnet {id}")));
        if let Some(router) = own_router {
            let ports = self::ports(cloud, region, "device_id", router, call).await?;
            let elsewhere = |port: &&Value| {
                text(port, "/device_owner") != Some(GATEWAYS_OWN)
                    && text(port, "/network_id") != Some(network.id.as_str())
            };
            found.extend(ports.iter().filter(elsewhere).map(named));
        }
        Ok(found)
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let (Some(subnet), Some(router)) = (parts.get(SUBNET_INDEX), parts.get(ROUTER_INDEX)) else {
            return Ok(Progress::Done);
        };
        if !is_joined(cloud, region, &router.id, &subnet.id).await? {
            return Ok(Progress::Done);
        }
        change_interface(cloud, region, &router.id, &subnet.id, "remove_router_interface", Call::Release)
            .await?;
        Ok(Progress::Running)
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let Some(subnet) = parts.get(SUBNET_INDEX) else { return BTreeMap::new() };
        let cidr = subnet.text("/cidr").map(|cidr| ("cidr".to_owned(), cidr.to_owned()));
        cidr.into_iter().chain([("subnets".to_owned(), subnet.id.clone())]).collect()
    }
}

/// Whether a router has a port in a subnet.
async fn is_joined(cloud: &Cloud, region: &RegionId, router: &str, subnet: &str) -> Result<bool> {
    let ports = ports(cloud, region, "device_id", router, Call::Poll).await?;
    let is_there = |port: &Value| {
        let addresses = port.get("fixed_ips").and_then(Value::as_array);
        addresses.into_iter().flatten().any(|it| text(it, "/subnet_id") == Some(subnet))
    };
    Ok(ports.iter().any(is_there))
}

async fn change_interface(
    cloud: &Cloud,
    region: &RegionId,
    router: &str,
    subnet: &str,
    what: &str,
    call: Call,
) -> Result<()> {
    let (neutron, mut path) = cloud.versioned(region, "network", "v2.0", call).await?;
    path.extend(["routers", router, what]);
    let request = Request::put(call, path).json(&json!({ "subnet_id": subnet }));
    match neutron.send_ok(&request).await {
        // Somebody else was faster; the ports tell.
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. } | ErrorKind::InvalidRequest { .. }) => {
            Ok(())
        }
        changed => changed.map(drop),
    }
}
