//! Forks. A forked process has a copy of the memory, but of the threads only the one that has forked: whoever waits for
//! another one there, or for a lock that another one held, waits for ever.

use std::{
    process,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use crate::{
    error::{FULCRUM_FORKED, fulcrum_error},
    guard::Outcome,
};

/// The process, and how many calls of the library are under way in it. No lock: that could be held when the process forks.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Whether calls were under way in the parent when it forked this process.
static WAS_BUSY: AtomicBool = AtomicBool::new(false);

/// The process that somebody or something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn this() -> Self {
        Self(process::id())
    }

    pub(crate) fn is_this(self) -> bool {
        self == Self::this()
    }

    /// What a forked process is told about what belongs to its parent.
    pub(crate) fn left(self) -> fulcrum_error {
        let message = format!(
            "this federation was opened by process {}, which then forked; open one in this process, {}, and use that",
            self.0,
            process::id()
        );
        fulcrum_error::new(FULCRUM_FORKED, &message)
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Call(Process);

impl Call {
    pub(crate) fn begin() -> Self {
        let this = Process::this();
        let _ = CALLS.fetch_update(SeqCst, SeqCst, |seen| {
            let (process, count) = split(seen);
            if process == this || seen == 0 {
                return Some(joined(this, count.saturating_add(1)));
            }
            if count > 0 {
                WAS_BUSY.store(true, SeqCst);
            }
            Some(joined(this, 1))
        });
        Self(this)
    }
}

/// SQLite has locks of its own for all files in a process; one that another thread held when the process forked is held for
/// ever. A forked process opens such a ledger only if no call was under way then.
pub(crate) fn check_locks(is_sqlite: bool) -> Outcome<()> {
    if !(is_sqlite && WAS_BUSY.load(SeqCst)) {
        return Ok(());
    }
    let message = "this process was forked while calls of the library or orders were under way, so that a ledger of SQLite may \
                   wait for ever; fork while none are, or before the first, or use a ledger of PostgreSQL here";
    Err(fulcrum_error::new(FULCRUM_FORKED, message))
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = CALLS.fetch_update(SeqCst, SeqCst, |seen| {
            let (process, count) = split(seen);
            // A call of the parent's counts no more.
            (process == self.0 && self.0.is_this()).then(|| joined(process, count.saturating_sub(1)))
        });
    }
}

fn split(calls: u64) -> (Process, u32) {
    let low = u32::try_from(calls & u64::from(u32::MAX)).unwrap_or_default();
    (Process(u32::try_from(calls >> 32).unwrap_or_default()), low)
}

fn joined(process: Process, count: u32) -> u64 {
    (u64::from(process.0) << 32) | u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_split_again() {
        for (process, count) in [(1, 0), (u32::MAX, 7), (40_000, u32::MAX)] {
            assert_eq!(split(joined(Process(process), count)), (Process(process), count));
        }
    }
}
