//! Scaleway, against recorded answers of the real service.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::peers;
use fulcrum_core::{
    model::{
        Action, Charge, IdempotencyKey, Offer, OfferKind, OrderId, Place, PurchaseOption, ServiceId,
        ServiceStatus,
    },
    provider::{
        ErrorKind, OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::scaleway::{Scaleway, ScalewayConfig},
        http::{Credential, HttpConfig, Replay},
    },
};
use futures::StreamExt;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const PROJECT: &str = "fa1e3217-dc80-42ac-85c3-3f034b78b552";

fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings/scaleway");
    if !folder.is_dir() {
        println!("SKIPPED: no recorded answers at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// A secret in a file of its own: the environment is shared by all tests.
fn config(folder: &Path) -> ScalewayConfig {
    std::fs::write(folder.join("secret"), "canary-5caf-0000").expect("a file");
    ScalewayConfig { secret_key: Credential::File("secret".to_owned()), ..ScalewayConfig::new(PROJECT) }
}

fn adapter(tape: &str) -> (Scaleway, Arc<Replay>) {
    adapter_with(tape, None)
}

/// What disks and addresses cost everywhere.
const STORAGE: &str = "kind,sku,region,hourly,unit,unit_price,currency,tax,attributes,observed,source
block_storage,sbs_5k,*,,GB-hour,0.00013,EUR,net,,2026-11-01,test
public_ip,flexible-ipv4,*,0.005,,,EUR,net,version=4,2026-11-01,test
";

fn adapter_with(tape: &str, storage: Option<&str>) -> (Scaleway, Arc<Replay>) {
    let folder = tempfile::tempdir().expect("a folder");
    let replay = Arc::new(Replay::of_text(tape).expect("a recording"));
    let mut config = config(folder.path());
    if let Some(storage) = storage {
        std::fs::write(folder.path().join("storage.csv"), crate::imitation::read_today(storage))
            .expect("a file");
        config.storage = Some("storage.csv".into());
    }
    let adapter = config.build(folder.path()).expect("an adapter").with_transport(replay.clone());
    (adapter, replay)
}

/// The price lists as a tape: each file is one answer, and its name says to what.
fn price_lists(folder: &Path) -> String {
    let mut tape = String::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("GET_instance_v1_zones_") else { continue };
        let (rest, page) = rest.rsplit_once("_page").expect("a page");
        let (zone, what) = rest.split_once("_products_").expect("a list");
        let what = if what == "servers" { "servers" } else { "servers/availability" };
        let file: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
        let path = format!("/instance/v1/zones/{zone}/products/{what}?page={page}");
        let line = json!({
            "request": { "method": "GET", "path": path },
            "response": { "status": 200, "headers": file["headers"], "body": file["body"] },
        });
        tape += &format!("{line}\n");
    }
    // A zone without a recording sells nothing.
    for zone in ["nl-ams-2", "pl-waw-3"] {
        for what in ["servers", "servers/availability"] {
            let path = format!("/instance/v1/zones/{zone}/products/{what}?page=1");
            let line = json!({
                "request": { "method": "GET", "path": path },
                "response": { "status": 200, "body": { "servers": {} } },
            });
            tape += &format!("{line}\n");
        }
    }
    tape
}

async fn offers(adapter: &Scaleway, filter: &OfferFilter) -> Vec<Offer> {
    adapter.offers(filter).map(|offer| offer.expect("an offer")).collect().await
}

fn hourly(offer: &Offer) -> Decimal {
    match offer.price.charge {
        Charge::Hourly(price) => price,
        ref other => panic!("{} costs {other:?}", offer.sku),
    }
}

/// The answer to its creation was lost: what is found is off, and must not be taken for what was bought.
#[tokio::test]
async fn a_server_that_was_never_started_is_driven_on_by_whoever_finds_it() {
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let server = json!({ "id": "5f0", "commercial_type": "DEV1-S", "state": "stopped", "tags": [format!("fulcrum-key={key}")] });
    let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_started = started.clone();
    let story = peers::server::Story::new(move |request| {
        use std::sync::atomic::Ordering::SeqCst;
        let mut server = server.clone();
        if request.starts_with("POST /instance/v1/zones/fr-par-1/servers/5f0/action") {
            assert!(request.contains("poweron"), "{request}");
            is_started.store(true, SeqCst);
        }
        if is_started.load(SeqCst) {
            server["state"] = json!("running");
        }
        let body = match request.split(' ').next() {
            Some("POST") => json!({ "task": { "id": "t" } }),
            _ if request.starts_with("GET /instance/v1/zones/fr-par-1/servers/5f0 ") => {
                json!({ "server": server })
            }
            _ => json!({ "servers": [server] }),
        };
        peers::server::answer(200, &[], &body.to_string()).into_bytes()
    });
    let http = peers::server::Server::start(story).await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path());
    config.http = HttpConfig { base_url: Some(http.url()), ..HttpConfig::default() };
    config.zones = vec!["fr-par-1".parse().expect("a name")];
    let adapter = config.build(folder.path()).expect("an adapter");
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there");
    assert_eq!(found.status, ServiceStatus::Starting);
    let described = adapter.describe(&found.id).await.expect("asked").expect("it is there");
    assert_eq!(described.status, ServiceStatus::Stopped);
    let wanted = json!({ "request": { "body": { "commercial_type": "DEV1-S", "name": "web" } },
        "response": { "body": { "server": { "image": { "id": "i" } } } } });
    let request = request(&wanted);
    let handle =
        adapter.resume_operation(&request, &found).await.expect("read").expect("somebody must go on");
    assert!(matches!(adapter.poll(&handle).await.expect("polled"), OperationStatus::Running { .. }));
    let done = adapter.poll(&handle).await.expect("polled");
    assert!(matches!(done, OperationStatus::Succeeded(Some(it)) if it.status == ServiceStatus::Running));
}

