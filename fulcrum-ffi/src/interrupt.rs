//! Interrupts calls that wait.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use crate::{
    error::{FULCRUM_INTERRUPTED, fulcrum_error},
    federation::{OpenFederation, fulcrum_federation},
    guard::Outcome,
};

/// How often a call looks. Nothing wakes it, as a signal handler may only set a number.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How many times somebody has wanted all calls to end.
#[derive(Debug, Default)]
pub(crate) struct Interrupts(AtomicU64);

impl Interrupts {
    /// What a call remembers when it begins.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(SeqCst)
    }

    pub(crate) fn is_newer_than(&self, begin: u64) -> bool {
        self.count() != begin
    }
}

impl OpenFederation {
    /// Waits for what goes on, or for an interruption, which drops it.
    pub(crate) fn wait<T>(&self, goes_on: impl Future<Output = T>) -> Outcome<T> {
        let begin = self.interrupts.count();
        let interrupted = async {
            while !self.interrupts.is_newer_than(begin) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                done = goes_on => Ok(done),
                () = interrupted => Err(fulcrum_error::new(
                    FULCRUM_INTERRUPTED,
                    "the call was interrupted; an order that was under way is in the ledger, and resume takes it up",
                )),
            }
        })
    }
}

/// Ends all calls that other threads are making with a federation, within some 20 ms: those that wait fail with
/// FULCRUM_INTERRUPTED, and a search goes on as if its progress had returned false. Orders that were under way stay in the
/// ledger, and fulcrum_federation_resume() takes them up. Those of fulcrum_federation_purchase_async() go on. Later calls are
/// not touched. May be called in a signal handler: it sets a number, and no more.
///
/// @param federation  borrowed; NULL is fine.
///
/// # Safety
/// `federation` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_interrupt(federation: *const fulcrum_federation) {
    // SAFETY: the caller's promise above.
    if let Some(federation) = unsafe { federation.as_ref() } {
        federation.interrupts().0.fetch_add(1, SeqCst);
    }
}
