//! Proxmox VE, against a real server with its API.

use std::{path::Path, sync::Arc, time::Duration};

use crate::peers::{
    self, Faults, Peer, host_of,
    orders::Ground,
    server::{Server, Story, answer},
    stormy::Stormy,
};
use fulcrum_core::{
    model::{
        Action, IdempotencyKey, Offer, OfferKind, OrderId, PurchaseOption, Service, ServiceId, ServiceStatus,
    },
    provider::{
        OfferFilter, OperationHandle, OperationStatus, Provider, ProviderError, ProvisionRequest,
        adapters::proxmox::{Proxmox, ProxmoxConfig},
        conformance::{SuiteConfig, check_provider},
        http::{HeaderMap, HttpConfig, Method, NetworkTransport, RawRequest, RawResponse, Transport},
    },
};
use futures::StreamExt;
use serde_json::{Value, json};

const FACTS: &str = r#"{"format": "fulcrum-provider/1", "id": "hoster", "name": "Hoster", "legal_name": "Hoster GmbH",
    "country": "DE", "regions": [{"id": "de-fra", "country": "DE"}, {"id": "r", "country": "DE"}]}"#;
const PRICES: &str = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source
machine,small,de-fra,1,1024,20,5,EUR,net,2026-11-01,test
machine,large,de-fra,2,2048,40,9,EUR,net,2026-11-01,test
machine,huge,de-fra,4,16384,40,50,EUR,net,2026-11-01,test
machine,small,r,1,1024,20,50,EUR,net,2026-11-01,test
";

fn document(folder: &Path, secret: &str, http: &Value) -> Value {
    std::fs::write(folder.join("prices.json"), FACTS).expect("a file");
    std::fs::write(folder.join("prices.csv"), crate::imitation::read_today(PRICES)).expect("a file");
    std::fs::write(folder.join("secret"), secret).expect("a file");
    json!({
        "id": "hoster",
        "list_lag_ms": 1000,
        "catalogue": "prices.csv",
        "nodes": { "de-fra": ["pve1", "pve2"] },
        "image": "debian-12",
        "token_id": "root@pam!fulcrum",
        "token": "file:secret",
        "http": http,
    })
}

fn built(document: Value, folder: &Path) -> Proxmox {
    let config: ProxmoxConfig = serde_json::from_value(document).expect("a configuration");
    config.build(folder).expect("an adapter")
}

fn adapter(peer: &Peer, url: &str, secret: &str) -> Proxmox {
    let folder = tempfile::tempdir().expect("a folder");
    let http = json!({ "base_url": url, "ca_file": peer.get("PVE_CA"), "timeout_ms": 3000 });
    built(document(folder.path(), secret, &http), folder.path())
}

fn cluster() -> Option<(Peer, Proxmox)> {
    let peer = Peer::start("fakepve", &[("PVE_TIME_SCALE", "0.02")])?;
    let adapter = adapter(&peer, peer.get("PVE_URL"), peer.get("PVE_TOKEN_SECRET"));
    Some((peer, adapter))
}

fn live(peer: &Peer) -> Arc<dyn Transport> {
    let ca_file = Some(peer.get("PVE_CA").into());
    let http = HttpConfig { keep_alive: false, timeout_ms: 3_000, ca_file, ..HttpConfig::default() };
    Arc::new(NetworkTransport::new(&http).expect("a transport"))
}

/// A request of the hoster's own.
async fn ask(peer: &Peer, method: Method, path: &str, form: &str) -> RawResponse {
    let mut headers = HeaderMap::new();
    let token = format!("PVEAPIToken={}={}", peer.get("PVE_TOKEN_ID"), peer.get("PVE_TOKEN_SECRET"));
    headers.insert("authorization", token.parse().expect("a header"));
    headers.insert("content-type", "application/x-www-form-urlencoded".parse().expect("a header"));
    let url = format!("{}{path}", peer.get("PVE_URL")).parse().expect("an address");
    let body = (!form.is_empty()).then(|| form.to_owned().into());
    live(peer).send(RawRequest { method, url, headers, body }).await.expect("an answer")
}

async fn config_of(peer: &Peer, vmid: &ServiceId) -> Value {
    let answer = ask(peer, Method::GET, &format!("/nodes/pve1/qemu/{vmid}/config"), "").await;
    serde_json::from_slice::<Value>(&answer.body).expect("JSON")["data"].clone()
}

