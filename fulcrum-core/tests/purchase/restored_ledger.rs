//! A ledger that went back, as after a restore or a fail-over to a standby that lags: nothing is bought twice, and nothing is
//! called ended that runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{self, cloud, count, duo, duo_plan, duo_policy, plan, providers};
use fulcrum_core::{
    ledger::SqliteLedger,
    model::{OrderId, OrderState, Plan, Policy},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};
use tempfile::TempDir;

const LAG: Duration = Duration::from_secs(1);
const LAG_MS: u64 = 1000;
const SEARCHABLE: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: LAG_MS };
const CLASSES: [IdempotencyClass; 3] = [IdempotencyClass::Key, IdempotencyClass::Natural, SEARCHABLE];

/// The three clouds, with lists that lag.
fn lagging(class: IdempotencyClass) -> Vec<Sandbox> {
    let build = |name: &&str| cloud(name, None).idempotency(class).list_lag(LAG_MS).build();
    support::CLOUDS.iter().map(build).collect()
}

/// A ledger's file, and a copy of it from just after an order was accepted.
struct Ledgers {
    folder: TempDir,
    order: OrderId,
}

impl Ledgers {
    /// Accepts an order and lets the copy be made; whoever has accepted it is gone then.
    async fn accepted(clouds: &[Sandbox], plan: Plan, policy: Policy) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(clouds, &folder.path().join("orders.db")).await;
        let order = engine.accept(plan, policy, None).await.expect("accepted").id;
        let ledgers = Self { folder, order };
        ledgers.copy().await;
        ledgers
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("orders.db")
    }

    fn standby(&self) -> PathBuf {
        self.folder.path().join("standby.db")
    }

    /// A copy as SQLite makes it, of one moment.
    async fn copy(&self) {
        let source = sqlx::SqlitePool::connect(path(&self.file())).await.expect("opened");
        let into = format!("VACUUM INTO '{}'", self.standby().display());
        sqlx::query(sqlx::AssertSqlSafe(into)).execute(&source).await.expect("copied");
        source.close().await;
    }

    /// Makes the ledger's rows those of the copy again, under a process that has it open.
    async fn go_back(&self) {
        let pool = sqlx::SqlitePool::connect(path(&self.file())).await.expect("opened");
        let mut connection = pool.acquire().await.expect("a connection");
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        )
        .fetch_all(&mut *connection)
        .await
        .expect("tables");
        let triggers: Vec<(String, String)> =
            sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
                .fetch_all(&mut *connection)
                .await
                .expect("triggers");
        let mut statements = vec![
            format!("ATTACH '{}' AS old", self.standby().display()),
            "PRAGMA foreign_keys = OFF".to_owned(),
            "BEGIN IMMEDIATE".to_owned(),
        ];
        // They guard what is written; a restore asks nobody.
        statements.extend(triggers.iter().map(|(name, _)| format!("DROP TRIGGER main.\"{name}\"")));
        for table in tables {
            statements.push(format!("DELETE FROM main.\"{table}\""));
            statements.push(format!("INSERT INTO main.\"{table}\" SELECT * FROM old.\"{table}\""));
        }
        statements.extend(triggers.into_iter().map(|(_, sql)| sql));
        statements.push("COMMIT".to_owned());
        for statement in statements {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await.expect("set back");
        }
        drop(connection);
        pool.close().await;
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

async fn engine(clouds: &[Sandbox], ledger: &Path) -> Engine {
    let ledger = SqliteLedger::open(ledger).await.expect("a ledger");
    // Short, as whoever takes a step over waits for as long.
    Engine::new(providers(clouds), Arc::new(ledger)).with_claim_ttl(Duration::from_millis(500))
}

/// Services that were ever made.
fn ever(clouds: &[Sandbox]) -> usize {
    clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum()
}

