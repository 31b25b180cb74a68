//! The database goes away from under what is done to an order after its purchase: its sessions are ended, it takes no writes,
//! or another server takes over that lagged behind. The call goes on, or says what to do; asked for once more, all has been
//! done once.
//!
//! Some writes of each operation are drawn by chance; with `FULCRUM_POINTS=all` every one is tried.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{LedgerError, PostgresLedger},
    model::OrderId,
    provider::sandbox::Sandbox,
    purchase::{Engine, PurchaseError},
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    hindered_ledger::{Hindered, Hindrance},
    ledger_spy::Witness,
    multi_host::open,
    operation::{self, Billing, OPERATIONS, Operation, clouds},
    support::{postgres, providers, seed},
};

/// Short, as one that cannot be given back is waited for.
pub(crate) const CLAIM_TTL: Duration = Duration::from_millis(500);
/// Longer than this, and an order is in limbo.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Writes of each operation that are drawn, unless all are tried.
const SAMPLE: usize = 2;
/// Databases in which something goes wrong at once.
const AT_ONCE: usize = 4;

/// What happens to the sessions with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// They are ended before the write, and once more while it may be under way.
    Ended,
    /// New ones take no writes for a while, and those that are open are ended.
    ReadOnly,
}

#[derive(Debug)]
struct Harmed {
    harm: Harm,
    url: String,
    /// Until the second blow, or the end of it.
    after: Duration,
}

/// Asks the server from a session of another database.
pub(crate) async fn administer(url: &str, sql: &str) {
    let (server, name) = url.rsplit_once('/').expect("a database");
    let mut raw = PgConnection::connect(&format!("{server}/postgres")).await.expect("connected");
    let sql = AssertSqlSafe(sql.replace("THIS", name));
    sqlx::raw_sql(sql).execute(&mut raw).await.expect("run");
}

const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'THIS'";

#[async_trait]
impl Hindrance for Harmed {
    async fn begin(&self) {
        if self.harm == Harm::ReadOnly {
            administer(&self.url, "ALTER DATABASE THIS SET default_transaction_read_only = on").await;
        }
        administer(&self.url, END).await;
        let (harm, url, after) = (self.harm, self.url.clone(), self.after);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let then = match harm {
                Harm::Ended => END,
                Harm::ReadOnly => "ALTER DATABASE THIS RESET default_transaction_read_only",
            };
            administer(&url, then).await;
        });
    }
}

/// Whether an error says what to do about a database.
pub(crate) fn is_said(error: &str) -> bool {
    let advice = ["check the ledger's address", "goes on by itself", "try again"];
    error.contains("ledger") && advice.iter().any(|advice| error.contains(advice))
}

/// What was done to one order, and where.
pub(crate) struct Place {
    pub(crate) operation: Operation,
    pub(crate) clouds: Vec<Sandbox>,
    pub(crate) id: OrderId,
    pub(crate) billing: Billing,
}

impl Place {
    /// An order to which something can be done, in a new database.
    pub(crate) async fn prepare(operation: Operation, url: &str) -> Self {
        let clouds = clouds(None, operation.is_of_stuck());
        let id = operation::prepare(operation, &Engine::new(providers(&clouds), open(url).await)).await;
        Self { operation, clouds, id, billing: Billing::Memory(Arc::default()) }
    }

