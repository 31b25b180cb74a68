//! OpenStack's own services, with nova's fake hypervisor: what is bought, what is refused, what is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    openstack_kinds,
    peers::{self, Faults, Peer, host_of, orders::Ground, stormy::Stormy},
};
use async_trait::async_trait;
use fulcrum_core::{
    catalogue::{AgeLimits, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{
        Action, Blueprint, FailOver, IdempotencyKey, Operator, Order, OrderId, OrderState, Policy, Service,
        ServiceStatus, Shortage, StepState,
    },
    provider::{
        ErrorKind, OperationHandle, OperationStatus, Provider, ProvisionRequest, UsagePeriod,
        adapters::openstack::{OpenStack, OpenStackConfig},
        conformance::{SuiteConfig, check_provider},
        http::{
            HeaderMap, HttpConfig, Method, NetworkTransport, RawRequest, RawResponse, StatusCode, Transport,
            TransportError,
        },
        layers,
    },
    purchase::Engine,
};
use futures::{TryStreamExt, future};
use serde_json::{Value, json};

/// Who sells, and for how much. `m1.small` stands there with another size than it has; `m1.ghost` does not exist.
const SELLER: &str = r#"{
    "id": "acme", "name": "Acme", "legal_name": "Acme SA", "country": "FR",
    "regions": [{ "id": "RegionOne", "country": "FR", "city": "Lyon" }]
}"#;
const PRICES: &str = "\
kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,observed,source
machine,m1.tiny,*,1,512,1,0.01,,,EUR,net,2026-11-20,acme.example
machine,m1.small,*,2,4096,20,0.02,,,EUR,net,2026-11-20,acme.example
machine,m1.medium,*,2,4096,40,0.04,,,EUR,net,2026-11-20,acme.example
machine,m1.large,*,4,8192,80,0.08,,,EUR,net,2026-11-20,acme.example
machine,x1.huge,*,16,16384,100,0.30,,,EUR,net,2026-11-20,acme.example
machine,m1.ghost,*,1,512,1,0.001,,,EUR,net,2026-11-20,acme.example
public_ip,floating,*,,,,0.004,,,EUR,net,2026-11-20,acme.example
network,private,*,,,,0,,,EUR,net,2026-11-20,acme.example
load_balancer,octavia,*,,,,0.02,,,EUR,net,2026-11-20,acme.example
block_storage,standard,*,,,,,GB-month,0.05,EUR,net,2026-11-20,acme.example
object_storage,swift,*,,,,,GB-month,0.02,EUR,net,2026-11-20,acme.example
";

/// The rows of the price table, without what a cloud says of them.
pub(crate) fn rows() -> Vec<fulcrum_core::model::Offer> {
    let seller = fulcrum_core::model::parse_json(SELLER).expect("a seller");
    let table =
        fulcrum_core::provider::table::Table::from_csv(&seller, &crate::imitation::read_today(PRICES));
    table.expect("a table").offers
}

/// A folder with a price table and a password.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(password: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("acme.csv", &crate::imitation::read_today(PRICES));
        write("acme.json", SELLER);
        write("password", password);
        write("wrong", "nonsense");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration, with some of it changed.
    fn config(&self, auth_url: &str, change: Value) -> OpenStackConfig {
        let mut config = json!({
            "id": "acme",
            "auth_url": auth_url,
            "auth": { "password": { "user": "demo", "project": "demo", "password": "file:password" } },
            "catalogue": "acme.csv",
            "image": "debian-12",
            "network": "none",
            // On a busy machine nova takes up a request seconds after its caller was cut off.
            "list_lag_ms": 10_000,
            "http": { "keep_alive": false },
        });
        let fields = change.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(fields);
        serde_json::from_value(config).expect("a configuration")
    }

    pub(crate) fn cloud(&self, auth_url: &str, change: Value) -> OpenStack {
        self.config(auth_url, change).build(self.path()).expect("a cloud")
    }
}

/// A cloud of a test, and what it did before.
pub(crate) struct Ward {
    pub(crate) peer: Peer,
    pub(crate) desk: Desk,
    began: Instant,
}

impl Ward {
    pub(crate) fn auth_url(&self) -> &str {
        self.peer.get("OS_AUTH_URL")
    }

    pub(crate) fn cloud(&self, change: Value) -> Arc<dyn Provider> {
        Arc::new(self.desk.cloud(self.auth_url(), change))
    }

    /// What the command line of OpenStack says.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(self.peer.get("FULCRUM_OS_CLI"));
        let output = command.args(arguments).envs(&self.peer.env).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }
}

pub(crate) fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

pub(crate) async fn offers(cloud: &dyn Provider) -> Vec<fulcrum_core::model::Offer> {
    peers::orders::offers(cloud).await
}

