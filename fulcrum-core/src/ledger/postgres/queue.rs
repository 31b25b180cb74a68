//! The write queue: which writes share a transaction, and which wait.
//!
//! Writes of one order keep their sequence, one batch at a time. A write to a row that another session has locked is tried again
//! for a while; all other orders go on. The same holds for writes of a session that has ended, as in a fail-over.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};

use super::{
    batch,
    error::store_error,
    job::{BatchOutcome, Job, JobOutcome, RefusalCause},
};
use crate::{
    ledger::{LedgerError, Result, WriteReceipt},
    model::OrderId,
};

/// Writes in one transaction at most.
const MAX_WRITES_PER_TRANSACTION: usize = 256;
/// Transactions under way at once, so that one can be filled while another becomes durable.
const MAX_TRANSACTIONS_IN_FLIGHT: usize = 2;
/// How long a write waits for a row that another session has locked, and for a session that can write.
const LOCK_WAIT_LIMIT: Duration = Duration::from_secs(10);
/// The first wait for such a row; each next one is twice as long, up to a second.
const FIRST_WAIT: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Orders in a batch that is under way.
    busy: HashSet<OrderId>,
    /// Orders that are tried again then, and how long the wait was.
    later: HashMap<OrderId, (Instant, Duration)>,
}

impl Queue {
    /// The next batch, if one can begin now.
    fn next(&mut self, now: Instant) -> Option<Vec<Job>> {
        let mut batch = Vec::new();
        let (mut passed, mut rest) = (HashSet::new(), Vec::new());
        while batch.len() < MAX_WRITES_PER_TRANSACTION
            && !batch.first().is_some_and(|first: &Job| first.is_alone)
            && let Some(job) = self.waiting.pop_front()
        {
            let order = &job.claim.order;
            let must_wait = self.busy.contains(order)
                || passed.contains(order)
                || self.later.get(order).is_some_and(|(due, _)| *due > now)
                || (job.is_alone && !batch.is_empty());
            if must_wait {
                passed.insert(order.clone());
                rest.push(job);
            } else {
                batch.push(job);
            }
        }
        rest.into_iter().rev().for_each(|job| self.waiting.push_front(job));
        self.busy.extend(batch.iter().map(|job| job.claim.order.clone()));
        (!batch.is_empty()).then_some(batch)
    }

    /// When an order is due that waits for a lock.
    fn due(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().filter(|job| !self.busy.contains(&job.claim.order));
        waiting.filter_map(|job| self.later.get(&job.claim.order).map(|(due, _)| *due)).min()
    }

    /// Puts jobs back in front, each for a later try.
    fn requeue(&mut self, jobs: Vec<Job>, now: Instant) {
        for job in jobs.into_iter().rev() {
            let wait = self.later.get(&job.claim.order).map_or(FIRST_WAIT, |(_, wait)| *wait * 2);
            let wait = wait.min(Duration::from_secs(1));
            self.later.insert(job.claim.order.clone(), (now + wait, wait));
            self.waiting.push_front(job);
        }
    }
}

