//! Removes an order and leaves its tombstone, in a transaction. Errors other than of the store come before anything is changed.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::{error::driver_error, events::events, rows::sortable_time};
use crate::{
    ledger::{
        Result, codec,
        purge::{is_proven_over, is_purge_candidate},
    },
    model::OrderId,
};

pub(super) async fn purge(
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
    .bind(sortable_time(now))
    .fetch_optional(&mut *connection)
    .await
    .map_err(driver_error)?;
    let Some(row) = row else { return Ok(false) };
    let state = codec::state(row.try_get("state").map_err(driver_error)?)?;
    let last = codec::time(row.try_get("last").map_err(driver_error)?, "at")?;
    if !is_purge_candidate(state, last, before)
        || !is_proven_over(&events(connection, 0, Some(order), u32::MAX).await?)
    {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO forgotten (id, events, head, at) SELECT id, events, head, ?2 FROM orders WHERE id = ?1",
    )
    .bind(order.as_str())
    .bind(now.to_string())
    .execute(connection)
    .await
    .map_err(driver_error)?;
    Ok(true)
}
