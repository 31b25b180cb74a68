//! Ledgers that another version has written: older ones, made by 3c0514d, and later ones, with fields that this one does not
//! know.

use std::{io::Read, path::Path, sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Ledger, OrderQuery, SqliteLedger},
    model::{OrderEventKind, OrderId, OrderState, StepState},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::support::{CLOUDS, clouds, count, duo, duo_plan, duo_policy, providers};

/// The orders of the fixtures: where they are, and where they are once this version has opened and driven them.
const ORDERS: [(u32, OrderState, OrderState); 7] = [
    (1, OrderState::Committed, OrderState::Committed),
    (2, OrderState::Ended, OrderState::Ended),
    (3, OrderState::Failed, OrderState::Failed),
    (4, OrderState::Refused, OrderState::Refused),
    // One step is made, one was asked for, one is planned.
    (5, OrderState::Provisioning, OrderState::Committed),
    // Cancelled, and its host died before it had the claim.
    (6, OrderState::Committed, OrderState::Ended),
    (7, OrderState::Accepted, OrderState::Committed),
];

fn id(number: u32) -> OrderId {
    format!("019ac000-0000-7000-8000-{number:012}").parse().expect("an id")
}

/// Puts the embedded ledger of 3c0514d into a folder.
pub(crate) fn embedded(folder: &Path) -> std::path::PathBuf {
    let packed = include_bytes!("fixtures/3c0514d.sqlite.gz");
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut file).expect("unpacked");
    let path = folder.join("orders.db");
    std::fs::write(&path, file).expect("written");
    path
}

/// What the clouds had when that ledger was written, in a folder.
fn clouds_of(store: &str, folder: &Path, faults: &[FaultRule]) -> Vec<Sandbox> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ops/ledger/fixtures")
        .join(format!("clouds-{store}"));
    for name in CLOUDS {
        let name = format!("{name}.json");
        std::fs::copy(fixtures.join(&name), folder.join(&name)).expect("copied");
    }
    clouds(Some(folder), IdempotencyClass::Key, "beta", faults)
}

/// A state that the engine may word in the old way still.
fn is(found: OrderState, wanted: OrderState) -> bool {
    found == wanted || (found == OrderState::Compensated && wanted.is_over())
}

/// A ledger of 3c0514d opens, verifies and finishes.
pub(crate) async fn finishes(ledger: Arc<dyn Ledger>, store: &str) {
    for (number, state, _) in ORDERS {
        let order = ledger.load(&id(number)).await.expect("read").expect("there");
        assert_eq!((order.state, order.namespace), (state, None), "order {number}");
        ledger.verify(&order.id).await.expect("whole");
    }
    let cancelled = ledger.load(&id(6)).await.expect("read").expect("there").cancellation.expect("noted");
    assert_eq!((cancelled.at, cancelled.by), (None, None));
    assert_eq!(ledger.consumer_offset("billing").await.expect("a cursor"), 3);
    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    assert_eq!(ledger.list(&unfinished).await.expect("listed"), [id(7), id(6), id(5)]);

    let folder = tempfile::tempdir().expect("a folder");
    let clouds = clouds_of(store, folder.path(), &[]);
    let engine = Engine::new(providers(&clouds), ledger.clone()).with_claim_ttl(Duration::from_millis(500));
    engine.resume_all().await.expect("driven");
    for (number, _, state) in ORDERS {
        let order = ledger.load(&id(number)).await.expect("read").expect("there");
        assert!(is(order.state, state), "order {number}: {:?}, {:?}", order.state, order.reason);
        ledger.verify(&order.id).await.expect("whole");
        engine.export(&order.id).await.expect("an archive that proves itself");
    }
    // Those of the orders 1, 5 and 7, each once.
    let (alive, ever) = count(&clouds);
    assert_eq!((alive, ever.values().max()), (9, Some(&1)));
    assert_eq!(
        engine.purge(jiff::Timestamp::MAX).await.expect("forgotten"),
        0,
        "a delivery has not taken them"
    );
    ledger.commit_offset("billing", u64::MAX).await.expect("delivered");
    assert_eq!(engine.purge(jiff::Timestamp::MAX).await.expect("forgotten"), 4);
}

#[tokio::test]
async fn an_embedded_ledger_of_an_older_version_opens_and_finishes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = embedded(folder.path());
    finishes(Arc::new(SqliteLedger::open(&path).await.expect("a ledger")), "sqlite").await;
    let again = SqliteLedger::open(&path).await.expect("a ledger");
    assert_eq!(again.list(&OrderQuery::default()).await.expect("listed").len(), 3);
}

