//! What the policy says is done, once, and what it does not say is not.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fulcrum_core::{
    ledger::LedgerError,
    model::{FindingKind, OrderState, Policy, RepairAction, ServiceStatus},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule},
    },
    purchase::{Engine, Record, Repair, RepairPolicy},
};
use futures::StreamExt;
use jiff::Timestamp;

use super::{Market, bought, copy, exists, held, market, short, stores};
use crate::support::{self, assert_clean, clouds, providers};

const BOTH: RepairPolicy = RepairPolicy {
    orphans: Repair::Release,
    duplicates: Repair::Release,
    missing: Record::Report,
    drifted: Record::Report,
    timeout_s: 60,
};

fn release(times: u32, fault: Fault) -> FaultRule {
    FaultRule { call: Call::Release, sku: None, nth: 1, times, fault }
}

/// Pain 1, on every store: the intent is written before the call, the outcome after it.
#[tokio::test]
async fn orphans_and_duplicates_are_ended_by_policy_and_that_is_written_down() {
    for ledger in stores().await {
        let clouds = clouds(None, super::LAGGING, "", &[]);
        let engine = Arc::new(Engine::new(providers(&clouds), ledger));
        let order = bought(&engine, Policy::default()).await;
        let market = Market { clouds, engine, order };
        let service = held(&market.order, 0);
        let second = copy(&market.clouds, &service, service.key.clone(), 0);
        let cancelled = bought(&market.engine, Policy::default()).await;
        let left = held(&cancelled, 1);
        market.engine.cancel(&cancelled.id).await.expect("cancelled");
        let left = copy(&market.clouds, &left, left.key.clone(), 0);

        let only = RepairPolicy { orphans: Repair::Release, ..RepairPolicy::default() };
        let outcome = market.engine.repair(&only).await.expect("repaired");
        assert_eq!(short(&outcome.repaired), [(FindingKind::Orphan, &left.id)]);
        assert!(exists(&market.clouds, &second), "the policy says nothing of duplicates");
        let outcome = market.engine.repair(&BOTH).await.expect("repaired");
        assert_eq!(short(&outcome.repaired), [(FindingKind::Duplicate, &second.id)]);
        assert_clean(&market.engine.reconcile().await.expect("reconciled"));
        assert!((0..3).all(|step| exists(&market.clouds, &held(&market.order, step))));
        let told = market.told().await;
        assert_eq!(
            told.iter().map(|(_, action)| action.clone()).collect::<Vec<_>>(),
            [RepairAction::Releasing, RepairAction::Released]
        );
        assert_eq!(told[0].0, outcome.repaired[0]);
    }
}

/// Pain 26: accepted, and then silent for longer than lists lag.
#[tokio::test]
async fn a_duplicate_that_appears_late_is_found_and_ended_by_a_later_scan() {
    let market = market(&[]).await;
    let service = held(&market.order, 1);
    let late = copy(&market.clouds, &service, service.key.clone(), 3_600_000);
    assert_clean(&market.engine.repair(&BOTH).await.expect("repaired"));
    market.change(&late, |resource| resource.visible_at = Timestamp::now());
    let outcome = market.engine.repair(&BOTH).await.expect("repaired");
    assert_eq!(short(&outcome.repaired), [(FindingKind::Duplicate, &late.id)]);
    assert!(exists(&market.clouds, &service) && !exists(&market.clouds, &late));
}

/// Pain 18: a provider that names things itself, loses the answer, and shows the service later than it says.
#[tokio::test]
async fn a_service_that_was_bought_twice_because_lists_lag_more_than_declared_is_ended_by_a_later_scan() {
    let lost = FaultRule { call: Call::Provision, ..release(1, Fault::AmbiguousHappened) };
    let mut clouds = clouds(None, super::LAGGING, "", &[]);
    let late = IdempotencyClass::Searchable { list_lag_ms: 3_600_000 };
    clouds[2] =
        support::cloud("gamma", None).idempotency(super::LAGGING).actual_class(late).fault(lost).build();
    let engine = Arc::new(Engine::new(providers(&clouds), Arc::new(super::sqlite().await)));
    let order = bought(&engine, Policy::default()).await;
    assert_eq!(support::count(&clouds).0, 4, "three were ordered");
    assert_clean(&engine.repair(&BOTH).await.expect("repaired"));
    // And then the hour is over.
    clouds[2]
        .tamper(|all| all.iter_mut().for_each(|resource| resource.visible_at = Timestamp::now()))
        .expect("written");
    let outcome = engine.repair(&BOTH).await.expect("repaired");
    assert_eq!(outcome.repaired.len(), 1, "{outcome:#?}");
    assert_eq!(outcome.repaired[0].kind, FindingKind::Duplicate);
    assert_eq!(support::count(&clouds).0, 3);
    assert!((0..3).all(|step| exists(&clouds, &held(&order, step))));
}

