//! Hetzner Cloud: a real server with its API, and answers in its form for what that server does not tell.

use std::{path::Path, sync::Arc, time::Duration};

use crate::peers::{
    self, Faults, Peer, host_of,
    orders::Ground,
    server::{Server, Story, answer},
    stormy::Stormy,
};
use fulcrum_core::{
    model::{
        Action, Charge, IdempotencyKey, Offer, OfferKind, OrderId, PurchaseOption, ServiceId, ServiceStatus,
        Shortage,
    },
    provider::{
        ErrorKind, OfferFilter, OperationHandle, OperationStatus, Provider, ProviderError, ProvisionRequest,
        adapters::hetzner::{Hetzner, HetznerConfig},
        conformance::{SuiteConfig, check_provider},
        http::{HttpConfig, NetworkTransport, Transport},
    },
};
use futures::StreamExt;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const FACTS: &str = r#"{"format": "fulcrum-provider/1", "id": "hetzner", "name": "Example", "legal_name": "Example SAS",
    "country": "FR", "regions": [{"id": "abilian", "country": "FR"}, {"id": "r", "country": "FR"}]}"#;
const PRICES: &str =
    "kind,sku,region,vcpu,memory_mib,disk_gib,hourly,monthly,currency,tax,attributes,observed,source
machine,small,abilian,1,2048,20,0.01,5,EUR,net,,2026-11-01,test
machine,medium,abilian,2,4096,10,0.02,9,EUR,net,,2026-11-01,test
machine,forgotten,abilian,2,4096,40,0.001,1,EUR,net,,2026-11-01,test
machine,small,r,1,2048,20,0.05,30,EUR,net,,2026-11-01,test
public_ip,ipv4,abilian r,,,,,0.5,EUR,net,version=4,2026-11-01,test
";

/// With prices of its own, as the server tells none.
fn config(folder: &Path, url: &str, token: &str) -> HetznerConfig {
    std::fs::write(folder.join("prices.json"), FACTS).expect("a file");
    std::fs::write(folder.join("prices.csv"), crate::imitation::read_today(PRICES)).expect("a file");
    std::fs::write(folder.join("token"), token).expect("a file");
    let document = json!({
        "token": "file:token",
        "catalogue": "prices.csv",
        "list_lag_ms": 1000,
        "http": { "base_url": url, "timeout_ms": 3000 },
    });
    serde_json::from_value(document).expect("a configuration")
}

fn adapter(url: &str, token: &str) -> Hetzner {
    let folder = tempfile::tempdir().expect("a folder");
    config(folder.path(), url, token).build(folder.path()).expect("an adapter")
}

fn cloud() -> Option<(Peer, Hetzner)> {
    let peer = Peer::start("cloudalone", &[])?;
    let adapter = adapter(peer.get("HCLOUD_ENDPOINT"), peer.get("HCLOUD_TOKEN"));
    Some((peer, adapter))
}

async fn offers(adapter: &Hetzner) -> Vec<Offer> {
    adapter.offers(&OfferFilter::default()).map(|offer| offer.expect("an offer")).collect().await
}

fn request(sku: &str) -> ProvisionRequest {
    ProvisionRequest {
        sku: sku.parse().expect("a name"),
        kind: OfferKind::Machine,
        place: serde_json::from_value(json!({ "provider": "hetzner", "region": "abilian", "country": "FR" }))
            .expect("a place"),
        size_gib: 0,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: vec!["ipv4".parse().expect("a name")],
        name: "Web server, first".to_owned(),
        settings: Default::default(),
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

async fn done(adapter: &Hetzner, handle: &OperationHandle) -> OperationStatus {
    for _ in 0..200 {
        // As after a restart.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        match adapter.poll(&handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(50)).await,
            status => return status,
        }
    }
    panic!("{} does not end", handle.as_str());
}

fn word<T: std::fmt::Debug>(outcome: Result<T, ProviderError>) -> &'static str {
    outcome.expect_err("refused").kind.word()
}

