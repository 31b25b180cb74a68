//! Detects forks. A child process has a copy of the memory, but only the thread that forked. Waiting there for another
//! thread, or for a lock that another thread held, would never end.

#[cfg(unix)]
use std::sync::Once;
use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::error::{FULCRUM_FORKED, fulcrum_error};

/// How many forks led to this process. The process id alone is not enough: in a PID namespace a child may have its parent's.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process that a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    forks: u32,
}

impl Process {
    pub(crate) fn current() -> Self {
        Self { id: process::id(), forks: FORKS.load(Relaxed) }
    }

    pub(crate) fn is_current(self) -> bool {
        self == Self::current()
    }

    /// The error for a child that uses its parent's federation.
    pub(crate) fn forked_error(self) -> fulcrum_error {
        let message = format!(
            "this federation was open_federation by process {}, which then forked; open one in this process, {}, and use that",
            self.id,
            process::id()
        );
        fulcrum_error::new(FULCRUM_FORKED, &message)
    }
}

/// Registers handlers that make each fork wait until SQLite is at rest. Only the first call does so.
#[cfg(unix)]
pub(crate) fn register_fork_handlers() {
    use fulcrum_core::ledger::{after_fork, after_fork_in_child, before_fork};

    extern "C" fn before() {
        before_fork();
    }
    extern "C" fn after() {
        after_fork();
    }
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Relaxed);
        after_fork_in_child();
        crate::metrics::forget_in_child();
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: all are functions without arguments that neither allocate nor unwind. A library that is unloaded takes its
        // functions off the list.
        let outcome = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(in_child)) };
        // Without memory for it: then a child may be refused a file, in words.
        let _ = outcome;
    });
}

#[cfg(not(unix))]
pub(crate) fn register_fork_handlers() {}
