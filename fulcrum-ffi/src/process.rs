//! Forks. A forked process has a copy of the memory, but of the threads only the one that has forked: whoever waits for
//! another one there, or for a lock that another one held, waits for ever.

use std::process;
#[cfg(unix)]
use std::sync::Once;

use crate::error::{FULCRUM_FORKED, fulcrum_error};

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

/// Has each fork of the process wait until SQLite is at rest, once and for all.
#[cfg(unix)]
pub(crate) fn register() {
    use fulcrum_core::ledger::{after_fork, before_fork};

    extern "C" fn before() {
        before_fork();
    }
    extern "C" fn after() {
        after_fork();
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both are functions without arguments that neither allocate nor unwind. A library that is unloaded takes its
        // functions off the list.
        let outcome = unsafe { libc::pthread_atfork(Some(before), Some(after), None) };
        // Without memory for it: then a child may be refused a file, in words.
        let _ = outcome;
    });
}

#[cfg(not(unix))]
pub(crate) fn register() {}
