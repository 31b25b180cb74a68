//! What the ledger asks of SQLite about orders: each on a connection that is in a transaction. Errors other than of the
//! store come before anything is changed.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    claims::UNFINISHED_BY_INDEX,
    error::driver_error,
    rows::{head, order_id, sortable_time, state, time},
    statement_batch::StatementBatch,
};
use crate::{
    ledger::{
        Claim, LedgerError, OrderQuery, OrderUpdate, Result, WriteReceipt,
        codec::{self, UNFINISHED, changed_kinds, text, token},
        hash_chain::{ChainHead, GENESIS_HASH},
        unknown_fields::{Column, StepTexts, Texts, UnknownFields},
    },
    model::{KeyNamespace, Operator, Order, OrderEventKind, OrderId, OrderState, Step},
};

/// The ledger's name for ever.
pub(super) async fn id(connection: &mut SqliteConnection) -> Result<String> {
    let id = sqlx::query_scalar("SELECT value FROM ledger_meta WHERE name = 'id'");
    id.fetch_optional(connection).await.map_err(driver_error)?.ok_or_else(codec::no_id)
}

pub(super) async fn create(connection: &mut SqliteConnection, order: &Order) -> Result<()> {
    let written = sqlx::query(
        "INSERT INTO orders (id, state, created, reason, plan, policy, providers, namespace)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(order.id.as_str())
    .bind(order.state.word())
    .bind(order.created.to_string())
    .bind(order.reason.as_deref())
    .bind(text(&order.plan)?)
    .bind(text(&order.policy)?)
    .bind(codec::providers(order.steps.iter().map(|step| &step.provider))?)
    .bind(order.namespace.as_ref().map(KeyNamespace::as_str))
    .execute(&mut *connection)
    .await
    .map_err(driver_error)?;
    if written.rows_affected() == 0 {
        return Err(LedgerError::Exists(order.id.clone()));
    }
    let mut batch = StatementBatch::default();
    for step in &order.steps {
        batch.put_step(&order.id, step, &StepTexts::new(step)?)?;
    }
    let mut head = ChainHead { count: 0, hash: GENESIS_HASH.to_owned() };
    let kind = codec::first_kind(order);
    batch.append_events(&order.id, &mut head, &[kind])?;
    batch
        .statement("UPDATE orders SET events = ?, head = ? WHERE id = ?")
        .bind(head.count.cast_signed())?
        .bind(head.hash)?
        .bind(order.id.as_str().to_owned())?;
    batch.run(connection).await.map(drop)
}

pub(super) async fn load(
    connection: &mut SqliteConnection,
    order: &OrderId,
    unknown: &UnknownFields,
) -> Result<Option<Order>> {
    let row = sqlx::query(
        "SELECT state, created, reason, plan, policy, rounds, namespace, cancelled, cancelled_at, cancelled_by
         FROM orders WHERE id = ?",
    )
    .bind(order.as_str())
    .fetch_optional(&mut *connection)
    .await
    .map_err(driver_error)?;
    let Some(row) = row else { return Ok(None) };
    let steps = sqlx::query("SELECT * FROM steps WHERE order_id = ? ORDER BY position")
        .bind(order.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(driver_error)?;
    let column = |name| row.try_get::<&str, _>(name).map_err(driver_error);
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
        steps: steps.iter().map(|row| step(row, order, unknown)).collect::<Result<_>>()?,
    }))
}

pub(super) async fn list(connection: &mut SqliteConnection, query: &OrderQuery) -> Result<Vec<OrderId>> {
    let limit = if query.limit == 0 { -1 } else { i64::from(query.limit) };
    let rows = sqlx::query(AssertSqlSafe(list_sql(query.is_unfinished)))
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind(limit)
        .bind(query.since_second())
        .fetch_all(connection)
        .await
        .map_err(driver_error)?;
    rows.iter().map(|row| order_id(row, "id")).collect()
}

fn list_sql(is_unfinished: bool) -> String {
    let (orders, unfinished) =
        if is_unfinished { (UNFINISHED_BY_INDEX, UNFINISHED) } else { ("orders", "TRUE") };
    format!(
        "SELECT id FROM {orders} WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR id < ?2) AND {unfinished}
         AND (?4 IS NULL OR substr(created, 1, 19) >= ?4)
         ORDER BY id DESC LIMIT ?3"
    )
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    claim: &Claim,
    change: &OrderUpdate,
    texts: &Texts,
) -> Result<WriteReceipt> {
    let row = row_under_claim(connection, claim).await?;
    let mut head = head(&row)?;
    let mut batch = StatementBatch::default();
    let (state, reason) = match &change.order {
        Some((state, reason)) => (Some(state.word()), reason.as_deref()),
        None => (None, None),
    };
    for (step, texts) in change.steps.iter().zip(&texts.steps) {
        batch.change_step(&claim.order, step, texts)?;
    }
    batch.append_events(&claim.order, &mut head, &changed_kinds(change))?;
    let providers = codec::more_providers(row.try_get("providers").map_err(driver_error)?, &change.steps)?;
    let is_cancelled = row.try_get("cancelled").map_err(driver_error)?;
    if state.is_none() && texts.plan.is_none() && providers.is_none() {
        // Most writes: of an order's row only the end of its chain, which no index has.
        batch
            .statement("UPDATE orders SET events = ?, head = ? WHERE id = ?")
            .bind(head.count.cast_signed())?
            .bind(head.hash)?
            .bind(claim.order.as_str().to_owned())?;
    } else {
        // An order that has come on is no longer one that fails.
        batch.statement(
            "UPDATE orders SET failed_drives = iif(coalesce(? = state, TRUE), failed_drives, 0),
                 next_try = iif(coalesce(? = state, TRUE), next_try, NULL),
                 state = coalesce(?, state), reason = coalesce(?, reason), plan = coalesce(?, plan),
                 rounds = coalesce(?, rounds), providers = coalesce(?, providers), events = ?, head = ? WHERE id = ?",
        )
        .bind(state.map(str::to_owned))?
        .bind(state.map(str::to_owned))?
        .bind(state.map(str::to_owned))?
        .bind(reason.map(str::to_owned))?
        .bind(texts.plan.as_ref().map(|(plan, _)| plan.clone()))?
        .bind(texts.plan.as_ref().map(|(_, rounds)| rounds.clone()))?
        .bind(providers)?
        .bind(head.count.cast_signed())?
        .bind(head.hash)?
        .bind(claim.order.as_str().to_owned())?;
    }
    if !batch.run(connection).await? {
        // A step was not there yet.
        let mut batch = StatementBatch::default();
        for (step, texts) in change.steps.iter().zip(&texts.steps) {
            batch.put_step(&claim.order, step, texts)?;
        }
        batch.run(connection).await?;
    }
    Ok(WriteReceipt { is_cancelled })
}

