//! Private networks: a VPC with a subnet in each zone and, where machines have public addresses, a way out.

use std::{collections::BTreeMap, net::Ipv4Addr};

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
    model::{OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress},
        },
    },
};

/// The network's range where the order does not say.
const DEFAULT_CIDR: &str = "10.0.0.0/16";
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

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cidr {
    first: u32,
    bits: u8,
}

impl Cidr {
    /// A range that a network with subnets can have; why not otherwise.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let longest = MAX_PREFIX_BITS - SUBNET_BITS;
        let wrong = || {
            format!(
                "the cidr {text} is no range of a network here; write one such as {DEFAULT_CIDR}, with a prefix of {MIN_PREFIX_BITS} to {longest} bits"
            )
        };
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let is_fitting = (MIN_PREFIX_BITS..=longest).contains(&bits);
        let first = u32::from(address);
        let is_first = is_fitting && first.trailing_zeros() >= 32 - u32::from(bits);
        if !is_first {
            return Err(wrong());
        }
        Ok(Self { first, bits })
    }

    /// The range of one of its subnets.
    fn subnet(self, number: u8) -> String {
        let bits = self.bits + SUBNET_BITS;
        let first = self.first | (u32::from(number) << (32 - u32::from(bits)));
        format!("{}/{bits}", Ipv4Addr::from(first))
    }
}

fn cidr_of(order: &Order) -> String {
    order.setting("cidr").unwrap_or_else(|| DEFAULT_CIDR.to_owned())
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
        let cidr = request.setting("cidr").unwrap_or_else(|| DEFAULT_CIDR.to_owned());
        Cidr::parse(&cidr).map(drop).map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(&self, cloud: &Cloud, at: usize, order: &Order, parts: &Parts) -> Result<Option<Fields>> {
        let call = Call::Poll;
        match (at, PARTS.get(at)) {
            (VPC_INDEX, _) => Ok(Some(fields([("CidrBlock", cidr_of(order))]))),
            (GATEWAY_INDEX, _) => Ok(cloud.config.public_ip.then(Fields::new)),
            (_, Some(Sort::Subnet(number))) => {
                let zones = cloud.zone_names(&order.region, call).await?;
                let zone = zones.into_iter().take(usize::from(MAX_SUBNETS)).nth(usize::from(*number));
                let (Some(zone), Some(vpc)) = (zone, parts.get(VPC_INDEX)) else { return Ok(None) };
                let cidr = Cidr::parse(&cidr_of(order)).map_err(|why| cloud.invalid_request(call, why))?;
                Ok(Some(fields([
                    ("AvailabilityZone", zone),
                    ("CidrBlock", cidr.subnet(*number)),
                    ("VpcId", vpc.id.clone()),
                ])))
            }
            _ => Ok(None),
        }
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let (Some(vpc), Some(gateway)) = (parts.get(VPC_INDEX), parts.get(GATEWAY_INDEX)) else {
            return Ok(Progress::Done);
        };
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

    /// What stands in the network: each machine and load balancer has an interface.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(vpc) = parts.get(VPC_INDEX) else { return Ok(Vec::new()) };
        let interfaces = query(call, "DescribeNetworkInterfaces")
            .query("Filter.1.Name", "vpc-id")
            .query("Filter.1.Value.1", &vpc.id);
        let interfaces = cloud.rows(ApiName::Ec2, region, interfaces, "/networkInterfaceSet").await?;
        let id = |row: &Value| {
            row.get("networkInterfaceId").and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(interfaces.iter().map(|row| format!("the network interface {}", id(row))).collect())
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let Some(gateway) = parts.get(GATEWAY_INDEX) else { return Ok(Progress::Done) };
        let Some(vpc) = gateway.text("/attachmentSet/0/vpcId") else { return Ok(Progress::Done) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_lie_side_by_side_in_the_network() {
        let cidr = Cidr::parse("10.0.0.0/16").expect("a range");
        assert_eq!([0, 1, 7].map(|at| cidr.subnet(at)), ["10.0.0.0/19", "10.0.32.0/19", "10.0.224.0/19"]);
        assert_eq!(Cidr::parse("192.168.1.0/25").expect("a range").subnet(1), "192.168.1.16/28");
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/8",
            "10.0.0.0/26",
            "10.0.0.1/16",
            "10.0.0.0/x",
            "::/20",
            "10.0.0.0/255",
        ] {
            let why = Cidr::parse(wrong).expect_err(wrong);
            assert!(why.contains("10.0.0.0/16"), "{why}");
        }
    }
}
