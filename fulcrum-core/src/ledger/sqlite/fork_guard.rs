//! Forks. SQLite has locks for all of its databases in a process. One that another thread holds while the process forks is
//! held in the child for ever, and whoever opens a database there waits for it. So a fork waits until SQLite does nothing,
//! and what begins meanwhile waits for the fork. A child that was forked otherwise opens no database.

use std::{
    process,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Acquire, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use super::error::store_error;
use crate::ledger::Result;

/// How long a fork waits for SQLite, which may wait for another process, or for a disk.
const FORK_WAIT_LIMIT: Duration = Duration::from_secs(2);
const FORK_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What SQLite does in this process. No lock: that could be held when the process forks.
static FORK_STATE: AtomicU64 = AtomicU64::new(0);
/// Whether SQLite was at work in the parent when that forked this process.
static WAS_AT_WORK: AtomicBool = AtomicBool::new(false);

/// How often this process's ancestors have forked, as far as they were told: a child in a namespace of its own may have its
/// parent's number.
static FORK_COUNT: AtomicU32 = AtomicU32::new(0);
/// Processes have smaller numbers.
const PROCESS_BITS: u32 = 22;

/// Call this before the process forks, and [`after_fork`] when it has forked or failed to, both in the parent; in the child call
/// [`after_fork_in_child`].
///
/// It waits until SQLite does nothing, two seconds at most, and holds up what would begin. `fulcrum-ffi` and the Python module
/// do it by themselves. A program in Rust that forks, and then opens an SQLite ledger in the child, does it where it forks.
/// Without it the child may be refused that ledger.
pub fn before_fork() {
    let end = Instant::now().checked_add(FORK_WAIT_LIMIT);
    change(|work| Some(ForkState { forks: work.forks.saturating_add(1), ..work }));
    while ForkState::read(FORK_STATE.load(SeqCst)).count > 0 && end.is_none_or(|end| Instant::now() < end) {
        thread::sleep(FORK_POLL_INTERVAL);
    }
}

/// Call this in the parent after each [`before_fork`].
pub fn after_fork() {
    change(|work| Some(ForkState { forks: work.forks.saturating_sub(1), ..work }));
}

/// Call this in the child. Where it is left out, a child with its parent's process id, as in a container, is taken for that.
pub fn after_fork_in_child() {
    FORK_COUNT.fetch_add(1, SeqCst);
}

/// This process, and no other one that its memory may come from.
fn process_tag() -> u32 {
    process::id() ^ FORK_COUNT.load(SeqCst).wrapping_shl(PROCESS_BITS)
}

/// Whether databases may be opened in this process.
pub(super) fn check() -> Result<()> {
    change(Some);
    if !WAS_AT_WORK.load(Acquire) {
        return Ok(());
    }
    Err(store_error(
        "this process was forked while SQLite was at work, so that a file may never open here; use PostgreSQL in forked processes, \
         or fork before the first ledger is opened",
    ))
}

/// Something that SQLite does, until this is dropped.
#[derive(Debug)]
pub(super) struct Activity(u32);

impl Activity {
    /// Waits for a fork that goes on.
    pub(super) async fn begin() -> Self {
        let begun = |work: ForkState| {
            (work.forks == 0).then(|| ForkState { count: work.count.saturating_add(1), ..work })
        };
        while !change(begun) {
            tokio::time::sleep(FORK_POLL_INTERVAL).await;
        }
        Self(process_tag())
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        // What a parent did counts no more.
        change(|work| {
            (work.process == self.0).then(|| ForkState { count: work.count.saturating_sub(1), ..work })
        });
    }
}

/// Whether it was changed: `to` may say no. What a parent was doing is noted, and forgotten.
fn change(to: impl Fn(ForkState) -> Option<ForkState>) -> bool {
    let this = process_tag();
    FORK_STATE
        .fetch_update(SeqCst, SeqCst, |before| {
            let before = ForkState::read(before);
            if before.process != this && before.count > 0 {
                WAS_AT_WORK.store(true, SeqCst);
            }
            to(before.of(this)).map(ForkState::write)
        })
        .is_ok()
}

/// Eight bytes: the process, how many of its threads are about to fork, and what SQLite does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ForkState {
    process: u32,
    forks: u8,
    count: u32,
}

impl ForkState {
    const COUNT_BITS: u32 = 24;

    fn read(bits: u64) -> Self {
        let [a, b, c, d, forks, high, middle, low] = bits.to_be_bytes();
        Self {
            process: u32::from_be_bytes([a, b, c, d]),
            forks,
            count: u32::from_be_bytes([0, high, middle, low]),
        }
    }

    fn write(self) -> u64 {
        let [a, b, c, d] = self.process.to_be_bytes();
        let [_, high, middle, low] = self.count.min((1 << Self::COUNT_BITS) - 1).to_be_bytes();
        u64::from_be_bytes([a, b, c, d, self.forks, high, middle, low])
    }

    /// The same process's, or none.
    fn of(self, process: u32) -> Self {
        if self.process == process { self } else { Self { process, forks: 0, count: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for work in [
            ForkState { process: 1, forks: 0, count: 0 },
            ForkState { process: u32::MAX, forks: 255, count: 7 },
            ForkState { process: 40_000, forks: 1, count: (1 << 24) - 1 },
        ] {
            assert_eq!(ForkState::read(work.write()), work);
            assert_eq!(work.of(work.process), work);
            assert_eq!(work.of(2), ForkState { process: 2, forks: 0, count: 0 });
        }
        assert_eq!(ForkState::read(0), ForkState { process: 0, forks: 0, count: 0 });
    }

    #[tokio::test]
    async fn a_fork_waits_for_what_goes_on_and_holds_up_what_would_begin() {
        let activity = Activity::begin().await;
        let fork = thread::spawn(|| {
            before_fork();
            Instant::now()
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let late = tokio::spawn(Activity::begin());
        assert!(!fork.is_finished());
        let dropped = Instant::now();
        drop(activity);
        let forked = tokio::task::spawn_blocking(|| fork.join()).await.expect("joined").expect("no panic");
        assert!(forked >= dropped);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!late.is_finished(), "it began during a fork");
        after_fork();
        drop(late.await.expect("it begins"));
        assert!(check().is_ok());
    }
}
