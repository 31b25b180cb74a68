//! The ledger of many hosts: a PostgreSQL database.
//!
//! Claims are compared with the database's clock, so that hosts whose clocks differ agree. The tables are in the schema
//! `fulcrum`. What is used besides plain SQL: `SKIP LOCKED`, `unnest`, JSON containment, triggers, `pg_locks` and
//! `LISTEN`/`NOTIFY`. There is no lock that a role without rights on the tables could take.

mod batch;
mod claims;
mod consumers;
mod error;
mod events;
mod job;
mod open;
mod orders;
mod purge;
mod queue;
mod rows;
mod schema;
mod serial_slot;
mod services;
mod session;

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

use super::{
    Claim, Ledger, OrderQuery, OrderUpdate, Result, SerialSlot, WriteReceipt, codec,
    unknown_fields::UnknownFields,
};
use error::{driver_error, store_error};
use job::Job;
use session::{spawn_uncancellable, with_timeout};

use crate::model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId};

/// A ledger that many hosts share.
pub struct PostgresLedger {
    pool: PgPool,
    changes: watch::Sender<u64>,
    queue: mpsc::UnboundedSender<Job>,
    listener: JoinHandle<()>,
    id: Arc<str>,
    unknown: Arc<UnknownFields>,
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
        let id: Option<String> = id.fetch_optional(&pool).await.map_err(driver_error)?;
        let id = id.ok_or_else(codec::no_id)?.into();
        let changes = watch::Sender::new(0);
        let listener = tokio::spawn(listen(listener, changes.clone()));
        let (queue, jobs) = mpsc::unbounded_channel();
        tokio::spawn(queue::run_queue(pool.clone(), jobs, changes.clone()));
        Ok(Self { pool, changes, queue, listener, id, unknown: Arc::default() })
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

#[async_trait]
impl Ledger for PostgresLedger {
    fn id(&self) -> &str {
        &self.id
    }

    async fn create(&self, order: &Order) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        spawn_uncancellable(async move { orders::create(&pool, &changes, &order).await }).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        with_timeout(orders::load(&self.pool, &self.unknown, order)).await
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        with_timeout(orders::list(&self.pool, query)).await
    }

    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim> {
        let (pool, order, owner) = (self.pool.clone(), order.clone(), owner.to_owned());
        spawn_uncancellable(async move { claims::claim(&pool, &order, &owner, ttl).await }).await
    }

    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        with_timeout(claims::claim_next(&self.pool, owner, ttl, limit, providers)).await
    }

    async fn renew(&self, claim: &Claim, ttl: Duration) -> Result<Claim> {
        let until = with_timeout(claims::update_claim(&self.pool, claim, Some(ttl))).await?;
        Ok(Claim { until, ..claim.clone() })
    }

    async fn relinquish(&self, claim: &Claim) -> Result<()> {
        with_timeout(claims::update_claim(&self.pool, claim, None)).await.map(drop)
    }

    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> Result<WriteReceipt> {
        let (reply_to, answer) = oneshot::channel();
        let ended = || store_error("the runtime in which the ledger was opened has ended");
        let texts = self.unknown.texts(&claim.order, change)?;
        let job = Job::new(claim.clone(), change.clone(), texts, reply_to);
        let began = Instant::now();
        self.queue.send(job).map_err(|_| ended())?;
        let written = answer.await.unwrap_or_else(|_| Err(ended()))?;
        crate::telemetry::write_committed(began);
        Ok(written)
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let (pool, changes, order) = (self.pool.clone(), self.changes.clone(), order.clone());
        let by = by.cloned();
        spawn_uncancellable(async move { orders::request_cancel(&pool, &changes, &order, by.as_ref()).await })
            .await
    }

    async fn record_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let wait = Duration::try_from(next_try.duration_since(Timestamp::now())).unwrap_or_default();
        let (pool, changes, claim) = (self.pool.clone(), self.changes.clone(), claim.clone());
        let reason = reason.to_owned();
        spawn_uncancellable(async move {
            orders::record_failed_drive(&pool, &changes, &claim, &reason, wait).await
        })
        .await
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        with_timeout(orders::is_cancelled(&self.pool, order)).await
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        match order {
            Some(order) => with_timeout(events::of_order(&self.pool, order, after, limit)).await,
            None => with_timeout(events::of_all(&self.pool, after, limit)).await,
        }
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        with_timeout(events::verify(&self.pool, order)).await
    }

    async fn purge(&self, order: &OrderId, before: Timestamp) -> Result<bool> {
        let (pool, unknown, order) = (self.pool.clone(), self.unknown.clone(), order.clone());
        spawn_uncancellable(async move {
            let is_gone = purge::purge(&pool, &order, before).await?;
            if is_gone {
                unknown.remove(&order);
            }
            Ok(is_gone)
        })
        .await
    }

    async fn consumer_offset(&self, name: &str) -> Result<u64> {
        with_timeout(consumers::offset(&self.pool, name)).await
    }

    async fn commit_offset(&self, name: &str, sequence: u64) -> Result<u64> {
        with_timeout(consumers::commit_offset(&self.pool, name, sequence)).await
    }

    async fn drop_consumer(&self, name: &str) -> Result<bool> {
        with_timeout(consumers::drop_consumer(&self.pool, name)).await
    }

    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> Result<SerialSlot> {
        with_timeout(serial_slot::acquire(&self.pool, name, claim, step, expected)).await
    }

    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        with_timeout(serial_slot::annotate(&self.pool, name, claim, step, note)).await
    }

    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        with_timeout(serial_slot::vacate(&self.pool, name, claim, step)).await
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        with_timeout(services::services_at(&self.pool, provider)).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
