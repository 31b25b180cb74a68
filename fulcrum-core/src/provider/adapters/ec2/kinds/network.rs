//! Private networks: a VPC with a subnet in each zone and, where machines have public addresses, a way out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use super::super::{
    client::{Cloud, mutation, query},
    endpoints::ApiName,
    query_api::{Fields, fields},
    resources::Sort,
};
use super::check_sold;
use crate::{
    model::{FirewallProtocol, FirewallRule, OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress},
        },
        portable::Cidr,
    },
};

/// Zones that get a subnet, at most.
const MAX_SUBNETS: u8 = 8;
/// Bits that tell that many subnets apart.
const SUBNET_BITS: u8 = 3;
/// The longest prefix of a subnet.
const MAX_PREFIX_BITS: u8 = 28;
/// The shortest prefix of a network.
const MIN_PREFIX_BITS: u8 = 16;
/// The way to everywhere.
const ANYWHERE: &str = "0.0.0.0/0";

/// The positions of the parts.
const VPC_INDEX: usize = 0;
const GATEWAY_INDEX: usize = 1;
const FIRST_SUBNET_INDEX: usize = 2;

#[derive(Debug)]
pub(in super::super) struct Network;

/// The range of an order's network, and why it cannot be one here.
fn range(setting: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Cidr, String> {
    let cidr = Cidr::of(setting)?;
    let longest = MAX_PREFIX_BITS - SUBNET_BITS;
    match (MIN_PREFIX_BITS..=longest).contains(&cidr.bits()) {
        true => Ok(cidr),
        false => Err(format!(
            "a network here has a cidr with a prefix of {MIN_PREFIX_BITS} to {longest} bits; {cidr} has {}",
            cidr.bits()
        )),
    }
}

const PARTS: [Sort; 10] = [
    Sort::Vpc,
    Sort::Gateway,
    Sort::Subnet(0),
    Sort::Subnet(1),
    Sort::Subnet(2),
    Sort::Subnet(3),
    Sort::Subnet(4),
    Sort::Subnet(5),
    Sort::Subnet(6),
    Sort::Subnet(7),
];

#[async_trait]
impl Product<Cloud> for Network {
    fn kind(&self) -> OfferKind {
        OfferKind::Network
    }

    fn parts(&self) -> &[Sort] {
        &PARTS
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await?;
        let range = range(&|name| request.setting(name)).map(drop);
        let rules = FirewallRule::all(request.settings.get("firewall")).map(drop);
        range.and(rules).map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(&self, cloud: &Cloud, at: usize, order: &Order, parts: &Parts) -> Result<Option<Fields>> {
        let call = Call::Poll;
        let cidr = range(&|name| order.setting(name)).map_err(|why| cloud.invalid_request(call, why))?;
        match (at, PARTS.get(at)) {
            (VPC_INDEX, _) => Ok(Some(fields([("CidrBlock", cidr.to_string())]))),
            (GATEWAY_INDEX, _) => Ok(cloud.config.public_ip.then(Fields::new)),
            (_, Some(Sort::Subnet(number))) => {
                let zones = cloud.zone_names(&order.region, call).await?;
                let zone = zones.into_iter().take(usize::from(MAX_SUBNETS)).nth(usize::from(*number));
                let part = cidr.part(u32::from(*number), SUBNET_BITS);
                let (Some(zone), Some(vpc), Some(part)) = (zone, parts.get(VPC_INDEX), part) else {
                    return Ok(None);
                };
                Ok(Some(fields([
                    ("AvailabilityZone", zone),
                    ("CidrBlock", part.to_string()),
                    ("VpcId", vpc.id.clone()),
                ])))
            }
            _ => Ok(None),
        }
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let Some(vpc) = parts.get(VPC_INDEX) else { return Ok(Progress::Done) };
        if open_firewall(cloud, order, &vpc.id).await? == Progress::Running {
            return Ok(Progress::Running);
        }
        let Some(gateway) = parts.get(GATEWAY_INDEX) else { return Ok(Progress::Done) };
        if gateway.text("/attachmentSet/0/vpcId").is_none() {
            let ids = [("InternetGatewayId", gateway.id.clone()), ("VpcId", vpc.id.clone())];
            let attach = mutation(Call::Act, "AttachInternetGateway", &fields(ids));
            cloud.change(ApiName::Ec2, &order.region, &attach).await?;
            return Ok(Progress::Running);
        }
        let tables = query(Call::Poll, "DescribeRouteTables")
            .query("Filter.1.Name", "vpc-id")
            .query("Filter.1.Value.1", &vpc.id)
            .query("Filter.2.Name", "association.main")
            .query("Filter.2.Value.1", "true");
        let tables = cloud.rows(ApiName::Ec2, &order.region, tables, "/routeTableSet").await?;
        let Some(table) = tables.first() else {
            return Err(
                cloud.protocol_error(Call::Poll, &format!("the network {} has no main route table", vpc.id))
            );
        };
        let routes = table.pointer("/routeSet").and_then(Value::as_array);
        let is_out =
            |route: &Value| route.get("destinationCidrBlock").and_then(Value::as_str) == Some(ANYWHERE);
        if routes.into_iter().flatten().any(is_out) {
            return Ok(Progress::Done);
        }
        let table = table.pointer("/routeTableId").and_then(Value::as_str).unwrap_or_default();
        let route = mutation(
            Call::Act,
            "CreateRoute",
            &fields([
                ("DestinationCidrBlock", ANYWHERE.to_owned()),
                ("GatewayId", gateway.id.clone()),
                ("RouteTableId", table.to_owned()),
            ]),
        );
        cloud.change(ApiName::Ec2, &order.region, &route).await?;
        Ok(Progress::Running)
    }

    /// What stands in the network: each machine and load balancer has an interface. And what others have added to it.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(vpc) = parts.get(VPC_INDEX) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (action, rows, id, what) in [
            ("DescribeNetworkInterfaces", "/networkInterfaceSet", "networkInterfaceId", "network interface"),
            ("DescribeSubnets", "/subnetSet", "subnetId", "subnet"),
            ("DescribeSecurityGroups", "/securityGroupInfo", "groupId", "security group"),
            ("DescribeRouteTables", "/routeTableSet", "routeTableId", "route table"),
        ] {
            let listed =
                query(call, action).query("Filter.1.Name", "vpc-id").query("Filter.1.Value.1", &vpc.id);
            for row in cloud.rows(ApiName::Ec2, region, listed, rows).await? {
                let id = row.get(id).and_then(Value::as_str).unwrap_or_default();
                if !parts.has(id) && !is_of_each_network(&row) {
                    found.push(format!("the {what} {id}"));
                }
            }
        }
        Ok(found)
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let (Some(vpc), Some(gateway)) = (parts.get(VPC_INDEX), parts.get(GATEWAY_INDEX)) else {
            return Ok(Progress::Done);
        };
        // Of another network it is somebody else's by now.
        let own = gateway.text("/attachmentSet/0/vpcId").filter(|id| *id == vpc.id);
        let Some(vpc) = own else { return Ok(Progress::Done) };
        let ids = [("InternetGatewayId", gateway.id.clone()), ("VpcId", vpc.to_owned())];
        let detach = mutation(Call::Release, "DetachInternetGateway", &fields(ids));
        cloud.change(ApiName::Ec2, region, &detach).await?;
        Ok(Progress::Running)
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let cidr = parts.get(VPC_INDEX).and_then(|vpc| vpc.text("/cidrBlock"));
        let subnets =
            (FIRST_SUBNET_INDEX..PARTS.len()).filter_map(|at| parts.get(at)).map(|subnet| subnet.id.as_str());
        let subnets = subnets.collect::<Vec<_>>().join(",");
        let cidr = cidr.map(|cidr| ("cidr".to_owned(), cidr.to_owned()));
        cidr.into_iter().chain([("subnets".to_owned(), subnets)]).collect()
    }
}

