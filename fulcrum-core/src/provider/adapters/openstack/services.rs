//! Servers: found by their key, and read as services.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde_json::Value;

use super::{
    client::Cloud,
    compute::Compute,
    handle::ResourceRef,
    provision::{DISKS_FIELD, SKU_FIELD, ZONE_FIELD, tag_of, unrecorded_volumes},
    wire,
};
use crate::{
    model::{IdempotencyKey, Place, RegionId, Service, ServiceStatus, SkuId, ZoneId, read_foreign_value},
    provider::{
        Call, ErrorKind, Result,
        adapters::common::CallErrors,
        http::{HTML_PAGE, Page, Request, Response, paginate},
    },
};

/// The field of a server's metadata that holds its key.
pub(super) const KEY_FIELD: &str = "fulcrum-key";

/// The servers of a look-up.
#[derive(Debug, Clone)]
enum ServerQuery {
    /// All servers with a key.
    All,
    /// Servers of one key, by the metadata of all.
    Key(IdempotencyKey),
    /// Servers of one key, by its tag. Servers of an older nova have none, and a person may remove it.
    Tag(IdempotencyKey),
}

/// One server; none if it is gone or was never there.
pub(super) async fn get(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<wire::Server>> {
    let compute = cloud.compute(&target.region, call).await?;
    let request = compute.with_version(Request::get(call, ["servers", &target.id]));
    let response: Option<wire::ServerReply<Value>> = compute.client.get_optional(&request).await?;
    let Some(wire::ServerReply { server }) = response else { return Ok(None) };
    let protocol_error = |message: String| cloud.protocol_error(call, &message);
    if wire::is_of_down_cell(&server) {
        return Err(cloud.error(call, cell_is_down()));
    }
    let server: wire::Server = read_foreign_value(&server)
        .map_err(|fault| protocol_error(format!("server.{}: {}", fault.path(), fault.finding())))?;
    if server.id != target.id {
        return Err(protocol_error(format!(
            "the response to a request about the server {} is about {}",
            target.id, server.id
        )));
    }
    Ok(Some(server).filter(exists))
}

/// The error of a response with partial servers: it proves nothing.
fn cell_is_down() -> ErrorKind {
    ErrorKind::unavailable("a cell of nova is down, and its servers are listed with part of their fields")
}

/// A server that this library has made; none if it is gone.
pub(super) async fn get_own(cloud: &Cloud, target: &ResourceRef, call: Call) -> Result<Option<wire::Server>> {
    match get(cloud, target, call).await? {
        Some(server) if key_of(&server).is_none() => {
            let message = format!("{} was not made by this library; it is not changed", server.id);
            Err(cloud.error(call, ErrorKind::Conflict { message }))
        }
        server => Ok(server),
    }
}

/// Checks that no volume is attached to a server which its purchase did not make: some would end with the server. Without the
/// record of its own volumes, as after an abandoned purchase, those that end with the server count as its own. Floating IPs and
/// foreign ports stay.
pub(super) fn check_attached(cloud: &Cloud, server: &wire::Server, call: Call) -> Result<()> {
    let noted = server.metadata.get(DISKS_FIELD);
    let is_own = |volume: &&wire::Volume| match noted {
        Some(noted) => noted.split(' ').any(|id| id == volume.id),
        None => volume.ends,
    };
    let others = server.volumes.iter().filter(|volume| !is_own(volume));
    let others: Vec<_> = others.map(|volume| format!("the volume {}", volume.id)).collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(cloud.error(call, ErrorKind::attached(&server.id, &others))),
    }
}

