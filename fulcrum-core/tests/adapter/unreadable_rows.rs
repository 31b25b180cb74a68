//! One odd row in a provider's list is left out by itself, and named; and it never proves that something does not exist.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    catalogue::{IngestOptions, Rates, SourceReport, ingest},
    ledger::{Ledger, SqliteLedger},
    model::{IdempotencyKey, OrderState, Policy, StepState},
    provider::{
        Call, OfferFilter, Provider, ProvisionRequest,
        adapters::{openstack::OpenStackConfig, proxmox::ProxmoxConfig},
        layers,
    },
    purchase::Engine,
};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::{
    absence::plan,
    imitation::{self, Api, Broken, Imitation, Mode},
};

/// What no list should have, and some have.
fn odd_rows() -> Vec<Value> {
    let mut rows = vec![json!(null), json!(7), json!("text"), json!([]), json!({}), json!([{ "name": "x" }])];
    let fields = [
        "name", "id", "memory", "disk", "cores", "cpus", "vcpus", "ram", "maxmem", "vmid", "plans", "prices",
        "metadata",
    ];
    for field in fields {
        for value in [json!(null), json!("odd"), json!(1.5e30), json!([7]), json!({ "x": 1 }), json!(true)] {
            rows.push(json!({ "name": "odd", "id": "odd", "type": "qemu", (field): value }));
        }
    }
    rows
}

async fn offers_of(api: Api) {
    let cloud = Imitation::start(api).await;
    let names = |offers: Vec<fulcrum_core::model::Offer>| -> Vec<_> {
        offers.into_iter().map(|offer| (offer.sku, offer.place, offer.price)).collect()
    };
    let all = || async { cloud.provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await };
    let before = names(all().await.expect(api.name));
    assert!(!before.is_empty() && cloud.provider.rejected().is_empty(), "{}", api.name);
    cloud.world().odd = odd_rows();
    // Another process, which keeps no answer from before.
    let provider = cloud.another();
    let after = provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await;
    let rejected = provider.rejected();
    assert_eq!(names(after.expect(api.name)), before, "{}: {rejected:?}", api.name);
    assert!(!rejected.is_empty(), "{}: nothing is named", api.name);
    assert!(rejected.iter().all(|row| !row.row.is_empty() && !row.reason.is_empty()), "{rejected:?}");
    // The next list is well again, and names nothing.
    cloud.world().odd.clear();
    all().await.expect(api.name);
}

/// Somebody else's, of which not all can be read.
fn stranger(key: Option<&str>) -> Value {
    let labels = key.map_or(json!({}), |key| json!({ "fulcrum-key": key }));
    let tags = key.map_or(json!([]), |key| json!([format!("fulcrum-key={key}")]));
    let list: Vec<_> = key.into_iter().map(|key| json!({ "key": "fulcrum-key", "value": key })).collect();
    let mut row = json!({ "id": [1], "uuid": [1], "name": key.unwrap_or("stranger"), "state": null, "tags": tags, "metadata": labels.clone(),
        "labels": labels });
    if key.is_none() {
        return row;
    }
    // UpCloud's labels stand in a list.
    row["labels"]["label"] = json!(list);
    row
}

async fn services_of(api: Api) {
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider.clone())]), ledger);
    let policy = Policy::default().with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan(&api, &*provider).await, policy, None).await.expect("accepted").id;
    let bought = engine.drive(&order).await.expect("driven");
    assert_eq!(bought.state, OrderState::Committed, "{}: {:?}", api.name, bought.reason);
    let StepState::Committed { service } = &bought.steps[0].state else { panic!("{}", api.name) };
    let key = &bought.steps[0].key;
    let other = IdempotencyKey::new(format!("{key}x")).expect("a key");
    let is_upcloud = api.name == "upcloud";
    let foreign = if is_upcloud {
        json!({ "uuid": [1], "labels": { "label": [{ "key": "other", "value": "x" }] } })
    } else {
        stranger(None)
    };
    cloud.world().odd = vec![foreign];
    let provider = cloud.another();
    let found = provider.find_by_key(key).await.expect(api.name).expect(api.name);
    assert_eq!(found.id, service.id, "{}", api.name);
    // A product that cannot be read may be one whose instances the broker does not tell.
    if api.name != "osb" {
        assert_eq!(provider.find_by_key(&other).await.expect(api.name), None, "{}", api.name);
    }
    if provider.capabilities().can(Call::Services) {
        let listed: Vec<_> = provider.services().try_collect().await.expect(api.name);
        assert_eq!(listed.len(), 1, "{}", api.name);
    }
    // One that may be ours: from a list in which it stands nothing follows. EC2's is shown by its own test, a cluster is asked
    // for each number.
    if !matches!(api.name, "ec2" | "osb" | "proxmox") {
        cloud.world().odd = vec![stranger(Some(other.as_str()))];
        assert!(provider.find_by_key(&other).await.is_err(), "{}", api.name);
        let listed = provider.services().try_collect::<Vec<_>>().await;
        let error = listed.expect_err(api.name).to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
}

