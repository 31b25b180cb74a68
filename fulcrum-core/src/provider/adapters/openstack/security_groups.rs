//! Security groups of networks that have a firewall: what may come in, and which group a server is in.

use serde_json::{Value, json};

use super::{client::Cloud, handle::network_id, resources::Sort};
use crate::{
    model::{FirewallRule, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Api, Order, Progress},
        },
        http::Request,
    },
};

/// The rules of an order's firewall; none if it has no firewall.
pub(super) fn rules(cloud: &Cloud, order: &Order, call: Call) -> Result<Option<Vec<FirewallRule>>> {
    FirewallRule::all(order.settings.get("firewall")).map_err(|why| cloud.invalid_request(call, why))
}

/// A rule as neutron has it: all that comes from the network itself, or what a rule of the order lets in.
fn bodies(rules: &[FirewallRule], group: &str, cidr: &str) -> Vec<Value> {
    let of_rule = |rule: &FirewallRule| {
        let protocol = match (rule.protocol.name(), rule.is_ipv6()) {
            ("icmp", true) => "ipv6-icmp",
            (name, _) => name,
        };
        json!({
            "security_group_id": group,
            "direction": "ingress",
            "ethertype": if rule.is_ipv6() { "IPv6" } else { "IPv4" },
            "protocol": protocol,
            "port_range_min": rule.ports.map(|(first, _)| first),
            "port_range_max": rule.ports.map(|(_, last)| last),
            "remote_ip_prefix": rule.from(),
        })
    };
    let of_members = json!({
        "security_group_id": group,
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": null,
        "port_range_min": null,
        "port_range_max": null,
        "remote_ip_prefix": cidr,
    });
    [of_members].into_iter().chain(rules.iter().map(of_rule)).collect()
}

/// Makes the next rule that a group lacks.
pub(super) async fn open_firewall(
    cloud: &Cloud,
    region: &RegionId,
    rules: &[FirewallRule],
    group: &str,
    cidr: &str,
) -> Result<Progress> {
    let call = Call::Poll;
    let (neutron, mut path) = cloud.versioned(region, "network", "v2.0", call).await?;
    path.push("security-group-rules");
    let listed = Request::get(call, path.clone()).query("security_group_id", group);
    let reply: Value = neutron.json(&listed).await?;
    let known = reply.get("security_group_rules").and_then(Value::as_array);
    let known =
        known.ok_or_else(|| cloud.protocol_error(call, &"security_group_rules: the list is missing"))?;
    let is_same = |one: &Value, body: &Value| {
        let fields = body.as_object().into_iter().flatten();
        fields.into_iter().all(|(name, value)| one.get(name).unwrap_or(&Value::Null) == value)
    };
    let wanted = bodies(rules, group, cidr);
    let Some(missing) = wanted.iter().find(|body| !known.iter().any(|one| is_same(one, body))) else {
        return Ok(Progress::Done);
    };
    // A rule that somebody else has made meanwhile is a conflict: the next look finds it.
    let make = Request::post(Call::Act, path).json(&json!({ "security_group_rule": missing }));
    neutron.send_ok(&make).await?;
    Ok(Progress::Running)
}

/// The security group of the bought network that a server is to stand in; none if it has no firewall, or is not a bought one.
pub(super) async fn group_for(cloud: &Cloud, request: &ProvisionRequest) -> Result<Option<String>> {
    let (call, region) = (Call::Provision, &request.place.region);
    let named = request.setting("network");
    let Some(network) = named.as_deref().and_then(|name| network_id(region, name)) else { return Ok(None) };
    let Some(network) = cloud.get(Sort::Network, region, network, call).await? else { return Ok(None) };
    let Some(key) = network.key else { return Ok(None) };
    let groups = cloud.list(Sort::SecurityGroup, region, Some(&key), call).await?;
    let own = groups.into_iter().filter(|group| group.key.as_ref() == Some(&key));
    Ok(own.map(|group| group.id).min())
}
