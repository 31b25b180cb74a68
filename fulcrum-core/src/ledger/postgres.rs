//! The ledger of many hosts: a PostgreSQL database.
//!
//! Claims are compared with the database's clock, so that hosts whose clocks differ agree. What is used besides plain
//! SQL: `SKIP LOCKED`, `unnest`, one trigger, advisory locks and `LISTEN`/`NOTIFY`.

use std::{fmt, str::FromStr, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{
    PgPool, Postgres, Row, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgRow},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Change, Claim, Ledger, LedgerError, OrderQuery, Result,
    chain::{Head, Link, START},
    stored::{self, changed_kinds, parsed, store, text, token, verified},
};
use crate::model::{Order, OrderEvent, OrderEventKind, OrderId, OrderState, Step};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/ledger/migrations/postgres");

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
    listener: JoinHandle<()>,
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
        // The error would quote the URL, and with it a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            LedgerError::Store(
                "the URL of the PostgreSQL ledger makes no sense; write postgresql://user@host/database"
                    .into(),
            )
        })?;
        let options = options.application_name("fulcrum");
        let pool = PgPoolOptions::new().max_connections(most.max(1)).acquire_timeout(Duration::from_secs(30));
        let pool = pool.connect_with(options).await.map_err(store)?;
        MIGRATIONS.run(&pool).await.map_err(store)?;
        let changes = watch::Sender::new(0);
        let mut listener = PgListener::connect_with(&pool).await.map_err(store)?;
        listener.listen(CHANNEL).await.map_err(store)?;
        let listener = tokio::spawn(listen(listener, changes.clone()));
        Ok(Self { pool, changes, listener })
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        self.pool.begin().await.map_err(store)
    }

    async fn commit(&self, transaction: Transaction<'static, Postgres>) -> Result<()> {
        transaction.commit().await.map_err(store)?;
        self.changes.send_modify(|count| *count += 1);
        Ok(())
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

    /// A claim that begins in the future is of a time before the database's clock was set back, or of another machine's. It
    /// begins now instead and lasts as long as it did: its holder may be alive, and has it for no longer than that by
    /// its own clock.
    async fn wind_back(&self, order: Option<&OrderId>) -> Result<()> {
        sqlx::query(
            "WITH early AS (
                 SELECT id FROM orders
                 WHERE (id = $1 OR $1 IS NULL AND state IN ('accepted', 'provisioning', 'compensating'))
                 AND claim_owner IS NOT NULL AND claim_since > clock_timestamp() FOR UPDATE SKIP LOCKED)
             UPDATE orders SET claim_since = clock_timestamp(),
                 claim_until = clock_timestamp() + (claim_until - claim_since)
             FROM early WHERE orders.id = early.id",
        )
        .bind(order.map(OrderId::as_str))
        .execute(&self.pool)
        .await
        .map_err(store)?;
        Ok(())
    }

    /// Events up to a number that nothing can appear below any more.
    async fn settled(&self) -> Result<i64> {
        let mut transaction = self.begin().await?;
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

async fn put_steps(
    transaction: &mut Transaction<'static, Postgres>,
    order: &OrderId,
    steps: &[Step],
) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&Step) -> Result<String>| steps.iter().map(of).collect::<Result<Vec<String>>>();
    let positions =
        steps.iter().map(|step| i32::try_from(step.index).map_err(store)).collect::<Result<Vec<_>>>()?;
    sqlx::query(
        "INSERT INTO steps (order_id, position, step_key, provider, lease, state, attempts)
         SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         ON CONFLICT (order_id, position) DO UPDATE SET lease = excluded.lease, state = excluded.state, attempts = excluded.attempts",
    )
    .bind(order.as_str())
    .bind(positions)
    .bind(texts(|step| Ok(step.key.as_str().to_owned()))?)
    .bind(texts(|step| Ok(step.provider.as_str().to_owned()))?)
    .bind(texts(|step| text(&step.lease))?)
    .bind(texts(|step| text(&step.state))?)
    .bind(texts(|step| text(&step.attempts))?)
    .execute(&mut **transaction)
    .await
    .map_err(store)?;
    Ok(())
}

