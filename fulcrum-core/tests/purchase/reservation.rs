//! What can be held is held before anything is bought: what cannot be had shows before it has cost anything.

use std::{sync::Arc, time::Duration};

use crate::support::{self, CLOUDS, cloud, count, duo, duo_plan, duo_policy, duo_waiting, plan, providers};
use fulcrum_core::{
    ledger::SqliteLedger,
    model::{Order, OrderEvent, OrderEventKind, OrderState, Plan, Policy, StepState},
    provider::{
        Call, ErrorKind, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };
const LONG: Duration = Duration::from_secs(60);

fn rule(call: Call, fault: Fault, times: u32) -> FaultRule {
    FaultRule { call, sku: None, nth: 1, times, fault }
}

/// Three clouds that hold things, with faults at one.
fn clouds(holds_for: Duration, at: &str, faults: &[FaultRule]) -> Vec<Sandbox> {
    let build = |name: &&str| {
        let builder = cloud(name, None).idempotency(LAGGING).reservation_ttl(holds_for);
        let faults = if *name == at { faults } else { &[] };
        faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone())).build()
    };
    CLOUDS.iter().map(build).collect()
}

async fn engine(clouds: &[Sandbox]) -> Engine {
    Engine::new(providers(clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
}

async fn buy(clouds: &[Sandbox], plan: Plan, policy: Policy) -> (Order, Vec<OrderEvent>) {
    let engine = engine(clouds).await;
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    engine.ledger().verify(&order.id).await.expect("a whole chain");
    let events = engine.ledger().events(0, Some(&order.id), 10_000).await.expect("events");
    (order, events)
}

fn ever(clouds: &[Sandbox]) -> usize {
    clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum()
}

fn held(clouds: &[Sandbox]) -> usize {
    clouds.iter().map(|cloud| cloud.reservations().expect("state").len()).sum()
}

/// The states of steps in the order in which they were entered, in a word each.
fn words(events: &[OrderEvent]) -> Vec<&'static str> {
    let word = |event: &OrderEvent| match &*event.kind {
        OrderEventKind::Step { step: StepState::Reserving { .. }, .. } => Some("reserving"),
        OrderEventKind::Step { step: StepState::Reserved { .. }, .. } => Some("reserved"),
        OrderEventKind::Step { step: StepState::Provisioning { .. }, .. } => Some("provisioning"),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

#[tokio::test]
async fn all_is_held_before_anything_is_bought_and_a_hold_is_taken_by_its_key() {
    let clouds = clouds(LONG, "gamma", &[]);
    let (order, events) = buy(&clouds, plan(), Policy::default()).await;
    assert_eq!((order.state, count(&clouds).0, held(&clouds)), (OrderState::Committed, 3, 0));
    let words = words(&events);
    let first_bought = words.iter().position(|word| *word == "provisioning").expect("bought");
    let last_held = words.iter().rposition(|word| *word == "reserved").expect("held");
    assert!(last_held < first_bought, "{words:?}");
    assert_eq!(words.iter().filter(|word| **word == "reserved").count(), 3);
}

#[tokio::test]
async fn what_is_sold_out_costs_nothing_as_nothing_else_was_bought() {
    let clouds = clouds(LONG, "gamma", &[rule(Call::Reserve, Fault::SoldOut, 1)]);
    let (order, _) = buy(&clouds, plan(), Policy::default()).await;
    assert_eq!((order.state, ever(&clouds), held(&clouds)), (OrderState::Failed, 0, 0));
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("sold out")), "{:?}", order.reason);
}

#[tokio::test]
async fn another_plan_is_made_before_anything_is_bought() {
    for (wanted, steps) in [(duo(""), 2), (duo_waiting(), 2)] {
        let clouds = clouds(LONG, "beta", &[rule(Call::Reserve, Fault::SoldOut, 1000)]);
        let (order, events) = buy(&clouds, duo_plan(&wanted), duo_policy(wanted)).await;
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        assert_eq!((count(&clouds).0, ever(&clouds), held(&clouds)), (2, 2, 0));
        // The first plan is given up as a whole: nothing of it was bought.
        assert_eq!((order.rounds.len(), order.rounds[0].replaced.len(), order.steps.len()), (1, steps, 4));
        let failed_over = events.iter().position(|it| matches!(*it.kind, OrderEventKind::FailedOver { .. }));
        assert!(!words(&events[..failed_over.expect("another plan")]).contains(&"provisioning"));
    }
}

#[tokio::test]
async fn what_may_be_missing_is_not_held_and_the_rest_is_bought() {
    let wanted = fulcrum_core::model::Blueprint::from_yaml(
        "{ name: spare, components: { web: { vcpu: 2, where: { providers: { allow: [alpha] } } },
             spare: { vcpu: 2, where: { providers: { allow: [beta] } } } } }",
    );
    let wanted = wanted.expect("a blueprint");
    let optional_components = ["spare".parse().expect("a name")].into();
    let clouds = clouds(LONG, "beta", &[rule(Call::Reserve, Fault::SoldOut, 1000)]);
    let (order, _) =
        buy(&clouds, duo_plan(&wanted), Policy::default().with_optional_components(optional_components))
            .await;
    assert_eq!((order.state, ever(&clouds), held(&clouds)), (OrderState::Committed, 1, 0));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_holds_once() {
    let lost = rule(Call::Reserve, Fault::AmbiguousHappened, 2);
    let clouds = clouds(LONG, "beta", &[lost, rule(Call::Unreserve, Fault::AmbiguousLost, 1)]);
    let (order, _) = buy(&clouds, plan(), Policy::default()).await;
    assert_eq!((order.state, count(&clouds).0, held(&clouds)), (OrderState::Committed, 3, 0));
}