#[tokio::test]
async fn all_recorded_prices_are_read_to_the_digit() {
    let Some(folder) = recordings() else { return };
    let (adapter, replay) = adapter_with(&price_lists(&folder), Some(STORAGE));
    let offers = offers(&adapter, &OfferFilter::default()).await;
    assert_eq!(replay.unplayed(), Vec::<String>::new());
    let index = csv::Reader::from_path(folder.join("../prices.csv")).expect("the index");
    let expected: BTreeMap<(String, String), Decimal> = index
        .into_records()
        .map(|row| row.expect("a row"))
        .filter(|row| &row[0] == "scaleway")
        .map(|row| ((row[1].to_owned(), row[3].to_owned()), row[8].parse().expect("a price")))
        .collect();
    let read: BTreeMap<_, _> = offers
        .iter()
        .map(|offer| {
            let zone = offer.place.zone.as_ref().expect("a zone");
            ((zone.to_string(), offer.sku.to_string()), hourly(offer))
        })
        .collect();
    assert_eq!((offers.len(), read.len()), (625, 625));
    assert_eq!(read, expected);
    let out = offers.iter().filter(|offer| offer.stock == Some(0)).count();
    println!("{} offers in {} zones, {out} of them out of stock", offers.len(), 8);
    assert!(out > 0 && out < offers.len());
}

#[tokio::test]
async fn a_machine_is_offered_with_its_disk_and_its_address_or_not_at_all() {
    let Some(folder) = recordings() else { return };
    let (adapter, _) = adapter(&price_lists(&folder));
    let offers = offers(&adapter, &OfferFilter::default()).await;
    assert!(
        offers.iter().all(|offer| offer.place.region.as_str() == "fr-par"),
        "only its disks have a price"
    );
    let month = |offer: &Offer| {
        offer.surcharges.iter().map(|it| (it.sku.to_string(), it.price.net_month(0))).collect::<Vec<_>>()
    };
    // 11 GiB are 11.811160064 GB, each at 0.00013 EUR an hour.
    let disk = Decimal::from_str_exact("1.12087909007360").expect("a number");
    let address = Decimal::from_str_exact("3.65").expect("a number");
    let lines = [("flexible-ipv4".to_owned(), Some(address)), ("sbs_5k".to_owned(), Some(disk))];
    assert!(offers.iter().all(|offer| month(offer) == lines), "{:?}", month(&offers[0]));
    assert!(offers.iter().all(|offer| offer.capacity.disk_gib == 10));
    let mut refused = 0;
    for offer in &offers {
        refused += crate::exact::refuses(&adapter, offer).await;
    }
    println!("{} recorded offers, {refused} other requests refused", offers.len());
    let left_out = adapter.rejected();
    assert_eq!(left_out.len() + offers.len(), 625);
    assert!(left_out[0].reason.contains("storage"), "{left_out:?}");
}

