//! What is done to services of an order that is done: once, recorded, and safe to repeat.

use std::{sync::Arc, time::Duration};

use crate::support::{CLOUDS, clouds, count, offers, plan, providers};
use fulcrum_core::{
    ledger::SqliteLedger,
    model::{
        Action, Operator, OperatorAction, Order, OrderEventKind, OrderState, Policy, ServiceStatus, StepState,
    },
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "saves money at night".to_owned() }
}

fn fault(call: Call, times: u32, fault: Fault) -> FaultRule {
    FaultRule { call, sku: None, nth: 1, times, fault }
}

async fn bought(faults: &[FaultRule]) -> (Order, Vec<Sandbox>, Engine) {
    bought_with(faults, |engine| engine).await
}

/// The three clouds, which have a large machine too.
fn with_large(faults: &[FaultRule]) -> Vec<Sandbox> {
    let build = |name: &&str| {
        let mut all = offers(name);
        let mut large = all[0].clone();
        large.sku = "large".parse().expect("a name");
        all.push(large);
        let builder = Sandbox::builder(name.parse().expect("a name"), all)
            .operation(Duration::from_millis(1), Duration::from_millis(3))
            .idempotency(LAGGING);
        let faults = if *name == "gamma" { faults } else { &[] };
        faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone())).build()
    };
    CLOUDS.iter().map(build).collect()
}

async fn bought_with(faults: &[FaultRule], host: impl Fn(Engine) -> Engine) -> (Order, Vec<Sandbox>, Engine) {
    let clouds = with_large(faults);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = host(Engine::new(providers(&clouds), Arc::new(ledger)));
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed);
    (order, clouds, engine)
}

/// What the ledger and the cloud say of gamma's service.
fn status(order: &Order, clouds: &[Sandbox]) -> (ServiceStatus, ServiceStatus) {
    let StepState::Committed { service } = &order.steps[2].state else { panic!("{:?}", order.steps[2]) };
    (service.status, clouds[2].resources().expect("state")[0].service.status)
}

const STOPPED: (ServiceStatus, ServiceStatus) = (ServiceStatus::Stopped, ServiceStatus::Stopped);
const RUNNING: (ServiceStatus, ServiceStatus) = (ServiceStatus::Running, ServiceStatus::Running);

#[tokio::test]
async fn a_service_is_stopped_and_started_again_and_that_is_recorded() {
    let (order, clouds, engine) = bought(&[]).await;
    let order = engine.act(&order.id, 2, Action::Stop, by()).await.expect("stopped");
    assert_eq!((order.state, status(&order, &clouds)), (OrderState::Committed, STOPPED));
    assert!(engine.reconcile().await.expect("reconciled").is_clean(), "it was to be stopped");
    let order = engine.act(&order.id, 2, Action::Start, by()).await.expect("started");
    assert_eq!(status(&order, &clouds), RUNNING);
    let sku = "large".parse().expect("a name");
    let order = engine.act(&order.id, 2, Action::Resize { sku }, by()).await.expect("resized");
    assert_eq!(order.steps[2].lease.sku.as_str(), "large");
    let events = engine.ledger().events(0, Some(&order.id), 1000).await.expect("events");
    let wanted = events.iter().filter(|event| {
        let OrderEventKind::Operator { by: who, action } = &*event.kind else { return false };
        *who == by() && matches!(action, OperatorAction::Act { index: 2, wanted: Some(_) })
    });
    assert_eq!(wanted.count(), 3);
    engine.ledger().verify(&order.id).await.expect("a whole chain");
}

/// What was all there in time is not undone because something is done to it later.
#[tokio::test]
async fn the_time_of_an_order_is_that_of_its_purchase() {
    let clouds = with_large(&[]);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    let policy = Policy::default().with_order_timeout_s(5);
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    tokio::time::sleep(Duration::from_millis(5200)).await;
    let stopped = engine.act(&order.id, 2, Action::Stop, by()).await.expect("stopped");
    assert_eq!((stopped.state, count(&clouds).0), (OrderState::Committed, 3), "{:?}", stopped.reason);
}

