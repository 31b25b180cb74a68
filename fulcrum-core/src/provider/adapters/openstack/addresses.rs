//! Floating IPs: public addresses that are sold by themselves. Their description carries key and product.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde_json::{Value, json};

use super::{
    cloud::Cloud,
    handle::{Operation, Target},
    wire,
};
use crate::{
    model::{IdempotencyKey, RegionId, Service, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProvisionRequest, Result,
        adapters::{bought::answered, whose::Whose},
        http::{Client, Page, Request, Response, paginate},
    },
};

/// Begins the description of an address of this library: `fulcrum-key=<key> sku=<sku>`.
const KEY: &str = "fulcrum-key=";
const SKU: &str = " sku=";

async fn neutron<'a>(
    cloud: &Cloud,
    region: &RegionId,
    call: Call,
    rest: &[&'a str],
) -> Result<(Client, Vec<&'a str>)> {
    let (client, mut path) = cloud.versioned(region, "network", "v2.0", call).await?;
    path.push("floatingips");
    path.extend(rest);
    Ok((client, path))
}

/// Takes an address.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let (call, region) = (Call::Provision, &request.place.region);
    let network = cloud.config.floating_network.as_deref().ok_or_else(|| {
        cloud.invalid(
            call,
            "no public addresses are sold; set `floating_network` in the provider's configuration",
        )
    })?;
    cloud.check_sold(request, call).await?;
    let network = cloud.network(region, network, call).await?;
    let (client, path) = neutron(cloud, region, call, &[]).await?;
    let description = format!("{KEY}{key}{SKU}{}", request.sku);
    let body = json!({ "floatingip": { "floating_network_id": network, "description": description } });
    let request = Request::post(call, path).for_sku(&request.sku).json(&body);
    let wire::FloatingIpAnswer { floatingip } = answered(client.json(&request).await)?;
    // What has not our key is not what was ordered.
    if parse(&floatingip).is_none_or(|(its, _)| its != *key) {
        let message =
            format!("it answers with the address {}, which has not this order's key", floatingip.id);
        return Err(cloud.error(call, ErrorKind::Protocol { message }));
    }
    let operation = Operation::Provision(Target::address(region, &floatingip.id));
    Ok(Whose::of(Some(key)).handle(&operation.text()))
}

fn parse(address: &wire::FloatingIp) -> Option<(IdempotencyKey, SkuId)> {
    let (key, sku) = address.description.as_deref()?.strip_prefix(KEY)?.split_once(SKU)?;
    Some((IdempotencyKey::new(key).ok()?, SkuId::new(sku).ok()?))
}

/// Whether an address that cannot be read is certainly none of ours: its description holds no key.
fn is_foreign(row: &Value) -> bool {
    row.get("description").and_then(Value::as_str).is_some_and(|description| !description.starts_with(KEY))
}

/// Stands for the product of an address that is not of this library.
const UNKNOWN: &str = "unknown";

/// An address as a service, without a key if it is not of this library.
fn service_of(cloud: &Cloud, region: &RegionId, address: &wire::FloatingIp, call: Call) -> Result<Service> {
    let odd = |what: &str| {
        cloud.error(call, ErrorKind::Protocol { message: format!("the address {} {what}", address.id) })
    };
    let (key, sku) = parse(address).unzip();
    let sku = sku.map_or_else(|| SkuId::new(UNKNOWN), Ok).map_err(|error| odd(&error.to_string()))?;
    let attributes = address.floating_ip_address.iter().map(|it| ("address".to_owned(), it.clone()));
    // ACTIVE when it leads to a machine, DOWN when it is merely ours.
    let status = match address.status.as_deref() {
        Some("ERROR") => ServiceStatus::Failed,
        _ => ServiceStatus::Running,
    };
    Ok(Service {
        id: Target::address(region, &address.id).service().ok_or_else(|| odd("has an id that is none"))?,
        provider: cloud.id().clone(),
        key,
        sku,
        place: cloud.place(region).ok_or_else(|| odd("is in no region that is configured"))?.clone(),
        status,
        attributes: attributes.collect::<BTreeMap<_, _>>(),
    })
}

