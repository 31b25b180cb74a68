//! What an operation's handle names is asked for before it is believed that nothing is there, and what is done to a service is
//! believed once the service shows it.

use std::{sync::atomic::Ordering, time::Duration};

use fulcrum_core::{
    model::{Action, FindingKind, Operator, Order, OrderState, Policy, Service, StepState},
    provider::IdempotencyClass,
};

use crate::{
    faulty_provider::{Odd, one},
    support::{cloud, count},
};

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 20 };
const CLASSES: [IdempotencyClass; 3] = [IdempotencyClass::Natural, LAGGING, IdempotencyClass::None];

fn policy() -> Policy {
    Policy::default().with_allow_non_idempotent_purchase(true)
}

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "a test".to_owned() }
}

/// Its operation is forgotten for a moment, and lists never show what was made.
#[tokio::test]
async fn what_only_its_handle_finds_is_not_bought_again() {
    for class in CLASSES {
        let odd = Odd::new(cloud("alpha", None).idempotency(class).list_lag(20).build());
        odd.hides.store(true, Ordering::SeqCst);
        odd.forgets.store(1, Ordering::SeqCst);
        let engine = odd.engine().await;
        let order = engine.accept(one(), policy(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{class:?}: {:?}", order.reason);
        assert_eq!(odd.asked.load(Ordering::SeqCst), 1, "{class:?}: it was asked for again");
    }
}

/// An order is undone while its machine is being made, and lists never show it.
#[tokio::test]
async fn what_only_its_handle_finds_is_ended() {
    for class in CLASSES {
        let odd = Odd::new(cloud("alpha", None).idempotency(class).list_lag(20).build());
        odd.hides.store(true, Ordering::SeqCst);
        odd.is_silent.store(true, Ordering::SeqCst);
        let engine = odd.engine().await;
        let policy = policy().with_step_timeout_s(1);
        let order = engine.accept(one(), policy, None).await.expect("accepted");
        let heals = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            odd.is_silent.store(false, Ordering::SeqCst);
        };
        let (order, ()) = tokio::join!(engine.drive(&order.id), heals);
        let order = order.expect("driven");
        assert_eq!(order.state, OrderState::Failed, "{class:?}: {:?}", order.reason);
        let (alive, _) = count(std::slice::from_ref(&odd.cloud));
        assert_eq!((odd.asked.load(Ordering::SeqCst), alive), (1, 0), "{class:?}: something is left");
    }
}

async fn bought(odd: &std::sync::Arc<Odd>) -> (fulcrum_core::purchase::Engine, Order) {
    let engine = odd.engine().await;
    let policy = Policy::default().with_step_timeout_s(3);
    let order = engine.accept(one(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    (engine, order)
}

fn held(order: &Order) -> &Service {
    match &order.steps[0].state {
        StepState::Committed { service } => service,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_action_that_changes_nothing_was_not_done() {
    let odd = Odd::new(cloud("alpha", None).idempotency(LAGGING).build());
    let (engine, order) = bought(&odd).await;
    odd.only_says_done.store(true, Ordering::SeqCst);
    let order = engine.act(&order.id, 0, Action::Stop, by()).await.expect("driven");
    let reason = order.reason.clone().unwrap_or_default();
    assert_eq!(order.state, OrderState::Committed);
    assert!(reason.contains("stop of small at alpha was not done") && reason.contains("running"), "{reason}");
    assert_eq!(odd.acted.load(Ordering::SeqCst), 1);
    assert!(engine.reconcile().await.expect("reconciled").is_clean(), "it runs, as the ledger says");
}

#[tokio::test]
async fn an_action_after_which_it_is_something_else_was_not_done_and_a_scan_tells() {
    type Change = fn(Service) -> Service;
    let changes: [(&str, Change); 2] = [
        ("huge", |mut service| {
            service.sku = "huge".parse().expect("a name");
            service
        }),
        ("mars-1", |mut service| {
            service.place.region = "mars-1".parse().expect("a name");
            service
        }),
    ];
    for (what, change) in changes {
        for action in [Action::Stop, Action::Resize { sku: "small".parse().expect("a name") }] {
            let odd = Odd::new(cloud("alpha", None).idempotency(LAGGING).build());
            let (engine, order) = bought(&odd).await;
            let before = held(&order).clone();
            *odd.says.lock().expect("no panic") = change;
            let order = engine.act(&order.id, 0, action.clone(), by()).await.expect("driven");
            let reason = order.reason.clone().unwrap_or_default();
            assert!(reason.contains("was not done") && reason.contains(what), "{action:?}: {reason}");
            let now = held(&order);
            assert_eq!((&now.sku, &now.place), (&before.sku, &before.place), "{action:?}");
            assert_eq!(order.steps[0].lease.sku.as_str(), "small");
            let scan = engine.reconcile().await.expect("reconciled");
            let kinds: Vec<_> = scan.findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, [FindingKind::Drifted], "{action:?}: {scan:?}");
        }
    }
}
