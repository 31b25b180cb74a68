//! What the ledger asks of SQLite: each on a connection that is in a transaction. Errors other than of the store come
//! before anything is changed.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{
    Arguments, AssertSqlSafe, Encode, Row, Sqlite, SqliteConnection, Type,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::error::store;
use crate::{
    ledger::{
        Change, Claim, LedgerError, OrderQuery, Result, Written,
        chain::{Head, START},
        kept::{Column, Kept, StepTexts, Texts},
        stored::{self, UNFINISHED, changed_kinds, text, token},
    },
    model::{
        KeyNamespace, Operator, Order, OrderEvent, OrderEventKind, OrderId, OrderState, ProviderId, Step,
    },
};

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp> {
    stored::time(row.try_get(column).map_err(store)?, column)
}

fn after(now: Timestamp, lease: Duration) -> Timestamp {
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

/// Statements that go to SQLite in one trip: the way to its thread and back takes longer than most of them.
#[derive(Default)]
struct Trip {
    sql: String,
    values: SqliteArguments,
    statements: usize,
}

/// Statements of one trip whose prepared form is kept; longer ones are rare, and seldom alike.
const KEPT: usize = 24;

impl Trip {
    fn statement(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.statements += 1;
        self
    }

    fn bind<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) -> Result<&mut Self> {
        Arguments::add(&mut self.values, value).map_err(store)?;
        Ok(self)
    }

    /// Whether each statement found its row.
    async fn run(self, connection: &mut SqliteConnection) -> Result<bool> {
        // Pieces of this file, without a value in them.
        let query =
            sqlx::query_with(AssertSqlSafe(self.sql), self.values).persistent(self.statements <= KEPT);
        let written = query.execute(connection).await.map_err(store)?;
        Ok(usize::try_from(written.rows_affected()) == Ok(self.statements))
    }

    /// Appends events to an order's chain.
    fn tell(&mut self, order: &OrderId, head: &mut Head, kinds: &[OrderEventKind]) -> Result<()> {
        for kind in kinds {
            let link = head.append(order, Timestamp::now(), kind)?;
            self.statement("INSERT INTO events (order_id, number, at, kind, hash) VALUES (?, ?, ?, ?, ?)")
                .bind(order.as_str().to_owned())?
                .bind(link.number.cast_signed())?
                .bind(link.at)?
                .bind(link.kind)?
                .bind(link.hash)?;
        }
        Ok(())
    }

    /// A step that may be new.
    fn put_step(&mut self, order: &OrderId, step: &Step, texts: &StepTexts) -> Result<()> {
        self.statement(
            "INSERT INTO steps (order_id, position, step_key, provider, lease, state, attempts) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (order_id, position) DO UPDATE SET lease = excluded.lease, state = excluded.state,
                 attempts = excluded.attempts",
        )
        .bind(order.as_str().to_owned())?
        .bind(i64::from(step.index))?
        .bind(step.key.as_str().to_owned())?
        .bind(step.provider.as_str().to_owned())?
        .bind(texts.lease.clone())?
        .bind(texts.state.clone())?
        .bind(texts.attempts.clone())?;
        Ok(())
    }

    /// A step that is there already, as most are: its indexes stay as they are.
    fn change_step(&mut self, order: &OrderId, step: &Step, texts: &StepTexts) -> Result<()> {
        self.statement(
            "UPDATE steps SET lease = ?, state = ?, attempts = ? WHERE order_id = ? AND position = ?",
        )
        .bind(texts.lease.clone())?
        .bind(texts.state.clone())?
        .bind(texts.attempts.clone())?
        .bind(order.as_str().to_owned())?
        .bind(i64::from(step.index))?;
        Ok(())
    }
}

/// The ledger's name for ever.
pub(super) async fn id(connection: &mut SqliteConnection) -> Result<String> {
    let id = sqlx::query_scalar("SELECT value FROM ledger_meta WHERE name = 'id'");
    id.fetch_optional(connection).await.map_err(store)?.ok_or_else(stored::no_id)
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
    .bind(stored::providers(order.steps.iter().map(|step| &step.provider))?)
    .bind(order.namespace.as_ref().map(KeyNamespace::as_str))
    .execute(&mut *connection)
    .await
    .map_err(store)?;
    if written.rows_affected() == 0 {
        return Err(LedgerError::Exists(order.id.clone()));
    }
    let mut trip = Trip::default();
    for step in &order.steps {
        trip.put_step(&order.id, step, &StepTexts::new(step)?)?;
    }
    let mut head = Head { count: 0, hash: START.to_owned() };
    let kind = stored::first_kind(order);
    trip.tell(&order.id, &mut head, &[kind])?;
    trip.statement("UPDATE orders SET events = ?, head = ? WHERE id = ?")
        .bind(head.count.cast_signed())?
        .bind(head.hash)?
        .bind(order.id.as_str().to_owned())?;
    trip.run(connection).await.map(drop)
}

