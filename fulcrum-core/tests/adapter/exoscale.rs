//! Exoscale: no server speaks its API here, so answers are given in its published form by a small imitation.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::peers::{
    self,
    server::{Server, Story, answer},
};
use fulcrum_core::{
    model::{Action, IdempotencyKey, Offer, OfferKind, OrderId, PurchaseOption, ServiceId, ServiceStatus},
    provider::{
        OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::exoscale::{Exoscale, ExoscaleConfig},
        conformance::{SuiteConfig, check_provider},
        http::HttpConfig,
    },
};
use futures::StreamExt;
use serde_json::{Value, json};

const FACTS: &str = r#"{"format": "fulcrum-provider/1", "id": "exoscale", "name": "Exoscale", "legal_name": "Akenes SA",
    "country": "CH", "regions": [{"id": "ch-gva-2", "country": "CH"}, {"id": "r", "country": "CH"}]}"#;
const PRICES: &str =
    "kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,observed,source
machine,standard.small,ch-gva-2,9,9999,,0.02,,,EUR,net,2026-11-01,test
machine,standard.huge,ch-gva-2,8,32768,,0.2,,,EUR,net,2026-11-01,test
machine,standard.gone,ch-gva-2,2,2048,,0.01,,,EUR,net,2026-11-01,test
machine,gpu3.small,ch-gva-2,2,2048,,0.01,,,EUR,net,2026-11-01,test
machine,standard.small,r,2,2048,,0.9,,,EUR,net,2026-11-01,test
block_storage,local-volume,*,,,,,GiB-hour,0.00014,EUR,net,2026-11-01,test
";
const SMALL: &str = "b6cd1ff5-3a2f-4e9d-a4d1-8988c1191fe8";

/// The state of the imitation.
#[derive(Debug, Default)]
struct Cloud {
    instances: BTreeMap<String, Value>,
    /// How often each operation was asked for.
    operations: BTreeMap<String, u32>,
    count: u128,
}

fn says(status: u16, body: &Value) -> Vec<u8> {
    answer(status, &[], &body.to_string()).into_bytes()
}

fn id(number: u128) -> String {
    uuid::Uuid::from_u128(0x1000 + number).to_string()
}

