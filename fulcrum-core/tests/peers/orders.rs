//! Whole orders at a real server behind a network that breaks: what the engine promises holds on top of an adapter.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{Blueprint, IdempotencyKey, Offer, Operator, OrderState, Plan, Policy, Service, StepState},
    provider::{ErrorKind, OfferFilter, OperationHandle, OperationStatus, Provider, layers},
    purchase::{Engine, PurchaseError},
};
use futures::{StreamExt, TryStreamExt};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{Faults, stormy::Stormy};

const TAKE_OVER: Duration = Duration::from_secs(2);

/// One adapter at one server, reached in two ways.
pub struct Ground {
    /// By a network that breaks, and without layers.
    pub broken: Arc<dyn Provider>,
    /// By one that works: to judge.
    pub direct: Arc<dyn Provider>,
    /// Further clouds, each by a network that breaks and by one that works.
    pub beside: Vec<[Arc<dyn Provider>; 2]>,
    /// In front of the server.
    pub faults: Faults,
    /// Between adapter and network.
    pub storm: Arc<Stormy>,
    /// What is bought, as a blueprint of one or two services.
    pub blueprint: String,
    /// Products that are not bought: those that are always sold out.
    pub leave_out: &'static [&'static str],
    /// So long a step may take.
    pub step_timeout_s: u32,
}

impl Ground {
    fn broken(&self) -> Vec<Arc<dyn Provider>> {
        self.beside.iter().map(|[broken, _]| broken).chain([&self.broken]).cloned().collect()
    }

    fn direct(&self) -> Vec<Arc<dyn Provider>> {
        self.beside.iter().map(|[_, direct]| direct).chain([&self.direct]).cloned().collect()
    }
}

/// What came of all runs.
#[derive(Debug, Default)]
pub struct Sum {
    pub committed: usize,
    pub compensated: usize,
    pub faults: usize,
}

/// Buys so many orders, each with faults of its own by chance, gives the engine up half-way now and then, lets it finish on a
/// network that works, and compares what exists with the ledger.
pub async fn run(name: &str, ground: &Ground, runs: u64, seed: u64) -> Sum {
    println!("{name}: {runs} runs from seed {seed}");
    let plan = plan(ground).await;
    let mut sum = Sum::default();
    for run in 0..runs {
        let seed = seed.wrapping_add(run);
        one(ground, &plan, seed, &mut sum).await;
    }
    println!(
        "figure: {name}: {runs} orders with {} rules of faults: {} committed, {} undone: \
         0 orphans, 0 doubles, 0 in limbo",
        sum.faults, sum.committed, sum.compensated
    );
    sum
}

/// All offers. On a busy machine a server may answer too late: then it is asked again, a few times.
pub async fn offers(provider: &dyn Provider) -> Vec<Offer> {
    let mut tries = 1;
    loop {
        match provider.offers(&OfferFilter::default()).try_collect().await {
            Err(error) if tries < 10 && matches!(error.kind, ErrorKind::Unavailable { .. }) => tries += 1,
            told => break told.unwrap_or_else(|error| panic!("{}: {error:?}", provider.id())),
        }
    }
}

/// The best plan over the offers of all clouds.
pub async fn plan(ground: &Ground) -> Plan {
    plan_at(&ground.direct(), &ground.blueprint, ground.leave_out).await
}

/// The same at some clouds, without some products.
pub async fn plan_at(clouds: &[Arc<dyn Provider>], blueprint: &str, leave_out: &[&str]) -> Plan {
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    for provider in clouds {
        let offers = offers(&**provider).await.into_iter();
        builder.extend(offers.filter(|offer| !leave_out.contains(&offer.sku.as_str())));
    }
    let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan")
}

/// Rules for some of the next connections, in between those that work.
fn rules(random: &mut StdRng) -> (Value, usize) {
    let count = random.random_range(1..=4);
    let mut rules = Vec::new();
    for _ in 0..count {
        let fair = random.random_range(0..6);
        if fair > 0 {
            rules.push(json!({ "times": fair }));
        }
        let size = random.random_range(0..400);
        rules.push(match random.random_range(0..7) {
            0 => json!({ "times": 1, "refuse": true }),
            1 => json!({ "times": 1, "reset_after": size }),
            2 => json!({ "times": 1, "truncate_after": size }),
            3 | 4 => json!({ "times": 1, "lose_answer": true }),
            5 => json!({ "times": 1, "lose_request": true }),
            _ => json!({ "times": 1, "latency_ms": 30, "jitter_ms": 60, "seed": size }),
        });
    }
    (Value::Array(rules), count)
}

