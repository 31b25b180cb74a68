//! What the ledger asks of PostgreSQL about orders and claims. Rows that another session has locked are passed over, or
//! waited for as long as the session allows.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row, Transaction, postgres::PgRow};
use tokio::sync::watch;

use super::{
    CHANNEL,
    batch::{self, Failure},
    error::{code, store},
};
use crate::{
    ledger::{
        Claim, LedgerError, OrderQuery, Result,
        chain::{Head, START},
        kept::{Column, Kept, StepTexts},
        stored::{self, UNFINISHED, parsed, text, token},
    },
    model::{KeyNamespace, Operator, Order, OrderEventKind, OrderId, OrderState, ProviderId},
};

/// Another row has this key.
const UNIQUE: &str = "23505";

pub(super) async fn create(pool: &PgPool, changes: &watch::Sender<u64>, order: &Order) -> Result<()> {
    let mut head = Head { count: 0, hash: START.to_owned() };
    let link = head.append(&order.id, Timestamp::now(), &stored::first_kind(order))?;
    let mut transaction = pool.begin().await.map_err(store)?;
    let written = sqlx::query(
        "INSERT INTO orders (id, state, created, reason, plan, policy, providers, namespace, events, head)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(order.id.as_str())
    .bind(order.state.word())
    .bind(order.created.to_string())
    .bind(order.reason.as_deref())
    .bind(text(&order.plan)?)
    .bind(text(&order.policy)?)
    .bind(stored::providers(order.steps.iter().map(|step| &step.provider))?)
    .bind(order.namespace.as_ref().map(KeyNamespace::as_str))
    .bind(head.count.cast_signed())
    .bind(&head.hash)
    .execute(&mut *transaction)
    .await;
    match written {
        Ok(written) if written.rows_affected() > 0 => {}
        // Of an order that was forgotten the id is refused by a trigger.
        Err(error) if code(&error).as_deref() != Some(UNIQUE) => return Err(store(error)),
        _ => {
            let exists = Err(LedgerError::Exists(order.id.clone()));
            return transaction.rollback().await.map_err(store).and(exists);
        }
    }
    let texts = order.steps.iter().map(StepTexts::new).collect::<Result<Vec<_>>>()?;
    let steps: Vec<_> =
        order.steps.iter().zip(&texts).map(|(step, texts)| (&order.id, step, texts)).collect();
    batch::put_steps(&mut transaction, &steps).await.map_err(Failure::into_error)?;
    batch::tell(&mut transaction, &[(&order.id, link)]).await.map_err(Failure::into_error)?;
    notify(&mut transaction, &order.id).await?;
    commit(transaction, changes).await
}

pub(super) async fn load(pool: &PgPool, kept: &Kept, order: &OrderId) -> Result<Option<Order>> {
    // One statement, so that the order and its steps are of one moment.
    let row = sqlx::query(
        "SELECT state, created, reason, plan, policy, rounds, namespace, cancelled, cancelled_at, cancelled_by,
             (SELECT coalesce(json_agg(json_build_array(step_key, provider, lease, state, attempts)
                                       ORDER BY position), '[]')::text
              FROM steps WHERE order_id = orders.id) AS steps
         FROM orders WHERE id = $1",
    )
    .bind(order.as_str())
    .fetch_optional(pool)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(None) };
    // Positions count from 0 without gaps.
    let column = |name| row.try_get::<&str, _>(name).map_err(store);
    let steps: Vec<[String; 5]> = parsed(column("steps")?, "steps")?;
    let steps = (0u32..)
        .zip(&steps)
        .map(|(index, columns)| stored::step(kept, order, index, columns.each_ref().map(String::as_str)));
    Ok(Some(Order {
        id: order.clone(),
        plan: kept.read(order, Column::Plan, column("plan")?)?,
        policy: kept.read(order, Column::Policy, column("policy")?)?,
        state: state(&row)?,
        created: time(&row, "created")?,
        reason: row.try_get("reason").map_err(store)?,
        namespace: stored::namespace(row.try_get("namespace").map_err(store)?)?,
        is_approved: false,
        cancellation: stored::cancellation(
            row.try_get("cancelled").map_err(store)?,
            row.try_get("cancelled_at").map_err(store)?,
            row.try_get("cancelled_by").map_err(store)?,
        )?,
        rounds: kept.read(order, Column::Rounds, column("rounds")?)?,
        steps: steps.collect::<Result<_>>()?,
    }))
}