#[tokio::test]
async fn offers_are_told_without_the_odd_rows_at_every_adapter() {
    for api in imitation::ALL {
        offers_of(api).await;
    }
}

/// A known product in a known place, at a price that is none: it is left out alone.
/// A row may repeat the credential that it was asked with, and hold marks that turn a line.
#[tokio::test]
async fn a_row_that_is_left_out_is_named_without_a_credential_at_every_adapter() {
    const EVIL: &str = "odd\u{1b}[2J\u{202e}secret-0000\u{2066}";
    let mut told = 0;
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        cloud.world().odd = vec![
            json!({ "name": EVIL, "id": EVIL, "type": EVIL, "cores": EVIL, "slug": EVIL }),
            json!({ EVIL: EVIL }),
            json!("secret-0000"),
        ];
        let provider = layers::Redact::new(cloud.provider.clone());
        let _offers: Vec<_> = provider.offers(&OfferFilter::default()).collect().await;
        for row in provider.rejected() {
            told += 1;
            let text = format!("{} {}", row.row, row.reason);
            assert!(
                !text.contains("secret-00") && !text.contains(['\u{1b}', '\u{202e}', '\u{2066}']),
                "{text:?}"
            );
        }
    }
    assert!(told > 12, "{told}");
}

#[tokio::test]
async fn an_odd_price_costs_its_own_product_only() {
    let cloud = Imitation::start(imitation::upcloud::API).await;
    let price = |amount: Value, price: Value| json!({ "amount": amount, "price": price });
    let numbers = [json!(0), json!(1e-30), json!(1e30), json!(-1), json!(null), json!("7")];
    let mut odd: Vec<_> = numbers.iter().map(|it| price(it.clone(), json!(1))).collect();
    odd.extend(numbers[2..].iter().map(|it| price(json!(1), it.clone())));
    let count = odd.len();
    cloud.world().odd_prices = odd;
    let offers: Vec<_> =
        cloud.provider.offers(&OfferFilter::default()).try_collect().await.expect("the others are told");
    let names: Vec<_> = offers.iter().map(|offer| offer.sku.as_str()).collect();
    let rejected = cloud.provider.rejected();
    assert_eq!(names, ["small"], "{rejected:?}");
    for at in 0..count {
        let name = format!("odd-{at}");
        let told = rejected.iter().filter(|row| row.row.ends_with(&name)).count();
        assert_eq!(told, 1, "{name}: {rejected:?}");
    }
}

#[tokio::test]
async fn services_are_found_beside_odd_rows_which_prove_nothing_at_every_adapter() {
    for api in imitation::ALL {
        services_of(api).await;
    }
}

async fn report(cloud: &Imitation) -> SourceReport {
    let provider = cloud.another();
    let id = provider.id().clone();
    let options = IngestOptions::new(jiff::Timestamp::now(), Rates::none());
    let catalogue = ingest(&[provider], None, options).await;
    catalogue.source(&id).expect("it was asked").clone()
}

/// A line of a cluster that says too little to be counted with: what its report names.
#[tokio::test]
async fn a_line_of_a_cluster_that_cannot_be_counted_with_is_told_by_its_report() {
    let cloud = Imitation::start(imitation::proxmox::API).await;
    assert_eq!(report(&cloud).await.rejected_count, 0);
    let odd = [
        (json!({ "type": "node", "id": "node/a", "status": "online", "maxmem": 7 }), "a node without a name"),
        (
            json!({ "type": "node", "id": "node/b", "node": "b", "status": "online" }),
            "b is online without a memory",
        ),
        (
            json!({ "type": "node", "id": "node/c", "node": "c", "status": "online", "maxmem": null }),
            "c is online",
        ),
        (
            json!({ "type": "qemu", "id": "qemu/1", "node": "pve1", "maxmem": 7 }),
            "a machine without a number",
        ),
        (json!({ "type": "lxc", "id": "lxc/2", "vmid": 2, "maxmem": 7 }), "the machine 2 is on no node"),
        (json!({ "type": "qemu", "id": "qemu/3", "vmid": 3, "node": "pve1", "maxmem": "much" }), "maxmem"),
    ];
    cloud.world().odd = odd.iter().map(|(row, _)| row.clone()).collect();
    let report = report(&cloud).await;
    assert_eq!((report.rejected_count, report.offers), (odd.len(), 1), "{report:?}");
    for ((row, why), told) in odd.iter().zip(&report.rejected) {
        assert_eq!(json!(told.row), row["id"], "{told:?}");
        assert!(told.reason.contains(why), "{why}: {told:?}");
    }
    // Offline, it has none.
    cloud.world().odd = vec![json!({ "type": "node", "id": "node/d", "node": "d", "status": "offline" })];
    assert_eq!(self::report(&cloud).await.rejected_count, 0);
}

