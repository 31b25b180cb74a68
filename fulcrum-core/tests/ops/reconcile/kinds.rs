//! Each kind is found, with evidence, and nothing else.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_core::{
    ledger::OrderUpdate,
    model::{
        FindingKind, IdempotencyKey, OrderId, OrderState, OwnService, Policy, Service, ServiceStatus,
        StepState,
    },
    provider::{
        Call, Provider,
        sandbox::{Fault, FaultRule, SandboxResource},
    },
    purchase::{Engine, RepairPolicy},
};
use jiff::Timestamp;

use super::{bought, copy, exists, held, market, short, sqlite};
use crate::support::{assert_clean, providers};

/// Pains 1, 19 and 20: what a failed order left behind is found by the order's name on it.
#[tokio::test]
async fn what_an_ended_order_left_behind_is_an_orphan() {
    let market = market(&[]).await;
    let service = held(&market.order, 1);
    market.engine.cancel(&market.order.id).await.expect("cancelled");
    let left = copy(&market.clouds, &service, service.key.clone(), 0);
    let outcome = market.engine.reconcile().await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Orphan, &left.id)]);
    let finding = &outcome.findings[0];
    assert_eq!((&finding.order, finding.step, &finding.provider), (&market.order.id, 1, &service.provider));
    for words in ["running", market.order.steps[1].key.as_str(), "ended"] {
        assert!(finding.evidence.contains(words), "{}", finding.evidence);
    }
    assert!(exists(&market.clouds, &left), "a scan only reports unless told otherwise");
    assert!(market.told().await.is_empty());
}

/// Pains 2, 18 and 22: bought twice, known once.
#[tokio::test]
async fn a_second_service_of_one_step_is_a_duplicate() {
    let market = market(&[]).await;
    let service = held(&market.order, 0);
    let second = copy(&market.clouds, &service, service.key.clone(), 0);
    let outcome = market.engine.reconcile().await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Duplicate, &second.id)]);
    assert!(outcome.findings[0].evidence.contains(service.id.as_str()), "{}", outcome.findings[0].evidence);
    assert_eq!((outcome.scanned.providers, outcome.scanned.services, outcome.scanned.orders), (3, 4, 1));
}

/// Pain 5: the record stays, and says what is gone.
#[tokio::test]
async fn a_service_that_was_ended_behind_the_library_is_missing() {
    let market = market(&[]).await;
    let service = held(&market.order, 2);
    market.change(&service, |resource| resource.released_at = Some(Timestamp::now()));
    let outcome = market.engine.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Missing, &service.id)]);
    assert!(outcome.findings[0].evidence.contains("does not exist"), "{}", outcome.findings[0].evidence);
    let order = market.engine.load(&market.order.id).await.expect("loaded");
    assert_eq!(order.state, OrderState::Committed);
    assert_eq!(held(&order, 2), service, "what was held is not forgotten");
}

#[tokio::test]
async fn a_service_that_is_no_longer_what_was_bought_has_drifted() {
    let market = market(&[]).await;
    let service = held(&market.order, 1);
    type Change = fn(&mut Service);
    let changes: [(&str, Change); 7] = [
        ("stopped", |now| now.status = ServiceStatus::Stopped),
        ("failed", |now| now.status = ServiceStatus::Failed),
        ("releasing", |now| now.status = ServiceStatus::Releasing),
        ("it is a large, and small was bought", |now| now.sku = "large".parse().expect("a name")),
        ("it is in beta-9", |now| now.place.region = "beta-9".parse().expect("a name")),
        ("no longer carries the key", |now| now.key = None),
        ("instead of f-", |now| now.key = Some(IdempotencyKey::of_step(&OrderId::generate(), 0))),
    ];
    for (words, change) in changes {
        market.change(&service, |resource| change(&mut resource.service));
        let outcome = market.engine.reconcile().await.expect("reconciled");
        assert_eq!(short(&outcome.findings), [(FindingKind::Drifted, &service.id)], "{words}");
        assert!(outcome.findings[0].evidence.contains(words), "{}", outcome.findings[0].evidence);
        market.change(&service, |resource| resource.service = service.clone());
        assert_clean(&market.engine.reconcile().await.expect("reconciled"));
    }
}

