//! The ledger of many hosts: a PostgreSQL database.
//!
//! Claims are compared with the database's clock, so that hosts whose clocks differ agree. What is used besides plain
//! SQL: `SKIP LOCKED`, `unnest`, one trigger, advisory locks and `LISTEN`/`NOTIFY`.

mod batch;
mod gate;
mod retain;

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, Row, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgRow},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    Change, Claim, Gate, Ledger, LedgerError, OrderQuery, Result, Written,
    chain::{Head, START},
    kept::{Column, Kept, StepTexts},
    migrations,
    stored::{self, UNFINISHED, parsed, store, text, token, verified},
};
use batch::{Failure, Job};

use crate::model::{
    KeyNamespace, Operator, Order, OrderEvent, OrderEventKind, OrderId, OrderState, ProviderId, ServiceId,
};

/// What is listened to: new orders, cancellations and new states of orders. Not steps: a transaction that notifies
/// holds a lock of the whole server while it commits, so steps would wait for each other.
const CHANNEL: &str = "fulcrum_orders";

/// An advisory lock that writers of events share until they commit. A reader of all events takes it alone for a
/// moment: what is numbered below what it sees then is committed or gone, so no event appears behind it later.
const EVENTS_LOCK: i64 = 0x6675_6c63_7275_6d01;

/// A ledger that many hosts share.
pub struct PostgresLedger {
    pool: PgPool,
    changes: watch::Sender<u64>,
    queue: mpsc::UnboundedSender<Job>,
    listener: JoinHandle<()>,
    id: Arc<str>,
    kept: Arc<Kept>,
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}

impl Drop for PostgresLedger {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl PostgresLedger {
    /// Opens a database by its URL, `postgresql://user@host/database`, and makes or updates its tables. What the URL
    /// does not say comes from `PGHOST`, `PGPASSWORD` and the like, or from the password file.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: the URL is wrong, the database cannot be reached or used, or was written by a newer
    /// version.
    pub async fn open(url: &str) -> Result<Self> {
        Self::with_connections(url, 16).await
    }

    /// The same with so many connections at most.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn with_connections(url: &str, most: u32) -> Result<Self> {
        let options = options(url)?.application_name("fulcrum");
        // The pool would try until its time is over and then not say why; what passes, as a server that is starting, is
        // left to it.
        let first = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
        match first.map_err(|_| store(format!("no PostgreSQL server answered in {PATIENCE:?}")))? {
            Ok(connection) => connection.close().await.map_err(store)?,
            Err(sqlx::Error::Database(error)) if error.is_transient_in_connect_phase() => {}
            Err(error) => return Err(store(format!("PostgreSQL: {error}"))),
        }
        let pool = PgPoolOptions::new().max_connections(most.max(1)).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await.map_err(store)?;
        migrations::postgres().run(&pool).await.map_err(store)?;
        let id = sqlx::query_scalar("SELECT value FROM ledger_meta WHERE name = 'id'");
        let id: Option<String> = id.fetch_optional(&pool).await.map_err(store)?;
        let id = id.ok_or_else(stored::no_id)?.into();
        let changes = watch::Sender::new(0);
        let mut listener = PgListener::connect_with(&pool).await.map_err(store)?;
        listener.listen(CHANNEL).await.map_err(store)?;
        let listener = tokio::spawn(listen(listener, changes.clone()));
        let (queue, jobs) = mpsc::unbounded_channel();
        tokio::spawn(batch::serve(pool.clone(), jobs, changes.clone()));
        Ok(Self { pool, changes, queue, listener, id, kept: Arc::default() })
    }

