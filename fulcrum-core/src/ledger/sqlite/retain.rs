//! What is removed, each in a transaction. Errors other than of the store come before anything is changed.

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::statements::{events, moment};
use crate::{
    ledger::{
        Result,
        forget::{is_over, may_be_over},
        stored::{self, store},
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
         FROM orders WHERE id = ?1 AND (claim_owner IS NULL OR claim_until <= ?2)",
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