/// Appends events to an order's chain. The lock of the events must be shared already.
async fn tell(
    transaction: &mut Transaction<'static, Postgres>,
    order: &OrderId,
    head: &mut Head,
    kinds: &[OrderEventKind],
) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let links =
        kinds.iter().map(|kind| head.append(order, Timestamp::now(), kind)).collect::<Result<Vec<Link>>>()?;
    let texts = |of: fn(&Link) -> &str| links.iter().map(|link| of(link).to_owned()).collect::<Vec<String>>();
    // In the order of their numbers, so that sequence numbers rise with them.
    sqlx::query(
        "INSERT INTO events (order_id, number, at, kind, hash)
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS link (number) ORDER BY number",
    )
    .bind(order.as_str())
    .bind(links.iter().map(|link| link.number.cast_signed()).collect::<Vec<i64>>())
    .bind(texts(|link| &link.at))
    .bind(texts(|link| &link.kind))
    .bind(texts(|link| &link.hash))
    .execute(&mut **transaction)
    .await
    .map_err(store)?;
    Ok(())
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
    async fn create(&self, order: &Order) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
            .bind(EVENTS_LOCK)
            .execute(&mut *transaction)
            .await
            .map_err(store)?;
        let written = sqlx::query(
            "INSERT INTO orders (id, state, created, reason, plan, policy) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(order.id.as_str())
        .bind(order.state.word())
        .bind(order.created.to_string())
        .bind(order.reason.as_deref())
        .bind(text(&order.plan)?)
        .bind(text(&order.policy)?)
        .execute(&mut *transaction)
        .await
        .map_err(store)?;
        if written.rows_affected() == 0 {
            return Err(LedgerError::Exists(order.id.clone()));
        }
        put_steps(&mut transaction, &order.id, &order.steps).await?;
        let mut head = Head { count: 0, hash: START.to_owned() };
        let kind = OrderEventKind::Order { state: order.state, reason: None };
        tell(&mut transaction, &order.id, &mut head, &[kind]).await?;
        sqlx::query("UPDATE orders SET events = $1, head = $2 WHERE id = $3")
            .bind(head.count.cast_signed())
            .bind(&head.hash)
            .bind(order.id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(store)?;
        notify(&mut transaction, &order.id).await?;
        self.commit(transaction).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        // One snapshot, so that the order and its steps are of one moment.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let mut transaction = self.pool.begin_with(begin).await.map_err(store)?;
        let row =
            sqlx::query("SELECT state, created, reason, plan, policy, rounds FROM orders WHERE id = $1")
                .bind(order.as_str())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(store)?;
        let Some(row) = row else { return Ok(None) };
        let steps = sqlx::query("SELECT * FROM steps WHERE order_id = $1 ORDER BY position")
            .bind(order.as_str())
            .fetch_all(&mut *transaction)
            .await
            .map_err(store)?;
        Ok(Some(Order {
            id: order.clone(),
            plan: parse(&row, "plan")?,
            policy: parse(&row, "policy")?,
            state: state(&row)?,
            created: time(&row, "created")?,
            reason: row.try_get("reason").map_err(store)?,
            rounds: parse(&row, "rounds")?,
            steps: steps.iter().map(step).collect::<Result<_>>()?,
        }))
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        let rows = sqlx::query(
            "SELECT id FROM orders WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR id < $2)
             AND (NOT $3 OR state IN ('accepted', 'provisioning', 'compensating')) ORDER BY id DESC LIMIT $4",
        )
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind(query.is_unfinished)
        .bind((query.limit != 0).then_some(i64::from(query.limit)))
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        rows.iter().map(|row| order_id(row, "id")).collect()
    }

    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        let mut transaction = self.begin().await?;
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
        self.wind_back(Some(order)).await?;
        let row = sqlx::query(
            "SELECT claim_owner, (extract(epoch FROM claim_until) * 1000000)::bigint AS until
             FROM orders WHERE id = $1",
        )
        .bind(order.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(store)?
        .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
        let owner: Option<String> = row.try_get("claim_owner").map_err(store)?;
        // Let go in between: then the caller may ask again at once.
        let (owner, until) = (owner.unwrap_or_default(), until(&row)?.unwrap_or(Timestamp::UNIX_EPOCH));
        Err(LedgerError::Claimed { order: order.clone(), owner, until })
    }

    async fn claim_next(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Claim>> {
        let rows = sqlx::query(
            "WITH next AS (
                 SELECT id FROM orders WHERE state IN ('accepted', 'provisioning', 'compensating')
                 AND (claim_owner IS NULL OR claim_until <= clock_timestamp())
                 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
             UPDATE orders SET claim_owner = $1, claim_token = claim_token + 1, claim_since = clock_timestamp(),
                 claim_until = clock_timestamp() + $2 * interval '1 microsecond'
             FROM next WHERE orders.id = next.id
             RETURNING orders.id, claim_token, (extract(epoch FROM claim_until) * 1000000)::bigint AS until",
        )
        .bind(owner)
        .bind(micros(lease))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        if rows.is_empty() {
            self.wind_back(None).await?;
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

    async fn write(&self, claim: &Claim, change: &Change) -> Result<()> {
        let mut transaction = self.begin().await?;
        // This is where the fencing token is checked; the row stays locked, so that the chain has one end.
        let row = sqlx::query(
            "SELECT events, head, pg_advisory_xact_lock_shared($3) FROM orders
             WHERE id = $1 AND claim_token = $2 FOR UPDATE",
        )
        .bind(claim.order.as_str())
        .bind(token(claim))
        .bind(EVENTS_LOCK)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(store)?
        .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
        let mut head = Head {
            count: row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs(),
            hash: row.try_get("head").map_err(store)?,
        };
        put_steps(&mut transaction, &claim.order, &change.steps).await?;
        tell(&mut transaction, &claim.order, &mut head, &changed_kinds(change)).await?;
        let (state, reason) = match &change.order {
            Some((state, reason)) => (Some(state.word()), reason.as_deref()),
            None => (None, None),
        };
        sqlx::query(
            "UPDATE orders SET state = coalesce($1, state), reason = coalesce($2, reason), plan = coalesce($3, plan),
                 rounds = coalesce($4, rounds), events = $5, head = $6 WHERE id = $7",
        )
        .bind(state)
        .bind(reason)
        .bind(change.plan.as_ref().map(|(plan, _)| text(plan)).transpose()?)
        .bind(change.plan.as_ref().map(|(_, rounds)| text(rounds)).transpose()?)
        .bind(head.count.cast_signed())
        .bind(&head.hash)
        .bind(claim.order.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(store)?;
        if state.is_some() {
            notify(&mut transaction, &claim.order).await?;
        }
        self.commit(transaction).await
    }

    async fn request_cancel(&self, order: &OrderId) -> Result<()> {
        let mut transaction = self.begin().await?;
        let written = sqlx::query("UPDATE orders SET cancelled = TRUE WHERE id = $1")
            .bind(order.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(store)?;
        if written.rows_affected() == 0 {
            return Err(LedgerError::NoSuchOrder(order.clone()));
        }
        notify(&mut transaction, order).await?;
        self.commit(transaction).await
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
        // Those of one order are written one transaction after the other: nothing appears behind.
        let last = if order.is_some() { i64::MAX } else { self.settled().await? };
        let rows = sqlx::query(
            "SELECT sequence, number, order_id, at, kind, hash FROM events
             WHERE sequence > $1 AND sequence <= $4 AND ($2::text IS NULL OR order_id = $2)
             ORDER BY sequence LIMIT $3",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(order.map(OrderId::as_str))
        .bind(i64::from(limit))
        .bind(last)
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        rows.iter()
            .map(|row| {
                let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(store);
                Ok(OrderEvent {
                    sequence: count("sequence")?,
                    number: count("number")?,
                    order: order_id(row, "order_id")?,
                    at: time(row, "at")?,
                    kind: parse(row, "kind")?,
                    hash: row.try_get("hash").map_err(store)?,
                })
            })
            .collect()
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

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

fn claimed(row: &PgRow, order: OrderId) -> Result<Claim> {
    let token = row.try_get::<i64, _>("claim_token").map_err(store)?.unsigned_abs();
    Ok(Claim { order, token, until: until(row)?.unwrap_or(Timestamp::UNIX_EPOCH) })
}

fn parse<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str) -> Result<T> {
    parsed(row.try_get(column).map_err(store)?, column)
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

fn step(row: &PgRow) -> Result<Step> {
    let column = |name: &str| row.try_get::<&str, _>(name).map_err(store);
    let index = row.try_get::<i32, _>("position").map_err(store)?.unsigned_abs();
    stored::step(
        index,
        [column("step_key")?, column("provider")?, column("lease")?, column("state")?, column("attempts")?],
    )
}
