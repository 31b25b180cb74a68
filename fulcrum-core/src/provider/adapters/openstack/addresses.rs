//! Floating IPs: public addresses that are sold by themselves. Their description holds key and product.

use std::sync::Arc;

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde_json::{Value, json};

use super::{
    client::Cloud,
    handle::{Handle, ResourceRef},
    wire,
};
use crate::{
    model::{IdempotencyKey, RegionId, Service, ServiceStatus, SkuId, map_of},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProvisionRequest, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed},
            operation_owner::OperationOwner,
            purchase_outcome::purchase_response,
        },
        http::{Client, Page, Request, Response, paginate},
    },
};

/// Begins the description of an address of this library: `fulcrum-key=<key> sku=<sku>`.
const KEY_FIELD: &str = "fulcrum-key=";
const SKU_FIELD: &str = " sku=";

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

/// Orders an address.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let (call, region) = (Call::Provision, &request.place.region);
    let network = cloud.config.floating_network.as_deref().ok_or_else(|| {
        cloud.invalid_request(
            call,
            "no public addresses are sold; set `floating_network` in the provider's configuration",
        )
    })?;
    cloud.check_sold(request, call).await?;
    let network = cloud.network(region, network, call).await?;
    let (client, path) = neutron(cloud, region, call, &[]).await?;
    let description = format!("{KEY_FIELD}{key}{SKU_FIELD}{}", request.sku);
    let body = json!({ "floatingip": { "floating_network_id": network, "description": description } });
    let request = Request::post(call, path).for_sku(&request.sku).json(&body);
    let wire::FloatingIpReply { floatingip } = purchase_response(client.json(&request).await)?;
    // A response without the order's key is about something else.
    if parse(&floatingip).is_none_or(|(its, _)| its != *key) {
        let message = format!(
            "the response names the address {}, which does not have this order\'s key",
            floatingip.id
        );
        return Err(cloud.protocol_error(call, &message));
    }
    let operation = Handle::Provision(ResourceRef::address(region, &floatingip.id));
    Ok(OperationOwner::new(Some(key)).handle(&operation.text()))
}

fn parse(address: &wire::FloatingIp) -> Option<(IdempotencyKey, SkuId)> {
    let (key, sku) = address.description.as_deref()?.strip_prefix(KEY_FIELD)?.split_once(SKU_FIELD)?;
    Some((IdempotencyKey::new(key).ok()?, SkuId::new(sku).ok()?))
}

/// Whether an unreadable address is certainly not this library's: its description holds no key.
fn is_foreign(row: &Value) -> bool {
    row.get("description")
        .and_then(Value::as_str)
        .is_some_and(|description| !description.starts_with(KEY_FIELD))
}

/// Stands for the product of a foreign address.
const UNKNOWN_SKU: &str = "unknown";

/// An address as a service, without a key if this library did not make it.
fn service_of(cloud: &Cloud, region: &RegionId, address: &wire::FloatingIp, call: Call) -> Result<Service> {
    let odd = |what: &str| cloud.protocol_error(call, &format!("the address {} {what}", address.id));
    let (key, sku) = parse(address).unzip();
    let sku = sku.map_or_else(|| SkuId::new(UNKNOWN_SKU), Ok).map_err(|error| odd(&error.to_string()))?;
    // `address` is what it was called until 0.2.
    let attributes = address.floating_ip_address.iter();
    let attributes =
        attributes.flat_map(|it| ["public_ipv4", "address"].map(|name| (name.to_owned(), it.clone())));
    // ACTIVE if it is attached to a machine, DOWN if not.
    let status = match address.status.as_deref() {
        Some("ERROR") => ServiceStatus::Failed,
        _ => ServiceStatus::Running,
    };
    Ok(Service {
        id: ResourceRef::address(region, &address.id)
            .service()
            .ok_or_else(|| odd("has an id that is not valid"))?,
        provider: cloud.id().clone(),
        key,
        sku,
        place: cloud.place(region).ok_or_else(|| odd("is in a region that is not configured"))?.clone(),
        status,
        attributes: map_of(attributes),
    })
}

/// The addresses of a region with a key.
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

/// The service of a key in a region.
pub(super) async fn find_in_region(
    cloud: &Arc<Cloud>,
    region: &RegionId,
    key: &IdempotencyKey,
) -> Result<Option<Service>> {
    let all: Vec<Service> = list(cloud.clone(), region.clone(), Call::FindByKey).try_collect().await?;
    Ok(all.into_iter().find(|service| service.key.as_ref() == Some(key)))
}

async fn get(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<wire::FloatingIp>> {
    let (client, path) = neutron(cloud, &target.region, call, &[&target.id]).await?;
    let response: Option<wire::FloatingIpReply> = client.get_optional(&Request::get(call, path)).await?;
    match response {
        Some(wire::FloatingIpReply { floatingip }) if floatingip.id != target.id => {
            let message = format!(
                "the response to a request about the address {} is about {}",
                target.id, floatingip.id
            );
            Err(cloud.protocol_error(call, &message))
        }
        response => Ok(response.map(|response| response.floatingip)),
    }
}

/// One address.
pub(super) async fn describe(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<Service>> {
    let address = get(cloud, target, call).await?;
    address.map(|address| service_of(cloud, &target.region, &address, call)).transpose()
}

/// Releases an address.
pub(super) async fn release(cloud: &Cloud, target: ResourceRef) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(OperationOwner::default().handle(&Handle::Nothing.text()));
    let Some(address) = get(cloud, &target, call).await? else { return nothing() };
    let Some((key, _)) = parse(&address) else {
        let message = format!("{} was not made by this library; it is not changed", address.id);
        return Err(cloud.error(call, ErrorKind::Conflict { message }));
    };
    match end(cloud, &target).await? {
        true => Ok(OperationOwner::new(Some(&key)).handle(&Handle::Release(target).text())),
        false => nothing(),
    }
}

/// Deletes an address. Returns whether it still existed.
async fn end(cloud: &Cloud, target: &ResourceRef) -> Result<bool> {
    let call = Call::Release;
    let (client, path) = neutron(cloud, &target.region, call, &[&target.id]).await?;
    client.delete_if_exists(&Request::delete(call, path)).await
}

/// How far an operation is: order and release are done at once.
pub(super) async fn poll(
    cloud: &Cloud,
    target: &ResourceRef,
    is_release: bool,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let described = describe(cloud, target, call).await?;
    if let Some(service) = &described {
        // The address has another owner by now, or none.
        let Some(key) = &service.key else {
            let message = format!("the floating IP {} has lost its key", target.id);
            return Err(cloud.protocol_error(call, &message));
        };
        if is_release && !owner.may_release(Some(key)).map_err(|kind| cloud.error(call, kind))? {
            return Ok(OperationStatus::Succeeded(None));
        }
        if !owner.owns(Some(key)) {
            return Err(
                cloud.error(call, OperationOwner::stale_operation(format!("the floating IP {}", target.id)))
            );
        }
    }
    Ok(match described {
        // The first request was lost.
        Some(_) if is_release => match end(cloud, target).await? {
            true => RUNNING,
            false => OperationStatus::Succeeded(None),
        },
        Some(service) if service.status == ServiceStatus::Failed => {
            failed("the cloud reports an error of the address")
        }
        Some(service) => OperationStatus::Succeeded(Some(service)),
        None if is_release => OperationStatus::Succeeded(None),
        None => {
            return Err(cloud.error(call, ErrorKind::NotFound { what: format!("floating IP {}", target.id) }));
        }
    })
}