#[tokio::test]
async fn it_sells_as_it_declares() {
    let Some((_peer, adapter)) = cloud() else { return };
    let trial = SuiteConfig::new(Some(request("small")), Duration::from_secs(10));
    let report = check_provider(Arc::new(adapter), trial).await;
    println!("{report}");
    assert!(report.is_passed(), "{report}");
}

#[tokio::test]
async fn a_table_prices_what_the_cloud_has_in_its_sizes() {
    let Some((_peer, adapter)) = cloud() else { return };
    let offers = offers(&adapter).await;
    let sold: Vec<_> = offers
        .iter()
        .map(|it| (it.sku.as_str(), it.place.region.as_str(), it.capacity.disk_gib, it.capacity.memory_mib))
        .collect();
    // `r` is offered as the server does not tell where a type is sold.
    assert_eq!(
        sold,
        [("small", "abilian", 20, 2048), ("medium", "abilian", 40, 4096), ("small", "r", 20, 2048)]
    );
}

#[tokio::test]
async fn a_server_is_made_stopped_started_and_ended() {
    let Some((_peer, adapter)) = cloud() else { return };
    let key = key();
    let handle = adapter.provision(&request("small"), &key).await.expect("accepted");
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there at once");
    let again = adapter.provision(&request("small"), &key).await.expect("the same");
    let OperationStatus::Succeeded(Some(service)) = done(&adapter, &handle).await else { panic!("not made") };
    let OperationStatus::Succeeded(Some(same)) = done(&adapter, &again).await else { panic!("not made") };
    assert_eq!((&service.id, &same.id), (&found.id, &found.id));
    assert_eq!(service.status, ServiceStatus::Running);
    assert!(service.attributes.contains_key("public_ipv6"), "{:?}", service.attributes);
    assert_eq!(word(adapter.provision(&request("medium"), &key).await), "conflict");

    for (action, status) in [
        (Action::Stop, ServiceStatus::Stopped),
        (Action::Stop, ServiceStatus::Stopped),
        (Action::Start, ServiceStatus::Running),
        (Action::Other { name: "reboot".to_owned() }, ServiceStatus::Running),
    ] {
        let handle = adapter.act(&service.id, &action, &key).await.expect("accepted");
        let OperationStatus::Succeeded(Some(now)) = done(&adapter, &handle).await else {
            panic!("{action:?}")
        };
        assert_eq!(now.status, status, "{action:?}");
    }
    let strange = Action::Other { name: "rebuild".to_owned() };
    assert_eq!(word(adapter.act(&service.id, &strange, &key).await), "unsupported");
    let same = Action::Resize { sku: "small".parse().expect("a name") };
    let handle = adapter.act(&service.id, &same, &key).await.expect("nothing to do");
    assert!(matches!(done(&adapter, &handle).await, OperationStatus::Succeeded(Some(_))));

    for _ in 0..2 {
        let handle = adapter.release(&service.id, &key).await.expect("accepted");
        assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    }
    assert_eq!(adapter.describe(&service.id).await.expect("asked"), None);
    assert_eq!(adapter.find_by_key(&key).await.expect("asked"), None);
}

#[tokio::test]
async fn strangers_are_neither_listed_nor_touched() {
    let Some((peer, adapter)) = cloud() else { return };
    let made =
        post(&peer, "/servers", &json!({ "name": "web", "server_type": "small", "image": "debian-13" }))
            .await;
    let id = ServiceId::new(made["server"]["id"].to_string()).expect("a name");
    let theirs = adapter.describe(&id).await.expect("asked").expect("it exists");
    assert_eq!(theirs.key, None);
    assert_eq!(adapter.services().count().await, 0);
    assert_eq!(word(adapter.release(&id, &key()).await), "forbidden");
    assert_eq!(word(adapter.act(&id, &Action::Stop, &key()).await), "not_found");
    let end = OperationHandle::new(format!("end/{id}"));
    assert_eq!(word(adapter.poll(&end).await), "forbidden");
    // Someone else's server has the name that is wanted.
    let name = IdempotencyKey::new("web").expect("a key");
    assert_eq!(word(adapter.provision(&request("small"), &name).await), "conflict");
}