#[tokio::test]
async fn a_filter_asks_the_zones_of_its_region_only() {
    let Some(folder) = recordings() else { return };
    let (adapter, replay) = adapter_with(&price_lists(&folder), Some(STORAGE));
    let filter = OfferFilter { regions: vec!["it-mil".parse().expect("a name")], ..OfferFilter::default() };
    let offers = offers(&adapter, &filter).await;
    assert_eq!(offers.len(), 46);
    assert!(replay.unplayed().iter().all(|line| !line.contains("it-mil")), "{:?}", replay.unplayed());
}

/// The flows, each with its lines.
fn flows(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let files = std::fs::read_dir(folder.join("flows")).expect("a folder");
    let flow = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a file");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (path.file_stem().expect("a name").to_string_lossy().into_owned(), lines)
    };
    files.map(|entry| flow(entry.expect("an entry").path())).collect()
}

/// The recorded servers were made by another client: with a tag of ours they are as if we had made them.
fn tagged(line: &Value, key: &IdempotencyKey) -> Value {
    let mut line = line.clone();
    if let Some(server) = line.pointer_mut("/response/body/server").filter(|server| server.is_object()) {
        server["tags"] = json!([format!("fulcrum-key={key}")]);
    }
    line
}

fn request(line: &Value) -> ProvisionRequest {
    // Some recordings hold the answer in place of the request's body.
    let body = if line["request"]["body"]["server"].is_object() {
        &line["response"]["body"]["server"]
    } else {
        &line["request"]["body"]
    };
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let image = line["response"]["body"]["server"]["image"]["id"].as_str().expect("an image").to_owned();
    let place = Place {
        provider: "scaleway".parse().expect("a name"),
        region: "fr-par".parse().expect("a name"),
        zone: Some("fr-par-1".parse().expect("a name")),
        country: "FR".parse().expect("a country"),
        coordinates: None,
    };
    ProvisionRequest {
        sku: text("commercial_type").parse().expect("a product"),
        kind: OfferKind::Machine,
        place,
        size_gib: 0,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: ["sbs_5k", "flexible-ipv4"].map(|sku| sku.parse().expect("a name")).to_vec(),
        name: text("name"),
        settings: BTreeMap::from([("image".to_owned(), image.into())]),
    }
}

fn is(line: &Value, method: &str, end: &str) -> bool {
    line["request"]["method"] == method
        && line["request"]["path"].as_str().is_some_and(|path| path.ends_with(end))
}

async fn until_done(adapter: &Scaleway, handle: &OperationHandle) -> Option<fulcrum_core::model::Service> {
    for _ in 0..40 {
        // As after a restart.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        match adapter.poll(&handle).await.expect("polled") {
            OperationStatus::Running { .. } => {}
            OperationStatus::Succeeded(service) => return service,
            OperationStatus::Failed { reason, .. } => panic!("{reason}"),
        }
    }
    panic!("{} does not end", handle.as_str());
}

