//! Open Service Broker, against a real broker.

use std::{path::Path, sync::Arc, time::Duration};

use crate::peers::{self, Faults, Peer, host_of, orders::Ground, stormy::Stormy};
use fulcrum_core::{
    model::{Action, Charge, IdempotencyKey, Offer, OfferKind, OrderId, ServiceId, ServiceStatus},
    provider::{
        ErrorKind, OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::osb::{Osb, OsbConfig},
        conformance::{SuiteConfig, check_provider},
        http::{HttpConfig, NetworkTransport, Transport},
    },
};
use futures::StreamExt;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const FACTS: &str = r#"{"id": "hoster", "name": "Example Hosting", "legal_name": "Example Hosting GmbH", "country": "DE",
    "regions": [{"id": "de-fra", "country": "DE"}]}"#;

fn config(folder: &Path, url: &str, user: &str, password: &str) -> OsbConfig {
    std::fs::write(folder.join("hoster.json"), FACTS).expect("a file");
    std::fs::write(folder.join("password"), password).expect("a file");
    let document = json!({
        "provider": "hoster.json",
        "username": user,
        "password": "file:password",
        "list_lag_ms": 1000,
        "usage_units": ["1GB of traffic"],
        "http": { "base_url": url, "timeout_ms": 3000 },
    });
    serde_json::from_value(document).expect("a configuration")
}

/// A broker and its adapter.
fn broker(settings: &[(&str, &str)]) -> Option<(Peer, Osb)> {
    let peer = Peer::start("osb", settings)?;
    let adapter = adapter(&peer, peer.get("OSB_URL"), peer.get("OSB_PASSWORD"));
    Some((peer, adapter))
}

fn adapter(peer: &Peer, url: &str, password: &str) -> Osb {
    let folder = tempfile::tempdir().expect("a folder");
    config(folder.path(), url, peer.get("OSB_USERNAME"), password).build(folder.path()).expect("an adapter")
}

async fn offers(adapter: &Osb) -> Vec<Offer> {
    adapter.offers(&OfferFilter::default()).map(|offer| offer.expect("an offer")).collect().await
}

async fn request(adapter: &Osb, sku: &str) -> ProvisionRequest {
    let offers = offers(adapter).await;
    let offer = offers.iter().find(|offer| offer.sku.as_str() == sku).expect("it is offered");
    ProvisionRequest::of(offer, 0, "trial")
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

async fn done(adapter: &Osb, handle: &OperationHandle) -> OperationStatus {
    for _ in 0..100 {
        // As after a restart.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        match adapter.poll(&handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(50)).await,
            status => return status,
        }
    }
    panic!("{} does not end", handle.as_str());
}

#[tokio::test]
async fn it_sells_as_it_declares() {
    let Some((_peer, adapter)) = broker(&[("OSB_DELAY", "0.2")]) else { return };
    let small = request(&adapter, "postgresql/small").await;
    let trial = SuiteConfig::new(Some(small), Duration::from_secs(10));
    let report = check_provider(Arc::new(adapter), trial).await;
    println!("{report}");
    assert!(report.is_passed(), "{report}");
}