/// Pain 21: a ledger that was restored from an older copy must not end what it has forgotten.
#[tokio::test]
async fn what_a_restored_ledger_does_not_know_is_told_and_never_touched() {
    let market = market(&[]).await;
    let restored = Engine::new(providers(&market.clouds), Arc::new(sqlite().await));
    let outcome = restored.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_eq!(outcome.of(FindingKind::Unknown).count(), 3, "{outcome:#?}");
    assert!(outcome.findings.iter().all(|finding| finding.order == market.order.id));
    assert!(outcome.findings[0].evidence.contains("restored"), "{}", outcome.findings[0].evidence);
    assert_eq!((outcome.repaired.len(), outcome.recorded.len()), (0, 0));
    assert!((0..3).all(|step| exists(&market.clouds, &held(&market.order, step))));
    // An order that is known, and a step that it never had.
    let service = held(&market.order, 0);
    let odd = copy(&market.clouds, &service, Some(IdempotencyKey::of_step(&market.order.id, 7)), 0);
    let outcome = market.engine.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Unknown, &odd.id)]);
    assert!(exists(&market.clouds, &odd));
}

/// Pain 3: what this library did not make is not its business.
#[tokio::test]
async fn what_carries_no_key_of_ours_is_never_mentioned_and_never_touched() {
    let market = market(&[]).await;
    let service = held(&market.order, 0);
    let key = |text: &str| Some(IdempotencyKey::new(text).expect("a key"));
    let step = &market.order.steps[0].key;
    let keys = [
        None,
        key("web-2"),
        key("f-web-2"),
        key(&format!("{step}-r")),
        key(&format!("{step}x")),
        key("f--0"),
    ];
    let others: Vec<_> = keys.into_iter().map(|key| copy(&market.clouds, &service, key, 0)).collect();
    assert_clean(&market.engine.repair(&RepairPolicy::all()).await.expect("reconciled"));
    assert!(others.iter().all(|other| exists(&market.clouds, other)));
}

/// Pain 69: one failed login must not end the run.
#[tokio::test]
async fn a_provider_that_fails_leaves_the_others() {
    for call in [Call::Services, Call::Describe] {
        let fault = FaultRule { call, sku: None, nth: 1, times: 1000, fault: Fault::Unauthorised };
        let market = market(&[fault]).await;
        let (second, at_gamma) = (held(&market.order, 0), held(&market.order, 2));
        let second = copy(&market.clouds, &second, second.key.clone(), 0);
        market.change(&at_gamma, |resource| resource.released_at = Some(Timestamp::now()));
        let outcome = market.engine.reconcile().await.expect("reconciled");
        assert_eq!(short(&outcome.findings), [(FindingKind::Duplicate, &second.id)], "{call}");
        assert!(outcome.failed[&at_gamma.provider].contains("gamma"), "{:?}", outcome.failed);
        assert!(!outcome.is_clean());
    }
}

#[tokio::test]
async fn a_provider_that_is_not_here_any_more_is_named() {
    let market = market(&[]).await;
    let without: BTreeMap<_, Arc<dyn Provider>> = providers(&market.clouds[..2]);
    let engine = Engine::new(without, market.engine.ledger().clone());
    let outcome = engine.reconcile().await.expect("reconciled");
    assert_eq!(outcome.findings, []);
    assert_eq!(outcome.unlisted.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["gamma"]);
}

