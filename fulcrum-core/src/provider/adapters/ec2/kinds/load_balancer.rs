//! Network load balancers (ELB version 2): the balancer, its group of targets, and the listener between them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

use super::super::{
    client::{Cloud, mutation_of, query_of},
    endpoints::ApiName,
    offers::MAX_PUBLIC_SUBNETS,
    query_api::{Fields, fields, name_of},
    resources::Sort,
    subnets::{subnets, vpc_id},
};
use super::{check_sold, machine_id, numbered};
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress},
        },
        portable,
    },
};

const API: ApiName = ApiName::LoadBalancing;

/// The positions of the parts.
const BALANCER_INDEX: usize = 0;
const TARGET_GROUP_INDEX: usize = 1;

#[derive(Debug)]
pub(in super::super) struct LoadBalancer;

#[async_trait]
impl Product<Cloud> for LoadBalancer {
    fn kind(&self) -> OfferKind {
        OfferKind::LoadBalancer
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::LoadBalancer, Sort::TargetGroup]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await?;
        portable::ports(&|name| request.setting(name))
            .map(drop)
            .map_err(|why| cloud.invalid_request(call, why))
    }

    async fn body(&self, cloud: &Cloud, at: usize, order: &Order, parts: &Parts) -> Result<Option<Fields>> {
        let call = Call::Provision;
        if at == TARGET_GROUP_INDEX {
            let vpc =
                parts.get(BALANCER_INDEX).and_then(|it| it.text("/VpcId")).unwrap_or_default().to_owned();
            return target_group(cloud, order, vpc, call).map(Some);
        }
        let network = order.service("network");
        let vpc = network.map(|service| vpc_id(cloud, &order.region, &service, call)).transpose()?;
        let subnets = subnets(cloud, &order.region, vpc.as_deref(), call).await?;
        if subnets.is_empty() {
            let why = "the account has no default network here; give the load balancer a `network`";
            return Err(cloud.invalid_request(call, why));
        }
        // A public address in each subnet is paid: as many as the offer has lines for.
        let (scheme, most) = match cloud.config.public_ip {
            true => ("internet-facing", MAX_PUBLIC_SUBNETS),
            false => ("internal", usize::MAX),
        };
        let body = fields([
            ("Name", name_of(&order.key)),
            ("Scheme", scheme.to_owned()),
            ("Type", "network".to_owned()),
        ]);
        let mut zones = BTreeSet::new();
        let one_a_zone = subnets.into_iter().filter(|(zone, _)| zones.insert(zone.clone()));
        let subnets = numbered("Subnets.member", "", one_a_zone.map(|(_, id)| id).take(most));
        Ok(Some(body.into_iter().chain(subnets).collect()))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let call = Call::Poll;
        let (Some(balancer), Some(group)) = (arn(parts, BALANCER_INDEX), arn(parts, TARGET_GROUP_INDEX))
        else {
            return Err(cloud.protocol_error(call, &"a load balancer has no ARN"));
        };
        let wanted = order.services("targets");
        let mut wanted = wanted
            .iter()
            .map(|service| machine_id(cloud, &order.region, service, call))
            .collect::<Result<Vec<_>>>()?;
        let known = query_of(API, call, "DescribeTargetHealth").query("TargetGroupArn", &group);
        let known = cloud
            .rows(API, &order.region, known, "/DescribeTargetHealthResult/TargetHealthDescriptions")
            .await?;
        wanted.retain(|id| {
            !known.iter().any(|it| it.pointer("/Target/Id").and_then(Value::as_str) == Some(id))
        });
        if !wanted.is_empty() {
            let targets = numbered("Targets.member", ".Id", wanted);
            let group = fields([("TargetGroupArn", group)]);
            let register: Fields = group.into_iter().chain(targets).collect();
            let register = mutation_of(API, Call::Act, "RegisterTargets", &register);
            cloud.change(API, &order.region, &register).await?;
            return Ok(Progress::Running);
        }
        let listeners = listeners(cloud, &order.region, &balancer, call).await?;
        if listeners.iter().any(|it| it.group.as_ref() == Some(&group)) {
            return Ok(Progress::Done);
        }
        let ports =
            portable::ports(&|name| order.setting(name)).map_err(|why| cloud.invalid_request(call, why))?;
        let listen = mutation_of(
            API,
            Call::Act,
            "CreateListener",
            &fields([
                ("DefaultActions.member.1.TargetGroupArn", group),
                ("DefaultActions.member.1.Type", "forward".to_owned()),
                ("LoadBalancerArn", balancer),
                ("Port", ports.listen.to_string()),
                ("Protocol", "TCP".to_owned()),
            ]),
        );
        cloud.change(API, &order.region, &listen).await?;
        Ok(Progress::Running)
    }

    /// Listeners of others: they would end with the balancer.
    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(balancer) = arn(parts, BALANCER_INDEX) else { return Ok(Vec::new()) };
        let own = arn(parts, TARGET_GROUP_INDEX);
        let listeners = listeners(cloud, region, &balancer, call).await?;
        let others = listeners.into_iter().filter(|it| own.is_some() && it.group != own);
        Ok(others.map(|it| format!("the listener {}", it.arn)).collect())
    }

    /// The listener holds the group of targets.
    async fn disconnect(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> Result<Progress> {
        let Some(balancer) = arn(parts, BALANCER_INDEX) else { return Ok(Progress::Done) };
        let listeners = listeners(cloud, region, &balancer, Call::Poll).await?;
        for listener in &listeners {
            let request = mutation_of(
                API,
                Call::Release,
                "DeleteListener",
                &fields([("ListenerArn", listener.arn.clone())]),
            );
            cloud.change(API, region, &request).await?;
        }
        Ok(if listeners.is_empty() { Progress::Done } else { Progress::Running })
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let host = parts.get(BALANCER_INDEX).and_then(|it| it.text("/DNSName"));
        host.map(|host| ("host".to_owned(), host.to_owned())).into_iter().collect()
    }
}

fn arn(parts: &Parts, at: usize) -> Option<String> {
    let part = parts.get(at)?;
    ["/LoadBalancerArn", "/TargetGroupArn"].iter().find_map(|at| part.text(at)).map(str::to_owned)
}

fn target_group(cloud: &Cloud, order: &Order, vpc: String, call: Call) -> Result<Fields> {
    let ports =
        portable::ports(&|name| order.setting(name)).map_err(|why| cloud.invalid_request(call, why))?;
    let mut body = fields([
        ("Name", name_of(&order.key)),
        ("Port", ports.target.to_string()),
        ("Protocol", "TCP".to_owned()),
        ("TargetType", "instance".to_owned()),
        ("VpcId", vpc),
    ]);
    if let Some(path) = ports.check {
        body.extend(fields([("HealthCheckPath", path), ("HealthCheckProtocol", "HTTP".to_owned())]));
    }
    Ok(body)
}

/// A listener, and the group of targets to which it forwards.
struct Listener {
    arn: String,
    group: Option<String>,
}

/// The listeners of a load balancer.
async fn listeners(cloud: &Cloud, region: &RegionId, balancer: &str, call: Call) -> Result<Vec<Listener>> {
    let listed = query_of(API, call, "DescribeListeners").query("LoadBalancerArn", balancer);
    let rows = cloud.rows(API, region, listed, "/DescribeListenersResult/Listeners").await?;
    let text = |row: &Value, at: &str| row.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let listener = |row: &Value| {
        Some(Listener {
            arn: text(row, "/ListenerArn")?,
            group: text(row, "/DefaultActions/0/TargetGroupArn"),
        })
    };
    Ok(rows.iter().filter_map(listener).collect())
}