pub(super) async fn list(pool: &PgPool, query: &OrderQuery) -> Result<Vec<OrderId>> {
    let unfinished = if query.is_unfinished { UNFINISHED } else { "TRUE" };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT id FROM orders WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR id < $2)
         AND {unfinished} ORDER BY id DESC LIMIT $3"
    )))
    .bind(query.state.map(OrderState::word))
    .bind(query.before.as_ref().map(OrderId::as_str))
    .bind((query.limit != 0).then_some(i64::from(query.limit)))
    .fetch_all(pool)
    .await
    .map_err(store)?;
    rows.iter().map(|row| order_id(row, "id")).collect()
}

pub(super) async fn claim(pool: &PgPool, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
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
    .bind(micros(lease))
    .bind(order.as_str())
    .fetch_optional(pool)
    .await
    .map_err(store)?;
    if let Some(row) = taken {
        return claimed(&row, order.clone());
    }
    wind_back(pool, Some(order)).await?;
    let row = sqlx::query(
        "SELECT claim_owner, (extract(epoch FROM claim_until) * 1000000)::bigint AS until
         FROM orders WHERE id = $1",
    )
    .bind(order.as_str())
    .fetch_optional(pool)
    .await
    .map_err(store)?
    .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let owner: Option<String> = row.try_get("claim_owner").map_err(store)?;
    // Let go in between, or locked for as long as a stranger likes: the caller may ask again at once.
    let owner = owner.unwrap_or_else(|| "another session of the database".to_owned());
    Err(LedgerError::Claimed {
        order: order.clone(),
        owner,
        until: until(&row)?.unwrap_or_else(Timestamp::now),
    })
}

pub(super) async fn claim_next(
    pool: &PgPool,
    owner: &str,
    lease: Duration,
    limit: u32,
    providers: &[ProviderId],
) -> Result<Vec<Claim>> {
    let rows = sqlx::query(AssertSqlSafe(format!(
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
    )))
    .bind(owner)
    .bind(micros(lease))
    .bind(i64::from(limit))
    .bind(stored::providers(providers)?)
    .bind(micros(stored::MOST_PUT_OFF))
    .fetch_all(pool)
    .await
    .map_err(store)?;
    if rows.is_empty() {
        wind_back(pool, None).await?;
    }
    rows.iter().map(|row| claimed(row, order_id(row, "id")?)).collect()
}

pub(super) async fn update_claim(pool: &PgPool, claim: &Claim, lease: Option<Duration>) -> Result<Timestamp> {
    let row = sqlx::query(
        "UPDATE orders SET claim_until = clock_timestamp() + $1 * interval '1 microsecond',
             claim_since = clock_timestamp(),
             claim_owner = CASE WHEN $1 IS NULL THEN NULL ELSE claim_owner END
         WHERE id = $2 AND claim_token = $3
         RETURNING (extract(epoch FROM claim_until) * 1000000)::bigint AS until",
    )
    .bind(lease.map(micros))
    .bind(claim.order.as_str())
    .bind(token(claim))
    .fetch_optional(pool)
    .await
    .map_err(store)?
    .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
    Ok(until(&row)?.unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A claim that begins in the future is of a time before the database's clock was set back, or of another machine's. It
/// begins now instead and lasts as long as it did: its holder may be alive, and has it for no longer than that by
/// its own clock.
async fn wind_back(pool: &PgPool, order: Option<&OrderId>) -> Result<()> {
    let which = if order.is_some() { "id = $1" } else { UNFINISHED };
    sqlx::query(AssertSqlSafe(format!(
        "WITH early AS (
             SELECT id FROM orders
             WHERE {which} AND claim_owner IS NOT NULL AND claim_since > clock_timestamp()
             AND ($1::text IS NULL OR id = $1) FOR UPDATE SKIP LOCKED)
         UPDATE orders SET claim_since = clock_timestamp(),
             claim_until = clock_timestamp() + (claim_until - claim_since)
         FROM early WHERE orders.id = early.id"
    )))
    .bind(order.map(OrderId::as_str))
    .execute(pool)
    .await
    .map_err(store)?;
    Ok(())
}

/// An order's row, locked, with the end of its chain.
async fn locked(
    transaction: &mut Transaction<'static, Postgres>,
    order: &OrderId,
) -> Result<Option<(PgRow, Head)>> {
    let row = sqlx::query(
        "SELECT state, claim_token, events, head, cancelled_at, failed_drives FROM orders WHERE id = $1 FOR UPDATE",
    )
    .bind(order.as_str())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(None) };
    let count = row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs();
    let head = Head { count, hash: row.try_get("head").map_err(store)? };
    Ok(Some((row, head)))
}

