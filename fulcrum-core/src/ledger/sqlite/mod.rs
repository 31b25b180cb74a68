//! The embedded ledger: one SQLite file, or memory.

mod error;
mod files;
mod forks;
mod gate;
mod retain;
mod schema;
mod statements;
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
    Change, Claim, Gate, Ledger, LedgerError, OrderQuery, Result, Written, kept::Kept, stored::verified,
};
use crate::{
    model::{Operator, Order, OrderEvent, OrderId, ProviderId, ServiceId},
    telemetry,
};
use error::{said, store};
use files::Files;
use forks::AtWork;
pub use forks::{after_fork, after_fork_in_child, before_fork};
use writer::{Work, Writer};

/// The embedded ledger. Several processes may use one file on a local disk.
///
/// Look into the file, and copy it, from other processes than the host's: closing it anywhere drops the locks that a process
/// holds on it. Where its files were taken away, each write is refused.
#[derive(Debug, Clone)]
pub struct SqliteLedger {
    writer: Writer,
    /// Empty in memory, where there is one connection only, that of the writer.
    readers: Arc<OnceLock<SqlitePool>>,
    files: Option<Arc<Files>>,
    changes: watch::Sender<u64>,
    id: Arc<str>,
    kept: Arc<Kept>,
}

impl SqliteLedger {
    /// Opens a file, and makes it if it is not there.
    ///
    /// # Errors
    /// [`LedgerError::Store`]: the file cannot be used, is no ledger, or was written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_file(path).await.map_err(|error| match error {
            LedgerError::Store(why) => said(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    async fn open_file(path: &Path) -> Result<Self> {
        // Connections are made later too, and the process may have gone to another folder by then.
        let path = std::path::absolute(path).map_err(store)?;
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
        let at_work = AtWork::begin().await;
        let readers = tokio::spawn(async move {
            let readers = readers.connect_with(options).await;
            drop(at_work);
            readers
        });
        let _ = ledger.readers.set(finished(readers).await?.map_err(store)?);
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
        forks::check()?;
        let changes = watch::Sender::new(0);
        let readers = Arc::<OnceLock<SqlitePool>>::default();
        let (writer, files) = Writer::open(options, changes.clone(), file, readers.clone()).await?;
        let id: String = writer.write(false, (), |c, ()| statements::id(c).boxed()).await?;
        Ok(Self { writer, readers, files, changes, id: id.into(), kept: Arc::default() })
    }

    /// Runs `work` on one moment's state.
    async fn read<T, D>(&self, with: D, work: Work<T, D>) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let Some(readers) = self.readers.get() else { return self.writer.write(false, with, work).await };
        // A new connection would read another file, and an old one what is no longer so.
        self.files.as_deref().map_or(Ok(()), Files::check)?;
        let readers = readers.clone();
        // A task, which ends also where nobody waits for it any more: the connection is at rest then.
        let reading = tokio::spawn(async move {
            let _at_work = AtWork::begin().await;
            let mut transaction = readers.begin().await.map_err(store)?;
            let outcome = work(&mut transaction, &with).await;
            transaction.rollback().await.map_err(store)?;
            outcome
        });
        finished(reading).await?
    }
}

