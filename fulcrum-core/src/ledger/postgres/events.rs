//! Reading events. Numbers are given when an event is written, and an event is seen when its transaction commits: a reader of
//! all events must not pass a number by that appears later.
//!
//! Who writes events holds a lock on their table until it commits, as PostgreSQL gives it to each INSERT. So a missing number
//! is gone for ever once those who held that lock when its neighbours were seen have let go. No writer waits for a reader, and
//! only who may write events can keep a reader waiting.

use std::time::{Duration, Instant};

use sqlx::{PgPool, Row, postgres::PgRow};

use super::error::driver_error;
use crate::{
    ledger::{LedgerError, Result, codec, codec::verified},
    model::{OrderEvent, OrderId},
};

/// How long a reader waits for writers at most; then it takes what is certain.
const MAX_WRITER_WAIT: Duration = Duration::from_secs(1);
/// Between two looks at who writes.
const WRITER_POLL_INTERVAL: Duration = Duration::from_millis(3);

/// Events of one order: written one transaction after the other, so that nothing appears behind.
pub(super) async fn of_order(
    pool: &PgPool,
    order: &OrderId,
    after: u64,
    limit: u32,
) -> Result<Vec<OrderEvent>> {
    // By the order's own index, however many events the ledger has.
    let rows = sqlx::query(
        "SELECT sequence, number, order_id, at, kind, hash FROM events
         WHERE sequence > $1 AND order_id = $3 ORDER BY number LIMIT $2",
    )
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .bind(order.as_str())
    .fetch_all(pool)
    .await
    .map_err(driver_error)?;
    rows.iter().map(read_event).collect()
}

/// Events of all orders.
pub(super) async fn of_all(pool: &PgPool, after: u64, limit: u32) -> Result<Vec<OrderEvent>> {
    let seen = page(pool, after, u64::MAX, limit).await?;
    let certain = (after.saturating_add(1)..).zip(&seen).take_while(|(next, event)| *next == event.sequence);
    let certain = certain.count();
    let Some(last) = seen.last().filter(|_| certain < seen.len()) else { return Ok(seen) };
    let start = Instant::now();
    let mut writers = writers(pool, None).await?;
    while !writers.is_empty() && start.elapsed() < MAX_WRITER_WAIT {
        tokio::time::sleep(WRITER_POLL_INTERVAL).await;
        writers = self::writers(pool, Some(writers)).await?;
    }
    if writers.is_empty() {
        // What was under way is committed or gone by now.
        return page(pool, after, last.sequence, limit).await;
    }
    Ok(seen.into_iter().take(certain).collect())
}

async fn page(pool: &PgPool, after: u64, last: u64, limit: u32) -> Result<Vec<OrderEvent>> {
    let rows = sqlx::query(
        "SELECT sequence, number, order_id, at, kind, hash FROM events
         WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3",
    )
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .bind(i64::try_from(last).unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(driver_error)?;
    rows.iter().map(read_event).collect()
}

/// The transactions that may have written events and have not ended; only those `of` a set, if there is one.
async fn writers(pool: &PgPool, of: Option<Vec<String>>) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT DISTINCT virtualtransaction FROM pg_locks
         WHERE locktype = 'relation' AND relation = 'events'::regclass
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND mode = 'RowExclusiveLock' AND granted AND ($1::text[] IS NULL OR virtualtransaction = ANY($1))",
    )
    .bind(of)
    .fetch_all(pool)
    .await
    .map_err(driver_error)
}

/// Checks the chain of an order's events.
pub(super) async fn verify(pool: &PgPool, order: &OrderId) -> Result<()> {
    let head: Option<String> = sqlx::query_scalar("SELECT head FROM orders WHERE id = $1")
        .bind(order.as_str())
        .fetch_optional(pool)
        .await
        .map_err(driver_error)?;
    let head = head.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    verified(order, &head, &of_order(pool, order, 0, u32::MAX).await?)
}

pub(super) fn read_event(row: &PgRow) -> Result<OrderEvent> {
    let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(driver_error);
    Ok(OrderEvent {
        sequence: count("sequence")?,
        number: count("number")?,
        order: codec::order_id(row.try_get("order_id").map_err(driver_error)?)?,
        at: codec::time(row.try_get("at").map_err(driver_error)?, "at")?,
        kind: codec::kind(row.try_get("kind").map_err(driver_error)?)?,
        hash: row.try_get("hash").map_err(driver_error)?,
    })
}