#[tokio::test]
async fn what_is_left_of_a_stuck_order_is_found_and_left_to_a_person() {
    let refusal = FaultRule { call: Call::Release, sku: None, nth: 1, times: 3, fault: Fault::Forbidden };
    let market = market(&[refusal]).await;
    let policy = Policy::default().with_compensation_timeout_s(0);
    let order = bought(&market.engine, policy).await;
    let service = held(&order, 2);
    let order = market.engine.cancel(&order.id).await.expect("cancelled");
    assert!(matches!(order.steps[2].state, StepState::Stuck { .. }), "{order:#?}");
    let outcome = market.engine.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Orphan, &service.id)]);
    assert!(outcome.findings[0].evidence.contains("stuck"), "{}", outcome.findings[0].evidence);
    assert!(outcome.unrepaired[0].reason.contains("settle"), "{}", outcome.unrepaired[0].reason);
    assert!(exists(&market.clouds, &service));
}

/// Somebody takes the key off a service, in the provider's own console: it is not taken for gone.
#[tokio::test]
async fn a_service_that_lost_its_key_is_not_taken_for_gone() {
    let market = market(&[]).await;
    let policy = Policy::default().with_compensation_timeout_s(0);
    let order = bought(&market.engine, policy).await;
    let service = held(&order, 2);
    market.change(&service, |resource| resource.service.key = None);
    let order = market.engine.cancel(&order.id).await.expect("cancelled");
    assert!(matches!(&order.steps[2].state, StepState::Stuck { .. }), "{order:#?}");
    let by = fulcrum_core::model::Operator { who: "ada".to_owned(), why: "once more".to_owned() };
    let order = market.engine.retry(&order.id, by).await.expect("driven");
    let StepState::Stuck { service: known, .. } = &order.steps[2].state else { panic!("{order:#?}") };
    assert_eq!(known.as_ref(), Some(&service.id));
    assert_eq!(order.state, OrderState::Stuck);
    let resources = market.clouds[2].resources().expect("state");
    assert!(resources.iter().any(|it| it.service.id == service.id && it.exists(Timestamp::now())));
}

/// Pages of orders, and of services that their orders hold.
#[tokio::test]
async fn more_orders_than_one_page_are_compared() {
    let market = market(&[]).await;
    // Written by hand: buying so many would only take time.
    let ledger = market.engine.ledger();
    for number in 0..600 {
        let plan = market.order.plan.clone();
        let mut accepted = market.engine.accept(plan, Policy::default(), None).await.expect("accepted");
        let claim = ledger.claim(&accepted.id, "a test", Duration::from_secs(60)).await.expect("claimed");
        for step in &mut accepted.steps {
            let service = held(&market.order, step.index as usize);
            let service = {
                let mut changed = service;
                changed.key = Some(step.key.clone());
                changed.id = format!("of-{number}").parse().expect("a name");
                changed
            };
            let own = OwnService::check(step, false, None, service.clone()).expect("its own");
            step.state = StepState::Committed { service: own };
            let made =
                SandboxResource { service, size_gib: 0, visible_at: Timestamp::now(), released_at: None };
            let cloud = market.cloud(&made.service).clone();
            cloud.tamper(|all| all.push(made)).expect("tampered");
        }
        let order = Some((OrderState::Committed, None));
        let change = OrderUpdate { order, steps: accepted.steps, ..OrderUpdate::default() };
        ledger.write(&claim, &change).await.expect("written");
        ledger.relinquish(&claim).await.expect("released");
    }
    let began = Instant::now();
    let outcome = market.engine.reconcile().await.expect("reconciled");
    println!("{:?} in {:?}", outcome.scanned, began.elapsed());
    assert_clean(&outcome);
    assert_eq!((outcome.scanned.orders, outcome.scanned.services), (601, 1803));
    // The oldest order, on the last page.
    let service = held(&market.order, 0);
    market.change(&service, |resource| resource.released_at = Some(Timestamp::now()));
    let outcome = market.engine.reconcile().await.expect("reconciled");
    assert_eq!(short(&outcome.findings), [(FindingKind::Missing, &service.id)]);
}
