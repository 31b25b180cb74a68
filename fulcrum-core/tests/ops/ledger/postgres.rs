//! The ledger of many hosts, on the server of `scripts/with-postgres`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Ledger, LedgerError, OrderQuery, OrderUpdate, PostgresLedger, check_ledger},
    model::{OrderId, OrderState, Policy},
    provider::IdempotencyClass,
    purchase::Engine,
};

use super::{every_change_shows, everywhere, orders};
use crate::support::{
    assert_clean, clouds, plan,
    postgres::{database, raw},
    providers,
};

const CLAIM_TTL: Duration = Duration::from_secs(60);

async fn open(url: &str) -> PostgresLedger {
    PostgresLedger::with_connections(url, 8).await.expect("a ledger")
}

#[tokio::test]
async fn it_keeps_its_promises() {
    let Some(url) = database().await else { return };
    let order = &orders(1).await[0];
    check_ledger(&open(&url).await, order).await.expect("a ledger that keeps its promises");
    // Opened again it is the same.
    assert!(matches!(open(&url).await.create(order).await, Err(LedgerError::Exists(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_calls_leave_nothing_behind() {
    let Some(url) = database().await else { return };
    super::dropped_calls_leave_nothing_behind(&open(&url).await).await;
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_an_error_without_its_password() {
    for (url, why) in [
        ("postgresql://user:canary@127.0.0.1:1/none", "refused"),
        ("nonsense://user:canary@host", "not a valid"),
        ("env:canary", "not a valid"),
        ("postgresql://user:canary@host:port/none", "not a valid"),
    ] {
        let opened = tokio::time::timeout(Duration::from_secs(300), PostgresLedger::open(url)).await;
        let error = opened.expect("in time").expect_err("nobody is there");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        assert!(error.to_string().contains(why), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_ask_for_work_at_once_get_different_orders() {
    let Some(url) = database().await else { return };
    let hosts = [Arc::new(open(&url).await), Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let orders = orders(60).await;
    for order in &orders {
        hosts[0].create(order).await.expect("created");
    }
    let asked = hosts.iter().enumerate().flat_map(|(at, host)| {
        (0..8).map(move |_| {
            let host = host.clone();
            tokio::spawn(async move {
                host.claim_next(&format!("host {at}"), CLAIM_TTL, 7, &everywhere()).await.expect("claims")
            })
        })
    });
    let mut claims = Vec::new();
    for task in asked.collect::<Vec<_>>() {
        claims.extend(task.await.expect("no panic"));
    }
    // A row that another host is just looking at is passed by: what is left is given to who asks next.
    claims.extend(hosts[0].claim_next("host 0", CLAIM_TTL, 1_000, &everywhere()).await.expect("claims"));
    let given: BTreeSet<&OrderId> = claims.iter().map(|claim| &claim.order).collect();
    assert_eq!((given.len(), claims.len()), (60, 60));
}

#[tokio::test]
async fn a_host_hears_what_another_one_has_done() {
    let Some(url) = database().await else { return };
    let (here, there) = (open(&url).await, open(&url).await);
    let order = orders(1).await.remove(0);
    let mut changes = here.changes();
    changes.mark_unchanged();
    there.create(&order).await.expect("created");
    tokio::time::timeout(Duration::from_secs(300), changes.changed())
        .await
        .expect("heard")
        .expect("listening");
    // Also after the connections were cut.
    let mut raw = raw(&url).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fulcrum'
               AND datname = current_database()";
    sqlx::query(cut).execute(&mut raw).await.expect("cut");
    tokio::time::timeout(Duration::from_secs(300), async {
        // What was told while nobody listened is lost; so it is told until it is heard.
        loop {
            changes.mark_unchanged();
            let _ = there.request_cancel(&order.id, None).await;
            if tokio::time::timeout(Duration::from_millis(300), changes.changed()).await.is_ok() {
                break;
            }
        }
    })
    .await
    .expect("heard again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_all_events_misses_none_while_many_write() {
    let Some(url) = database().await else { return };
    let ledger = Arc::new(open(&url).await);
    let mut writers = Vec::new();
    for order in orders(8).await {
        let ledger = ledger.clone();
        writers.push(tokio::spawn(async move {
            ledger.create(&order).await.expect("created");
            let claim = ledger.claim(&order.id, "writer", CLAIM_TTL).await.expect("claimed");
            for _ in 0..40 {
                let change =
                    OrderUpdate { order: Some((OrderState::Provisioning, None)), ..OrderUpdate::default() };
                // On a busy machine a lock may take longer than its limit; then nothing was written.
                while let Err(error) = ledger.write(&claim, &change).await {
                    assert!(error.to_string().contains("holds a lock"), "{error}");
                }
            }
        }));
    }
    let mut seen = Vec::new();
    while seen.len() < 8 * 41 {
        let after = seen.last().copied().unwrap_or(0);
        // Before the look: what is written after it is for the next one.
        let is_last = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let page = ledger.events(after, None, 10).await.expect("events");
        seen.extend(page.iter().map(|event| event.sequence));
        if page.is_empty() && is_last {
            break;
        }
    }
    assert_eq!(seen.len(), 8 * 41, "an event was missed");
    for order in ledger.list(&Default::default()).await.expect("listed") {
        ledger.verify(&order).await.expect("whole");
    }
}

#[tokio::test]
async fn events_are_not_changed_and_a_change_by_force_shows() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let mut raw = raw(&url).await;
    // Nor by way of an order that is not over.
    let by_force = "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, 'now' FROM orders";
    for refused in ["UPDATE events SET at = 'never'", "DELETE FROM events", "TRUNCATE events", by_force] {
        let error = sqlx::query(refused).execute(&mut raw).await.expect_err("refused");
        assert!(error.to_string().contains("never"), "{error}");
    }
    sqlx::query("ALTER TABLE events DISABLE TRIGGER ALL").execute(&mut raw).await.expect("disabled");
    let raw = tokio::sync::Mutex::new(raw);
    every_change_shows(
        &ledger,
        &order,
        &[
            (
                "UPDATE events SET kind = replace(kind, 'accepted', 'committed')",
                "UPDATE events SET kind = replace(kind, 'committed', 'accepted')",
            ),
            ("UPDATE events SET number = 2", "UPDATE events SET number = 1"),
        ],
        async |change| {
            let change = sqlx::AssertSqlSafe(change.to_owned());
            sqlx::query(change).execute(&mut *raw.lock().await).await.expect("changed");
        },
    )
    .await;
    sqlx::query("DELETE FROM events").execute(&mut *raw.lock().await).await.expect("deleted");
    assert!(matches!(ledger.verify(&order.id).await, Err(LedgerError::Damaged(_))));
}

#[tokio::test]
async fn orders_are_bought_and_undone() {
    let Some(url) = database().await else { return };
    let clouds = clouds(None, IdempotencyClass::Key, "", &[]);
    let engine = Engine::new(providers(&clouds), Arc::new(open(&url).await));
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let other = Engine::new(providers(&clouds), Arc::new(open(&url).await));
    assert_eq!(other.drive(&order.id).await.expect("driven").state, OrderState::Committed);
    assert_clean(&engine.reconcile().await.expect("reconciled"));
    assert_eq!(engine.cancel(&order.id).await.expect("undone").state, OrderState::Ended);
    engine.ledger().verify(&order.id).await.expect("whole");
}

#[tokio::test]
async fn a_claim_from_before_the_clock_was_set_back_ends_after_one_lease() {
    let Some(url) = database().await else { return };
    super::clock_set_back(&open(&url).await, async || {
        let mut raw = raw(&url).await;
        let ahead = "UPDATE orders SET claim_since = claim_since + interval '1 year',
                     claim_until = claim_until + interval '1 year'";
        sqlx::query(ahead).execute(&mut raw).await.expect("changed");
    })
    .await;
}

#[tokio::test]
async fn work_is_found_by_the_index_of_unfinished_orders() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let mut raw = raw(&url).await;
    let finished = "INSERT INTO orders (id, state, created, plan, policy)
                    SELECT 'finished ' || number, 'ended', '', '', '' FROM generate_series(1, 5000) AS number";
    sqlx::raw_sql(finished).execute(&mut raw).await.expect("made");
    sqlx::raw_sql("ANALYZE orders").execute(&mut raw).await.expect("counted");
    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    assert_eq!(ledger.list(&unfinished).await.expect("listed"), [order.id]);
    for _ in 0..5 {
        ledger.claim_next("a host", Duration::ZERO, 10, &everywhere()).await.expect("claimed");
    }
    // A session tells what it has used when it ends.
    drop(ledger);
    let used = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'orders_unfinished'";
    let mut scans = 0i64;
    for _ in 0..200 {
        scans = sqlx::query_scalar(used).fetch_one(&mut raw).await.expect("read");
        if scans >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(scans >= 6, "the index was used {scans} times");
}

#[tokio::test]
async fn an_error_ends_with_one_advice_that_fits_the_store() {
    let refused =
        PostgresLedger::open("postgresql://fulcrum@127.0.0.1:1/none").await.expect_err("nobody is there");
    let words = refused.to_string();
    assert_eq!(words.matches("check ").count(), 1, "{words}");
    assert!(words.contains("server's log") && !words.contains("file"), "{words}");
}

#[tokio::test]
async fn a_failed_drive_from_before_the_clock_was_set_back_puts_its_order_off_for_an_hour_at_most() {
    let Some(url) = database().await else { return };
    super::put_off_by_a_clock(&open(&url).await).await;
}
