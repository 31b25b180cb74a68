//! The power fails at a point of what is done to an order after its purchase: it is cancelled, acted upon, released, tried
//! again, settled, forgotten, or its events are delivered. Afterwards the same is asked for once more, as a person would, and
//! it has been done once.
//!
//! On both stores. Some points of each are drawn by chance; with `FULCRUM_POINTS=all` every one is tried.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

#[cfg(feature = "postgres")]
use crate::support::postgres;
use crate::{
    every_point::assert_ended,
    mortal::{self, Mortal},
    multi_host::open,
    support::{CLOUDS, assert_clean, cloud, count, plan, providers, seed},
};
use fulcrum_core::{
    model::{Operator, Order, OrderEvent, OrderId, OrderState, Policy, ServiceStatus, StepState},
    provider::{
        Action, Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// A dead process's claim is waited for.
const LEASE: Duration = Duration::from_secs(1);
/// Longer than this, and an order is in limbo.
const PATIENCE: Duration = Duration::from_secs(300);
/// Points of one operation that are tried at once.
const AT_ONCE: usize = 8;
/// Points of each operation that are drawn, unless all are tried.
const SAMPLE: usize = 4;
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };
const DELIVERY: &str = "to the billing";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Cancel,
    Act,
    Release,
    Retry,
    Settle,
    Forget,
    Deliver,
}

const OPERATIONS: [Operation; 7] = [
    Operation::Cancel,
    Operation::Act,
    Operation::Release,
    Operation::Retry,
    Operation::Settle,
    Operation::Forget,
    Operation::Deliver,
];

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "a test".to_owned() }
}

/// Where an order is kept.
enum Store {
    File,
    #[cfg(feature = "postgres")]
    Database,
}

/// Where one order is kept; what must live as long as it.
struct Place {
    folder: tempfile::TempDir,
    ledger: String,
    #[cfg(feature = "postgres")]
    _database: Option<postgres::Database>,
}

impl Store {
    /// None where there is no server, which was said aloud.
    async fn place(&self) -> Option<Place> {
        let folder = tempfile::tempdir().expect("a folder");
        match self {
            Self::File => Some(Place {
                ledger: folder.path().join("orders.db").to_str().expect("a path").to_owned(),
                folder,
                #[cfg(feature = "postgres")]
                _database: None,
            }),
            #[cfg(feature = "postgres")]
            Self::Database => {
                let database = postgres::database().await?;
                Some(Place { folder, ledger: database.to_string(), _database: Some(database) })
            }
        }
    }
}

fn clouds(folder: &Path, refuses: bool) -> Vec<Sandbox> {
    let build = |name: &&str| {
        let builder = cloud(name, Some(folder)).idempotency(LAGGING).list_lag(25);
        let rule = FaultRule { call: Call::Release, sku: None, nth: 1, times: 1000, fault: Fault::Forbidden };
        match refuses && *name == "gamma" {
            true => builder.fault(rule).build(),
            false => builder.build(),
        }
    };
    CLOUDS.iter().map(build).collect()
}

/// An order to which something can be done.
async fn prepare(operation: Operation, place: &Place) -> OrderId {
    let is_stuck = matches!(operation, Operation::Retry | Operation::Settle);
    let clouds = clouds(place.folder.path(), is_stuck);
    let engine = Engine::new(providers(&clouds), open(&place.ledger).await);
    let policy = Policy { compensation_timeout_s: if is_stuck { 0 } else { 600 }, ..Policy::default() };
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    match operation {
        Operation::Retry | Operation::Settle => {
            let stuck = engine.release(&order.id, 2, by()).await.expect("driven");
            assert_eq!(stuck.state, OrderState::Stuck, "{:?}", stuck.reason);
        }
        Operation::Forget => drop(engine.cancel(&order.id).await.expect("cancelled")),
        Operation::Cancel | Operation::Act | Operation::Release | Operation::Deliver => {}
    }
    order.id
}

