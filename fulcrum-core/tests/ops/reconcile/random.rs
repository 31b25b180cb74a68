//! Random orders and random tampering: what is found is exactly what was done.

use std::{collections::BTreeSet, sync::Arc};

use fulcrum_core::{
    ledger::Ledger,
    model::{
        FailOver, Finding, FindingKind, IdempotencyKey, Order, OrderId, OrderState, Policy, Service,
        ServiceStatus, StepState,
    },
    provider::{
        Call,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, RepairPolicy},
};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{LAGGING, copy, exists, sqlite, stores, tamper};
use crate::support::{self, seed::seed};

type Found = BTreeSet<(FindingKind, String)>;

fn found(findings: &[Finding]) -> Found {
    let found: Found = findings.iter().map(|finding| (finding.kind, finding.service.to_string())).collect();
    assert_eq!(found.len(), findings.len(), "something was found twice: {findings:#?}");
    found
}

/// What was done behind the library's back.
#[derive(Default)]
struct Tampered {
    expected: Found,
    /// What of it a scan may end.
    repairable: Found,
    /// What must be there in the end.
    spared: Vec<Service>,
}

impl Tampered {
    fn expect(&mut self, kind: FindingKind, service: &Service, is_repairable: bool) {
        let found = (kind, service.id.to_string());
        self.expected.insert(found.clone());
        if is_repairable {
            self.repairable.insert(found);
        } else if kind != FindingKind::Missing {
            self.spared.push(service.clone());
        }
    }

    /// Something happens to what an order holds, or held.
    fn tamper(&mut self, chance: &mut StdRng, clouds: &[Sandbox], service: &Service, is_held: bool) {
        let key = service.key.clone();
        if !is_held {
            for _ in 0..chance.random_range(0..3) {
                let left = copy(clouds, service, key.clone(), 0);
                self.expect(FindingKind::Orphan, &left, true);
            }
            return;
        }
        let change = |change: fn(&mut Service)| tamper(clouds, service, |it| change(&mut it.service));
        // Whether there is anything left to compare a second one with.
        let mut is_well = true;
        match chance.random_range(0..8) {
            0 => {
                tamper(clouds, service, |it| it.released_at = Some(Timestamp::now()));
                self.expect(FindingKind::Missing, service, false);
                is_well = false;
            }
            1 => {
                change(|service| service.status = ServiceStatus::Failed);
                self.expect(FindingKind::Drifted, service, false);
                is_well = false;
            }
            2 => {
                change(|service| service.status = ServiceStatus::Stopped);
                self.expect(FindingKind::Drifted, service, false);
            }
            3 => {
                change(|service| service.key = None);
                self.expect(FindingKind::Drifted, service, false);
            }
            4 => {
                change(|service| service.sku = "other".parse().expect("a name"));
                self.expect(FindingKind::Drifted, service, false);
            }
            _ => self.spared.push(service.clone()),
        }
        for _ in 0..chance.random_range(0..6_u32).saturating_sub(3) {
            let second = copy(clouds, service, key.clone(), 0);
            self.expect(FindingKind::Duplicate, &second, is_well);
        }
    }
}