async fn offers(adapter: &Proxmox) -> Vec<Offer> {
    adapter.offers(&OfferFilter::default()).map(|offer| offer.expect("an offer")).collect().await
}

fn request(sku: &str) -> ProvisionRequest {
    ProvisionRequest {
        sku: sku.parse().expect("a name"),
        kind: OfferKind::Machine,
        place: serde_json::from_value(json!({ "provider": "hoster", "region": "de-fra", "country": "DE" }))
            .expect("a place"),
        size_gib: 0,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: Vec::new(),
        name: "Web server".to_owned(),
        settings: Default::default(),
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

async fn done(adapter: &Proxmox, handle: &OperationHandle) -> OperationStatus {
    for _ in 0..200 {
        // As after a restart.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        match adapter.poll(&handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(30)).await,
            status => return status,
        }
    }
    panic!("{} does not end", handle.as_str());
}

async fn made(adapter: &Proxmox, handle: &OperationHandle) -> Service {
    match done(adapter, handle).await {
        OperationStatus::Succeeded(Some(service)) => service,
        other => panic!("not made: {other:?}"),
    }
}

fn word<T: std::fmt::Debug>(outcome: Result<T, ProviderError>) -> &'static str {
    outcome.expect_err("refused").kind.word()
}

#[tokio::test]
async fn it_sells_as_it_declares() {
    let Some((_peer, adapter)) = cluster() else { return };
    let trial =
        SuiteConfig::new(Some(request("small")), Duration::from_secs(10)).with_sold_out(request("huge"));
    let report = check_provider(Arc::new(adapter), trial).await;
    println!("{report}");
    assert!(report.is_passed(), "{report}");
}

#[tokio::test]
async fn the_table_is_offered_as_far_as_there_is_room() {
    let Some((_peer, adapter)) = cluster() else { return };
    let sold = |offers: Vec<Offer>| -> Vec<(String, Option<u32>)> {
        offers.into_iter().map(|it| (format!("{} {}", it.sku, it.place.region), it.stock)).collect()
    };
    let line = |what: &str, stock| (what.to_owned(), Some(stock));
    // Two nodes with 8 GiB, of which a machine of the hoster's has 1.
    let before = [line("small de-fra", 15), line("large de-fra", 7), line("huge de-fra", 0)];
    assert_eq!(sold(offers(&adapter).await), before);
    let handle = adapter.provision(&request("large"), &key()).await.expect("accepted");
    made(&adapter, &handle).await;
    assert_eq!(sold(offers(&adapter).await)[0], line("small de-fra", 13));
}

#[tokio::test]
async fn a_machine_is_made_in_its_size_stopped_resized_started_and_ended() {
    let Some((peer, adapter)) = cluster() else { return };
    let key = key();
    let mut wanted = request("small");
    wanted.settings.insert("user".to_owned(), "admin".into());
    wanted.settings.insert("ssh_key".to_owned(), "ssh-ed25519 AAAAC3Nza+/ me@home".into());
    wanted.settings.insert("ip".to_owned(), "dhcp".into());
    let handle = adapter.provision(&wanted, &key).await.expect("accepted");
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there at once");
    assert_eq!((found.status, &found.sku), (ServiceStatus::Starting, &wanted.sku));
    let again = adapter.provision(&wanted, &key).await.expect("the same");
    let service = made(&adapter, &handle).await;
    assert_eq!((&made(&adapter, &again).await.id, &service.id), (&found.id, &found.id));
    assert_eq!((service.status, service.attributes["node"].as_str()), (ServiceStatus::Running, "pve1"));
    assert_eq!(word(adapter.provision(&request("large"), &key).await), "conflict");
    let config = config_of(&peer, &service.id).await;
    assert_eq!((config["cores"].to_string().trim_matches('"'), &config["memory"]), ("1", &json!("1024")));
    assert_eq!((&config["ciuser"], &config["ipconfig0"]), (&json!("admin"), &json!("ip=dhcp")));
    assert_eq!(config["sshkeys"], json!("ssh-ed25519%20AAAAC3Nza%2B%2F%20me%40home"));

    let large = Action::Resize { sku: "large".parse().expect("a name") };
    assert_eq!(word(adapter.act(&service.id, &large, &key).await), "conflict", "it runs");
    for (action, status) in [
        (Action::Stop, ServiceStatus::Stopped),
        (Action::Stop, ServiceStatus::Stopped),
        (large.clone(), ServiceStatus::Stopped),
        (large, ServiceStatus::Stopped),
        (Action::Start, ServiceStatus::Running),
        (Action::Other { name: "reboot".to_owned() }, ServiceStatus::Running),
    ] {
        let handle = adapter.act(&service.id, &action, &key).await.expect("accepted");
        assert_eq!(made(&adapter, &handle).await.status, status, "{action:?}");
    }
    let service = adapter.describe(&service.id).await.expect("asked").expect("there");
    assert_eq!(
        (service.sku.as_str(), &config_of(&peer, &service.id).await["memory"]),
        ("large", &json!("2048"))
    );
    let strange = Action::Other { name: "suspend".to_owned() };
    assert_eq!(word(adapter.act(&service.id, &strange, &key).await), "unsupported");

    for _ in 0..2 {
        let handle = adapter.release(&service.id, &key).await.expect("accepted");
        assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    }
    assert_eq!(adapter.describe(&service.id).await.expect("asked"), None);
    assert_eq!(adapter.find_by_key(&key).await.expect("asked"), None);
    assert_eq!(adapter.services().count().await, 0);
}