    async fn update_claim(&self, claim: &Claim, lease: Option<Duration>) -> Result<Timestamp> {
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
        .fetch_optional(&self.pool)
        .await
        .map_err(store)?
        .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
        Ok(until(&row)?.unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a URL says. An error of the driver would quote the URL, and with it a password.
fn options(url: &str) -> Result<PgConnectOptions> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    known.then(|| PgConnectOptions::from_str(url).ok()).flatten().ok_or_else(|| {
        store("the URL of the PostgreSQL ledger makes no sense; write postgresql://user@host/database")
    })
}

/// Passes on what other hosts tell, for ever. The listener connects again by itself.
async fn listen(mut listener: PgListener, changes: watch::Sender<u64>) {
    loop {
        match listener.try_recv().await {
            // Nothing: the connection was lost, and what was told in between with it.
            Ok(_) => changes.send_modify(|count| *count += 1),
            Err(error) => {
                tracing::debug!(%error, "not listening to other hosts; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
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

/// Runs a transaction to its end even if nobody waits for it any more: a connection whose caller is dropped while it
/// begins would go back to the pool with the transaction open.
async fn unbroken<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.unwrap_or_else(|error| Err(store(error)))
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

async fn commit(transaction: Transaction<'static, Postgres>, changes: &watch::Sender<u64>) -> Result<()> {
    transaction.commit().await.map_err(store)?;
    changes.send_modify(|count| *count += 1);
    Ok(())
}

/// Events up to a number that nothing can appear below any more.
async fn settled(pool: &PgPool) -> Result<i64> {
    let mut transaction = pool.begin().await.map_err(store)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(EVENTS_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(store)?;
    let last = sqlx::query_scalar("SELECT coalesce(max(sequence), 0) FROM events")
        .fetch_one(&mut *transaction)
        .await
        .map_err(store)?;
    transaction.commit().await.map_err(store)?;
    Ok(last)
}

async fn create(pool: &PgPool, changes: &watch::Sender<u64>, order: &Order) -> Result<()> {
    let mut transaction = pool.begin().await.map_err(store)?;
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind(EVENTS_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(store)?;
    let written = sqlx::query(
        "INSERT INTO orders (id, state, created, reason, plan, policy, providers, namespace)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(order.id.as_str())
    .bind(order.state.word())
    .bind(order.created.to_string())
    .bind(order.reason.as_deref())
    .bind(text(&order.plan)?)
    .bind(text(&order.policy)?)
    .bind(stored::providers(order.steps.iter().map(|step| &step.provider))?)
    .bind(order.namespace.as_ref().map(KeyNamespace::as_str))
    .execute(&mut *transaction)
    .await
    .map_err(store)?;
    if written.rows_affected() == 0 {
        return Err(LedgerError::Exists(order.id.clone()));
    }
    let texts = order.steps.iter().map(StepTexts::new).collect::<Result<Vec<_>>>()?;
    let steps: Vec<_> =
        order.steps.iter().zip(&texts).map(|(step, texts)| (&order.id, step, texts)).collect();
    batch::put_steps(&mut transaction, &steps).await.map_err(Failure::into_error)?;
    let mut head = Head { count: 0, hash: START.to_owned() };
    let kind = stored::first_kind(order);
    let link = head.append(&order.id, Timestamp::now(), &kind)?;
    batch::tell(&mut transaction, &[(&order.id, link)]).await.map_err(Failure::into_error)?;
    sqlx::query("UPDATE orders SET events = $1, head = $2 WHERE id = $3")
        .bind(head.count.cast_signed())
        .bind(&head.hash)
        .bind(order.id.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(store)?;
    notify(&mut transaction, &order.id).await?;
    commit(transaction, changes).await
}

async fn claim(pool: &PgPool, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
    let mut transaction = pool.begin().await.map_err(store)?;
    let taken = sqlx::query(
        "UPDATE orders SET claim_owner = $1, claim_token = claim_token + 1, claim_since = clock_timestamp(),
             claim_until = clock_timestamp() + $2 * interval '1 microsecond'
         WHERE id = $3 AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
         RETURNING claim_token, (extract(epoch FROM claim_until) * 1000000)::bigint AS until",
    )
    .bind(owner)
    .bind(micros(lease))
    .bind(order.as_str())
    .fetch_optional(&mut *transaction)
    .await
    .map_err(store)?;
    if let Some(row) = taken {
        transaction.commit().await.map_err(store)?;
        return claimed(&row, order.clone());
    }
    transaction.commit().await.map_err(store)?;
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
    // Let go in between: then the caller may ask again at once.
    let (owner, until) = (owner.unwrap_or_default(), until(&row)?.unwrap_or(Timestamp::UNIX_EPOCH));
    Err(LedgerError::Claimed { order: order.clone(), owner, until })
}

/// An order's row, locked, with the end of its chain.
async fn locked(
    transaction: &mut Transaction<'static, Postgres>,
    order: &OrderId,
) -> Result<Option<(PgRow, Head)>> {
    let row = sqlx::query(
        "SELECT state, claim_token, events, head, cancelled_at, failed_drives, pg_advisory_xact_lock_shared($2)
         FROM orders WHERE id = $1 FOR UPDATE",
    )
    .bind(order.as_str())
    .bind(EVENTS_LOCK)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(store)?;
    let Some(row) = row else { return Ok(None) };
    let count = row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs();
    let head = Head { count, hash: row.try_get("head").map_err(store)? };
    Ok(Some((row, head)))
}

async fn request_cancel(
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
        return Ok(());
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

async fn note_failed_drive(
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
        return Err(fenced());
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

#[async_trait]
impl Ledger for PostgresLedger {
    fn id(&self) -> &str {
        &self.id
    }

    async fn create(&self, order: &Order) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        unbroken(async move { create(&pool, &changes, &order).await }).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        // One statement, so that the order and its steps are of one moment.
        let row = sqlx::query(
            "SELECT state, created, reason, plan, policy, rounds, namespace, cancelled, cancelled_at, cancelled_by,
                 (SELECT coalesce(json_agg(json_build_array(step_key, provider, lease, state, attempts)
                                           ORDER BY position), '[]')::text
                  FROM steps WHERE order_id = orders.id) AS steps
             FROM orders WHERE id = $1",
        )
        .bind(order.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(store)?;
        let Some(row) = row else { return Ok(None) };
        // Positions count from 0 without gaps.
        let column = |name| row.try_get::<&str, _>(name).map_err(store);
        let steps: Vec<[String; 5]> = parsed(column("steps")?, "steps")?;
        let kept = &self.kept;
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

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        let unfinished = if query.is_unfinished { UNFINISHED } else { "TRUE" };
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT id FROM orders WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR id < $2)
             AND {unfinished} ORDER BY id DESC LIMIT $3"
        )))
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind((query.limit != 0).then_some(i64::from(query.limit)))
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        rows.iter().map(|row| order_id(row, "id")).collect()
    }

    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        let (pool, order, owner) = (self.pool.clone(), order.clone(), owner.to_owned());
        unbroken(async move { claim(&pool, &order, &owner, lease).await }).await
    }

    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "WITH next AS (
                 SELECT id FROM orders WHERE {UNFINISHED}
                 AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
                 AND (next_try IS NULL OR next_try <= clock_timestamp())
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
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        if rows.is_empty() {
            wind_back(&self.pool, None).await?;
        }
        rows.iter().map(|row| claimed(row, order_id(row, "id")?)).collect()
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim> {
        let until = self.update_claim(claim, Some(lease)).await?;
        Ok(Claim { until, ..claim.clone() })
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.update_claim(claim, None).await.map(|_| ())
    }

    async fn write(&self, claim: &Claim, change: &Change) -> Result<Written> {
        let (asker, answer) = oneshot::channel();
        let ended = || LedgerError::Store("the runtime in which the ledger was opened has ended".to_owned());
        let texts = self.kept.texts(&claim.order, change)?;
        let job = Job { claim: claim.clone(), change: change.clone(), texts, asker };
        let began = Instant::now();
        self.queue.send(job).map_err(|_| ended())?;
        let written = answer.await.unwrap_or_else(|_| Err(ended()))?;
        crate::telemetry::written(began);
        Ok(written)
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        let by = by.cloned();
        unbroken(async move { request_cancel(&pool, &changes, &order, by.as_ref()).await }).await
    }

    async fn note_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let wait = Duration::try_from(next_try.duration_since(Timestamp::now())).unwrap_or_default();
        let (pool, changes, claim) = (self.pool.clone(), self.changes.clone(), claim.clone());
        let reason = reason.to_owned();
        unbroken(async move { note_failed_drive(&pool, &changes, &claim, &reason, wait).await }).await
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        let cancelled = sqlx::query_scalar("SELECT cancelled FROM orders WHERE id = $1")
            .bind(order.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(store)?;
        cancelled.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let pool = self.pool.clone();
        let last = if order.is_none() { unbroken(async move { settled(&pool).await }).await? } else { 0 };
        let query = match order {
            // Those of one order are written one transaction after the other: nothing appears behind. By the order's
            // own index, however many events the ledger has.
            Some(order) => sqlx::query(
                "SELECT sequence, number, order_id, at, kind, hash FROM events
                 WHERE sequence > $1 AND order_id = $3 ORDER BY number LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .bind(order.as_str()),
            None => sqlx::query(
                "SELECT sequence, number, order_id, at, kind, hash FROM events
                 WHERE sequence > $1 AND sequence <= $3 ORDER BY sequence LIMIT $2",
            )
            .bind(after)
            .bind(i64::from(limit))
            .bind(last),
        };
        let rows = query.fetch_all(&self.pool).await.map_err(store)?;
        rows.iter().map(read_event).collect()
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        let head: Option<String> = sqlx::query_scalar("SELECT head FROM orders WHERE id = $1")
            .bind(order.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(store)?;
        let head = head.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
        let events = self.events(0, Some(order), u32::MAX).await?;
        verified(order, &head, &events)
    }

    async fn forget(&self, order: &OrderId, before: Timestamp) -> Result<bool> {
        let (pool, kept, order) = (self.pool.clone(), self.kept.clone(), order.clone());
        unbroken(async move {
            let is_gone = retain::forget(&pool, &order, before).await?;
            if is_gone {
                kept.forget(&order);
            }
            Ok(is_gone)
        })
        .await
    }

    async fn cursor(&self, name: &str) -> Result<u64> {
        retain::cursor(&self.pool, name).await
    }

    async fn advance(&self, name: &str, sequence: u64) -> Result<u64> {
        retain::advance(&self.pool, name, sequence).await
    }

    async fn drop_cursor(&self, name: &str) -> Result<bool> {
        retain::drop_cursor(&self.pool, name).await
    }

    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> Result<Gate> {
        gate::enter(&self.pool, name, claim, step, instead_of).await
    }

    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        gate::note(&self.pool, name, claim, step, note).await
    }

    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        gate::leave(&self.pool, name, claim, step).await
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        gate::services_at(&self.pool, provider).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn read_event(row: &PgRow) -> Result<OrderEvent> {
    let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(store);
    Ok(OrderEvent {
        sequence: count("sequence")?,
        number: count("number")?,
        order: order_id(row, "order_id")?,
        at: time(row, "at")?,
        kind: stored::kind(row.try_get("kind").map_err(store)?)?,
        hash: row.try_get("hash").map_err(store)?,
    })
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