#[tokio::test]
async fn every_recorded_flow_with_a_server_replays() {
    let Some(folder) = recordings() else { return };
    let (mut played, mut parsed) = (0, BTreeSet::new());
    for (name, lines) in flows(&folder) {
        let Some(made) = lines.iter().find(|line| is(line, "POST", "/servers")) else {
            parsed.insert(name);
            continue;
        };
        let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
        let id = made["response"]["body"]["server"]["id"].as_str().expect("an id");
        let is_started = lines.iter().any(|line| line["request"]["body"]["action"] == "poweron");
        let tape: String = lines.iter().map(|line| format!("{}\n", tagged(line, &key))).collect();
        // The recorded client did not write down which volumes it had made.
        let noted = json!({
            "request": { "method": "PATCH", "path": format!("/instance/v1/zones/fr-par-1/servers/{id}") },
            "response": { "status": 200, "body": {} },
        });
        let (adapter, _) = adapter(&(tape + &format!("{noted}\n")));
        let handle = adapter.provision(&request(made), &key).await.expect(&name);
        let service = ServiceId::new(format!("fr-par-1/{id}")).expect("a name");
        if is_started {
            let made = until_done(&adapter, &handle).await.expect("a service");
            assert_eq!((&made.id, made.key.as_ref()), (&service, Some(&key)), "{name}");
        } else if lines.iter().any(|line| is(line, "GET", id)) {
            let found = adapter.describe(&service).await.expect(&name).expect("it is there");
            assert_eq!((&found.id, found.sku.as_str()), (&service, request(made).sku.as_str()), "{name}");
        } else {
            parsed.insert(name);
            continue;
        }
        played += 1;
    }
    println!("{played} flows played; without a server that is looked at again: {parsed:?}");
    assert!(played >= 25, "{played}");
}

#[tokio::test]
async fn a_server_is_stopped_then_ended_and_then_its_volume() {
    let Some(folder) = recordings() else { return };
    let flows = flows(&folder);
    let lines = &flows["test-create-server-simple-with-start"];
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let id = "489bbc33-127b-4f08-b633-1d4287572df5";
    // From the moment at which it runs; when it is deleted, it is gone.
    let begin = lines
        .iter()
        .position(|line| line["response"]["body"]["server"]["state"] == "running")
        .expect("it runs");
    let mut tape: Vec<Value> = lines[begin..].iter().map(|line| tagged(line, &key)).collect();
    let path = format!("/instance/v1/zones/fr-par-1/servers/{id}");
    let gone =
        json!({ "type": "not_found", "message": "resource is not found", "resource": "instance_server" });
    tape.push(json!({
        "request": { "method": "GET", "path": path },
        "response": { "status": 404, "body": gone },
    }));
    // That its end is accepted is no proof: the volume is looked for.
    let volume = "/block/v1alpha1/zones/fr-par-1/volumes/9f8ba2f5-b3a7-4b84-a64d-8c20e5dfd602";
    tape.push(json!({
        "request": { "method": "GET", "path": volume },
        "response": { "status": 404, "body": { "type": "not_found", "resource": "volume" } },
    }));
    let text: String = tape.iter().map(|line| format!("{line}\n")).collect();
    let (adapter, replay) = adapter(&text);
    let service = ServiceId::new(format!("fr-par-1/{id}")).expect("a name");
    let handle = adapter.release(&service, &key).await.expect("released");
    assert!(handle.as_str().contains("/b9f8ba2f5-b3a7-4b84-a64d-8c20e5dfd602"), "{}", handle.as_str());
    assert_eq!(until_done(&adapter, &handle).await, None);
    let rest = replay.unplayed();
    assert!(!rest.iter().any(|line| line.starts_with("DELETE") || line.starts_with("POST")), "{rest:?}");
    // A second time is success, too.
    let handle = adapter.release(&service, &key).await.expect("released again");
    assert_eq!(until_done(&adapter, &handle).await, None);
}

#[tokio::test]
async fn every_recorded_error_has_its_kind() {
    let Some(folder) = recordings() else { return };
    let mut count = BTreeMap::new();
    for (name, lines) in flows(&folder) {
        for line in
            lines.iter().filter(|line| line["response"]["status"].as_u64().is_some_and(|it| it >= 400))
        {
            // Any call of the adapter meets the same dialect: each is met as the answer to a description.
            let mut line = line.clone();
            line["request"] = json!({ "method": "PATCH", "path": "/instance/v1/zones/fr-par-1/servers/x" });
            let made = json!({
                "request": { "method": "GET", "path": "/instance/v1/zones/fr-par-1/servers/x" },
                "response": { "status": 200, "body": { "server": {
                    "id": "x", "commercial_type": "DEV1-S", "state": "stopped", "tags": ["fulcrum-key=k"] } } },
            });
            let (adapter, _) = adapter(&format!("{line}\n{made}\n"));
            let action = Action::Resize { sku: "DEV1-M".parse().expect("a name") };
            let service = ServiceId::new("fr-par-1/x").expect("a name");
            let key = IdempotencyKey::new("k").expect("a key");
            let error = adapter.act(&service, &action, &key).await.expect_err("refused");
            let expected = match line["response"]["body"]["type"].as_str() {
                Some("not_found") => "not_found",
                Some("invalid_arguments") => "invalid_request",
                other => panic!("{name}: a new kind {other:?}"),
            };
            assert_eq!(error.kind.word(), expected, "{name}: {error}");
            assert!(error.request_id.is_some(), "{name}: {error:?}");
            *count.entry(expected).or_insert(0) += 1;
        }
    }
    println!("recorded errors: {count:?}");
    assert!(count.values().sum::<usize>() >= 5, "{count:?}");
}

