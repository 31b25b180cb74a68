//! Removes an order and leaves its tombstone.

use jiff::Timestamp;
use sqlx::{PgPool, Postgres, Row, Transaction};

use super::{error::driver_error, events::read_event};
use crate::{
    ledger::{
        Result, codec,
        purge::{is_proven_over, is_purge_candidate},
    },
    model::{OrderEvent, OrderId},
};

pub(super) async fn purge(pool: &PgPool, order: &OrderId, before: Timestamp) -> Result<bool> {
    let mut transaction = pool.begin().await.map_err(driver_error)?;
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
    .map_err(driver_error)?;
    let Some(row) = row else { return Ok(false) };
    let state = codec::state(row.try_get("state").map_err(driver_error)?)?;
    if !is_purge_candidate(state, codec::time(row.try_get("last").map_err(driver_error)?, "at")?, before) {
        return roll_back(transaction).await;
    }
    let rows = sqlx::query(
        "SELECT sequence, number, order_id, at, kind, hash FROM events WHERE order_id = $1 ORDER BY number",
    )
    .bind(order.as_str())
    .fetch_all(&mut *transaction)
    .await
    .map_err(driver_error)?;
    let events: Vec<OrderEvent> = rows.iter().map(read_event).collect::<Result<_>>()?;
    if !is_proven_over(&events) {
        return roll_back(transaction).await;
    }
    sqlx::query(
        "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, $2 FROM orders WHERE id = $1",
    )
    .bind(order.as_str())
    .bind(Timestamp::now().to_string())
    .execute(&mut *transaction)
    .await
    .map_err(driver_error)?;
    transaction.commit().await.map_err(driver_error)?;
    Ok(true)
}

/// Nothing was removed. The row is let go at once, and not when the pool comes to it.
async fn roll_back(transaction: Transaction<'static, Postgres>) -> Result<bool> {
    transaction.rollback().await.map_err(driver_error)?;
    Ok(false)
}
