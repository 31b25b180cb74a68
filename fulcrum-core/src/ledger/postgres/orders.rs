//! What the ledger asks of PostgreSQL about orders. Rows that another session has locked are passed over, or
//! waited for as long as the session allows.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row, Transaction, postgres::PgRow};
use tokio::sync::watch;

use super::{
    batch::{self, Failure},
    error::{code, driver_error},
    rows::{micros, order_id, state, time},
    session::CHANNEL,
};
use crate::{
    ledger::{
        Claim, LedgerError, OrderQuery, Result,
        codec::{self, UNFINISHED, parsed, text, token},
        hash_chain::{ChainHead, GENESIS_HASH},
        unknown_fields::{Column, StepTexts, UnknownFields},
    },
    model::{KeyNamespace, Operator, Order, OrderEventKind, OrderId, OrderState},
};

/// Another row has this key.
const UNIQUE: &str = "23505";

pub(super) async fn create(pool: &PgPool, changes: &watch::Sender<u64>, order: &Order) -> Result<()> {
    let mut head = ChainHead { count: 0, hash: GENESIS_HASH.to_owned() };
    let link = head.append(&order.id, Timestamp::now(), &codec::first_kind(order))?;
    let mut transaction = pool.begin().await.map_err(driver_error)?;
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
    .bind(codec::providers(order.steps.iter().map(|step| &step.provider))?)
    .bind(order.namespace.as_ref().map(KeyNamespace::as_str))
    .bind(head.count.cast_signed())
    .bind(&head.hash)
    .execute(&mut *transaction)
    .await;
    match written {
        Ok(written) if written.rows_affected() > 0 => {}
        // Of an order that was forgotten the id is refused by a trigger.
        Err(error) if code(&error).as_deref() != Some(UNIQUE) => return Err(driver_error(error)),
        _ => {
            let exists = Err(LedgerError::Exists(order.id.clone()));
            return transaction.rollback().await.map_err(driver_error).and(exists);
        }
    }
    let texts = order.steps.iter().map(StepTexts::new).collect::<Result<Vec<_>>>()?;
    let steps: Vec<_> =
        order.steps.iter().zip(&texts).map(|(step, texts)| (&order.id, step, texts)).collect();
    batch::upsert_steps(&mut transaction, &steps).await.map_err(Failure::into_error)?;
    batch::insert_events(&mut transaction, &[(&order.id, link)]).await.map_err(Failure::into_error)?;
    notify(&mut transaction, &order.id).await?;
    commit(transaction, changes).await
}

pub(super) async fn load(pool: &PgPool, unknown: &UnknownFields, order: &OrderId) -> Result<Option<Order>> {
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
    .map_err(driver_error)?;
    let Some(row) = row else { return Ok(None) };
    // Positions count from 0 without gaps.
    let column = |name| row.try_get::<&str, _>(name).map_err(driver_error);
    let steps: Vec<[String; 5]> = parsed(column("steps")?, "steps")?;
    let steps = (0u32..)
        .zip(&steps)
        .map(|(index, columns)| codec::step(unknown, order, index, columns.each_ref().map(String::as_str)));
    Ok(Some(Order {
        id: order.clone(),
        plan: unknown.read(order, Column::Plan, column("plan")?)?,
        policy: unknown.read(order, Column::Policy, column("policy")?)?,
        state: state(&row)?,
        created: time(&row, "created")?,
        reason: row.try_get("reason").map_err(driver_error)?,
        namespace: codec::namespace(row.try_get("namespace").map_err(driver_error)?)?,
        is_approved: false,
        cancellation: codec::cancellation(
            row.try_get("cancelled").map_err(driver_error)?,
            row.try_get("cancelled_at").map_err(driver_error)?,
            row.try_get("cancelled_by").map_err(driver_error)?,
        )?,
        rounds: unknown.read(order, Column::Rounds, column("rounds")?)?,
        steps: steps.collect::<Result<_>>()?,
    }))
}

pub(super) fn list_sql(is_unfinished: bool) -> String {
    let unfinished = if is_unfinished { UNFINISHED } else { "TRUE" };
    format!(
        "SELECT id FROM orders WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR id < $2)
         AND {unfinished} AND ($4::text IS NULL OR substr(created, 1, 19) >= $4) ORDER BY id DESC LIMIT $3"
    )
}

