//! Asks the caller often enough whether to go on.

use super::{
    error::ComposeError,
    options::{Progress, Signal},
};

/// Work between two questions to the caller, in offers looked at: less than a millisecond.
pub(crate) const OFFERS_PER_CHECK: usize = 4_096;

/// Counts work and asks the caller whether to go on.
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

    /// Adds work, and asks the caller if enough work was done since the last question.
    ///
    /// # Errors
    /// [`ComposeError::Stopped`] if the caller says stop.
    pub(crate) fn charge(&mut self, work: usize) -> Result<(), ComposeError> {
        self.done = self.done.saturating_add(work);
        if self.done < OFFERS_PER_CHECK || self.should_continue() {
            Ok(())
        } else {
            Err(ComposeError::STOPPED)
        }
    }
}

/// Asks the caller before there is any progress to report.
pub(crate) fn watch_for_stop(watch: &mut dyn FnMut(&Progress) -> Signal) -> Result<(), ComposeError> {
    match watch(&Progress { incumbent: None, bound: None, nodes: 0 }).stop() {
        None => Ok(()),
        Some(_) => Err(ComposeError::STOPPED),
    }
}
