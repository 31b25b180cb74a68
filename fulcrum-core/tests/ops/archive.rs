//! Old orders leave the ledger, with proof of what they were, and only if nothing of them exists.

use std::{collections::BTreeSet, sync::Arc};

use crate::support::{CLOUDS, assert_clean, clouds, duo, duo_plan, duo_policy, offers, plan, providers};
use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{Action, Cancellation, FindingKind, Operator, OrderState, Policy, ServiceId, StepState},
    provider::{
        Call, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule, Sandbox, SandboxResource},
    },
    purchase::{Engine, OrderArchive, PurchaseError, RepairPolicy},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

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

/// Clouds that sell another size as well.
fn with_large() -> Vec<Sandbox> {
    let build = |name: &&str| {
        let mut all = offers(name);
        let mut large = all[0].clone();
        large.sku = "large".parse().expect("a name");
        all.push(large);
        Sandbox::builder(name.parse().expect("a name"), all).idempotency(KEY).build()
    };
    CLOUDS.iter().map(build).collect()
}

/// Where the values of a document are.
fn leaves(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, it)| leaves(&format!("{at}/{}", name.replace('/', "~1")), it, found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, it)| leaves(&format!("{at}/{index}"), it, found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value of the same kind, that reads as well as the first one where that can be.
fn another(value: &Value) -> Value {
    match value {
        Value::Bool(is) => json!(!is),
        Value::Number(number) => number.as_i64().map_or_else(|| json!(1.5), |number| json!(number + 1)),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(moment) => json!(moment + SignedDuration::from_hours(24)),
            Err(_) => json!(
                text.parse::<i64>().map_or_else(|_| format!("{text}a"), |number| (number + 1).to_string())
            ),
        },
        _ => json!("a"),
    }
}

/// What may be changed in an archive's order without that it shows, in paths without numbers.
fn unnoticed(archive: &OrderArchive) -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&archive.to_json().expect("text")).expect("JSON");
    let mut paths = Vec::new();
    leaves("/order", &document["order"], &mut paths);
    leaves("/events", &document["events"], &mut paths);
    assert!(paths.len() > 100, "{}", paths.len());
    let is_unnoticed = |path: &&String| {
        let mut changed = document.clone();
        let value = changed.pointer_mut(path).expect("it is there");
        *value = another(value);
        OrderArchive::from_json(&changed.to_string()).is_ok_and(|archive| archive.verify().is_ok())
    };
    let plain = |path: &String| {
        let parts = path.split('/').map(|part| if part.parse::<u32>().is_ok() { "*" } else { part });
        parts.collect::<Vec<_>>().join("/")
    };
    paths.iter().filter(is_unnoticed).map(plain).collect()
}

/// What may be changed without that it shows, as the documentation of `verify` says.
const UNPROVEN: [&str; 7] = [
    "/events/*/sequence",
    "/order/steps/*/attempts/*/at",
    "/order/steps/*/attempts/*/error",
    "/order/steps/*/lease/checked/at",
    "/order/steps/*/lease/checked/monthly",
    "/order/steps/*/lease/checked/once",
    "/order/steps/*/lease/checked/total",
];