/// Lets in what the order says, by rules of the network's default security group, in which its machines and databases are. It ends
/// with the network.
async fn open_firewall(cloud: &Cloud, order: &Order, vpc: &str) -> Result<Progress> {
    let call = Call::Poll;
    let wanted = FirewallRule::all(order.settings.get("firewall"))
        .map_err(|why| cloud.invalid_request(call, why))?
        .unwrap_or_default();
    if wanted.is_empty() {
        return Ok(Progress::Done);
    }
    let groups = query(call, "DescribeSecurityGroups")
        .query("Filter.1.Name", "vpc-id")
        .query("Filter.1.Value.1", vpc)
        .query("Filter.2.Name", "group-name")
        .query("Filter.2.Value.1", "default");
    let groups = cloud.rows(ApiName::Ec2, &order.region, groups, "/securityGroupInfo").await?;
    let Some((group, id)) = groups.first().and_then(|it| Some((it, it.get("groupId")?.as_str()?))) else {
        return Err(cloud.protocol_error(call, &format!("the network {vpc} has no default security group")));
    };
    let missing: Vec<_> = wanted.iter().filter(|rule| !is_open(group, rule)).collect();
    if missing.is_empty() {
        return Ok(Progress::Done);
    }
    let mut body = fields([("GroupId", id.to_owned())]);
    for (rule, at) in missing.into_iter().zip(1..) {
        let (first, last) = ports_in(rule);
        let range = match rule.is_ipv6() {
            true => "Ipv6Ranges.1.CidrIpv6",
            false => "IpRanges.1.CidrIp",
        };
        let of_rule = [
            ("IpProtocol", protocol_in(rule).to_owned()),
            ("FromPort", first.to_string()),
            ("ToPort", last.to_string()),
            (range, rule.from()),
        ];
        body.extend(of_rule.map(|(name, value)| (format!("IpPermissions.{at}.{name}"), value)));
    }
    // A rule that somebody else has made meanwhile is a conflict: the next look finds it.
    let open = mutation(Call::Act, "AuthorizeSecurityGroupIngress", &body);
    cloud.change(ApiName::Ec2, &order.region, &open).await?;
    Ok(Progress::Running)
}

