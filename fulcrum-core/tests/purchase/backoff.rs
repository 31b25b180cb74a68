//! A provider that answers at once, with whatever, is asked again with growing pauses.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    model::{Action, Blueprint, Operator, OrderState, Policy, ServiceStatus},
    provider::{
        Call, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule},
    },
    purchase::Engine,
};

use crate::{
    faulty_provider::{Odd, one},
    support::{catalogue, cloud},
};

#[path = "../support/fuzz/memory_ledger.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use other parts")]
mod memory_ledger;

use memory_ledger::MemoryLedger;

const SECONDS: u32 = 20;
/// By a clock that is not that of the pauses.
const AT_ONCE: Duration = Duration::ZERO;

fn policy() -> Policy {
    Policy::default().with_step_timeout_s(SECONDS)
}

#[tokio::test(start_paused = true)]
async fn what_is_unavailable_is_asked_for_with_growing_pauses() {
    for class in [IdempotencyClass::Key, IdempotencyClass::Natural] {
        for fault in [Fault::Unavailable, Fault::AmbiguousLost] {
            let rule = FaultRule { call: Call::Provision, sku: None, nth: 1, times: u32::MAX, fault };
            let odd = Odd::new(
                cloud("alpha", None).idempotency(class).operation(AT_ONCE, AT_ONCE).fault(rule).build(),
            );
            let engine =
                odd.engine_with(Arc::new(MemoryLedger::default())).with_claim_ttl(Duration::from_secs(3600));
            let order = engine.accept(one(), policy(), None).await.expect("accepted");
            let order = engine.drive(&order.id).await.expect("driven");
            assert_eq!(order.state, OrderState::Failed, "{:?}", order.reason);
            let asked = odd.asked.load(Ordering::SeqCst);
            assert!((4..=16).contains(&asked), "{class:?}: asked {asked} times in {SECONDS} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_always_forgotten_is_begun_with_growing_pauses() {
    let odd =
        Odd::new(cloud("alpha", None).idempotency(IdempotencyClass::Key).operation(AT_ONCE, AT_ONCE).build());
    let engine = odd.engine_with(Arc::new(MemoryLedger::default())).with_claim_ttl(Duration::from_secs(3600));
    let order = engine.accept(one(), policy(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    odd.forgets.store(u32::MAX, Ordering::SeqCst);
    // It never shows what is wanted, and may be asked for that again.
    *odd.says.lock().expect("no panic") = |service| {
        let mut changed = service;
        changed.status = ServiceStatus::Running;
        changed
    };
    let by = Operator { who: "ada".to_owned(), why: "a test".to_owned() };
    let order = engine.act(&order.id, 0, Action::Stop, by).await.expect("driven");
    assert!(order.reason.unwrap_or_default().contains("was not done"));
    let (acted, polled) = (odd.acted.load(Ordering::SeqCst), odd.polled.load(Ordering::SeqCst));
    assert!((4..=16).contains(&acted), "acted {acted} times in {SECONDS} s");
    assert!(polled <= 40, "polled {polled} times in {SECONDS} s");
}

/// Twelve services at a provider that takes ten seconds for each, and three at one that never answers.
#[tokio::test(start_paused = true)]
async fn a_scan_asks_side_by_side_and_a_silent_provider_ends_it_in_its_time_alone() {
    let odd = |name| Odd::new(cloud(name, None).operation(AT_ONCE, AT_ONCE).build());
    let (alpha, beta) = (odd("alpha"), odd("beta"));
    let all = [&alpha, &beta].map(|odd| (odd.cloud.id().clone(), odd.clone() as Arc<dyn Provider>));
    let engine = Engine::new(all.into(), Arc::new(MemoryLedger::default()));
    for (at, count) in [("alpha", 12), ("beta", 3)] {
        let text = format!(
            "{{ name: app, components: {{ web: {{ vcpu: 2, per_machine: 1, replicas: {count}, \
             where: {{ providers: {{ allow: [{at}] }} }} }} }} }}"
        );
        let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
        let plan = compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
        let order = engine.accept(plan.expect("a plan"), Policy::default(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!((order.state, order.steps.len()), (OrderState::Committed, count), "{:?}", order.reason);
    }
    for odd in [&alpha, &beta] {
        *odd.says.lock().expect("no panic") = |mut service| {
            service.sku = "huge".parse().expect("a name");
            service
        };
    }
    *alpha.look.lock().expect("no panic") = Duration::from_secs(10);
    alpha.hides.store(true, Ordering::SeqCst);
    beta.hides.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();
    let scan = engine.reconcile().await.expect("reconciled");
    assert_eq!(scan.findings.len(), 15, "{scan:?}");
    let took = began.elapsed().as_secs();
    assert!((30..60).contains(&took), "twelve looks of ten seconds took {took} s");

    *beta.look.lock().expect("no panic") = Duration::from_secs(1 << 30);
    let began = tokio::time::Instant::now();
    let scan = engine.reconcile().await.expect("reconciled");
    assert_eq!(scan.findings.len(), 12, "{scan:?}");
    assert!(began.elapsed() < Duration::from_secs(1200), "{:?}", began.elapsed());
    let why = &scan.failed[beta.cloud.id()];
    assert!(why.contains("did not answer") && why.contains("3 services"), "{why}");
}
