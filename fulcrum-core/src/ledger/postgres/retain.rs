//! What is removed, and what was delivered.

use jiff::Timestamp;
use sqlx::{PgPool, Postgres, Row, Transaction};

use super::{error::store, events::read_event};
use crate::{
    ledger::{
        Result,
        forget::{is_over, may_be_over},
        stored,
    },
    model::{OrderEvent, OrderId},
};

pub(super) async fn forget(pool: &PgPool, order: &OrderId, before: Timestamp) -> Result<bool> {
    let mut transaction = pool.begin().await.map_err(store)?;
    let row = sqlx::query(
        "SELECT state, (SELECT at FROM events WHERE order_id = orders.id ORDER BY number DESC LIMIT 1) AS last
         FROM orders WHERE id = $1 AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
         AND NOT EXISTS (SELECT 1 FROM deliveries
                             WHERE sequence < (SELECT max(sequence) FROM events WHERE order_id = $1))
         FOR UPDATE SKIP LOCKED",
    )
    .bind(order.as_str())
    .fetch_optional(&mut *transaction)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(false) };
    let state = stored::state(row.try_get("state").map_err(store)?)?;
    if !may_be_over(state, stored::time(row.try_get("last").map_err(store)?, "at")?, before) {
        return left(transaction).await;
    }
    let rows = sqlx::query(
        "SELECT sequence, number, order_id, at, kind, hash FROM events WHERE order_id = $1 ORDER BY number",
    )
    .bind(order.as_str())
    .fetch_all(&mut *transaction)
    .await
    .map_err(store)?;
    let events: Vec<OrderEvent> = rows.iter().map(read_event).collect::<Result<_>>()?;
    if !is_over(&events) {
        return left(transaction).await;
    }
    sqlx::query(
        "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, $2 FROM orders WHERE id = $1",
    )
    .bind(order.as_str())
    .bind(Timestamp::now().to_string())
    .execute(&mut *transaction)
    .await
    .map_err(store)?;
    transaction.commit().await.map_err(store)?;
    Ok(true)
}

/// Nothing was removed. The row is let go at once, and not when the pool comes to it.
async fn left(transaction: Transaction<'static, Postgres>) -> Result<bool> {
    transaction.rollback().await.map_err(store)?;
    Ok(false)
}

pub(super) async fn cursor(pool: &PgPool, name: &str) -> Result<u64> {
    let sequence: Option<i64> = sqlx::query_scalar("SELECT sequence FROM deliveries WHERE name = $1")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(store)?;
    Ok(sequence.unwrap_or(0).unsigned_abs())
}

pub(super) async fn advance(pool: &PgPool, name: &str, sequence: u64) -> Result<u64> {
    let now: i64 = sqlx::query_scalar(
        "INSERT INTO deliveries (name, sequence) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET sequence = greatest(deliveries.sequence, excluded.sequence)
         RETURNING sequence",
    )
    .bind(name)
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
    .fetch_one(pool)
    .await
    .map_err(store)?;
    Ok(now.unsigned_abs())
}

pub(super) async fn drop_cursor(pool: &PgPool, name: &str) -> Result<bool> {
    let dropped = sqlx::query("DELETE FROM deliveries WHERE name = $1")
        .bind(name)
        .execute(pool)
        .await
        .map_err(store)?;
    Ok(dropped.rows_affected() > 0)
}