/// A line at a number of ours may be a service: without it the list is not whole.
#[tokio::test]
async fn a_line_of_a_cluster_that_may_be_ours_makes_its_list_of_services_an_error() {
    let cloud = Imitation::start(imitation::proxmox::API).await;
    let ours = |vmid: Value| json!({ "type": "qemu", "id": "qemu/x", "vmid": vmid, "node": "pve1", "maxmem": "much" });
    for (row, is_error) in [
        (ours(json!(100_000_007)), true),
        (ours(json!("odd")), true),
        (ours(json!(101)), false),
        (json!({ "type": "storage", "id": "s", "vmid": "odd" }), false),
    ] {
        cloud.world().odd = vec![row.clone()];
        let listed = cloud.another().services().try_collect::<Vec<_>>().await;
        assert_eq!(listed.is_err(), is_error, "{row}: {listed:?}");
    }
}

/// A page for people, in whatever clothes, is said to be one: not a document that lacks a field.
#[tokio::test]
async fn another_document_is_told_as_one_at_every_adapter() {
    // OpenStack asks for a token first, and says that there is none.
    for api in imitation::ALL.into_iter().filter(|api| api.name != "openstack") {
        for broken in [Broken::Html200, Broken::Page200] {
            let cloud = Imitation::start(api).await;
            cloud.set(Mode::Broken(broken));
            let asked = cloud.another().find_by_key(&IdempotencyKey::new("key").expect("a key")).await;
            let words = asked.expect_err(api.name).to_string();
            assert!(
                words.contains("the response is not the API's document"),
                "{} {broken:?}: {words}",
                api.name
            );
        }
    }
}

#[tokio::test]
async fn nova_is_found_where_its_address_has_no_version() {
    let cloud = Imitation::start(imitation::openstack::API).await;
    for path in ["/compute", "/compute/", "/compute/v2.1", "/compute/v2.1/"] {
        let folder = tempfile::tempdir().expect("a folder");
        imitation::table(folder.path(), "openstack", false);
        std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
        let url = cloud.url();
        let config: OpenStackConfig =
            imitation::config(json!({ "auth_url": format!("{url}/v3"), "catalogue": "prices.csv",
            "auth": { "password": { "user": "u", "project": "p", "password": "file:secret" } },
            "endpoints": { "compute": format!("{url}{path}") } }));
        let provider = config.build(folder.path()).expect("an adapter");
        let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect(path);
        assert_eq!(offers.len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_handle_of_proxmox_does_not_hold_what_is_not_used_later() {
    let cloud = Imitation::start(imitation::proxmox::API).await;
    let folder = tempfile::tempdir().expect("a folder");
    imitation::table(folder.path(), "proxmox", false);
    std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
    let config: ProxmoxConfig = imitation::config(
        json!({ "id": "proxmox", "catalogue": "prices.csv", "nodes": { "r": ["pve1"] },
        "image": "debian-13", "token_id": "a@pve!b", "token": "file:secret", "http": { "base_url": cloud.url() } }),
    );
    let provider = config.build(folder.path()).expect("an adapter");
    let offer =
        provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.expect("offers").remove(0);
    let request = |settings: Value| -> ProvisionRequest {
        serde_json::from_value(
            json!({ "sku": offer.sku, "kind": offer.kind, "place": *offer.place, "size_gib": 0, "name": "web",
            "settings": settings }),
        )
        .expect("a request")
    };
    let key = |at: u32| IdempotencyKey::new(format!("k-{at}")).expect("a key");
    // Too long for a handle: refused before anything is made.
    let long = provider.provision(&request(json!({ "ssh_key": "k".repeat(20_000) })), &key(1)).await;
    assert!(long.expect_err("too long").to_string().contains("ssh_key"));
    assert_eq!(cloud.world().purchases, 0);
    let handle = provider
        .provision(&request(json!({ "image": "debian-13", "user": "me" })), &key(2))
        .await
        .expect("begun");
    assert!(
        handle.as_str().contains("\"me\"") && !handle.as_str().contains("debian-13"),
        "{}",
        handle.as_str()
    );
}
