//! Claims, each by one statement, compared with the database's clock: taken, renewed and relinquished. An order's fencing token
//! rises with each new owner. Rows that another session has locked are passed over.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgRow};

use super::{
    error::driver_error,
    rows::{micros, order_id, until},
};
use crate::{
    ledger::{
        Claim, LedgerError, Result,
        codec::{self, UNFINISHED, token},
    },
    model::{OrderId, ProviderId},
};

pub(super) async fn claim(pool: &PgPool, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim> {
    let taken = sqlx::query(
        "WITH free AS (
             SELECT id FROM orders WHERE id = $3 AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
             FOR UPDATE SKIP LOCKED)
         UPDATE orders SET claim_owner = $1, claim_token = claim_token + 1, claim_since = clock_timestamp(),
             claim_until = clock_timestamp() + $2 * interval '1 microsecond'
         FROM free WHERE orders.id = free.id
         RETURNING claim_token, (extract(epoch FROM claim_until) * 1000000)::bigint AS until",
    )
    .bind(owner)
    .bind(micros(ttl))
    .bind(order.as_str())
    .fetch_optional(pool)
    .await
    .map_err(driver_error)?;
    if let Some(row) = taken {
        return claimed(&row, order.clone());
    }
    clamp_future_claims(pool, Some(order)).await?;
    let row = sqlx::query(
        "SELECT claim_owner, (extract(epoch FROM claim_until) * 1000000)::bigint AS until
         FROM orders WHERE id = $1",
    )
    .bind(order.as_str())
    .fetch_optional(pool)
    .await
    .map_err(driver_error)?
    .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let owner: Option<String> = row.try_get("claim_owner").map_err(driver_error)?;
    // Let go in between, or locked for as long as a stranger likes: the caller may ask again at once.
    let owner = owner.unwrap_or_else(|| "another session of the database".to_owned());
    Err(LedgerError::Claimed {
        order: order.clone(),
        owner,
        until: until(&row)?.unwrap_or_else(Timestamp::now),
    })
}

fn claim_next_sql() -> String {
    format!(
        "WITH next AS (
             SELECT id FROM orders WHERE {UNFINISHED}
             AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
             AND (next_try IS NULL OR next_try <= clock_timestamp()
                  OR next_try > clock_timestamp() + $5 * interval '1 microsecond')
             AND orders.providers::jsonb <@ $4::jsonb
             ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE orders SET claim_owner = $1, claim_token = claim_token + 1, claim_since = clock_timestamp(),
             claim_until = clock_timestamp() + $2 * interval '1 microsecond'
         FROM next WHERE orders.id = next.id
         RETURNING orders.id, claim_token, (extract(epoch FROM claim_until) * 1000000)::bigint AS until"
    )
}

pub(super) async fn claim_next(
    pool: &PgPool,
    owner: &str,
    ttl: Duration,
    limit: u32,
    providers: &[ProviderId],
) -> Result<Vec<Claim>> {
    let rows = sqlx::query(AssertSqlSafe(claim_next_sql()))
        .bind(owner)
        .bind(micros(ttl))
        .bind(i64::from(limit))
        .bind(codec::providers(providers)?)
        .bind(micros(codec::MAX_RETRY_DELAY))
        .fetch_all(pool)
        .await
        .map_err(driver_error)?;
    if rows.is_empty() {
        clamp_future_claims(pool, None).await?;
    }
    rows.iter().map(|row| claimed(row, order_id(row, "id")?)).collect()
}

pub(super) async fn update_claim(pool: &PgPool, claim: &Claim, ttl: Option<Duration>) -> Result<Timestamp> {
    let row = sqlx::query(
        "UPDATE orders SET claim_until = clock_timestamp() + $1 * interval '1 microsecond',
             claim_since = clock_timestamp(),
             claim_owner = CASE WHEN $1 IS NULL THEN NULL ELSE claim_owner END
         WHERE id = $2 AND claim_token = $3
         RETURNING (extract(epoch FROM claim_until) * 1000000)::bigint AS until",
    )
    .bind(ttl.map(micros))
    .bind(claim.order.as_str())
    .bind(token(claim))
    .fetch_optional(pool)
    .await
    .map_err(driver_error)?
    .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
    Ok(until(&row)?.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn clamp_sql(is_of_one: bool) -> String {
    let which = if is_of_one { "id = $1" } else { UNFINISHED };
    format!(
        "WITH early AS (
             SELECT id FROM orders
             WHERE {which} AND claim_owner IS NOT NULL AND claim_since > clock_timestamp()
             AND ($1::text IS NULL OR id = $1) FOR UPDATE SKIP LOCKED)
         UPDATE orders SET claim_since = clock_timestamp(),
             claim_until = clock_timestamp() + (claim_until - claim_since)
         FROM early WHERE orders.id = early.id"
    )
}

/// A claim that begins in the future is of a time before the database's clock was set back, or of another machine's. It
/// begins now instead and lasts as long as it did: its holder may be alive, and has it for no longer than that by
/// its own clock.
async fn clamp_future_claims(pool: &PgPool, order: Option<&OrderId>) -> Result<()> {
    sqlx::query(AssertSqlSafe(clamp_sql(order.is_some())))
        .bind(order.map(OrderId::as_str))
        .execute(pool)
        .await
        .map_err(driver_error)?;
    Ok(())
}

fn claimed(row: &PgRow, order: OrderId) -> Result<Claim> {
    let token = row.try_get::<i64, _>("claim_token").map_err(driver_error)?.unsigned_abs();
    Ok(Claim { order, token, until: until(row)?.unwrap_or(Timestamp::UNIX_EPOCH) })
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::*;
    use crate::ledger::postgres::{orders::list_sql, schema};

    /// Runs on the server of `scripts/with-postgres`, in a database of its own.
    #[tokio::test]
    async fn work_is_found_by_the_index_of_unfinished_orders() {
        let Ok(server) = std::env::var("FULCRUM_TEST_POSTGRES") else { return };
        let mut admin = PgConnection::connect(&server).await.expect("connected");
        let name = format!("explained_{}", uuid::Uuid::now_v7().simple());
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("made");
        let url = format!("{}/{name}", server.rsplit_once('/').expect("a path").0);
        let mut connection = PgConnection::connect(&url).await.expect("connected");
        schema::prepare(&mut connection).await.expect("prepared");
        // A table without rows is read as a whole unless that is forbidden; an index that does not apply is not used even so.
        sqlx::raw_sql(
            "SET search_path = fulcrum, pg_temp; SET enable_seqscan = off; SET enable_bitmapscan = off",
        )
        .execute(&mut connection)
        .await
        .expect("set");
        let explain = |sql: String| AssertSqlSafe(format!("EXPLAIN {sql}"));
        let claimed = sqlx::query(explain(claim_next_sql()))
            .bind("a host")
            .bind(1_i64)
            .bind(8_i64)
            .bind("[]")
            .bind(1_i64);
        let clamped = sqlx::query(explain(clamp_sql(false))).bind(None::<String>);
        let listed = sqlx::query(explain(list_sql(true)))
            .bind(None::<String>)
            .bind(None::<String>)
            .bind(8_i64)
            .bind(None::<String>);
        for query in [claimed, clamped, listed] {
            let rows = query.fetch_all(&mut connection).await.expect("explained");
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            assert!(plan.iter().any(|line| line.contains("orders_unfinished")), "{plan:#?}");
        }
        connection.close().await.expect("closed");
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name}"))).execute(&mut admin).await;
    }
}