/// One of three services refuses to end.
async fn with_one_stuck(times: u32) -> (Order, Vec<Sandbox>, Engine) {
    let clouds = with_large(&[fault(Call::Release, times, Fault::Forbidden)]);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    let policy = Policy::default().with_compensation_timeout_s(0);
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    assert_eq!(engine.drive(&order.id).await.expect("driven").state, OrderState::Committed);
    let stuck = engine.release(&order.id, 2, by()).await.expect("driven");
    assert_eq!((stuck.state, count(&clouds).0), (OrderState::Stuck, 3), "{:?}", stuck.reason);
    assert!(
        matches!(&stuck.steps[2].state, StepState::Stuck { service: Some(_), .. }),
        "what is stuck is known by name: {:?}",
        stuck.steps[2]
    );
    (stuck, clouds, engine)
}

/// The other services of an order are wanted, whatever becomes of one.
#[tokio::test]
async fn one_service_that_refuses_to_end_ends_no_others() {
    let (order, clouds, engine) = with_one_stuck(1000).await;
    let settled = engine.settle(&order.id, 2, by(), "ended by hand".to_owned()).await.expect("settled");
    assert_eq!((settled.state, count(&clouds).0), (OrderState::Committed, 3), "{:?}", settled.reason);
    let lines = |index: usize| settled.steps[index].lease.lines[0].monthly;
    assert_eq!(settled.monthly(), Some(lines(0) + lines(1)));
    let ended = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!(ended.state, OrderState::Ended, "{:?}", ended.reason);

    let (order, clouds, engine) = with_one_stuck(2).await;
    let again = engine.retry(&order.id, by()).await.expect("driven");
    assert_eq!((again.state, count(&clouds).0), (OrderState::Committed, 2), "{:?}", again.reason);
    let ended = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!((ended.state, count(&clouds).0), (OrderState::Ended, 0), "{:?}", ended.reason);
}

/// A host that is away for longer than its claim lives: nobody hears of it, and all is done once.
#[tokio::test]
async fn a_person_never_hears_that_a_claim_was_lost() {
    let slow = fault(Call::Act, 3, Fault::Late { ms: 400 });
    let (order, clouds, engine) =
        bought_with(&[slow], |engine| engine.with_claim_ttl(Duration::from_millis(100))).await;
    let order = engine.act(&order.id, 2, Action::Stop, by()).await.expect("stopped");
    assert_eq!((order.state, status(&order, &clouds)), (OrderState::Committed, STOPPED));
    let order = engine.release(&order.id, 2, by()).await.expect("released");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Committed, 2));
}

#[tokio::test]
async fn an_action_that_is_done_already_is_not_sent_again() {
    // Every call would be refused.
    let (order, _, engine) = bought(&[fault(Call::Act, 1000, Fault::Forbidden)]).await;
    let order = engine.act(&order.id, 2, Action::Start, by()).await.expect("it runs");
    assert_eq!(order.state, OrderState::Committed);
    assert!(!order.reason.as_deref().is_some_and(|why| why.contains("not done")), "{:?}", order.reason);
}

#[tokio::test]
async fn whatever_goes_wrong_on_the_way_an_action_is_done_once_or_said_not_to_be() {
    let passing = [
        Fault::RateLimited { retry_after_ms: 1 },
        Fault::Unavailable,
        Fault::NotSent,
        Fault::AmbiguousHappened,
        Fault::AmbiguousLost,
        Fault::Late { ms: 20 },
    ];
    for kind in passing {
        for call in [Call::Act, Call::Poll, Call::Describe] {
            // The first poll belongs to the purchase.
            let nth = if call == Call::Poll { 3 } else { 1 };
            let (order, clouds, engine) = bought(&[FaultRule { nth, ..fault(call, 1, kind.clone()) }]).await;
            let order = engine.act(&order.id, 2, Action::Stop, by()).await.expect("driven");
            assert_eq!(
                (order.state, status(&order, &clouds)),
                (OrderState::Committed, STOPPED),
                "{call} {kind:?}"
            );
        }
    }
    for kind in [Fault::Refused, Fault::Forbidden, Fault::Unauthorised] {
        let (order, clouds, engine) = bought(&[fault(Call::Act, 1000, kind.clone())]).await;
        let order = engine.act(&order.id, 2, Action::Stop, by()).await.expect("driven");
        assert_eq!((order.state, status(&order, &clouds)), (OrderState::Committed, RUNNING), "{kind:?}");
        assert!(order.reason.as_deref().is_some_and(|why| why.contains("not done")), "{:?}", order.reason);
    }
}