async fn post(peer: &Peer, path: &str, body: &Value) -> Value {
    let mut headers = fulcrum_core::provider::http::HeaderMap::new();
    let token = format!("Bearer {}", peer.get("HCLOUD_TOKEN"));
    headers.insert("authorization", token.parse().expect("a header"));
    headers.insert("content-type", "application/json".parse().expect("a header"));
    let request = fulcrum_core::provider::http::RawRequest {
        method: fulcrum_core::provider::http::Method::POST,
        url: format!("{}{path}", peer.get("HCLOUD_ENDPOINT")).parse().expect("an address"),
        headers,
        body: Some(body.to_string().into()),
    };
    let answer = live().send(request).await.expect("an answer");
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test]
async fn lists_go_over_pages() {
    let Some((_peer, adapter)) = cloud() else { return };
    let mut keys = Vec::new();
    for _ in 0..53 {
        let key = key();
        adapter.provision(&request("small"), &key).await.expect("accepted");
        keys.push(key);
    }
    let listed: Vec<_> =
        adapter.services().map(|service| service.expect("a service").key.expect("a key")).collect().await;
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let Some((peer, adapter)) = cloud() else { return };
    let stranger = self::adapter(peer.get("HCLOUD_ENDPOINT"), "wrong-token");
    assert_eq!(word(stranger.provision(&request("small"), &key()).await), "unauthorised");
    assert_eq!(word(adapter.provision(&request("none"), &key()).await), "not_found");
    let mut elsewhere = request("small");
    elsewhere.place.region = "mars".parse().expect("a name");
    assert_eq!(word(adapter.provision(&elsewhere, &key()).await), "invalid_request");
    let mut wrong = request("small");
    wrong.settings.insert("networks".to_owned(), "12, a".into());
    let error = adapter.provision(&wrong, &key()).await.expect_err("refused");
    assert!(error.to_string().contains("`networks`"), "{error}");
    for handle in ["make/999999", "act/999999/1"] {
        let status = adapter.poll(&OperationHandle::new(handle)).await.expect("polled");
        assert!(matches!(status, OperationStatus::Failed { shortage: None, .. }), "{handle}: {status:?}");
    }
    assert_eq!(word(adapter.poll(&OperationHandle::new("make/1/x")).await), "not_found");
}

/// One answer to everything.
async fn says(status: u16, headers: &[(&str, &str)], body: Value) -> (Server, Hetzner) {
    let server = Server::start(Story::say(&answer(status, headers, &body.to_string()))).await;
    let adapter = adapter(&server.url(), "token");
    (server, adapter)
}

