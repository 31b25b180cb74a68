//! Servers: ordered with their key, found by it, read as services.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use base64::Engine;
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream::BoxStream};
use serde_json::{Map, Value, json};

use super::{
    cloud::Cloud,
    compute::Compute,
    handle::{Operation, Target},
    wire,
};
use crate::{
    model::{IdempotencyKey, Place, RegionId, Service, ServiceStatus, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, Line, OperationHandle, Priced, ProvisionRequest, Result,
        adapters::{bought::answered, whose::Whose},
        http::{HTML_PAGE, Page, Request, Response, paginate},
    },
};

/// The field of a server's metadata that holds its key.
pub(super) const KEY: &str = "fulcrum-key";
/// The zone that was bought; a server without it may be in any.
const ZONE: &str = "fulcrum-zone";
/// The flavor that was bought.
pub(super) const SKU: &str = "fulcrum-sku";
/// The volumes that were made with a server, where its image brings some.
const DISKS: &str = "fulcrum-disks";
/// Characters that nova lets a value of the metadata have.
const MAX_VALUE: usize = 255;
/// A tag of all servers of this library.
const OURS: &str = "fulcrum";
/// Characters that nova lets a tag have.
const MAX_TAG: usize = 60;
/// Characters that nova lets a name have.
const MAX_NAME: usize = 255;

/// A key as a tag: itself, or what fits of it with a digest.
fn tag_of(key: &IdempotencyKey) -> String {
    let text = key.to_string();
    if text.len() <= MAX_TAG {
        return text;
    }
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{}-{}", &text[..27], &digest[..32])
}

/// What each field of the bodies costs that order a server or an address.
pub const FIELDS: &[(&str, Priced)] = &[
    ("floatingip.description", Priced::Free("words cost nothing")),
    ("floatingip.floating_network_id", Priced::By(Line::Offer)),
    ("server.availability_zone", Priced::By(Line::Offer)),
    ("server.flavorRef", Priced::By(Line::Offer)),
    (
        "server.imageRef",
        Priced::Free("an image that brings volumes is refused, and a licence is part of a flavor's price"),
    ),
    ("server.key_name", Priced::Free("keys cost nothing")),
    ("server.metadata.fulcrum-key", Priced::Free("metadata cost nothing")),
    ("server.metadata.fulcrum-sku", Priced::Free("metadata cost nothing")),
    ("server.metadata.fulcrum-zone", Priced::Free("metadata cost nothing")),
    ("server.name", Priced::Free("names cost nothing")),
    ("server.networks", Priced::Free("addresses of a network are part of a flavor")),
    ("server.networks[].uuid", Priced::Free("addresses of a network are part of a flavor")),
    ("server.security_groups[].name", Priced::Free("security groups cost nothing")),
    ("server.tags[]", Priced::Free("tags cost nothing")),
    ("server.user_data", Priced::Free("data for the first boot cost nothing")),
];

/// Orders a server.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
) -> Result<OperationHandle> {
    let call = Call::Provision;
    cloud.check_sold(request, call).await?;
    let region = &request.place.region;
    let compute = cloud.compute(region, call).await?;
    let config = &cloud.config;
    let setting =
        |name: &str, otherwise: Option<&str>| request.setting(name).or_else(|| otherwise.map(str::to_owned));
    let flavor = cloud.flavor(region, &request.sku, call).await?;
    let image = setting("image", config.image.as_deref()).ok_or_else(|| {
        cloud.invalid(call, "no image; write the setting `image`, here or in the provider's configuration")
    })?;
    let image = cloud.image(region, &image, call).await?;
    let network = setting("network", Some(&config.network)).unwrap_or_default();

    let mut metadata = Map::new();
    metadata.insert(KEY.to_owned(), key.to_string().into());
    metadata.insert(SKU.to_owned(), request.sku.to_string().into());
    let mut server = Map::new();
    if let Some(zone) = &request.place.zone {
        metadata.insert(ZONE.to_owned(), zone.to_string().into());
        server.insert("availability_zone".to_owned(), zone.to_string().into());
    }
    let name: String = request.name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let name = if name.trim().is_empty() { key.to_string() } else { name };
    server.insert("name".to_owned(), name.into());
    server.insert("flavorRef".to_owned(), flavor.id.into());
    server.insert("imageRef".to_owned(), image.into());
    server.insert("metadata".to_owned(), Value::Object(metadata));
    if compute.has_tags() {
        server.insert("tags".to_owned(), json!([OURS, tag_of(key)]));
    }
    match network.as_str() {
        word @ ("auto" | "none") if compute.needs_networks() => {
            server.insert("networks".to_owned(), word.into());
        }
        // What older versions do without being told.
        "auto" => {}
        name => {
            let id = cloud.network(region, name, call).await?;
            server.insert("networks".to_owned(), json!([{ "uuid": id }]));
        }
    }
    if let Some(name) = setting("key_name", config.key_name.as_deref()) {
        server.insert("key_name".to_owned(), name.into());
    }
    if let Some(groups) = setting("security_groups", config.security_groups.as_deref()) {
        let groups: Vec<_> = groups.split(',').map(|name| json!({ "name": name.trim() })).collect();
        server.insert("security_groups".to_owned(), groups.into());
    }
    if let Some(text) = setting("user_data", None) {
        let coded = base64::engine::general_purpose::STANDARD.encode(text);
        server.insert("user_data".to_owned(), coded.into());
    }
    let request = Request::post(call, ["servers"]).for_sku(&request.sku).json(&json!({ "server": server }));
    let wire::CreatedAnswer { server } = answered(compute.client.json(&compute.speak(request)).await)?;
    let operation = Operation::Provision(Target::server(region, &server.id));
    Ok(Whose::of(Some(key)).handle(&operation.text()))
}

