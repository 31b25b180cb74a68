//! The power fails at a point of what is done to an order after its purchase: it is cancelled, acted upon, released, tried
//! again, settled, forgotten, or its events are delivered. Afterwards the same is asked for once more, as a person would, and
//! it has been done once.
//!
//! On both stores. Some points of each are drawn by chance; with `FULCRUM_POINTS=all` every one is tried.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

#[cfg(feature = "postgres")]
use crate::support::postgres;
use crate::{
    every_point::assert_ended,
    kill_points::{self, Mortal},
    multi_host::open,
    operation::{self, Billing, OPERATIONS, Operation, clouds},
    support::{providers, seed},
};
use fulcrum_core::{model::OrderId, purchase::Engine};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// A dead process's claim is waited for.
const CLAIM_TTL: Duration = Duration::from_secs(1);
/// Longer than this, and an order is in limbo.
const PATIENCE: Duration = Duration::from_secs(300);
/// Points of one operation that are tried at once.
const AT_ONCE: usize = 8;
/// Points of each operation that are drawn, unless all are tried.
const SAMPLE: usize = 4;

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

impl Place {
    fn billing(&self) -> Billing {
        Billing::File(self.folder.path().join("delivered"))
    }
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

/// An order to which something can be done.
async fn prepare(operation: Operation, place: &Place) -> OrderId {
    let clouds = clouds(Some(place.folder.path()), operation.is_of_stuck());
    operation::prepare(operation, &Engine::new(providers(&clouds), open(&place.ledger).await)).await
}

/// Does it, or goes on with it, until it is done.
async fn perform(operation: Operation, engine: &Engine, id: &OrderId, billing: &Billing) {
    loop {
        match operation::step(operation, engine, id, billing).await {
            Ok(true) => return,
            // Done in part; or a dead process has the order still.
            Ok(false) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn check(operation: Operation, place: &Place, id: &OrderId, context: &str) {
    let clouds = clouds(Some(place.folder.path()), false);
    let engine = Engine::new(providers(&clouds), open(&place.ledger).await);
    operation::check(operation, &clouds, &engine, id, &place.billing(), context).await;
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
        let providers = clouds(Some(&folder), false).into_iter().map(Mortal::provider);
        let providers = providers.map(|provider| (provider.id().clone(), provider)).collect();
        let engine = Engine::new(providers, Mortal::ledger(open(&ledger).await)).with_claim_ttl(CLAIM_TTL);
        kill_points::die_at(number("FULCRUM_KILL_AT"));
        let billing = Billing::File(folder.join("delivered"));
        let performed = perform(operation, &engine, &id, &billing);
        tokio::time::timeout(PATIENCE, performed).await.expect("an end, and no limbo");
    });
    println!("points: {}", kill_points::points());
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
