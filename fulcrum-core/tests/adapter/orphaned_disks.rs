//! What outlives a machine that somebody has ended in the provider's console: the disk that was bought with it is looked for by
//! its key, and ended with the order, unless it hangs on something else by now.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{IdempotencyKey, Operator, OrderState, StepState},
    provider::{ErrorKind, OperationStatus, ProviderError},
};
use futures::future;

use crate::{
    foreign_attachments::{buy, engine, machine},
    imitation::{self, Api, Broken, Imitation, Mode},
};

/// Where a disk is a thing of its own, which stays when its machine is ended by itself.
fn with_disks() -> [Api; 3] {
    [imitation::ec2::API, imitation::scaleway::API, imitation::upcloud::API]
}

/// As a person ends it in the console: where disks go with their machine, without its disk.
fn end_by_hand(cloud: &Imitation, api: &Api) {
    let id = machine(cloud);
    match with_disks().iter().any(|it| it.name == api.name) {
        true => cloud.world().end(&id),
        false => cloud.world().end_with_own(&id),
    }
}

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "it was taken off".to_owned() }
}

async fn ledger() -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))
}

/// Somebody else's machine.
const OTHER: &str = "99999999-2222-3333-4444-555555555556";

async fn is_ended(api: Api, is_lost: bool) {
    let at = format!("{} lost {is_lost}", api.name);
    let (cloud, ledger) = (Imitation::start(api).await, ledger().await);
    if is_lost {
        cloud.set(Mode::LosesPurchase(Broken::Html503));
    }
    let bought = buy(&cloud, &api, &ledger).await;
    let id = machine(&cloud);
    cloud.world().attach(&id, "data-0");
    end_by_hand(&cloud, &api);
    let engine = engine(cloud.another(), &ledger);
    let ended = engine.cancel(&bought.id).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{at}: {:?} {:?}", ended.reason, ended.steps[0].state);
    // What is the customer's is not touched, whatever it hung on.
    let world = cloud.world();
    assert_eq!(world.parts, BTreeMap::from([("data-0".to_owned(), false)]), "{at}: {:?}", world.asked);
}

#[tokio::test]
async fn a_disk_whose_machine_was_ended_by_hand_ends_with_the_order() {
    let all = imitation::ALL.into_iter().flat_map(|api| [is_ended(api, false), is_ended(api, true)]);
    future::join_all(all).await;
}

async fn is_stuck(api: Api) {
    let at = api.name;
    let (cloud, ledger) = (Imitation::start(api).await, ledger().await);
    let bought = buy(&cloud, &api, &ledger).await;
    end_by_hand(&cloud, &api);
    let part = cloud.world().parts.keys().next().expect("a disk").clone();
    cloud.world().held_by.insert(part.clone(), OTHER.to_owned());
    let engine = engine(cloud.another(), &ledger);
    let cancelled = engine.cancel(&bought.id).await.expect("driven");
    assert_eq!(cancelled.state, OrderState::Stuck, "{at}: {:?}", cloud.world().asked);
    let StepState::Stuck { reason, .. } = &cancelled.steps[0].state else { panic!("{at}: {cancelled:?}") };
    for word in [part.as_str(), OTHER, "did not make"] {
        assert!(reason.contains(word), "{at}: {word}: {reason}");
    }
    assert!(cloud.world().parts.contains_key(&part), "{at}: it was ended");
    cloud.world().held_by.clear();
    let ended = engine.retry(&bought.id, by()).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{at}: {:?}", ended.reason);
    assert!(cloud.world().parts.is_empty(), "{at}: {:?}", cloud.world().asked);
}

#[tokio::test]
async fn a_disk_that_hangs_on_something_else_by_now_makes_its_step_stuck_with_its_name() {
    future::join_all(with_disks().map(is_stuck)).await;
}

/// The machine is gone, and its disk is about to be ended: then it is hung on another one.
async fn is_spared_meanwhile(api: Api) {
    let at = api.name;
    let (cloud, ledger) = (Imitation::start(api).await, ledger().await);
    let bought = buy(&cloud, &api, &ledger).await;
    let StepState::Committed { service } = &bought.steps[0].state else { panic!("{at}") };
    let provider = cloud.another();
    let key = IdempotencyKey::new(format!("{}-r", bought.steps[0].key)).expect("a key");
    let ending = provider.release(&service.id, &key).await.expect(at);
    let id = machine(&cloud);
    cloud.world().end(&id);
    let part = cloud.world().parts.keys().next().expect("a disk").clone();
    cloud.world().held_by.insert(part.clone(), OTHER.to_owned());
    match provider.poll(&ending).await {
        Err(ProviderError { kind: ErrorKind::Conflict { message }, .. }) => {
            assert!(message.contains(&part) && message.contains(OTHER), "{at}: {message}");
        }
        other => panic!("{at}: {other:?}"),
    }
    assert!(cloud.world().parts.contains_key(&part), "{at}");
    cloud.world().held_by.clear();
    let done = provider.poll(&ending).await.expect(at);
    assert!(matches!(done, OperationStatus::Succeeded(None)), "{at}: {done:?}");
    assert!(cloud.world().parts.is_empty(), "{at}");
}

#[tokio::test]
async fn a_disk_that_is_hung_on_something_else_during_a_release_is_spared() {
    future::join_all([imitation::scaleway::API, imitation::upcloud::API].map(is_spared_meanwhile)).await;
}

/// Lists of machines may lag: their disks are listed already, and name them.
async fn is_no_remainder(api: Api) {
    let at = api.name;
    let (cloud, ledger) = (Imitation::start(api).await, ledger().await);
    let bought = buy(&cloud, &api, &ledger).await;
    let key = &bought.steps[0].key;
    cloud.world().hides = true;
    let found = cloud.another().find_by_key(key).await.expect(at).expect(at);
    let StepState::Committed { service } = &bought.steps[0].state else { panic!("{at}") };
    assert_eq!((found.id, &found.sku), (service.id.clone(), &service.sku), "{at}");
}

#[tokio::test]
async fn a_disk_whose_machine_is_there_is_no_remainder() {
    future::join_all(with_disks().map(is_no_remainder)).await;
}

/// A disk without our key, of whatever name, is a stranger's.
#[tokio::test]
async fn a_disk_without_a_key_is_never_ended() {
    let all = [("r/", "vol-0123456789abcdef0"), ("fr-par-1/volume/", OTHER), ("disk/", OTHER)];
    for (api, (name, part)) in with_disks().into_iter().zip(all) {
        let cloud = Imitation::start(api).await;
        let part = part.to_owned();
        cloud.world().parts.insert(part.clone(), false);
        let service = format!("{name}{part}").parse().expect("a name");
        let key = IdempotencyKey::new("some-key").expect("a key");
        let refused = cloud.provider.release(&service, &key).await.expect_err(api.name);
        assert!(matches!(refused.kind, ErrorKind::Forbidden), "{}: {refused}", api.name);
        let told = cloud.provider.describe(&service).await.expect(api.name).expect(api.name);
        assert_eq!(told.key, None, "{}", api.name);
        assert!(cloud.world().parts.contains_key(&part), "{}", api.name);
    }
}