/// Does it, or goes on with it, until it is done.
async fn perform(operation: Operation, engine: &Engine, id: &OrderId, folder: &Path) {
    loop {
        match step(operation, engine, id, folder).await {
            Ok(true) => return,
            // Done in part; or a dead process has the order still.
            Ok(false) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Whether it is done.
async fn step(
    operation: Operation,
    engine: &Engine,
    id: &OrderId,
    folder: &Path,
) -> Result<bool, PurchaseError> {
    if operation == Operation::Forget {
        engine.forget(Timestamp::now()).await?;
        return Ok(engine.ledger().load(id).await?.is_none());
    }
    // What was begun goes on first.
    let order = engine.drive(id).await?;
    let is_done = |order: &Order| match operation {
        Operation::Cancel => order.state == OrderState::Ended,
        Operation::Act => status_of(order) == Some(ServiceStatus::Stopped),
        Operation::Release | Operation::Retry | Operation::Settle => {
            order.state == OrderState::Committed && order.steps[2].state == StepState::Compensated
        }
        Operation::Forget | Operation::Deliver => false,
    };
    if is_done(&order) {
        return Ok(true);
    }
    let order = match operation {
        Operation::Cancel => engine.cancel(id).await?,
        Operation::Act => engine.act(id, 2, Action::Stop, by()).await?,
        Operation::Release => engine.release(id, 2, by()).await?,
        Operation::Retry => engine.retry(id, by()).await?,
        Operation::Settle => engine.settle(id, 2, by(), "ended by hand".to_owned()).await?,
        Operation::Forget => return Ok(false),
        Operation::Deliver => {
            deliver(engine, folder).await;
            return Ok(true);
        }
    };
    Ok(is_done(&order))
}

fn status_of(order: &Order) -> Option<ServiceStatus> {
    match &order.steps[2].state {
        StepState::Committed { service } => Some(service.status),
        _ => None,
    }
}

/// Writes each event's number down, as durable as a host that remembers how far it has come.
async fn deliver(engine: &Engine, folder: &Path) {
    let path = folder.join("delivered");
    let sink = |events: Vec<OrderEvent>| {
        let path = path.clone();
        async move {
            mortal::point();
            let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
            for event in events {
                writeln!(file, "{}", event.sequence)?;
            }
            file.sync_all()?;
            mortal::point();
            Ok::<_, std::io::Error>(())
        }
    };
    let last = engine.ledger().events(0, None, u32::MAX).await.expect("events").last().map(|it| it.sequence);
    let all = async {
        while engine.ledger().cursor(DELIVERY).await.ok() != last {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    engine.deliver(DELIVERY, sink, all).await;
}

/// What must be true afterwards, by the clouds' own state.
async fn check(operation: Operation, place: &Place, id: &OrderId, context: &str) {
    let clouds = clouds(place.folder.path(), false);
    let engine = Engine::new(providers(&clouds), open(&place.ledger).await);
    let order = engine.ledger().load(id).await.expect("read");
    let (alive, of_key) = count(&clouds);
    let (state, services) = match operation {
        Operation::Cancel => (Some(OrderState::Ended), 0),
        Operation::Act | Operation::Deliver => (Some(OrderState::Committed), 3),
        Operation::Release | Operation::Retry => (Some(OrderState::Committed), 2),
        // Nobody has ended it by hand.
        Operation::Settle => (Some(OrderState::Committed), 3),
        Operation::Forget => (None, 0),
    };
    assert_eq!(order.as_ref().map(|order| order.state), state, "{context}: {order:#?}");
    assert_eq!((alive, of_key.len()), (services, services), "{context}: {of_key:?}");
    let ever: usize = clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum();
    assert_eq!(ever, 3, "{context}: something was bought again");
    let events = engine.ledger().events(0, Some(id), u32::MAX).await.expect("events");
    match order {
        None => assert!(events.is_empty(), "{context}: {events:#?}"),
        Some(_) => engine.ledger().verify(id).await.expect("whole"),
    }
    if operation == Operation::Deliver {
        let text = fs::read_to_string(place.folder.path().join("delivered")).expect("delivered");
        let told: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
        let all: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), all, "{context}: {told:?}");
    } else if operation != Operation::Settle {
        assert_clean(&engine.reconcile().await.expect("reconciled"));
    }
}

fn run_child(operation: usize, place: &Place, kill_at: u64, id: &OrderId) -> Output {
    Command::new(std::env::current_exe().expect("this executable"))
        .args(["--exact", "operations::the_child_that_is_killed", "--ignored", "--nocapture"])
        .env("FULCRUM_KILL_FOLDER", place.folder.path())
        .env("FULCRUM_KILL_LEDGER", &place.ledger)
        .env("FULCRUM_KILL_OPERATION", operation.to_string())
        .env("FULCRUM_KILL_AT", kill_at.to_string())
        .env("FULCRUM_KILL_ORDER", id.as_str())
        .output()
        .expect("a child process")
}

#[test]
#[ignore = "run by the tests here, as the process that is killed"]
fn the_child_that_is_killed() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(folder) = variable("FULCRUM_KILL_FOLDER").map(PathBuf::from) else { return };
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let operation = OPERATIONS[usize::try_from(number("FULCRUM_KILL_OPERATION")).expect("a number")];
    let id: OrderId = variable("FULCRUM_KILL_ORDER").expect("an id").parse().expect("an id");
    let ledger = variable("FULCRUM_KILL_LEDGER").expect("a ledger");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let providers = clouds(&folder, false).into_iter().map(Mortal::provider);
        let providers = providers.map(|provider| (provider.id().clone(), provider)).collect();
        let engine = Engine::new(providers, Mortal::ledger(open(&ledger).await)).with_lease(LEASE);
        mortal::die_at(number("FULCRUM_KILL_AT"));
        let performed = perform(operation, &engine, &id, &folder);
        tokio::time::timeout(PATIENCE, performed).await.expect("an end, and no limbo");
    });
    println!("points: {}", mortal::points());
}