/// Its maker has died right after the clone: the service is found, starting, and whoever finds it can go on.
#[tokio::test]
async fn what_was_only_cloned_is_driven_on_by_whoever_finds_it() {
    let Some((peer, adapter)) = cluster() else { return };
    let key = key();
    adapter.provision(&request("small"), &key).await.expect("accepted");
    let other = self::adapter(&peer, peer.get("PVE_URL"), peer.get("PVE_TOKEN_SECRET"));
    // The clone is a task of the cluster's.
    let found = loop {
        match other.find_by_key(&key).await.expect("looked up") {
            Some(found) => break found,
            None => tokio::time::sleep(Duration::from_millis(30)).await,
        }
    };
    assert_eq!(found.status, ServiceStatus::Starting, "it is there and not sold");
    let handle =
        other.resume_operation(&request("small"), &found).await.expect("read").expect("somebody must go on");
    assert_eq!(made(&other, &handle).await.status, ServiceStatus::Running);
    // And one that is to be ended instead is.
    let second = self::key();
    other.provision(&request("small"), &second).await.expect("accepted");
    let found = other.find_by_key(&second).await.expect("looked up").expect("it is there");
    let handle = other.release(&found.id, &second).await.expect("accepted");
    assert_eq!(done(&other, &handle).await, OperationStatus::Succeeded(None));
}

#[tokio::test]
async fn strangers_are_neither_listed_nor_touched() {
    let Some((peer, adapter)) = cluster() else { return };
    let existing: ServiceId = "101".parse().expect("a number");
    assert_eq!(adapter.describe(&existing).await.expect("asked").expect("it is there").key, None);
    assert_eq!(word(adapter.release(&existing, &key()).await), "forbidden");
    assert_eq!(word(adapter.act(&existing, &Action::Stop, &key()).await), "not_found");
    // A stranger has the number of a key, or its name: another number is taken, and the stranger's machine is left alone.
    let key = key();
    let handle = adapter.provision(&request("small"), &key).await.expect("accepted");
    let first = made(&adapter, &handle).await;
    let handle = adapter.release(&first.id, &key).await.expect("accepted");
    assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    let form = format!("vmid={}&name=stranger", first.id);
    assert_eq!(ask(&peer, Method::POST, "/nodes/pve2/qemu", &form).await.status, 200);
    assert_eq!(
        ask(&peer, Method::POST, "/nodes/pve2/qemu", &format!("vmid=200&name={key}")).await.status,
        200
    );
    assert_eq!(adapter.find_by_key(&key).await.expect("asked"), None);
    let handle = adapter.provision(&request("small"), &key).await.expect("accepted");
    let second = made(&adapter, &handle).await;
    assert_ne!(first.id, second.id);
    let listed: Vec<_> = adapter.services().map(|service| service.expect("a service").id).collect().await;
    assert_eq!(listed, [second.id]);
    // Whether it is what had the number before cannot be told: only a number that is free proves that.
    let end = json!({ "end": { "vmid": first.id.as_str().parse::<u64>().expect("a number"), "key": key } });
    let end = OperationHandle::new(end.to_string());
    assert_eq!(word(adapter.poll(&end).await), "conflict");
    let answer = ask(&peer, Method::GET, &format!("/nodes/pve2/qemu/{}/status/current", first.id), "").await;
    assert_eq!(answer.status, 200, "the stranger's machine was ended");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let Some((peer, adapter)) = cluster() else { return };
    let stranger = self::adapter(&peer, peer.get("PVE_URL"), "wrong-secret");
    assert_eq!(word(stranger.provision(&request("small"), &key()).await), "unauthorised");
    assert_eq!(word(adapter.provision(&request("none"), &key()).await), "not_found");
    assert_eq!(word(adapter.provision(&request("huge"), &key()).await), "capacity_exhausted");
    let mut wrong = request("small");
    wrong.settings.insert("image".to_owned(), "windows".into());
    let error = adapter.provision(&wrong, &key()).await.expect_err("refused");
    assert!(error.to_string().contains("template windows"), "{error}");
    // What only shows when the machine is sized ends the operation, and the machine is found and ended.
    let mut wrong = request("small");
    wrong.settings.insert("ip".to_owned(), "nonsense".into());
    let key = key();
    let handle = adapter.provision(&wrong, &key).await.expect("accepted");
    let status = done(&adapter, &handle).await;
    assert!(matches!(&status, OperationStatus::Failed { shortage: None, .. }), "{status:?}");
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there");
    let handle = adapter.release(&found.id, &key).await.expect("accepted");
    assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    assert_eq!(word(adapter.poll(&OperationHandle::new("{}")).await), "not_found");
    // A certificate that nobody vouches for.
    let folder = tempfile::tempdir().expect("a folder");
    let http = json!({ "base_url": peer.get("PVE_URL"), "timeout_ms": 3000 });
    let unsure = built(document(folder.path(), peer.get("PVE_TOKEN_SECRET"), &http), folder.path());
    assert_eq!(word(unsure.find_by_key(&key).await), "not_sent");
}

