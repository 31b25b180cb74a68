//! Blocking work, on threads that the system may refuse.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinError};

/// The message where the system gives no thread.
const NO_THREAD: &str = "no thread can be started; end others, or raise the limit (ulimit -u, pids.max)";

/// Why blocking work has no result.
#[derive(Debug)]
pub(crate) enum BlockingError {
    /// The work did not begin, and never will.
    NoThread,
    /// The work panicked, or the runtime ends.
    Lost(JoinError),
}

impl fmt::Display for BlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread => f.write_str(NO_THREAD),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

/// Runs work on a thread that it may block. The work goes on if the future is dropped.
///
/// # Panics
/// Outside of a runtime.
pub(crate) async fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingError> {
    let handle = Handle::current();
    // Without a first thread the runtime panics, and keeps the work for a later one: so it gets a slot that can be emptied.
    let slot = Arc::new(Mutex::new(Some(work)));
    let take = |slot: &Mutex<Option<_>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let run = {
        let slot = slot.clone();
        move || take(&slot).map(|work| work())
    };
    match catch_unwind(AssertUnwindSafe(|| handle.spawn_blocking(run))) {
        Ok(task) => match task.await {
            Ok(answer) => answer.ok_or(BlockingError::NoThread),
            Err(error) => Err(BlockingError::Lost(error)),
        },
        Err(panic) => match take(&slot) {
            Some(_) => Err(BlockingError::NoThread),
            None => std::panic::resume_unwind(panic),
        },
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::Builder;

    use super::*;

    /// A stack that no address space holds: as where the system refuses each thread.
    fn without_threads() -> tokio::runtime::Runtime {
        Builder::new_current_thread().thread_stack_size(1 << 47).build().expect("a runtime")
    }

    #[test]
    fn without_a_thread_the_work_never_runs_and_says_so() {
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = has_run.clone();
        let outcome = without_threads().block_on(spawn_blocking(move || runs.store(true, Ordering::SeqCst)));
        assert!(matches!(outcome, Err(BlockingError::NoThread)), "{outcome:?}");
        assert!(!has_run.load(Ordering::SeqCst));
        assert_eq!(Arc::strong_count(&has_run), 1, "the work is kept");
    }

    #[test]
    fn a_panic_of_the_work_is_lost_and_no_lack_of_threads() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let outcome = runtime.block_on(spawn_blocking(|| assert_eq!(1, 2, "planted")));
        assert!(matches!(outcome, Err(BlockingError::Lost(error)) if error.is_panic()));
        assert_eq!(runtime.block_on(spawn_blocking(|| 7)).expect("an answer"), 7);
    }
}
