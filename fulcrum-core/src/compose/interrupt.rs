//! Asking the caller often enough whether to go on.

use super::{
    error::ComposeError,
    options::{Progress, Signal},
};

/// Work between two interrupt, in what it takes to look at one offer: fewer than a millisecond's worth.
pub(crate) const OFFERS_PER_CHECK: usize = 4_096;

/// Asks whether to go on charge so much work, wherever it is done.
pub(crate) struct InterruptCheck<'g> {
    should_continue: &'g mut dyn FnMut() -> bool,
    done: usize,
}

impl<'g> InterruptCheck<'g> {
    pub(crate) fn new(should_continue: &'g mut dyn FnMut() -> bool) -> Self {
        Self { should_continue, done: 0 }
    }

    /// Asks at once.
    pub(crate) fn should_continue(&mut self) -> bool {
        self.done = 0;
        (self.should_continue)()
    }

    /// Takes account of work done, and asks if it is time to.
    ///
    /// # Errors
    /// [`ComposeError::Stopped`] if the answer is no.
    pub(crate) fn charge(&mut self, work: usize) -> Result<(), ComposeError> {
        self.done = self.done.saturating_add(work);
        if self.done < OFFERS_PER_CHECK || self.should_continue() {
            Ok(())
        } else {
            Err(ComposeError::Stopped)
        }
    }
}

/// Asks the caller before there is anything to tell.
pub(crate) fn watch_for_stop(watch: &mut dyn FnMut(&Progress) -> Signal) -> Result<(), ComposeError> {
    match watch(&Progress { incumbent: None, bound: None, nodes: 0 }).stop() {
        None => Ok(()),
        Some(_) => Err(ComposeError::Stopped),
    }
}