async fn one(ground: &Ground, plan: &Plan, seed: u64, sum: &mut Sum) {
    // A server may close a connection that was idle just when the judge asks: it asks again.
    let judges: Vec<_> = ground.direct().into_iter().map(layers::recommended).collect();
    let mut random = StdRng::seed_from_u64(seed);
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = |providers: Vec<Arc<dyn Provider>>| {
        let layered = providers.into_iter().map(|it| (it.id().clone(), layers::recommended(it)));
        // Whoever takes a step over looks for as long as a claim lasts.
        Engine::new(layered.collect(), ledger.clone()).with_claim_ttl(TAKE_OVER)
    };
    let policy = Policy::default()
        .with_step_timeout_s(ground.step_timeout_s)
        .with_compensation_timeout_s(ground.step_timeout_s)
        .with_max_table_age_days(u32::MAX);
    let (rules, count) = rules(&mut random);
    sum.faults += count;
    ground.faults.rules(&rules).await;
    ground.storm.set(seed, if random.random_bool(0.5) { 0.15 } else { 0.0 });
    let first = engine(ground.broken());
    let order = first.accept(plan.clone(), policy, None).await.expect("accepted").id;
    // One in three is given up half-way, as when its process dies.
    let patience = if random.random_bool(0.33) { random.random_range(5..400) } else { 600_000 };
    let _ = tokio::time::timeout(Duration::from_millis(patience), first.drive(&order)).await;
    drop(first);
    // A request that its driver no longer waits for may still be on its way: it must not be counted as a late one of the test.
    ground.faults.rules(&json!([])).await;
    ground.storm.set(seed, 0.0);
    let second = engine(ground.direct());
    // What the first one held is given back by a task of its own, which may come a moment later.
    let driven = loop {
        match second.drive(&order).await {
            // Or lost on a busy machine, and taken again.
            Err(PurchaseError::Ledger(LedgerError::Claimed { .. } | LedgerError::Fenced(_))) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            driven => break driven,
        }
    };
    let mut state = driven.expect("driven").state;
    if state == OrderState::Stuck {
        let operator = Operator { who: "test".to_owned(), why: "the network works again".to_owned() };
        state = second.retry(&order, operator).await.expect("tried again").state;
    }
    let order = ledger.load(&order).await.expect("readable").expect("there");
    assert_eq!(order.state, state);
    let expected: BTreeSet<String> = order
        .steps
        .iter()
        .filter_map(|step| match &step.state {
            StepState::Committed { service } => Some(format!("{}: {}", step.provider, service.id)),
            _ => None,
        })
        .collect();
    match state {
        OrderState::Committed => sum.committed += 1,
        state if state.is_over() => {
            println!("seed {seed}: {state:?}: {:?}", order.reason);
            sum.compensated += 1;
        }
        other => panic!("seed {seed}: the order is {other:?}: {:?}", order.reason),
    }
    let keys: Vec<_> = order.steps.iter().map(|step| step.key.clone()).collect();
    let mut exists = Vec::new();
    for judge in &judges {
        exists.extend(of_order(&**judge, &keys).await);
    }
    let name = |service: &Service| format!("{}: {}", service.provider, service.id);
    let ids: BTreeSet<String> = exists.iter().map(name).collect();
    assert_eq!(ids, expected, "seed {seed}: what exists is not what the ledger holds; rules {rules}");
    assert_eq!(ids.len(), exists.len(), "seed {seed}: listed twice");
    for judge in &judges {
        let own = exists.iter().filter(|service| service.provider == *judge.id()).cloned().collect();
        end_all(&**judge, own).await;
    }
}

/// Nothing is left for the next run. A network ends after the machines in it: what is refused is tried again after the others.
async fn end_all(judge: &dyn Provider, mut left: Vec<Service>) {
    while !left.is_empty() {
        let (before, mut refused) = (left.len(), Vec::new());
        for service in left {
            let key = service.key.as_ref().expect("a key");
            let key = IdempotencyKey::new(format!("{key}-r")).expect("a key");
            match judge.release(&service.id, &key).await {
                Ok(operation) => finish(judge, &operation).await,
                Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => refused.push(service),
                Err(error) => panic!("not released: {error}"),
            }
        }
        assert!(refused.len() < before, "each of these refuses its end: {refused:?}");
        left = refused;
    }
}

/// What exists of these keys: by the list where there is one, and by each key.
async fn of_order(judge: &dyn Provider, keys: &[IdempotencyKey]) -> Vec<Service> {
    let mut found = Vec::new();
    if judge.capabilities().can(fulcrum_core::provider::Call::Services) {
        let all: Vec<_> = judge.services().collect().await;
        let all = all.into_iter().map(|service| service.expect("a service"));
        found.extend(all.filter(|it| it.key.as_ref().is_some_and(|key| keys.contains(key))));
    } else {
        for key in keys {
            found.extend(judge.find_by_key(key).await.expect("looked up"));
        }
    }
    found
}

async fn finish(provider: &dyn Provider, operation: &OperationHandle) {
    for _ in 0..600 {
        match provider.poll(operation).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(100)).await,
            OperationStatus::Succeeded(_) => return,
            OperationStatus::Failed { reason, .. } => panic!("not released: {reason}"),
        }
    }
    panic!("the release does not end");
}
