//! One bad order, provider or host harms nobody else.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{
        Blueprint, Operator, Order, OrderEventKind, OrderId, OrderState, Plan, Policy, ProviderId, StepState,
    },
    provider::{
        Call, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};
use rust_decimal::Decimal;

use crate::support::{catalogue, cloud, clouds, count, duo, duo_plan, plan, providers, retotal};

const KEY: IdempotencyClass = IdempotencyClass::Key;

/// Longer than all here takes, unless somebody waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

fn rule(call: Call, fault: Fault) -> FaultRule {
    FaultRule { call, sku: None, nth: 1, times: 1_000_000, fault }
}

async fn in_memory() -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))
}

/// One machine at a cloud.
fn one_at(cloud: &str) -> Plan {
    let text = format!(
        "{{ name: one, components: {{ web: {{ vcpu: 2 }} }}, where: {{ providers: {{ allow: [{cloud}] }} }} }}"
    );
    let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
    compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue).expect("a plan")
}

/// Serves until a question is answered with yes; whether that came in time.
async fn serve_until(engine: &Engine, mut is_done: impl AsyncFnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    let mut in_time = false;
    let stop = async {
        while Instant::now() < end {
            if is_done().await {
                in_time = true;
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    engine.serve(8, stop).await;
    in_time
}

async fn state(engine: &Engine, order: &OrderId) -> OrderState {
    engine.load(order).await.expect("loaded").state
}

async fn events(engine: &Engine, order: &OrderId) -> Vec<OrderEventKind> {
    let events = engine.ledger().events(0, Some(order), 100_000).await.expect("events");
    events.into_iter().map(|event| event.kind.into_kind()).collect()
}

/// Claims that an order has seen.
async fn claims(ledger: &Arc<dyn Ledger>, order: &OrderId) -> u64 {
    let claim = ledger.claim(order, "whoever counts", Duration::ZERO).await.expect("free");
    ledger.relinquish(&claim).await.expect("released");
    claim.token - 1
}

/// Amounts with which nobody can reckon are refused where they come in, and no sum of them is ever tried.
#[tokio::test]
async fn hostile_amounts_are_not_accepted() {
    type Meddle = fn(&mut Plan, &mut Policy);
    let meddled: [(&str, Meddle); 9] = [
        ("a month beyond reckoning", |plan, _| plan.leases[0].lines[0].monthly = Decimal::MAX),
        ("a start beyond reckoning", |plan, _| plan.leases[0].lines[0].once = Decimal::MAX),
        ("a horizon beyond reckoning", |plan, _| plan.leases[0].lines[0].total = Decimal::MAX),
        ("each month beyond reckoning", |plan, _| {
            plan.leases.iter_mut().for_each(|lease| lease.lines[0].monthly = Decimal::MAX);
            plan.monthly = Decimal::MAX;
        }),
        ("a total beyond reckoning", |plan, _| plan.monthly = Decimal::MAX),
        ("a month below reckoning", |plan, _| plan.leases[0].lines[0].monthly = Decimal::MIN),
        ("a size beyond reckoning", |plan, _| plan.leases[0].size_gib = u64::MAX),
        ("a tolerance beyond reckoning", |_, policy| policy.price_tolerance_percent = Decimal::MAX),
        ("a tolerance below nothing", |_, policy| policy.price_tolerance_percent = Decimal::NEGATIVE_ONE),
    ];
    let clouds = clouds(None, KEY, "", &[]);
    let engine = Engine::new(providers(&clouds), in_memory().await);
    for (what, meddle) in meddled {
        let (mut plan, mut policy) = (plan(), Policy::default());
        meddle(&mut plan, &mut policy);
        let refused = engine.accept(plan, policy, None).await;
        assert!(matches!(refused, Err(PurchaseError::InvalidPlan(_))), "{what}: {refused:?}");
    }
    assert!(engine.ledger().list(&Default::default()).await.expect("a list").is_empty());
}

/// The largest amounts that are accepted can be reckoned with to the end.
#[tokio::test]
async fn the_largest_amounts_panic_nowhere() {
    let mut large = plan();
    let most = Decimal::from(1_000_000_000);
    for line in large.leases.iter_mut().flat_map(|lease| &mut lease.lines) {
        (line.monthly, line.once, line.total) = (most, most, Decimal::from(1_000_000_000_000_i64));
    }
    retotal(&mut large);
    let policy = Policy::default().with_price_tolerance_percent(Decimal::from(10_000));
    let clouds = clouds(None, KEY, "", &[]);
    let engine = Engine::new(providers(&clouds), in_memory().await);
    match engine.accept(large, policy, None).await {
        Ok(order) => {
            let order = engine.drive(&order.id).await.expect("driven");
            assert!(order.state.is_final() && order.monthly().is_some(), "{:?}", order.reason);
        }
        Err(refused) => assert!(matches!(refused, PurchaseError::InvalidPlan(_)), "{refused:?}"),
    }
}

/// A provider that panics ends its own order's drive and nothing else; after some drives a person must look.
#[tokio::test]
async fn a_provider_that_panics_stops_no_other_order() {
    for call in [Call::Quote, Call::Provision] {
        let panics = cloud("gamma", None).fault(rule(call, Fault::CrashBefore));
        let panics = panics.on_crash(Arc::new(|| panic!("a provider of the test"))).build();
        let clouds = [cloud("alpha", None).build(), cloud("beta", None).build(), panics];
        let engine = Engine::new(providers(&clouds), in_memory().await);
        // First in the queue, and first again after each try.
        let poison = engine.accept(plan(), Policy::default(), None).await.expect("accepted").id;
        let mut good = Vec::new();
        for at in 0..6 {
            let plan = one_at(["alpha", "beta"][at % 2]);
            good.push(engine.accept(plan, Policy::default(), None).await.expect("accepted").id);
        }
        let served = serve_until(&engine, async || {
            let mut are_done = failed_drives(&engine, &poison).await >= 2;
            for order in &good {
                are_done &= state(&engine, order).await == OrderState::Committed;
            }
            are_done
        });
        assert!(served.await, "{call}: the others waited for an order that cannot be driven");

        let mut drives = failed_drives(&engine, &poison).await;
        while state(&engine, &poison).await != OrderState::Stuck {
            let driven = engine.drive(&poison).await;
            let Err(PurchaseError::Panicked { message, .. }) = &driven else { panic!("{call}: {driven:?}") };
            assert!(message.contains("a provider of the test"), "{message}");
            drives += 1;
            assert!(drives <= 10, "{call}: it is never given up");
        }
        assert_eq!(failed_drives(&engine, &poison).await, 10, "{call}");
        let order = engine.drive(&poison).await.expect("nobody drives it any more");
        let reason = order.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("10 times") && reason.contains("a provider of the test"), "{reason}");
        engine.ledger().verify(&poison).await.expect("a whole chain");

        // And a person can let it be undone.
        let by = Operator { who: "ada".to_owned(), why: "the provider was mended".to_owned() };
        let undone = engine.retry(&poison, by).await.expect("undone");
        let expected = if call == Call::Quote { OrderState::Refused } else { OrderState::Failed };
        assert_eq!((undone.state, count(&clouds).0), (expected, 6), "{call}: {:?}", undone.reason);
    }
}

async fn failed_drives(engine: &Engine, order: &OrderId) -> usize {
    let is_failed = |kind: &&OrderEventKind| matches!(kind, OrderEventKind::DriveFailed { .. });
    events(engine, order).await.iter().filter(is_failed).count()
}

/// Two hosts with different providers share a ledger: each serves what it can, and takes nothing that it cannot.
#[tokio::test]
async fn a_host_takes_only_orders_whose_providers_it_has() {
    let all = clouds(None, KEY, "", &[]);
    let ledger = in_memory().await;
    let host = |clouds: &[Sandbox]| {
        Engine::new(providers(clouds), ledger.clone()).with_claim_ttl(Duration::from_millis(200))
    };
    let (everywhere, one, other) = (host(&all), host(&all[..1]), host(&all[1..2]));
    let accept = async |plan| everywhere.accept(plan, Policy::default(), None).await.expect("accepted").id;
    let (mut ones, mut others, mut nobodys) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..4 {
        // The oldest are those that neither can drive.
        nobodys.push(accept(duo_plan(&duo(""))).await);
        ones.push(accept(one_at("alpha")).await);
        others.push(accept(one_at("beta")).await);
    }
    let are_committed = async |orders: &[OrderId]| {
        for order in orders {
            if state(&everywhere, order).await != OrderState::Committed {
                return false;
            }
        }
        true
    };
    let (first, second) = tokio::join!(
        serve_until(&one, async || are_committed(&ones).await),
        serve_until(&other, async || are_committed(&others).await)
    );
    assert!(first && second, "each host serves its own orders");
    // They go on looking for work for several leases.
    let a_while = || tokio::time::sleep(Duration::from_secs(1));
    tokio::join!(one.serve(2, a_while()), other.serve(2, a_while()));
    for order in &nobodys {
        assert_eq!(state(&everywhere, order).await, OrderState::Accepted);
        assert_eq!(claims(&ledger, order).await, 0, "taken by a host that cannot drive it");
    }
    for order in ones.iter().chain(&others) {
        assert_eq!(claims(&ledger, order).await, 1, "taken more than once");
    }
    let resumed = one.resume_all().await.expect("resumed");
    assert!(resumed.is_empty(), "{resumed:?}");
    // Whoever has both drives them.
    assert!(serve_until(&everywhere, async || are_committed(&nobodys).await).await);
}

/// A provider that is not there any more concerns its own step: what was bought elsewhere is ended.
#[tokio::test]
async fn what_was_bought_elsewhere_is_ended_without_a_provider_that_is_gone() {
    let all = clouds(None, KEY, "", &[]);
    let ledger = in_memory().await;
    let before = Engine::new(providers(&all), ledger.clone());
    let order = before.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    assert_eq!(before.drive(&order).await.expect("driven").state, OrderState::Committed);
    let after = Engine::new(providers(&all[..2]), ledger);
    let stuck = after.cancel(&order).await.expect("cancelled");
    assert_eq!((stuck.state, count(&all).0), (OrderState::Stuck, 1));
    let reason = stuck.reason.unwrap_or_default();
    assert!(reason.contains("gamma") && reason.contains("not in this federation"), "{reason}");
    let by = Operator { who: "ada".to_owned(), why: "the provider is here again".to_owned() };
    let ended = before.retry(&order, by).await.expect("undone");
    assert_eq!((ended.state, count(&all).0), (OrderState::Ended, 0));
}

/// A host without all of an order's providers leaves it to one that has them.
#[tokio::test]
async fn a_cancellation_at_a_host_without_all_providers_is_done_by_one_that_has_them() {
    let all = clouds(None, KEY, "", &[]);
    let ledger = in_memory().await;
    let whole = Engine::new(providers(&all), ledger.clone());
    let order = whole.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    assert_eq!(whole.drive(&order).await.expect("driven").state, OrderState::Committed);
    let lean = Engine::new(providers(&all[..1]), ledger);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = whole.serve(4, async { stopped.await.unwrap_or_default() });
    let cancelled = async {
        let cancelled = lean.cancel(&order).await.expect("cancelled");
        let _ = stop.send(());
        cancelled
    };
    let ((), ended) = futures::future::join(served, cancelled).await;
    assert_eq!((ended.state, count(&all).0), (OrderState::Ended, 0), "{:?}", ended.reason);
}

/// Somebody cancels and is gone: any host that serves undoes the order, and it is told who wanted it.
#[tokio::test]
async fn a_cancellation_is_work_for_any_host() {
    let all = clouds(None, KEY, "", &[]);
    let ledger = in_memory().await;
    let engine = Engine::new(providers(&all), ledger.clone());
    let accept = async || engine.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    let (committed, accepted) = (accept().await, accept().await);
    assert_eq!(engine.drive(&committed).await.expect("driven").state, OrderState::Committed);
    let by = Operator { who: "ada".to_owned(), why: "ordered by mistake".to_owned() };
    ledger.request_cancel(&committed, Some(&by)).await.expect("noted");
    ledger.request_cancel(&accepted, None).await.expect("noted");
    drop(engine);

    let host = Engine::new(providers(&all), ledger);
    let served = serve_until(&host, async || {
        state(&host, &committed).await.is_over() && state(&host, &accepted).await.is_over()
    });
    assert!(served.await, "nobody took the cancellations up");
    assert_eq!(state(&host, &committed).await, OrderState::Ended);
    assert_eq!(state(&host, &accepted).await, OrderState::Refused);
    assert_eq!(count(&all).0, 0);
    let told = |by: Option<&Operator>| OrderEventKind::CancellationRequested { by: by.cloned() };
    for (order, by) in [(&committed, Some(&by)), (&accepted, None)] {
        let wanted = events(&host, order).await.into_iter().filter(|kind| *kind == told(by)).count();
        assert_eq!(wanted, 1, "told once");
    }
    assert!(host.load(&committed).await.expect("loaded").cancellation.is_some_and(|it| it.by == Some(by)));
}

/// `Retry-After: 100000000` from one provider, wherever it is said.
#[tokio::test]
async fn a_provider_that_asks_for_years_holds_up_nobody() {
    let years = || Fault::RateLimited { retry_after_ms: 100_000_000_000 };
    let policy =
        |step_timeout_s| Policy::default().with_compensation_timeout_s(2).with_step_timeout_s(step_timeout_s);
    for call in [Call::Release, Call::Describe] {
        let clouds = clouds(None, KEY, "beta", &[rule(call, years())]);
        let engine = Engine::new(providers(&clouds), in_memory().await);
        let order = engine.accept(plan(), policy(900), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        let began = jiff::Timestamp::now();
        let ended = tokio::time::timeout(PATIENCE, engine.cancel(&order.id));
        let ended = ended.await.expect("in its own time").expect("cancelled");
        assert_eq!((ended.state, count(&clouds).0), (OrderState::Stuck, 1), "{call}");
        assert_is_stuck(&ended, "beta");
        // The others were not held up.
        let soon = began + Duration::from_millis(1500);
        for cloud in [&clouds[0], &clouds[2]] {
            let released = cloud.resources().expect("state").iter().all(|it| it.released_at < Some(soon));
            assert!(released, "{call}: {} was ended late", cloud.id());
        }
    }
    // Before anything is bought it is waited for no longer than a step may take.
    for (call, state) in [(Call::Provision, OrderState::Failed), (Call::Poll, OrderState::Stuck)] {
        let clouds = clouds(None, KEY, "beta", &[rule(call, years())]);
        let engine = Engine::new(providers(&clouds), in_memory().await);
        let order = engine.accept(one_at("beta"), policy(1), None).await.expect("accepted");
        let driven = tokio::time::timeout(PATIENCE, engine.drive(&order.id)).await.expect("in its own time");
        let driven = driven.expect("driven");
        assert_eq!(driven.state, state, "{call}: {:?}", driven.reason);
    }
}

fn assert_is_stuck(order: &Order, provider: &str) {
    let is_stuck = |step: &fulcrum_core::model::Step| matches!(step.state, StepState::Stuck { .. });
    let stuck: Vec<&str> =
        order.steps.iter().filter(|step| is_stuck(step)).map(|step| step.provider.as_str()).collect();
    assert_eq!(stuck, [provider]);
}

/// A UUID is one order, however it is spelled.
#[tokio::test]
async fn five_spellings_of_an_id_are_one_order() {
    let all = clouds(None, KEY, "", &[]);
    let by_id: BTreeMap<ProviderId, Arc<dyn Provider>> = providers(&all);
    let engine = Engine::new(by_id, in_memory().await);
    let spelled = OrderId::generate();
    let plain = spelled.as_str().replace('-', "");
    let spellings = [
        spelled.to_string(),
        spelled.as_str().to_uppercase(),
        plain,
        format!("{{{spelled}}}"),
        format!("urn:uuid:{spelled}"),
    ];
    for spelling in spellings {
        assert_eq!(OrderId::from_uuid(&spelling), Some(spelled.clone()), "{spelling}");
        let id = OrderId::new(&spelling).expect("an id");
        let order = engine.accept(plan(), Policy::default(), Some(id)).await.expect("accepted");
        assert_eq!(order.id, spelled, "{spelling}");
        let driven = engine.drive(&order.id).await.expect("driven");
        assert_eq!(driven.state, OrderState::Committed);
    }
    assert_eq!(
        (count(&all).0, engine.ledger().list(&Default::default()).await.expect("a list").len()),
        (3, 1)
    );
    for odd in ["order 7", "018f", "../018f0a3c-7b1e-7000-8000-0123456789ab"] {
        let id = OrderId::new(odd).expect("text");
        let refused = engine.accept(plan(), Policy::default(), Some(id)).await;
        assert!(matches!(refused, Err(PurchaseError::InvalidPlan(_))), "{odd}: {refused:?}");
    }
}
