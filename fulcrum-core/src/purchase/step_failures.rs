//! The failures of an order's steps while they run side by side.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    model::{Shortage, Step},
    provider::ErrorKind,
};

/// Characters of an error that are kept.
pub(super) const MAX_WORDS: usize = 1000;

/// Filled by many steps at once.
#[derive(Debug, Default)]
pub(super) struct Failures {
    outcome: Mutex<Outcome>,
    must_stop: AtomicBool,
}

/// What a round of steps has come to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Why the order cannot go on.
    pub(super) reason_to_undo: Option<String>,
    /// Steps that were given up.
    pub(super) failed: BTreeSet<u32>,
}

impl Failures {
    pub(super) fn add(&self, step: &Step, why: &str, can_go_on: bool) {
        if !can_go_on {
            self.stop(format!("{} at {}: {}", step.lease.sku, step.provider, cut(why)));
        }
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).failed.insert(step.index);
    }

    /// Stops the steps between two calls; the first reason counts.
    pub(super) fn stop(&self, reason: String) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.reason_to_undo.get_or_insert(reason);
        self.must_stop.store(true, Ordering::Release);
    }

    /// Whether a step was given up in this round.
    pub(super) fn has(&self, step: &Step) -> bool {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).failed.contains(&step.index)
    }

    /// Whether any step was given up in this round.
    pub(super) fn is_any(&self) -> bool {
        !self.outcome.lock().unwrap_or_else(PoisonError::into_inner).failed.is_empty()
    }

    pub(super) fn must_stop(&self) -> bool {
        self.must_stop.load(Ordering::Acquire)
    }

    /// Takes the outcome, and begins anew.
    pub(super) fn take(&mut self) -> Outcome {
        let outcome = self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner);
        *self.must_stop.get_mut() = false;
        std::mem::take(outcome)
    }
}

/// A provider's words, shortened and on one line: a reply must not fill the ledger.
pub(super) fn cut(words: &str) -> String {
    crate::provider::single_line(words, MAX_WORDS)
}

/// The shortage that an error tells of.
pub(super) fn shortage_of(kind: &ErrorKind) -> Option<Shortage> {
    match kind {
        ErrorKind::CapacityExhausted { .. } => Some(Shortage::SoldOut),
        ErrorKind::QuotaExceeded { .. } => Some(Shortage::Quota),
        _ => None,
    }
}

/// The kind of a failure that no call returned.
pub(super) fn kind_of(shortage: Option<Shortage>) -> &'static str {
    match shortage {
        Some(Shortage::SoldOut) => "capacity_exhausted",
        Some(Shortage::Quota) => "quota_exceeded",
        Some(Shortage::Unavailable) => "unavailable",
        None => "operation_failed",
    }
}