fn imitate(cloud: &Mutex<Cloud>, request: &str) -> Vec<u8> {
    let mut cloud = cloud.lock().expect("nobody panics");
    let (head, body) = request.split_once("\r\n\r\n").expect("a request");
    let line = head.lines().next().expect("a line");
    let mut words = line.split(' ');
    let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
    let path = path.split('?').next().expect("a path").trim_start_matches('/');
    if !head.contains("EXO2-HMAC-SHA256 credential=EXOtest") {
        return says(403, &json!({ "message": "Invalid credentials" }));
    }
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let missing = || says(404, &json!({ "message": "Not Found" }));
    let (kind, name) = path.split_once('/').unwrap_or((path, ""));
    let (name, verb) = name.split_once(':').unwrap_or((name, ""));
    let begin = |cloud: &mut Cloud, instance: &str| {
        cloud.count += 1;
        let operation = id(cloud.count);
        cloud.operations.insert(operation.clone(), 0);
        says(200, &json!({ "id": operation, "state": "pending", "reference": { "id": instance } }))
    };
    match (method, kind, name) {
        ("GET", "instance-type", _) => {
            let kind = |id: &str, family: &str, size: &str, authorized: bool| {
                json!({ "id": id, "family": family, "size": size, "cpus": 2, "memory": 2_147_483_648_u64, "authorized": authorized,
                    "zones": ["ch-gva-2"] })
            };
            let types = [
                kind(SMALL, "standard", "small", true),
                kind(&id(1), "standard", "huge", true),
                kind(&id(2), "gpu3", "small", false),
            ];
            says(200, &json!({ "instance-types": types }))
        }
        ("GET", "template", name) if name == id(4) => {
            says(200, &json!({ "id": name, "name": "Windows Server 2022", "family": "windows" }))
        }
        ("GET", "ssh-key", "admin") => says(200, &json!({ "name": "admin", "fingerprint": "x" })),
        ("GET", "quota", "instance") => {
            says(200, &json!({ "resource": "instance", "usage": 0, "limit": 10 }))
        }
        ("GET", "template", _) => {
            says(200, &json!({ "templates": [{ "id": id(3), "name": "Linux Debian 12 (Bookworm) 64-bit" }] }))
        }
        ("GET", "operation", name) => match cloud.operations.get_mut(name) {
            None => missing(),
            Some(asked) => {
                *asked += 1;
                let state = if *asked < 2 { "pending" } else { "success" };
                says(200, &json!({ "id": name, "state": state }))
            }
        },
        ("GET", "instance", "") => {
            says(200, &json!({ "instances": cloud.instances.values().collect::<Vec<_>>() }))
        }
        ("POST", "instance", "") => {
            if body["instance-type"]["id"] == json!(id(1)) {
                return says(409, &json!({ "message": "Insufficient resources: no capacity left" }));
            }
            for needed in ["name", "template", "labels", "disk-size", "public-ip-assignment"] {
                if body.get(needed).is_none() {
                    return says(400, &json!({ "message": format!("{needed} is missing") }));
                }
            }
            cloud.count += 1;
            let instance = id(cloud.count);
            let made = json!({ "id": instance, "name": body["name"], "state": "running", "labels": body["labels"],
                "instance-type": body["instance-type"], "public-ip": "192.0.2.7", "disk-size": body["disk-size"] });
            cloud.instances.insert(instance.clone(), made);
            begin(&mut cloud, &instance)
        }
        (_, "instance", name) => {
            let Some(instance) = cloud.instances.get_mut(name) else { return missing() };
            match (method, verb) {
                ("GET", "") => return says(200, instance),
                ("DELETE", "") => drop(cloud.instances.remove(name)),
                ("PUT", "stop") => instance["state"] = json!("stopped"),
                ("PUT", "start" | "reboot") => instance["state"] = json!("running"),
                ("PUT", "scale") => {
                    if instance["state"] != "stopped" {
                        return says(409, &json!({ "message": "Instance must be stopped" }));
                    }
                    instance["instance-type"] = body["instance-type"].clone();
                }
                _ => return missing(),
            }
            begin(&mut cloud, name)
        }
        _ => missing(),
    }
}

fn config(folder: &Path, key: &str) -> ExoscaleConfig {
    std::fs::write(folder.join("prices.json"), FACTS).expect("a file");
    std::fs::write(folder.join("prices.csv"), crate::imitation::read_today(PRICES)).expect("a file");
    std::fs::write(folder.join("key"), key).expect("a file");
    std::fs::write(folder.join("secret"), "canary-e05a-0000").expect("a file");
    let document = json!({ "catalogue": "prices.csv", "key": "file:key", "secret": "file:secret",
        "zones": ["ch-gva-2"], "accept": "document", "ssh_keys": ["admin"], "list_lag_ms": 100 });
    serde_json::from_value(document).expect("a configuration")
}

fn adapter(url: &str, key: &str) -> Exoscale {
    let folder = tempfile::tempdir().expect("a folder");
    let http = HttpConfig { base_url: Some(url.to_owned()), timeout_ms: 3_000, ..HttpConfig::default() };
    let config = ExoscaleConfig { http, ..config(folder.path(), key) };
    config.build(folder.path()).expect("an adapter")
}

async fn imitation() -> (Server, Arc<Mutex<Cloud>>, Exoscale) {
    let cloud = Arc::new(Mutex::new(Cloud::default()));
    let state = cloud.clone();
    let server = Server::start(Story::new(move |request| imitate(&state, request))).await;
    let adapter = adapter(&server.url(), "EXOtest");
    (server, cloud, adapter)
}

