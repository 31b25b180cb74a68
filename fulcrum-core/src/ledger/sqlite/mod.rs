//! The embedded ledger: one SQLite file, or memory.

mod claims;
mod consumers;
mod error;
mod events;
mod files;
mod fork_guard;
mod orders;
mod purge;
mod rows;
mod schema;
mod serial_slot;
mod services;
mod statement_batch;
mod writer;

use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Claim, Ledger, LedgerError, OrderQuery, OrderUpdate, Result, SerialSlot, WriteReceipt, codec::verified,
    unknown_fields::UnknownFields,
};
use crate::{
    model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId},
    telemetry,
};
use error::{driver_error, store_error};
use files::LedgerFiles;
use fork_guard::Activity;
pub use fork_guard::{after_fork, after_fork_in_child, before_fork};
use writer::{Operation, Writer};

/// The embedded ledger. Several processes may use one file on a local disk.
///
/// Look into the file, and copy it, from other processes than the host's: closing it anywhere drops the locks that a process
/// holds on it. Where its files were taken away, each write is refused.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    writer: Writer,
    /// Empty in memory, where there is one connection only, that of the writer.
    readers: Arc<OnceLock<SqlitePool>>,
    files: Option<Arc<LedgerFiles>>,
    changes: watch::Sender<u64>,
    id: Arc<str>,
    unknown: Arc<UnknownFields>,
}