/// What a task answers.
async fn finished<T>(task: JoinHandle<T>) -> Result<T> {
    task.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_) => said("the runtime that it was read in has ended"),
    })
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn id(&self) -> &str {
        &self.id
    }

    async fn create(&self, order: &Order) -> Result<()> {
        self.writer.write(true, order.clone(), |c, order| statements::create(c, order).boxed()).await
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        let with = (order.clone(), self.kept.clone());
        self.read(with, |c, (order, kept)| statements::load(c, order, kept).boxed()).await
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        self.read(query.clone(), |c, query| statements::list(c, query).boxed()).await
    }

    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim> {
        let with = (order.clone(), owner.to_owned(), lease);
        self.writer
            .write(true, with, |c, (order, owner, lease)| statements::claim(c, order, owner, *lease).boxed())
            .await
    }

    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        let with = (owner.to_owned(), lease, limit, providers.to_vec());
        self.writer
            .write(false, with, |c, (owner, lease, limit, providers)| {
                statements::claim_next(c, owner, *lease, *limit, providers).boxed()
            })
            .await
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim> {
        let with = (claim.clone(), lease);
        self.writer.write(false, with, |c, (claim, lease)| statements::renew(c, claim, *lease).boxed()).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.writer
            .write(false, claim.clone(), |c, claim| statements::update_claim(c, claim, None).boxed())
            .await
    }

    async fn write(&self, claim: &Claim, change: &Change) -> Result<Written> {
        let began = Instant::now();
        let with = (claim.clone(), change.clone(), self.kept.texts(&claim.order, change)?);
        let write = self.writer.write(true, with, |c, (claim, change, texts)| {
            statements::write(c, claim, change, texts).boxed()
        });
        let written = write.await?;
        telemetry::written(began);
        Ok(written)
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let with = (order.clone(), by.cloned());
        self.writer
            .write(true, with, |c, (order, by)| statements::request_cancel(c, order, by.as_ref()).boxed())
            .await
    }

    async fn note_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let with = (claim.clone(), reason.to_owned(), next_try);
        self.writer
            .write(true, with, |c, (claim, reason, next_try)| {
                statements::note_failed_drive(c, claim, reason, *next_try).boxed()
            })
            .await
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        self.read(order.clone(), |c, order| statements::is_cancelled(c, order).boxed()).await
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        let with = (after, order.cloned(), limit);
        self.read(with, |c, (after, order, limit)| {
            statements::events(c, *after, order.as_ref(), *limit).boxed()
        })
        .await
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        let (head, events) = self.read(order.clone(), |c, order| statements::chain(c, order).boxed()).await?;
        verified(order, &head, &events)
    }

    async fn forget(&self, order: &OrderId, before: Timestamp) -> Result<bool> {
        let with = (order.clone(), before);
        let forget =
            self.writer.write(true, with, |c, (order, before)| retain::forget(c, order, *before).boxed());
        let is_gone = forget.await?;
        if is_gone {
            self.kept.forget(order);
        }
        Ok(is_gone)
    }

    async fn cursor(&self, name: &str) -> Result<u64> {
        self.read(name.to_owned(), |c, name| retain::cursor(c, name).boxed()).await
    }

    async fn advance(&self, name: &str, sequence: u64) -> Result<u64> {
        let with = (name.to_owned(), sequence);
        self.writer
            .write(false, with, |c, (name, sequence)| retain::advance(c, name, *sequence).boxed())
            .await
    }

    async fn drop_cursor(&self, name: &str) -> Result<bool> {
        self.writer.write(false, name.to_owned(), |c, name| retain::drop_cursor(c, name).boxed()).await
    }

    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> Result<Gate> {
        let with = (name.to_owned(), claim.clone(), step, instead_of.cloned());
        self.writer
            .write(false, with, |c, (name, claim, step, instead_of)| {
                gate::enter(c, name, claim, *step, instead_of.as_ref()).boxed()
            })
            .await
    }

    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        let with = (name.to_owned(), claim.clone(), step, note.to_owned());
        self.writer
            .write(false, with, |c, (name, claim, step, note)| {
                gate::note(c, name, claim, *step, note).boxed()
            })
            .await
    }

    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        let with = (name.to_owned(), claim.clone(), step);
        self.writer
            .write(false, with, |c, (name, claim, step)| gate::leave(c, name, claim, *step).boxed())
            .await
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        self.read(provider.clone(), |c, provider| gate::services_at(c, provider).boxed()).await
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
        let asked: Work<(String, i64), ()> = |connection, ()| {
            async move {
                let mode = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await;
                let flush = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await;
                Ok((mode.map_err(store)?, flush.map_err(store)?))
            }
            .boxed()
        };
        // On the connection that writes; 2 is FULL.
        let (mode, flush) = ledger.writer.write(false, (), asked).await.expect("asked");
        assert_eq!((mode.as_str(), flush), ("wal", 2));
    }
}
