//! What cannot be had is replaced, inside budget and tolerance, and what is bought by then stays.
//!
//! Covers the pains "sold out after the plan", "all thrown away for one part" and "a zone that stays down".

use std::{sync::Arc, time::Duration};

use crate::support::{
    cloud, clouds, count, duo as blueprint, duo_plan as plan, duo_policy as policy, duo_waiting as waiting,
    providers, seed,
};
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{
        Blueprint, FailOver, Order, OrderEventKind, OrderState, Policy, Shortage, StepState, digest_of,
        parse_json,
    },
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
        table::Table,
    },
    purchase::{Engine, PurchaseError},
};
use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };

fn lasting(fault: Fault) -> FaultRule {
    FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault }
}

fn engine(clouds: &[Sandbox], ledger: SqliteLedger) -> Engine {
    Engine::new(providers(clouds), Arc::new(ledger))
}

/// Buys with some faults at beta.
async fn buy(fault: Fault, policy: Policy, blueprint: &Blueprint) -> (Order, Vec<Sandbox>, Engine) {
    let clouds = clouds(None, LAGGING, "beta", &[lasting(fault)]);
    let engine = engine(&clouds, SqliteLedger::in_memory().await.expect("a ledger"));
    let order = engine.accept(plan(blueprint), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    let stored = engine.ledger().load(&order.id).await.expect("read").expect("there");
    assert_eq!(order, stored, "the driver knows an order as the ledger does");
    (order, clouds, engine)
}

/// Where the services of an order are.
fn held(order: &Order) -> Vec<&str> {
    let steps = order.steps.iter().filter(|step| matches!(step.state, StepState::Committed { .. }));
    steps.map(|step| step.provider.as_str()).collect()
}

#[tokio::test]
async fn what_is_sold_out_is_replaced_and_what_is_bought_stays() {
    // At once, or by an operation that was accepted and leaves something broken.
    let later = |shortage| Fault::OperationFails { leaves_resource: true, shortage: Some(shortage) };
    for (fault, is_provider) in [
        (Fault::SoldOut, false),
        (Fault::Quota, true),
        (later(Shortage::SoldOut), false),
        (later(Shortage::Quota), true),
    ] {
        let blueprint = blueprint("");
        let (order, clouds, engine) = buy(fault, policy(blueprint.clone()), &blueprint).await;
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        assert_eq!(held(&order), ["alpha", "gamma"]);
        assert_eq!(clouds[0].resources().expect("state").len(), 1, "alpha was bought once");
        assert_eq!(count(&clouds).0, 2);
        let [round] = &order.rounds[..] else { panic!("{:?}", order.rounds) };
        assert_eq!(
            (round.providers.len(), round.offers.len()),
            (usize::from(is_provider), usize::from(!is_provider))
        );
        assert_eq!((&round.plan, &round.replaced[..]), (&plan(&blueprint), &[1][..]));
        let kept = order.plan.leases.iter().filter(|lease| lease.keeps.is_some()).count();
        assert_eq!((order.plan.leases.len(), kept), (2, 1));
        let events = engine.ledger().events(0, Some(&order.id), 1000).await.expect("events");
        let told = events.iter().any(|event| match &*event.kind {
            OrderEventKind::FailedOver { round, plan: new } => {
                round.plan == plan(&blueprint) && **new == order.plan && round.reason.contains("beta")
            }
            _ => false,
        });
        assert!(told, "both plans and the reason are events");
        engine.ledger().verify(&order.id).await.expect("a whole chain");
        let loaded = engine.load(&order.id).await.expect("loaded");
        assert_eq!(loaded, order);
        // A committed order is undone as a whole.
        let order = engine.cancel(&order.id).await.expect("cancelled");
        assert_eq!((order.state, count(&clouds).0), (OrderState::Ended, 0));
    }
}

#[tokio::test]
async fn a_provider_that_stays_unavailable_is_replaced_once_a_step_has_waited_for_it_long_enough() {
    let blueprint = blueprint("");
    let policy = policy(blueprint.clone()).with_step_timeout_s(3);
    let (order, clouds, _) = buy(Fault::Unavailable, policy, &blueprint).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!((held(&order), count(&clouds).0), (vec!["alpha", "gamma"], 2));
    assert!(order.rounds[0].providers.iter().any(|id| id.as_str() == "beta"));
}

async fn is_undone(policy: Policy, blueprint: &Blueprint, why: &str) {
    let (order, clouds, _) = buy(Fault::SoldOut, policy, blueprint).await;
    let reason = order.reason.unwrap_or_default();
    assert_eq!((order.state, count(&clouds).0), (OrderState::Failed, 0), "{reason}");
    assert!(reason.contains(why) && reason.contains("sold out"), "{reason}");
}

#[tokio::test]
async fn a_plan_that_costs_too_much_more_is_not_bought() {
    let duo = blueprint("");
    let mut dear = policy(duo.clone());
    if let Some(fail_over) = &mut dear.fail_over {
        fail_over.max_rise_percent = Decimal::from(33);
    }
    is_undone(dear, &duo, "max_rise_percent").await;
    // 30 a month were within the budget, 40 are not.
    let tight = blueprint(", budget: 35");
    is_undone(policy(tight.clone()), &tight, "budget").await;
}

#[tokio::test]
async fn without_rounds_everything_is_undone() {
    let duo = blueprint("");
    let mut none = policy(duo.clone());
    if let Some(fail_over) = &mut none.fail_over {
        fail_over.rounds = 0;
    }
    is_undone(none, &duo, "beta").await;
    is_undone(Policy::default(), &duo, "beta").await;
}

#[tokio::test]
async fn when_all_is_sold_out_nothing_is_left() {
    let duo = blueprint("");
    let all: Vec<Sandbox> = ["alpha", "beta", "gamma"]
        .iter()
        .map(|name| {
            let builder = cloud(name, None).idempotency(LAGGING);
            if *name == "alpha" { builder.build() } else { builder.fault(lasting(Fault::SoldOut)).build() }
        })
        .collect();
    let engine = engine(&all, SqliteLedger::in_memory().await.expect("a ledger"));
    let order = engine.accept(plan(&duo), policy(duo.clone()), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!((order.state, count(&all).0, order.rounds.len()), (OrderState::Failed, 0, 1));
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("no other plan")), "{:?}", order.reason);
}

