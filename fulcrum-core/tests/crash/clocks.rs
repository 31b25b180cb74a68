//! A host's clock jumps back and forth, by hours, days and years, while an order is bought, acted upon and undone: each drive
//! is dropped half-way, and the next one finds all that is in the ledger dated by another clock.

use std::{path::Path, sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::SqliteLedger,
    model::{Action, Operator, Order, OrderId, OrderState, Policy, StepState},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::support::{CLOUDS, cloud, count, plan, providers, seed};

const CLAIM_TTL: Duration = Duration::from_millis(150);
/// Longer than this, and an order is in limbo.
const PATIENCE: Duration = Duration::from_secs(60);
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };
const HOURS: [i64; 8] = [1, -1, 25, -25, 24 * 30, -24 * 30, 24 * 400, -24 * 400];

/// As if all that is in the ledger had been written by a clock that was so much ahead, or behind.
pub(crate) async fn jump(path: &Path, by: SignedDuration) -> Result<(), sqlx::Error> {
    let shifted = |text: &str| {
        let at: Timestamp = text.parse().expect("a time");
        format!("{:.9}", at + by)
    };
    let mut raw = SqliteConnection::connect(path.to_str().expect("a path")).await?;
    // All of it at one moment: whoever was dropped just now may write its claim still.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut raw).await?;
    for column in ["claim_since", "claim_until", "created", "next_try", "cancelled_at"] {
        let query = format!("SELECT id, {column} FROM orders WHERE {column} IS NOT NULL");
        for row in sqlx::query(AssertSqlSafe(query)).fetch_all(&mut raw).await? {
            let update = format!("UPDATE orders SET {column} = ? WHERE id = ?");
            sqlx::query(AssertSqlSafe(update))
                .bind(shifted(row.get(column)))
                .bind(row.get::<&str, _>("id"))
                .execute(&mut raw)
                .await?;
        }
    }
    for row in sqlx::query("SELECT step_key, state FROM steps").fetch_all(&mut raw).await? {
        let mut state: serde_json::Value = serde_json::from_str(row.get("state")).expect("JSON");
        for field in ["since", "sent", "until"] {
            // One of 1970 is a word and no time.
            if let Some(text) = state[field].as_str().filter(|it| !it.starts_with("1970")).map(shifted) {
                state[field] = text.into();
            }
        }
        sqlx::query("UPDATE steps SET state = ? WHERE step_key = ?")
            .bind(state.to_string())
            .bind(row.get::<&str, _>("step_key"))
            .execute(&mut raw)
            .await?;
    }
    sqlx::query("COMMIT").execute(&mut raw).await?;
    raw.close().await
}

/// One order, driven by one process after the other.
struct Tossed {
    folder: tempfile::TempDir,
    clouds: Vec<Sandbox>,
    id: OrderId,
    chance: StdRng,
    jumps: usize,
}

impl Tossed {
    async fn engine(&self) -> Engine {
        let ledger = SqliteLedger::open(self.folder.path().join("orders.db")).await.expect("a ledger");
        Engine::new(providers(&self.clouds), Arc::new(ledger)).with_claim_ttl(CLAIM_TTL)
    }