impl SqliteLedger {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: the file cannot be used, is no ledger, or was written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_file(path).await.map_err(|error| match error {
            LedgerError::Store(why) => store_error(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    async fn open_file(path: &Path) -> Result<Self> {
        // Connections are made later too, and the process may have gone to another folder by then.
        let path = std::path::absolute(path).map_err(driver_error)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Money: what was written must survive a power cut, not only a crash.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .foreign_keys(true);
        let ledger = Self::write_to(options.clone(), Some(path)).await?;
        let options = options.create_if_missing(false);
        // They stay: one that ended by itself could do so while the process forks.
        let readers = SqlitePoolOptions::new().max_connections(4).idle_timeout(None).max_lifetime(None);
        let activity = Activity::begin().await;
        let readers = tokio::spawn(async move {
            let readers = readers.connect_with(options).await;
            drop(activity);
            readers
        });
        let _ = ledger.readers.set(finished(readers).await?.map_err(driver_error)?);
        Ok(ledger)
    }

    /// A ledger that is gone with the process.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: SQLite cannot be used.
    pub async fn in_memory() -> Result<Self> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        Self::write_to(options, None).await
    }

    /// A ledger that reads on the connection that it writes on.
    async fn write_to(options: SqliteConnectOptions, file: Option<PathBuf>) -> Result<Self> {
        fork_guard::check()?;
        let changes = watch::Sender::new(0);
        let readers = Arc::<OnceLock<SqlitePool>>::default();
        let (writer, files) = Writer::open(options, changes.clone(), file, readers.clone()).await?;
        let id: String = writer.write(false, (), |c, ()| orders::id(c).boxed()).await?;
        Ok(Self { writer, readers, files, changes, id: id.into(), unknown: Arc::default() })
    }

    /// Runs `work` on one moment's state.
    async fn read<T, D>(&self, with: D, work: Operation<T, D>) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let Some(readers) = self.readers.get() else { return self.writer.write(false, with, work).await };
        // A new connection would read another file, and an old one what is no longer so.
        self.files.as_deref().map_or(Ok(()), LedgerFiles::check)?;
        let readers = readers.clone();
        // A task, which ends also where nobody waits for it any more: the connection is at rest then.
        let reading = tokio::spawn(async move {
            let _at_work = Activity::begin().await;
            let mut transaction = readers.begin().await.map_err(driver_error)?;
            let outcome = work(&mut transaction, &with).await;
            transaction.rollback().await.map_err(driver_error)?;
            outcome
        });
        finished(reading).await?
    }
}

/// What a task answers.
async fn finished<T>(task: JoinHandle<T>) -> Result<T> {
    task.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => store_error("the runtime that reads the ledger has ended; start another one"),
    })
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn id(&self) -> &str {
        &self.id
    }

    async fn create(&self, order: &Order) -> Result<()> {
        self.writer.write(true, order.clone(), |c, order| orders::create(c, order).boxed()).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        let with = (order.clone(), self.unknown.clone());
        self.read(with, |c, (order, unknown)| orders::load(c, order, unknown).boxed()).await
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        self.read(query.clone(), |c, query| orders::list(c, query).boxed()).await
    }

    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim> {
        let with = (order.clone(), owner.to_owned(), ttl);
        self.writer
            .write(true, with, |c, (order, owner, ttl)| claims::claim(c, order, owner, *ttl).boxed())
            .await
    }

    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        let with = (owner.to_owned(), ttl, limit, providers.to_vec());
        self.writer
            .write(false, with, |c, (owner, ttl, limit, providers)| {
                claims::claim_next(c, owner, *ttl, *limit, providers).boxed()
            })
            .await
    }

    async fn renew(&self, claim: &Claim, ttl: Duration) -> Result<Claim> {
        let with = (claim.clone(), ttl);
        self.writer.write(false, with, |c, (claim, ttl)| claims::renew(c, claim, *ttl).boxed()).await
    }

    async fn relinquish(&self, claim: &Claim) -> Result<()> {
        self.writer.write(false, claim.clone(), |c, claim| claims::update_claim(c, claim, None).boxed()).await
    }

    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> Result<WriteReceipt> {
        let began = Instant::now();
        let with = (claim.clone(), change.clone(), self.unknown.texts(&claim.order, change)?);
        let write = self
            .writer
            .write(true, with, |c, (claim, change, texts)| orders::write(c, claim, change, texts).boxed());
        let written = write.await?;
        telemetry::write_committed(began);
        Ok(written)
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let with = (order.clone(), by.cloned());
        self.writer
            .write(true, with, |c, (order, by)| orders::request_cancel(c, order, by.as_ref()).boxed())
            .await
    }

    async fn record_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let with = (claim.clone(), reason.to_owned(), next_try);
        self.writer
            .write(true, with, |c, (claim, reason, next_try)| {
                orders::record_failed_drive(c, claim, reason, *next_try).boxed()
            })
            .await
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        self.read(order.clone(), |c, order| orders::is_cancelled(c, order).boxed()).await
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        let with = (after, order.cloned(), limit);
        self.read(with, |c, (after, order, limit)| events::events(c, *after, order.as_ref(), *limit).boxed())
            .await
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        let (head, events) = self.read(order.clone(), |c, order| events::chain(c, order).boxed()).await?;
        verified(order, &head, &events)
    }

    async fn purge(&self, order: &OrderId, before: Timestamp) -> Result<bool> {
        let with = (order.clone(), before);
        let forget =
            self.writer.write(true, with, |c, (order, before)| purge::purge(c, order, *before).boxed());
        let is_gone = forget.await?;
        if is_gone {
            self.unknown.remove(order);
        }
        Ok(is_gone)
    }

    async fn consumer_offset(&self, name: &str) -> Result<u64> {
        self.read(name.to_owned(), |c, name| consumers::offset(c, name).boxed()).await
    }

    async fn commit_offset(&self, name: &str, sequence: u64) -> Result<u64> {
        let with = (name.to_owned(), sequence);
        self.writer
            .write(false, with, |c, (name, sequence)| consumers::commit_offset(c, name, *sequence).boxed())
            .await
    }

    async fn drop_consumer(&self, name: &str) -> Result<bool> {
        self.writer.write(false, name.to_owned(), |c, name| consumers::drop_consumer(c, name).boxed()).await
    }

    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> Result<SerialSlot> {
        let with = (name.to_owned(), claim.clone(), step, expected.cloned());
        self.writer
            .write(false, with, |c, (name, claim, step, expected)| {
                serial_slot::acquire(c, name, claim, *step, expected.as_ref()).boxed()
            })
            .await
    }

    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        let with = (name.to_owned(), claim.clone(), step, note.to_owned());
        self.writer
            .write(false, with, |c, (name, claim, step, note)| {
                serial_slot::annotate(c, name, claim, *step, note).boxed()
            })
            .await
    }

    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        let with = (name.to_owned(), claim.clone(), step);
        self.writer
            .write(false, with, |c, (name, claim, step)| serial_slot::vacate(c, name, claim, *step).boxed())
            .await
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        self.read(provider.clone(), |c, provider| services::services_at(c, provider).boxed()).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_commit_waits_until_the_log_is_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = SqliteLedger::open(folder.path().join("orders.db")).await.expect("a ledger");
        let asked: Operation<(String, i64), ()> = |connection, ()| {
            async move {
                let mode = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await;
                let flush = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await;
                Ok((mode.map_err(driver_error)?, flush.map_err(driver_error)?))
            }
            .boxed()
        };
        // On the connection that writes; 2 is FULL.
        let (mode, flush) = ledger.writer.write(false, (), asked).await.expect("asked");
        assert_eq!((mode.as_str(), flush), ("wal", 2));
    }
}
