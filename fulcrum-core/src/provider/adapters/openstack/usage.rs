//! Usage: hours of servers by nova's records of the project, also of servers that this library did not make.

use std::sync::Arc;

use futures::{StreamExt, TryFutureExt, stream::BoxStream};
use jiff::fmt::strtime;

use super::{client::Cloud, handle::ResourceRef, wire};
use crate::{
    model::{RegionId, SkuId, UsageRecord},
    provider::{
        Call, Result, UsagePeriod,
        http::{Page, Request, Response, paginate},
    },
};

/// The usage of a period in one region.
pub(super) fn list(
    cloud: Arc<Cloud>,
    region: RegionId,
    period: UsagePeriod,
) -> BoxStream<'static, Result<UsageRecord>> {
    let call = Call::Usage;
    let listed = async move {
        let compute = cloud.compute(&region, call).await?;
        let project = cloud.project(call).await?;
        // UTC without a zone, as nova wants it.
        let time = |at| strtime::format("%Y-%m-%dT%H:%M:%S", at).unwrap_or_default();
        let first = Request::get(call, ["os-simple-tenant-usage", &project])
            .query("start", time(period.from))
            .query("end", time(period.to))
            .query("detailed", 1);
        let first = compute.with_version(first);
        let start = first.clone();
        let read = move |_: &Request, response: &Response| {
            let page: wire::UsageReply = response.json()?;
            let usages = page.tenant_usage.server_usages;
            let last = usages.last().filter(|_| wire::has_next(&page.tenant_usage_links));
            let next = last.map(|usage| start.clone().query("marker", &usage.instance_id));
            let record = |usage: &wire::ServerUsage| {
                let record = record_of(&cloud, &region, usage, period);
                record.ok_or_else(|| {
                    response
                        .protocol_error(format!("the usage of {} is not a valid number", usage.instance_id))
                })
            };
            Ok(Page { items: usages.iter().map(record).collect::<Result<_>>()?, next })
        };
        Ok(paginate(compute.client, first, read))
    };
    listed.try_flatten_stream().boxed()
}

fn record_of(
    cloud: &Cloud,
    region: &RegionId,
    usage: &wire::ServerUsage,
    period: UsagePeriod,
) -> Option<UsageRecord> {
    Some(UsageRecord {
        provider: cloud.id().clone(),
        service: ResourceRef::server(region, &usage.instance_id).service()?,
        sku: SkuId::new(&usage.flavor).ok()?,
        charge_period_start: period.from,
        charge_period_end: period.to,
        consumed_quantity: usage.hours,
        consumed_unit: "Hours".to_owned(),
    })
}
