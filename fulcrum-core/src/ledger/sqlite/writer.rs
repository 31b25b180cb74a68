//! Group commit: what several drivers write at the same time becomes durable together, by one flush of the disk
//! (D. J. DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984, §5.2).
//!
//! SQLite has one writer at a time anyway. Here that is a thread: it takes all that waits, writes it in one
//! transaction and answers when that is durable. Nothing waits for company: a lone write is committed at once.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    error::{driver_error, store_error},
    files::{FileLock, LedgerFiles},
    fork_guard::Activity,
    schema,
};
use crate::ledger::{LedgerError, Result};

/// How long a closing ledger waits for its readers.
const READERS_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Writes in one transaction at most.
const MAX_WRITES_PER_TRANSACTION: usize = 256;

/// The queue of the thread that writes; the thread ends with the last of its queues.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<Box<dyn Job>>,
}

/// A write. It may run again if another one in the same transaction has failed.
#[async_trait]
trait Job: Send {
    /// Runs the write; false if the transaction has to be rolled back.
    async fn run(&mut self, connection: &mut SqliteConnection) -> bool;
    /// Whether the write is announced.
    fn is_news(&self) -> bool;
    /// Replies, once it is known whether the transaction is durable.
    fn answer(self: Box<Self>, committed: &Result<()>);
}

/// The function of a write, and its argument.
pub(super) type Operation<T, D> = for<'c> fn(&'c mut SqliteConnection, &'c D) -> BoxFuture<'c, Result<T>>;

struct Task<T, D> {
    work: Operation<T, D>,
    with: D,
    is_news: bool,
    outcome: Option<Result<T>>,
    reply_to: oneshot::Sender<Result<T>>,
}

#[async_trait]
impl<T: Send, D: Send + Sync> Job for Task<T, D> {
    async fn run(&mut self, connection: &mut SqliteConnection) -> bool {
        let outcome = (self.work)(connection, &self.with).await;
        // All other errors come before anything is written.
        let is_good = !matches!(outcome, Err(LedgerError::Store(_) | LedgerError::Damaged(_)));
        self.outcome = Some(outcome);
        is_good
    }

    fn is_news(&self) -> bool {
        self.is_news && matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.clone()),
            (None, Ok(())) => Err(store_error("the write was not run; try again")),
        };
        // The caller may be gone; the write stays.
        let _ = self.reply_to.send(answer);
    }
}