pub(super) async fn load(
    connection: &mut SqliteConnection,
    order: &OrderId,
    kept: &Kept,
) -> Result<Option<Order>> {
    let row = sqlx::query(
        "SELECT state, created, reason, plan, policy, rounds, namespace, cancelled, cancelled_at, cancelled_by
         FROM orders WHERE id = ?",
    )
    .bind(order.as_str())
    .fetch_optional(&mut *connection)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(None) };
    let steps = sqlx::query("SELECT * FROM steps WHERE order_id = ? ORDER BY position")
        .bind(order.as_str())
        .fetch_all(&mut *connection)
        .await
        .map_err(store)?;
    let column = |name| row.try_get::<&str, _>(name).map_err(store);
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
        steps: steps.iter().map(|row| step(row, order, kept)).collect::<Result<_>>()?,
    }))
}

pub(super) async fn list(connection: &mut SqliteConnection, query: &OrderQuery) -> Result<Vec<OrderId>> {
    let limit = if query.limit == 0 { -1 } else { i64::from(query.limit) };
    let rows = sqlx::query(AssertSqlSafe(list_sql(query.is_unfinished)))
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(store)?;
    rows.iter().map(|row| order_id(row, "id")).collect()
}

pub(super) async fn claim(
    connection: &mut SqliteConnection,
    order: &OrderId,
    owner: &str,
    lease: Duration,
) -> Result<Claim> {
    let now = Timestamp::now();
    let row =
        sqlx::query("SELECT id, claim_owner, claim_token, claim_since, claim_until FROM orders WHERE id = ?")
            .bind(order.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(store)?
            .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let holder: Option<String> = row.try_get("claim_owner").map_err(store)?;
    if let Some(holder) = holder {
        let mut until = time(&row, "claim_until")?;
        if since(&row)?.is_some_and(|since| since > now) {
            until = wind_back(connection, &row, now).await?;
        }
        if until > now {
            return Err(LedgerError::Claimed { order: order.clone(), owner: holder, until });
        }
    }
    let token = row.try_get::<i64, _>("claim_token").map_err(store)? + 1;
    let until = after(now, lease);
    sqlx::query(
        "UPDATE orders SET claim_owner = ?, claim_token = ?, claim_since = ?, claim_until = ? WHERE id = ?",
    )
    .bind(owner)
    .bind(token)
    .bind(moment(now))
    .bind(moment(until))
    .bind(order.as_str())
    .execute(&mut *connection)
    .await
    .map_err(store)?;
    Ok(Claim { order: order.clone(), token: token.unsigned_abs(), until })
}

/// Finished orders are many: what waits is found without passing them by. SQLite would rather look through all committed
/// ones.
const BY_WORK: &str = "orders INDEXED BY orders_unfinished";

fn claim_next_sql() -> String {
    format!(
        "UPDATE orders SET claim_owner = ?1, claim_token = claim_token + 1, claim_since = ?3, claim_until = ?2
         WHERE id IN (SELECT id FROM {BY_WORK} WHERE {UNFINISHED}
                      AND (claim_owner IS NULL OR claim_until <= ?3)
                      AND (next_try IS NULL OR next_try <= ?3 OR next_try > ?6)
                      AND NOT EXISTS (SELECT 1 FROM json_each(orders.providers)
                                      WHERE value NOT IN (SELECT value FROM json_each(?5)))
                      ORDER BY id LIMIT ?4)
         RETURNING id, claim_token"
    )
}

fn list_sql(is_unfinished: bool) -> String {
    let (orders, unfinished) = if is_unfinished { (BY_WORK, UNFINISHED) } else { ("orders", "TRUE") };
    format!(
        "SELECT id FROM {orders} WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR id < ?2) AND {unfinished}
         ORDER BY id DESC LIMIT ?3"
    )
}

pub(super) async fn claim_next(
    connection: &mut SqliteConnection,
    owner: &str,
    lease: Duration,
    limit: u32,
    providers: &[ProviderId],
) -> Result<Vec<Claim>> {
    let now = Timestamp::now();
    let until = after(now, lease);
    // Times are compared as text: RFC 3339 in UTC, to a fixed number of digits.
    let rows = sqlx::query(AssertSqlSafe(claim_next_sql()))
        .bind(owner)
        .bind(moment(until))
        .bind(moment(now))
        .bind(i64::from(limit))
        .bind(stored::providers(providers)?)
        .bind(moment(after(now, stored::MOST_PUT_OFF)))
        .fetch_all(&mut *connection)
        .await
        .map_err(store)?;
    if rows.is_empty() {
        wind_all_back(connection, now).await?;
    }
    rows.iter()
        .map(|row| {
            let token = row.try_get::<i64, _>("claim_token").map_err(store)?;
            Ok(Claim { order: order_id(row, "id")?, token: token.unsigned_abs(), until })
        })
        .collect()
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    claim: &Claim,
    lease: Duration,
) -> Result<Claim> {
    let until = after(Timestamp::now(), lease);
    update_claim(connection, claim, Some(until)).await?;
    Ok(Claim { until, ..claim.clone() })
}

pub(super) async fn write(
    connection: &mut SqliteConnection,
    claim: &Claim,
    change: &Change,
    texts: &Texts,
) -> Result<Written> {
    let row = claimed(connection, claim).await?;
    let mut head = head(&row)?;
    let mut trip = Trip::default();
    let (state, reason) = match &change.order {
        Some((state, reason)) => (Some(state.word()), reason.as_deref()),
        None => (None, None),
    };
    for (step, texts) in change.steps.iter().zip(&texts.steps) {
        trip.change_step(&claim.order, step, texts)?;
    }
    trip.tell(&claim.order, &mut head, &changed_kinds(change))?;
    let providers = stored::more_providers(row.try_get("providers").map_err(store)?, &change.steps)?;
    let is_cancelled = row.try_get("cancelled").map_err(store)?;
    if state.is_none() && texts.plan.is_none() && providers.is_none() {
        // Most writes: of an order's row only the end of its chain, which no index has.
        trip.statement("UPDATE orders SET events = ?, head = ? WHERE id = ?")
            .bind(head.count.cast_signed())?
            .bind(head.hash)?
            .bind(claim.order.as_str().to_owned())?;
    } else {
        // An order that has come on is no longer one that fails.
        trip.statement(
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
    if !trip.run(connection).await? {
        // A step was not there yet.
        let mut trip = Trip::default();
        for (step, texts) in change.steps.iter().zip(&texts.steps) {
            trip.put_step(&claim.order, step, texts)?;
        }
        trip.run(connection).await?;
    }
    Ok(Written { is_cancelled })
}

/// An order's row, if the claim is the newest: this is where the fencing token is checked.
async fn claimed(connection: &mut SqliteConnection, claim: &Claim) -> Result<SqliteRow> {
    sqlx::query(
        "SELECT events, head, cancelled, providers, failed_drives FROM orders WHERE id = ? AND claim_token = ?",
    )
    .bind(claim.order.as_str())
    .bind(token(claim))
    .fetch_optional(connection)
    .await
    .map_err(store)?
    .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))
}

fn head(row: &SqliteRow) -> Result<Head> {
    Ok(Head {
        count: row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs(),
        hash: row.try_get("head").map_err(store)?,
    })
}

pub(super) async fn note_failed_drive(
    connection: &mut SqliteConnection,
    claim: &Claim,
    reason: &str,
    next_try: Timestamp,
) -> Result<u32> {
    let row = claimed(connection, claim).await?;
    let count = row.try_get::<u32, _>("failed_drives").map_err(store)?.saturating_add(1);
    let (mut head, mut trip) = (head(&row)?, Trip::default());
    let kind = OrderEventKind::DriveFailed { reason: reason.to_owned(), count };
    trip.tell(&claim.order, &mut head, &[kind])?;
    trip.statement("UPDATE orders SET failed_drives = ?, next_try = ?, events = ?, head = ? WHERE id = ?")
        .bind(i64::from(count))?
        .bind(moment(next_try))?
        .bind(head.count.cast_signed())?
        .bind(head.hash)?
        .bind(claim.order.as_str().to_owned())?;
    trip.run(connection).await?;
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
        .map_err(store)?
        .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    let noted: Option<&str> = row.try_get("cancelled_at").map_err(store)?;
    if noted.is_some() || state(&row)?.is_over() {
        return Ok(());
    }
    let (mut head, mut trip) = (head(&row)?, Trip::default());
    trip.tell(order, &mut head, &[OrderEventKind::CancellationRequested { by: by.cloned() }])?;
    trip.statement(
        "UPDATE orders SET cancelled = 1, cancelled_at = ?, cancelled_by = ?, events = ?, head = ? WHERE id = ?",
    )
    .bind(Timestamp::now().to_string())?
    .bind(by.map(text).transpose()?)?
    .bind(head.count.cast_signed())?
    .bind(head.hash)?
    .bind(order.as_str().to_owned())?;
    trip.run(connection).await.map(drop)
}

pub(super) async fn is_cancelled(connection: &mut SqliteConnection, order: &OrderId) -> Result<bool> {
    let row = sqlx::query("SELECT cancelled FROM orders WHERE id = ?")
        .bind(order.as_str())
        .fetch_optional(connection)
        .await
        .map_err(store)?;
    row.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?.try_get(0).map_err(store)
}

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
    let rows = query.bind(after).bind(i64::from(limit)).fetch_all(connection).await.map_err(store)?;
    rows.iter()
        .map(|row| {
            Ok(OrderEvent {
                sequence: row.try_get::<i64, _>("sequence").map_err(store)?.unsigned_abs(),
                number: row.try_get::<i64, _>("number").map_err(store)?.unsigned_abs(),
                order: order_id(row, "order_id")?,
                at: time(row, "at")?,
                kind: stored::kind(row.try_get("kind").map_err(store)?)?,
                hash: row.try_get("hash").map_err(store)?,
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
        .map_err(store)?;
    let head = head.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
    Ok((head, events(connection, 0, Some(order), u32::MAX).await?))
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
    .bind(until.map(moment))
    .bind(claim.order.as_str())
    .bind(token(claim))
    .bind(moment(Timestamp::now()))
    .execute(connection)
    .await
    .map_err(store)?;
    if written.rows_affected() == 0 { Err(LedgerError::Fenced(claim.order.clone())) } else { Ok(()) }
}

fn since(row: &SqliteRow) -> Result<Option<Timestamp>> {
    let since: Option<&str> = row.try_get("claim_since").map_err(store)?;
    since.map(|text| stored::time(text, "claim_since")).transpose()
}

/// A claim that begins in the future is of a time before the clock was set back. It begins now instead and lasts as long
/// as it did: its holder may be alive, and has it for no longer than that by its own clock.
async fn wind_back(connection: &mut SqliteConnection, row: &SqliteRow, now: Timestamp) -> Result<Timestamp> {
    let lease = time(row, "claim_until")?.duration_since(since(row)?.unwrap_or(now)).unsigned_abs();
    let until = after(now, lease);
    sqlx::query("UPDATE orders SET claim_since = ?, claim_until = ? WHERE id = ?")
        .bind(moment(now))
        .bind(moment(until))
        .bind(row.try_get::<&str, _>("id").map_err(store)?)
        .execute(connection)
        .await
        .map_err(store)?;
    Ok(until)
}

/// The same for all unfinished orders.
async fn wind_all_back(connection: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT id, claim_since, claim_until FROM {BY_WORK}
         WHERE {UNFINISHED} AND claim_owner IS NOT NULL AND claim_since > ?"
    )))
    .bind(moment(now))
    .fetch_all(&mut *connection)
    .await
    .map_err(store)?;
    for row in &rows {
        wind_back(connection, row, now).await?;
    }
    Ok(())
}

/// A time as text that sorts as times do: the same number of digits always.
pub(super) fn moment(at: Timestamp) -> String {
    format!("{at:.9}")
}

fn order_id(row: &SqliteRow, column: &str) -> Result<OrderId> {
    stored::order_id(row.try_get(column).map_err(store)?)
}

fn state(row: &SqliteRow) -> Result<OrderState> {
    stored::state(row.try_get("state").map_err(store)?)
}

fn step(row: &SqliteRow, order: &OrderId, kept: &Kept) -> Result<Step> {
    let column = |name: &str| row.try_get::<&str, _>(name).map_err(store);
    let index = row.try_get("position").map_err(store)?;
    stored::step(
        kept,
        order,
        index,
        [column("step_key")?, column("provider")?, column("lease")?, column("state")?, column("attempts")?],
    )
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;
    use crate::ledger::sqlite::schema;

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