#[tokio::test]
async fn a_hold_that_ends_before_its_turn_is_asked_for_again() {
    // What is waited for takes longer than a hold lasts, and a hold is long enough to be used.
    let ms = Duration::from_millis;
    let build = |name: &&str| {
        let builder = cloud(name, None).idempotency(LAGGING).reservation_ttl(ms(2000));
        builder.operation(ms(2500), ms(2500)).stock("small".parse().expect("a name"), 1).build()
    };
    let clouds: Vec<_> = CLOUDS.iter().map(build).collect();
    let (order, events) = buy(&clouds, duo_plan(&duo_waiting()), Policy::default()).await;
    assert_eq!((order.state, count(&clouds).0, held(&clouds)), (OrderState::Committed, 2, 0));
    let at_alpha = |event: &&OrderEvent| matches!(&*event.kind, OrderEventKind::Step { provider, .. } if provider.as_str() == "alpha");
    let words = words(&events.iter().filter(at_alpha).cloned().collect::<Vec<_>>());
    assert_eq!(words[..5], ["reserving", "reserved", "reserving", "reserved", "provisioning"]);
}

#[tokio::test]
async fn what_is_held_for_one_order_another_one_does_not_get() {
    let clouds: Vec<_> = CLOUDS
        .iter()
        .map(|name| {
            let builder = cloud(name, None).idempotency(LAGGING).reservation_ttl(LONG);
            builder.stock("small".parse().expect("a name"), 1).build()
        })
        .collect();
    let engine = engine(&clouds).await;
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(engine.accept(plan(), Policy::default(), None).await.expect("accepted").id);
    }
    let driven = futures::future::join_all(all.iter().map(|order| engine.drive(order))).await;
    let states: Vec<_> = driven.into_iter().map(|order| order.expect("driven").state).collect();
    // Whoever came first has all three, or nobody has any; never has anybody bought a part.
    let committed = states.iter().filter(|state| **state == OrderState::Committed).count();
    assert_eq!((ever(&clouds), held(&clouds)), (3 * committed, 0), "{states:?}");
    assert!(committed <= 1, "{states:?}");
}

#[tokio::test]
async fn an_order_that_is_cancelled_while_things_are_held_gives_them_back() {
    let slow = rule(Call::Reserve, Fault::RateLimited { retry_after_ms: 1000 }, 3);
    let clouds = clouds(LONG, "gamma", &[slow]);
    let engine = engine(&clouds).await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let holds = async {
        while held(&clouds) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! { _ = engine.drive(&order.id) => panic!("driven while gamma is slow"), () = holds => {} }
    let order = engine.cancel(&order.id).await.expect("cancelled");
    let order = if order.state.is_final() { order } else { engine.drive(&order.id).await.expect("driven") };
    assert_eq!((order.state, ever(&clouds), held(&clouds)), (OrderState::Failed, 0, 0));
}

#[tokio::test]
async fn one_thing_alone_is_bought_at_once() {
    let wanted = fulcrum_core::model::Blueprint::from_yaml("{ name: one, components: { web: { vcpu: 2 } } }");
    let plan = fulcrum_core::compose::compose(
        &support::catalogue(),
        &wanted.expect("a blueprint"),
        &Default::default(),
        &mut |_| fulcrum_core::compose::Signal::Continue,
    );
    let clouds = clouds(LONG, "gamma", &[rule(Call::Reserve, Fault::SoldOut, 1000)]);
    let (order, events) = buy(&clouds, plan.expect("a plan"), Policy::default()).await;
    assert_eq!((order.state, ever(&clouds)), (OrderState::Committed, 1));
    assert!(!words(&events).contains(&"reserving"));
}

#[tokio::test]
async fn a_cloud_that_does_not_hold_says_so() {
    let cloud = cloud("alpha", None).build();
    let key = fulcrum_core::model::IdempotencyKey::new("k").expect("a key");
    assert_eq!(cloud.unreserve(&key).await.expect_err("unsupported").kind, ErrorKind::Unsupported);
}