/// Writes what comes, until nobody can send any more.
pub(super) async fn run_queue(
    pool: PgPool,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    changes: watch::Sender<u64>,
) {
    let (mut queue, mut under_way, mut arrived) = (Queue::default(), FuturesUnordered::new(), Vec::new());
    let mut is_open = true;
    while is_open || !under_way.is_empty() || !queue.waiting.is_empty() {
        while under_way.len() < MAX_TRANSACTIONS_IN_FLIGHT
            && let Some(batch) = queue.next(Instant::now())
        {
            let pool = pool.clone();
            let orders: Vec<OrderId> = batch.iter().map(|job| job.claim.order.clone()).collect();
            let written = tokio::spawn(async move {
                let outcome = batch::write(&pool, &batch).await;
                (batch, outcome)
            });
            under_way.push(async move { (orders, written.await) });
        }
        let due = queue.due().filter(|_| under_way.len() < MAX_TRANSACTIONS_IN_FLIGHT);
        tokio::select! {
            count = jobs.recv_many(&mut arrived, MAX_WRITES_PER_TRANSACTION), if is_open => {
                is_open = count > 0;
                queue.waiting.extend(arrived.drain(..));
            }
            Some((orders, written)) = under_way.next() => {
                for order in &orders {
                    queue.busy.remove(order);
                }
                // Else it has panicked, and whoever asked hears that nobody answers.
                if let Ok((batch, outcome)) = written {
                    apply_outcome(&mut queue, batch, outcome, &changes);
                }
            }
            () = wait_until(due) => {}
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Answers what is decided, and puts back what is to be tried again.
fn apply_outcome(queue: &mut Queue, batch: Vec<Job>, outcome: BatchOutcome, changes: &watch::Sender<u64>) {
    let now = Instant::now();
    match outcome {
        BatchOutcome::Committed(each) => {
            let mut again = Vec::new();
            // Before the answers: whoever has written knows that others hear of it.
            if each.iter().any(|each| matches!(each, JobOutcome::Written(_))) {
                changes.send_modify(|count| *count += 1);
            }
            for (job, each) in batch.into_iter().zip(each) {
                match each {
                    JobOutcome::Busy => again.push(job),
                    JobOutcome::Fenced => {
                        answer(queue, job, |job| Err(LedgerError::Fenced(job.claim.order.clone())))
                    }
                    JobOutcome::Written(written) => answer(queue, job, |_| Ok(written)),
                }
            }
            retry(queue, again, now, &locked);
        }
        BatchOutcome::Refused(_, RefusalCause::Write | RefusalCause::Lock) if batch.len() > 1 => {
            // Each by itself, at once.
            let alone = batch.into_iter().map(|job| Job { is_alone: true, ..job });
            let alone: Vec<Job> = alone.collect();
            alone.into_iter().rev().for_each(|job| queue.waiting.push_front(job));
        }
        BatchOutcome::Refused(error, RefusalCause::Lock | RefusalCause::Session) => {
            retry(queue, batch, now, &|_| error.clone())
        }
        BatchOutcome::Refused(error, RefusalCause::Write) | BatchOutcome::Failed(error) => {
            batch.into_iter().for_each(|job| answer(queue, job, |_| Err(error.clone())));
        }
    }
}

fn retry(queue: &mut Queue, jobs: Vec<Job>, now: Instant, why: &dyn Fn(&Job) -> LedgerError) {
    let (again, over): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| now.duration_since(job.since) < LOCK_WAIT_LIMIT);
    queue.requeue(again, now);
    over.into_iter().for_each(|job| answer(queue, job, |job| Err(why(job))));
}

fn answer(queue: &mut Queue, job: Job, outcome: impl FnOnce(&Job) -> Result<WriteReceipt>) {
    queue.later.remove(&job.claim.order);
    let outcome = outcome(&job);
    // Who has asked may have lost interest; what is written stays.
    let _ = job.reply_to.send(outcome);
}

fn locked(job: &Job) -> LedgerError {
    store_error(format!(
        "another session of the database has held a lock on order {} for {LOCK_WAIT_LIMIT:?}; end that session, which pg_locks names, \
         and drive the order again",
        job.claim.order
    ))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::ledger::{Claim, OrderUpdate, unknown_fields::Texts};

    fn job(order: &OrderId) -> Job {
        let claim = Claim { order: order.clone(), token: 1, until: jiff::Timestamp::UNIX_EPOCH };
        Job::new(claim, OrderUpdate::default(), Texts::default(), oneshot::channel().0)
    }

    fn orders(batch: Option<Vec<Job>>) -> Vec<OrderId> {
        batch.into_iter().flatten().map(|job| job.claim.order).collect()
    }

    #[test]
    fn writes_of_one_order_stay_in_their_order_and_others_pass_by() {
        let (now, [one, other]) = (Instant::now(), [OrderId::generate(), OrderId::generate()]);
        let mut queue = Queue::default();
        queue.waiting.extend([job(&one), job(&one), job(&other)]);
        assert_eq!(orders(queue.next(now)), [one.clone(), one.clone(), other.clone()]);
        queue.waiting.extend([job(&one)]);
        assert!(queue.next(now).is_none(), "its order is in a batch under way");
        queue.busy.clear();
        // Locked: what comes later for it waits behind, what comes for another one does not.
        queue.requeue(vec![job(&one)], now);
        queue.waiting.extend([job(&other)]);
        assert_eq!(orders(queue.next(now)), [other]);
        assert_eq!(queue.due(), Some(now + FIRST_WAIT));
        assert_eq!(orders(queue.next(now + FIRST_WAIT)), [one.clone(), one]);
    }

    #[test]
    fn a_lock_is_tried_again_after_ever_longer_waits_of_at_most_a_second() {
        let (now, order) = (Instant::now(), OrderId::generate());
        let mut queue = Queue::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            queue.requeue(vec![job(&order)], now);
            waits.push(queue.later[&order].1);
            queue.waiting.clear();
        }
        assert_eq!((waits[0], waits[1], waits[11]), (FIRST_WAIT, FIRST_WAIT * 2, Duration::from_secs(1)));
    }

    #[test]
    fn a_write_that_may_be_to_blame_is_tried_alone() {
        let (now, ids) = (Instant::now(), [OrderId::generate(), OrderId::generate()]);
        let mut queue = Queue::default();
        queue.waiting.extend([Job { is_alone: true, ..job(&ids[0]) }, job(&ids[1])]);
        assert_eq!(orders(queue.next(now)), [ids[0].clone()]);
        assert_eq!(orders(queue.next(now)), [ids[1].clone()]);
    }
}
