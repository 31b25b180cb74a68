//! What people change meanwhile is not taken for absence: a zone that is taken out of the configuration, a machine that is given
//! another name and other notes. Nothing is over then, and nothing is bought twice.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{FindingKind, Operator, Order, OrderState, Policy, ServiceId, ServiceStatus, StepState},
    provider::{
        OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::{ec2::Ec2Config, exoscale::ExoscaleConfig, osb::OsbConfig, scaleway::ScalewayConfig},
    },
    purchase::Engine,
};
use futures::TryStreamExt;
use serde_json::json;

use crate::{
    absence::plan,
    exact::request,
    imitation::{self, Api, Imitation},
    peers::server::{Server, Story, answer},
};

struct Bought {
    cloud: Imitation,
    ledger: Arc<dyn Ledger>,
    order: Order,
    service: ServiceId,
    request: ProvisionRequest,
}

fn engine(provider: Arc<dyn Provider>, ledger: &Arc<dyn Ledger>) -> Engine {
    Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger.clone())
}

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "it is as it was again".to_owned() }
}

async fn buy(api: Api) -> Bought {
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = engine(cloud.provider.clone(), &ledger);
    let policy = Policy::default()
        .with_step_timeout_s(30)
        .with_compensation_timeout_s(1)
        .with_max_table_age_days(u32::MAX);
    let id = engine.accept(plan(&api, &*cloud.provider).await, policy, None).await.expect("accepted").id;
    let order = engine.drive(&id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
    let StepState::Committed { service } = order.steps[0].state.clone() else { panic!("{}", api.name) };
    let offers: Vec<_> = cloud.provider.offers(&OfferFilter::default()).try_collect().await.expect("offers");
    let request = ProvisionRequest { size_gib: 0, disk_sku: None, ..request(&offers[0]) };
    Bought { cloud, ledger, order, service: service.id.clone(), request }
}

impl Bought {
    /// By another process: nothing is taken for gone, and nothing is made again.
    async fn is_not_over(&self, at: &str, provider: &Arc<dyn Provider>) {
        let engine = engine(provider.clone(), &self.ledger);
        let seen = engine.reconcile().await.expect("looked");
        assert!(seen.of(FindingKind::Missing).next().is_none(), "{at}: {:?}", seen.findings);
        let cancelled = engine.cancel(&self.order.id).await.expect("driven");
        assert!(!cancelled.state.is_over(), "{at}: {:?} {:?}", cancelled.state, cancelled.reason);
        let world = self.cloud.world();
        assert_eq!((world.things.len(), world.purchases), (1, 1), "{at}: {:?}", world.asked);
    }

    /// When all is as it was, it ends, and all that was bought with it.
    async fn ends(&self, at: &str) {
        let engine = engine(self.cloud.another(), &self.ledger);
        let ended = engine.retry(&self.order.id, by()).await.expect("driven");
        assert_eq!(ended.state, OrderState::Ended, "{at}: {:?}", ended.reason);
        let world = self.cloud.world();
        assert!(world.things.is_empty() && world.parts.is_empty(), "{at}: {:?}", world.asked);
    }
}

fn scaleway_elsewhere(folder: &Path, url: &str) -> Arc<dyn Provider> {
    let document = json!({ "project": "11111111-2222-3333-4444-555555555555", "secret_key": "file:secret", "zones": ["nl-ams-1"],
        "image": "11111111-2222-3333-4444-555555555556", "http": { "base_url": url } });
    Arc::new(imitation::config::<ScalewayConfig>(document).build(folder).expect("an adapter"))
}

/// Its zones are those of the price table.
fn exoscale_elsewhere(folder: &Path, url: &str) -> Arc<dyn Provider> {
    imitation::table(folder, "exoscale", true);
    for (file, from, to) in [("prices.json", r#""id": "r""#, r#""id": "s""#), ("prices.csv", ",r,", ",s,")] {
        let text = std::fs::read_to_string(folder.join(file)).expect("a file");
        std::fs::write(folder.join(file), text.replace(from, to)).expect("a file");
    }
    let document = json!({ "catalogue": "prices.csv", "key": "file:secret", "secret": "file:secret", "list_lag_ms": 100,
        "image": "b6cd1ff5-3a2f-4e9d-a4d1-8988c1191fe8", "http": { "base_url": url } });
    Arc::new(imitation::config::<ExoscaleConfig>(document).build(folder).expect("an adapter"))
}

async fn zone_is_not_empty(api: Api, elsewhere: fn(&Path, &str) -> Arc<dyn Provider>, zone: &str) {
    let at = api.name;
    let bought = buy(api).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
    let provider = elsewhere(folder.path(), &bought.cloud.url());
    let error = provider.describe(&bought.service).await.expect_err(at).to_string();
    assert!(error.contains(zone) && error.contains("`zones`"), "{at}: {error}");
    let released = provider.release(&bought.service, &bought.order.steps[0].key).await;
    released.expect_err("nobody knows what is there");
    bought.is_not_over(at, &provider).await;
    bought.ends(at).await;
}

#[tokio::test]
async fn a_zone_that_is_not_configured_any_more_is_not_empty() {
    // At once: each waits until what the other process may still do is over.
    futures::future::join(
        zone_is_not_empty(imitation::exoscale::API, exoscale_elsewhere, "r"),
        zone_is_not_empty(imitation::scaleway::API, scaleway_elsewhere, "fr-par-1"),
    )
    .await;
}

/// A process died after its call, and before it had written what the call made. Another one has not that zone any more.
async fn lost_call_in_a_zone(api: Api, elsewhere: fn(&Path, &str) -> Arc<dyn Provider>) {
    let at = api.name;
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let policy = Policy::default().with_compensation_timeout_s(1).with_max_table_age_days(u32::MAX);
    let here = engine(cloud.provider.clone(), &ledger);
    let order = here.accept(plan(&api, &*cloud.provider).await, policy, None).await.expect("accepted");
    let offers: Vec<_> = cloud.provider.offers(&OfferFilter::default()).try_collect().await.expect("offers");
    cloud.provider.provision(&request(&offers[0]), &order.steps[0].key).await.expect("made");
    assert_eq!(cloud.world().things.len(), 1, "{at}");

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
    let there = engine(elsewhere(folder.path(), &cloud.url()), &ledger);
    let cancelled = there.cancel(&order.id).await.expect("driven");
    assert!(!cancelled.state.is_over(), "{at}: {:?} {:?}", cancelled.state, cancelled.reason);
    let reason = cancelled.reason.expect("why");
    assert!(reason.contains("is not in the provider's configuration any more"), "{at}: {reason}");

    let back = engine(cloud.another(), &ledger);
    let ended = back.retry(&order.id, by()).await.expect("driven");
    assert!(ended.state.is_over(), "{at}: {:?} {:?}", ended.state, ended.reason);
    assert!(cloud.world().things.is_empty(), "{at}: a machine runs of which nobody knows");
}

#[tokio::test]
async fn a_lost_call_in_a_zone_that_is_not_configured_any_more_is_not_absent() {
    futures::future::join(
        Box::pin(lost_call_in_a_zone(imitation::exoscale::API, exoscale_elsewhere)),
        Box::pin(lost_call_in_a_zone(imitation::scaleway::API, scaleway_elsewhere)),
    )
    .await;
}

#[tokio::test]
async fn a_machine_of_a_cluster_without_its_name_and_notes_is_not_gone() {
    let bought = buy(imitation::proxmox::API).await;
    let (key, id) = (&bought.order.steps[0].key, bought.service.as_str());
    let change = |name: &str, notes: Option<&str>| {
        let mut world = bought.cloud.world();
        let thing = world.things.get_mut(id).expect("it is there");
        name.clone_into(&mut thing.key);
        match notes {
            Some(notes) => thing.notes.insert("description".to_owned(), notes.to_owned()),
            None => thing.notes.remove("description"),
        }
    };
    change("my-shop", Some("mine"));
    let provider = bought.cloud.another();
    let there = provider.describe(&bought.service).await.expect("asked").expect("it is there");
    assert_eq!((there.key, there.status), (None, ServiceStatus::Running));
    let error = provider.find_by_key(key).await.expect_err("nobody knows whose it is").to_string();
    assert!(error.contains(id) && error.contains("notes"), "{error}");
    let error = provider.provision(&bought.request, key).await.expect_err("it may be there").to_string();
    assert!(error.contains(id), "{error}");
    let ending =
        OperationHandle::new(json!({ "end": { "vmid": id.parse::<u64>().ok(), "key": key } }).to_string());
    let polled = provider.poll(&ending).await;
    assert!(!matches!(polled, Ok(OperationStatus::Succeeded(_))), "{polled:?}");
    bought.is_not_over("proxmox", &provider).await;
    // Also without its tag, as a tool of its customer's leaves it: only a number that is free is proof.
    let tags = bought
        .cloud
        .world()
        .things
        .get_mut(id)
        .expect("it is there")
        .notes
        .insert("tags".to_owned(), "prod".to_owned());
    let there = provider.describe(&bought.service).await.expect("asked").expect("it is there");
    assert_eq!((there.key, there.status), (None, ServiceStatus::Running));
    let polled = provider.poll(&ending).await.expect_err("nobody knows whose it is").to_string();
    assert!(polled.contains(id) && polled.contains("notes"), "{polled}");
    bought.is_not_over("proxmox", &provider).await;
    bought
        .cloud
        .world()
        .things
        .get_mut(id)
        .expect("it is there")
        .notes
        .insert("tags".to_owned(), tags.expect("some"));
    // Its name is enough.
    change(key.as_str(), None);
    bought.ends("proxmox").await;
}

#[tokio::test]
async fn a_server_with_another_name_is_not_made_twice() {
    let bought = buy(imitation::hetzner::API).await;
    let (key, id) = (&bought.order.steps[0].key, bought.service.as_str());
    let rename = |name: &str| {
        let mut world = bought.cloud.world();
        world.things.get_mut(id).expect("it is there").notes.insert("name".to_owned(), name.to_owned())
    };
    rename("shop");
    // A process whose ledger went back does not know of it.
    let provider = bought.cloud.another();
    let handle = provider.provision(&bought.request, key).await.expect("it is there");
    let Ok(OperationStatus::Succeeded(Some(service))) = provider.poll(&handle).await else {
        panic!("{handle:?}")
    };
    assert_eq!((service.id.as_str(), bought.cloud.world().purchases), (id, 1));
    let other = ProvisionRequest { sku: "large".parse().expect("a name"), ..bought.request.clone() };
    provider.provision(&other, key).await.expect_err("another one");
    let engine = engine(provider, &bought.ledger);
    let ended = engine.cancel(&bought.order.id).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{:?}", ended.reason);
    assert!(bought.cloud.world().things.is_empty());
}

/// The disk that is priced is the one that is ordered.
#[tokio::test]
async fn a_machine_whose_type_of_disk_cannot_be_told_is_not_offered() {
    let cloud = Imitation::start(imitation::ec2::API).await;
    for (rows, sold) in [
        (vec![("gp3", "0.1")], true),
        (vec![("gp2", "0.05"), ("gp3", "0.1")], true),
        (vec![("volume", "0.1")], true),
        (vec![("volume", "0.1"), ("gp3", "0.2")], false),
        (vec![("volume", "0.1"), ("archive", "0.01")], false),
        (vec![("io2", "0.1")], false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        imitation::table(folder.path(), "ec2", false);
        std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
        let file = folder.path().join("prices.csv");
        let mut prices = std::fs::read_to_string(&file).expect("a file").replace("2048,20,", "2048,,");
        for (sku, price) in &rows {
            prices += &format!("block_storage,{sku},r,,,,,GiB-month,{price},EUR,net,,2026-11-01,test\n");
        }
        std::fs::write(&file, prices).expect("a file");
        let document = json!({ "endpoint": cloud.url(), "access_key": "file:secret", "secret_key": "file:secret",
            "catalogue": "prices.csv", "client_token": "ignored", "image": "ami-1" });
        let config: Ec2Config = imitation::config(document);
        let provider = config.build(folder.path()).expect("an adapter");
        let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect("offers");
        let rejected = provider.rejected();
        // Each machine with its address, and without.
        assert_eq!(offers.len(), if sold { 2 } else { 0 }, "{rows:?}: {rejected:?}");
        let is_named = rejected.iter().any(|row| {
            row.row.contains("small") && row.reason.contains(rows[0].0) || row.reason.contains("archive")
        });
        assert_eq!(is_named, !sold, "{rows:?}: {rejected:?}");
    }
}

/// A broker that tells each instance tells of an end that has succeeded, too. Of another one only DELETE is believed.
#[tokio::test]
async fn an_instance_whose_end_has_succeeded_is_gone_where_instances_are_told_or_after_delete() {
    for (is_told, status) in [(true, None), (false, Some(ServiceStatus::Running))] {
        let plan = json!({ "id": "p", "name": "small" });
        let service = json!({ "id": "s", "name": "pg", "instances_retrievable": is_told, "plans": [plan] });
        let catalog = json!({ "services": [service] }).to_string();
        let story = Story::new(move |request| {
            let (status, body) = match request.split(' ').nth(1).expect("a path") {
                "/v2/catalog" => (200, catalog.as_str()),
                path if path.contains("/last_operation") => (200, r#"{"state": "succeeded"}"#),
                _ => (404, "{}"),
            };
            answer(status, &[("Content-Type", "application/json")], body).into_bytes()
        });
        let server = Server::start(story).await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "secret-0000").expect("a file");
        let seller = json!({ "id": "osb", "name": "H", "legal_name": "H", "country": "DE",
            "regions": [{ "id": "r", "country": "DE" }] });
        std::fs::write(folder.path().join("seller.json"), seller.to_string()).expect("a file");
        let config: OsbConfig = imitation::config(json!({ "provider": "seller.json", "username": "u",
            "password": "file:secret", "http": { "base_url": server.url() } }));
        let provider = config.build(folder.path()).expect("an adapter");
        let found = provider.describe(&"k-1".parse().expect("a name")).await.expect("asked");
        assert_eq!(found.map(|it| it.status), status, "told: {is_told}");
        let ending = OperationHandle::new(r#"{"end":{"instance":"k-1","operation":null}}"#);
        let polled = provider.poll(&ending).await;
        assert!(matches!(polled, Ok(OperationStatus::Succeeded(None))), "{polled:?}");
        let after = provider.describe(&"k-1".parse().expect("a name")).await.expect("asked");
        assert_eq!(after, None, "told: {is_told}");
    }
}
