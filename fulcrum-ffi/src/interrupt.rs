//! Interrupts calls that wait.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use crate::{
    error::fulcrum_error,
    federation::{OpenFederation, fulcrum_federation},
    guard::Outcome,
    task,
};

/// How often a waiting call checks for an interruption. A signal handler may only set a number, so nothing wakes the call.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Counts interruptions.
#[derive(Debug, Default)]
pub(crate) struct Interrupts(AtomicU64);

impl Interrupts {
    /// The count so far; a call remembers it when it begins.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(SeqCst)
    }

    /// Ends the calls under way.
    pub(crate) fn interrupt(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn is_newer_than(&self, begin: u64) -> bool {
        self.count() != begin
    }
}

impl OpenFederation {
    /// Drives a future to its end; an interruption drops the future.
    pub(crate) fn wait<T>(&self, goes_on: impl Future<Output = T>) -> Outcome<T> {
        let begin = self.interrupts.count();
        let interrupted = async {
            while !self.interrupts.is_newer_than(begin) && !task::is_cancelled() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = goes_on => Ok(done),
                () = interrupted => Err(fulcrum_error::interrupted()),
            }
        })
    }
}

/// Interrupts all calls that other threads are making with a federation, within about 20 ms. Calls that wait fail
/// with FULCRUM_INTERRUPTED; a search ends as if its progress callback had returned false. Orders under way stay in
/// the ledger, and fulcrum_federation_resume() takes them up; orders of fulcrum_federation_purchase_async() go on. So end
/// tasks, too; fulcrum_task_cancel() ends one.
/// Later calls are not affected. Safe in a signal handler.
///
/// @param federation  borrowed; NULL is fine.
///
/// # Safety
/// `federation` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_interrupt(federation: *const fulcrum_federation) {
    // SAFETY: the caller's promise above.
    if let Some(federation) = unsafe { federation.as_ref() } {
        federation.interrupts().interrupt();
    }
}
