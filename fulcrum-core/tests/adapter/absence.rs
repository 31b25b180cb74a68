//! What is not the API's own word proves nothing: at every adapter, after a purchase and in the middle of one whose outcome is
//! unknown, each request is answered by each of many pages and documents that are none of the API.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{Blueprint, FindingKind, IdempotencyKey, Operator, OrderState, Plan, Policy, Service, StepState},
    provider::{Call, OperationHandle, OperationStatus, Provider},
    purchase::Engine,
};
use futures::{StreamExt, future};

use crate::imitation::{self, Api, Broken, EVERY, Imitation, Mode};
use crate::peers::orders::offers;

pub(crate) async fn plan(api: &Api, provider: &dyn Provider) -> Plan {
    let offers = offers(provider).await;
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    builder.extend(offers);
    let blueprint = Blueprint::from_yaml(api.blueprint).expect("a blueprint");
    compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect(api.name)
}

/// An engine without layers, so that each request is one.
async fn engine(cloud: &Imitation) -> Engine {
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger)
}

fn policy(step_timeout_s: u32) -> Policy {
    Policy::default()
        .with_step_timeout_s(step_timeout_s)
        .with_compensation_timeout_s(1)
        .with_max_table_age_days(u32::MAX)
}

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "the cloud is well again".to_owned() }
}

/// Nothing that is asked about a service is answered as if it were gone.
async fn is_not_absent(at: &str, provider: &dyn Provider, service: &Service, ending: &OperationHandle) {
    let key = service.key.as_ref().expect("a key");
    let other = IdempotencyKey::new(format!("{key}-r")).expect("a key");
    let described = provider.describe(&service.id).await;
    assert!(!matches!(described, Ok(None)), "{at}: describe says that it is gone");
    let found = provider.find_by_key(key).await;
    assert!(!matches!(found, Ok(None)), "{at}: find_by_key says that it is gone");
    if provider.capabilities().can(Call::Services) {
        let listed: Vec<_> = provider.services().collect().await;
        let is_whole = listed.iter().all(Result::is_ok);
        let has_it = listed.iter().flatten().any(|it| it.id == service.id);
        assert!(!is_whole || has_it, "{at}: services says that it is gone");
    }
    let mut handles = vec![ending.clone()];
    handles.extend(provider.release(&service.id, &other).await.ok());
    for handle in handles {
        for _ in 0..3 {
            let status = provider.poll(&handle).await;
            let is_done = matches!(status, Ok(OperationStatus::Succeeded(_)));
            assert!(!is_done, "{at}: {} is done: {status:?}", handle.as_str());
        }
    }
}

/// Nothing costs money any more, whatever it hung on.
fn is_all_gone(cloud: &Imitation, at: &str) {
    let world = cloud.world();
    assert!(world.things.is_empty() && world.parts.is_empty(), "{at}: {:?} {:?}", world.parts, world.asked);
}

/// After a purchase.
async fn bought_and_then(api: Api, broken: Broken) {
    let at = format!("{} {broken:?}", api.name);
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud).await;
    let plan = plan(&api, &*cloud.provider).await;
    let order = engine.accept(plan, policy(30), None).await.expect("accepted").id;
    let bought = engine.drive(&order).await.expect("driven");
    assert_eq!(bought.state, OrderState::Committed, "{at}: {:?}", bought.reason);
    let StepState::Committed { service } = bought.steps[0].state.clone() else { panic!("{at}") };
    // It does not go at once: what is asked to end is still there.
    cloud.world().keeps = true;
    let other = IdempotencyKey::new(format!("{}-x", bought.steps[0].key)).expect("a key");
    let ending = cloud.provider.release(&service.id, &other).await.expect(&at);
    cloud.set(Mode::Broken(broken));
    is_not_absent(&at, &*cloud.provider, &service, &ending).await;
    let seen = engine.reconcile().await.expect("looked");
    assert!(seen.of(FindingKind::Missing).next().is_none(), "{at}: {:?}", seen.findings);
    let cancelled = engine.cancel(&order).await.expect("driven");
    assert!(!cancelled.state.is_over(), "{at}: {:?} {:?}", cancelled.state, cancelled.reason);
    {
        let world = cloud.world();
        assert_eq!((world.things.len(), world.purchases), (1, 1), "{at}: {:?}", world.asked);
    }
    // When the cloud is well again, it ends.
    cloud.set(Mode::Well);
    cloud.world().keeps = false;
    let ended = engine.retry(&order, by()).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{at}: {:?}", ended.reason);
    is_all_gone(&cloud, &at);
}

/// In the middle of a purchase, which has its effect, and whose answer is such a page, too.
async fn bought_in_the_dark(api: Api, broken: Broken) {
    let at = format!("{} {broken:?}", api.name);
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud).await;
    let plan = plan(&api, &*cloud.provider).await;
    let order = engine.accept(plan, policy(2), None).await.expect("accepted").id;
    cloud.set(Mode::BrokenFromPurchase(broken));
    let driven = engine.drive(&order).await.expect("driven");
    {
        let world = cloud.world();
        assert_eq!(world.purchases, 1, "{at}: it was asked for again: {:?}", world.asked);
        assert_eq!(world.things.len(), 1, "{at}");
    }
    assert!(!driven.state.is_over(), "{at}: {:?} {:?}", driven.state, driven.reason);
    assert_ne!(driven.state, OrderState::Committed, "{at}: nobody can know that it is there");
    cloud.set(Mode::Well);
    let ended = engine.retry(&order, by()).await.expect("driven");
    assert_eq!(ended.state, OrderState::Failed, "{at}: {:?}", ended.reason);
    is_all_gone(&cloud, &at);
}

async fn all(api: Api) {
    let began = std::time::Instant::now();
    let each = EVERY.into_iter().map(|broken| async move {
        future::join(bought_and_then(api, broken), bought_in_the_dark(api, broken)).await;
    });
    future::join_all(each).await;
    println!(
        "{}: {} answers that prove nothing, {:.1} s",
        api.name,
        EVERY.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(began.elapsed() < Duration::from_secs(300));
}

macro_rules! at {
    ($($name:ident: $api:expr,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                all($api).await;
            }
        )*
    };
}

at! {
    at_ec2: imitation::ec2::API,
    at_exoscale: imitation::exoscale::API,
    at_hetzner: imitation::hetzner::API,
    at_openstack: imitation::openstack::API,
    at_osb: imitation::osb::API,
    at_osb_untold: imitation::UNTOLD,
    at_proxmox: imitation::proxmox::API,
    at_scaleway: imitation::scaleway::API,
    at_upcloud: imitation::upcloud::API,
}