fn refusal(status: u16, body: &Value) -> String {
    let path = "/instance/v1/zones/fr-par-1/servers";
    json!({ "request": { "method": "POST", "path": path }, "response": { "status": status, "body": body } })
        .to_string()
}

#[tokio::test]
async fn refusals_that_no_recording_has_are_those_of_the_documentation() {
    let place = json!({ "request": {}, "response": { "body": { "server": { "image": { "id":
        "6d3c053e-c728-4294-b23a-560b62a4d592" }, "commercial_type": "DEV1-S", "name": "web" } } } });
    let mut line = place.clone();
    line["request"]["body"] = place["response"]["body"]["server"].clone();
    let request = request(&line);
    let key = IdempotencyKey::new("k").expect("a key");
    for (status, body, word) in [
        (
            403,
            json!({ "type": "quotas_exceeded", "details": [{ "resource": "instances_servers" }] }),
            "quota_exceeded",
        ),
        (412, json!({ "type": "out_of_stock", "message": "out of stock" }), "capacity_exhausted"),
        (409, json!({ "type": "transient_state", "message": "wait" }), "ambiguous"),
        (401, json!({ "type": "denied_authentication", "reason": "expired" }), "unauthorised"),
        (403, json!({ "type": "permissions_denied" }), "forbidden"),
        // Some gateway's problem document: it may have been passed on.
        (403, json!({ "type": "about:blank", "title": "Forbidden", "status": 403 }), "ambiguous"),
        (429, json!({ "type": "too_many_requests" }), "rate_limited"),
        (500, json!({ "message": "internal error" }), "ambiguous"),
    ] {
        let image = "6d3c053e-c728-4294-b23a-560b62a4d592";
        let image = json!({ "request": { "method": "GET", "path": format!("/instance/v1/zones/fr-par-1/images/{image}") },
            "response": { "status": 200, "body": { "image": { "id": image, "extra_volumes": null } } } });
        let (adapter, _) = adapter(&format!("{image}\n{}", refusal(status, &body)));
        let error = adapter.provision(&request, &key).await.expect_err("refused");
        assert_eq!(error.kind.word(), word, "{body}");
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let make = |http: HttpConfig| {
        let config =
            ScalewayConfig { http, zones: vec!["fr-par-1".parse().expect("a name")], ..config.clone() };
        Arc::new(config.build(folder.path()).expect("an adapter")) as Arc<dyn Provider>
    };
    let handles = ["create/fr-par-1/42", "delete/fr-par-1/42/b1", "reach/fr-par-1/42/stopped"];
    let count = peers::canary::check(&["canary-5caf"], &handles, make).await;
    println!("canary: {count} texts");
}

#[tokio::test]
async fn what_is_no_handle_or_no_service_is_not_asked_for() {
    let (adapter, _) = adapter("");
    let unknown = adapter.poll(&OperationHandle::new("conformance-unknown")).await.expect_err("unknown");
    assert!(matches!(unknown.kind, ErrorKind::NotFound { .. }), "{unknown}");
    let stranger = ServiceId::new("../../x").expect("a name");
    assert_eq!(adapter.describe(&stranger).await.expect("an answer"), None);
    let key = IdempotencyKey::new("k").expect("a key");
    let handle = adapter.release(&stranger, &key).await.expect("success");
    println!("{}", handle.as_str());
}
