//! Others in the same database: what they lock stops nobody's purchase but that of the very rows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_core::{
    ledger::{Claim, Ledger, LedgerError, OrderUpdate, PostgresLedger},
    model::{Order, OrderState, StepState},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{everywhere, orders};
use crate::support::postgres::{database, raw};

const CLAIM_TTL: Duration = Duration::from_secs(600);
/// What must not wait for a stranger is there by then, however busy the machine is.
const SOON: Duration = Duration::from_secs(5);

async fn open(url: &str) -> Arc<PostgresLedger> {
    Arc::new(PostgresLedger::with_connections(url, 8).await.expect("a ledger"))
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("run");
}

/// Orders in the ledger, with their claims.
async fn claimed(ledger: &dyn Ledger, count: usize) -> Vec<(Order, Claim)> {
    let mut claimed = Vec::new();
    for order in orders(count).await {
        ledger.create(&order).await.expect("created");
        let claim = ledger.claim(&order.id, "a host", CLAIM_TTL).await.expect("claimed");
        claimed.push((order, claim));
    }
    claimed
}

/// A change of an order and of its first step.
fn change(order: &Order) -> OrderUpdate {
    let state = StepState::Stuck { reason: "for a test".to_owned(), service: None, operation: None };
    let steps = vec![{
        let mut changed = order.steps[0].clone();
        changed.state = state;
        changed
    }];
    OrderUpdate { order: Some((OrderState::Provisioning, None)), steps, ..OrderUpdate::default() }
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap_or_else(|_| panic!("{what} waits for a stranger"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_do_nothing_but_connect_stops_nobody() {
    let Some(url) = database().await else { return };
    let role = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    let mut owner = PgConnection::connect(&url).await.expect("connected");
    run(&mut owner, format!("CREATE ROLE {role} LOGIN")).await;
    let stranger = url.replace("//fulcrum@", &format!("//{role}@"));
    let mut stranger = PgConnection::connect(&stranger).await.expect("connected");
    // Those of older versions, of the driver's migrations in this database, and a good many besides.
    let name = url.rsplit_once('/').expect("a database").1;
    let hash = format!("(x'3d32ad9e'::bigint * {})", crc(name.as_bytes()));
    run(
        &mut stranger,
        format!(
            "SELECT pg_advisory_lock(key) FROM (VALUES (x'66756c6372756d01'::bigint), (x'66756c6372756d02'::bigint),
                 ({hash})) AS of_ours (key);
             SELECT pg_advisory_lock(key) FROM generate_series(0, 1000) AS key"
        ),
    )
    .await;
    let ledger = soon("opening", open(&url)).await;
    let [(order, claim), (other, _)] = &soon("accepting", claimed(&*ledger, 2)).await[..] else {
        panic!("two")
    };
    soon("writing", ledger.write(claim, &change(order))).await.expect("written");
    soon("cancelling", ledger.request_cancel(&other.id, None)).await.expect("noted");
    let events = soon("reading", ledger.events(0, None, 100)).await.expect("read");
    assert_eq!(events.len(), 5);
    ledger
        .write(claim, &OrderUpdate { order: Some((OrderState::Failed, None)), ..OrderUpdate::default() })
        .await
        .expect("written");
    ledger.relinquish(claim).await.expect("released");
    soon("removing", ledger.purge(&order.id, jiff::Timestamp::MAX)).await.expect("asked");
    let refused =
        sqlx::raw_sql("SELECT 1 FROM fulcrum.orders").execute(&mut stranger).await.expect_err("refused");
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

/// CRC-32 as zip files have it, which the driver makes its lock's number with.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rows_keep_only_their_own_orders_waiting() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    for table in ["orders WHERE id", "steps WHERE order_id"] {
        let claimed = claimed(&*ledger, 12).await;
        let (locked, free) = claimed.split_at(4);
        let mut stranger = raw(&url).await;
        let ids: Vec<String> = locked.iter().map(|(order, _)| format!("'{}'", order.id)).collect();
        run(&mut stranger, format!("BEGIN; SELECT 1 FROM {table} IN ({}) FOR UPDATE", ids.join(","))).await;
        let waiting: Vec<_> = locked
            .iter()
            .cloned()
            .map(|(order, claim)| {
                let ledger = ledger.clone();
                tokio::spawn(async move { ledger.write(&claim, &change(&order)).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        for (order, claim) in free {
            soon(table, ledger.write(claim, &change(order))).await.expect("written");
        }
        // New orders, and those that wait, as well.
        let new = orders(1).await.remove(0);
        soon("accepting", ledger.create(&new)).await.expect("created");
        let work = soon("claiming", ledger.claim_next("another", CLAIM_TTL, 100, &everywhere()))
            .await
            .expect("claimed");
        assert_eq!(work.len(), 1);
        assert!(waiting.iter().all(|write| !write.is_finished()), "a write did not wait: {table}");
        run(&mut stranger, "ROLLBACK".to_owned()).await;
        for write in waiting {
            soon("a write that is free again", write).await.expect("no panic").expect("written");
        }
        for (order, _) in &claimed {
            assert_eq!(ledger.events(0, Some(&order.id), 10).await.expect("read").len(), 3);
            ledger.verify(&order.id).await.expect("whole");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stays_locked_is_an_error_in_words_and_in_time() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    let [(order, claim)] = &claimed(&*ledger, 1).await[..] else { panic!("one") };
    let mut stranger = raw(&url).await;
    run(&mut stranger, "BEGIN; SELECT 1 FROM orders FOR UPDATE".to_owned()).await;
    let began = Instant::now();
    let change = change(order);
    let (written, cancelled, renewed, claimed) = tokio::join!(
        ledger.write(claim, &change),
        ledger.request_cancel(&order.id, None),
        ledger.renew(claim, CLAIM_TTL),
        ledger.claim(&order.id, "another", CLAIM_TTL),
    );
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for outcome in [written.map(drop), cancelled, renewed.map(drop)] {
        let Err(LedgerError::Store(words)) = outcome else { panic!("{outcome:?}") };
        assert!(words.contains("lock") && words.contains("pg_locks"), "{words}");
    }
    assert!(matches!(claimed, Err(LedgerError::Claimed { .. })), "{claimed:?}");
    run(&mut stranger, "ROLLBACK".to_owned()).await;
    ledger.write(claim, &change).await.expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_stands_still_keeps_readers_from_nothing_but_what_is_behind_it() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    let [(order, claim), (other, _)] = &claimed(&*ledger, 2).await[..] else { panic!("two") };
    let mut stranger = raw(&url).await;
    // As another host that was cut off in the middle of a transaction.
    let event = "INSERT INTO events (order_id, number, at, kind, hash) VALUES ";
    run(
        &mut stranger,
        format!("BEGIN; {event} ('{}', 99, '2026-11-25T00:00:00Z', '{{\"event\":\"x\"}}', '')", other.id),
    )
    .await;
    soon("writing", ledger.write(claim, &change(order))).await.expect("written");
    let seen = soon("reading", ledger.events(0, None, 100)).await.expect("read");
    assert_eq!(seen.len(), 2, "what is numbered behind the one that is under way: {seen:#?}");
    soon("writing", ledger.write(claim, &change(order))).await.expect("written");
    run(&mut stranger, "COMMIT".to_owned()).await;
    let all = soon("reading", ledger.events(0, None, 100)).await.expect("read");
    assert!(all.len() == 7 && all.is_sorted_by(|a, b| a.sequence < b.sequence), "{all:#?}");
    // A number that nobody will ever use is no reason to wait.
    run(&mut stranger, format!("BEGIN; {event} ('{}', 100, 'x', 'x', ''); ROLLBACK", other.id)).await;
    ledger.request_cancel(&other.id, None).await.expect("noted");
    let began = Instant::now();
    assert_eq!(ledger.events(0, None, 100).await.expect("read").len(), 8);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
