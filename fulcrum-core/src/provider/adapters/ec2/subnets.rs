//! The subnets of a network that was bought, or of the account's own.

use serde_json::Value;

use super::{
    client::{Cloud, query},
    endpoints::ApiName,
};
use crate::{
    model::RegionId,
    provider::{Call, ProvisionRequest, Result, adapters::common::CallErrors},
};

/// All subnets of a network, or of the account's default one: zone and id of each.
pub(super) async fn subnets(
    cloud: &Cloud,
    region: &RegionId,
    vpc: Option<&str>,
    call: Call,
) -> Result<Vec<(String, String)>> {
    let (name, value) = match vpc {
        Some(vpc) => ("vpc-id", vpc),
        None => ("default-for-az", "true"),
    };
    let listed = query(call, "DescribeSubnets").query("Filter.1.Name", name).query("Filter.1.Value.1", value);
    let rows = cloud.rows(ApiName::Ec2, region, listed, "/subnetSet").await?;
    let text = |row: &Value, at: &str| row.get(at).and_then(Value::as_str).map(str::to_owned);
    let subnet = |row: &Value| Some((text(row, "availabilityZone")?, text(row, "subnetId")?));
    let mut subnets: Vec<_> = rows.iter().filter_map(subnet).collect();
    subnets.sort();
    Ok(subnets)
}

/// The network that the id of a service names.
pub(super) fn vpc_id(cloud: &Cloud, region: &RegionId, service: &str, call: Call) -> Result<String> {
    let here = service.strip_prefix(region.as_str()).and_then(|rest| rest.strip_prefix("/network/"));
    here.map(str::to_owned)
        .ok_or_else(|| cloud.invalid_request(call, format!("{service} is not a network in {region}")))
}

/// The subnet of a bought network for a machine in its zone, or in any.
pub(super) async fn subnet_of_service(
    cloud: &Cloud,
    request: &ProvisionRequest,
    service: &str,
    call: Call,
) -> Result<String> {
    let region = &request.place.region;
    let vpc = vpc_id(cloud, region, service, call)?;
    let subnets = subnets(cloud, region, Some(&vpc), call).await?;
    let zone = request.place.zone.as_ref();
    let is_here = |(at, _): &(String, String)| zone.is_none_or(|zone| at == zone.as_str());
    subnets.into_iter().find(is_here).map(|(_, id)| id).ok_or_else(|| {
        cloud.invalid_request(call, format!("the network {vpc} has no subnet in {}", request.place))
    })
}