pub(crate) async fn request(cloud: &dyn Provider, sku: &str, zone: &str) -> ProvisionRequest {
    let all = offers(cloud).await;
    let is_it = |offer: &&fulcrum_core::model::Offer| {
        offer.sku.as_str() == sku && offer.place.zone.as_ref().is_none_or(|it| it.as_str() == zone)
    };
    let offer = all.iter().find(is_it).expect("the offer");
    ProvisionRequest::of(offer, 0, "a test")
}

async fn finish(cloud: &dyn Provider, handle: &OperationHandle) -> OperationStatus {
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        match cloud.poll(handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(200)).await,
            over => return over,
        }
    }
    panic!("{} does not end", handle.as_str());
}

pub(crate) async fn made(cloud: &dyn Provider, handle: &OperationHandle) -> Service {
    match finish(cloud, handle).await {
        OperationStatus::Succeeded(Some(service)) => service,
        other => panic!("{}: {other:?}", handle.as_str()),
    }
}

pub(crate) async fn end(cloud: &dyn Provider, service: &Service) {
    let handle = cloud.release(&service.id, &key()).await.expect("released");
    assert_eq!(finish(cloud, &handle).await, OperationStatus::Succeeded(None));
}

pub(crate) async fn left(cloud: &dyn Provider) -> Vec<Service> {
    cloud.services().try_collect().await.expect("services")
}

