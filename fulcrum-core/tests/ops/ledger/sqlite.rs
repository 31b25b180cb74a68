//! The embedded ledger.

use fulcrum_core::ledger::{Ledger, SqliteLedger, check_ledger};
use sqlx::{Connection, SqliteConnection};

use super::{every_change_shows, orders};

#[tokio::test(flavor = "multi_thread")]
async fn dropped_calls_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SqliteLedger::open(folder.path().join("orders.db")).await.expect("a ledger");
    super::dropped_calls_leave_nothing_behind(&file).await;
    let memory = SqliteLedger::in_memory().await.expect("a ledger");
    super::dropped_calls_leave_nothing_behind(&memory).await;
}

#[tokio::test]
async fn it_keeps_its_promises_in_a_file_and_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    for ledger in [SqliteLedger::in_memory().await, SqliteLedger::open(folder.path().join("orders.db")).await]
    {
        check_ledger(&ledger.expect("a ledger"), &orders(1).await[0])
            .await
            .expect("a ledger that keeps its promises");
    }
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text.db");
    let text =
        "this is no database, but a text of more than a hundred bytes, so that nobody takes it for one";
    std::fs::write(&path, text.repeat(2)).expect("written");
    let words = SqliteLedger::open(&path).await.expect_err("no ledger").to_string();
    assert_eq!(words.matches("check the file, its folder's rights and the free space").count(), 1, "{words}");
    assert!(words.contains("text.db") && words.matches("cannot be used").count() == 1, "{words}");
}

#[tokio::test]
async fn events_are_not_changed_and_a_change_by_force_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.db");
    let ledger = SqliteLedger::open(&path).await.expect("a ledger");
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let mut raw = SqliteConnection::connect(path.to_str().expect("a path")).await.expect("connected");
    // Nor by way of an order that is not over.
    let by_force = "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, 'now' FROM orders";
    for refused in ["UPDATE events SET at = 'never'", "DELETE FROM events", by_force] {
        let error = sqlx::query(refused).execute(&mut raw).await.expect_err("refused");
        assert!(error.to_string().contains("never"), "{error}");
    }
    for trigger in ["DROP TRIGGER events_stay", "DROP TRIGGER events_remain"] {
        sqlx::query(trigger).execute(&mut raw).await.expect("dropped");
    }
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
            sqlx::query(sqlx::AssertSqlSafe(change.to_owned()))
                .execute(&mut *raw.lock().await)
                .await
                .expect("changed");
        },
    )
    .await;
    // The last event is gone: the chain is whole, but its end is not where the order says.
    sqlx::query("DELETE FROM events").execute(&mut *raw.lock().await).await.expect("deleted");
    let error = ledger.verify(&order.id).await.expect_err("a missing event shows");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn a_claim_from_before_the_clock_was_set_back_ends_after_one_lease() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.db");
    let ledger = SqliteLedger::open(&path).await.expect("a ledger");
    let raw = SqliteConnection::connect(path.to_str().expect("a path")).await.expect("connected");
    let raw = tokio::sync::Mutex::new(raw);
    super::clock_set_back(&ledger, async || {
        for column in ["claim_since", "claim_until"] {
            // As if that had been written a thousand years ahead.
            let ahead = format!("UPDATE orders SET {column} = '3' || substr({column}, 2)");
            sqlx::query(sqlx::AssertSqlSafe(ahead)).execute(&mut *raw.lock().await).await.expect("changed");
        }
    })
    .await;
}

#[tokio::test]
async fn a_failed_drive_from_before_the_clock_was_set_back_puts_its_order_off_for_an_hour_at_most() {
    super::put_off_by_a_clock(&SqliteLedger::in_memory().await.expect("a ledger")).await;
}
