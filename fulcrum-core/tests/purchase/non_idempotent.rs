//! Purchases where no key tells what a lost answer has made: one at a time, with the account listed before and after.

use std::{path::Path, sync::Arc, time::Duration};

use crate::support::{self, assert_clean, catalogue, cloud, providers, seed};
use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, SqliteLedger},
    model::{
        Blueprint, ClaimId, IdempotencyKey, Operator, Order, OrderId, OrderState, Plan, Policy, Service,
        ServiceStatus, StepState,
    },
    provider::{
        Call, IdempotencyClass, Provider,
        sandbox::{Fault, FaultRule, Sandbox, SandboxBuilder, SandboxResource},
    },
    purchase::{Engine, PurchaseError},
};
use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// What is taken over is looked for as long as a claim lasts.
const TAKE_OVER: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(300);
const LAG_MS: u64 = 60;

fn policy() -> Policy {
    Policy::default().with_allow_non_idempotent_purchase(true)
}

fn rule(call: Call, nth: u32, fault: Fault) -> FaultRule {
    FaultRule { call, sku: None, nth, times: 1, fault }
}

/// A cloud without keys, whose list lags.
fn unkeyed(folder: Option<&Path>) -> SandboxBuilder {
    cloud("alpha", folder).idempotency(IdempotencyClass::None).list_lag(LAG_MS)
}

/// So many small machines at alpha.
fn machines(count: usize) -> Plan {
    let blueprint = format!(
        "{{ name: some, components: {{ web: {{ vcpu: 2, replicas: {count} }} }},
            where: {{ providers: {{ allow: [alpha] }} }} }}"
    );
    let blueprint = Blueprint::from_yaml(&blueprint).expect("a blueprint");
    let plan = compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let plan = plan.expect("a plan");
    assert_eq!(plan.leases.len(), count);
    plan
}

async fn in_memory() -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))
}

/// A ledger that two hosts share: a database, or a file.
async fn shared(path: &Path, database: Option<&str>) -> Arc<dyn Ledger> {
    #[cfg(feature = "postgres")]
    if let Some(url) = database {
        let ledger = fulcrum_core::ledger::PostgresLedger::with_connections(url, 4).await;
        return Arc::new(ledger.expect("a ledger"));
    }
    let _ = database;
    Arc::new(SqliteLedger::open(path).await.expect("a ledger"))
}

fn engine(cloud: &Sandbox, ledger: Arc<dyn Ledger>) -> Engine {
    Engine::new(providers(std::slice::from_ref(cloud)), ledger).with_claim_ttl(LONG)
}

