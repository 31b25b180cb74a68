//! What each kind of product says to its API, and hears, from the purchase to the end: recorded at real servers, and played here
//! without them. `FULCRUM_RECORD=1` records anew (`make proof ARGS=flows`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulcrum_core::{
    model::{IdempotencyKey, Offer, OfferKind, Service, ServiceStatus},
    provider::{
        OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::{self, ec2},
        http::{Recorder, Redactor, Replay, Transport},
    },
};
use serde_json::{Value, json};

use crate::{
    ec2::{Desk, finish},
    openstack,
    openstack_kinds::More,
    peers::Peer,
};

fn tape(adapter: &str, kind: OfferKind) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/adapter/flows", adapter, &format!("{kind}.jsonl")].iter().collect()
}

/// Whether flows are recorded.
fn is_recording() -> bool {
    std::env::var_os("FULCRUM_RECORD").is_some_and(|it| it == "1")
}

/// A purchase that is looked at in every way, and ended. Each step's key is always the same.
async fn flow(cloud: &dyn Provider, request: &ProvisionRequest, name: &str) -> Service {
    let key = |end: &str| {
        IdempotencyKey::new(format!("f-01a21f3c-0000-7000-8000-00000000f10e-0{end}")).expect("a key")
    };
    assert_eq!(cloud.find_by_key(&key("")).await.expect("looked up"), None, "{name}");
    let handle = cloud.provision(request, &key("")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let handle = OperationHandle::new(handle.as_str());
    let OperationStatus::Succeeded(Some(made)) = finish(cloud, &handle).await else {
        panic!("{name}: not made")
    };
    let found = cloud.find_by_key(&key("")).await.expect("looked up").expect("it is there");
    let described = cloud.describe(&made.id).await.expect("described").expect("it is there");
    assert_eq!((&found.id, &described.id, &described.sku), (&made.id, &made.id, &request.sku), "{name}");
    assert_eq!(described.status, ServiceStatus::Running, "{name}");
    let handle = cloud.release(&made.id, &key("-r")).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(finish(cloud, &handle).await, OperationStatus::Succeeded(None), "{name}");
    assert_eq!(cloud.describe(&made.id).await.expect("described"), None, "{name}");
    described
}

/// Records a flow, or plays it: then what is sent is what was sent at the server, and nothing less.
async fn record_or_play(
    tape: &Path,
    request: &ProvisionRequest,
    recorded: &dyn Fn(&Path) -> Arc<dyn Provider>,
    played: &dyn Fn(Arc<dyn Transport>) -> Arc<dyn Provider>,
) -> Service {
    let name = tape.display().to_string();
    if is_recording() {
        std::fs::create_dir_all(tape.parent().expect("a folder")).expect("a folder");
        let _ = std::fs::remove_file(tape);
        return flow(&*recorded(tape), request, &name).await;
    }
    let replay = Arc::new(Replay::open(tape).unwrap_or_else(|error| panic!("{name}: {error}")));
    let folder = tempfile::tempdir().expect("a folder");
    let again = folder.path().join("again.jsonl");
    let recorder = Recorder::append(replay, &again, Redactor::new([])).expect("a recorder");
    let service = flow(&*played(Arc::new(recorder)), request, &name).await;
    let (then, now) = (requests(tape), requests(&again));
    if let Some(sent) = now.iter().find(|sent| !then.contains(sent)) {
        panic!("{name}: this is sent now, and was not: {sent}; record it again, if that is right");
    }
    assert_eq!(
        then.len(),
        now.len(),
        "{name}: another number of requests is sent; record it again, if that is right"
    );
    if let Some(sent) = then.iter().find(|sent| !now.contains(sent)) {
        panic!("{name}: this was sent, and is not any more: {sent}");
    }
    service
}

/// The requests of a recording: method, path with query, and body.
fn requests(tape: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(tape).expect("a recording");
    let request = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["request"].to_string();
    text.lines().map(request).collect()
}

/// What is bought of a kind, and what is told of it.
fn wanted(kind: OfferKind) -> (Value, &'static [&'static str]) {
    match kind {
        OfferKind::Network => (
            json!({ "cidr": "10.40.0.0/16", "firewall": [{ "allow": "tcp", "ports": 22, "from": "10.0.0.0/8" }] }),
            &["cidr", "subnets"],
        ),
        OfferKind::LoadBalancer => (json!({ "listen": 443, "check": "/health" }), &["host"]),
        OfferKind::ObjectStorage => {
            (json!({ "bucket": "files", "versioning": true }), &["bucket", "endpoint"])
        }
        OfferKind::Database => (json!({ "engine": "postgresql" }), &["host", "port", "database", "user"]),
        OfferKind::PublicIp => (json!({}), &["public_ipv4"]),
        _ => (json!({ "labels": { "team": "shop" } }), &[]),
    }
}

