//! Reading events, each on a connection that is in a transaction.

use sqlx::{Row, SqliteConnection};

use super::{
    error::driver_error,
    rows::{order_id, time},
};
use crate::{
    ledger::{LedgerError, Result, codec},
    model::{OrderEvent, OrderId},
};

pub(super) async fn events(
    connection: &mut SqliteConnection,
    after: u64,
    order: Option<&OrderId>,
    limit: u32,
) -> Result<Vec<OrderEvent>> {
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let query = match order {
        // By the order's own index, however many events the ledger has.
        Some(order) => sqlx::query(
            "SELECT sequence, number, order_id, at, kind, hash FROM events
             WHERE order_id = ? AND +sequence > ? ORDER BY number LIMIT ?",
        )
        .bind(order.as_str()),
        None => sqlx::query(
            "SELECT sequence, number, order_id, at, kind, hash FROM events
             WHERE sequence > ? ORDER BY sequence LIMIT ?",
        ),
    };
    let rows = query.bind(after).bind(i64::from(limit)).fetch_all(connection).await.map_err(driver_error)?;
    rows.iter()
        .map(|row| {
            Ok(OrderEvent {
                sequence: row.try_get::<i64, _>("sequence").map_err(driver_error)?.unsigned_abs(),
                number: row.try_get::<i64, _>("number").map_err(driver_error)?.unsigned_abs(),
                order: order_id(row, "order_id")?,
                at: time(row, "at")?,
                kind: codec::kind(row.try_get("kind").map_err(driver_error)?)?,
                hash: row.try_get("hash").map_err(driver_error)?,
            })
        })
        .collect()
}

/// The hash at the end of an order's chain, and all of its events.
pub(super) async fn chain(
    connection: &mut SqliteConnection,
    order: &OrderId,
) -> Result<(String, Vec<OrderEvent>)> {
    let head: Option<String> = sqlx::query_scalar("SELECT head FROM orders WHERE id = ?")
        .bind(order.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(driver_error)?;
    let head = head.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    Ok((head, events(connection, 0, Some(order), u32::MAX).await?))
}
