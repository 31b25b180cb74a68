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
    error::{said, store},
    files::{Files, Guard},
    forks::AtWork,
    schema,
};
use crate::ledger::{LedgerError, Result};

/// How long the end of a ledger waits for those who read.
const PARTING: Duration = Duration::from_secs(5);
/// Writes in one transaction at most.
const MOST: usize = 256;

/// The queue of the thread that writes; the thread ends with the last of its queues.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<Box<dyn Job>>,
}

/// Something to be written. It may be run again, where a neighbour in the same transaction has failed.
#[async_trait]
trait Job: Send {
    /// Whether the transaction is still good.
    async fn run(&mut self, connection: &mut SqliteConnection) -> bool;
    /// Whether others want to know.
    fn is_news(&self) -> bool;
    /// Answers, once it is known whether the transaction is durable.
    fn answer(self: Box<Self>, committed: &Result<()>);
}

/// What is to be done with what.
pub(super) type Work<T, D> = for<'c> fn(&'c mut SqliteConnection, &'c D) -> BoxFuture<'c, Result<T>>;

struct Task<T, D> {
    work: Work<T, D>,
    with: D,
    is_news: bool,
    outcome: Option<Result<T>>,
    asker: oneshot::Sender<Result<T>>,
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
            (None, Ok(())) => Err(said("not written")),
        };
        // Who has asked may have lost interest; what is written stays.
        let _ = self.asker.send(answer);
    }
}

impl Writer {
    /// Connects to a file, or to memory where there is none, and brings the tables up to date. With it come the files.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        changes: watch::Sender<u64>,
        file: Option<PathBuf>,
        readers: Arc<OnceLock<SqlitePool>>,
    ) -> Result<(Self, Option<Arc<Files>>)> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let (tell, opened) = oneshot::channel();
        // A thread with a runtime of its own: the ledger goes on when the runtime that opened it has ended. It is made there, as it
        // may not be dropped here where there is no thread to be had.
        let work = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(store(error)))),
            };
            runtime.block_on(async move {
                let at_work = AtWork::begin().await;
                let connected = async {
                    let mut connection = SqliteConnection::connect_with(&options).await.map_err(store)?;
                    schema::prepare(&mut connection).await?;
                    let files = file.as_deref().map(Files::of).transpose()?;
                    Ok((connection, files.map(Arc::new)))
                };
                match connected.await {
                    Ok((connection, files)) => {
                        let guard = files.as_deref().map(Guard::of);
                        let _ = tell.send(Ok(files.clone()));
                        let mut connection = Connected { connection, files };
                        drop(at_work);
                        serve(&mut connection, jobs, changes).await;
                        let _at_work = AtWork::begin().await;
                        // Of two connections that close at once each takes the other one for the last, and the log stays.
                        if let Some(readers) = readers.get() {
                            let _ = tokio::time::timeout(PARTING, readers.close()).await;
                        }
                        drop(guard);
                        let _ = connection.connection.close().await;
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
        };
        thread::Builder::new().name("fulcrum-ledger".to_owned()).spawn(work).map_err(store)?;
        let files = opened.await.unwrap_or_else(|_| Err(said("its thread has ended")))?;
        Ok((Self { queue }, files))
    }

    /// Runs `work` in a transaction, perhaps with others', and answers when that is durable. An error of `work` other
    /// than of the store must come before it has changed anything. Dropping the future does not undo it.
    pub(super) async fn write<T, D>(&self, is_news: bool, with: D, work: Work<T, D>) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let (asker, answer) = oneshot::channel();
        let ended = || said("its thread has ended");
        self.queue.send(Box::new(Task { work, with, is_news, outcome: None, asker })).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// The connection that writes, and the files that it writes to.
struct Connected {
    connection: SqliteConnection,
    files: Option<Arc<Files>>,
}

async fn serve(
    connected: &mut Connected,
    mut jobs: mpsc::UnboundedReceiver<Box<dyn Job>>,
    changes: watch::Sender<u64>,
) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, MOST).await > 0 {
        let at_work = AtWork::begin().await;
        let outcome = match connected.begin().await {
            Ok(()) => connected.together(&mut batch).await,
            Err(error) => Outcome::Failed(error),
        };
        drop(at_work);
        let Outcome::Blamed(error) = outcome else {
            tell(&mut batch, outcome.into(), &changes);
            continue;
        };
        if batch.len() == 1 {
            tell(&mut batch, Err(error), &changes);
            continue;
        }
        // One of them is to blame: each by itself.
        for job in batch.drain(..) {
            let mut alone = vec![job];
            let _at_work = AtWork::begin().await;
            let outcome = match connected.begin().await {
                Ok(()) => connected.together(&mut alone).await,
                Err(error) => Outcome::Failed(error),
            };
            tell(&mut alone, outcome.into(), &changes);
        }
    }
}

/// What became of a transaction.
enum Outcome {
    Committed,
    /// One of the jobs may be to blame.
    Blamed(LedgerError),
    /// No job would fare better.
    Failed(LedgerError),
}

impl From<Outcome> for Result<()> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Committed => Ok(()),
            Outcome::Blamed(error) | Outcome::Failed(error) => Err(error),
        }
    }
}

fn tell(jobs: &mut Vec<Box<dyn Job>>, committed: Result<()>, changes: &watch::Sender<u64>) {
    if committed.is_ok() && jobs.iter().any(|job| job.is_news()) {
        changes.send_modify(|count| *count += 1);
    }
    jobs.drain(..).for_each(|job| job.answer(&committed));
}

impl Connected {
    async fn begin(&mut self) -> Result<()> {
        self.check()?;
        // Immediate: two processes that write wait for each other instead of failing in the middle.
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await.map(drop).map_err(store)
    }

    /// All jobs in the transaction that was begun, or none. What is written to files that were taken away is not written.
    async fn together(&mut self, jobs: &mut [Box<dyn Job>]) -> Outcome {
        for job in jobs {
            if !job.run(&mut self.connection).await {
                self.roll_back().await;
                return Outcome::Blamed(said("another write of the same moment failed"));
            }
        }
        if let Err(error) = sqlx::query("COMMIT").execute(&mut self.connection).await {
            self.roll_back().await;
            return Outcome::Blamed(store(error));
        }
        self.check().map_or_else(Outcome::Failed, |()| Outcome::Committed)
    }

    /// SQLite may have done so by itself, as where the disk is full.
    async fn roll_back(&mut self) {
        let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
    }

    fn check(&self) -> Result<()> {
        self.files.as_deref().map_or(Ok(()), Files::check)
    }
}
