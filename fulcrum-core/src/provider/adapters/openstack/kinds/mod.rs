//! The kinds of product beside servers, each on the kit.

mod block_storage;
mod floating_ip;
mod load_balancer;
mod network;
mod object_storage;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{client::Cloud, handle::ResourceRef};
use crate::{
    model::{DeclaredSetting, OfferKind, RegionId, SettingType},
    provider::{
        Call, Result,
        adapters::{common::CallErrors, kit::Product},
        http::Request,
        portable,
    },
};

/// All kinds of product that the adapter can buy.
pub fn all_kinds() -> BTreeSet<OfferKind> {
    BTreeSet::from([
        OfferKind::Machine,
        OfferKind::BlockStorage,
        OfferKind::PublicIp,
        OfferKind::Network,
        OfferKind::LoadBalancer,
        OfferKind::ObjectStorage,
    ])
}

/// All products.
pub(super) fn products() -> Vec<Box<dyn Product<Cloud>>> {
    vec![
        Box::new(block_storage::BlockStorage),
        Box::new(floating_ip::FloatingIp),
        Box::new(network::Network),
        Box::new(load_balancer::LoadBalancer),
        Box::new(object_storage::ObjectStorage),
    ]
}

/// The settings of these kinds.
pub(super) fn settings() -> Vec<DeclaredSetting> {
    vec![
        portable::attach(),
        portable::bucket("begins the container's name, which ends with a digest of the purchase"),
        portable::check(),
        portable::firewall("rules of a security group, in which the network's servers are"),
        portable::cidr("that of the network's subnet"),
        portable::labels_of_kinds([OfferKind::BlockStorage], "metadata of the volume"),
        portable::listen(),
        portable::network_of([OfferKind::LoadBalancer], "the load balancer's address is in its subnet"),
        portable::protocol(SettingType::Choice(vec!["tcp".to_owned(), "http".to_owned()])),
        portable::target_port(),
        portable::targets(),
        portable::versioning(),
    ]
}

/// What is told of each kind of product.
pub(super) fn attributes() -> BTreeMap<OfferKind, BTreeSet<String>> {
    let machine: &[&str] = &["public_ipv4", "private_ip", "address", "addresses", "name", "zone"];
    let all = [
        (OfferKind::Machine, machine),
        (OfferKind::BlockStorage, &["device"]),
        (OfferKind::PublicIp, &["public_ipv4", "address"]),
        (OfferKind::Network, &["cidr", "subnets"]),
        (OfferKind::LoadBalancer, &["private_ip"]),
        (OfferKind::ObjectStorage, &["bucket", "endpoint"]),
    ];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    all.into_iter().map(|(kind, names)| (kind, owned(names))).collect()
}

/// The server in this region that the id of a service names.
fn server_id(cloud: &Cloud, region: &RegionId, service: &str, call: Call) -> Result<String> {
    let server = ResourceRef::parse(service).filter(|it| !it.is_address && it.region == *region);
    server
        .map(|server| server.id)
        .ok_or_else(|| cloud.invalid_request(call, format!("{service} is not a machine in {region}")))
}

/// Ports by a field of theirs.
async fn ports(cloud: &Cloud, region: &RegionId, field: &str, value: &str, call: Call) -> Result<Vec<Value>> {
    let (neutron, mut path) = cloud.versioned(region, "network", "v2.0", call).await?;
    path.push("ports");
    let reply: Value = neutron.json(&Request::get(call, path).query(field, value)).await?;
    match reply.get("ports").and_then(Value::as_array) {
        Some(ports) => Ok(ports.clone()),
        None => Err(cloud.protocol_error(call, &"ports: the list is missing")),
    }
}

/// The text at a JSON pointer.
fn text<'a>(value: &'a Value, at: &str) -> Option<&'a str> {
    value.pointer(at)?.as_str()
}
