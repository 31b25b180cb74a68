//! A release ends what the purchase made and nothing that was attached later: at every adapter, by a process that knows the
//! ledger alone, and also where the answer to the purchase was lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{IdempotencyKey, Operator, Order, OrderState, Policy, StepState},
    provider::{ErrorKind, OperationStatus, Provider, ProviderError},
    purchase::Engine,
};
use futures::future;
use serde_json::json;

use crate::{
    absence::plan,
    imitation::{self, Api, Broken, Imitation, Mode, Reply, json, text},
};

pub(crate) fn engine(provider: Arc<dyn Provider>, ledger: &Arc<dyn Ledger>) -> Engine {
    Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger.clone())
}

pub(crate) async fn buy(cloud: &Imitation, api: &Api, ledger: &Arc<dyn Ledger>) -> Order {
    let engine = engine(cloud.provider.clone(), ledger);
    let policy = Policy::default()
        .with_step_timeout_s(30)
        .with_compensation_timeout_s(1)
        .with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan(api, &*cloud.provider).await, policy, None).await.expect("accepted").id;
    let bought = engine.drive(&order).await.expect("driven");
    assert_eq!(bought.state, OrderState::Committed, "{}: {:?}", api.name, bought.reason);
    bought
}

pub(crate) fn machine(cloud: &Imitation) -> String {
    cloud.world().things.keys().next().expect("it is there").clone()
}

/// Attached by the customer, in the provider's own console.
async fn is_spared(api: Api, part: &str, is_lost: bool) {
    let at = format!("{} {part} lost {is_lost}", api.name);
    let cloud = Imitation::start(api).await;
    if is_lost {
        cloud.set(Mode::LosesPurchase(Broken::Html503));
    }
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let bought = buy(&cloud, &api, &ledger).await;
    let id = machine(&cloud);
    cloud.world().attach(&id, part);
    // Another process, which has never seen the answer to the purchase.
    let engine = engine(cloud.another(), &ledger);
    let cancelled = engine.cancel(&bought.id).await.expect("driven");
    assert_eq!(cloud.world().parts.get(part), Some(&false), "{at}: {:?}", cloud.world().asked);
    if api.name == "osb" {
        // A broker tells of nothing that hangs on an instance.
        assert_eq!(cancelled.state, OrderState::Ended, "{at}: {:?}", cancelled.reason);
        return;
    }
    assert_eq!(cancelled.state, OrderState::Stuck, "{at}: {:?}", cloud.world().asked);
    let StepState::Stuck { reason, .. } = &cancelled.steps[0].state else { panic!("{at}: {cancelled:?}") };
    assert!(reason.contains(part) && reason.contains("did not make"), "{at}: {reason}");
    assert!(cloud.world().things[&id].parts.contains_key(part), "{at}: nothing was ended");
    // The customer takes it off: now it ends, and all that was bought with it.
    cloud.world().detach(part);
    let by = Operator { who: "test".to_owned(), why: "it was taken off".to_owned() };
    let ended = engine.retry(&bought.id, by).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{at}: {:?}", ended.reason);
    let world = cloud.world();
    assert!(world.things.is_empty(), "{at}");
    assert_eq!(world.parts, BTreeMap::from([(part.to_owned(), false)]), "{at}: {:?}", world.asked);
}

/// A key that may not list what is attached proves nothing.
#[tokio::test]
async fn what_a_key_may_not_see_is_not_absent() {
    let api = imitation::exoscale::API;
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let bought = buy(&cloud, &api, &ledger).await;
    let id = machine(&cloud);
    cloud.world().attach(&id, "data-0");
    cloud.world().forbids_parts = true;
    let cancelled = engine(cloud.another(), &ledger).cancel(&bought.id).await.expect("driven");
    assert_eq!(cancelled.state, OrderState::Stuck, "{:?}", cloud.world().asked);
    assert_eq!(cloud.world().things.len(), 1, "nothing was ended");
    cloud.world().forbids_parts = false;
    cloud.world().detach("data-0");
    let by = Operator { who: "test".to_owned(), why: "the key may list volumes now".to_owned() };
    let ended = engine(cloud.another(), &ledger).retry(&bought.id, by).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{:?}", ended.reason);
}