pub(super) async fn list(pool: &PgPool, query: &OrderQuery) -> Result<Vec<OrderId>> {
    let rows = sqlx::query(AssertSqlSafe(list_sql(query.is_unfinished)))
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind((query.limit != 0).then_some(i64::from(query.limit)))
        .bind(query.since_second())
        .fetch_all(pool)
        .await
        .map_err(driver_error)?;
    rows.iter().map(|row| order_id(row, "id")).collect()
}

/// An order's row, locked, with the end of its chain.
async fn lock_row(
    transaction: &mut Transaction<'static, Postgres>,
    order: &OrderId,
) -> Result<Option<(PgRow, ChainHead)>> {
    let row = sqlx::query(
        "SELECT state, claim_token, events, head, cancelled_at, failed_drives FROM orders WHERE id = $1 FOR UPDATE",
    )
    .bind(order.as_str())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(driver_error)?;
    let Some(row) = row else { return Ok(None) };
    let count = row.try_get::<i64, _>("events").map_err(driver_error)?.unsigned_abs();
    let head = ChainHead { count, hash: row.try_get("head").map_err(driver_error)? };
    Ok(Some((row, head)))
}

pub(super) async fn request_cancel(
    pool: &PgPool,
    changes: &watch::Sender<u64>,
    order: &OrderId,
    by: Option<&Operator>,
) -> Result<()> {
    let mut transaction = pool.begin().await.map_err(driver_error)?;
    let Some((row, mut head)) = lock_row(&mut transaction, order).await? else {
        return Err(LedgerError::NoSuchOrder(order.clone()));
    };
    let noted: Option<String> = row.try_get("cancelled_at").map_err(driver_error)?;
    if noted.is_some() || state(&row)?.is_over() {
        // Not left to the pool, which would keep the row locked for a moment.
        return transaction.rollback().await.map_err(driver_error);
    }
    let now = Timestamp::now();
    let kind = OrderEventKind::CancellationRequested { by: by.cloned() };
    let link = head.append(order, now, &kind)?;
    batch::insert_events(&mut transaction, &[(order, link)]).await.map_err(Failure::into_error)?;
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
    .map_err(driver_error)?;
    notify(&mut transaction, order).await?;
    commit(transaction, changes).await
}

pub(super) async fn record_failed_drive(
    pool: &PgPool,
    changes: &watch::Sender<u64>,
    claim: &Claim,
    reason: &str,
    wait: Duration,
) -> Result<u32> {
    let mut transaction = pool.begin().await.map_err(driver_error)?;
    let fenced = || LedgerError::Fenced(claim.order.clone());
    let (row, mut head) = lock_row(&mut transaction, &claim.order).await?.ok_or_else(fenced)?;
    if row.try_get::<i64, _>("claim_token").map_err(driver_error)? != token(claim) {
        return transaction.rollback().await.map_err(driver_error).and(Err(fenced()));
    }
    let failed: i32 = row.try_get("failed_drives").map_err(driver_error)?;
    let count = failed.unsigned_abs().saturating_add(1);
    let kind = OrderEventKind::DriveFailed { reason: reason.to_owned(), count };
    let link = head.append(&claim.order, Timestamp::now(), &kind)?;
    batch::insert_events(&mut transaction, &[(&claim.order, link)]).await.map_err(Failure::into_error)?;
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
    .map_err(driver_error)?;
    commit(transaction, changes).await?;
    Ok(count)
}

async fn notify(transaction: &mut Transaction<'static, Postgres>, order: &OrderId) -> Result<()> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(order.as_str())
        .execute(&mut **transaction)
        .await
        .map_err(driver_error)?;
    Ok(())
}

async fn commit(transaction: Transaction<'static, Postgres>, changes: &watch::Sender<u64>) -> Result<()> {
    transaction.commit().await.map_err(driver_error)?;
    changes.send_modify(|count| *count += 1);
    Ok(())
}

pub(super) async fn is_cancelled(pool: &PgPool, order: &OrderId) -> Result<bool> {
    let cancelled = sqlx::query_scalar("SELECT cancelled FROM orders WHERE id = $1")
        .bind(order.as_str())
        .fetch_optional(pool)
        .await
        .map_err(driver_error)?;
    cancelled.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))
}
