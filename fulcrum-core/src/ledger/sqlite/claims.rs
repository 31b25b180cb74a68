//! Claims, each in a transaction: taken, renewed and relinquished. An order's fencing token rises with each new owner.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    error::driver_error,
    rows::{order_id, sortable_time, time},
};
use crate::{
    ledger::{
        Claim, LedgerError, Result,
        codec::{self, UNFINISHED, token},
    },
    model::{OrderId, ProviderId},
};

fn after(now: Timestamp, ttl: Duration) -> Timestamp {
    now.checked_add(ttl).unwrap_or(Timestamp::MAX)
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    order: &OrderId,
    owner: &str,
    ttl: Duration,
) -> Result<Claim> {
    let now = Timestamp::now();
    let row =
        sqlx::query("SELECT id, claim_owner, claim_token, claim_since, claim_until FROM orders WHERE id = ?")
            .bind(order.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(driver_error)?
            .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let holder: Option<String> = row.try_get("claim_owner").map_err(driver_error)?;
    if let Some(holder) = holder {
        let mut until = time(&row, "claim_until")?;
        if since(&row)?.is_some_and(|since| since > now) {
            until = clamp_future_claim(connection, &row, now).await?;
        }
        if until > now {
            return Err(LedgerError::Claimed { order: order.clone(), owner: holder, until });
        }
    }
    let token = row.try_get::<i64, _>("claim_token").map_err(driver_error)? + 1;
    let until = after(now, ttl);
    sqlx::query(
        "UPDATE orders SET claim_owner = ?, claim_token = ?, claim_since = ?, claim_until = ? WHERE id = ?",
    )
    .bind(owner)
    .bind(token)
    .bind(sortable_time(now))
    .bind(sortable_time(until))
    .bind(order.as_str())
    .execute(&mut *connection)
    .await
    .map_err(driver_error)?;
    Ok(Claim { order: order.clone(), token: token.unsigned_abs(), until })
}

/// Finished orders are many: what waits is found without passing them by. SQLite would rather look through all committed
/// ones.
pub(super) const UNFINISHED_BY_INDEX: &str = "orders INDEXED BY orders_unfinished";

pub(super) fn claim_next_sql() -> String {
    format!(
        "UPDATE orders SET claim_owner = ?1, claim_token = claim_token + 1, claim_since = ?3, claim_until = ?2
         WHERE id IN (SELECT id FROM {UNFINISHED_BY_INDEX} WHERE {UNFINISHED}
                      AND (claim_owner IS NULL OR claim_until <= ?3)
                      AND (next_try IS NULL OR next_try <= ?3 OR next_try > ?6)
                      AND NOT EXISTS (SELECT 1 FROM json_each(orders.providers)
                                      WHERE value NOT IN (SELECT value FROM json_each(?5)))
                      ORDER BY id LIMIT ?4)
         RETURNING id, claim_token"
    )
}

pub(super) async fn claim_next(
    connection: &mut SqliteConnection,
    owner: &str,
    ttl: Duration,
    limit: u32,
    providers: &[ProviderId],
) -> Result<Vec<Claim>> {
    let now = Timestamp::now();
    let until = after(now, ttl);
    // Times are compared as text: RFC 3339 in UTC, to a fixed number of digits.
    let rows = sqlx::query(AssertSqlSafe(claim_next_sql()))
        .bind(owner)
        .bind(sortable_time(until))
        .bind(sortable_time(now))
        .bind(i64::from(limit))
        .bind(codec::providers(providers)?)
        .bind(sortable_time(after(now, codec::MAX_RETRY_DELAY)))
        .fetch_all(&mut *connection)
        .await
        .map_err(driver_error)?;
    if rows.is_empty() {
        clamp_future_claims(connection, now).await?;
    }
    rows.iter()
        .map(|row| {
            let token = row.try_get::<i64, _>("claim_token").map_err(driver_error)?;
            Ok(Claim { order: order_id(row, "id")?, token: token.unsigned_abs(), until })
        })
        .collect()
}

pub(super) async fn renew(connection: &mut SqliteConnection, claim: &Claim, ttl: Duration) -> Result<Claim> {
    let until = after(Timestamp::now(), ttl);
    update_claim(connection, claim, Some(until)).await?;
    Ok(Claim { until, ..claim.clone() })
}

pub(super) async fn update_claim(
    connection: &mut SqliteConnection,
    claim: &Claim,
    until: Option<Timestamp>,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE orders SET claim_until = ?1, claim_since = ?4,
             claim_owner = CASE WHEN ?1 IS NULL THEN NULL ELSE claim_owner END
         WHERE id = ?2 AND claim_token = ?3",
    )
    .bind(until.map(sortable_time))
    .bind(claim.order.as_str())
    .bind(token(claim))
    .bind(sortable_time(Timestamp::now()))
    .execute(connection)
    .await
    .map_err(driver_error)?;
    if written.rows_affected() == 0 { Err(LedgerError::Fenced(claim.order.clone())) } else { Ok(()) }
}

fn since(row: &SqliteRow) -> Result<Option<Timestamp>> {
    let since: Option<&str> = row.try_get("claim_since").map_err(driver_error)?;
    since.map(|text| codec::time(text, "claim_since")).transpose()
}

/// A claim that begins in the future is of a time before the clock was set back. It begins now instead and lasts as long
/// as it did: its holder may be alive, and has it for no longer than that by its own clock.
async fn clamp_future_claim(
    connection: &mut SqliteConnection,
    row: &SqliteRow,
    now: Timestamp,
) -> Result<Timestamp> {
    let ttl = time(row, "claim_until")?.duration_since(since(row)?.unwrap_or(now)).unsigned_abs();
    let until = after(now, ttl);
    sqlx::query("UPDATE orders SET claim_since = ?, claim_until = ? WHERE id = ?")
        .bind(sortable_time(now))
        .bind(sortable_time(until))
        .bind(row.try_get::<&str, _>("id").map_err(driver_error)?)
        .execute(connection)
        .await
        .map_err(driver_error)?;
    Ok(until)
}

/// The same for all unfinished orders.
async fn clamp_future_claims(connection: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT id, claim_since, claim_until FROM {UNFINISHED_BY_INDEX}
         WHERE {UNFINISHED} AND claim_owner IS NOT NULL AND claim_since > ?"
    )))
    .bind(sortable_time(now))
    .fetch_all(&mut *connection)
    .await
    .map_err(driver_error)?;
    for row in &rows {
        clamp_future_claim(connection, row, now).await?;
    }
    Ok(())
}