#[tokio::test]
async fn plans_with_costs_are_offers() {
    let Some((peer, adapter)) = broker(&[]) else { return };
    let prices: Vec<_> = offers(&adapter)
        .await
        .into_iter()
        .map(|offer| match offer.price.charge {
            Charge::Monthly(price) => (offer.sku.to_string(), price.to_string(), offer.kind),
            other => panic!("{other:?}"),
        })
        .collect();
    let plan =
        |name: &str, price: &str| (format!("postgresql/{name}"), price.to_owned(), OfferKind::Database);
    assert_eq!(prices, [plan("small", "15.0"), plan("large", "120.0"), plan("sold-out", "1.0")]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut dollars =
        config(folder.path(), peer.get("OSB_URL"), peer.get("OSB_USERNAME"), peer.get("OSB_PASSWORD"));
    dollars.currency = iso_currency::Currency::USD;
    let dollars = dollars.build(folder.path()).expect("an adapter");
    assert_eq!(offers(&dollars).await[1].price.charge, Charge::Monthly(rust_decimal::Decimal::new(1320, 1)));
}

#[tokio::test]
async fn all_costs_of_a_plan_are_added_and_a_plan_that_is_not_understood_is_named() {
    let cost = |amount: f64, unit: &str| json!({ "amount": { "eur": amount }, "unit": unit });
    let plan = |name: &str, costs: Value| json!({ "id": name, "name": name, "metadata": { "costs": costs } });
    let plans = json!([
        plan("both", json!([cost(20.0, "MONTHLY"), cost(0.1, "HOURLY")])),
        plan("twice", json!([cost(20.0, "MONTHLY"), cost(30.0, "Monthly")])),
        plan("hours", json!([cost(0.1, "HOURLY"), cost(0.2, "HOURLY")])),
        plan("use", json!([cost(20.0, "MONTHLY"), cost(0.01, "1GB OF MESSAGES")])),
        plan("traffic", json!([cost(20.0, "MONTHLY"), cost(0.01, "1GB of traffic")])),
        plan("traffic only", json!([cost(0.01, "1GB of traffic")])),
        plan("dollars", json!([cost(20.0, "MONTHLY"), { "amount": { "usd": 5.0 }, "unit": "MONTHLY" }])),
        plan("silent", json!([])),
    ]);
    let (_server, adapter) = catalogue(plans).await;
    let month = |offer: &Offer| {
        (offer.sku.to_string(), offer.price.net_month(0).map(|it| it.normalize().to_string()))
    };
    let sold: Vec<_> = offers(&adapter).await.iter().map(month).collect();
    let is = |name: &str, month: &str| (format!("mq/{name}"), Some(month.to_owned()));
    assert_eq!(sold, [is("both", "93"), is("twice", "50"), is("hours", "219"), is("traffic", "20")]);
    let left_out: Vec<_> = adapter.rejected().into_iter().map(|row| (row.row, row.reason)).collect();
    let names: Vec<_> = left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mq/use", "mq/traffic only", "mq/dollars", "mq/silent"], "{left_out:?}");
    assert!(left_out[0].1.contains("1GB OF MESSAGES") && left_out[2].1.contains("EUR"), "{left_out:?}");
}

/// A broker with these plans of one service, and its adapter.
async fn catalogue(plans: Value) -> (peers::server::Server, Osb) {
    let catalog = json!({ "services": [{ "id": "s", "name": "mq", "plans": plans }] }).to_string();
    let server = peers::server::Server::start(peers::server::Story::new(move |_| {
        peers::server::answer(200, &[("Content-Type", "application/json")], &catalog).into_bytes()
    }))
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let adapter = config(folder.path(), &server.url(), "u", "p").build(folder.path()).expect("an adapter");
    (server, adapter)
}

#[tokio::test]
async fn a_currency_is_known_in_any_case_and_not_told_twice() {
    let plan = |name: &str, amount: Value| {
        let costs = json!([{ "amount": amount, "unit": "MONTHLY" }]);
        json!({ "id": name, "name": name, "metadata": { "costs": costs } })
    };
    let (_server, adapter) = catalogue(json!([
        plan("lower", json!({ "eur": 49, "usd": 50 })),
        plan("upper", json!({ "EUR": 49 })),
        plan("mixed", json!({ "Eur": 49.0, "eur": 49 })),
        plan("twice", json!({ "EUR": 59, "eur": 49 })),
    ]))
    .await;
    let sold: Vec<_> = offers(&adapter).await.iter().map(|offer| offer.sku.to_string()).collect();
    assert_eq!(sold, ["mq/lower", "mq/upper", "mq/mixed"]);
    let left_out = adapter.rejected();
    assert_eq!((left_out.len(), left_out[0].row.as_str()), (1, "mq/twice"), "{left_out:?}");
    assert!(left_out[0].reason.contains("told twice in EUR"), "{left_out:?}");
}

#[tokio::test]
async fn an_odd_plan_is_counted_once_however_odd_it_is() {
    let odd = |name: &str, metadata: Value| json!({ "id": name, "name": name, "metadata": metadata });
    let cost = |amount: Value, unit: Value| json!({ "costs": [{ "amount": amount, "unit": unit }] });
    let (_server, adapter) = catalogue(json!([
        odd("good", cost(json!({ "eur": 49 }), json!("MONTHLY"))),
        odd("none", Value::Null),
        odd("no costs", json!({ "costs": null })),
        odd("text", json!("see price list")),
        odd("costs as text", json!({ "costs": "on request" })),
        odd("costs as object", json!({ "costs": { "monthly": 49 } })),
        odd("amount as text", cost(json!({ "eur": "49.00" }), json!("MONTHLY"))),
        odd("no amount", cost(Value::Null, json!("MONTHLY"))),
        odd("no unit", cost(json!({ "eur": 1 }), Value::Null)),
        odd("another unit", cost(json!({ "eur": 1 }), json!("month"))),
        json!({ "id": 7, "name": "no id" }),
        json!(null),
    ]))
    .await;
    for _ in 0..2 {
        assert_eq!(offers(&adapter).await.len(), 1);
        let left_out = adapter.rejected();
        assert_eq!(left_out.len(), 11, "{left_out:?}");
        let mut names: Vec<_> = left_out.iter().map(|row| &row.row).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 11, "{left_out:?}");
    }
}

