//! UpCloud, against recorded answers of the real service.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::peers;
use fulcrum_core::{
    model::{
        Action, Charge, IdempotencyKey, Offer, OfferKind, OrderId, PurchaseOption, Service, ServiceId,
        ServiceStatus,
    },
    provider::{
        OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::upcloud::{UpCloud, UpCloudConfig},
        http::{Credential, HttpConfig, Replay},
    },
};
use futures::StreamExt;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The template that the recordings clone.
const IMAGE: &str = "01000000-0000-4000-8000-000020060100";

fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings/upcloud");
    if !folder.is_dir() {
        println!("SKIPPED: no recorded answers at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn config(folder: &Path) -> UpCloudConfig {
    std::fs::write(folder.join("token"), "canary-0c10-0000").expect("a file");
    let ssh_keys = vec![
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test".to_owned(),
    ];
    UpCloudConfig { token: Credential::File("token".to_owned()), ssh_keys, ..UpCloudConfig::new(IMAGE) }
}

fn adapter(tape: &str) -> (UpCloud, Arc<Replay>) {
    let folder = tempfile::tempdir().expect("a folder");
    let replay = Arc::new(Replay::of_text(tape).expect("a recording"));
    let adapter =
        config(folder.path()).build(folder.path()).expect("an adapter").with_transport(replay.clone());
    (adapter, replay)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

fn line(method: &str, path: &str, status: u16, body: &Value) -> String {
    let request = json!({ "method": method, "path": path });
    format!("{}\n", json!({ "request": request, "response": { "status": status, "body": body } }))
}

/// The price list and the plans as a tape.
fn price_lists(folder: &Path) -> String {
    let list = |name: &str| {
        line("GET", &format!("/1.3/{name}"), 200, &read(&folder.join(format!("GET_{name}.json")))["body"])
    };
    list("price") + &list("plan") + &image(0)
}

/// The image that is booted, and what its licence costs an hour.
fn image(licence: u32) -> String {
    let id = "01000000-0000-4000-8000-000020060100";
    let image =
        json!({ "uuid": id, "title": "Debian", "type": "template", "license": licence, "state": "online" });
    line("GET", &format!("/1.3/storage/{id}"), 200, &json!({ "storage": image }))
}

#[tokio::test]
async fn all_recorded_prices_are_read_to_the_digit() {
    let Some(folder) = recordings() else { return };
    let (adapter, replay) = adapter(&price_lists(&folder));
    let offers: Vec<Offer> =
        adapter.offers(&OfferFilter::default()).map(|offer| offer.expect("an offer")).collect().await;
    assert_eq!(replay.unplayed(), ["GET /1.3/storage/01000000-0000-4000-8000-000020060100"]);
    let index = csv::Reader::from_path(folder.join("../prices.csv")).expect("the index");
    let expected: BTreeMap<(String, String), (Decimal, Decimal, Decimal)> = index
        .into_records()
        .map(|row| row.expect("a row"))
        .filter(|row| &row[0] == "upcloud")
        .map(|row| {
            let number = |at: usize| row[at].parse().expect("a number");
            ((row[1].to_owned(), row[3].to_owned()), (number(8), number(4), number(6)))
        })
        .collect();
    let read: BTreeMap<_, _> = offers
        .iter()
        .map(|offer| {
            let Charge::HourlyCapped { hourly, monthly } = offer.price.charge else { panic!("{offer:?}") };
            assert_eq!(monthly, hourly * Decimal::from(672), "at most 28 days are billed");
            let (vcpu, disk) = (offer.capacity.vcpu_milli / 1000, offer.capacity.disk_gib);
            let sizes = (hourly, Decimal::from(vcpu), Decimal::from(disk));
            ((offer.place.region.to_string(), offer.sku.to_string()), sizes)
        })
        .collect();
    let mut refused = 0;
    for offer in &offers {
        refused += crate::exact::refuses(&adapter, offer).await;
    }
    println!("{} prices, {refused} other requests refused", read.len());
    assert_eq!((read.len(), offers.len()), (100, 100));
    assert_eq!(read, expected);
}

fn flows(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut flows = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("flows")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        flows.insert(path.file_stem().expect("a name").to_string_lossy().into_owned(), lines.collect());
    }
    flows
}

/// The key as a label in each answer, as other clients have labels of their own; and paths as this client writes them.
fn labelled(line: &Value, key: &IdempotencyKey) -> String {
    let mut line = line.clone();
    let path = line["request"]["path"].as_str().expect("a path").replace("/?", "?");
    line["request"]["path"] = json!(path.trim_end_matches('/'));
    let label = json!({ "label": [{ "key": "fulcrum-key", "value": key }] });
    if line["response"]["body"]["server"].is_object() {
        line["response"]["body"]["server"]["labels"] = label;
    }
    format!("{line}\n")
}

fn request() -> ProvisionRequest {
    ProvisionRequest {
        sku: "1xCPU-1GB".parse().expect("a name"),
        kind: OfferKind::Machine,
        place: serde_json::from_value(json!({ "provider": "upcloud", "region": "fi-hel2", "country": "FI" }))
            .expect("a place"),
        size_gib: 0,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: Vec::new(),
        name: "web".to_owned(),
        settings: Default::default(),
    }
}

async fn until_done(adapter: &UpCloud, handle: &OperationHandle) -> Option<Service> {
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
    let (mut played, mut others) = (0, BTreeSet::new());
    for (name, lines) in flows(&folder) {
        let is_made =
            |line: &&Value| line["request"]["method"] == "POST" && line["request"]["path"] == "/1.3/server";
        let Some(made) = lines.iter().find(is_made) else {
            others.insert(name);
            continue;
        };
        let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
        let tape: String = lines.iter().map(|line| labelled(line, &key)).collect();
        let (adapter, _) = adapter(&(tape + &price_lists(&folder)));
        let handle = adapter.provision(&request(), &key).await.expect(&name);
        let service = until_done(&adapter, &handle).await.expect("a service");
        let server = &made["response"]["body"]["server"];
        assert_eq!(service.id.as_str(), server["uuid"].as_str().expect("an id"), "{name}");
        assert_eq!((service.key.as_ref(), service.status), (Some(&key), ServiceStatus::Running), "{name}");
        assert_eq!(service.place.region.as_str(), server["zone"].as_str().expect("a zone"), "{name}");
        assert!(service.attributes.contains_key("private_ip"), "{name}: {:?}", service.attributes);
        played += 1;
    }
    println!("{played} flows played; without a server: {others:?}");
    assert!(played >= 15, "{played}");
}

#[tokio::test]
async fn a_server_is_stopped_and_started_and_then_ended_with_its_disk() {
    let Some(folder) = recordings() else { return };
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let lines = &flows(&folder)["createstartstopserver"];
    let tape: String = lines[1..].iter().map(|line| labelled(line, &key)).collect();
    let (adapter, replay) = adapter(&tape);
    let id = lines[0]["response"]["body"]["server"]["uuid"].as_str().expect("an id");
    let service = ServiceId::new(id).expect("a name");
    let handle = adapter.act(&service, &Action::Stop, &key).await.expect("stopped");
    assert_eq!(until_done(&adapter, &handle).await.expect("there").status, ServiceStatus::Stopped);
    adapter.act(&service, &Action::Start, &key).await.expect("started");
    assert_eq!(replay.unplayed(), Vec::<String>::new());

    // Running, asked to stop, stopped, ended with its disks, gone.
    let lines = &flows(&folder)["createdeleteserverandstorage"];
    let path = lines[1]["request"]["path"].as_str().expect("a path").to_owned();
    // Its disk is known by the name that this client gives it.
    let mut lines = lines.clone();
    let device = "/response/body/server/storage_devices/storage_device/0";
    let disk = lines[1].pointer(&format!("{device}/storage")).and_then(Value::as_str).expect("a disk");
    let disk = format!("/1.3/storage/{disk}");
    *lines[1].pointer_mut(&format!("{device}/storage_title")).expect("a title") =
        json!(format!("{key}-disk"));
    let its_disk = json!({ "storage": { "uuid": disk.rsplit_once('/').expect("an id").1, "title": "x", "type": "normal",
        "servers": { "server": [] } } });
    let no_disk = json!({ "error": { "error_code": "STORAGE_NOT_FOUND", "error_message": "no" } });
    let path = path.as_str();
    let mut stopped = lines[1].clone();
    stopped["response"]["body"]["server"]["state"] = json!("stopped");
    let problem = json!({ "type": "https://developers.upcloud.com/1.3/errors#ERROR_SERVER_NOT_FOUND", "status": 404,
        "title": "The server does not exist." });
    let tape = labelled(&lines[1], &key)
        + &labelled(&lines[1], &key)
        + &labelled(&lines[2], &key)
        + &labelled(&stopped, &key)
        + &line("DELETE", path, 204, &json!(""))
        + &line("GET", path, 404, &problem)
        + &line("GET", &disk, 200, &its_disk)
        + &line("DELETE", &format!("{disk}?backups=keep"), 204, &json!(""))
        + &line("GET", &disk, 404, &no_disk);
    let (adapter, replay) = self::adapter(&tape);
    let service = ServiceId::new(path.rsplit_once('/').expect("an id").1).expect("a name");
    let handle = adapter.release(&service, &key).await.expect("accepted");
    assert_eq!(until_done(&adapter, &handle).await, None);
    assert_eq!(replay.unplayed(), Vec::<String>::new());
    let handle = adapter.release(&service, &key).await.expect("a second time");
    assert_eq!(until_done(&adapter, &handle).await, None);
    assert_eq!(adapter.describe(&service).await.expect("asked"), None);
}

#[tokio::test]
async fn what_carries_the_key_is_found_and_strangers_are_not_touched() {
    let Some(folder) = recordings() else { return };
    let lines = &flows(&folder)["getserverswithfilters"];
    let mut list = lines[2]["response"]["body"].clone();
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let strangers =
        line("GET", &format!("/1.3/server?label=fulcrum-key%3D{key}&limit=100&offset=0"), 200, &list);
    // A server that does not filter is not believed; and no disk is called as ours are.
    let disks = &flows(&folder)["createdeleteserverandstorage"];
    let disks = disks.iter().find(|line| line["request"]["path"] == "/1.3/storage/private").expect("a list");
    let (adapter, _) = adapter(&format!("{strangers}{disks}\n"));
    assert_eq!(adapter.find_by_key(&key).await.expect("looked up"), None);
    list["servers"]["server"][1]["labels"]["label"] = json!([{ "key": "fulcrum-key", "value": key }]);
    let ours = line("GET", &format!("/1.3/server?label=fulcrum-key%3D{key}&limit=100&offset=0"), 200, &list)
        + &line("GET", "/1.3/server?label=fulcrum-key&limit=100&offset=0", 200, &list);
    let (adapter, _) = self::adapter(&ours);
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there");
    assert_eq!(found.id.as_str(), "00a47181-df7b-42c2-a6cc-107c9603e1e8");
    let listed: Vec<_> = adapter.services().map(|service| service.expect("a service").id).collect().await;
    assert_eq!(listed, [found.id]);
    let stranger = &lines[1];
    let id = stranger["response"]["body"]["server"]["uuid"].as_str().expect("an id");
    let (adapter, _) = self::adapter(&format!("{stranger}\n"));
    let service = ServiceId::new(id).expect("a name");
    assert_eq!(adapter.release(&service, &key).await.expect_err("refused").kind.word(), "forbidden");
    assert_eq!(
        adapter.act(&service, &Action::Stop, &key).await.expect_err("refused").kind.word(),
        "not_found"
    );
}

#[tokio::test]
async fn lists_go_over_pages_to_their_end() {
    let key = |at: u32| {
        IdempotencyKey::of_step(&"0193b2a0-0000-7000-8000-000000000000".parse().expect("an id"), at)
    };
    let page = |range: std::ops::Range<u32>| {
        let server = |at: u32| {
            json!({ "uuid": uuid::Uuid::from_u128(at.into()).to_string(), "zone": "fi-hel1", "plan": "1xCPU-1GB", "state": "started",
                "labels": { "label": [{ "key": "fulcrum-key", "value": key(at) }] } })
        };
        json!({ "servers": { "server": range.map(server).collect::<Vec<_>>() } })
    };
    let path = |offset: u32| format!("/1.3/server?label=fulcrum-key&limit=100&offset={offset}");
    let whole = line("GET", &path(0), 200, &page(1..101)) + &line("GET", &path(100), 200, &page(101..131));
    let (adapter, _) = adapter(&whole);
    assert_eq!(adapter.services().count().await, 130);
    let broken = line("GET", &path(0), 200, &page(1..101)) + &line("GET", &path(100), 503, &json!({}));
    let (adapter, _) = self::adapter(&broken);
    let last = adapter.services().collect::<Vec<_>>().await.pop().expect("something");
    assert_eq!(last.expect_err("not complete").kind.word(), "unavailable");
}

#[tokio::test]
async fn each_code_is_what_a_caller_can_act_on() {
    let Some(folder) = recordings() else { return };
    let problem = |code: &str| json!({ "type": format!("https://developers.upcloud.com/1.3/errors#ERROR_{code}"), "title": "no", "status": 400 });
    let plain = |code: &str| json!({ "error": { "error_code": code, "error_message": "no" } });
    let mut recorded = Vec::new();
    for lines in flows(&folder).values() {
        for line in lines.iter().filter(|line| line["response"]["status"].as_u64() >= Some(400)) {
            recorded.push((
                line["response"]["status"].as_u64().expect("a status"),
                line["response"]["body"].clone(),
                "not_found",
            ));
        }
    }
    assert!(!recorded.is_empty());
    let known = [
        (401, plain("AUTHENTICATION_FAILED"), "unauthorised"),
        (402, plain("INSUFFICIENT_CREDITS"), "quota_exceeded"),
        (403, plain("SERVER_FORBIDDEN"), "forbidden"),
        (404, plain("STORAGE_NOT_FOUND"), "not_found"),
        (404, problem("SERVER_NOT_FOUND"), "not_found"),
        (409, plain("SERVER_RESOURCES_UNAVAILABLE"), "capacity_exhausted"),
        (409, problem("STORAGE_RESOURCES_UNAVAILABLE"), "capacity_exhausted"),
        (409, plain("SERVER_STATE_ILLEGAL"), "ambiguous"),
        (400, plain("PLAN_INVALID"), "invalid_request"),
        (400, problem("INVALID_REQUEST"), "invalid_request"),
        (400, plain("ZONE_MISSING"), "invalid_request"),
        (429, json!({}), "ambiguous"),
        (503, plain("SERVICE_UNAVAILABLE"), "ambiguous"),
        (500, json!({}), "ambiguous"),
    ];
    for (status, body, expected) in known.into_iter().map(|(a, b, c)| (a as u64, b, c)).chain(recorded) {
        let refusal = line("POST", "/1.3/server", u16::try_from(status).expect("a status"), &body);
        let (adapter, _) = adapter(&(refusal + &price_lists(&folder)));
        let key = IdempotencyKey::new("k").expect("a key");
        let error = adapter.provision(&request(), &key).await.expect_err("refused");
        assert_eq!(error.kind.word(), expected, "{status} {body}: {error}");
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = config(folder.path());
    let make = |username: Option<&str>| {
        let made = UpCloudConfig { username: username.map(str::to_owned), ..made.clone() };
        let folder = folder.path().to_owned();
        move |http: HttpConfig| {
            let config = UpCloudConfig { http, ..made.clone() };
            Arc::new(config.build(&folder).expect("an adapter")) as Arc<dyn Provider>
        }
    };
    let id = "002018a7-c0a2-498f-a823-40e7cf735e61";
    let handles = [format!("create/{id}"), format!("reach/{id}/stopped"), format!("delete/{id}")];
    let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
    // In the header of a password it stands coded.
    let coded = "c29tZW9uZTpjYW5hcnktMGMxMC";
    let mut count = peers::canary::check(&["canary-0c10"], &handles, make(None)).await;
    count += peers::canary::check(&["canary-0c10", coded], &handles, make(Some("someone"))).await;
    println!("canary: {count} texts");
}
