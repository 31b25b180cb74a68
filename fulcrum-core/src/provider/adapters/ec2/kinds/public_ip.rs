//! Elastic IP addresses, at a machine if the order says so.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::super::{
    client::{Cloud, mutation},
    endpoints::ApiName,
    query_api::{Fields, fields},
    resources::Sort,
    tags::attached_machine,
};
use super::{check_sold, machine_id};
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::kit::{Order, Parts, Product, Progress},
    },
};

#[derive(Debug)]
pub(in super::super) struct PublicIp;

#[async_trait]
impl Product<Cloud> for PublicIp {
    fn kind(&self) -> OfferKind {
        OfferKind::PublicIp
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::Address]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await
    }

    async fn body(&self, _: &Cloud, _: usize, _: &Order, _: &Parts) -> Result<Option<Fields>> {
        Ok(Some(fields([("Domain", "vpc".to_owned())])))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let (Some(machine), Some(address)) = (order.service("attach"), parts.get(0)) else {
            return Ok(Progress::Done);
        };
        let machine = machine_id(cloud, &order.region, &machine, Call::Poll)?;
        if address.text("/instanceId") == Some(machine.as_str()) {
            return Ok(Progress::Done);
        }
        let associate = mutation(
            Call::Act,
            "AssociateAddress",
            &fields([
                ("AllocationId", address.id.clone()),
                // What somebody else has put there stays.
                ("AllowReassociation", "false".to_owned()),
                ("InstanceId", machine),
            ]),
        );
        cloud.change(ApiName::Ec2, &order.region, &associate).await?;
        Ok(Progress::Running)
    }

    async fn foreign(&self, _: &Cloud, _: &RegionId, parts: &Parts, _: Call) -> Result<Vec<String>> {
        let Some(address) = parts.get(0) else { return Ok(Vec::new()) };
        let other =
            address.text("/instanceId").filter(|id| attached_machine(address).as_deref() != Some(*id));
        let interface =
            || address.text("/networkInterfaceId").filter(|_| address.text("/instanceId").is_none());
        let machine = other.map(|id| format!("an association with the instance {id}"));
        let machine = machine
            .or_else(|| interface().map(|id| format!("an association with the network interface {id}")));
        Ok(machine.into_iter().collect())
    }

    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let Some(association) = parts.get(0).and_then(|address| address.text("/associationId")) else {
            return Ok(Progress::Done);
        };
        let association = fields([("AssociationId", association.to_owned())]);
        let request = mutation(Call::Release, "DisassociateAddress", &association);
        cloud.change(ApiName::Ec2, region, &request).await?;
        Ok(Progress::Running)
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let address = parts.get(0).and_then(|address| address.text("/publicIp"));
        address.map(|it| ("public_ipv4".to_owned(), it.to_owned())).into_iter().collect()
    }
}