fn protocol_in(rule: &FirewallRule) -> &'static str {
    match (rule.protocol, rule.is_ipv6()) {
        (FirewallProtocol::Icmp, true) => "icmpv6",
        (protocol, _) => protocol.name(),
    }
}

/// The first and the last port; all types of ICMP are -1.
fn ports_in(rule: &FirewallRule) -> (i32, i32) {
    rule.ports.map_or((-1, -1), |(first, last)| (first.into(), last.into()))
}

/// Whether a group of the API has a rule. Rules of the same protocol and ports stand together.
fn is_open(group: &Value, rule: &FirewallRule) -> bool {
    let list = |value: &Value, at: &str| value.get(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, at: &str| value.get(at).and_then(Value::as_str).map(str::to_owned);
    let (first, last) = ports_in(rule);
    let is_alike = |it: &Value| {
        text(it, "ipProtocol").as_deref() == Some(protocol_in(rule))
            && text(it, "fromPort").as_deref() == Some(first.to_string().as_str())
            && text(it, "toPort").as_deref() == Some(last.to_string().as_str())
    };
    let (ranges, address) = if rule.is_ipv6() { ("ipv6Ranges", "cidrIpv6") } else { ("ipRanges", "cidrIp") };
    let is_from = |it: &Value| text(it, address).as_deref() == Some(rule.from().as_str());
    list(group, "ipPermissions")
        .iter()
        .filter(|it| is_alike(it))
        .any(|it| list(it, ranges).iter().any(is_from))
}

/// Whether a row is a part that each network has: its default security group, its main route table.
fn is_of_each_network(row: &Value) -> bool {
    let is_default = row.get("groupName").and_then(Value::as_str) == Some("default");
    let associations = row.get("associationSet").and_then(Value::as_array);
    let is_main = |it: &Value| it.get("main").and_then(Value::as_str) == Some("true");
    is_default || associations.into_iter().flatten().any(is_main)
}