/// Runs the command line of OpenStack as its administrator.
pub(crate) fn administer(peer: &Peer, arguments: &[&str]) {
    let mut command = std::process::Command::new(peer.get("FULCRUM_OS_CLI"));
    command.args(arguments).envs(&peer.env);
    for (name, from) in [
        ("OS_USERNAME", "FULCRUM_OS_ADMIN_USERNAME"),
        ("OS_PASSWORD", "FULCRUM_OS_ADMIN_PASSWORD"),
        ("OS_PROJECT_NAME", "FULCRUM_OS_ADMIN_PROJECT"),
    ] {
        command.env(name, peer.get(from));
    }
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Tells placement the zone of each host once more. Nova does so when a host joins a zone; a host that is not yet known to placement
/// at that moment gets no machine for a zone.
pub(crate) fn know_zones(peer: &Peer) {
    for (zone, host) in [("zone-a", "compute-a"), ("zone-b", "compute-b")] {
        for verb in ["remove", "add"] {
            administer(peer, &["aggregate", verb, "host", zone, host]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openstack_sells_as_it_is_promised() {
    let began = Instant::now();
    let Some(peer) = Peer::start_slow("openstack", &[]) else { return };
    know_zones(&peer);
    let desk = Desk::new(peer.get("OS_PASSWORD"));
    let ward = Ward { peer, desk, began };
    // Of an earlier try, if the cloud is not this test's own.
    let cloud = ward.cloud(json!({ "floating_network": "public" }));
    for service in left(&*cloud).await {
        end(&*cloud, &service).await;
    }
    ward.say("started");
    offers_are_what_the_table_and_the_cloud_have(&ward).await;
    openstack_kinds::all_kinds_are_sold(&ward).await;
    if std::env::var_os("FULCRUM_KINDS_ALONE").is_some() {
        return;
    }
    the_suite_passes(&ward).await;
    openstack_kinds::kinds_are_bought_together(&ward).await;
    lists_lag_less_than_declared(&ward).await;
    actions_are_carried_out(&ward).await;
    refusals_are_told_apart(&ward).await;
    a_refused_token_is_renewed(&ward).await;
    an_application_credential_is_enough(&ward).await;
    an_old_nova_sells_too(&ward).await;
    what_fits_nowhere_is_compensated(&ward).await;
    a_sold_out_zone_is_replaced(&ward).await;
    two_drivers_make_one_server(&ward).await;
    orders_hold_on_a_network_that_breaks(&ward).await;
    assert_eq!(left(&*ward.cloud(json!({ "floating_network": "public" }))).await, []);
    ward.say("nothing is left");
}

async fn offers_are_what_the_table_and_the_cloud_have(ward: &Ward) {
    let cloud = ward.cloud(json!({ "floating_network": "public", "page_size": 2 }));
    let all = offers(&*cloud).await;
    let ids: BTreeSet<String> = all.iter().map(|offer| offer.id().to_string()).collect();
    let machine = |zone: &str, sku: &str| format!("acme/RegionOne/{zone}/{sku}");
    let skus = ["m1.tiny", "m1.small", "m1.medium", "m1.large", "x1.huge"];
    let zones = ["zone-a", "zone-b"];
    let mut expected: BTreeSet<String> =
        zones.iter().flat_map(|zone| skus.iter().map(|sku| machine(zone, sku))).collect();
    expected.insert("acme/RegionOne/floating".to_owned());
    assert_eq!(ids, expected);
    let small = all.iter().find(|offer| offer.sku.as_str() == "m1.small").expect("it is offered");
    assert_eq!(
        (small.capacity.vcpu_milli, small.capacity.memory_mib, small.capacity.disk_gib),
        (1000, 2048, 20)
    );
    ward.say("offers");
}

async fn the_suite_passes(ward: &Ward) {
    let kinds = json!(["machine", "public_ip", "network"]);
    let cloud = ward.cloud(json!({ "floating_network": "public", "kinds": kinds }));
    for (sku, zone) in [("m1.tiny", "zone-b"), ("floating", ""), ("private", "")] {
        let request = request(&*cloud, sku, zone).await;
        let trial = SuiteConfig::new(Some(request), Duration::from_secs(90));
        let report = check_provider(cloud.clone(), trial).await;
        println!("{report}");
        assert!(report.is_passed());
    }
    ward.say("the conformance suite passed for a machine, an address and a network");
}

/// Ordered and looked for at once, ten times: how often the list did not have it yet, and for how long.
async fn lists_lag_less_than_declared(ward: &Ward) {
    // Two to a page, so that the look-up goes through several.
    let cloud = layers::recommended(ward.cloud(json!({ "page_size": 1 })));
    let request = request(&*cloud, "m1.tiny", "zone-a").await;
    let (mut services, mut late) = (Vec::new(), Duration::ZERO);
    for _ in 0..8 {
        let key = key();
        let handle = cloud.provision(&request, &key).await.expect("ordered");
        let began = Instant::now();
        let mut misses = 0;
        while cloud.find_by_key(&key).await.expect("looked up").is_none() {
            misses += 1;
            assert!(began.elapsed() < Duration::from_secs(5), "{key} is not listed");
        }
        if misses > 0 {
            late = late.max(began.elapsed());
        }
        services.push((key, handle));
    }
    // Through the time in which nova hands them over from one of its databases to another.
    let mut looks = 0;
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        for (key, _) in &services {
            looks += 1;
            assert!(
                cloud.find_by_key(key).await.expect("looked up").is_some(),
                "{key} vanished from the list"
            );
        }
    }
    let listed = left(&*cloud).await;
    assert_eq!(listed.len(), services.len());
    ward.say(&format!(
        "8 servers were listed at once, at the latest after {late:?}; {looks} looks while they were built"
    ));
    let made = future::join_all(services.iter().map(|(_, handle)| made(&*cloud, handle))).await;
    future::join_all(made.iter().map(|service| end(&*cloud, service))).await;
}

async fn actions_are_carried_out(ward: &Ward) {
    let cloud = ward.cloud(json!({ "network": "private" }));
    let request = request(&*cloud, "m1.tiny", "zone-b").await;
    let handle = cloud.provision(&request, &key()).await.expect("ordered");
    let service = made(&*cloud, &handle).await;
    assert!(service.attributes["address"].starts_with("10.0.0."), "{:?}", service.attributes);
    assert_eq!(service.attributes["zone"], "zone-b");
    let small = Action::Resize { sku: "m1.small".parse().expect("a name") };
    let reboot = Action::Other { name: "reboot".to_owned() };
    for action in [Action::Stop, Action::Stop, Action::Start, Action::Start, reboot, small.clone(), small] {
        let handle = cloud.act(&service.id, &action, &key()).await.expect("acted");
        // Somebody else goes on with the text alone.
        let other = ward.cloud(json!({}));
        let now = made(&*other, &OperationHandle::new(handle.as_str().to_owned())).await;
        assert!(action.is_done(&now) || matches!(action, Action::Other { .. }), "{action:?}: {now:?}");
        assert_eq!(cloud.describe(&service.id).await.expect("described").expect("there").sku, now.sku);
    }
    let strange = Action::Other { name: "shelve".to_owned() };
    let refused = cloud.act(&service.id, &strange, &key()).await.expect_err("it is not known");
    assert_eq!(refused.kind, ErrorKind::Unsupported);
    end(&*cloud, &service).await;
    let gone = cloud.act(&service.id, &Action::Stop, &key()).await.expect_err("it is gone");
    assert!(matches!(gone.kind, ErrorKind::NotFound { .. }), "{gone}");
    let now = jiff::Timestamp::now();
    let period = UsagePeriod { from: now - jiff::Span::new().hours(1), to: now };
    let usage: Vec<_> = cloud.usage(&period).try_collect().await.expect("usage");
    let of_it: Vec<_> = usage.iter().filter(|record| record.service == service.id).collect();
    assert!(of_it.len() == 1 && of_it[0].consumed_unit == "Hours", "{usage:?}");
    ward.say("stopped, started, rebooted, resized, metered");
}

async fn refusals_are_told_apart(ward: &Ward) {
    let cloud = ward.cloud(json!({}));
    let wrong =
        json!({ "auth": { "password": { "user": "demo", "project": "demo", "password": "file:wrong" } } });
    let wrong = ward.cloud(wrong).find_by_key(&key()).await.expect_err("a wrong password");
    assert_eq!(wrong.kind, ErrorKind::Unauthorised);
    assert!(!format!("{wrong:?}").contains("nonsense"), "{wrong:?}");
    let tiny = request(&*cloud, "m1.tiny", "zone-a").await;
    let refused = |change: &dyn Fn(&mut ProvisionRequest)| {
        let (cloud, mut request) = (cloud.clone(), tiny.clone());
        change(&mut request);
        async move { cloud.provision(&request, &key()).await.expect_err("it is refused") }
    };
    let error = refused(&|it| it.sku = "m1.ghost".parse().expect("a name")).await;
    assert!(matches!(error.kind, ErrorKind::NotFound { .. }), "{error}");
    let with = |name: &'static str, value: &'static str| {
        move |it: &mut ProvisionRequest| drop(it.settings.insert(name.to_owned(), value.into()))
    };
    for (name, value) in [("image", "nothing"), ("network", "nothing"), ("key_name", "nothing")] {
        let error = refused(&with(name, value)).await;
        assert!(matches!(error.kind, ErrorKind::InvalidRequest { .. }), "{name}: {error}");
    }
    let error = refused(&|it| it.place.zone = Some("zone-c".parse().expect("a name"))).await;
    assert!(
        matches!(error.kind, ErrorKind::InvalidRequest { .. }) && error.request_id.is_none(),
        "{error:?}"
    );
    let error = refused(&|it| it.size_gib = 10).await;
    assert!(matches!(error.kind, ErrorKind::InvalidRequest { .. }), "{error}");
    // Twenty cores are the quota: two of sixteen are over it, whether or not the first fits anywhere.
    let huge = request(&*cloud, "x1.huge", "zone-a").await;
    let first = cloud.provision(&huge, &key()).await.expect("within the quota");
    let failed = finish(&*cloud, &first).await;
    assert!(
        matches!(failed, OperationStatus::Failed { shortage: Some(Shortage::SoldOut), .. }),
        "{failed:?}"
    );
    // What is broken counts, too.
    let error = cloud.provision(&huge, &key()).await.expect_err("over the quota");
    assert_eq!(error.kind, ErrorKind::QuotaExceeded { quota: "cores".to_owned() }, "{error:?}");
    let broken = left(&*cloud).await;
    assert_eq!(broken.iter().map(|it| it.status).collect::<Vec<_>>(), [ServiceStatus::Failed]);
    let found = cloud.find_by_key(broken[0].key.as_ref().expect("a key")).await.expect("looked up");
    assert_eq!(found.as_ref(), Some(&broken[0]));
    end(&*cloud, &broken[0]).await;
    ward.say("a wrong password, flavor, image, network, key pair, zone, the quota, no room");
}

/// A keystone whose tokens live for so many seconds, and whose nova is at some address.
struct Fake {
    seconds: u64,
    nova: &'static str,
    logins: AtomicUsize,
    /// Host and token of each request.
    seen: Mutex<Vec<(String, String)>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let mut headers = HeaderMap::new();
        let body = if request.url.path().ends_with("/auth/tokens") {
            let login = self.logins.fetch_add(1, Ordering::SeqCst);
            // Others wait for it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            headers.insert("x-subject-token", format!("canary-token-{login}").parse().expect("a value"));
            let end = jiff::Timestamp::UNIX_EPOCH + Duration::from_secs(self.seconds);
            let endpoint = json!({ "interface": "public", "region_id": "RegionOne", "url": self.nova });
            json!({ "token": {
                "issued_at": jiff::Timestamp::UNIX_EPOCH, "expires_at": end, "project": { "id": "p" },
                "catalog": [{ "type": "compute", "endpoints": [endpoint] }],
            } })
        } else {
            let token = request.headers["x-auth-token"].to_str().expect("text").to_owned();
            let host = request.url.host_str().unwrap_or_default().to_owned();
            self.seen.lock().expect("nobody panics").push((host, token));
            json!({ "version": { "version": "2.90" }, "servers": [] })
        };
        Ok(RawResponse { status: StatusCode::OK, headers, body: body.to_string().into() })
    }
}

fn fake(seconds: u64, nova: &'static str, change: Value) -> (OpenStack, Arc<Fake>) {
    let fake = Arc::new(Fake { seconds, nova, logins: AtomicUsize::new(0), seen: Mutex::default() });
    let cloud = Desk::new("canary-password")
        .cloud("https://keystone.example/v3", change)
        .with_transport(fake.clone());
    (cloud, fake)
}

#[tokio::test]
async fn one_token_serves_all_until_it_is_about_to_end() {
    let (cloud, fake) = fake(4, "https://nova.example/v2.1/p", json!({}));
    let keys: Vec<_> = (0..20).map(|_| key()).collect();
    let all = future::join_all(keys.iter().map(|key| cloud.find_by_key(key))).await;
    assert!(all.iter().all(|found| matches!(found, Ok(None))), "{all:?}");
    assert_eq!(fake.logins.load(Ordering::SeqCst), 1);
    // In the last quarter of its life another is asked for.
    tokio::time::sleep(Duration::from_millis(3100)).await;
    cloud.find_by_key(&keys[0]).await.expect("looked up");
    assert_eq!(fake.logins.load(Ordering::SeqCst), 2);
    let shown = format!("{cloud:?}");
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn the_token_is_sent_to_hosts_that_are_allowed_alone() {
    let only = json!({ "hosts": ["cloud.example"] });
    for (nova, hosts, is_sent) in [
        ("https://nova.cloud.example/v2.1", only.clone(), true),
        ("https://cloud.example/v2.1", only.clone(), true),
        ("https://evilcloud.example/v2.1", only.clone(), false),
        ("https://cloud.example.evil/v2.1", only, false),
        ("https://anywhere.example/v2.1", json!({}), true),
        ("http://anywhere.example/v2.1", json!({}), false),
        // Keystone is elsewhere: what listens on this machine alone is none of its cloud.
        ("http://127.0.0.1:1/v2.1", json!({}), false),
    ] {
        let (cloud, fake) = fake(3600, nova, hosts);
        let found = cloud.find_by_key(&key()).await;
        assert_eq!(
            (found.is_ok(), !fake.seen.lock().expect("nobody panics").is_empty()),
            (is_sent, is_sent),
            "{nova}"
        );
    }
}

/// Hands out a token itself, and passes all else on.
#[derive(Debug)]
struct LoggedIn {
    inner: NetworkTransport,
    nova: String,
}

#[async_trait]
impl Transport for LoggedIn {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        if !request.url.path().ends_with("/auth/tokens") {
            return self.inner.send(request).await;
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-subject-token", "canary-5caf-token".parse().expect("a value"));
        let endpoint = json!({ "interface": "public", "region_id": "r", "url": self.nova });
        let services =
            ["compute", "network", "image"].map(|kind| json!({ "type": kind, "endpoints": [endpoint] }));
        let body = json!({ "token": {
            "issued_at": "2026-11-25T08:00:00Z", "expires_at": "2026-11-25T09:00:00Z", "project": { "id": "p" },
            "catalog": services,
        } });
        Ok(RawResponse { status: StatusCode::CREATED, headers, body: body.to_string().into() })
    }
}

#[tokio::test]
async fn nothing_shows_a_password_or_a_token() {
    let desk = Desk::new("canary-5caf-password");
    std::fs::write(desk.path().join("acme.json"), SELLER.replace("RegionOne", "r")).expect("written");
    let id = "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f";
    let handles = [format!("server/r/{id}"), format!("delete/r/{id}"), format!("server/r/ip-{id}")];
    let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
    let cloud = |http: &HttpConfig| {
        let http = serde_json::to_value(http).expect("JSON");
        desk.cloud("https://unused.example", json!({ "http": http, "floating_network": id }))
    };
    let at_keystone = |http: HttpConfig| Arc::new(cloud(&http)) as Arc<dyn Provider>;
    let at_nova = |http: HttpConfig| {
        let nova = format!("{}/v2.1", http.base_url.clone().expect("an address"));
        let inner = NetworkTransport::new(&http).expect("a transport");
        Arc::new(cloud(&http).with_transport(Arc::new(LoggedIn { inner, nova }))) as Arc<dyn Provider>
    };
    let mut count = peers::canary::check(&["canary-5caf"], &handles, at_keystone).await;
    count += peers::canary::check(&["canary-5caf"], &handles, at_nova).await;
    println!("canary: {count} texts");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let desk = Desk::new("canary-password");
    for (change, why) in [
        (json!({ "regions": ["RegionTwo"] }), "RegionTwo"),
        (json!({ "id": "other" }), "acme"),
        (json!({ "auth": { "password": { "user": "demo", "password": "file:password" } } }), "project"),
        (
            json!({ "auth": { "password": { "user": "demo", "project": "p", "password": "file:missing" } } }),
            "missing",
        ),
        (json!({ "auth_url": "http://keystone.example/v3" }), "https"),
        (json!({ "endpoints": { "compute": "http://nova.example" } }), "https"),
    ] {
        let error =
            desk.config("https://keystone.example/v3", change).build(desk.path()).expect_err(why).to_string();
        assert!(error.contains(why) && !error.contains("canary"), "{error}");
    }
}

/// Sees the token, and can have it withdrawn or replace it by another word.
#[derive(Debug)]
struct Spy {
    inner: NetworkTransport,
    token: Mutex<Option<String>>,
    logins: AtomicUsize,
    spoil: AtomicUsize,
}

#[async_trait]
impl Transport for Spy {
    async fn send(&self, mut request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_login = request.url.path().ends_with("/auth/tokens");
        if let Some(token) = request.headers.get("x-auth-token") {
            *self.token.lock().expect("nobody panics") = Some(token.to_str().expect("text").to_owned());
            let spoil = |left: usize| left.checked_sub(1);
            if self.spoil.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spoil).is_ok() {
                request.headers.insert("x-auth-token", "withdrawn".parse().expect("a value"));
            }
        }
        self.logins.fetch_add(usize::from(is_login), Ordering::SeqCst);
        self.inner.send(request).await
    }
}

async fn a_refused_token_is_renewed(ward: &Ward) {
    let spy = Arc::new(Spy {
        inner: NetworkTransport::new(&HttpConfig::default()).expect("a transport"),
        token: Mutex::default(),
        logins: AtomicUsize::new(0),
        spoil: AtomicUsize::new(0),
    });
    let cloud = ward.desk.cloud(ward.auth_url(), json!({})).with_transport(spy.clone());
    let logins = || spy.logins.load(Ordering::SeqCst);
    let request = request(&cloud, "m1.tiny", "zone-a").await;
    let all = future::join_all((0..5).map(|_| cloud.find_by_key(request_key()))).await;
    assert!(all.iter().all(Result::is_ok) && logins() == 1, "one token for all: {}", logins());
    // In the middle of the order itself: nova refuses the token, and the server is made once.
    let key = key();
    cloud.find_by_key(&key).await.expect("looked up");
    spy.spoil.store(1, Ordering::SeqCst);
    let handle = cloud.provision(&request, &key).await.expect("ordered");
    assert_eq!(logins(), 2);
    let service = made(&cloud, &handle).await;
    assert_eq!(left(&cloud).await.len(), 1);
    spy.spoil.store(1, Ordering::SeqCst);
    end(&cloud, &service).await;
    assert_eq!(logins(), 3);
    // Every token is refused: one more is asked for, then it is told.
    spy.spoil.store(100, Ordering::SeqCst);
    let error = cloud.describe(&service.id).await.expect_err("refused");
    assert_eq!((error.kind, logins()), (ErrorKind::Unauthorised, 4));
    spy.spoil.store(0, Ordering::SeqCst);
    // Withdrawn at keystone, by the token itself. Nova trusts what it has seen for a while; neutron has not seen it.
    let fresh =
        ward.desk.cloud(ward.auth_url(), json!({ "floating_network": "public" })).with_transport(spy.clone());
    let address = self::request(&fresh, "floating", "").await;
    let token = spy.token.lock().expect("nobody panics").clone().expect("a token");
    let tokens = format!("{}/auth/tokens", ward.auth_url());
    let withdrawn = call(Method::DELETE, &tokens, Some(&token), Value::Null).await;
    assert_eq!(withdrawn.status, StatusCode::NO_CONTENT);
    let before = logins();
    let handle = fresh.provision(&address, &IdempotencyKey::of_step(&OrderId::generate(), 1)).await;
    let service = made(&fresh, &handle.expect("ordered with another token")).await;
    assert_eq!(logins(), before + 1);
    end(&fresh, &service).await;
    ward.say("tokens are renewed when they are refused or withdrawn");
}

/// A request beside the adapter's.
async fn call(method: Method, url: &str, token: Option<&str>, body: Value) -> RawResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().expect("a value"));
    for name in token.iter().flat_map(|_| ["x-auth-token", "x-subject-token"]) {
        headers.insert(name, token.unwrap_or_default().parse().expect("a value"));
    }
    let body = (!body.is_null()).then(|| body.to_string().into());
    let request = RawRequest { method, url: url.parse().expect("an address"), headers, body };
    let live = NetworkTransport::new(&HttpConfig::default()).expect("a transport");
    live.send(request).await.expect("answered")
}

async fn an_application_credential_is_enough(ward: &Ward) {
    let tokens = format!("{}/auth/tokens", ward.auth_url());
    let domain = json!({ "name": "Default" });
    let user = json!({ "name": "demo", "domain": domain, "password": ward.peer.get("OS_PASSWORD") });
    let login = json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user": user } },
        "scope": { "project": { "name": "demo", "domain": domain } },
    } });
    let answer = call(Method::POST, &tokens, None, login).await;
    let token = answer.headers["x-subject-token"].to_str().expect("text");
    let json = |answer: &RawResponse| -> Value { serde_json::from_slice(&answer.body).expect("JSON") };
    let user = json(&answer)["token"]["user"]["id"].as_str().expect("an id").to_owned();
    let url = format!("{}/users/{user}/application_credentials", ward.auth_url());
    let name = format!("fulcrum-{}", key());
    let answer =
        call(Method::POST, &url, Some(token), json!({ "application_credential": { "name": name } })).await;
    let made = json(&answer)["application_credential"].clone();
    let text = |field: &str| made[field].as_str().expect("text").to_owned();
    std::fs::write(ward.desk.path().join("application"), text("secret")).expect("written");
    let auth = json!({ "application_credential": { "id": text("id"), "secret": "file:application" } });
    let cloud = ward.cloud(json!({ "auth": auth }));
    let request = request(&*cloud, "m1.tiny", "zone-b").await;
    let handle = cloud.provision(&request, &key()).await.expect("ordered");
    end(&*cloud, &self::made(&*cloud, &handle).await).await;
    // Withdrawn: no more tokens.
    let url = format!("{url}/{}", text("id"));
    assert_eq!(call(Method::DELETE, &url, Some(token), Value::Null).await.status, StatusCode::NO_CONTENT);
    let error = ward.cloud(json!({ "auth": auth })).find_by_key(&key()).await.expect_err("it is withdrawn");
    assert!(matches!(error.kind, ErrorKind::Unauthorised | ErrorKind::NotFound { .. }), "{error:?}");
    ward.say("an application credential is enough");
}

