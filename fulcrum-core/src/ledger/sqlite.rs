//! The embedded ledger: one SQLite file, or memory.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{
    Connection, Row, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::sync::watch;

use super::{
    Change, Claim, Ledger, LedgerError, OrderQuery, Result,
    chain::{Head, START},
    stored::{self, changed_kinds, parsed, store, text, token, verified},
};
use crate::model::{Order, OrderEvent, OrderEventKind, OrderId, OrderState, Step};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

/// The embedded ledger. Several processes may use one file on a local disk.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    pool: SqlitePool,
    changes: watch::Sender<u64>,
    /// Of a ledger in memory: a connection that no work uses. Memory is gone with its last connection, and a dropped
    /// future may cost the pool one.
    _keeper: Option<SqlitePool>,
}

fn parse<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T> {
    parsed(row.try_get(column).map_err(store)?, column)
}

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp> {
    stored::time(row.try_get(column).map_err(store)?, column)
}

fn after(now: Timestamp, lease: Duration) -> Timestamp {
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

impl SqliteLedger {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: the file cannot be used, is no ledger, or was written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Money: what was written must survive a power cut, not only a crash.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .foreign_keys(true);
        let opened = Self::connect(SqlitePoolOptions::new().max_connections(4), options).await;
        opened.map_err(|error| match error {
            LedgerError::Store(why) => LedgerError::Store(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    /// A ledger that is gone with the process.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: SQLite cannot be used.
    pub async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(format!("file:fulcrum-{}", uuid::Uuid::now_v7()))
            .in_memory(true)
            .shared_cache(true)
            .foreign_keys(true);
        let one = || SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let keeper = one().connect_with(options.clone()).await.map_err(store)?;
        Ok(Self { _keeper: Some(keeper), ..Self::connect(one(), options).await? })
    }

    async fn connect(pool: SqlitePoolOptions, options: SqliteConnectOptions) -> Result<Self> {
        // A commit that fails, as on a full disk, is rolled back by SQLite itself, and the connection would believe for ever
        // that it is in a transaction.
        let pool = pool.after_release(|connection, _| {
            let is_idle = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_idle) })
        });
        let pool = pool.connect_with(options).await.map_err(store)?;
        MIGRATIONS.run(&pool).await.map_err(store)?;
        Ok(Self { pool, changes: watch::Sender::new(0), _keeper: None })
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        // Immediate: two writers wait for each other instead of failing in the middle.
        self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(store)
    }

    async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<()> {
        transaction.commit().await.map_err(store)?;
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Appends events to an order's chain.
async fn tell(
    transaction: &mut Transaction<'static, Sqlite>,
    order: &OrderId,
    head: &mut Head,
    kinds: &[OrderEventKind],
) -> Result<()> {
    for kind in kinds {
        let link = head.append(order, Timestamp::now(), kind)?;
        sqlx::query("INSERT INTO events (order_id, number, at, kind, hash) VALUES (?, ?, ?, ?, ?)")
            .bind(order.as_str())
            .bind(link.number.cast_signed())
            .bind(link.at)
            .bind(link.kind)
            .bind(link.hash)
            .execute(&mut **transaction)
            .await
            .map_err(store)?;
    }
    Ok(())
}

async fn put_step(
    transaction: &mut Transaction<'static, Sqlite>,
    order: &OrderId,
    step: &Step,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO steps (order_id, position, step_key, provider, lease, state, attempts) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (order_id, position) DO UPDATE SET lease = excluded.lease, state = excluded.state, attempts = excluded.attempts",
    )
    .bind(order.as_str())
    .bind(i64::from(step.index))
    .bind(step.key.as_str())
    .bind(step.provider.as_str())
    .bind(text(&step.lease)?)
    .bind(text(&step.state)?)
    .bind(text(&step.attempts)?)
    .execute(&mut **transaction)
    .await
    .map_err(store)?;
    Ok(())
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn create(&self, order: &Order) -> Result<()> {
        let mut transaction = self.begin().await?;
        let written = sqlx::query(
            "INSERT INTO orders (id, state, created, reason, plan, policy) VALUES (?, ?, ?, ?, ?, ?)
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
        for step in &order.steps {
            put_step(&mut transaction, &order.id, step).await?;
        }
        let mut head = Head { count: 0, hash: START.to_owned() };
        let kind = OrderEventKind::Order { state: order.state, reason: None };
        tell(&mut transaction, &order.id, &mut head, &[kind]).await?;
        sqlx::query("UPDATE orders SET events = ?, head = ? WHERE id = ?")
            .bind(head.count.cast_signed())
            .bind(&head.hash)
            .bind(order.id.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(store)?;
        self.commit(transaction).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        // One transaction, so that the order and its steps are of one moment.
        let mut transaction = self.pool.begin().await.map_err(store)?;
        let row = sqlx::query("SELECT state, created, reason, plan, policy, rounds FROM orders WHERE id = ?")
            .bind(order.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(store)?;
        let Some(row) = row else { return Ok(None) };
        let steps = sqlx::query("SELECT * FROM steps WHERE order_id = ? ORDER BY position")
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
        let limit = if query.limit == 0 { -1 } else { i64::from(query.limit) };
        let rows = sqlx::query(
            "SELECT id FROM orders WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR id < ?2)
             AND (?3 = 0 OR state IN ('accepted', 'provisioning', 'compensating')) ORDER BY id DESC LIMIT ?4",
        )
        .bind(query.state.map(OrderState::word))
        .bind(query.before.as_ref().map(OrderId::as_str))
        .bind(query.is_unfinished)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        rows.iter().map(|row| order_id(row, "id")).collect()
    }

    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        let mut transaction = self.begin().await?;
        // Within the transaction: no other process can have written anything later.
        let now = Timestamp::now();
        let row = sqlx::query(
            "SELECT id, claim_owner, claim_token, claim_since, claim_until FROM orders WHERE id = ?",
        )
        .bind(order.as_str())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(store)?
        .ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
        let holder: Option<String> = row.try_get("claim_owner").map_err(store)?;
        if let Some(holder) = holder {
            let mut until = time(&row, "claim_until")?;
            if since(&row)?.is_some_and(|since| since > now) {
                until = wind_back(&mut transaction, &row, now).await?;
            }
            if until > now {
                transaction.commit().await.map_err(store)?;
                return Err(LedgerError::Claimed { order: order.clone(), owner: holder, until });
            }
        }
        let token = row.try_get::<i64, _>("claim_token").map_err(store)? + 1;
        let until = after(now, lease);
        sqlx::query("UPDATE orders SET claim_owner = ?, claim_token = ?, claim_since = ?, claim_until = ? WHERE id = ?")
            .bind(owner)
            .bind(token)
            .bind(moment(now))
            .bind(moment(until))
            .bind(order.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(store)?;
        self.commit(transaction).await?;
        Ok(Claim { order: order.clone(), token: token.unsigned_abs(), until })
    }

    async fn claim_next(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Claim>> {
        let mut transaction = self.begin().await?;
        let now = Timestamp::now();
        let until = after(now, lease);
        // Times are compared as text: RFC 3339 in UTC, to a fixed number of digits.
        let rows = sqlx::query(
            "UPDATE orders SET claim_owner = ?1, claim_token = claim_token + 1, claim_since = ?3, claim_until = ?2
             WHERE id IN (SELECT id FROM orders WHERE state IN ('accepted', 'provisioning', 'compensating')
                          AND (claim_owner IS NULL OR claim_until <= ?3) ORDER BY id LIMIT ?4)
             RETURNING id, claim_token",
        )
        .bind(owner)
        .bind(moment(until))
        .bind(moment(now))
        .bind(i64::from(limit))
        .fetch_all(&mut *transaction)
        .await
        .map_err(store)?;
        if rows.is_empty() {
            wind_all_back(&mut transaction, now).await?;
        }
        transaction.commit().await.map_err(store)?;
        rows.iter()
            .map(|row| {
                let token = row.try_get::<i64, _>("claim_token").map_err(store)?;
                Ok(Claim { order: order_id(row, "id")?, token: token.unsigned_abs(), until })
            })
            .collect()
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim> {
        let until = after(Timestamp::now(), lease);
        self.update_claim(claim, Some(until)).await?;
        Ok(Claim { until, ..claim.clone() })
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.update_claim(claim, None).await
    }

    async fn write(&self, claim: &Claim, change: &Change) -> Result<()> {
        let mut transaction = self.begin().await?;
        // This is where the fencing token is checked.
        let row = sqlx::query("SELECT events, head FROM orders WHERE id = ? AND claim_token = ?")
            .bind(claim.order.as_str())
            .bind(token(claim))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(store)?
            .ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
        let mut head = Head {
            count: row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs(),
            hash: row.try_get("head").map_err(store)?,
        };
        for step in &change.steps {
            put_step(&mut transaction, &claim.order, step).await?;
        }
        tell(&mut transaction, &claim.order, &mut head, &changed_kinds(change)).await?;
        let (state, reason) = match &change.order {
            Some((state, reason)) => (Some(state.word()), reason.as_deref()),
            None => (None, None),
        };
        sqlx::query(
            "UPDATE orders SET state = coalesce(?, state), reason = coalesce(?, reason), plan = coalesce(?, plan),
                 rounds = coalesce(?, rounds), events = ?, head = ? WHERE id = ?",
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
        self.commit(transaction).await
    }

    async fn request_cancel(&self, order: &OrderId) -> Result<()> {
        let written = sqlx::query("UPDATE orders SET cancelled = 1 WHERE id = ?")
            .bind(order.as_str())
            .execute(&self.pool)
            .await
            .map_err(store)?;
        if written.rows_affected() == 0 { Err(LedgerError::NoSuchOrder(order.clone())) } else { Ok(()) }
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        let row = sqlx::query("SELECT cancelled FROM orders WHERE id = ?")
            .bind(order.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(store)?;
        row.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?.try_get(0).map_err(store)
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        let rows = sqlx::query(
            "SELECT sequence, number, order_id, at, kind, hash FROM events
             WHERE sequence > ?1 AND (?2 IS NULL OR order_id = ?2) ORDER BY sequence LIMIT ?3",
        )
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(order.map(OrderId::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(store)?;
        rows.iter()
            .map(|row| {
                Ok(OrderEvent {
                    sequence: row.try_get::<i64, _>("sequence").map_err(store)?.unsigned_abs(),
                    number: row.try_get::<i64, _>("number").map_err(store)?.unsigned_abs(),
                    order: order_id(row, "order_id")?,
                    at: time(row, "at")?,
                    kind: parse(row, "kind")?,
                    hash: row.try_get("hash").map_err(store)?,
                })
            })
            .collect()
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        let head: Option<String> = sqlx::query_scalar("SELECT head FROM orders WHERE id = ?")
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

impl SqliteLedger {
    async fn update_claim(&self, claim: &Claim, until: Option<Timestamp>) -> Result<()> {
        let written = sqlx::query(
            "UPDATE orders SET claim_until = ?1, claim_since = ?4, claim_owner = CASE WHEN ?1 IS NULL THEN NULL ELSE claim_owner END
             WHERE id = ?2 AND claim_token = ?3",
        )
        .bind(until.map(moment))
        .bind(claim.order.as_str())
        .bind(token(claim))
        .bind(moment(Timestamp::now()))
        .execute(&self.pool)
        .await
        .map_err(store)?;
        if written.rows_affected() == 0 { Err(LedgerError::Fenced(claim.order.clone())) } else { Ok(()) }
    }
}

fn since(row: &SqliteRow) -> Result<Option<Timestamp>> {
    let since: Option<&str> = row.try_get("claim_since").map_err(store)?;
    since.map(|text| stored::time(text, "claim_since")).transpose()
}

/// A claim that begins in the future is of a time before the clock was set back. It begins now instead and lasts as long
/// as it did: its holder may be alive, and has it for no longer than that by its own clock.
async fn wind_back(
    transaction: &mut Transaction<'static, Sqlite>,
    row: &SqliteRow,
    now: Timestamp,
) -> Result<Timestamp> {
    let lease = time(row, "claim_until")?.duration_since(since(row)?.unwrap_or(now)).unsigned_abs();
    let until = after(now, lease);
    sqlx::query("UPDATE orders SET claim_since = ?, claim_until = ? WHERE id = ?")
        .bind(moment(now))
        .bind(moment(until))
        .bind(row.try_get::<&str, _>("id").map_err(store)?)
        .execute(&mut **transaction)
        .await
        .map_err(store)?;
    Ok(until)
}

/// The same for all unfinished orders.
async fn wind_all_back(transaction: &mut Transaction<'static, Sqlite>, now: Timestamp) -> Result<()> {
    let rows = sqlx::query(
        "SELECT id, claim_since, claim_until FROM orders WHERE state IN ('accepted', 'provisioning', 'compensating')
         AND claim_owner IS NOT NULL AND claim_since > ?",
    )
    .bind(moment(now))
    .fetch_all(&mut **transaction)
    .await
    .map_err(store)?;
    for row in &rows {
        wind_back(transaction, row, now).await?;
    }
    Ok(())
}

/// A time as text that sorts as times do: the same number of digits always.
fn moment(at: Timestamp) -> String {
    format!("{at:.9}")
}

fn order_id(row: &SqliteRow, column: &str) -> Result<OrderId> {
    stored::order_id(row.try_get(column).map_err(store)?)
}

fn state(row: &SqliteRow) -> Result<OrderState> {
    stored::state(row.try_get("state").map_err(store)?)
}

fn step(row: &SqliteRow) -> Result<Step> {
    let column = |name: &str| row.try_get::<&str, _>(name).map_err(store);
    let index = row.try_get("position").map_err(store)?;
    stored::step(
        index,
        [column("step_key")?, column("provider")?, column("lease")?, column("state")?, column("attempts")?],
    )
}