/// The addresses of a region that carry a key.
pub(super) fn list(cloud: Arc<Cloud>, region: RegionId, call: Call) -> BoxStream<'static, Result<Service>> {
    let listed = async move {
        let (client, path) = neutron(&cloud, &region, call, &[]).await?;
        let first = Request::get(call, path).query("limit", cloud.config.page_size);
        let start = first.clone();
        let read = move |_: &Request, response: &Response| {
            let page: wire::FloatingIpPage = response.json()?;
            let last = page.floatingips.last_id().filter(|_| wire::has_next(&page.floatingips_links));
            let next = last.map(|id| start.clone().query("marker", id));
            let addresses = page.floatingips.conclusive(response, is_foreign)?;
            let ours = addresses.iter().filter(|address| parse(address).is_some());
            let items = ours.map(|address| service_of(&cloud, &region, address, call));
            Ok(Page { items: items.collect::<Result<_>>()?, next })
        };
        Ok(paginate(client, first, read))
    };
    listed.try_flatten_stream().boxed()
}

/// What a key has made in a region.
pub(super) async fn find(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: &IdempotencyKey,
) -> Result<Option<Service>> {
    let all: Vec<Service> = list(cloud.clone(), region.clone(), Call::FindByKey).try_collect().await?;
    Ok(all.into_iter().find(|service| service.key.as_ref() == Some(key)))
}

async fn get(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::FloatingIp>> {
    let (client, path) = neutron(cloud, &target.region, call, &[&target.id]).await?;
    let response: Option<wire::FloatingIpAnswer> = client.get_optional(&Request::get(call, path)).await?;
    match response {
        Some(wire::FloatingIpAnswer { floatingip }) if floatingip.id != target.id => {
            let message = format!("asked for the address {}, it tells of {}", target.id, floatingip.id);
            Err(cloud.error(call, ErrorKind::Protocol { message }))
        }
        response => Ok(response.map(|response| response.floatingip)),
    }
}

/// One address.
pub(super) async fn describe(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<Service>> {
    let address = get(cloud, target, call).await?;
    address.map(|address| service_of(cloud, &target.region, &address, call)).transpose()
}

/// Gives an address back.
pub(super) async fn release(cloud: &Cloud, target: Target) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(Whose::default().handle(&Operation::Nothing.text()));
    let Some(address) = get(cloud, &target, call).await? else { return nothing() };
    let Some((key, _)) = parse(&address) else {
        let message = format!("{} was not made by this library", address.id);
        return Err(cloud.error(call, ErrorKind::Conflict { message }));
    };
    match end(cloud, &target).await? {
        true => Ok(Whose::of(Some(&key)).handle(&Operation::Release(target).text())),
        false => nothing(),
    }
}

/// Asks for an address's end; whether there still was one.
async fn end(cloud: &Cloud, target: &Target) -> Result<bool> {
    let call = Call::Release;
    let (client, path) = neutron(cloud, &target.region, call, &[&target.id]).await?;
    client.delete_if_exists(&Request::delete(call, path)).await
}

/// How far an operation is: taking and giving back are done at once.
pub(super) async fn poll(
    cloud: &Cloud,
    target: &Target,
    is_release: bool,
    whose: &Whose,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let described = describe(cloud, target, call).await?;
    if let Some(service) = &described {
        // Somebody else's by now, or nobody's.
        let Some(key) = &service.key else {
            let message = format!("the floating IP {} has lost its key", target.id);
            return Err(cloud.error(call, ErrorKind::Protocol { message }));
        };
        if is_release && !whose.may_end(Some(key)).map_err(|kind| cloud.error(call, kind))? {
            return Ok(OperationStatus::Succeeded(None));
        }
        if !whose.is_of(Some(key)) {
            return Err(cloud.error(call, Whose::forgotten(format!("the floating IP {}", target.id))));
        }
    }
    Ok(match described {
        // The request was lost.
        Some(_) if is_release => match end(cloud, target).await? {
            true => OperationStatus::Running { percent: None },
            false => OperationStatus::Succeeded(None),
        },
        Some(service) if service.status == ServiceStatus::Failed => {
            OperationStatus::Failed { reason: "the address is broken".to_owned(), shortage: None }
        }
        Some(service) => OperationStatus::Succeeded(Some(service)),
        None if is_release => OperationStatus::Succeeded(None),
        None => {
            return Err(cloud.error(call, ErrorKind::NotFound { what: format!("floating IP {}", target.id) }));
        }
    })
}
