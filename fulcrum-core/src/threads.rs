//! Work that blocks, on threads that the system may refuse.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::JoinError};

/// What to do where the system gives no thread.
const NO_THREAD: &str = "no thread can be started; end others, or raise the limit (ulimit -u, pids.max)";

/// Why work has no answer.
#[derive(Debug)]
pub(crate) enum Unfinished {
    /// The work did not begin, and never will.
    NoThread,
    /// It panicked, or the runtime ends.
    Lost(JoinError),
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread => f.write_str(NO_THREAD),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

/// Runs work on a thread that it may block; it goes on where the future is dropped.
///
/// # Panics
/// Outside of a runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let handle = Handle::current();
    // The runtime panics where it gets no first thread, and keeps the work for a later one: so it keeps no more than this.
    let held = Arc::new(Mutex::new(Some(work)));
    let take = |held: &Mutex<Option<_>>| held.lock().unwrap_or_else(PoisonError::into_inner).take();
    let run = {
        let held = held.clone();
        move || take(&held).map(|work| work())
    };
    match catch_unwind(AssertUnwindSafe(|| handle.spawn_blocking(run))) {
        Ok(task) => match task.await {
            Ok(answer) => answer.ok_or(Unfinished::NoThread),
            Err(error) => Err(Unfinished::Lost(error)),
        },
        Err(panic) => match take(&held) {
            Some(_) => Err(Unfinished::NoThread),
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
        let outcome = without_threads().block_on(blocking(move || runs.store(true, Ordering::SeqCst)));
        assert!(matches!(outcome, Err(Unfinished::NoThread)), "{outcome:?}");
        assert!(!has_run.load(Ordering::SeqCst));
        assert_eq!(Arc::strong_count(&has_run), 1, "the work is kept");
    }

    #[test]
    fn a_panic_of_the_work_is_lost_and_no_lack_of_threads() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let outcome = runtime.block_on(blocking(|| assert_eq!(1, 2, "planted")));
        assert!(matches!(outcome, Err(Unfinished::Lost(error)) if error.is_panic()));
        assert_eq!(runtime.block_on(blocking(|| 7)).expect("an answer"), 7);
    }
}
