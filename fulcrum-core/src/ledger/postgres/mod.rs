//! The ledger of many hosts: a PostgreSQL database.
//!
//! Claims are compared with the database's clock, so that hosts whose clocks differ agree. The tables are in the schema
//! `fulcrum`. What is used besides plain SQL: `SKIP LOCKED`, `unnest`, JSON containment, triggers, `pg_locks` and
//! `LISTEN`/`NOTIFY`. There is no lock that a role without rights on the tables could take.

mod batch;
mod error;
mod events;
mod gate;
mod open;
mod orders;
mod queue;
mod retain;
mod schema;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{Change, Claim, Gate, Ledger, OrderQuery, Result, Written, kept::Kept, stored};
use error::store;
use queue::Job;

use crate::model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId};

/// What is listened to: new orders, cancellations and new states of orders. Not steps: a transaction that notifies
/// holds a lock of the whole server while it commits, so steps would wait for each other.
const CHANNEL: &str = "fulcrum_orders";

/// How long any call may take: longer than a session lets a statement take, for a server that is gone without a word.
const LIMIT: Duration = Duration::from_secs(60);

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
    /// does not say comes from `PGHOST`, `PGPASSWORD` and the like, or from the password file. The server's certificate is
    /// verified unless the server is on this machine, or the URL or `PGSSLMODE` says otherwise. Tables of an older version
    /// are moved to the schema `fulcrum`.
    ///
    /// # Errors
    /// [`LedgerError::Store`](crate::ledger::LedgerError::Store): the URL is wrong, the database cannot be reached, believed
    /// or used, was changed by a newer version, or stands behind a pooler that gives each transaction another session:
    /// connect to the server itself, or to a pool in session mode.
    pub async fn open(url: &str) -> Result<Self> {
        Self::with_connections(url, 16).await
    }

    /// The same with so many connections at most.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn with_connections(url: &str, most: u32) -> Result<Self> {
        let (pool, listener) = open::open(url, most).await?;
        let id = sqlx::query_scalar("SELECT value FROM ledger_meta WHERE name = 'id'");
        let id: Option<String> = id.fetch_optional(&pool).await.map_err(store)?;
        let id = id.ok_or_else(stored::no_id)?.into();
        let changes = watch::Sender::new(0);
        let listener = tokio::spawn(listen(listener, changes.clone()));
        let (queue, jobs) = mpsc::unbounded_channel();
        tokio::spawn(queue::serve(pool.clone(), jobs, changes.clone()));
        Ok(Self { pool, changes, queue, listener, id, kept: Arc::default() })
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

/// Runs a transaction to its end even if nobody waits for it any more: a connection whose caller is dropped while it
/// begins would go back to the pool with the transaction open.
async fn unbroken<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let ended = |error| Err(error::said(format!("the host is ending: {error}")));
    tokio::spawn(in_time(work)).await.unwrap_or_else(ended)
}

/// Waits for an answer as long as any call may take.
async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late =
        || error::said(format!("PostgreSQL has not answered in {LIMIT:?}; check the network and the server"));
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| Err(late()))
}

#[async_trait]
impl Ledger for PostgresLedger {
    fn id(&self) -> &str {
        &self.id
    }

    async fn create(&self, order: &Order) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        unbroken(async move { orders::create(&pool, &changes, &order).await }).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        in_time(orders::load(&self.pool, &self.kept, order)).await
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        in_time(orders::list(&self.pool, query)).await
    }

    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        let (pool, order, owner) = (self.pool.clone(), order.clone(), owner.to_owned());
        unbroken(async move { orders::claim(&pool, &order, &owner, lease).await }).await
    }

    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        in_time(orders::claim_next(&self.pool, owner, lease, limit, providers)).await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim> {
        let until = in_time(orders::update_claim(&self.pool, claim, Some(lease))).await?;
        Ok(Claim { until, ..claim.clone() })
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        in_time(orders::update_claim(&self.pool, claim, None)).await.map(drop)
    }

    async fn write(&self, claim: &Claim, change: &Change) -> Result<Written> {
        let (asker, answer) = oneshot::channel();
        let ended = || error::said("the runtime in which the ledger was opened has ended");
        let texts = self.kept.texts(&claim.order, change)?;
        let job = Job::new(claim.clone(), change.clone(), texts, asker);
        let began = Instant::now();
        self.queue.send(job).map_err(|_| ended())?;
        let written = answer.await.unwrap_or_else(|_| Err(ended()))?;
        crate::telemetry::written(began);
        Ok(written)
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        let by = by.cloned();
        unbroken(async move { orders::request_cancel(&pool, &changes, &order, by.as_ref()).await }).await
    }

    async fn note_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let wait = Duration::try_from(next_try.duration_since(Timestamp::now())).unwrap_or_default();
        let (pool, changes, claim) = (self.pool.clone(), self.changes.clone(), claim.clone());
        let reason = reason.to_owned();
        unbroken(async move { orders::note_failed_drive(&pool, &changes, &claim, &reason, wait).await }).await
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        in_time(orders::is_cancelled(&self.pool, order)).await
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        match order {
            Some(order) => in_time(events::of_order(&self.pool, order, after, limit)).await,
            None => in_time(events::of_all(&self.pool, after, limit)).await,
        }
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        in_time(events::verify(&self.pool, order)).await
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
        in_time(retain::cursor(&self.pool, name)).await
    }

    async fn advance(&self, name: &str, sequence: u64) -> Result<u64> {
        in_time(retain::advance(&self.pool, name, sequence)).await
    }

    async fn drop_cursor(&self, name: &str) -> Result<bool> {
        in_time(retain::drop_cursor(&self.pool, name)).await
    }

    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> Result<Gate> {
        in_time(gate::enter(&self.pool, name, claim, step, instead_of)).await
    }

    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        in_time(gate::note(&self.pool, name, claim, step, note)).await
    }

    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        in_time(gate::leave(&self.pool, name, claim, step)).await
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        in_time(gate::services_at(&self.pool, provider)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