/// Nothing that was agreed or done can be changed.
#[tokio::test]
async fn every_value_of_an_archive_is_proven() {
    let sold_out = FaultRule { call: Call::Provision, sku: None, nth: 1, times: 9, fault: Fault::SoldOut };
    let failing = engine(&clouds(None, KEY, "beta", &[sold_out]), sqlite().await);
    let blueprint = duo("");
    let failed_over =
        failing.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted").id;
    failing.drive(&failed_over).await.expect("driven");
    let plain = engine(&with_large(), sqlite().await);
    let bought = plain.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    plain.drive(&bought).await.expect("driven");
    let as_bought = plain.export(&bought).await.expect("exported");
    let by = || Operator { who: "ada".to_owned(), why: "a test".to_owned() };
    for action in [Action::Stop, Action::Resize { sku: "large".parse().expect("a name") }, Action::Start] {
        plain.act(&bought, 0, action, by()).await.expect("done");
    }
    let resized = plain.export(&bought).await.expect("exported");
    assert_ne!(as_bought.order.steps[0].lease.sku, resized.order.steps[0].lease.sku);
    plain.cancel_by(&bought, by()).await.expect("ended");
    let ended = plain.export(&bought).await.expect("exported");
    let failed_over = failing.export(&failed_over).await.expect("exported");
    let found: BTreeSet<_> = [failed_over, as_bought, resized, ended].iter().flat_map(unnoticed).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), UNPROVEN);
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
    assert_eq!(engine.purge(last).await.expect("nothing is old enough"), 0);
    assert_eq!(engine.purge(later()).await.expect("forgotten"), 2);
    assert_eq!(engine.purge(later()).await.expect("nothing is left"), 0);
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
    assert_eq!(engine.purge(later()).await.expect("forgotten"), 1);
    let outcome = engine.repair(&RepairPolicy::all()).await.expect("reconciled");
    let found: Vec<_> = outcome.findings.iter().map(|it| (it.kind, it.service.clone())).collect();
    assert_eq!(found, [(FindingKind::Unknown, late.id)]);
    assert!(outcome.repaired.is_empty() && outcome.recorded.is_empty(), "{outcome:?}");
}

/// What nothing reads, nothing checks; and of a field that is there twice one reader takes the first, another one the last.
#[tokio::test]
async fn an_archive_has_no_field_that_nobody_knows_and_none_twice() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine = engine(&clouds, sqlite().await);
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    let text = engine.export(&order.id).await.expect("exported").to_json().expect("text");
    OrderArchive::from_json(&text).expect("an archive");
    let places = [
        (r#"{"format""#, r#"{"approved_by":"the CEO","format""#),
        (r#""order":{"#, r#""order":{"approved_by":"the CEO","#),
        (r#""steps":[{"#, r#""steps":[{"approved_by":"the CEO","#),
        (r#""policy":{"#, r#""policy":{"approved_by":"the CEO","#),
        (r#""events":[{"#, r#""events":[{"approved_by":"the CEO","#),
        (r#""service":{"#, r#""service":{"approved_by":"the CEO","#),
        (r#""order":{"#, r#""order":{"reason":"refused","#),
        (r#""service":{"#, r#""service":{"id":"other","#),
        (r#""event":"order""#, r#""event":"order","state":"refused""#),
        (r#""reason":null"#, r#""reason":"LIE","reason":null"#),
        (r#""accepted":{"#, r#""accepted":{"is_approved":true,"#),
    ];
    for (from, to) in places {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let why = OrderArchive::from_json(&changed).expect_err(to).to_string();
        assert!(["twice", "unknown", "duplicate"].iter().any(|word| why.contains(word)), "{to}: {why}");
    }
    // What is nothing may be written as nothing.
    let same = text.replacen(r#""order":{"#, r#""order":{"cancellation":null,"#, 1);
    OrderArchive::from_json(&same).expect("an archive").verify().expect("it holds");
}

#[tokio::test]
async fn an_archive_claims_no_approval_and_no_cancellation_of_which_no_event_tells() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine = engine(&clouds, sqlite().await);
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    let archive = engine.export(&order.id).await.expect("exported");
    let by = Some(Operator { who: "boss".to_owned(), why: "fraud".to_owned() });
    let mut changed = archive.clone();
    changed.order.is_approved = true;
    assert!(matches!(changed.verify(), Err(LedgerError::Damaged(_))), "nobody has approved it");
    let mut changed = archive.clone();
    changed.order.cancellation = Some(Cancellation { at: None, by: by.clone() });
    assert!(matches!(changed.verify(), Err(LedgerError::Damaged(_))), "nobody has cancelled it");
    engine.cancel(&order.id).await.expect("cancelled");
    let archive = engine.export(&order.id).await.expect("exported");
    archive.verify().expect("it holds");
    let cancelled = archive.order.cancellation.clone().expect("it is cancelled");
    for other in [Cancellation { at: None, ..cancelled.clone() }, Cancellation { by, ..cancelled }] {
        let mut changed = archive.clone();
        changed.order.cancellation = Some(other);
        assert!(matches!(changed.verify(), Err(LedgerError::Damaged(_))));
    }
}