/// Servers of a region; one request for each page polled.
///
/// A list with a filter, a limit or a marker silently leaves out the servers of a cell that is down. So the list of all servers
/// has none of these, and a version that names those servers: then the list proves nothing. Only where nova's own limit cuts
/// the list, further pages are read by their markers.
async fn list(
    cloud: &Cloud,
    region: &RegionId,
    wanted: ServerQuery,
    call: Call,
) -> Result<BoxStream<'static, Result<wire::Server>>> {
    let compute = cloud.compute(region, call).await?;
    let all = Request::get(call, ["servers", "detail"]);
    let paged = all.clone().query("limit", cloud.config.page_size);
    let (first, start) = match &wanted {
        ServerQuery::Tag(key) => {
            let tagged = compute.with_version(paged.query("tags", tag_of(key)));
            (tagged.clone(), tagged)
        }
        _ if compute.lists_down_cells() => (compute.with_cells_version(all), compute.with_version(paged)),
        _ => (compute.with_version(paged.clone()), compute.with_version(paged)),
    };
    let wanted = match wanted {
        ServerQuery::All => None,
        ServerQuery::Key(key) | ServerQuery::Tag(key) => Some(key),
    };
    // Nova keeps a new server in another database at first. It may list a server twice when the server moves.
    let seen: Mutex<(BTreeSet<String>, BTreeSet<String>)> = Mutex::default();
    let read = move |_: &Request, response: &Response| {
        let page: wire::ServerPage = response.json()?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (ids, markers) = &mut *seen;
        // The URL of the next page may bypass a gateway before nova; the last id does not.
        let last = page.servers.last_id().filter(|_| wire::has_next(&page.servers_links));
        if last.is_some_and(|id| !markers.insert(id.to_owned())) {
            return Err(response.error(ErrorKind::unavailable("its list goes in a circle; try again")));
        }
        let next = last.map(|id| start.clone().query("marker", id));
        if page.servers.unreadable().iter().any(|row| row.matches(wire::is_of_down_cell)) {
            return Err(response.error(cell_is_down()));
        }
        let servers = page.servers.conclusive(response, wire::is_foreign)?;
        let is_wanted = |server: &wire::Server| {
            let key = key_of(server);
            exists(server)
                && key.is_some()
                && (wanted.is_none() || key == wanted)
                && ids.insert(server.id.clone())
        };
        Ok(Page { items: servers.into_iter().filter(is_wanted).collect(), next })
    };
    Ok(paginate(compute.client, first, read))
}

/// The same as a stream of services, which finds nova's URL when it is polled.
pub(super) fn list_services(cloud: Arc<Cloud>, region: RegionId) -> BoxStream<'static, Result<Service>> {
    let call = Call::Services;
    let services = async move {
        let listed = list(&cloud, &region, ServerQuery::All, call).await?;
        let service = move |server: wire::Server| {
            let (cloud, region) = (cloud.clone(), region.clone());
            async move { service_of(&cloud, &region, &server, call).await }
        };
        Ok(listed.and_then(service))
    };
    services.try_flatten_stream().boxed()
}

/// The service of a key in a region.
pub(super) async fn find_in_region(
    cloud: &Cloud,
    region: &RegionId,
    key: &IdempotencyKey,
) -> Result<Option<Service>> {
    let call = Call::FindByKey;
    let has_tags = cloud.compute(region, call).await?.has_tags();
    let by_tag = has_tags.then(|| ServerQuery::Tag(key.clone()));
    // A server that its tag does not find is searched among all: absence needs proof.
    for wanted in by_tag.into_iter().chain([ServerQuery::Key(key.clone())]) {
        let servers: Vec<_> = list(cloud, region, wanted, call).await?.try_collect().await?;
        // A server that is being deleted does not count if there is another one.
        let is_ending = |server: &&wire::Server| status_of(server) == ServiceStatus::Releasing;
        if let Some(server) = servers.iter().find(|it| !is_ending(it)).or(servers.first()) {
            let service = service_of(cloud, region, server, call).await?;
            // A look-up by key continues the purchase, as its volumes are not recorded yet.
            let is_unfinished =
                service.status == ServiceStatus::Running && unrecorded_volumes(server).is_some();
            let status = if is_unfinished { ServiceStatus::Starting } else { service.status };
            return Ok(Some(Service { status, ..service }));
        }
    }
    Ok(None)
}

/// The key that a server was made with.
pub(super) fn key_of(server: &wire::Server) -> Option<IdempotencyKey> {
    IdempotencyKey::new(server.metadata.get(KEY_FIELD)?).ok()
}

fn exists(server: &wire::Server) -> bool {
    !matches!(server.status.as_str(), "DELETED" | "SOFT_DELETED")
}

/// Whether a task is under way.
pub(super) fn is_busy(server: &wire::Server) -> bool {
    server.task.is_some()
}