#[tokio::test]
async fn an_order_does_without_what_it_may_miss() {
    let blueprint = Blueprint::from_yaml(
        "{ name: spare, components: { web: { vcpu: 2 }, spare: { vcpu: 2, where: { providers: { allow: [beta] } } } } }",
    )
    .expect("a blueprint");
    let plan = plan(&blueprint);
    let optional_components = ["spare".parse().expect("a name")].into();
    let clouds = clouds(None, LAGGING, "beta", &[lasting(Fault::SoldOut)]);
    let engine = engine(&clouds, SqliteLedger::in_memory().await.expect("a ledger"));
    let order = engine
        .accept(plan, Policy::default().with_optional_components(optional_components), None)
        .await
        .expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!((order.state, held(&order)), (OrderState::Committed, vec!["alpha"]));
    assert!(
        order.reason.as_deref().is_some_and(|why| why.contains("without small at beta")),
        "{:?}",
        order.reason
    );
    assert_eq!(count(&clouds).0, 1);
}

/// Bought is what the new plan says of it, and not also what the old plan said: what waits for what is sold out has not been
/// asked for yet.
#[tokio::test]
async fn what_waits_for_something_that_is_replaced_is_bought_once() {
    let (order, clouds, _) = buy(Fault::SoldOut, policy(waiting()), &waiting()).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!((held(&order).len(), count(&clouds).0), (2, 2), "{:?}", held(&order));
}

#[tokio::test]
async fn what_is_not_there_in_time_is_undone() {
    let duo = blueprint("");
    let policy = Policy::default().with_order_timeout_s(1);
    let (order, clouds, _) = buy(Fault::Unavailable, policy, &duo).await;
    assert_eq!((order.state, count(&clouds).0), (OrderState::Failed, 0));
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("within 1 s")), "{:?}", order.reason);
}

#[tokio::test]
async fn the_blueprint_of_another_plan_is_refused() {
    let clouds = clouds(None, LAGGING, "beta", &[]);
    let engine = engine(&clouds, SqliteLedger::in_memory().await.expect("a ledger"));
    let refused = engine.accept(plan(&blueprint("")), policy(blueprint(", budget: 99")), None).await;
    assert!(matches!(refused, Err(PurchaseError::InvalidPlan(_))), "{refused:?}");
}

/// Random faults at all clouds, drivers dropped at random: all of a plan or nothing, never twice.
#[tokio::test]
async fn prop_whatever_fails_an_order_ends_whole_or_empty() {
    let seed = seed::seed();
    let (mut committed, mut rounds) = (0, 0);
    // Whoever takes over waits most of the time.
    let mut cases = futures::stream::iter((0..60).map(|case| whatever_fails(seed.wrapping_add(case))))
        .buffer_unordered(20);
    while let Some((is_committed, its_rounds)) = cases.next().await {
        committed += usize::from(is_committed);
        rounds += its_rounds;
    }
    println!("60 orders, {committed} committed, {rounds} fail-overs");
    assert!(rounds > 1 && committed > 10, "seed {seed}: too little was tried");
}