async fn buy(engine: &Engine, count: usize) -> Order {
    let order = engine.accept(machines(count), policy(), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven")
}

fn alive(cloud: &Sandbox) -> Vec<Service> {
    let now = jiff::Timestamp::now();
    let all = cloud.resources().expect("the state").into_iter();
    all.filter(|resource| resource.exists(now)).map(|resource| resource.service).collect()
}

/// The services that an order holds.
fn held(order: &Order) -> Vec<String> {
    let service = |state: &StepState| match state {
        StepState::Committed { service } => Some(service.id.to_string()),
        _ => None,
    };
    order.steps.iter().filter_map(|step| service(&step.state)).collect()
}

/// Somebody else's machine of the same product, visible at once.
fn stranger(cloud: &Sandbox, name: &str) {
    let lease = machines(1).leases.remove(0);
    let service = Service::new(
        name.parse().expect("a name"),
        lease.place.provider.clone(),
        None,
        lease.sku,
        lease.place,
        ServiceStatus::Running,
    );
    let now = jiff::Timestamp::now();
    let resource = SandboxResource { service, size_gib: 0, visible_at: now, released_at: None };
    cloud.tamper(|resources| resources.push(resource)).expect("written");
}

#[tokio::test]
async fn without_the_switch_it_is_refused_and_the_refusal_names_it() {
    let cloud = unkeyed(None).build();
    let engine = engine(&cloud, in_memory().await);
    let refused = engine.accept(machines(1), Policy::default(), None).await.expect_err("refused");
    assert!(matches!(refused, PurchaseError::NotBuyable { .. }));
    assert!(refused.to_string().contains("may_buy_unkeyed"), "{refused}");
    assert!(serde_json::from_str::<Policy>("{}").is_ok_and(|policy| !policy.allow_non_idempotent_purchase));
}

#[tokio::test]
async fn several_are_bought_one_after_the_other_and_undone_again() {
    let cloud = unkeyed(None).build();
    stranger(&cloud, "theirs");
    let engine = engine(&cloud, in_memory().await);
    let order = buy(&engine, 5).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    assert_eq!((alive(&cloud).len(), held(&order).len()), (6, 5));
    assert!(alive(&cloud).iter().all(|service| service.key.is_none()));
    assert_clean(&engine.reconcile().await.expect("a scan"));
    let undone = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!(undone.state, OrderState::Ended, "{undone:#?}");
    assert_eq!(alive(&cloud).len(), 1);
}

#[tokio::test]
async fn what_a_lost_answer_made_is_adopted() {
    let cloud = unkeyed(None).fault(rule(Call::Provision, 2, Fault::AmbiguousHappened)).build();
    stranger(&cloud, "theirs");
    let order = buy(&engine(&cloud, in_memory().await), 3).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    let mut held = held(&order);
    held.sort();
    held.dedup();
    assert_eq!((alive(&cloud).len(), held.len()), (4, 3));
    assert!(!held.contains(&"theirs".to_owned()));
}

#[tokio::test]
async fn what_a_lost_answer_did_not_make_is_asked_for_again() {
    let cloud = unkeyed(None)
        .fault(rule(Call::Provision, 1, Fault::AmbiguousLost))
        .fault(rule(Call::Provision, 2, Fault::AmbiguousLost))
        .build();
    let order = buy(&engine(&cloud, in_memory().await), 1).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    assert_eq!(alive(&cloud).len(), 1);
    assert_eq!(cloud.resources().expect("the state").len(), 1);
}

#[tokio::test]
async fn what_is_made_slowly_is_waited_for() {
    let slow = unkeyed(None).operation(Duration::from_millis(300), Duration::from_millis(300));
    let cloud = slow.fault(rule(Call::Provision, 1, Fault::AmbiguousHappened)).build();
    let order = buy(&engine(&cloud, in_memory().await), 1).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    assert_eq!(cloud.resources().expect("the state").len(), 1);
}

#[tokio::test]
async fn a_wreck_of_a_lost_answer_is_ended() {
    let fails = Fault::OperationFails { leaves_resource: true, shortage: None };
    let cloud = unkeyed(None).fault(rule(Call::Provision, 1, fails)).build();
    let order = buy(&engine(&cloud, in_memory().await), 1).await;
    assert_eq!(order.state, OrderState::Failed, "{order:#?}");
    assert_eq!((alive(&cloud).len(), cloud.resources().expect("the state").len()), (0, 1));
}

/// Lets a stranger buy the same product as soon as something is made.
async fn meddle(cloud: &Sandbox) {
    while cloud.resources().expect("the state").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stranger(cloud, "theirs");
}

#[tokio::test]
async fn of_two_that_may_be_its_own_none_is_touched_and_a_person_must_look() {
    let cloud = unkeyed(None).fault(rule(Call::Provision, 1, Fault::AmbiguousHappened)).build();
    let engine = engine(&cloud, in_memory().await).with_claim_ttl(TAKE_OVER);
    let (order, ()) = tokio::join!(buy(&engine, 1), meddle(&cloud));
    assert_eq!(order.state, OrderState::Stuck, "{order:#?}");
    let reason = order.reason.clone().unwrap_or_default();
    assert!(reason.contains("theirs") && reason.contains("alpha-1"), "{reason}");
    assert_eq!(alive(&cloud).len(), 2);

    // A later try guesses no better, whatever has come and gone since.
    cloud.tamper(|all| all[0].released_at = Some(jiff::Timestamp::now())).expect("written");
    let by = || Operator { who: "a person".to_owned(), why: "a test".to_owned() };
    let again = engine.retry(&order.id, by()).await.expect("tried");
    assert_eq!(again.state, OrderState::Stuck, "{again:#?}");
    assert_eq!(alive(&cloud).len(), 1);
    let settled = engine.settle(&order.id, 0, by(), "ended by hand".to_owned()).await.expect("settled");
    assert_eq!(settled.state, OrderState::Failed);

    // And others can buy.
    let order = buy(&engine, 2).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    assert_eq!((alive(&cloud).len(), held(&order).contains(&"theirs".to_owned())), (3, false));
}

#[tokio::test]
async fn what_could_not_be_ended_is_ended_by_its_name_when_a_person_says_so() {
    let refused = FaultRule { times: 2, ..rule(Call::Release, 1, Fault::Forbidden) };
    let cloud = unkeyed(None).fault(refused).build();
    let engine = engine(&cloud, in_memory().await).with_claim_ttl(TAKE_OVER);
    let policy = policy().with_compensation_timeout_s(0);
    let order = engine.accept(machines(1), policy, None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    stranger(&cloud, "theirs");
    let stuck = engine.cancel(&order.id).await.expect("cancelled");
    assert_eq!(stuck.state, OrderState::Stuck, "{stuck:#?}");
    let by = Operator { who: "a person".to_owned(), why: "rights were mended".to_owned() };
    let undone = engine.retry(&order.id, by).await.expect("tried");
    assert_eq!(undone.state, OrderState::Ended, "{undone:#?}");
    assert_eq!(alive(&cloud).iter().map(|service| service.id.as_str()).collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn an_account_that_is_too_full_to_compare_is_not_bought_in() {
    let cloud = unkeyed(None).build();
    stranger(&cloud, "theirs");
    cloud
        .tamper(|all| {
            let one = all[0].clone();
            all.extend((0..10_000).map(|at| {
                let id = format!("theirs-{at}").parse().expect("a name");
                SandboxResource {
                    service: {
                        let mut changed = one.service.clone();
                        changed.id = id;
                        changed
                    },
                    ..one.clone()
                }
            }));
        })
        .expect("written");
    let order = buy(&engine(&cloud, in_memory().await), 1).await;
    assert_eq!(order.state, OrderState::Refused, "{order:#?}");
    assert!(order.reason.as_deref().is_some_and(|reason| reason.contains("10000")), "{:?}", order.reason);
    assert_eq!(alive(&cloud).len(), 10_001);
}

/// A driver that is dropped at a random moment, as a crash would end it, with its claim left to lapse or given back.
async fn drive_for_a_while(engine: &Engine, order: &OrderId, ms: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(ms), engine.drive(order)).await;
}

#[tokio::test]
async fn another_driver_finds_what_a_dead_one_has_made() {
    for fault in [Fault::AmbiguousHappened, Fault::AmbiguousLost] {
        for is_undone in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let cloud = unkeyed(Some(folder.path())).fault(rule(Call::Provision, 1, fault.clone())).build();
            let path = folder.path().join("orders.db");
            let open = async || {
                let ledger = Arc::new(SqliteLedger::open(&path).await.expect("a ledger"));
                engine(&cloud, ledger).with_claim_ttl(TAKE_OVER)
            };
            let first = open().await;
            let order = first.accept(machines(1), policy(), None).await.expect("accepted");
            let asked = async {
                loop {
                    let now = first.load(&order.id).await.expect("loaded");
                    if matches!(now.steps[0].state, StepState::Provisioning { .. }) {
                        return;
                    }
                }
            };
            // Dropped with the answer lost, or just before.
            tokio::select! { _ = first.drive(&order.id) => panic!("too fast"), () = asked => {} }
            drop(first);
            let second = open().await;
            // Another order waits until it is known what the dead one has made.
            let other = second.accept(machines(1), policy(), None).await.expect("accepted");
            let resume = async {
                tokio::time::sleep(Duration::from_millis(150)).await;
                match is_undone {
                    true => second.cancel(&order.id).await.expect("cancelled"),
                    false => second.resume_all().await.expect("resumed").remove(0),
                }
            };
            let (other, _) = tokio::join!(second.drive(&other.id), resume);
            let other = other.expect("driven");
            let order = second.load(&order.id).await.expect("loaded");
            let end = if is_undone { OrderState::Failed } else { OrderState::Committed };
            assert_eq!((order.state, other.state), (end, OrderState::Committed), "{order:#?} {other:#?}");
            let mut held = [held(&order), held(&other)].concat();
            held.sort();
            let alive: Vec<String> = alive(&cloud).iter().map(|service| service.id.to_string()).collect();
            assert_eq!(held, alive, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_dead_driver_that_has_not_asked_holds_nobody_up() {
    let cloud = unkeyed(None).build();
    let ledger = in_memory().await;
    let engine = engine(&cloud, ledger.clone());
    let dead = engine.accept(machines(1), policy(), None).await.expect("accepted");
    let claim = ledger.claim(&dead.id, "dead", Duration::ZERO).await.expect("claimed");
    ledger.acquire_slot("provision/alpha", &claim, 0, None).await.expect("in");
    let order = buy(&engine, 1).await;
    assert_eq!(order.state, OrderState::Committed, "{order:#?}");
    // And it cannot go on.
    assert!(ledger.annotate_slot("provision/alpha", &claim, 0, "late").await.is_err());
    let dead = engine.drive(&dead.id).await.expect("driven");
    assert_eq!((dead.state, alive(&cloud).len()), (OrderState::Committed, 2), "{dead:#?}");
}

#[tokio::test]
async fn an_intent_that_nobody_resumes_lets_others_time_out_and_buy_nothing() {
    let cloud = unkeyed(None).build();
    let ledger = in_memory().await;
    let engine = engine(&cloud, ledger.clone());
    let dead = engine.accept(machines(1), policy(), None).await.expect("accepted");
    let claim = ledger.claim(&dead.id, "dead", Duration::ZERO).await.expect("claimed");
    ledger.acquire_slot("provision/alpha", &claim, 0, None).await.expect("in");
    let mut step = dead.steps[0].clone();
    let (since, progress) = (jiff::Timestamp::now(), fulcrum_core::model::CallProgress::IntentOnly);
    step.state =
        StepState::Provisioning { claim: ClaimId::of_token(claim.token), since, progress, operation: None };
    let change = fulcrum_core::ledger::OrderUpdate {
        order: Some((OrderState::Provisioning, None)),
        steps: vec![step],
        ..Default::default()
    };
    ledger.write(&claim, &change).await.expect("written");
    let policy = policy().with_step_timeout_s(1);
    let order = engine.accept(machines(1), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!((order.state, alive(&cloud).len()), (OrderState::Refused, 0), "{order:#?}");
    assert!(order.reason.as_deref().is_some_and(|reason| reason.contains(dead.id.as_str())), "{order:#?}");
    // Without what was there before nothing can be told, and nothing is guessed.
    stranger(&cloud, "theirs");
    let engine = engine.with_claim_ttl(TAKE_OVER);
    let dead = engine.drive(&dead.id).await.expect("driven");
    assert_eq!((dead.state, alive(&cloud).len()), (OrderState::Stuck, 1), "{dead:#?}");
}

#[tokio::test]
async fn services_without_keys_can_be_acted_on_ended_and_missed() {
    let cloud = unkeyed(None).build();
    let engine = engine(&cloud, in_memory().await);
    let order = buy(&engine, 3).await;
    stranger(&cloud, "theirs");
    let by = || Operator { who: "a person".to_owned(), why: "a test".to_owned() };
    let acted = engine.act(&order.id, 0, fulcrum_core::model::Action::Stop, by()).await.expect("acted");
    assert_eq!(acted.state, OrderState::Committed, "{acted:#?}");
    let released = engine.release(&order.id, 1, by()).await.expect("released");
    assert_eq!(released.state, OrderState::Committed, "{released:#?}");
    assert_eq!(alive(&cloud).len(), 3);
    assert_clean(&engine.reconcile().await.expect("a scan"));
    let gone = held(&released).pop().expect("a service");
    let end = |all: &mut Vec<SandboxResource>| {
        let it = all.iter_mut().find(|resource| resource.service.id.as_str() == gone).expect("there");
        it.released_at = Some(jiff::Timestamp::now());
    };
    cloud.tamper(end).expect("written");
    let all = fulcrum_core::purchase::RepairPolicy::all();
    let outcome = engine.repair(&all).await.expect("a scan");
    let kinds: Vec<_> = outcome.findings.iter().map(|it| (it.kind.word(), it.service.to_string())).collect();
    assert_eq!(kinds, [("missing", gone)]);
    assert_eq!(alive(&cloud).len(), 2, "the stopped one and the stranger's");
}

/// What came of one run of [`two_hosts`].
struct Run {
    committed: usize,
    is_on_server: bool,
}

/// Two hosts on one ledger buy at the same time at the same provider; answers are lost and drivers die at random.
#[tokio::test(flavor = "multi_thread")]
async fn prop_two_hosts_buy_exactly_what_their_orders_hold() {
    let seed = seed::seed();
    let runs: u64 = std::env::var("FULCRUM_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let (mut committed, mut on_server) = (0, 0);
    // Most of the time they wait.
    let runs_of_two = (0..runs).map(|run| tokio::spawn(two_hosts(seed.wrapping_add(run), run)));
    let mut ended = futures::stream::iter(runs_of_two).buffer_unordered(12);
    while let Some(run) = ended.next().await {
        let run = run.expect("the run's own panic is above");
        committed += run.committed;
        on_server += usize::from(run.is_on_server);
    }
    println!(
        "figure: {} orders without keys, {committed} committed, {on_server} of {runs} runs on PostgreSQL: \
         0 orphans, 0 doubles, 0 in limbo",
        4 * runs
    );
    assert!(committed > 0 || runs < 10, "seed {seed}: nothing was bought");
}

/// On a new database on every other run, where there is a server.
async fn two_hosts(seed: u64, run: u64) -> Run {
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut builder = unkeyed(Some(folder.path()))
        .latency(Duration::ZERO, Duration::from_millis(6))
        .operation(Duration::ZERO, Duration::from_millis(30));
    for nth in 1..30 {
        let fault = match chance.random_range(0..10) {
            0 | 1 => Fault::AmbiguousHappened,
            2 | 3 => Fault::AmbiguousLost,
            4 => Fault::OperationFails { leaves_resource: chance.random(), shortage: None },
            5 => Fault::Unavailable,
            _ => continue,
        };
        builder = builder.fault(rule(Call::Provision, nth, fault));
    }
    for call in [Call::Services, Call::Describe, Call::Poll, Call::Release] {
        let nth = chance.random_range(1..20);
        builder = builder.fault(rule(call, nth, Fault::Unavailable));
        builder = builder.fault(rule(call, nth + 3, Fault::AmbiguousHappened));
    }
    let cloud = builder.build();
    stranger(&cloud, "theirs");
    let path = folder.path().join("orders.db");
    // Held to the end: as long as it lives the server is not let crash.
    #[cfg(feature = "postgres")]
    let database = if run % 2 == 1 { support::postgres::database().await } else { None };
    #[cfg(feature = "postgres")]
    let url = database.as_deref();
    #[cfg(not(feature = "postgres"))]
    let (url, _) = (None, run);
    let mut engines = Vec::new();
    for _ in 0..2 {
        engines.push(engine(&cloud, shared(&path, url).await).with_claim_ttl(TAKE_OVER));
    }
    let mut ids = Vec::new();
    for at in 0..4 {
        let policy = policy().with_concurrency(chance.random_range(1..4));
        let count = chance.random_range(1..4);
        ids.push(engines[at % 2].accept(machines(count), policy, None).await.expect("accepted").id);
    }
    let drive = async |id: &OrderId, seed: u64| {
        let mut chance = StdRng::seed_from_u64(seed);
        for _ in 0..chance.random_range(0..3) {
            let (at, ms) = (chance.random_range(0..2), chance.random_range(1..200));
            drive_for_a_while(&engines[at], id, ms).await;
        }
        loop {
            let at = chance.random_range(0..2);
            if let Ok(order) = engines[at].drive(id).await
                && order.state.is_final()
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let seeds: Vec<u64> = ids.iter().map(|_| chance.random()).collect();
    let all = futures::future::join_all(ids.iter().zip(seeds).map(|(id, seed)| drive(id, seed)));
    let in_time = tokio::time::timeout(LONG, all).await;
    let context = format!("seed {seed}, run {run}");
    let (mut held_by_all, mut states) = (Vec::new(), Vec::new());
    for id in &ids {
        let order = engines[0].load(id).await.expect("loaded");
        if in_time.is_err() {
            println!("{order:#?}");
        }
        states.push(order.state);
        held_by_all.extend(held(&order));
    }
    assert!(in_time.is_ok(), "{context}: orders in limbo: {states:?}");
    held_by_all.push("theirs".to_owned());
    held_by_all.sort();
    let mut alive: Vec<String> = alive(&cloud).iter().map(|service| service.id.to_string()).collect();
    alive.sort();
    let is_over = |state: &OrderState| {
        matches!(state, OrderState::Committed | OrderState::Failed | OrderState::Refused)
    };
    assert!(states.iter().all(is_over), "{context}: {states:?}");
    assert_eq!(held_by_all, alive, "{context}: {states:?}");
    // Without the faults that are left.
    let calm = unkeyed(Some(folder.path())).build();
    let ledger = shared(&path, url).await;
    assert_clean(&engine(&calm, ledger).reconcile().await.expect("a scan"));
    let committed = states.iter().filter(|state| **state == OrderState::Committed).count();
    Run { committed, is_on_server: url.is_some() }
}

#[tokio::test]
async fn the_sandbox_without_keys_finds_none_and_lists_all() {
    let cloud = unkeyed(None).build();
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    assert!(cloud.find_by_key(&key).await.is_err());
    assert!(!cloud.capabilities().can(Call::FindByKey));
}