impl Writer {
    /// Connects to a file, or to memory where there is none, and brings the tables up to date. With it come the files.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        changes: watch::Sender<u64>,
        file: Option<PathBuf>,
        readers: Arc<OnceLock<SqlitePool>>,
    ) -> Result<(Self, Option<Arc<LedgerFiles>>)> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let (tell, opened) = oneshot::channel();
        // A thread with a runtime of its own: the ledger goes on when the runtime that opened it has ended. It is made there, as it
        // may not be dropped here where there is no thread to be had.
        let work = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(driver_error(error)))),
            };
            runtime.block_on(async move {
                let activity = Activity::begin().await;
                let connected = async {
                    let mut connection =
                        SqliteConnection::connect_with(&options).await.map_err(driver_error)?;
                    schema::prepare(&mut connection).await?;
                    let files = file.as_deref().map(LedgerFiles::of).transpose()?;
                    Ok((connection, files.map(Arc::new)))
                };
                match connected.await {
                    Ok((connection, files)) => {
                        let guard = files.as_deref().map(FileLock::of);
                        let _ = tell.send(Ok(files.clone()));
                        let mut connection = WriteConnection { connection, files };
                        drop(activity);
                        write_jobs(&mut connection, jobs, changes).await;
                        let _at_work = Activity::begin().await;
                        // Of two connections that close at once each takes the other one for the last, and the log stays.
                        if let Some(readers) = readers.get() {
                            let _ = tokio::time::timeout(READERS_CLOSE_TIMEOUT, readers.close()).await;
                        }
                        drop(guard);
                        let _ = connection.connection.close().await;
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
        };
        thread::Builder::new().name("fulcrum-ledger".to_owned()).spawn(work).map_err(driver_error)?;
        let files = opened.await.unwrap_or_else(|_| {
            Err(store_error("the ledger's writer thread has ended; open the ledger again"))
        })?;
        Ok((Self { queue }, files))
    }

    /// Runs `work` in a transaction, perhaps with others', and answers when that is durable. An error of `work` other
    /// than of the store must come before it has changed anything. Dropping the future does not undo it.
    pub(super) async fn write<T, D>(&self, is_news: bool, with: D, work: Operation<T, D>) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let (reply_to, answer) = oneshot::channel();
        let ended = || store_error("the ledger's writer thread has ended; open the ledger again");
        self.queue
            .send(Box::new(Task { work, with, is_news, outcome: None, reply_to }))
            .map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The connection that writes, and the files that it writes to.
struct WriteConnection {
    connection: SqliteConnection,
    files: Option<Arc<LedgerFiles>>,
}

async fn write_jobs(
    connected: &mut WriteConnection,
    mut jobs: mpsc::UnboundedReceiver<Box<dyn Job>>,
    changes: watch::Sender<u64>,
) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, MAX_WRITES_PER_TRANSACTION).await > 0 {
        let activity = Activity::begin().await;
        let outcome = match connected.begin().await {
            Ok(()) => connected.run_transaction(&mut batch).await,
            Err(error) => Outcome::AllFailed(error),
        };
        drop(activity);
        let Outcome::JobFailed(error) = outcome else {
            answer_all(&mut batch, outcome.into(), &changes);
            continue;
        };
        if batch.len() == 1 {
            answer_all(&mut batch, Err(error), &changes);
            continue;
        }
        // One of them is the cause: each is run alone.
        for job in batch.drain(..) {
            let mut alone = vec![job];
            let _at_work = Activity::begin().await;
            let outcome = match connected.begin().await {
                Ok(()) => connected.run_transaction(&mut alone).await,
                Err(error) => Outcome::AllFailed(error),
            };
            answer_all(&mut alone, outcome.into(), &changes);
        }
    }
}

/// The outcome of a transaction.
enum Outcome {
    Committed,
    /// One of the writes may be the cause: each is run alone.
    JobFailed(LedgerError),
    /// No write would succeed alone.
    AllFailed(LedgerError),
}

impl From<Outcome> for Result<()> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Committed => Ok(()),
            Outcome::JobFailed(error) | Outcome::AllFailed(error) => Err(error),
        }
    }
}

fn answer_all(jobs: &mut Vec<Box<dyn Job>>, committed: Result<()>, changes: &watch::Sender<u64>) {
    if committed.is_ok() && jobs.iter().any(|job| job.is_news()) {
        changes.send_modify(|count| *count += 1);
    }
    jobs.drain(..).for_each(|job| job.answer(&committed));
}

impl WriteConnection {
    async fn begin(&mut self) -> Result<()> {
        self.check()?;
        // Immediate: two processes that write wait for each other instead of failing in the middle.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await.map(drop).map_err(driver_error)
    }

    /// Runs all writes in the transaction that was begun, or none. A write to files that were taken away does not count.
    async fn run_transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Outcome {
        for job in jobs {
            if !job.run(&mut self.connection).await {
                self.roll_back().await;
                return Outcome::JobFailed(store_error(
                    "another write in the same transaction failed; this one is tried again",
                ));
            }
        }
        if let Err(error) = sqlx::query("COMMIT").execute(&mut self.connection).await {
            self.roll_back().await;
            return Outcome::JobFailed(driver_error(error));
        }
        self.check().map_or_else(Outcome::AllFailed, |()| Outcome::Committed)
    }

    /// SQLite may have done so by itself, as where the disk is full.
    async fn roll_back(&mut self) {
        let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
    }

    fn check(&self) -> Result<()> {
        self.files.as_deref().map_or(Ok(()), LedgerFiles::check)
    }
}
