//! What each kind of product says to its API, and hears, from the purchase to the end: recorded at real servers, and played here
//! without them. `FULCRUM_RECORD=1` records anew (`make proof ARGS=flows`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulcrum_core::{
    model::{IdempotencyKey, OfferKind, Service, ServiceStatus},
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
    recorded: impl FnOnce(&Path) -> Arc<dyn Provider>,
    played: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Provider>,
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

#[tokio::test]
async fn each_kind_at_ec2_says_what_it_said_to_a_server() {
    let peer = if is_recording() { Peer::start("moto", &[]) } else { None };
    if is_recording() && peer.is_none() {
        return;
    }
    let endpoint = peer.as_ref().map_or("http://127.0.0.1:9", |peer| peer.get("AWS_ENDPOINT_URL"));
    let desk = Desk::new(endpoint);
    let cloud = |more: Value| {
        let mut config = json!({
            "kinds": ec2::all_kinds(),
            "endpoints": { "elasticloadbalancing": endpoint, "rds": endpoint, "s3": endpoint },
            "password_secret": "file:passwords",
        });
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        desk.cloud(config)
    };
    let mut told = BTreeSet::new();
    for kind in ec2::all_kinds().into_iter().filter(|kind| *kind != OfferKind::Machine) {
        let (settings, attributes) = wanted(kind);
        // Of a table alone: nothing is asked for it.
        let row = crate::ec2::rows().into_iter().find(|offer| offer.kind == kind).expect("a row");
        let size = u64::from(matches!(kind, OfferKind::BlockStorage | OfferKind::ObjectStorage)) * 20;
        let mut request = ProvisionRequest::of(&row, size, "a test");
        match kind {
            // In each zone an address.
            OfferKind::LoadBalancer => request.surcharges = vec!["public-ipv4".parse().expect("a name"); 3],
            OfferKind::BlockStorage => request.place.zone = Some("eu-west-3a".parse().expect("a name")),
            _ => {}
        }
        request.settings = serde_json::from_value(settings).expect("settings");
        let service = record_or_play(
            &tape("ec2", kind),
            &request,
            |tape| Arc::new(cloud(json!({ "http": { "keep_alive": false, "record": tape } }))),
            |transport| Arc::new(cloud(json!({})).with_transport(transport)),
        )
        .await;
        for name in attributes {
            assert!(service.attributes.contains_key(*name), "{kind}: {name}: {:?}", service.attributes);
        }
        told.insert(kind);
    }
    println!(
        "figure: {} kinds at EC2 were {}",
        told.len(),
        if is_recording() { "recorded" } else { "played" }
    );
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
    let cloud = |more: Value| {
        let mut config = json!({
            "kinds": adapters::openstack::all_kinds(),
            "network": "private",
            "floating_network": "public",
            "list_lag_ms": 0,
        });
        config.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        desk.cloud(auth_url, config)
    };
    let mut told = BTreeSet::new();
    for kind in adapters::openstack::all_kinds().into_iter().filter(|kind| *kind != OfferKind::Machine) {
        let (settings, _) = wanted(kind);
        let row = openstack::rows().into_iter().find(|offer| offer.kind == kind).expect("a row");
        let size = u64::from(matches!(kind, OfferKind::BlockStorage | OfferKind::ObjectStorage)) * 2;
        let mut request = ProvisionRequest::of(&row, size, "a test");
        request.settings = serde_json::from_value(settings).expect("settings");
        let service = record_or_play(
            &tape("openstack", kind),
            &request,
            |tape| Arc::new(cloud(json!({ "http": { "keep_alive": false, "record": tape } }))),
            |transport| Arc::new(cloud(json!({})).with_transport(transport)),
        )
        .await;
        println!("{kind}: {:?}", service.attributes);
        told.insert(kind);
    }
    println!(
        "figure: {} kinds at OpenStack were {}",
        told.len(),
        if is_recording() { "recorded" } else { "played" }
    );
    assert_eq!(told.len(), 5);
}