pub(super) async fn request_cancel(
    pool: &PgPool,
    changes: &watch::Sender<u64>,
    order: &OrderId,
    by: Option<&Operator>,
) -> Result<()> {
    let mut transaction = pool.begin().await.map_err(store)?;
    let Some((row, mut head)) = locked(&mut transaction, order).await? else {
        return Err(LedgerError::NoSuchOrder(order.clone()));
    };
    let noted: Option<String> = row.try_get("cancelled_at").map_err(store)?;
    if noted.is_some() || state(&row)?.is_over() {
        // Not left to the pool, which would keep the row locked for a moment.
        return transaction.rollback().await.map_err(store);
    }
    let now = Timestamp::now();
    let kind = OrderEventKind::CancellationRequested { by: by.cloned() };
    let link = head.append(order, now, &kind)?;
    batch::tell(&mut transaction, &[(order, link)]).await.map_err(Failure::into_error)?;
    sqlx::query(
        "UPDATE orders SET cancelled = TRUE, cancelled_at = $1, cancelled_by = $2, events = $3, head = $4
         WHERE id = $5",
    )
    .bind(now.to_string())
    .bind(by.map(text).transpose()?)
    .bind(head.count.cast_signed())
    .bind(&head.hash)
    .bind(order.as_str())
    .execute(&mut *transaction)
    .await
    .map_err(store)?;
    notify(&mut transaction, order).await?;
    commit(transaction, changes).await
}

pub(super) async fn note_failed_drive(
    pool: &PgPool,
    changes: &watch::Sender<u64>,
    claim: &Claim,
    reason: &str,
    wait: Duration,
) -> Result<u32> {
    let mut transaction = pool.begin().await.map_err(store)?;
    let fenced = || LedgerError::Fenced(claim.order.clone());
    let (row, mut head) = locked(&mut transaction, &claim.order).await?.ok_or_else(fenced)?;
    if row.try_get::<i64, _>("claim_token").map_err(store)? != token(claim) {
        return transaction.rollback().await.map_err(store).and(Err(fenced()));
    }
    let failed: i32 = row.try_get("failed_drives").map_err(store)?;
    let count = failed.unsigned_abs().saturating_add(1);
    let kind = OrderEventKind::DriveFailed { reason: reason.to_owned(), count };
    let link = head.append(&claim.order, Timestamp::now(), &kind)?;
    batch::tell(&mut transaction, &[(&claim.order, link)]).await.map_err(Failure::into_error)?;
    // By the database's clock, by which it is compared.
    sqlx::query(
        "UPDATE orders SET failed_drives = $1, next_try = clock_timestamp() + $2 * interval '1 microsecond',
             events = $3, head = $4 WHERE id = $5",
    )
    .bind(i32::try_from(count).unwrap_or(i32::MAX))
    .bind(micros(wait))
    .bind(head.count.cast_signed())
    .bind(&head.hash)
    .bind(claim.order.as_str())
    .execute(&mut *transaction)
    .await
    .map_err(store)?;
    commit(transaction, changes).await?;
    Ok(count)
}

async fn notify(transaction: &mut Transaction<'static, Postgres>, order: &OrderId) -> Result<()> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(order.as_str())
        .execute(&mut **transaction)
        .await
        .map_err(store)?;
    Ok(())
}

async fn commit(transaction: Transaction<'static, Postgres>, changes: &watch::Sender<u64>) -> Result<()> {
    transaction.commit().await.map_err(store)?;
    changes.send_modify(|count| *count += 1);
    Ok(())
}

fn micros(lease: Duration) -> i64 {
    // A hundred years are for ever, and fit into a database's times.
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX).min(100 * 366 * 86_400 * 1_000_000)
}

fn until(row: &PgRow) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = row.try_get("until").map_err(store)?;
    micros
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| LedgerError::Damaged(error.to_string()))
}

fn claimed(row: &PgRow, order: OrderId) -> Result<Claim> {
    let token = row.try_get::<i64, _>("claim_token").map_err(store)?.unsigned_abs();
    Ok(Claim { order, token, until: until(row)?.unwrap_or(Timestamp::UNIX_EPOCH) })
}

fn time(row: &PgRow, column: &str) -> Result<Timestamp> {
    stored::time(row.try_get(column).map_err(store)?, column)
}

fn order_id(row: &PgRow, column: &str) -> Result<OrderId> {
    stored::order_id(row.try_get(column).map_err(store)?)
}

fn state(row: &PgRow) -> Result<OrderState> {
    stored::state(row.try_get("state").map_err(store)?)
}

pub(super) async fn is_cancelled(pool: &PgPool, order: &OrderId) -> Result<bool> {
    let cancelled = sqlx::query_scalar("SELECT cancelled FROM orders WHERE id = $1")
        .bind(order.as_str())
        .fetch_optional(pool)
        .await
        .map_err(store)?;
    cancelled.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))
}