/// Orders that end in different ways, each with the services that it made.
async fn buy(chance: &mut StdRng, engine: &Engine, clouds: &[Sandbox]) -> Vec<(Order, Vec<Service>)> {
    let mut orders = Vec::new();
    for _ in 0..chance.random_range(2..8) {
        // Either undone when something cannot be had, or with another plan for it.
        let (plan, fail_over) = match chance.random_bool(0.5) {
            true => {
                let blueprint = support::duo("");
                let plan = support::duo_plan(&blueprint);
                let fail_over = FailOver::new(blueprint).with_max_rise_percent(500.into());
                (plan, Some(Box::new(fail_over)))
            }
            false => (support::plan(), None),
        };
        let mut policy = Policy::default();
        policy.fail_over = fail_over;
        let order = engine.accept(plan, policy, None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        let is_its =
            |service: &Service| order.steps.iter().any(|step| service.key.as_ref() == Some(&step.key));
        let made = clouds.iter().flat_map(|cloud| cloud.resources().expect("readable"));
        let made: Vec<_> = made.map(|made| made.service).filter(is_its).collect();
        let order = match chance.random_bool(0.3) && order.state == OrderState::Committed {
            true => engine.cancel(&order.id).await.expect("cancelled"),
            false => order,
        };
        orders.push((order, made));
    }
    orders
}

async fn round(chance: &mut StdRng, ledger: Arc<dyn Ledger>) -> (Found, usize) {
    let faults: Vec<_> = [
        Fault::AmbiguousHappened,
        Fault::SoldOut,
        Fault::OperationFails { leaves_resource: true, shortage: None },
    ]
    .into_iter()
    .map(|fault| FaultRule {
        call: Call::Provision,
        sku: None,
        nth: chance.random_range(1..8),
        times: 1,
        fault,
    })
    .collect();
    let clouds = support::clouds(None, LAGGING, "beta", &faults);
    let engine = Engine::new(support::providers(&clouds), ledger);
    let orders = buy(chance, &engine, &clouds).await;
    support::assert_clean(&engine.reconcile().await.expect("reconciled"));
    tokio::time::sleep(LAGGING.list_lag()).await;
    support::assert_clean(&engine.reconcile().await.expect("reconciled"));

    let mut tampered = Tampered::default();
    for (order, made) in &orders {
        for service in made {
            let step = order.steps.iter().find(|step| service.key.as_ref() == Some(&step.key));
            match &step.expect("its step").state {
                StepState::Committed { service: own } if own.id == service.id => {
                    // As it was bought: it was still being made when the cloud was read.
                    tampered.tamper(chance, &clouds, own, true);
                }
                StepState::Compensated => tampered.tamper(chance, &clouds, service, false),
                _ => {}
            }
        }
    }
    let any = &orders.iter().find_map(|(_, made)| made.first()).expect("a service");
    for _ in 0..chance.random_range(0..3) {
        let key = IdempotencyKey::of_step(&OrderId::generate(), chance.random_range(0..3));
        let unknown = copy(&clouds, any, Some(key), 0);
        tampered.expect(FindingKind::Unknown, &unknown, false);
        tampered.spared.push(copy(&clouds, any, None, 0));
        let key = IdempotencyKey::new(format!("web-{}", chance.random_range(0..9))).expect("a key");
        tampered.spared.push(copy(&clouds, any, Some(key), 0));
    }

    let outcome = engine.reconcile().await.expect("reconciled");
    assert_eq!(found(&outcome.findings), tampered.expected);
    let outcome = engine.repair(&RepairPolicy::all()).await.expect("repaired");
    assert_eq!(found(&outcome.findings), tampered.expected);
    assert_eq!(found(&outcome.repaired), tampered.repairable);
    let left: Found = tampered.expected.difference(&tampered.repairable).cloned().collect();
    let again = engine.repair(&RepairPolicy::all()).await.expect("repaired");
    assert_eq!(found(&again.findings), left);
    assert_eq!((again.repaired.len(), again.recorded.len()), (0, 0), "done twice: {again:#?}");
    let gone: Vec<_> = tampered.spared.iter().filter(|service| !exists(&clouds, service)).collect();
    assert!(gone.is_empty(), "ended, and should not have been: {gone:#?}");
    for (order, _) in &orders {
        engine.ledger().verify(&order.id).await.expect("whole");
        assert_eq!(engine.load(&order.id).await.expect("loaded"), *order, "a repair changes no step");
    }
    let replaced = orders.iter().filter(|(order, _)| !order.rounds.is_empty());
    (tampered.expected, replaced.count())
}

/// Pains 1, 2, 3, 5 and 21 at random.
#[tokio::test]
async fn prop_findings_are_exactly_what_was_tampered_with_and_repairs_end_only_that() {
    let mut chance = StdRng::seed_from_u64(seed());
    let mut seen = BTreeSet::new();
    // A new store each time: what one round leaves is not the next one's.
    let mut replaced = 0;
    for _ in 0..30 {
        let (found, failed_over) = round(&mut chance, Arc::new(sqlite().await)).await;
        seen.extend(found.into_iter().map(|(kind, _)| kind));
        replaced += failed_over;
    }
    assert!(replaced > 0, "no order was given another plan");
    for _ in 0..6 {
        for ledger in stores().await.into_iter().skip(1) {
            round(&mut chance, ledger).await;
        }
    }
    assert_eq!(seen, BTreeSet::from(FindingKind::ALL), "the generator does not reach every kind");
}
