//! Old orders leave the ledger, with proof of what they were, and only if nothing of them exists.

use std::sync::Arc;

use crate::support::{assert_clean, clouds, duo, duo_plan, duo_policy, plan, providers};
use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{FindingKind, OrderState, Policy, ServiceId, StepState},
    provider::{
        Call, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule, Sandbox, SandboxResource},
    },
    purchase::{Engine, OrderArchive, PurchaseError, RepairPolicy},
};
use jiff::{SignedDuration, Timestamp};

const KEY: IdempotencyClass = IdempotencyClass::Key;

fn engine(clouds: &[Sandbox], ledger: Arc<dyn Ledger>) -> Arc<Engine> {
    Arc::new(Engine::new(providers(clouds), ledger))
}

async fn sqlite() -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))
}

fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(1)
}

#[tokio::test]
async fn an_exported_order_proves_itself_and_reads_back() {
    let sold_out = FaultRule { call: Call::Provision, sku: None, nth: 1, times: 9, fault: Fault::SoldOut };
    let clouds = clouds(None, KEY, "beta", &[sold_out]);
    let engine = engine(&clouds, sqlite().await);
    let blueprint = duo("");
    let order = engine.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted");
    for state in [OrderState::Accepted, OrderState::Committed] {
        let archive = engine.export(&order.id).await.expect("exported");
        assert_eq!(archive.order.state, state);
        let read = OrderArchive::from_json(&archive.to_json().expect("text")).expect("an archive");
        read.verify().expect("it holds");
        assert_eq!(read, archive);
        engine.drive(&order.id).await.expect("driven");
    }
    assert_eq!(engine.export(&order.id).await.expect("exported").order.rounds.len(), 1, "it failed over");
    let nobody = "018f0000-0000-7000-8000-000000000001".parse().expect("an id");
    let missing = engine.export(&nobody).await;
    assert!(matches!(missing, Err(PurchaseError::Ledger(LedgerError::NoSuchOrder(_)))), "{missing:?}");
}

#[tokio::test]
async fn every_change_of_an_archive_shows() {
    let sold_out = FaultRule { call: Call::Provision, sku: None, nth: 1, times: 9, fault: Fault::SoldOut };
    let clouds = clouds(None, KEY, "beta", &[sold_out]);
    let engine = engine(&clouds, sqlite().await);
    let blueprint = duo("");
    let order = engine.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    let archive = engine.export(&order.id).await.expect("exported");
    type Tamper = fn(&mut OrderArchive);
    let changes: [(&str, Tamper); 12] = [
        ("state", |it| it.order.state = OrderState::Ended),
        ("reason", |it| it.order.reason = Some("as planned".to_owned())),
        ("step", |it| it.order.steps[0].state = StepState::Compensated),
        ("provider", |it| it.order.steps[0].provider = "gamma".parse().expect("a name")),
        ("step gone", |it| drop(it.order.steps.pop())),
        ("round", |it| it.order.rounds[0].reason.clear()),
        ("rounds", |it| it.order.rounds.clear()),
        ("plan", |it| it.order.plan = it.order.rounds[0].plan.clone()),
        ("last event", |it| drop(it.events.pop())),
        ("first event", |it| drop(it.events.remove(0))),
        ("no events", |it| {
            it.events.clear();
            it.head.clear();
        }),
        ("id", |it| it.order.id = "018f0000-0000-7000-8000-000000000001".parse().expect("an id")),
    ];
    for (name, change) in changes {
        let mut changed = archive.clone();
        change(&mut changed);
        assert!(matches!(changed.verify(), Err(LedgerError::Damaged(_))), "{name}");
    }
    let other = archive.to_json().expect("text").replacen("archive/1", "archive/2", 1);
    assert!(OrderArchive::from_json(&other).expect_err("another version").to_string().contains("archive/1"));
}

#[tokio::test]
async fn an_order_under_way_is_exported_as_of_one_moment() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine = engine(&clouds, sqlite().await);
    for _ in 0..5 {
        let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
        let driven = tokio::spawn({
            let (engine, id) = (engine.clone(), order.id.clone());
            async move { engine.drive(&id).await }
        });
        while !driven.is_finished() {
            engine.export(&order.id).await.expect("whole");
            tokio::task::yield_now().await;
        }
        driven.await.expect("no panic").expect("driven");
    }
}

#[tokio::test]
async fn only_orders_of_which_nothing_exists_are_forgotten() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine = engine(&clouds, sqlite().await);
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(engine.accept(plan(), Policy::default(), None).await.expect("accepted").id);
    }
    // The first one is committed, the second and third ended or failed, the fourth was not even begun.
    for order in &orders[..3] {
        engine.drive(order).await.expect("driven");
    }
    for order in &orders[1..3] {
        engine.cancel(order).await.expect("cancelled");
    }
    let archive = engine.export(&orders[1]).await.expect("exported");
    let last = archive.events.last().expect("an event").at;
    assert_eq!(engine.forget(last).await.expect("nothing is old enough"), 0);
    assert_eq!(engine.forget(later()).await.expect("forgotten"), 2);
    assert_eq!(engine.forget(later()).await.expect("nothing is left"), 0);
    let left = engine.ledger().list(&Default::default()).await.expect("listed");
    assert_eq!(left, [orders[3].clone(), orders[0].clone()]);
    let gone = engine.load(&orders[1]).await;
    assert!(matches!(gone, Err(PurchaseError::Ledger(LedgerError::NoSuchOrder(_)))), "{gone:?}");
    let again = engine.accept(plan(), Policy::default(), Some(orders[1].clone())).await;
    assert!(matches!(again, Err(PurchaseError::IdTaken(_))), "{again:?}");
    archive.verify().expect("the archive needs no ledger");
    engine.ledger().verify(&orders[0]).await.expect("the others are whole");
    assert_clean(&engine.reconcile().await.expect("reconciled"));
}

#[tokio::test]
async fn what_appears_of_a_forgotten_order_is_unknown_and_left_alone() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine = engine(&clouds, sqlite().await);
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    let StepState::Committed { service } = order.steps[0].state.clone() else { panic!("{order:?}") };
    engine.cancel(&order.id).await.expect("cancelled");
    let cloud = clouds.iter().find(|cloud| *cloud.id() == service.provider).expect("its cloud");
    let mut late = service.clone().into_inner();
    late.id = ServiceId::new("came-late").expect("a name");
    cloud
        .tamper(|resources| {
            let (visible_at, released_at) = (Timestamp::now(), None);
            resources.push(SandboxResource { service: late.clone(), size_gib: 0, visible_at, released_at });
        })
        .expect("tampered");
    assert_eq!(engine.reconcile().await.expect("reconciled").findings[0].kind, FindingKind::Orphan);
    assert_eq!(engine.forget(later()).await.expect("forgotten"), 1);
    let outcome = engine.repair(&RepairPolicy::all()).await.expect("reconciled");
    let found: Vec<_> = outcome.findings.iter().map(|it| (it.kind, it.service.clone())).collect();
    assert_eq!(found, [(FindingKind::Unknown, late.id)]);
    assert!(outcome.repaired.is_empty() && outcome.recorded.is_empty(), "{outcome:?}");
}