/// Nothing shows afterwards whether a machine was rebooted.
#[tokio::test]
async fn what_sets_no_state_is_asked_for_again_only_where_a_key_keeps_it_from_coming_twice() {
    for (class, why) in [
        (IdempotencyClass::Natural, "cannot be told"),
        (LAGGING, "cannot be told"),
        // The sandbox knows no reboot: it was asked.
        (IdempotencyClass::Key, "cannot do that"),
    ] {
        let clouds = clouds(None, class, "gamma", &[fault(Call::Act, 1, Fault::AmbiguousLost)]);
        let ledger = SqliteLedger::in_memory().await.expect("a ledger");
        let engine = Engine::new(providers(&clouds), Arc::new(ledger));
        let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        let reboot = Action::Other { name: "reboot".to_owned() };
        let order = engine.act(&order.id, 2, reboot, by()).await.expect("driven");
        assert_eq!(status(&order, &clouds), RUNNING, "{class:?}");
        let reason = order.reason.unwrap_or_default();
        assert!(reason.contains(why), "{class:?}: {reason}");
    }
}

#[tokio::test]
async fn an_action_whose_driver_is_dropped_is_carried_out_by_the_next() {
    let mut stopped = 0;
    // A busy machine comes less far within so many polls.
    for polls in (1..40).chain((40..4_000).step_by(40)) {
        if polls > 40 && stopped > 0 {
            break;
        }
        let (order, clouds, engine) = bought(&[]).await;
        {
            let mut call = std::pin::pin!(engine.act(&order.id, 2, Action::Stop, by()));
            for _ in 0..polls {
                if futures::poll!(&mut call).is_ready() {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
        // What was written when the call was dropped may arrive a moment later.
        let until = std::time::Instant::now() + Duration::from_secs(60);
        stopped += loop {
            engine.resume_all().await.expect("resumed");
            let order = engine.load(&order.id).await.expect("loaded");
            let events = engine.ledger().events(0, Some(&order.id), u32::MAX).await.expect("events");
            let is_wanted = events.iter().any(|event| event.kind.text().contains("\"acting\""));
            // Dropped before it was written down, nothing was wanted.
            let expected = (OrderState::Committed, if is_wanted { STOPPED } else { RUNNING });
            let now = (order.state, status(&order, &clouds));
            if now == expected {
                break usize::from(is_wanted);
            }
            assert!(std::time::Instant::now() < until, "{polls}: {now:?} in place of {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
    }
    assert!(stopped > 0, "no action was ever begun");
}

#[tokio::test]
async fn one_service_is_released_and_then_the_last_ones() {
    let (order, clouds, engine) = bought(&[fault(Call::Release, 1, Fault::AmbiguousHappened)]).await;
    let order = engine.release(&order.id, 2, by()).await.expect("released");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Committed, 2));
    let again = engine.release(&order.id, 2, by()).await;
    assert!(matches!(again, Err(PurchaseError::NoService { step: 2, .. })), "{again:?}");
    engine.release(&order.id, 0, by()).await.expect("released");
    let order = engine.release(&order.id, 1, by()).await.expect("released");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Ended, 0));
    assert!(engine.reconcile().await.expect("reconciled").is_clean());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (order, _, engine) = bought(&[]).await;
    let nobody = Operator { who: " ".to_owned(), ..by() };
    assert!(matches!(
        engine.act(&order.id, 0, Action::Stop, nobody).await,
        Err(PurchaseError::OperatorRequired(_))
    ));
    for step in [3, u32::MAX] {
        let refused = engine.act(&order.id, step, Action::Stop, by()).await;
        assert!(matches!(refused, Err(PurchaseError::NoService { .. })), "{refused:?}");
    }
    let order = engine.cancel(&order.id).await.expect("cancelled");
    let refused = engine.act(&order.id, 0, Action::Stop, by()).await;
    assert!(matches!(refused, Err(PurchaseError::NoService { .. })), "{refused:?}");
}
