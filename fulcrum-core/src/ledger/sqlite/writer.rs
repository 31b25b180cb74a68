//! Group commit: what several drivers write at the same time becomes durable together, by one flush of the disk
//! (D. J. DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984, §5.2).
//!
//! SQLite has one writer at a time anyway. Here that is a thread: it takes all that waits, writes it in one
//! transaction and answers when that is durable. Nothing waits for company: a lone write is committed at once.

use std::thread;

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot, watch};

use crate::ledger::{LedgerError, Result, migrations, stored::store};

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
            (_, Err(error)) => Err(LedgerError::Store(error.to_string())),
            (None, Ok(())) => Err(LedgerError::Store("not written".to_owned())),
        };
        // Who has asked may have lost interest; what is written stays.
        let _ = self.asker.send(answer);
    }
}

impl Writer {
    /// Connects, and brings the tables up to date.
    pub(super) async fn open(options: SqliteConnectOptions, changes: watch::Sender<u64>) -> Result<Self> {
        let (queue, jobs) = mpsc::unbounded_channel();
        let (tell, opened) = oneshot::channel();
        // A thread with a runtime of its own: the ledger goes on when the runtime that opened it has ended.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(store)?;
        let work = move || {
            runtime.block_on(async move {
                let connected = async {
                    let mut connection = SqliteConnection::connect_with(&options).await.map_err(store)?;
                    migrations::sqlite().run(&mut connection).await.map_err(store)?;
                    Ok(connection)
                };
                match connected.await {
                    Ok(connection) => {
                        let _ = tell.send(Ok(()));
                        serve(connection, jobs, changes).await;
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
        };
        thread::Builder::new().name("fulcrum-ledger".to_owned()).spawn(work).map_err(store)?;
        opened.await.unwrap_or_else(|_| Err(LedgerError::Store("its thread has ended".to_owned())))?;
        Ok(Self { queue })
    }

    /// Runs `work` in a transaction, perhaps with others', and answers when that is durable. An error of `work` other
    /// than of the store must come before it has changed anything. Dropping the future does not undo it.
    pub(super) async fn write<T, D>(&self, is_news: bool, with: D, work: Work<T, D>) -> Result<T>
    where
        T: Send + 'static,
        D: Send + Sync + 'static,
    {
        let (asker, answer) = oneshot::channel();
        let ended = || LedgerError::Store("its thread has ended".to_owned());
        self.queue.send(Box::new(Task { work, with, is_news, outcome: None, asker })).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

async fn serve(
    mut connection: SqliteConnection,
    mut jobs: mpsc::UnboundedReceiver<Box<dyn Job>>,
    changes: watch::Sender<u64>,
) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, MOST).await > 0 {
        if let Err(error) = begin(&mut connection).await {
            tell(&mut batch, &Err(error), &changes);
            continue;
        }
        let committed = together(&mut connection, &mut batch).await;
        if committed.is_ok() || batch.len() == 1 {
            tell(&mut batch, &committed, &changes);
            continue;
        }
        // One of them is to blame: each by itself.
        for job in batch.drain(..) {
            let mut alone = vec![job];
            let committed = match begin(&mut connection).await {
                Ok(()) => together(&mut connection, &mut alone).await,
                Err(error) => Err(error),
            };
            tell(&mut alone, &committed, &changes);
        }
    }
}

fn tell(jobs: &mut Vec<Box<dyn Job>>, committed: &Result<()>, changes: &watch::Sender<u64>) {
    if committed.is_ok() && jobs.iter().any(|job| job.is_news()) {
        changes.send_modify(|count| *count += 1);
    }
    jobs.drain(..).for_each(|job| job.answer(committed));
}

async fn begin(connection: &mut SqliteConnection) -> Result<()> {
    // Immediate: two processes that write wait for each other instead of failing in the middle.
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await.map(drop).map_err(store)
}

/// All jobs in the transaction that was begun, or none.
async fn together(connection: &mut SqliteConnection, jobs: &mut [Box<dyn Job>]) -> Result<()> {
    let mut is_good = true;
    for job in jobs {
        is_good = job.run(connection).await;
        if !is_good {
            break;
        }
    }
    let committed = match is_good {
        true => sqlx::query("COMMIT").execute(&mut *connection).await.map(drop).map_err(store),
        false => Err(LedgerError::Store("another write of the same moment failed".to_owned())),
    };
    if committed.is_err() {
        // SQLite may have rolled back by itself, as where the disk is full.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    committed
}
