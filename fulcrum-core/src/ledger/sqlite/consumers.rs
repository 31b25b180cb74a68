//! Offsets of the consumers of events, each statement in a transaction.

use sqlx::SqliteConnection;

use super::error::driver_error;
use crate::ledger::Result;

pub(super) async fn offset(connection: &mut SqliteConnection, name: &str) -> Result<u64> {
    let sequence: Option<i64> = sqlx::query_scalar("SELECT sequence FROM deliveries WHERE name = ?1")
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(driver_error)?;
    Ok(sequence.unwrap_or(0).unsigned_abs())
}

pub(super) async fn commit_offset(
    connection: &mut SqliteConnection,
    name: &str,
    sequence: u64,
) -> Result<u64> {
    let now: i64 = sqlx::query_scalar(
        "INSERT INTO deliveries (name, sequence) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET sequence = max(deliveries.sequence, excluded.sequence)
         RETURNING sequence",
    )
    .bind(name)
    .bind(i64::try_from(sequence).unwrap_or(i64::MAX))
    .fetch_one(connection)
    .await
    .map_err(driver_error)?;
    Ok(now.unsigned_abs())
}

pub(super) async fn drop_consumer(connection: &mut SqliteConnection, name: &str) -> Result<bool> {
    let dropped = sqlx::query("DELETE FROM deliveries WHERE name = ?1")
        .bind(name)
        .execute(connection)
        .await
        .map_err(driver_error)?;
    Ok(dropped.rows_affected() > 0)
}