/// Whether the order was committed, and how many other plans were made for it.
async fn whatever_fails(seed: u64) -> (bool, usize) {
    let mut chance = StdRng::seed_from_u64(seed);
    let kinds = [
        Fault::SoldOut,
        Fault::SoldOut,
        Fault::Quota,
        Fault::Unavailable,
        Fault::AmbiguousHappened,
        Fault::AmbiguousLost,
        Fault::OperationFails { leaves_resource: true, shortage: None },
        Fault::OperationFails { leaves_resource: true, shortage: Some(Shortage::Quota) },
        Fault::Late { ms: 15 },
    ];
    // Some hold what is to be bought.
    let holds = if chance.random_bool(0.5) { 50 } else { 0 };
    let all: Vec<Sandbox> = ["alpha", "beta", "gamma"]
        .iter()
        .map(|name| {
            let mut builder = cloud(name, None).idempotency(LAGGING);
            builder = builder.reservation_ttl(Duration::from_millis(holds));
            for call in [Call::Reserve, Call::Provision, Call::Provision, Call::Poll, Call::FindByKey] {
                if chance.random_bool(0.35) {
                    let fault = kinds.choose(&mut chance).expect("some").clone();
                    let (nth, times) = (chance.random_range(1..3), chance.random_range(1..3));
                    builder = builder.fault(FaultRule { call, sku: None, nth, times, fault });
                }
            }
            builder.build()
        })
        .collect();
    let duo = if chance.random_bool(0.5) { waiting() } else { blueprint("") };
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    // Whoever takes a step over waits for as long as a claim lasts.
    let engine = engine(&all, ledger).with_claim_ttl(Duration::from_secs(1));
    let mut policy = policy(duo.clone());
    if let Some(fail_over) = &mut policy.fail_over {
        fail_over.max_rise_percent = Decimal::from(1000);
    }
    let order = engine.accept(plan(&duo), policy, None).await.expect("accepted");
    if chance.random_bool(0.5) {
        let moment = Duration::from_millis(chance.random_range(1..60));
        let _ = tokio::time::timeout(moment, engine.drive(&order.id)).await;
    }
    let order = loop {
        match engine.drive(&order.id).await {
            Ok(order) => {
                let stored = engine.ledger().load(&order.id).await.expect("read").expect("there");
                assert_eq!(order, stored, "seed {seed}: the driver knows an order as the ledger does");
                break order;
            }
            Err(error) => {
                println!("seed {seed}: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let context = format!("seed {seed} alone: {:?}", order.reason);
    let expected = match order.state {
        OrderState::Committed => 2,
        // Refused: its first driver was dropped before it had asked anybody, and the next one could not look.
        OrderState::Failed | OrderState::Refused => 0,
        other => panic!("{context}: {other:?}"),
    };
    let (alive, of_key) = count(&all);
    assert_eq!((alive, of_key.len(), held(&order).len()), (expected, expected, expected), "{context}");
    (expected > 0, order.rounds.len())
}

/// An order of a version that let `other` be anything: the product that was chosen then is what is wanted now.
#[tokio::test]
async fn an_older_order_for_anything_goes_on_with_what_was_chosen() {
    let provider = r#"{"id": "alpha", "name": "alpha", "legal_name": "alpha", "country": "DE",
        "regions": [{"id": "r", "country": "DE"}]}"#;
    let csv = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n\
        other,backup,r,,,,5,EUR,net,2026-11-01,a test\n\
        other,monitoring,r,,,,1,EUR,net,2026-11-01,a test\n\
        machine,small,r,2,4096,40,10,EUR,net,2026-11-01,a test\n\
        machine,large,r,4,8192,80,20,EUR,net,2026-11-01,a test\n";
    let offers = Table::from_csv(&parse_json(provider).expect("a provider"), csv).expect("a table").offers;
    let sku = Some("small".parse().expect("a name"));
    let cloud = Sandbox::builder("alpha".parse().expect("a name"), offers.clone());
    let clouds = [cloud.fault(FaultRule { sku, ..lasting(Fault::SoldOut) }).build()];
    let named = Blueprint::from_yaml(
        "{ name: shop, components: { web: { vcpu: 2, replicas: 1 },
             extra: { kind: other, replicas: 1, where: { skus: { allow: [backup] } } } } }",
    )
    .expect("a blueprint");
    let mut unnamed = named.clone();
    unnamed.components["extra"].filter = Default::default();
    assert!(unnamed.check().is_err(), "nobody may write it so any more");
    let mut catalogue = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    catalogue.extend(offers);
    let mut plan = compose(&catalogue.build(), &named, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan");
    plan.blueprint_digest = digest_of(&unnamed);
    let first = engine(&clouds, SqliteLedger::in_memory().await.expect("a ledger"));
    let mut order = first.accept(plan, Policy::default(), None).await.expect("accepted");
    let fail_over = FailOver::new(unnamed).with_max_rise_percent(Decimal::from(500));
    order.policy.fail_over = Some(Box::new(fail_over));
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    ledger.create(&order).await.expect("as an older version wrote it");
    let order = engine(&clouds, ledger).drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let steps = order.steps.iter().filter(|step| matches!(step.state, StepState::Committed { .. }));
    let mut bought: Vec<&str> = steps.map(|step| step.lease.sku.as_str()).collect();
    bought.sort_unstable();
    assert_eq!(bought, ["backup", "large"]);
}
