//! What is removed, and what was delivered, each in a transaction. Errors other than of the store come before anything is changed.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::{
    error::store,
    statements::{events, moment},
};
use crate::{
    ledger::{
        Result,
        forget::{is_over, may_be_over},
        stored,
    },
    model::OrderId,
};

pub(super) async fn forget(
    connection: &mut SqliteConnection,
    order: &OrderId,
    before: Timestamp,
) -> Result<bool> {
    let now = Timestamp::now();
    let row = sqlx::query(
        "SELECT state, (SELECT at FROM events WHERE order_id = orders.id ORDER BY number DESC LIMIT 1) AS last
         FROM orders WHERE id = ?1 AND (claim_owner IS NULL OR claim_until <= ?2)
         AND NOT EXISTS (SELECT 1 FROM deliveries
                             WHERE sequence < (SELECT max(sequence) FROM events WHERE order_id = ?1))",
    )
    .bind(order.as_str())
    .bind(moment(now))
    .fetch_optional(&mut *connection)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(false) };
    let state = stored::state(row.try_get("state").map_err(store)?)?;
    let last = stored::time(row.try_get("last").map_err(store)?, "at")?;
    if !may_be_over(state, last, before) || !is_over(&events(connection, 0, Some(order), u32::MAX).await?) {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, ?2 FROM orders WHERE id = ?1",
    )
    .bind(order.as_str())
    .bind(now.to_string())
    .execute(connection)
    .await
    .map_err(store)?;
    Ok(true)
}

pub(super) async fn cursor(connection: &mut SqliteConnection, name: &str) -> Result<u64> {
    let sequence: Option<i64> = sqlx::query_scalar("SELECT sequence FROM deliveries WHERE name = ?1")
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(store)?;
    Ok(sequence.unwrap_or(0).unsigned_abs())
}

pub(super) async fn advance(connection: &mut SqliteConnection, name: &str, sequence: u64) -> Result<u64> {
    let now: i64 = sqlx::query_scalar(
        "INSERT INTO deliveries (name, sequence) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET sequence = max(deliveries.sequence, excluded.sequence)
         RETURNING sequence",
    )
    .bind(name)
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
    .fetch_one(connection)
    .await
    .map_err(store)?;
    Ok(now.unsigned_abs())
}

pub(super) async fn drop_cursor(connection: &mut SqliteConnection, name: &str) -> Result<bool> {
    let dropped = sqlx::query("DELETE FROM deliveries WHERE name = ?1")
        .bind(name)
        .execute(connection)
        .await
        .map_err(store)?;
    Ok(dropped.rows_affected() > 0)
}