    /// Asks for it until it is done and `may_end` says that nothing more can go wrong. The answer is how often it was told
    /// why not.
    pub(crate) async fn perform(&self, engine: &Engine, may_end: impl Fn() -> bool, context: &str) -> usize {
        let mut refused = 0;
        let done = async {
            loop {
                match operation::step(self.operation, engine, &self.id, &self.billing).await {
                    Ok(true) if may_end() => return,
                    // Done in part; or the last claim could not be given back.
                    Ok(_)
                    | Err(PurchaseError::Ledger(LedgerError::Claimed { .. } | LedgerError::Fenced(_))) => {}
                    // A server that lagged has shown an order that was settled meanwhile, or one without the action that is under way.
                    Err(PurchaseError::NotStuck(_) | PurchaseError::NoService { .. }) => {}
                    Err(PurchaseError::Ledger(error @ LedgerError::Store(_))) => {
                        assert!(is_said(&error.to_string()), "{context}: {error}");
                        refused += 1;
                    }
                    Err(error) => panic!("{context}: {error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{context}: it is in limbo"));
        refused
    }

    /// By a host that has seen nothing of it.
    pub(crate) async fn check(&self, url: &str, context: &str) {
        let engine = Engine::new(providers(&self.clouds), open(url).await);
        operation::check(self.operation, &self.clouds, &engine, &self.id, &self.billing, context).await;
    }
}

/// How many writes there were, and errors; none without a server. Boxed, as many of them wait at once.
fn harmed(
    operation: Operation,
    harm: Harm,
    at: usize,
    after: Duration,
) -> BoxFuture<'static, Option<(usize, usize)>> {
    harmed_at(operation, harm, at, after).boxed()
}

async fn harmed_at(operation: Operation, harm: Harm, at: usize, after: Duration) -> Option<(usize, usize)> {
    let context = format!("{operation:?}, {harm:?} at write {at}, again after {after:?}");
    let database = postgres::database().await?;
    let place = Place::prepare(operation, &database).await;
    let ledger = Arc::new(PostgresLedger::with_connections(&database, 4).await.expect("a ledger"));
    let hindrance = Harmed { harm, url: database.to_string(), after };
    let hindered = Hindered::new(ledger, at, Arc::new(hindrance));
    let witness = Witness::new(open(&database).await, place.id.clone());
    let engine = Engine::new(witness.at(&place.clouds), hindered.clone()).with_claim_ttl(CLAIM_TTL);
    let refused = place.perform(&engine, || true, &context).await;
    assert_eq!(witness.wrong(), Vec::<String>::new(), "{context}");
    // Until what comes after is over.
    tokio::time::sleep(after + Duration::from_millis(100)).await;
    administer(&database, "ALTER DATABASE THIS RESET default_transaction_read_only").await;
    place.check(&database, &context).await;
    let calls = match operation {
        Operation::Cancel => 3,
        Operation::Act | Operation::Release | Operation::Retry => 1,
        Operation::Settle | Operation::Forget | Operation::Deliver => 0,
    };
    let asked = witness.asked();
    assert_eq!(asked.len(), calls, "{context}: asked for otherwise than once: {asked:?}");
    Some((hindered.writes(), refused))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_order_outlives_its_sessions() {
    let all = std::env::var("FULCRUM_POINTS").is_ok_and(|points| points == "all");
    let chance = Mutex::new(StdRng::seed_from_u64(seed::seed()));
    let tries = OPERATIONS.map(async |operation| {
        let Some((last, _)) = harmed(operation, Harm::Ended, usize::MAX, Duration::ZERO).await else {
            return (0, 0);
        };
        let (mut tried, mut refused) = (0, 0);
        for harm in [Harm::Ended, Harm::ReadOnly] {
            let count = if all { last } else { SAMPLE };
            for nth in 1..=count {
                let (at, ms) = {
                    let mut chance = chance.lock().expect("no panic");
                    let most = if harm == Harm::Ended { 12 } else { 600 };
                    (if all { nth } else { chance.random_range(1..=last) }, chance.random_range(0..most))
                };
                let done = harmed(operation, harm, at, Duration::from_millis(ms)).await.expect("a server");
                (tried, refused) = (tried + 1, refused + done.1);
            }
        }
        (tried, refused)
    });
    let done: Vec<(usize, usize)> = futures::stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
    let (tried, refused) = done.iter().fold((0, 0), |sum, done| (sum.0 + done.0, sum.1 + done.1));
    if tried == 0 {
        return;
    }
    println!(
        "figure: sessions lost, or without writes, at {tried} writes of {} operations, {refused} errors in words: each is \
         done once",
        OPERATIONS.len()
    );
}