#[tokio::test]
async fn a_ledger_keeps_its_name_and_two_have_different_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |name: &str| SqliteLedger::open(folder.path().join(name)).await.expect("a ledger");
    let (one, other) = (open("one.db").await, open("other.db").await);
    assert_ne!(one.id(), other.id());
    assert_eq!(open("one.db").await.id(), one.id());
}

/// Adds a field to the objects at some paths, in which `*` is any element of a list.
fn add(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([], Value::Object(fields)) => drop(fields.insert("x_later".to_owned(), json!({"some": ["thing"]}))),
        (["*", rest @ ..], Value::Array(items)) => items.iter_mut().for_each(|item| add(item, rest)),
        ([name, rest @ ..], Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(*name) {
                add(field, rest);
            }
        }
        _ => {}
    }
}

fn has(value: &Value, path: &[&str]) -> bool {
    match path {
        [] => value.get("x_later") == Some(&json!({"some": ["thing"]})),
        ["*", rest @ ..] => {
            value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|it| has(it, rest)))
        }
        [name, rest @ ..] => value.get(*name).is_some_and(|field| has(field, rest)),
    }
}

/// Where a later version adds a field, by table and column.
const ADDED: [(&str, &str, &[&[&str]]); 6] = [
    ("orders", "plan", &[&[], &["leases", "*"], &["leases", "*", "lines", "*"], &["statistics"]]),
    ("orders", "policy", &[&[], &["fail_over"], &["fail_over", "blueprint"]]),
    ("orders", "rounds", &[&["*"], &["*", "plan"], &["*", "plan", "leases", "*"]]),
    ("steps", "lease", &[&[], &["place"], &["lines", "*"]]),
    ("steps", "state", &[&[], &["service"], &["service", "place"]]),
    ("steps", "attempts", &[&["*"]]),
];

/// What the columns of a store are read and written by.
trait Columns {
    /// The primary key, and the text.
    async fn all(&mut self, table: &str, column: &str) -> Vec<(String, i64, String)>;
    async fn put(&mut self, table: &str, column: &str, order: &str, position: i64, text: &str);
}

async fn add_everywhere(columns: &mut impl Columns) {
    for (table, column, paths) in ADDED {
        for (order, position, text) in columns.all(table, column).await {
            let mut value: Value = serde_json::from_str(&text).expect("JSON");
            paths.iter().for_each(|path| add(&mut value, path));
            columns.put(table, column, &order, position, &value.to_string()).await;
        }
    }
}

async fn column(columns: &mut impl Columns, of: (&str, &str), order: &OrderId) -> Vec<Value> {
    let all = columns.all(of.0, of.1).await.into_iter().filter(|(id, ..)| id == order.as_str());
    all.map(|(_, _, text)| serde_json::from_str(&text).expect("JSON")).collect()
}

/// Fields of a later version do no harm, and are there afterwards. `ledger` has the orders of 3c0514d.
async fn keeps_what_it_does_not_know(ledger: Arc<dyn Ledger>, store: &str, columns: &mut impl Columns) {
    let sold_out =
        [FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault: Fault::SoldOut }];
    let folder = tempfile::tempdir().expect("a folder");
    let clouds = clouds_of(store, folder.path(), &sold_out);
    let engine = Engine::new(providers(&clouds), ledger.clone()).with_claim_ttl(Duration::from_millis(500));
    let blueprint = duo("");
    let over = engine.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted");
    add_everywhere(columns).await;

    let done = engine.drive(&over.id).await.expect("driven");
    assert_eq!((done.state, done.rounds.len()), (OrderState::Committed, 1), "{:?}", done.reason);
    let [rounds] = &column(columns, ("orders", "rounds"), &over.id).await[..] else { panic!("one order") };
    for path in
        [&["*", "plan"][..], &["*", "plan", "leases", "*"], &["*", "plan", "leases", "*", "lines", "*"]]
    {
        assert!(has(rounds, path), "{path:?} of {rounds:#}");
    }
    let [policy] = &column(columns, ("orders", "policy"), &over.id).await[..] else { panic!("one order") };
    assert!(has(policy, &[]) && has(policy, &["fail_over", "blueprint"]), "{policy:#}");
    let leases = column(columns, ("steps", "lease"), &over.id).await;
    assert!(leases[..2].iter().all(|lease| has(lease, &[]) && has(lease, &["lines", "*"])), "{leases:#?}");

    // Something is made already at a provider, and the ledger's words for it have more than this version knows.
    let order = ledger.load(&id(5)).await.expect("read").expect("there");
    assert!(matches!(order.steps[0].state, StepState::Provisioned { .. }));
    let driven = engine.drive(&order.id).await.expect("driven");
    assert!(driven.state.is_final(), "{:?}", driven.state);
    let [plan] = &column(columns, ("orders", "plan"), &order.id).await[..] else { panic!("one order") };
    assert!(has(plan, &[]) && has(plan, &["leases", "*", "lines", "*"]), "{plan:#}");
    // It was committed, and the customer has an action carried out: the service goes from state to state.
    let acted = engine.cancel(&id(1)).await.expect("undone");
    assert!(acted.state.is_over(), "{:?}", acted.state);
    for number in 1..=7 {
        ledger.load(&id(number)).await.expect("read");
        ledger.verify(&id(number)).await.expect("whole");
        let leases = column(columns, ("steps", "lease"), &id(number)).await;
        assert!(leases.iter().all(|lease| has(lease, &["place"])), "order {number}: {leases:#?}");
    }
    let events = ledger.events(0, Some(&over.id), 1000).await.expect("events");
    assert!(events.iter().any(|event| matches!(*event.kind, OrderEventKind::FailedOver { .. })));
}

