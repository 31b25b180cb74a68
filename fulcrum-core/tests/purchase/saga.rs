//! An order ends with all of its services or with none, whatever goes wrong on the way.

use std::{sync::Arc, time::Duration};

use crate::support::{self, clouds, count, plan, providers};
use fulcrum_core::{
    ledger::SqliteLedger,
    model::{
        Operator, OperatorAction, Order, OrderEventKind, OrderId, OrderState, Policy, Shortage, Step,
        StepState,
    },
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError, sold_out},
};
use futures::StreamExt;
use tempfile::TempDir;

const KEY: IdempotencyClass = IdempotencyClass::Key;
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 60 };
const LONG: Duration = Duration::from_secs(300);
/// What is taken over is looked for as long as a claim lasts.
const TAKE_OVER: Duration = Duration::from_secs(1);

fn fault(call: Call, fault: Fault) -> FaultRule {
    FaultRule { call, sku: None, nth: 1, times: 1, fault }
}

async fn buy(class: IdempotencyClass, faults: &[FaultRule], policy: Policy) -> (Order, Vec<Sandbox>, Engine) {
    let clouds = clouds(None, class, "gamma", faults);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    (order, clouds, engine)
}

#[tokio::test]
async fn a_plan_becomes_one_service_for_each_lease() {
    let (order, clouds, engine) = buy(KEY, &[], Policy::default()).await;
    assert_eq!(order.state, OrderState::Committed);
    let (alive, of_key) = count(&clouds);
    assert_eq!((alive, of_key.len()), (3, 3));
    support::assert_clean(&engine.reconcile().await.expect("reconciled"));
}

