//! Asking the caller often enough whether to go on.

use super::{
    error::ComposeError,
    options::{Progress, Signal},
};

/// Work between two looks, in what it takes to look at one offer: fewer than a millisecond's worth.
pub(crate) const BETWEEN_LOOKS: usize = 4_096;

/// Asks whether to go on after so much work, wherever it is done.
pub(crate) struct Looks<'g> {
    goes_on: &'g mut dyn FnMut() -> bool,
    done: usize,
}

impl<'g> Looks<'g> {
    pub(crate) fn new(goes_on: &'g mut dyn FnMut() -> bool) -> Self {
        Self { goes_on, done: 0 }
    }

    /// Asks at once.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.done = 0;
        (self.goes_on)()
    }

    /// Takes account of work done, and asks if it is time to.
    ///
    /// # Errors
    /// [`ComposeError::Stopped`] if the answer is no.
    pub(crate) fn after(&mut self, work: usize) -> Result<(), ComposeError> {
        self.done = self.done.saturating_add(work);
        if self.done < BETWEEN_LOOKS || self.goes_on() { Ok(()) } else { Err(ComposeError::Stopped) }
    }
}

/// Asks the caller before there is anything to tell.
pub(crate) fn watch_for_stop(watch: &mut dyn FnMut(&Progress) -> Signal) -> Result<(), ComposeError> {
    match watch(&Progress { incumbent: None, bound: None, nodes: 0 }) {
        Signal::Continue => Ok(()),
        Signal::Limit | Signal::Cancel => Err(ComposeError::Stopped),
    }
}