/// Says that nova is as old as can be, and passes all else on.
#[derive(Debug)]
struct Old(NetworkTransport);

#[async_trait]
impl Transport for Old {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_version = request.url.path() == "/v2.1/";
        assert!(request.headers.get("openstack-api-version").is_none_or(|version| version == "compute 2.1"));
        let mut answer = self.0.send(request).await?;
        if is_version {
            answer.body = json!({ "version": { "version": "2.1", "min_version": "2.1" } }).to_string().into();
        }
        Ok(answer)
    }
}

async fn an_old_nova_sells_too(ward: &Ward) {
    let old = Old(NetworkTransport::new(&HttpConfig { keep_alive: false, ..HttpConfig::default() })
        .expect("a transport"));
    let cloud: Arc<dyn Provider> = Arc::new(
        ward.desk
            .cloud(ward.auth_url(), json!({ "network": "auto", "page_size": 1 }))
            .with_transport(Arc::new(old)),
    );
    let cloud = layers::recommended(cloud);
    let request = request(&*cloud, "m1.tiny", "zone-a").await;
    let trial = SuiteConfig::new(Some(request), Duration::from_secs(90));
    let report = check_provider(cloud, trial).await;
    println!("{report}");
    assert!(report.is_passed());
    ward.say("the conformance suite passed for nova 2.1");
}