    /// Some drives that are dropped, with a jump after each, and one to the end.
    async fn drive(
        &mut self,
        context: &str,
        begin: impl AsyncFn(&Engine) -> Result<Order, PurchaseError>,
    ) -> Order {
        for _ in 0..self.chance.random_range(1..5) {
            let engine = self.engine().await;
            let while_ms = Duration::from_millis(self.chance.random_range(0..40));
            let _ = tokio::time::timeout(while_ms, begin(&engine)).await;
            let by = SignedDuration::from_hours(*HOURS.choose(&mut self.chance).expect("some"));
            // Its claim is given back, or written anew, at the same moment.
            tokio::time::sleep(Duration::from_millis(self.chance.random_range(0..10))).await;
            if self.chance.random_bool(0.5) {
                // One that died has the order still; or whoever was dropped just now has.
                let _ = engine.ledger().claim(&self.id, "a host that died", CLAIM_TTL).await;
            }
            drop(engine);
            jump(&self.folder.path().join("orders.db"), by).await.expect("the clock");
            self.jumps += 1;
        }
        let engine = self.engine().await;
        let to_the_end = async {
            // What was begun goes on first; what was not is asked for again.
            loop {
                match engine.drive(&self.id).await {
                    Ok(_) => {}
                    Err(error) => panic!("{context}: {error}"),
                }
                match begin(&engine).await {
                    Ok(order) => return order,
                    // Of a host that has not given its claim back.
                    Err(PurchaseError::Ledger(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(error) => panic!("{context}: {error}"),
                }
            }
        };
        let order = tokio::time::timeout(PATIENCE, to_the_end).await;
        let Ok(order) = order else { panic!("{context}: the order is in limbo: {}", self.looks().await) };
        order
    }

    /// What the ledger says of it now, for a failure.
    async fn looks(&self) -> String {
        let path = self.folder.path().join("orders.db");
        let mut raw = SqliteConnection::connect(path.to_str().expect("a path")).await.expect("the ledger");
        let row = sqlx::query(
            "SELECT state, claim_owner, claim_since, claim_until, next_try, cancelled_at FROM orders",
        );
        let row = row.fetch_one(&mut raw).await.expect("an order");
        let columns: Vec<Option<String>> = (0..6).map(|column| row.get(column)).collect();
        let steps = sqlx::query("SELECT state FROM steps").fetch_all(&mut raw).await.expect("steps");
        let steps: Vec<String> = steps.iter().map(|row| row.get(0)).collect();
        format!("it is {}: {columns:?} {steps:?}", Timestamp::now())
    }

    fn services(&self) -> (usize, usize, usize) {
        let (alive, of_key) = count(&self.clouds);
        let ever = self.clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum();
        (alive, of_key.len(), ever)
    }
}

/// How often the clock has jumped, and how the order ended before it was undone.
async fn toss(class: IdempotencyClass, holds: bool, is_timed: bool, seed: u64) -> (usize, OrderState) {
    let context = format!("{class:?}, holds: {holds}, timed: {is_timed}, seed {seed}");
    let lost =
        FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1, fault: Fault::AmbiguousHappened };
    let build = |name: &&str| {
        let holds_for = Duration::from_secs(if holds { 60 } else { 0 });
        let builder = cloud(name, None).idempotency(class).list_lag(25).reservation_ttl(holds_for);
        if *name == "beta" { builder.fault(lost.clone()).build() } else { builder.build() }
    };
    let clouds: Vec<Sandbox> = CLOUDS.iter().map(build).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let (id, chance) = (OrderId::generate(), StdRng::seed_from_u64(seed));
    let mut tossed = Tossed { folder, clouds, id: id.clone(), chance, jumps: 0 };
    let policy = Policy::default()
        .with_allow_non_idempotent_purchase(class == IdempotencyClass::None)
        .with_order_timeout_s(is_timed.then_some(3600));
    tossed.engine().await.accept(plan(), policy, Some(id.clone())).await.expect("accepted");
    let bought = tossed.drive(&context, async |engine| engine.drive(&id).await).await;
    let words = bought.reason.clone().unwrap_or_default();
    let (alive, keys, ever) = tossed.services();
    match bought.state {
        OrderState::Committed => assert_eq!((alive, keys, ever), (3, 3, 3), "{context}: {words}"),
        // By its clock it took days.
        OrderState::Failed | OrderState::Refused if is_timed => {
            assert!(
                alive == 0 && words.contains("within 3600 s (order_timeout_s)"),
                "{context}: {alive} {words}"
            );
            return (tossed.jumps, bought.state);
        }
        state => panic!("{context}: {state:?}: {words}"),
    }
    let by = || Operator { who: "ada".to_owned(), why: "a test".to_owned() };
    let acted = tossed.drive(&context, async |engine| engine.act(&id, 0, Action::Stop, by()).await).await;
    assert_eq!(acted.state, OrderState::Committed, "{context}: {:?}", acted.reason);
    let StepState::Committed { service } = &acted.steps[0].state else { panic!("{context}: {acted:#?}") };
    assert_eq!(service.status.word(), "stopped", "{context}");
    assert_eq!(tossed.services(), (3, 3, 3), "{context}");
    let ended = tossed.drive(&context, async |engine| engine.cancel(&id).await).await;
    assert_eq!(ended.state, OrderState::Ended, "{context}: {:?}", ended.reason);
    let (alive, _, ever) = tossed.services();
    assert_eq!((alive, ever), (0, 3), "{context}");
    tossed.engine().await.ledger().verify(&id).await.expect("whole");
    (tossed.jumps, bought.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_between_drives_changes_nothing_but_what_is_timed() {
    let runs: u64 = std::env::var("FULCRUM_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    let seed = seed::seed();
    let classes = [IdempotencyClass::Key, LAGGING, IdempotencyClass::None];
    let (mut jumps, mut committed) = (0, 0);
    let tossed = (0..runs).map(|run| {
        let class = classes[(run % 3) as usize];
        toss(class, run % 2 == 1, run % 4 == 3, seed.wrapping_add(run))
    });
    let tossed = futures::stream::iter(tossed).buffer_unordered(12);
    for (count, state) in tossed.collect::<Vec<_>>().await {
        jumps += count;
        committed += u64::from(state == OrderState::Committed);
    }
    println!(
        "figure: {runs} orders, {jumps} jumps of the clock by up to 400 days, {committed} committed, acted upon and undone, \
         {} out of their time: 0 orphans, 0 doubles, 0 in limbo",
        runs - committed
    );
    assert!(committed > runs / 2, "nothing was tried");
}