/// A setting is what was written: the broker looks at its type.
#[tokio::test]
async fn settings_are_sent_as_they_are() {
    let (sent, seen) = (
        Arc::new(std::sync::Mutex::new(Value::Null)),
        json!({ "services": [{ "id": "s", "name": "mq", "plans": [
        { "id": "p", "name": "small", "metadata": { "costs": [{ "amount": { "eur": 1 }, "unit": "MONTHLY" }] } } ] }] }),
    );
    let (keep, catalog) = (sent.clone(), seen.to_string());
    let server = peers::server::Server::start(peers::server::Story::new(move |request: &str| {
        let json = [("Content-Type", "application/json")];
        if !request.starts_with("PUT") {
            return peers::server::answer(200, &json, &catalog).into_bytes();
        }
        let (_, body) = request.split_once("\r\n\r\n").expect("a request");
        *keep.lock().expect("nobody panics") = serde_json::from_str(body).expect("JSON");
        peers::server::answer(201, &json, "{}").into_bytes()
    }))
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let adapter = config(folder.path(), &server.url(), "u", "p").build(folder.path()).expect("an adapter");
    let mut request = request(&adapter, "mq/small").await;
    let settings = json!({ "version": "5", "is_public": "true", "nothing": "null", "list": "[1]", "size": 5, "is_big": true,
        "hosts": ["a", 1], "more": { "x": "1" } });
    request.settings = serde_json::from_value(settings.clone()).expect("settings");
    adapter.provision(&request, &key()).await.expect("accepted");
    assert_eq!(sent.lock().expect("nobody panics")["parameters"], settings);
}

#[tokio::test]
async fn an_instance_is_made_changed_bound_and_ended() {
    let Some((_peer, adapter)) = broker(&[("OSB_DELAY", "0.5")]) else { return };
    let (small, key) = (request(&adapter, "postgresql/small").await, key());
    let handle = adapter.provision(&small, &key).await.expect("accepted");
    // While it is made the broker says that it is busy: it is there, and must not look as if nothing were.
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is being made");
    assert_eq!((found.status, &found.sku), (ServiceStatus::Starting, &small.sku));
    let OperationStatus::Succeeded(Some(service)) = done(&adapter, &handle).await else { panic!("not made") };
    assert_eq!(service.attributes["dashboard_url"], format!("http://dashboard.example/{key}"));

    let large = Action::Resize { sku: "postgresql/large".parse().expect("a name") };
    let handle = adapter.act(&service.id, &large, &key).await.expect("accepted");
    let OperationStatus::Succeeded(Some(changed)) = done(&adapter, &handle).await else {
        panic!("not changed")
    };
    assert_eq!(changed.sku.as_str(), "postgresql/large");

    let binding = adapter.bind(&service.id, &key).await.expect("bound");
    let credentials: Value = serde_json::from_str(binding.credentials.expose_secret()).expect("JSON");
    let uri = credentials["uri"].as_str().expect("an address");
    assert!(uri.starts_with("postgresql://") && !format!("{binding:?}").contains(uri));
    adapter.bind(&service.id, &key).await.expect("bound again");
    adapter.unbind(&service.id, &key).await.expect("unbound");
    adapter.unbind(&service.id, &key).await.expect("unbound again");

    let access = adapter.access(&service.id).await.expect("opened");
    assert_eq!(access.names().collect::<Vec<_>>(), ["uri"]);
    let again = adapter.access(&service.id).await.expect("opened again");
    assert!(access.exposed().eq(again.exposed()) && !format!("{access:?}").contains("postgresql"));

    let handle = adapter.release(&service.id, &key).await.expect("accepted");
    assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
    assert_eq!(adapter.describe(&service.id).await.expect("asked"), None);
}

#[tokio::test]
async fn what_is_being_made_can_be_ended_by_a_process_that_knows_its_key_alone() {
    let Some((peer, adapter)) = broker(&[("OSB_DELAY", "0.5")]) else { return };
    let (small, key) = (request(&adapter, "postgresql/small").await, key());
    adapter.provision(&small, &key).await.expect("accepted");
    let other = self::adapter(&peer, peer.get("OSB_URL"), peer.get("OSB_PASSWORD"));
    let found = other.find_by_key(&key).await.expect("looked up").expect("it is being made");
    let handle = other.release(&found.id, &key).await.expect("accepted");
    assert_eq!(done(&other, &handle).await, OperationStatus::Succeeded(None));
    assert_eq!(other.find_by_key(&key).await.expect("looked up"), None);
}