fn request_key() -> &'static IdempotencyKey {
    static KEY: std::sync::OnceLock<IdempotencyKey> = std::sync::OnceLock::new();
    KEY.get_or_init(key)
}

/// Buys what a blueprint says.
async fn buy(cloud: &Arc<dyn Provider>, blueprint: &str, exclude: &[&str], fail_over: bool) -> Order {
    let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    let all = offers(&**cloud).await;
    builder.extend(all.into_iter().filter(|offer| {
        let zone = offer.place.zone.as_ref().map_or("", |zone| zone.as_str());
        !exclude.contains(&zone)
    }));
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let mut policy = Policy::default()
        .with_step_timeout_s(120)
        .with_compensation_timeout_s(120)
        .with_max_table_age_days(u32::MAX);
    policy.fail_over = fail_over.then(|| Box::new(FailOver::new(blueprint)));
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let providers = BTreeMap::from([(cloud.id().clone(), layers::recommended(cloud.clone()))]);
    let ages = AgeLimits { max_table_age_days: u32::MAX, ..AgeLimits::default() };
    let engine = Engine::new(providers, ledger).with_ages(ages);
    let order = engine.accept(plan.expect("a plan"), policy, None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven")
}

fn services(order: &Order) -> Vec<Service> {
    let service = |step: &fulcrum_core::model::Step| match &step.state {
        StepState::Committed { service } => Some(service.clone().into_inner()),
        _ => None,
    };
    order.steps.iter().filter_map(service).collect()
}

async fn what_fits_nowhere_is_compensated(ward: &Ward) {
    let cloud = ward.cloud(json!({}));
    let blueprint = "{ name: pair, components: { big: { vcpu: 16, memory_mib: 16384 }, tiny: { vcpu: 1, memory_mib: 512 } },
        constraints: [{ conflict: { component: big, with: [tiny] } }] }";
    let order = buy(&cloud, blueprint, &[], false).await;
    assert_eq!(order.state, OrderState::Failed, "{:?}", order.reason);
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("No valid host")), "{:?}", order.reason);
    assert_eq!(left(&*cloud).await, []);
    ward.say("an order of which one part fits nowhere left nothing");
}