/// One server; none if it is gone or was never there.
pub(super) async fn get(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Server>> {
    let compute = cloud.compute(&target.region, call).await?;
    let request = compute.speak(Request::get(call, ["servers", &target.id]));
    let response: Option<wire::ServerAnswer<Value>> = compute.client.get_optional(&request).await?;
    let Some(wire::ServerAnswer { server }) = response else { return Ok(None) };
    let protocol_error = |message: String| cloud.error(call, ErrorKind::Protocol { message });
    if wire::is_of_down_cell(&server) {
        return Err(cloud.error(call, cell_is_down()));
    }
    let server: wire::Server = serde_path_to_error::deserialize(server)
        .map_err(|error| protocol_error(format!("server.{}: {}", error.path(), error.inner())))?;
    if server.id != target.id {
        return Err(protocol_error(format!("asked for the server {}, it tells of {}", target.id, server.id)));
    }
    Ok(Some(server).filter(exists))
}

/// Why nothing follows from an answer in which servers are told in part.
fn cell_is_down() -> ErrorKind {
    ErrorKind::unavailable("a cell of nova is down, and its servers are told in part")
}

/// A server that this library has made; none if it is gone.
pub(super) async fn get_own(cloud: &Cloud, target: &Target, call: Call) -> Result<Option<wire::Server>> {
    match get(cloud, target, call).await? {
        Some(server) if key_of(&server).is_none() => {
            let message = format!("{} was not made by this library", server.id);
            Err(cloud.error(call, ErrorKind::Conflict { message }))
        }
        server => Ok(server),
    }
}

/// The volumes that a server's purchase made, if they are not written down.
fn unnoted(server: &wire::Server) -> Option<String> {
    let made = server.volumes.iter().map(|volume| volume.id.as_str()).collect::<Vec<_>>().join(" ");
    let is_noted = made.is_empty() || made.len() > MAX_VALUE || server.metadata.contains_key(DISKS);
    (!is_noted).then_some(made)
}

/// Writes down which volumes a server's purchase made, once: its image may bring some.
pub(super) async fn note_volumes(cloud: &Cloud, target: &Target, server: &wire::Server) -> Result<()> {
    let Some(made) = unnoted(server) else { return Ok(()) };
    let compute = cloud.compute(&target.region, Call::Poll).await?;
    let body = json!({ "metadata": { (DISKS): made } });
    let request = Request::post(Call::Act, ["servers", &target.id, "metadata"]).json(&body);
    match compute.client.send_ok(&compute.speak(request)).await {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(server = target.id, %error, "it is not written down which volumes the purchase made");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// That no volume hangs on a server which its purchase did not make: some end with the server. Where it is not written down
/// what it made, as that of a purchase that was given up, volumes are its own which end with it. Floating IPs and ports of others
/// stay.
pub(super) fn check_attached(cloud: &Cloud, server: &wire::Server, call: Call) -> Result<()> {
    let noted = server.metadata.get(DISKS);
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

/// Which servers are looked for.
#[derive(Debug, Clone)]
enum Wanted {
    /// All that carry a key.
    All,
    /// Those of one key among all, by their metadata.
    Key(IdempotencyKey),
    /// The same, by a tag, which servers from before nova knew tags do not have, and people may take off.
    Tag(IdempotencyKey),
}

/// Servers of a region; one request for each page polled.
///
/// A list with a filter, a limit or a marker leaves the servers of a cell that is down out, without a word. So all servers are
/// asked for without any, by the version that names those servers too, and then nothing follows from the list. Only where
/// nova's own limit cuts it are more pages asked for, by their markers.
async fn list(
    cloud: &Cloud,
    region: &RegionId,
    wanted: Wanted,
    call: Call,
) -> Result<BoxStream<'static, Result<wire::Server>>> {
    let compute = cloud.compute(region, call).await?;
    let all = Request::get(call, ["servers", "detail"]);
    let paged = all.clone().query("limit", cloud.config.page_size);
    let (first, start) = match &wanted {
        Wanted::Tag(key) => {
            let tagged = compute.speak(paged.query("tags", tag_of(key)));
            (tagged.clone(), tagged)
        }
        _ if compute.tells_down_cells() => (compute.speak_of_cells(all), compute.speak(paged)),
        _ => (compute.speak(paged.clone()), compute.speak(paged)),
    };
    let wanted = match wanted {
        Wanted::All => None,
        Wanted::Key(key) | Wanted::Tag(key) => Some(key),
    };
    // Nova keeps a new server in another database at first, and may show it again, also behind itself, when it moves.
    let seen: Mutex<(BTreeSet<String>, BTreeSet<String>)> = Mutex::default();
    let read = move |_: &Request, response: &Response| {
        let page: wire::ServerPage = response.json()?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (ids, markers) = &mut *seen;
        // The address of the next page may lead around what stands before nova; the last identifier does not.
        let last = page.servers.last_id().filter(|_| wire::has_next(&page.servers_links));
        if last.is_some_and(|id| !markers.insert(id.to_owned())) {
            return Err(response.error(ErrorKind::unavailable("its list goes in a circle")));
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

/// The same, as a stream that asks where nova is when it is polled.
pub(super) fn list_services(cloud: Arc<Cloud>, region: RegionId) -> BoxStream<'static, Result<Service>> {
    let call = Call::Services;
    let services = async move {
        let listed = list(&cloud, &region, Wanted::All, call).await?;
        let service = move |server: wire::Server| {
            let (cloud, region) = (cloud.clone(), region.clone());
            async move { service_of(&cloud, &region, &server, call).await }
        };
        Ok(listed.and_then(service))
    };
    services.try_flatten_stream().boxed()
}

/// What a key has made in a region.
pub(super) async fn find(cloud: &Cloud, region: &RegionId, key: &IdempotencyKey) -> Result<Option<Service>> {
    let call = Call::FindByKey;
    let has_tags = cloud.compute(region, call).await?.has_tags();
    let by_tag = has_tags.then(|| Wanted::Tag(key.clone()));
    // What the tag does not find is looked for among all: from not finding it much follows.
    for wanted in by_tag.into_iter().chain([Wanted::Key(key.clone())]) {
        let servers: Vec<_> = list(cloud, region, wanted, call).await?.try_collect().await?;
        // What is being deleted is nobody's any more if there is another.
        let is_ending = |server: &&wire::Server| status_of(server) == ServiceStatus::Releasing;
        if let Some(server) = servers.iter().find(|it| !is_ending(it)).or(servers.first()) {
            let service = service_of(cloud, region, server, call).await?;
            // Who looks by the key goes on with the purchase: its volumes are not written down yet.
            let is_unfinished = service.status == ServiceStatus::Running && unnoted(server).is_some();
            let status = if is_unfinished { ServiceStatus::Starting } else { service.status };
            return Ok(Some(Service { status, ..service }));
        }
    }
    Ok(None)
}

/// The key that a server was made with.
pub(super) fn key_of(server: &wire::Server) -> Option<IdempotencyKey> {
    IdempotencyKey::new(server.metadata.get(KEY)?).ok()
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

/// The flavor that a server has by nova.
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

/// A server as a service, without a key if it is not of this library. It exists: what cannot be read of it is an error.
pub(super) async fn service_of(
    cloud: &Cloud,
    region: &RegionId,
    server: &wire::Server,
    call: Call,
) -> Result<Service> {
    let odd = |what: &str| {
        cloud.error(call, ErrorKind::Protocol { message: format!("the server {} {what}", server.id) })
    };
    let place = cloud.place(region).ok_or_else(|| odd("is in no region that is configured"))?;
    let id = Target::server(region, &server.id).service().ok_or_else(|| odd("has an id that is none"))?;
    let bought = server.metadata.get(SKU).cloned();
    // Until a new size is confirmed the old one is what holds.
    let sku = match bought {
        Some(bought) if server.status == "VERIFY_RESIZE" => bought,
        bought => flavor_of(cloud, region, server, call).await?.or(bought).unwrap_or_default(),
    };
    let sku = SkuId::new(&sku).map_err(|_| odd("has no flavor"))?;
    let zone = server.metadata.get(ZONE).and_then(|zone| ZoneId::new(zone).ok());
    let mut attributes = BTreeMap::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    };
    let all: Vec<_> = server.addresses.values().flatten().collect();
    let best = all.iter().find(|address| address.kind == "floating").or(all.first());
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

/// Asks nova for something to be done to a server.
pub(super) async fn action(compute: &Compute, target: &Target, call: Call, body: Value) -> Result<()> {
    let request = Request::post(call, ["servers", &target.id, "action"]).json(&body);
    let response = compute.client.send_ok(&compute.speak(request)).await?;
    // Nova says nothing more: a page is somebody else's word.
    match response.is_html_page() {
        true => Err(response.unexpected_document(HTML_PAGE)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fits_and_differs_where_its_key_does() {
        let key = |text: &str| IdempotencyKey::new(text).expect("a key");
        assert_eq!(tag_of(&key("f-1")), "f-1");
        let (one, two) =
            (tag_of(&key(&format!("{}1", "a".repeat(62)))), tag_of(&key(&format!("{}2", "a".repeat(62)))));
        assert!(one != two && one.len() == MAX_TAG, "{one} {two}");
    }
}