/// A cloud that records into a file, and one over a transport.
type Clouds<'a> =
    (&'a dyn Fn(&Path) -> Arc<dyn Provider>, &'a dyn Fn(Arc<dyn Transport>) -> Arc<dyn Provider>);

/// The flow of each kind beside machines of a table's rows, of so many GiB where a kind has a size. What was told of each service.
async fn each_kind(
    adapter: &str,
    rows: &[Offer],
    gib: u64,
    change: &dyn Fn(&mut ProvisionRequest),
    (recorded, played): Clouds<'_>,
) -> BTreeMap<OfferKind, Service> {
    let mut told = BTreeMap::new();
    for kind in rows.iter().map(|row| row.kind).filter(|kind| *kind != OfferKind::Machine) {
        if told.contains_key(&kind) {
            continue;
        }
        // Of a table alone: nothing is asked for it.
        let row = rows.iter().find(|offer| offer.kind == kind).expect("a row");
        let size = u64::from(matches!(kind, OfferKind::BlockStorage | OfferKind::ObjectStorage)) * gib;
        let mut request = ProvisionRequest::of(row, size, "a test");
        change(&mut request);
        request.settings = serde_json::from_value(wanted(kind).0).expect("settings");
        told.insert(kind, record_or_play(&tape(adapter, kind), &request, recorded, played).await);
    }
    let done = if is_recording() { "recorded" } else { "played" };
    println!("figure: {} kinds at {adapter} were {done}", told.len());
    told
}

/// A configuration with some more.
fn merged(mut config: Value, more: Value) -> Value {
    config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    config
}

/// How what is said is recorded.
fn recording(tape: &Path) -> Value {
    json!({ "http": { "keep_alive": false, "record": tape } })
}

#[tokio::test]
async fn each_kind_at_ec2_says_what_it_said_to_a_server() {
    let peer = if is_recording() { Peer::start("moto", &[]) } else { None };
    if is_recording() && peer.is_none() {
        return;
    }
    let endpoint = peer.as_ref().map_or("http://127.0.0.1:9", |peer| peer.get("AWS_ENDPOINT_URL"));
    let desk = Desk::new(endpoint);
    let config = json!({
        "kinds": ec2::all_kinds(),
        "endpoints": { "elasticloadbalancing": endpoint, "rds": endpoint, "s3": endpoint },
        "password_secret": "file:passwords",
    });
    let cloud = |more: Value| desk.cloud(merged(config.clone(), more));
    let change = |request: &mut ProvisionRequest| match request.kind {
        // In each zone an address.
        OfferKind::LoadBalancer => request.surcharges = vec!["public-ipv4".parse().expect("a name"); 3],
        OfferKind::BlockStorage => request.place.zone = Some("eu-west-3a".parse().expect("a name")),
        _ => {}
    };
    let clouds: Clouds<'_> = (&|tape| Arc::new(cloud(recording(tape))), &|transport| {
        Arc::new(cloud(json!({})).with_transport(transport))
    });
    let told = each_kind("ec2", &crate::ec2::rows(), 20, &change, clouds).await;
    for (kind, service) in &told {
        for name in wanted(*kind).1 {
            assert!(service.attributes.contains_key(*name), "{kind}: {name}: {:?}", service.attributes);
        }
    }
    assert_eq!(told.len(), 6);
}

#[tokio::test]
async fn each_kind_at_openstack_says_what_it_said_to_a_server() {
    let peer = if is_recording() {
        Peer::start_slow("openstack", &[("OS_COMPUTE_DRIVER", "fake.FakeDriver")])
    } else {
        None
    };
    if is_recording() && peer.is_none() {
        return;
    }
    let _more = peer.as_ref().and_then(|peer| More::start(peer.folder()));
    let auth_url = peer.as_ref().map_or("http://127.0.0.1:9/v3", |peer| peer.get("OS_AUTH_URL"));
    let desk = openstack::Desk::new(peer.as_ref().map_or("canary-secret", |peer| peer.get("OS_PASSWORD")));
    let config = json!({
        "kinds": adapters::openstack::all_kinds(),
        "network": "private",
        "floating_network": "public",
        "list_lag_ms": 0,
    });
    let cloud = |more: Value| desk.cloud(auth_url, merged(config.clone(), more));
    let clouds: Clouds<'_> = (&|tape| Arc::new(cloud(recording(tape))), &|transport| {
        Arc::new(cloud(json!({})).with_transport(transport))
    });
    let told = each_kind("openstack", &openstack::rows(), 2, &|_| {}, clouds).await;
    assert_eq!(told.len(), 5);
}