fn request(sku: &str) -> ProvisionRequest {
    ProvisionRequest {
        sku: sku.parse().expect("a name"),
        kind: OfferKind::Machine,
        place: serde_json::from_value(
            json!({ "provider": "exoscale", "region": "ch-gva-2", "country": "CH" }),
        )
        .expect("a place"),
        size_gib: 50,
        disk_sku: Some("local-volume".parse().expect("a name")),
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: vec!["local-volume".parse().expect("a name")],
        name: "web".to_owned(),
        settings: Default::default(),
    }
}

async fn done(adapter: &Exoscale, handle: &OperationHandle) -> OperationStatus {
    for _ in 0..40 {
        let handle = OperationHandle::new(handle.as_str().to_owned());
        match adapter.poll(&handle).await.expect("polled") {
            OperationStatus::Running { .. } => {}
            status => return status,
        }
    }
    panic!("{} does not end", handle.as_str());
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

#[tokio::test]
async fn it_sells_as_it_declares() {
    let (_server, cloud, adapter) = imitation().await;
    let trial = SuiteConfig::new(Some(request("standard.small")), Duration::from_secs(30))
        .with_sold_out(request("standard.huge"));
    let report = check_provider(Arc::new(adapter), trial).await;
    println!("{report}");
    assert!(report.is_passed(), "{report}");
    assert!(cloud.lock().expect("nobody panics").instances.is_empty());
}

#[tokio::test]
async fn the_table_prices_what_the_zone_has_in_its_sizes() {
    let (_server, _, adapter) = imitation().await;
    let offers: Vec<Offer> =
        adapter.offers(&OfferFilter::default()).map(|offer| offer.expect("an offer")).collect().await;
    let sold: Vec<_> =
        offers.iter().map(|it| (it.sku.as_str(), it.capacity.vcpu_milli, it.capacity.memory_mib)).collect();
    assert_eq!(sold, [("standard.small", 2000, 2048), ("standard.huge", 2000, 2048)]);
    assert!(offers.iter().all(|offer| offer.elastic_disk.is_some()), "the disk is bought by the GiB");
}

#[tokio::test]
async fn an_instance_is_made_stopped_scaled_started_and_ended() {
    let (_server, cloud, adapter) = imitation().await;
    let key = key();
    let handle = adapter.provision(&request("standard.small"), &key).await.expect("accepted");
    let OperationStatus::Succeeded(Some(service)) = done(&adapter, &handle).await else { panic!("not made") };
    assert_eq!(
        (service.sku.as_str(), service.attributes["public_ipv4"].as_str()),
        ("standard.small", "192.0.2.7")
    );
    let made = cloud.lock().expect("nobody panics").instances.values().next().expect("one").clone();
    // 10 GiB of each machine, and 50 that are bought with it.
    assert_eq!((&made["disk-size"], &made["labels"]["fulcrum-key"]), (&json!(60), &json!(key)));
    let huge = Action::Resize { sku: "standard.huge".parse().expect("a name") };
    assert_eq!(adapter.act(&service.id, &huge, &key).await.expect_err("it runs").kind.word(), "conflict");
    for (action, status) in [
        (Action::Stop, ServiceStatus::Stopped),
        (huge.clone(), ServiceStatus::Stopped),
        (huge, ServiceStatus::Stopped),
        (Action::Start, ServiceStatus::Running),
        (Action::Start, ServiceStatus::Running),
        (Action::Other { name: "reboot".to_owned() }, ServiceStatus::Running),
    ] {
        let handle = adapter.act(&service.id, &action, &key).await.expect("accepted");
        let OperationStatus::Succeeded(Some(now)) = done(&adapter, &handle).await else {
            panic!("{action:?}")
        };
        assert_eq!(now.status, status, "{action:?}");
    }
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there");
    assert_eq!(found.sku.as_str(), "standard.huge");
    for _ in 0..2 {
        let handle = adapter.release(&service.id, &key).await.expect("accepted");
        assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    }
}

#[tokio::test]
async fn strangers_are_neither_listed_nor_touched() {
    let (_server, cloud, adapter) = imitation().await;
    let theirs = json!({ "id": id(77), "name": "theirs", "state": "running", "labels": {}, "instance-type": { "id": SMALL } });
    cloud.lock().expect("nobody panics").instances.insert(id(77), theirs);
    let service = ServiceId::new(format!("ch-gva-2/{}", id(77))).expect("a name");
    let theirs = adapter.describe(&service).await.expect("asked").expect("it exists");
    assert_eq!(theirs.key, None);
    assert_eq!(adapter.services().count().await, 0);
    assert_eq!(adapter.release(&service, &key()).await.expect_err("refused").kind.word(), "forbidden");
    assert_eq!(
        adapter.act(&service, &Action::Stop, &key()).await.expect_err("refused").kind.word(),
        "not_found"
    );
    let end = json!({ "end": { "at": { "zone": "ch-gva-2", "instance": id(77) } } }).to_string();
    assert_eq!(adapter.poll(&OperationHandle::new(end)).await.expect_err("refused").kind.word(), "forbidden");
    assert_eq!(cloud.lock().expect("nobody panics").instances.len(), 1);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let (server, _, adapter) = imitation().await;
    let word = |answer: Result<OperationHandle, fulcrum_core::provider::ProviderError>| {
        answer.expect_err("refused").kind.word()
    };
    let stranger = self::adapter(&server.url(), "EXOother");
    assert_eq!(word(stranger.provision(&request("standard.small"), &key()).await), "forbidden");
    assert_eq!(word(adapter.provision(&request("standard.huge"), &key()).await), "capacity_exhausted");
    assert_eq!(word(adapter.provision(&request("standard.none"), &key()).await), "not_found");
    let mut wrong = request("standard.small");
    wrong.settings.insert("image".to_owned(), "Windows".into());
    assert_eq!(word(adapter.provision(&wrong, &key()).await), "invalid_request");
    // By its id it is paid for as well.
    wrong.settings.insert("image".to_owned(), id(4).into());
    let error = adapter.provision(&wrong, &key()).await.expect_err("refused").to_string();
    assert!(error.contains("has a licence"), "{error}");
    for (status, message, expected) in [
        (400, "Invalid disk size", "invalid_request"),
        (403, "Instance limit reached", "quota_exceeded"),
        (409, "Instance is locked", "ambiguous"),
        // Any gateway says so, too.
        (429, "Too many requests", "ambiguous"),
        (503, "Service unavailable", "ambiguous"),
    ] {
        let cloud = Mutex::new(Cloud::default());
        let body = json!({ "message": message });
        let story = Story::new(move |request| match request.starts_with("POST") {
            true => says(status, &body),
            false => imitate(&cloud, request),
        });
        let server = Server::start(story).await;
        let adapter = self::adapter(&server.url(), "EXOtest");
        assert_eq!(word(adapter.provision(&request("standard.small"), &key()).await), expected, "{message}");
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut made = config(folder.path(), "EXOcanary-e05a");
    made.zones = vec!["r".parse().expect("a name")];
    let make = |http: HttpConfig| {
        let config = ExoscaleConfig { http, ..made.clone() };
        Arc::new(config.build(folder.path()).expect("an adapter")) as Arc<dyn Provider>
    };
    let at = json!({ "zone": "r", "instance": id(1) });
    let handles = [
        json!({ "make": { "at": at, "operation": "o" } }).to_string(),
        json!({ "reach": { "at": at, "operation": null, "state": "running" } }).to_string(),
        json!({ "end": { "at": at } }).to_string(),
    ];
    let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
    let count = peers::canary::check(&["canary-e05a"], &handles, make).await;
    println!("canary: {count} texts");
}