struct Embedded(SqliteConnection);

impl Columns for Embedded {
    async fn all(&mut self, table: &str, column: &str) -> Vec<(String, i64, String)> {
        let key = if table == "orders" { "id, 0" } else { "order_id, position" };
        let query = format!("SELECT {key}, {column} FROM {table} ORDER BY 1, 2");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut self.0).await.expect("read");
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    async fn put(&mut self, table: &str, column: &str, order: &str, position: i64, text: &str) {
        let key = if table == "orders" { "id = ?2" } else { "order_id = ?2 AND position = ?3" };
        let query = AssertSqlSafe(format!("UPDATE {table} SET {column} = ?1 WHERE {key}"));
        sqlx::query(query).bind(text).bind(order).bind(position).execute(&mut self.0).await.expect("written");
    }
}

#[tokio::test]
async fn an_embedded_ledger_keeps_the_fields_of_a_later_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = embedded(folder.path());
    let ledger = Arc::new(SqliteLedger::open(&path).await.expect("a ledger"));
    let raw = SqliteConnection::connect(path.to_str().expect("a path")).await.expect("connected");
    keeps_what_it_does_not_know(ledger, "sqlite", &mut Embedded(raw)).await;
}

#[cfg(feature = "postgres")]
mod shared {
    use fulcrum_core::ledger::PostgresLedger;
    use sqlx::PgConnection;

    use super::*;
    use crate::support::postgres::{Database, database, raw};

    struct Shared(PgConnection);

    impl Columns for Shared {
        async fn all(&mut self, table: &str, column: &str) -> Vec<(String, i64, String)> {
            let key = if table == "orders" { "id, 0::bigint" } else { "order_id, position::bigint" };
            let query = format!("SELECT {key}, {column} FROM {table} ORDER BY 1, 2");
            let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut self.0).await.expect("read");
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
        }

        async fn put(&mut self, table: &str, column: &str, order: &str, position: i64, text: &str) {
            let key =
                if table == "orders" { "id = $2 AND $3 = 0" } else { "order_id = $2 AND position = $3" };
            let query = AssertSqlSafe(format!("UPDATE {table} SET {column} = $1 WHERE {key}"));
            sqlx::query(query)
                .bind(text)
                .bind(order)
                .bind(position)
                .execute(&mut self.0)
                .await
                .expect("written");
        }
    }

    /// A database with the ledger of 3c0514d.
    async fn older() -> Option<(Database, PgConnection)> {
        let url = database().await?;
        let mut restoring = PgConnection::connect(&url).await.expect("connected");
        sqlx::raw_sql(include_str!("fixtures/3c0514d.sql")).execute(&mut restoring).await.expect("restored");
        restoring.close().await.expect("closed");
        let raw = raw(&url).await;
        Some((url, raw))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shared_ledger_of_an_older_version_opens_and_finishes() {
        let Some((url, _)) = older().await else { return };
        let ledger = PostgresLedger::with_connections(&url, 8).await.expect("a ledger");
        finishes(Arc::new(ledger), "postgres").await;
        let again = PostgresLedger::with_connections(&url, 8).await.expect("a ledger");
        assert_eq!(again.list(&OrderQuery::default()).await.expect("listed").len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shared_ledger_keeps_the_fields_of_a_later_version() {
        let Some((url, raw)) = older().await else { return };
        let ledger = PostgresLedger::with_connections(&url, 8).await.expect("a ledger");
        keeps_what_it_does_not_know(Arc::new(ledger), "postgres", &mut Shared(raw)).await;
    }
}