/// Attached while the release is under way.
async fn is_spared_meanwhile(api: Api, part: &str) {
    let at = format!("{} {part} meanwhile", api.name);
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let bought = buy(&cloud, &api, &ledger).await;
    let StepState::Committed { service } = &bought.steps[0].state else { panic!("{at}") };
    let (id, provider) = (machine(&cloud), cloud.another());
    let key = IdempotencyKey::new(format!("{}-r", bought.steps[0].key)).expect("a key");
    let ending = provider.release(&service.id, &key).await.expect(&at);
    let is_there = cloud.world().things.contains_key(&id);
    if !is_there {
        // It has ended at once.
        return;
    }
    cloud.world().attach(&id, part);
    for _ in 0..6 {
        match provider.poll(&ending).await {
            Ok(OperationStatus::Running { .. }) => {}
            Err(ProviderError { kind: ErrorKind::Conflict { message }, .. }) => {
                assert!(message.contains(part), "{at}: {message}");
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    let world = cloud.world();
    assert_eq!(world.parts.get(part), Some(&false), "{at}: {:?}", world.asked);
    assert!(world.things.contains_key(&id), "{at}: {:?}", world.asked);
}

/// What is said of a disk that outlives its machine, by the API or by what is in front of it, ends no order: only the release
/// that is under way knows of the disk.
async fn disk_is_not_forgotten(api: Api, reply: Reply) {
    let at = format!("{} {reply:?}", api.name);
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    let policy = Policy::default()
        .with_step_timeout_s(30)
        .with_compensation_timeout_s(60)
        .with_max_table_age_days(u32::MAX);
    let order = {
        let engine = engine(provider, &ledger);
        let order =
            engine.accept(plan(&api, &*cloud.provider).await, policy, None).await.expect("accepted").id;
        let bought = engine.drive(&order).await.expect("driven");
        assert_eq!(bought.state, OrderState::Committed, "{at}: {:?}", bought.reason);
        order
    };
    cloud.world().keeps_disks = Some(reply);
    let engine = engine(cloud.another(), &ledger);
    let is_asked = || {
        let world = cloud.world();
        let ends = |ask: &&String| {
            ask.starts_with("DELETE") && (ask.contains("/volumes/") || ask.contains("/storage/"))
        };
        assert!(!world.parts.is_empty(), "{at}: {:?}", world.asked);
        world.asked.iter().filter(ends).count() > 1
    };
    let gets_well = async {
        while !is_asked() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cloud.world().keeps_disks = None;
    };
    let gets_well = tokio::time::timeout(Duration::from_secs(30), gets_well);
    let (ended, is_well) = future::join(engine.cancel(&order), gets_well).await;
    let (ended, world) = (ended.expect("driven"), cloud.world());
    assert!(is_well.is_ok(), "{at}: the disk is forgotten: {:?} {:?}", ended.state, world.asked);
    assert_eq!(ended.state, OrderState::Ended, "{at}: {:?}", ended.reason);
    assert!(world.things.is_empty() && world.parts.is_empty(), "{at}: {:?}", world.asked);
}

#[tokio::test]
async fn a_disk_that_is_not_ended_yet_is_not_forgotten() {
    let no = "no such thing can be done to it";
    let of_scaleway = |status, kind| json(status, &json!({ "type": kind, "message": no }));
    let of_upcloud =
        |status, code| json(status, &json!({ "error": { "error_code": code, "error_message": no } }));
    let strangers =
        || [text(400, "no"), text(403, "no"), text(404, "no"), text(501, "no"), json(400, &json!({}))];
    let scaleway = strangers().into_iter().chain([
        of_scaleway(400, "invalid_arguments"),
        of_scaleway(501, "not_implemented"),
        of_scaleway(403, "permissions_denied"),
        of_scaleway(409, "resource_still_in_use"),
    ]);
    let upcloud = strangers().into_iter().chain([
        of_upcloud(400, "STORAGE_INVALID"),
        of_upcloud(404, "HOST_NOT_FOUND_HERE"),
        of_upcloud(403, "STORAGE_FORBIDDEN"),
        of_upcloud(409, "STORAGE_STATE_ILLEGAL"),
    ]);
    let all = scaleway
        .map(|it| (imitation::scaleway::API, it))
        .chain(upcloud.map(|it| (imitation::upcloud::API, it)));
    future::join_all(all.map(|(api, reply)| disk_is_not_forgotten(api, reply))).await;
}

async fn all(api: Api, parts: &[&str]) {
    // At once: each waits until what the other process may still do is over.
    future::join_all(parts.iter().map(|part| async move {
        let (by_one, by_another) = (is_spared(api, part, false), is_spared(api, part, true));
        future::join3(Box::pin(by_one), Box::pin(by_another), is_spared_meanwhile(api, part)).await
    }))
    .await;
}

macro_rules! at {
    ($($name:ident: $api:expr, $parts:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                all($api, &$parts).await;
            }
        )*
    };
}

at! {
    at_ec2: imitation::ec2::API, ["vol-0data"];
    at_exoscale: imitation::exoscale::API, ["data-0"];
    at_hetzner: imitation::hetzner::API, ["4711", "backups"];
    at_openstack: imitation::openstack::API, ["data-0"];
    at_osb: imitation::osb::API, ["data-0"];
    at_proxmox: imitation::proxmox::API, ["vm-1-disk-7", "a-disk-of-the-customer"];
    at_scaleway: imitation::scaleway::API, ["data-0"];
    at_upcloud: imitation::upcloud::API, ["data-0"];
}