#[tokio::test]
async fn every_fault_that_passes_ends_committed_without_doubles() {
    let passing = [
        Fault::RateLimited { retry_after_ms: 1 },
        Fault::Unavailable,
        Fault::NotSent,
        Fault::AmbiguousHappened,
        Fault::AmbiguousLost,
        Fault::Late { ms: 20 },
    ];
    for class in [KEY, LAGGING, IdempotencyClass::Natural] {
        for kind in &passing {
            for call in [Call::Provision, Call::Poll, Call::FindByKey] {
                let lost = fault(Call::Provision, Fault::AmbiguousHappened);
                let faults = if call == Call::FindByKey {
                    vec![lost, fault(call, kind.clone())]
                } else {
                    vec![fault(call, kind.clone())]
                };
                let (order, clouds, _) = buy(class, &faults, Policy::default()).await;
                assert_eq!(
                    order.state,
                    OrderState::Committed,
                    "{class:?} {call} {kind:?}: {:?}",
                    order.reason
                );
                let (alive, of_key) = count(&clouds);
                assert_eq!((alive, of_key.len()), (3, 3), "{class:?} {call} {kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_fault_that_stays_ends_failed_with_nothing_left() {
    let lasting = [
        Fault::Refused,
        Fault::Unauthorised,
        Fault::Forbidden,
        Fault::Quota,
        Fault::SoldOut,
        Fault::OperationFails { leaves_resource: true, shortage: None },
        Fault::OperationFails { leaves_resource: false, shortage: None },
        Fault::OperationFails { leaves_resource: true, shortage: Some(Shortage::Quota) },
    ];
    for class in [KEY, LAGGING] {
        for kind in &lasting {
            let (order, clouds, engine) =
                buy(class, &[fault(Call::Provision, kind.clone())], Policy::default()).await;
            assert_eq!(order.state, OrderState::Failed, "{class:?} {kind:?}");
            assert!(
                order.reason.as_deref().is_some_and(|reason| reason.contains("gamma")),
                "{:?}",
                order.reason
            );
            assert_eq!(count(&clouds).0, 0, "{class:?} {kind:?} left something running");
            support::assert_clean(&engine.reconcile().await.expect("reconciled"));
            let is_capacity = matches!(
                kind,
                Fault::SoldOut | Fault::Quota | Fault::OperationFails { shortage: Some(_), .. }
            );
            assert_eq!(sold_out(&order).len(), usize::from(is_capacity), "{kind:?}");
        }
    }
}

/// Where asking again is safe it is done at once; that the second call is refused does not tell what the first one has done.
#[tokio::test]
async fn a_refused_repeat_is_no_proof_that_the_lost_call_made_nothing() {
    for class in [KEY, IdempotencyClass::Natural] {
        for lost in [Fault::AmbiguousHappened, Fault::AmbiguousLost] {
            for refusal in [Fault::SoldOut, Fault::Quota, Fault::Forbidden, Fault::Refused] {
                let build = |name: &&str| {
                    let builder = support::cloud(name, None).idempotency(class).list_lag(200);
                    let second = FaultRule { nth: 2, times: 1000, ..fault(Call::Provision, refusal.clone()) };
                    match *name {
                        "gamma" => builder.fault(fault(Call::Provision, lost.clone())).fault(second).build(),
                        _ => builder.build(),
                    }
                };
                let clouds: Vec<Sandbox> = support::CLOUDS.iter().map(build).collect();
                let ledger = SqliteLedger::in_memory().await.expect("a ledger");
                let engine = Engine::new(providers(&clouds), Arc::new(ledger));
                let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
                let order = engine.drive(&order.id).await.expect("driven");
                let made = clouds[2].resources().expect("state").len();
                let context = format!("{class:?} {lost:?} {refusal:?}: {:?}", order.reason);
                assert_eq!(made, usize::from(lost == Fault::AmbiguousHappened), "{context}");
                assert_eq!((order.state, count(&clouds).0), (OrderState::Failed, 0), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_release_that_goes_wrong_is_tried_until_nothing_is_left() {
    for kind in [Fault::AmbiguousHappened, Fault::AmbiguousLost, Fault::Unavailable] {
        let release = FaultRule { times: 2, ..fault(Call::Release, kind.clone()) };
        let (order, clouds, engine) = buy(KEY, &[release], Policy::default()).await;
        assert_eq!(order.state, OrderState::Committed);
        let order = engine.cancel(&order.id).await.expect("cancelled");
        assert_eq!(order.state, OrderState::Ended, "{kind:?}");
        assert_eq!(count(&clouds).0, 0, "{kind:?} left something running");
    }
}

#[tokio::test]
async fn a_provider_that_refuses_both_ways_leaves_the_order_stuck_and_says_at_what() {
    let release = FaultRule { times: 1000, ..fault(Call::Release, Fault::Forbidden) };
    let policy = Policy::default().with_compensation_timeout_s(0);
    let (order, _, engine) = buy(KEY, &[release], policy).await;
    let order = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!(order.state, OrderState::Stuck);
    let reason = order.reason.expect("a reason");
    assert!(reason.contains("gamma") && reason.contains(order.steps[2].key.as_str()), "{reason}");
}

fn operator() -> Operator {
    Operator { who: "ada".to_owned(), why: "rights were mended".to_owned() }
}

#[tokio::test]
async fn a_person_lets_a_stuck_order_be_undone_once_more_and_that_is_recorded() {
    // Refused as often as the order tries by itself, and not once more.
    let release = FaultRule { times: 1, ..fault(Call::Release, Fault::Forbidden) };
    let policy = Policy::default().with_compensation_timeout_s(0);
    let (order, clouds, engine) = buy(KEY, &[release], policy).await;
    let refused = engine.retry(&order.id, operator()).await;
    assert!(matches!(refused, Err(PurchaseError::NotStuck(_))), "{refused:?}");
    // The claim that it took is given back by then.
    let claim = engine.ledger().claim(&order.id, "another host", Duration::ZERO).await.expect("free");
    engine.ledger().relinquish(&claim).await.expect("released");
    let order = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!(order.state, OrderState::Stuck);
    for by in [Operator { who: " ".to_owned(), ..operator() }, Operator { why: String::new(), ..operator() }]
    {
        let refused = engine.retry(&order.id, by).await;
        assert!(matches!(refused, Err(PurchaseError::OperatorRequired(_))), "{refused:?}");
    }
    let order = engine.retry(&order.id, operator()).await.expect("undone");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Ended, 0));
    let events = engine.ledger().events(0, Some(&order.id), 1_000).await.expect("events");
    let expected = OrderEventKind::Operator { by: operator(), action: OperatorAction::Retry };
    assert!(events.iter().any(|event| event.kind == expected), "{events:#?}");
    engine.ledger().verify(&order.id).await.expect("whole");
}

#[tokio::test]
async fn a_person_gives_a_stuck_order_up_and_may_still_settle_it() {
    let release = FaultRule { times: 1000, ..fault(Call::Release, Fault::Forbidden) };
    let policy = Policy::default().with_compensation_timeout_s(0);
    let (order, clouds, engine) = buy(KEY, &[release], policy).await;
    assert!(matches!(engine.abandon(&order.id, operator()).await, Err(PurchaseError::NotStuck(_))));
    engine.cancel(&order.id).await.expect("cancelled");
    let order = engine.abandon(&order.id, operator()).await.expect("given up");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Abandoned, 1));
    assert!(engine.resume_all().await.expect("resumed").is_empty());
    let found = engine.reconcile().await.expect("reconciled");
    assert_eq!(found.findings.len(), 1, "what is left is told: {found:?}");
    let events = engine.ledger().events(0, Some(&order.id), 1000).await.expect("events");
    let is_told = |event: &fulcrum_core::model::OrderEvent| {
        matches!(&*event.kind, OrderEventKind::Operator { action: OperatorAction::Abandon, .. })
    };
    assert!(events.iter().any(is_told));
    let order = engine.settle(&order.id, 2, operator(), "ended by hand".to_owned()).await.expect("settled");
    assert_eq!(order.state, OrderState::Ended);
}

#[tokio::test]
async fn a_person_settles_what_is_stuck_with_evidence() {
    let release = FaultRule { times: 1000, ..fault(Call::Release, Fault::Forbidden) };
    let policy = Policy::default().with_compensation_timeout_s(0);
    let (order, _, engine) = buy(KEY, &[release], policy).await;
    let order = engine.cancel(&order.id).await.expect("cancelled");
    let is_stuck = |step: &&Step| matches!(step.state, StepState::Stuck { .. });
    let stuck: Vec<u32> = order.steps.iter().filter(is_stuck).map(|step| step.index).collect();
    assert_eq!(stuck, [2], "gamma alone refuses");
    let seen = || "ended by hand, ticket 4711".to_owned();
    let refused = engine.settle(&order.id, 0, operator(), seen()).await;
    assert!(matches!(refused, Err(PurchaseError::NotStuck(_))), "{refused:?}");
    let refused = engine.settle(&order.id, 2, operator(), " ".to_owned()).await;
    assert!(matches!(refused, Err(PurchaseError::OperatorRequired(_))), "{refused:?}");
    let order = engine.settle(&order.id, 2, operator(), seen()).await.expect("settled");
    assert_eq!(order.state, OrderState::Ended);
    assert!(order.reason.expect("a reason").contains("ada"));
    let events = engine.ledger().events(0, Some(&order.id), 1_000).await.expect("events");
    let action = OperatorAction::Settle { index: 2, evidence: seen() };
    assert!(
        events
            .iter()
            .any(|event| event.kind == OrderEventKind::Operator { by: operator(), action: action.clone() })
    );
}

#[tokio::test]
async fn a_price_that_rose_beyond_the_tolerance_buys_nothing() {
    let dearer = |factor: &str| {
        let factor = factor.parse().expect("a factor");
        support::cloud("gamma", None).price_factor("small".parse().expect("a name"), factor).build()
    };
    for (factor, percent, expected) in [
        ("1.01", "0", OrderState::Refused),
        ("1.01", "1", OrderState::Committed),
        ("0.5", "0", OrderState::Committed),
    ] {
        let clouds =
            [support::cloud("alpha", None).build(), support::cloud("beta", None).build(), dearer(factor)];
        let engine =
            Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
        let policy = Policy::default().with_price_tolerance_percent(percent.parse().expect("a number"));
        let order = engine.accept(plan(), policy, None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, expected, "{factor} at {percent} %");
        let ever: usize = clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum();
        assert_eq!(ever, if expected == OrderState::Committed { 3 } else { 0 });
    }
}

#[tokio::test]
async fn an_expired_plan_buys_nothing() {
    let policy = Policy::default().with_valid_until(jiff::Timestamp::UNIX_EPOCH);
    let (order, clouds, _) = buy(KEY, &[], policy).await;
    assert_eq!(order.state, OrderState::Refused);
    assert!(clouds.iter().all(|cloud| cloud.resources().expect("state").is_empty()));
}

#[tokio::test]
async fn accepting_the_same_order_twice_buys_once() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine =
        Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let id = OrderId::generate();
    for _ in 0..2 {
        engine.accept(plan(), Policy::default(), Some(id.clone())).await.expect("accepted");
        engine.drive(&id).await.expect("driven");
    }
    assert_eq!(count(&clouds).0, 3);
    let mut other = plan();
    other.blueprint = "another".to_owned();
    let taken = engine.accept(other, Policy::default(), Some(id)).await;
    assert!(matches!(taken, Err(PurchaseError::IdTaken(_))));
}

#[tokio::test]
async fn a_provider_that_cannot_tell_a_repeat_is_refused_before_anything_is_bought() {
    let clouds = clouds(None, IdempotencyClass::None, "", &[]);
    let engine =
        Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let refused = engine.accept(plan(), Policy::default(), None).await;
    assert!(matches!(refused, Err(PurchaseError::NotBuyable { .. })), "{refused:?}");
}

#[tokio::test]
async fn two_hosts_on_one_file_never_drive_one_order_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let clouds = clouds(Some(folder.path()), LAGGING, "", &[]);
    let path = folder.path().join("orders.db");
    let mut engines = Vec::new();
    for _ in 0..2 {
        let ledger = SqliteLedger::open(&path).await.expect("a ledger");
        engines.push(Engine::new(providers(&clouds), Arc::new(ledger)));
    }
    let order = engines[0].accept(plan(), Policy::default(), None).await.expect("accepted");
    // Who comes second follows the work of the first.
    let (one, other) = tokio::join!(engines[0].drive(&order.id), engines[1].drive(&order.id));
    let states = [one, other].map(|driven| driven.expect("driven or followed").state);
    assert_eq!(states, [OrderState::Committed; 2]);
    assert_eq!(count(&clouds).0, 3);
}

#[tokio::test]
async fn dropping_the_driver_leaves_an_order_that_another_one_finishes() {
    let dropped_after = async |class, ms| {
        let folder = tempfile::tempdir().expect("a folder");
        let clouds = clouds(Some(folder.path()), class, "", &[]);
        let ledger = SqliteLedger::open(folder.path().join("orders.db")).await.expect("a ledger");
        let engine = Engine::new(providers(&clouds), Arc::new(ledger)).with_claim_ttl(TAKE_OVER);
        let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
        let _ = tokio::time::timeout(Duration::from_millis(ms), engine.drive(&order.id)).await;
        // What the dropped one held is given back by and by.
        let order = loop {
            engine.resume_all().await.expect("resumed");
            let order = engine.load(&order.id).await.expect("loaded");
            if order.state.is_final() {
                break order;
            }
        };
        assert_eq!(order.state, OrderState::Committed, "dropped after {ms} ms");
        let (alive, of_key) = count(&clouds);
        assert_eq!((alive, of_key.len()), (3, 3), "{class:?} dropped after {ms} ms");
    };
    let cases = [KEY, LAGGING].into_iter().flat_map(|class| [0, 1, 2, 3, 5, 8, 13].map(|ms| (class, ms)));
    futures::future::join_all(cases.map(|(class, ms)| dropped_after(class, ms))).await;
}

#[tokio::test]
async fn a_follower_sees_every_event_up_to_the_end() {
    let (order, _, engine) = buy(KEY, &[], Policy::default()).await;
    let events: Vec<_> = engine.follow(order.id.clone()).collect().await;
    let states: Vec<OrderState> = events
        .into_iter()
        .filter_map(|event| match event.expect("readable").kind.into_kind() {
            OrderEventKind::Order { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [OrderState::Accepted, OrderState::Provisioning, OrderState::Committed]);
}

#[tokio::test]
async fn a_dropped_driver_lets_the_next_one_go_on_at_once() {
    let clouds = clouds(None, KEY, "", &[]);
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger).with_claim_ttl(Duration::from_secs(3600));
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    // Dropped at its first wait, which is after the claim was taken.
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::from_micros(300), engine.drive(&order.id)).await;
    }
    // A dropped claim is given back a moment later, and not only when it ends by itself.
    let driven = tokio::time::timeout(LONG, engine.drive(&order.id)).await;
    assert_eq!(driven.expect("in time").expect("driven").state, OrderState::Committed);
    support::assert_clean(&engine.reconcile().await.expect("reconciled"));
}

#[tokio::test]
async fn a_purchase_can_be_spawned_as_a_task() {
    let clouds = clouds(None, KEY, "", &[]);
    let engine =
        Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let driven = tokio::spawn(async move {
        let order = engine.accept(plan(), Policy::default(), None).await?;
        engine.drive(&order.id).await?;
        engine.resume_all().await?;
        engine.cancel(&order.id).await
    });
    assert_eq!(driven.await.expect("no panic").expect("driven").state, OrderState::Ended);
}

#[tokio::test]
async fn what_a_plan_keeps_is_not_bought_again() {
    let clouds = clouds(None, KEY, "gamma", &[]);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    let mut again = plan();
    again.leases[0].keeps = Some("what runs".parse().expect("a name"));
    let order = engine.accept(again.clone(), Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!((order.state, order.steps.len()), (OrderState::Committed, 2));
    assert_eq!(count(&clouds).0, 2);
    for lease in &mut again.leases {
        lease.keeps = Some("what runs".parse().expect("a name"));
    }
    let refused = engine.accept(again, Policy::default(), None).await;
    assert!(matches!(refused, Err(PurchaseError::InvalidPlan(_))), "{refused:?}");
}

#[tokio::test]
async fn resuming_waits_for_the_claim_of_a_dead_host_to_lapse() {
    let clouds = clouds(None, KEY, "", &[]);
    let ledger: Arc<dyn fulcrum_core::ledger::Ledger> =
        Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger.clone()).with_claim_ttl(LONG);
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    // Its host dies at once: nobody renews this.
    ledger.claim(&order.id, "a host that died", Duration::from_millis(300)).await.expect("claimed");
    let resumed = engine.resume_all().await.expect("resumed");
    assert_eq!(resumed.iter().map(|order| order.state).collect::<Vec<_>>(), [OrderState::Committed]);
}

/// As after a stop that was longer than the claim, again and again: the order may be another host's by now. Such a host calls
/// nobody, and follows what the other one does.
#[tokio::test]
async fn a_host_whose_claim_may_have_ended_makes_no_call_and_follows_the_next_one() {
    let clouds = clouds(None, KEY, "", &[]);
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let late = Engine::new(providers(&clouds), ledger.clone()).with_claim_ttl(Duration::ZERO);
    let order = late.accept(plan(), Policy::default(), None).await.expect("accepted");
    let moment = Duration::from_millis(300);
    assert!(tokio::time::timeout(moment, late.drive(&order.id)).await.is_err(), "nobody has driven it");
    assert_eq!(count(&clouds).0, 0, "it called in spite of that");
    let engine = Engine::new(providers(&clouds), ledger);
    let (followed, driven) = tokio::join!(late.drive(&order.id), engine.drive(&order.id));
    let states = [followed, driven].map(|driven| driven.expect("driven or followed").state);
    assert_eq!((states, count(&clouds).0), ([OrderState::Committed; 2], 3));

    assert!(tokio::time::timeout(moment, late.cancel(&order.id)).await.is_err(), "nobody has undone it");
    assert_eq!(count(&clouds).0, 3, "it released in spite of that");
    // That it is to be undone is noted, and is work for whoever comes.
    let (followed, driven) = tokio::join!(late.drive(&order.id), engine.drive(&order.id));
    let states = [followed, driven].map(|driven| driven.expect("driven or followed").state);
    assert_eq!((states, count(&clouds).0), ([OrderState::Ended; 2], 0));
}

/// An order that was bought, and a ledger that was restored from a copy of before that.
async fn restored(class: IdempotencyClass, faults: &[FaultRule]) -> (TempDir, OrderId, Vec<Sandbox>, Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.db");
    let clouds = clouds(None, class, "gamma", faults);
    let open = async || {
        let ledger = SqliteLedger::open(&file).await.expect("a ledger");
        Engine::new(providers(&clouds), Arc::new(ledger))
    };
    let order = open().await.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    // A copy as SQLite makes it, of one moment.
    let copy = folder.path().join("copy.db");
    let source = sqlx::SqlitePool::connect(file.to_str().expect("a path")).await.expect("opened");
    let into = format!("VACUUM INTO '{}'", copy.display());
    sqlx::query(sqlx::AssertSqlSafe(into)).execute(&source).await.expect("copied");
    source.close().await;
    let driven = open().await.drive(&order).await.expect("driven");
    assert_eq!((driven.state, count(&clouds).0), (OrderState::Committed, 3));
    tokio::time::sleep(Duration::from_millis(80)).await; // a copy is older than any list's lag
    for gone in ["db", "db-wal", "db-shm"] {
        let _ = std::fs::remove_file(file.with_extension(gone));
    }
    std::fs::rename(&copy, &file).expect("restored");
    let engine = open().await;
    (folder, order, clouds, engine)
}

/// A ledger that is restored from an older copy knows less than the clouds: what exists is adopted, not bought again.
#[tokio::test]
async fn a_ledger_restored_from_an_older_copy_adopts_what_exists() {
    for class in [KEY, LAGGING, IdempotencyClass::Natural] {
        let (_folder, order, clouds, engine) = restored(class, &[]).await;
        if class == IdempotencyClass::Natural {
            let order = engine.cancel(&order).await.expect("cancelled");
            assert_eq!((order.state, count(&clouds).0), (OrderState::Failed, 0));
            continue;
        }
        let order = engine.drive(&order).await.expect("driven again");
        assert_eq!((order.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
        assert_eq!(order.steps.len(), 3);
        assert!(engine.reconcile().await.expect("reconciled").is_clean(), "{class:?}");
    }
}

/// That it is sold out by now does not tell that it was never bought.
#[tokio::test]
async fn what_is_sold_out_when_a_ledger_is_restored_is_not_left_behind() {
    for class in [KEY, LAGGING, IdempotencyClass::Natural] {
        let sold_out = FaultRule { nth: 2, times: 1000, ..fault(Call::Provision, Fault::SoldOut) };
        let (_folder, order, clouds, engine) = restored(class, &[sold_out]).await;
        let order = engine.drive(&order).await.expect("driven again");
        let expected = match class {
            // Looked for first.
            LAGGING => (OrderState::Committed, 3),
            _ => (OrderState::Failed, 0),
        };
        assert_eq!((order.state, count(&clouds).0), expected, "{class:?}: {:?}", order.reason);
        assert!(engine.reconcile().await.expect("reconciled").is_clean(), "{class:?}");
    }
}