/// How many points there are, and whether the process was killed at this one; none without a server.
fn try_point(store: &Store, number: usize, kill_at: u64) -> Option<(u64, bool)> {
    let operation = OPERATIONS[number];
    let context = format!("{operation:?}, killed at point {kill_at}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let place = runtime.block_on(store.place())?;
    let id = runtime.block_on(prepare(operation, &place));
    let first = run_child(number, &place, kill_at, &id);
    let is_killed = first.status.signal() == Some(9);
    let last = if is_killed { run_child(number, &place, 0, &id) } else { first };
    assert_ended(&last, &context);
    runtime.block_on(check(operation, &place, &id, &context));
    let said = String::from_utf8_lossy(&last.stdout);
    let points = said.lines().find_map(|line| line.strip_prefix("points: ")).expect("it says how many");
    Some((points.parse().expect("a number"), is_killed))
}

fn survives(store: &Store) {
    let all = std::env::var("FULCRUM_POINTS").is_ok_and(|points| points == "all");
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let mut killed = 0;
    for (number, operation) in OPERATIONS.iter().enumerate() {
        let Some((last, _)) = try_point(store, number, 0) else { return };
        assert!(last > 0, "{:?}: the hooks are not reached", operation);
        let points: Vec<u64> = match all {
            true => (1..=last).collect(),
            false => (0..SAMPLE).map(|_| chance.random_range(1..=last)).collect(),
        };
        let mut here = 0;
        for some in points.chunks(AT_ONCE) {
            std::thread::scope(|scope| {
                let tried: Vec<_> =
                    some.iter().map(|point| scope.spawn(move || try_point(store, number, *point))).collect();
                for tried in tried {
                    let (_, is_killed) =
                        tried.join().expect("the thread's own panic is above").expect("a server");
                    here += usize::from(is_killed);
                }
            });
        }
        assert!(here > 0, "{:?}: nothing was killed", operation);
        println!("{:?}: killed at {here} of {last} points", operation);
        killed += here;
    }
    println!("figure: {} operations, {killed} kill points tried: each is done once", OPERATIONS.len());
}

#[test]
fn what_is_done_to_an_order_survives_sigkill_with_a_file() {
    survives(&Store::File);
}

#[cfg(feature = "postgres")]
#[test]
fn what_is_done_to_an_order_survives_sigkill_with_a_database() {
    survives(&Store::Database);
}