#[tokio::test]
async fn a_provision_that_fails_later_leaves_something_that_is_found_and_ended() {
    let Some((_peer, adapter)) = broker(&[("OSB_DELAY", "0.2")]) else { return };
    let mut request = request(&adapter, "postgresql/small").await;
    request.settings.insert("fail".to_owned(), true.into());
    let key = key();
    let handle = adapter.provision(&request, &key).await.expect("accepted");
    assert!(matches!(done(&adapter, &handle).await, OperationStatus::Failed { shortage: None, .. }));
    let found = adapter.find_by_key(&key).await.expect("looked up").expect("it is there, broken");
    assert_eq!(found.status, ServiceStatus::Failed);
    let handle = adapter.release(&found.id, &key).await.expect("accepted");
    assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let Some((peer, adapter)) = broker(&[("OSB_DELAY", "0.2"), ("OSB_INSTANCE_LIMIT", "2")]) else { return };
    let kind = |outcome: Result<OperationHandle, fulcrum_core::provider::ProviderError>| {
        outcome.expect_err("refused").kind.word()
    };
    let mut request = request(&adapter, "postgresql/small").await;
    let stranger = self::adapter(&peer, peer.get("OSB_URL"), "wrong-password");
    assert_eq!(kind(stranger.provision(&request, &key()).await), "unauthorised");
    let sold_out =
        ProvisionRequest { sku: "postgresql/sold-out".parse().expect("a name"), ..request.clone() };
    // The framework says 500 without a reason: nobody can know whether something was made.
    assert_eq!(kind(adapter.provision(&sold_out, &key()).await), "ambiguous");
    let unknown = ProvisionRequest { sku: "postgresql/none".parse().expect("a name"), ..request.clone() };
    assert_eq!(kind(adapter.provision(&unknown, &key()).await), "not_found");
    let first = key();
    let handle = adapter.provision(&request, &first).await.expect("accepted");
    assert!(matches!(done(&adapter, &handle).await, OperationStatus::Succeeded(Some(_))));
    let other = ProvisionRequest { sku: "postgresql/large".parse().expect("a name"), ..request.clone() };
    assert_eq!(kind(adapter.provision(&other, &first).await), "ambiguous", "its id is this key");
    request.settings.insert("color".to_owned(), "red".into());
    assert_eq!(kind(adapter.provision(&request, &key()).await), "invalid_request");
    let nothing = OperationHandle::new("{}");
    assert!(matches!(adapter.poll(&nothing).await.expect_err("unknown").kind, ErrorKind::NotFound { .. }));
    let gone = ServiceId::new("nobody").expect("a name");
    let handle = adapter.release(&gone, &key()).await.expect("success");
    assert_eq!(done(&adapter, &handle).await, OperationStatus::Succeeded(None));
}

fn live() -> Arc<dyn Transport> {
    let http = HttpConfig { keep_alive: false, timeout_ms: 3_000, ..HttpConfig::default() };
    Arc::new(NetworkTransport::new(&http).expect("a transport"))
}

#[tokio::test]
async fn orders_hold_on_a_network_that_breaks() {
    let Some((peer, direct)) = broker(&[("OSB_DELAY", "0.1"), ("OSB_INSTANCE_LIMIT", "50")]) else { return };
    let Some(faults) = Faults::before(host_of(peer.get("OSB_URL"))) else { return };
    let storm = Stormy::over(live());
    let url = format!("http://{}", faults.address());
    let ground = Ground {
        beside: Vec::new(),
        broken: Arc::new(adapter(&peer, &url, peer.get("OSB_PASSWORD")).with_transport(storm.clone())),
        direct: Arc::new(direct),
        faults,
        storm,
        blueprint: "{ name: shop, components: { db: { kind: database, replicas: 2 } } }".to_owned(),
        leave_out: &["postgresql/sold-out"],
        step_timeout_s: 20,
    };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7000);
    let sum = peers::orders::run("osb", &ground, peers::runs(12), seed).await;
    assert!(sum.committed > 0);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = config(folder.path(), "https://unused.example", "someone", "canary-05b1-0000");
    let make = |http: HttpConfig| {
        let config = OsbConfig { http, ..made.clone() };
        Arc::new(config.build(folder.path()).expect("an adapter")) as Arc<dyn Provider>
    };
    let handles =
        [r#"{"make":{"instance":"a","operation":"o"}}"#, r#"{"end":{"instance":"a","operation":null}}"#];
    // In the header it stands coded.
    let coded = "c29tZW9uZTpjYW5hcnktMDViMS";
    let count = peers::canary::check(&["canary-05b1", coded], &handles, make).await;
    println!("canary: {count} texts");
}