async fn a_sold_out_zone_is_replaced(ward: &Ward) {
    let cloud = ward.cloud(json!({}));
    // A host has room for two.
    let medium = request(&*cloud, "m1.medium", "zone-a").await;
    let fill = future::join_all((0..2).map(|_| async {
        let handle = cloud.provision(&medium, &key()).await.expect("ordered");
        made(&*cloud, &handle).await
    }));
    let filled = fill.await;
    let blueprint = "{ name: web, components: { web: { vcpu: 2, memory_mib: 4096 } } }";
    let order = buy(&cloud, blueprint, &["zone-b"], true).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let bought = services(&order);
    let zones: Vec<_> = bought.iter().map(|it| it.place.zone.as_ref().expect("a zone").as_str()).collect();
    assert_eq!((zones, order.rounds.len()), (vec!["zone-b"], 1));
    assert_eq!(left(&*cloud).await.len(), 3, "what failed in the full zone is gone");
    future::join_all(filled.iter().chain(&bought).map(|service| end(&*cloud, service))).await;
    ward.say("a sold-out zone was replaced by the other one");
}

async fn two_drivers_make_one_server(ward: &Ward) {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = ward.cloud(json!({}));
    let blueprint = "{ name: web, components: { web: { vcpu: 1, memory_mib: 512 } } }";
    let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    builder.extend(offers(&*cloud).await);
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let mut engines = Vec::new();
    for _ in 0..2 {
        let ledger = SqliteLedger::open(folder.path().join("orders.db")).await.expect("a ledger");
        // Each with its own tokens, as on two hosts.
        let cloud = ward.cloud(json!({}));
        let providers = BTreeMap::from([(cloud.id().clone(), layers::recommended(cloud))]);
        engines.push(Engine::new(providers, Arc::new(ledger)).with_claim_ttl(Duration::from_secs(2)));
    }
    let policy = Policy::default()
        .with_step_timeout_s(120)
        .with_compensation_timeout_s(120)
        .with_max_table_age_days(u32::MAX);
    let order = engines[0].accept(plan.expect("a plan"), policy, None).await.expect("accepted").id;
    // The first one dies in the middle, the second one takes over.
    let _ = tokio::time::timeout(Duration::from_millis(1500), engines[0].drive(&order)).await;
    let driven = loop {
        match engines[1].drive(&order).await {
            Ok(order) => break order,
            Err(error) => {
                assert!(ward.began.elapsed() < Duration::from_secs(1200), "{error}");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    };
    assert_eq!(driven.state, OrderState::Committed, "{:?}", driven.reason);
    assert_eq!(left(&*cloud).await.len(), 1);
    let by = Operator { who: "test".to_owned(), why: "done".to_owned() };
    let driven = engines[1].release(&order, 0, by).await.expect("released");
    assert_eq!((driven.state, left(&*cloud).await), (OrderState::Ended, vec![]));
    ward.say("two drivers made one server");
}

async fn orders_hold_on_a_network_that_breaks(ward: &Ward) {
    let runs: u64 = peers::runs(12);
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7000);
    // Two machines that do not fit on one; then two of which the second is accepted, and fits nowhere.
    let second = ["vcpu: 1, memory_mib: 2048", "vcpu: 16, memory_mib: 16384"];
    for (name, second, runs) in
        [("openstack", second[0], runs), ("openstack, no room", second[1], runs.div_ceil(4))]
    {
        let Some(faults) = Faults::before(host_of(ward.peer.get("FULCRUM_OS_COMPUTE"))) else { return };
        let http = HttpConfig { keep_alive: false, timeout_ms: 20_000, ..HttpConfig::default() };
        let storm = Stormy::over(Arc::new(NetworkTransport::new(&http).expect("a transport")));
        let compute = format!("http://{}/v2.1", faults.address());
        let broken = ward.desk.cloud(ward.auth_url(), json!({ "endpoints": { "compute": compute } }));
        let blueprint = format!(
            "{{ name: shop, components: {{ web: {{ vcpu: 1, memory_mib: 512 }}, db: {{ {second} }} }}, \
             constraints: [{{ conflict: {{ component: web, with: [db] }} }}] }}"
        );
        let ground = Ground {
            beside: Vec::new(),
            broken: Arc::new(broken.with_transport(storm.clone())),
            direct: ward.cloud(json!({})),
            faults,
            storm,
            blueprint,
            leave_out: &[],
            step_timeout_s: 120,
        };
        let sum = peers::orders::run(name, &ground, runs, seed).await;
        assert!(if name == "openstack" { sum.committed > 0 } else { sum.committed == 0 });
    }
    ward.say("orders under faults");
}