/// An order's row, if the claim is the newest: this is where the fencing token is checked.
async fn row_under_claim(connection: &mut SqliteConnection, claim: &Claim) -> Result<SqliteRow> {
    sqlx::query(
        "SELECT events, head, cancelled, providers, failed_drives FROM orders WHERE id = ? AND claim_token = ?",
    )
    .bind(claim.order.as_str())
    .bind(token(claim))
    .fetch_optional(connection)
    .await
    .map_err(driver_error)?
    .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))
}

pub(super) async fn record_failed_drive(
    connection: &mut SqliteConnection,
    claim: &Claim,
    reason: &str,
    next_try: Timestamp,
) -> Result<u32> {
    let row = row_under_claim(connection, claim).await?;
    let count = row.try_get::<u32, _>("failed_drives").map_err(driver_error)?.saturating_add(1);
    let (mut head, mut batch) = (head(&row)?, StatementBatch::default());
    let kind = OrderEventKind::DriveFailed { reason: reason.to_owned(), count };
    batch.append_events(&claim.order, &mut head, &[kind])?;
    batch
        .statement("UPDATE orders SET failed_drives = ?, next_try = ?, events = ?, head = ? WHERE id = ?")
        .bind(i64::from(count))?
        .bind(sortable_time(next_try))?
        .bind(head.count.cast_signed())?
        .bind(head.hash)?
        .bind(claim.order.as_str().to_owned())?;
    batch.run(connection).await?;
    Ok(count)
}

pub(super) async fn request_cancel(
    connection: &mut SqliteConnection,
    order: &OrderId,
    by: Option<&Operator>,
) -> Result<()> {
    let row = sqlx::query("SELECT state, events, head, cancelled_at FROM orders WHERE id = ?")
        .bind(order.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(driver_error)?
        .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let noted: Option<&str> = row.try_get("cancelled_at").map_err(driver_error)?;
    if noted.is_some() || state(&row)?.is_over() {
        return Ok(());
    }
    let (mut head, mut batch) = (head(&row)?, StatementBatch::default());
    batch.append_events(order, &mut head, &[OrderEventKind::CancellationRequested { by: by.cloned() }])?;
    batch.statement(
        "UPDATE orders SET cancelled = 1, cancelled_at = ?, cancelled_by = ?, events = ?, head = ? WHERE id = ?",
    )
    .bind(Timestamp::now().to_string())?
    .bind(by.map(text).transpose()?)?
    .bind(head.count.cast_signed())?
    .bind(head.hash)?
    .bind(order.as_str().to_owned())?;
    batch.run(connection).await.map(drop)
}

pub(super) async fn is_cancelled(connection: &mut SqliteConnection, order: &OrderId) -> Result<bool> {
    let row = sqlx::query("SELECT cancelled FROM orders WHERE id = ?")
        .bind(order.as_str())
        .fetch_optional(connection)
        .await
        .map_err(driver_error)?;
    row.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?.try_get(0).map_err(driver_error)
}

fn step(row: &SqliteRow, order: &OrderId, unknown: &UnknownFields) -> Result<Step> {
    let column = |name: &str| row.try_get::<&str, _>(name).map_err(driver_error);
    let index = row.try_get("position").map_err(driver_error)?;
    codec::step(
        unknown,
        order,
        index,
        [column("step_key")?, column("provider")?, column("lease")?, column("state")?, column("attempts")?],
    )
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;
    use crate::ledger::sqlite::{claims::claim_next_sql, schema};

    #[tokio::test]
    async fn work_is_found_by_the_index_of_unfinished_orders() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("connected");
        schema::prepare(&mut connection).await.expect("made");
        for sql in [claim_next_sql(), list_sql(true)] {
            let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut connection)
                .await
                .expect("explained");
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|line| line.contains("INDEX orders_unfinished")), "{sql}: {plan:#?}");
            assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}: {plan:#?}");
        }
    }
}