#[tokio::test]
async fn each_code_is_what_a_caller_can_act_on() {
    for (status, code, expected) in [
        (412, "resource_unavailable", "capacity_exhausted"),
        (412, "placement_error", "capacity_exhausted"),
        (403, "resource_limit_exceeded", "quota_exceeded"),
        (403, "token_readonly", "forbidden"),
        (423, "locked", "ambiguous"),
        (409, "conflict", "ambiguous"),
        (409, "uniqueness_error", "ambiguous"),
        (422, "invalid_input", "invalid_request"),
        (429, "rate_limit_exceeded", "rate_limited"),
        (404, "not_found", "not_found"),
        (503, "unavailable", "ambiguous"),
        (500, "server_error", "ambiguous"),
        (504, "timeout", "ambiguous"),
    ] {
        let fields = json!({ "fields": [{ "name": "image", "messages": ["is required"] }] });
        let body = json!({ "error": { "code": code, "message": "no", "details": fields } });
        let story = Story::new(move |request| {
            // The name is not taken.
            if request.starts_with("GET") {
                answer(200, &[], r#"{"servers": [], "meta": {"pagination": {"next_page": null}}}"#)
                    .into_bytes()
            } else {
                answer(status, &[], &body.to_string()).into_bytes()
            }
        });
        let server = Server::start(story).await;
        let error = adapter(&server.url(), "token").provision(&request("small"), &key()).await;
        let error = error.expect_err("refused");
        assert_eq!(error.kind.word(), expected, "{code}: {error}");
        if let ErrorKind::InvalidRequest { message } = error.kind {
            assert_eq!(message, "no (image: is required)");
        }
    }
}

#[tokio::test]
async fn an_action_that_fails_says_why() {
    for (code, expected) in [
        ("resource_unavailable", Some(Shortage::SoldOut)),
        ("resource_limit_exceeded", Some(Shortage::Quota)),
        ("action_failed", None),
    ] {
        let body = json!({ "action": { "id": 1, "status": "error", "progress": 100,
            "error": { "code": code, "message": "it did not work" } } });
        let (_server, adapter) = says(200, &[], body).await;
        let status = adapter.poll(&OperationHandle::new("make/7/1")).await.expect("polled");
        let OperationStatus::Failed { reason, shortage } = status else { panic!("{status:?}") };
        assert_eq!((reason, shortage), (format!("it did not work ({code})"), expected));
    }
}

/// Prices in the API's form: two types in three locations, one of them over, one sold out.
fn told(request: &str) -> Vec<u8> {
    let amount = |net: &str| json!({ "net": net, "gross": "99" });
    let price = |location: &str, hourly: &str, monthly: &str| {
        json!({ "location": location, "price_hourly": amount(hourly), "price_monthly": amount(monthly),
            "included_traffic": 21_990_232_555_520_u64, "price_per_tb_traffic": amount("1.0") })
    };
    let body = if request.starts_with("GET /pricing") {
        json!({ "pricing": { "currency": "EUR", "vat_rate": "19", "primary_ips": [
            { "type": "ipv4", "prices": [price("fsn1", "0.0008000000", "0.5"), price("hel1", "0.0008000000", "0.5")] },
            { "type": "ipv6", "prices": [price("fsn1", "0", "0"), price("hel1", "0", "0")] },
        ] } })
    } else if request.contains("page=2") {
        json!({ "server_types": [{ "id": 2, "name": "cax11", "cores": 2, "memory": 4, "disk": 40, "cpu_type": "shared",
            "architecture": "arm", "prices": [price("fsn1", "0.006", "3.79"), price("ash", "0.006", "3.79")],
            "locations": [{ "id": 1, "name": "fsn1", "available": true, "deprecation": null }] }],
            "meta": { "pagination": { "page": 2, "next_page": null } } })
    } else {
        json!({ "server_types": [{ "id": 1, "name": "cx23", "cores": 2, "memory": 4.0, "disk": 40, "cpu_type": "shared",
            "architecture": "x86",
            "prices": [price("fsn1", "0.0088000000000000", "5.4900000000000000"), price("nbg1", "0.0088", "5.49"),
                price("hel1", "0.0088", "5.49"), price("moon", "0.0088", "5.49")],
            "locations": [
                { "id": 1, "name": "fsn1", "available": true, "recommended": true, "deprecation": null },
                { "id": 2, "name": "nbg1", "available": true,
                    "deprecation": { "announced": "2025-01-01T00:00:00Z", "unavailable_after": "2025-04-01T00:00:00Z" } },
                { "id": 3, "name": "hel1", "available": false,
                    "deprecation": { "announced": "2026-01-01T00:00:00Z", "unavailable_after": "2999-01-01T00:00:00Z" } },
            ] }],
            "meta": { "pagination": { "page": 1, "next_page": 2 } } })
    };
    answer(200, &[], &body.to_string()).into_bytes()
}

#[tokio::test]
async fn prices_of_the_api_are_offers() {
    let server = Server::start(Story::new(told)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let with = HetznerConfig { catalogue: None, ..config(folder.path(), &server.url(), "token") };
    let without = HetznerConfig { public_ipv4: false, ..with.clone() };
    let sold = |offers: Vec<Offer>| -> Vec<(String, Charge, Vec<Charge>, bool)> {
        let one = |it: Offer| {
            let name = format!("{} {} {}", it.sku, it.place.region, it.capacity.memory_mib);
            let surcharges = it.surcharges.iter().map(|it| it.price.charge.clone()).collect();
            (name, it.price.charge, surcharges, it.stock == Some(0))
        };
        offers.into_iter().map(one).collect()
    };
    let charge = |hourly: i64, monthly: i64| Charge::HourlyCapped {
        hourly: Decimal::new(hourly, 4),
        monthly: Decimal::new(monthly, 2),
    };
    let line = |what: &str, own: Charge, address: &[Charge], is_out: bool| {
        (what.to_owned(), own, address.to_vec(), is_out)
    };
    let lines = |address: &[Charge]| {
        [
            line("cx23 fsn1 4096", charge(88, 549), address, false),
            line("cx23 hel1 4096", charge(88, 549), address, true),
            line("cax11 fsn1 4096", charge(60, 379), address, false),
        ]
    };
    let adapter = without.build(folder.path()).expect("an adapter");
    assert_eq!(sold(offers(&adapter).await), lines(&[]));
    let adapter = with.build(folder.path()).expect("an adapter");
    // With an address, and without as a product of its own.
    let no_address = lines(&[])
        .map(|(name, charge, none, is_out)| (name.replacen(' ', "+no-ipv4 ", 1), charge, none, is_out));
    let both: Vec<_> = lines(&[charge(8, 50)]).into_iter().zip(no_address).flat_map(<[_; 2]>::from).collect();
    assert_eq!(sold(offers(&adapter).await), both);
}

/// A cloud with prices and labels, which keeps the last server that was ordered.
fn keeps_one() -> Story {
    let made = std::sync::Mutex::new(None::<Value>);
    Story::new(move |request| {
        let mut made = made.lock().expect("unpoisoned");
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let server = |made: &Option<Value>| made.clone().unwrap_or(Value::Null);
        let action = json!({ "id": 1, "status": "success", "progress": 100, "error": null,
            "resources": [{ "id": 7, "type": "server" }] });
        let (status, reply) = if request.starts_with("POST /servers ") {
            let asked: Value = serde_json::from_str(body).expect("JSON");
            let has_address = asked["public_net"]["enable_ipv4"] == true;
            *made = Some(json!({ "id": 7, "name": asked["name"], "status": "running", "locked": false,
                "server_type": { "name": asked["server_type"] }, "location": { "name": asked["location"] },
                "labels": asked["labels"], "private_net": [], "volumes": [],
                "public_net": { "ipv4": has_address.then(|| json!({ "ip": "192.0.2.7" })), "ipv6": null, "floating_ips": [] } }));
            (201, json!({ "server": server(&made), "action": action, "next_actions": [] }))
        } else if request.starts_with("DELETE /servers/7") {
            *made = None;
            (200, json!({ "action": action }))
        } else if request.starts_with("POST /servers/7/actions/change_type") {
            let asked: Value = serde_json::from_str(body).expect("JSON");
            made.as_mut().expect("it is there")["server_type"] = json!({ "name": asked["server_type"] });
            (201, json!({ "action": action }))
        } else if request.starts_with("GET /servers/7") {
            match &*made {
                Some(server) => (200, json!({ "server": server })),
                None => (404, json!({ "error": { "code": "not_found", "message": "server not found" } })),
            }
        } else if request.starts_with("GET /servers") {
            (
                200,
                json!({ "servers": made.iter().collect::<Vec<_>>(), "meta": { "pagination": { "next_page": null } } }),
            )
        } else if request.starts_with("GET /actions/1") {
            (200, json!({ "action": action }))
        } else {
            return told(request);
        };
        answer(status, &[], &reply.to_string()).into_bytes()
    })
}

#[tokio::test]
async fn a_server_without_an_address_is_a_product_of_its_own() {
    let server = Server::start(keeps_one()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = HetznerConfig { catalogue: None, ..config(folder.path(), &server.url(), "token") };
    let adapter = config.build(folder.path()).expect("an adapter");
    let sold = offers(&adapter).await;
    let told = |offer: &Offer| offer.attributes.get("public_ipv4").cloned();
    assert!(sold.iter().all(|offer| told(offer).is_some()), "each says which of both it is: {sold:?}");
    let with = |sku: &str, said: Option<bool>| {
        let offer = sold.iter().find(|offer| offer.sku.as_str() == sku).expect("it is sold");
        let settings = said.map(|said| ("public_ipv4".to_owned(), json!(said))).into_iter().collect();
        ProvisionRequest { settings, ..ProvisionRequest::of(offer, 0, "web") }
    };
    let paid =
        |request: ProvisionRequest| ProvisionRequest { surcharges: with("cx23", None).surcharges, ..request };
    for refused in [
        with("cx23", Some(false)),
        with("cx23+no-ipv4", None),
        with("cx23+no-ipv4", Some(true)),
        paid(with("cx23+no-ipv4", Some(false))),
    ] {
        assert_eq!(word(adapter.provision(&refused, &key()).await), "invalid_request", "{refused:?}");
    }
    for (asked, has) in [
        (with("cx23+no-ipv4", Some(false)), false),
        (with("cx23", Some(true)), true),
        (with("cx23", None), true),
    ] {
        let key = key();
        let handle = adapter.provision(&asked, &key).await.expect("accepted");
        let again = adapter.provision(&asked, &key).await.expect("the same");
        for handle in [handle, again] {
            let OperationStatus::Succeeded(Some(made)) = done(&adapter, &handle).await else {
                panic!("not made")
            };
            assert_eq!(
                (&made.sku, made.attributes.contains_key("public_ipv4")),
                (&asked.sku, has),
                "{made:?}"
            );
        }
        let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there");
        assert_eq!(found.sku, asked.sku);
        let [same, other] = if has { ["cax11", "cax11+no-ipv4"] } else { ["cax11+no-ipv4", "cax11"] };
        let resize = |sku: &str| Action::Resize { sku: sku.parse().expect("a name") };
        assert_eq!(word(adapter.act(&found.id, &resize(other), &key).await), "invalid_request");
        let handle = adapter.act(&found.id, &resize(same), &key).await.expect("accepted");
        let OperationStatus::Succeeded(Some(now)) = done(&adapter, &handle).await else {
            panic!("not resized")
        };
        assert_eq!(now.sku.as_str(), same);
        let handle = adapter.release(&found.id, &key).await.expect("accepted");
        assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    }
}

fn live() -> Arc<dyn Transport> {
    let http = HttpConfig { keep_alive: false, timeout_ms: 3_000, ..HttpConfig::default() };
    Arc::new(NetworkTransport::new(&http).expect("a transport"))
}

#[tokio::test]
async fn orders_hold_on_a_network_that_breaks() {
    let Some((peer, direct)) = cloud() else { return };
    let Some(faults) = Faults::before(host_of(peer.get("HCLOUD_ENDPOINT"))) else { return };
    let storm = Stormy::over(live());
    let url = format!("http://{}/v1", faults.address());
    let ground = Ground {
        beside: Vec::new(),
        broken: Arc::new(adapter(&url, peer.get("HCLOUD_TOKEN")).with_transport(storm.clone())),
        direct: Arc::new(direct),
        faults,
        storm,
        blueprint: "{ name: shop, components: { web: { vcpu: 1, memory_mib: 2048, replicas: 2 } } }"
            .to_owned(),
        leave_out: &[],
        step_timeout_s: 20,
    };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8000);
    let sum = peers::orders::run("hetzner", &ground, peers::runs(12), seed).await;
    assert!(sum.committed > 0);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = config(folder.path(), "https://unused.example", "canary-4e72-0000");
    let make = |http: HttpConfig| {
        let config = HetznerConfig { http, ..made.clone() };
        Arc::new(config.build(folder.path()).expect("an adapter")) as Arc<dyn Provider>
    };
    let handles = ["make/7/1", "act/7", "end/7"];
    let count = peers::canary::check(&["canary-4e72"], &handles, make).await;
    println!("canary: {count} texts");
}