/// What a token may not see is not taken for absent.
#[tokio::test]
async fn a_list_that_hides_a_machine_proves_nothing() {
    let story = Story::new(|request| {
        let taken = r#"{"data": null, "message": "Parameter verification failed.\n", "errors": {"vmid": "VM exists"}}"#;
        match request.starts_with("GET /cluster/nextid") {
            true => answer(400, &[], taken).into_bytes(),
            false => answer(200, &[], r#"{"data": []}"#).into_bytes(),
        }
    });
    let server = Server::start(story).await;
    let folder = tempfile::tempdir().expect("a folder");
    let adapter = built(document(folder.path(), "s", &json!({ "base_url": server.url() })), folder.path());
    assert_eq!(word(adapter.find_by_key(&key()).await), "forbidden");
    assert_eq!(word(adapter.describe(&"5000000".parse().expect("a number")).await), "forbidden");
}

#[tokio::test]
async fn orders_hold_on_a_network_that_breaks() {
    let Some((peer, direct)) = cluster() else { return };
    let Some(faults) = Faults::before(host_of(peer.get("PVE_URL"))) else { return };
    let storm = Stormy::over(live(&peer));
    let url = format!("https://{}/api2/json", faults.address());
    let ground = Ground {
        beside: Vec::new(),
        broken: Arc::new(adapter(&peer, &url, peer.get("PVE_TOKEN_SECRET")).with_transport(storm.clone())),
        direct: Arc::new(direct),
        faults,
        storm,
        blueprint: "{ name: shop, components: { web: { vcpu: 1, memory_mib: 512, replicas: 2 } } }"
            .to_owned(),
        leave_out: &["large"],
        step_timeout_s: 20,
    };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(9000);
    let sum = peers::orders::run("proxmox", &ground, peers::runs(6), seed).await;
    assert!(sum.committed > 0);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut made = document(folder.path(), "canary-77aa-0000", &json!({}));
    made["nodes"] = json!({ "r": ["pve1"], "de-fra": ["pve2"] });
    let make = |http: HttpConfig| {
        let mut config: ProxmoxConfig = serde_json::from_value(made.clone()).expect("a configuration");
        config.http = http;
        Arc::new(config.build(folder.path()).expect("an adapter")) as Arc<dyn Provider>
    };
    let handles = [
        r#"{"make":{"key":"f-1","sku":"small","task":"UPID:pve1:1:1:1:qmclone:9000:a:","settings":{}}}"#,
        r#"{"act":{"vmid":42,"task":"UPID:pve1:1:1:1:qmstart:42:a:"}}"#,
        r#"{"end":{"vmid":42,"key":"f-1"}}"#,
    ];
    let count = peers::canary::check(&["canary-77aa"], &handles, make).await;
    println!("canary: {count} texts");
}