/// Pain 4: what may be all that is left of a step is nobody's to end.
#[tokio::test]
async fn a_duplicate_is_spared_when_what_its_step_holds_is_gone_or_broken() {
    for is_gone in [true, false] {
        let market = market(&[]).await;
        let service = held(&market.order, 0);
        let second = copy(&market.clouds, &service, service.key.clone(), 0);
        market.change(&service, |resource| match is_gone {
            true => resource.released_at = Some(Timestamp::now()),
            false => resource.service.status = ServiceStatus::Failed,
        });
        let outcome = market.engine.repair(&BOTH).await.expect("repaired");
        assert_eq!(outcome.findings.len(), 2, "{outcome:#?}");
        assert_eq!(outcome.unrepaired.len(), 1);
        assert!(outcome.unrepaired[0].reason.contains("all that is left"), "{:?}", outcome.unrepaired);
        assert!(exists(&market.clouds, &second));
        assert!(market.told().await.is_empty());
    }
}

/// What is missing or drifted is written into its order once for each change, and followers still see the end.
#[tokio::test]
async fn what_is_missing_or_drifted_is_recorded_once() {
    let market = market(&[]).await;
    let (gone, stopped) = (held(&market.order, 0), held(&market.order, 1));
    market.change(&gone, |resource| resource.released_at = Some(Timestamp::now()));
    market.change(&stopped, |resource| resource.service.status = ServiceStatus::Stopped);
    let policy = RepairPolicy { missing: Record::Record, drifted: Record::Record, ..RepairPolicy::default() };
    let outcome = market.engine.repair(&policy).await.expect("repaired");
    assert_eq!(outcome.recorded, outcome.findings);
    assert_eq!(outcome.findings.len(), 2);
    for _ in 0..2 {
        let outcome = market.engine.repair(&policy).await.expect("repaired");
        assert_eq!((outcome.findings.len(), outcome.recorded.len()), (2, 0));
    }
    assert_eq!(market.told().await.len(), 2);
    market.change(&stopped, |resource| resource.service.status = ServiceStatus::Failed);
    let outcome = market.engine.repair(&policy).await.expect("repaired");
    assert_eq!(short(&outcome.recorded), [(FindingKind::Drifted, &stopped.id)]);
    assert_eq!(market.told().await.len(), 3);
    let followed = market.engine.follow(market.order.id.clone()).collect::<Vec<_>>();
    let followed = tokio::time::timeout(Duration::from_secs(300), followed).await.expect("it ends");
    assert!(followed.len() > 3 && followed.iter().all(Result::is_ok));
}

/// Pain 28: no tight loop, and no order that grows with each try.
#[tokio::test]
async fn a_provider_that_refuses_is_asked_again_by_the_next_scan_and_the_order_does_not_grow() {
    let market = market(&[release(3, Fault::Forbidden)]).await;
    let service = held(&market.order, 2);
    let second = copy(&market.clouds, &service, service.key.clone(), 0);
    for _ in 0..3 {
        let outcome = market.engine.repair(&BOTH).await.expect("repaired");
        assert_eq!((outcome.repaired.len(), outcome.unrepaired.len()), (0, 1), "{outcome:#?}");
    }
    let told: Vec<_> = market.told().await.into_iter().map(|(_, action)| action).collect();
    assert!(matches!(&told[..], [RepairAction::Releasing, RepairAction::Failed { .. }]), "{told:#?}");
    let outcome = market.engine.repair(&BOTH).await.expect("repaired");
    assert_eq!(short(&outcome.repaired), [(FindingKind::Duplicate, &second.id)]);
    assert_eq!(market.told().await.last().map(|(_, action)| action.clone()), Some(RepairAction::Released));
}