pub(super) fn status_of(server: &wire::Server) -> ServiceStatus {
    if matches!(server.task.as_deref(), Some("deleting" | "soft-deleting")) {
        return ServiceStatus::Releasing;
    }
    match server.status.as_str() {
        "ACTIVE" | "REBOOT" | "HARD_REBOOT" | "PASSWORD" | "RESIZE" | "VERIFY_RESIZE" | "REVERT_RESIZE"
        | "MIGRATING" => ServiceStatus::Running,
        "SHUTOFF" | "SUSPENDED" | "PAUSED" | "SHELVED" | "SHELVED_OFFLOADED" | "RESCUE" => {
            ServiceStatus::Stopped
        }
        "ERROR" => ServiceStatus::Failed,
        // BUILD, REBUILD; UNKNOWN where a part of nova does not answer.
        _ => ServiceStatus::Starting,
    }
}

/// A server's flavor by nova.
pub(super) async fn flavor_of(
    cloud: &Cloud,
    region: &RegionId,
    server: &wire::Server,
    call: Call,
) -> Result<Option<String>> {
    match (&server.flavor.original_name, &server.flavor.id) {
        (Some(name), _) => Ok(Some(name.clone())),
        (None, Some(id)) => cloud.flavor_name(region, id, call).await,
        (None, None) => Ok(None),
    }
}

/// A server as a service, without a key if this library did not make it. The server exists, so a field that cannot be read is
/// an error.
pub(super) async fn service_of(
    cloud: &Cloud,
    region: &RegionId,
    server: &wire::Server,
    call: Call,
) -> Result<Service> {
    let odd = |what: &str| cloud.protocol_error(call, &format!("the server {} {what}", server.id));
    let place = cloud.place(region).ok_or_else(|| odd("is in a region that is not configured"))?;
    let id = ResourceRef::server(region, &server.id)
        .service()
        .ok_or_else(|| odd("has an id that is not valid"))?;
    let bought = server.metadata.get(SKU_FIELD).cloned();
    // Until a resize is confirmed the old size holds.
    let sku = match bought {
        Some(bought) if server.status == "VERIFY_RESIZE" => bought,
        bought => flavor_of(cloud, region, server, call).await?.or(bought).unwrap_or_default(),
    };
    let sku = SkuId::new(&sku).map_err(|_| odd("has no flavor"))?;
    let zone = server.metadata.get(ZONE_FIELD).and_then(|zone| ZoneId::new(zone).ok());
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    };
    let all: Vec<_> = server.addresses.values().flatten().collect();
    let best = all.iter().find(|address| address.kind == "floating").or(all.first());
    let ipv4 = |is_wanted: &dyn Fn(&wire::Address, Ipv4Addr) -> bool| {
        let addresses = all.iter().filter_map(|address| Some((*address, address.addr.parse().ok()?)));
        let mut wanted = addresses.filter(|(address, ip)| is_wanted(address, *ip));
        wanted.next().map(|(address, _)| address.addr.clone())
    };
    let is_public = |address: &wire::Address, ip: Ipv4Addr| address.kind == "floating" || !ip.is_private();
    put("public_ipv4", ipv4(&is_public).as_deref());
    put("private_ip", ipv4(&|address, ip| !is_public(address, ip)).as_deref());
    // As they were called until 0.2.
    put("address", best.map(|address| address.addr.as_str()));
    put("addresses", Some(&all.iter().map(|address| address.addr.as_str()).collect::<Vec<_>>().join(",")));
    put("name", Some(&server.name));
    put("zone", server.zone.as_deref());
    put("fault", server.fault.as_ref().map(|fault| fault.message.as_str()));
    Ok(Service {
        id,
        provider: cloud.id().clone(),
        key: key_of(server),
        sku,
        place: Place { zone, ..place.clone() },
        status: status_of(server),
        attributes,
    })
}

/// Sends an action on a server.
pub(super) async fn action(compute: &Compute, target: &ResourceRef, call: Call, body: Value) -> Result<()> {
    let request = Request::post(call, ["servers", &target.id, "action"]).json(&body);
    let response = compute.client.send_ok(&compute.with_version(request)).await?;
    // Nova sends no body: an HTML page is a gateway's.
    match response.is_html_page() {
        true => Err(response.unexpected_document(HTML_PAGE)),
        false => Ok(()),
    }
}