/// A new process on a standby that lags by less than the lists do, so that nothing of what exists is listed yet.
#[tokio::test]
async fn a_new_process_on_a_standby_buys_nothing_again() {
    for class in CLASSES {
        let clouds = lagging(class);
        let ledgers = Ledgers::accepted(&clouds, plan(), Policy::default()).await;
        let began = Instant::now();
        let first = engine(&clouds, &ledgers.file()).await.drive(&ledgers.order).await.expect("driven");
        assert_eq!((first.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
        // One that did not accept it has looked for as long as lists lag.
        assert!(class != SEARCHABLE || began.elapsed() >= LAG, "{class:?}: {:?}", began.elapsed());
        let second = engine(&clouds, &ledgers.standby()).await.drive(&ledgers.order).await.expect("driven");
        assert_eq!(second.state, OrderState::Committed, "{class:?}: {:?}", second.reason);
        let (alive, of_key) = count(&clouds);
        assert_eq!((alive, of_key.len(), ever(&clouds)), (3, 3, 3), "{class:?}");
    }
}

#[tokio::test]
async fn a_new_process_on_a_standby_calls_nothing_ended_that_runs() {
    for class in CLASSES {
        let clouds = lagging(class);
        let ledgers = Ledgers::accepted(&clouds, plan(), Policy::default()).await;
        let first = engine(&clouds, &ledgers.file()).await.drive(&ledgers.order).await.expect("driven");
        assert_eq!((first.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
        let second =
            engine(&clouds, &ledgers.standby()).await.cancel(&ledgers.order).await.expect("cancelled");
        assert_eq!(
            (second.state, count(&clouds).0),
            (OrderState::Failed, 0),
            "{class:?}: {:?}",
            second.reason
        );
    }
}

/// A price that cannot be had any more is no reason to forget what was bought before.
#[tokio::test]
async fn a_refused_price_on_a_standby_ends_what_exists() {
    let clouds = lagging(SEARCHABLE);
    let policy = Policy::default().with_valid_until(jiff::Timestamp::now() + Duration::from_secs(3));
    let ledgers = Ledgers::accepted(&clouds, plan(), policy).await;
    let first = engine(&clouds, &ledgers.file()).await.drive(&ledgers.order).await.expect("driven");
    assert_eq!((first.state, count(&clouds).0), (OrderState::Committed, 3));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = engine(&clouds, &ledgers.standby()).await.drive(&ledgers.order).await.expect("driven");
    assert_eq!((second.state, count(&clouds).0), (OrderState::Failed, 0), "{:?}", second.reason);
}

/// The ledger goes back under a process that has accepted the order and driven it already.
#[tokio::test]
async fn the_same_process_buys_nothing_again_after_its_ledger_went_back() {
    for class in CLASSES {
        for is_undone in [false, true] {
            let clouds = lagging(class);
            let folder = tempfile::tempdir().expect("a folder");
            let engine = engine(&clouds, &folder.path().join("orders.db")).await;
            let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted").id;
            let ledgers = Ledgers { folder, order };
            ledgers.copy().await;
            let first = engine.drive(&ledgers.order).await.expect("driven");
            assert_eq!((first.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
            ledgers.go_back().await;
            let back = engine.load(&ledgers.order).await.expect("loaded");
            assert_eq!(back.state, OrderState::Accepted, "the ledger did not go back");
            let again = match is_undone {
                true => engine.cancel(&ledgers.order).await.expect("cancelled"),
                false => engine.drive(&ledgers.order).await.expect("driven"),
            };
            let (state, alive) = if is_undone { (OrderState::Failed, 0) } else { (OrderState::Committed, 3) };
            assert_eq!((again.state, count(&clouds).0), (state, alive), "{class:?}: {:?}", again.reason);
            assert_eq!(ever(&clouds), 3, "{class:?}: bought twice");
        }
    }
}

/// The ledger goes back to before the order, and its host, which knows the id, accepts it again.
#[tokio::test]
async fn an_order_that_its_ledger_lost_is_looked_for_when_it_is_accepted_again() {
    for class in CLASSES {
        let clouds = lagging(class);
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine(&clouds, &folder.path().join("orders.db")).await;
        let ledgers = Ledgers { folder, order: OrderId::generate() };
        ledgers.copy().await;
        for _ in 0..2 {
            let id = Some(ledgers.order.clone());
            engine.accept(plan(), Policy::default(), id).await.expect("accepted");
            let bought = engine.drive(&ledgers.order).await.expect("driven");
            assert_eq!((bought.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
            assert_eq!(ever(&clouds), 3, "{class:?}: bought twice");
            ledgers.go_back().await;
            assert!(engine.load(&ledgers.order).await.is_err(), "the ledger did not go back");
        }
    }
}

/// The same by a new process, which has nothing but the id: it tells that it is not of this moment.
#[tokio::test]
async fn an_older_id_is_looked_for_by_a_new_process_too() {
    for class in CLASSES {
        let clouds = lagging(class);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.db");
        let then = jiff::Timestamp::now().as_second().unsigned_abs() - 120;
        let then = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, then, 0));
        let ledgers = Ledgers { folder, order: then.to_string().parse().expect("an id") };
        drop(engine(&clouds, &path).await);
        ledgers.copy().await;
        for _ in 0..2 {
            let engine = engine(&clouds, &path).await;
            let id = Some(ledgers.order.clone());
            engine.accept(plan(), Policy::default(), id).await.expect("accepted");
            let bought = engine.drive(&ledgers.order).await.expect("driven");
            assert_eq!((bought.state, count(&clouds).0), (OrderState::Committed, 3), "{class:?}");
            assert_eq!(ever(&clouds), 3, "{class:?}: bought twice");
            ledgers.go_back().await;
        }
    }
}

/// What a fail-over bought in the time that the ledger has lost is not bought once more by the next fail-over.
#[tokio::test]
async fn what_a_forgotten_fail_over_bought_is_not_bought_again() {
    for class in CLASSES {
        let sold_out =
            FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault: Fault::SoldOut };
        let build = |name: &&str| {
            let builder = cloud(name, None).idempotency(class).list_lag(LAG_MS);
            if *name == "beta" { builder.fault(sold_out.clone()).build() } else { builder.build() }
        };
        let clouds: Vec<Sandbox> = support::CLOUDS.iter().map(build).collect();
        let ledgers = Ledgers::accepted(&clouds, duo_plan(&duo("")), duo_policy(duo(""))).await;
        for ledger in [ledgers.file(), ledgers.standby()] {
            let order = engine(&clouds, &ledger).await.drive(&ledgers.order).await.expect("driven");
            assert_eq!((order.state, order.rounds.len()), (OrderState::Committed, 1), "{:?}", order.reason);
            let (alive, of_key) = count(&clouds);
            assert_eq!((alive, of_key.len(), ever(&clouds)), (2, 2, 2), "{class:?}");
        }
    }
}