#[tokio::test]
async fn a_release_that_goes_wrong_for_a_while_is_tried_until_the_service_is_gone() {
    for fault in [Fault::AmbiguousHappened, Fault::AmbiguousLost, Fault::Unavailable, Fault::Late { ms: 30 }]
    {
        let market = market(&[release(2, fault.clone())]).await;
        let service = held(&market.order, 2);
        let second = copy(&market.clouds, &service, service.key.clone(), 0);
        let outcome = market.engine.repair(&BOTH).await.expect("repaired");
        assert_eq!(short(&outcome.repaired), [(FindingKind::Duplicate, &second.id)], "{fault:?}");
    }
}

/// A release that never ends must keep neither the scan nor the customer waiting.
#[tokio::test]
async fn a_customer_who_cancels_does_not_wait_for_a_repair() {
    let market = market(&[release(1, Fault::Late { ms: 600_000 })]).await;
    let service = held(&market.order, 2);
    copy(&market.clouds, &service, service.key.clone(), 0);
    let hasty = RepairPolicy { timeout_s: 0, ..BOTH };
    let outcome = market.engine.repair(&hasty).await.expect("repaired");
    assert_eq!(outcome.unrepaired.len(), 1, "{outcome:#?}");
    let cancelling = tokio::spawn({
        let (engine, order) = (market.engine.clone(), market.order.id.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            engine.cancel(&order).await
        }
    });
    let began = Instant::now();
    let outcome = market.engine.repair(&BOTH).await.expect("repaired");
    assert!(outcome.unrepaired[0].reason.contains("undone"), "{outcome:#?}");
    let state = async || market.engine.load(&market.order.id).await.expect("loaded").state;
    while state().await != OrderState::Compensating {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "as long as the repair may take");
    cancelling.abort();
}

/// Pain 8: many hosts, one owner.
#[tokio::test]
async fn a_host_without_the_claim_ends_nothing() {
    let market = market(&[]).await;
    let service = held(&market.order, 0);
    let second = copy(&market.clouds, &service, service.key.clone(), 0);
    let other = market.engine.ledger().claim(&market.order.id, "another host", Duration::from_secs(60));
    let claim = other.await.expect("claimed");
    let outcome = market.engine.repair(&BOTH).await.expect("repaired");
    assert!(outcome.unrepaired[0].reason.contains("another host"), "{outcome:#?}");
    market.engine.ledger().relinquish(&claim).await.expect("released");
    // As after a stop that was longer than the claim.
    let late =
        Engine::new(providers(&market.clouds), market.engine.ledger().clone()).with_claim_ttl(Duration::ZERO);
    let outcome = late.repair(&BOTH).await.expect("repaired");
    assert_eq!(outcome.unrepaired[0].reason, LedgerError::Fenced(market.order.id.clone()).to_string());
    assert!(exists(&market.clouds, &second));
    let (one, two) = tokio::join!(market.engine.repair(&BOTH), market.engine.repair(&BOTH));
    let repaired = one.expect("repaired").repaired.len() + two.expect("repaired").repaired.len();
    assert_eq!(repaired, 1);
    assert!(exists(&market.clouds, &service) && !exists(&market.clouds, &second));
}

#[tokio::test]
async fn a_schedule_repairs_until_it_is_stopped() {
    let market = market(&[FaultRule { call: Call::Services, ..release(1, Fault::Unavailable) }]).await;
    let service = held(&market.order, 0);
    let second = copy(&market.clouds, &service, service.key.clone(), 60);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let scanning = tokio::spawn({
        let (engine, seen) = (market.engine.clone(), seen.clone());
        async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            let report = |outcome| seen.lock().expect("whole").push(outcome);
            engine.reconcile_every(Duration::from_millis(30), &BOTH, stopped, report).await;
        }
    });
    while exists(&market.clouds, &second) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while seen.lock().expect("whole").len() < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.send(()).expect("it still runs");
    tokio::time::timeout(Duration::from_secs(300), scanning).await.expect("it stops").expect("no panic");
    let seen = std::mem::take(&mut *seen.lock().expect("whole"));
    let seen: Vec<_> = seen.into_iter().map(|outcome| outcome.expect("reconciled")).collect();
    assert_eq!(seen[0].failed.len(), 1, "{:#?}", seen[0]);
    assert_eq!(seen.iter().map(|outcome| outcome.repaired.len()).sum::<usize>(), 1);
    assert_clean(seen.last().expect("one"));
    let order = market.engine.load(&market.order.id).await.expect("loaded");
    assert_eq!((order.state, support::count(&market.clouds).0), (OrderState::Committed, 3));
}
