//! Threads of the host with small stacks: musl gives 128 KiB, and a stack that overflows ends the process without a word.

use std::{
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

/// With so much left, work goes on where it is.
const ENOUGH: usize = 1 << 20;
/// What the deepest document and a search need, several times over.
const STACK_BYTES: usize = 4 << 20;

/// Work on a stack that suffices: that of the caller, or, where little of it is left, that of a thread of its own. Where no thread can
/// be had, the caller's must do. Python's own objects are used on the caller's stack only.
pub(crate) fn roomy<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if stacker::remaining_stack().is_none_or(|left| left >= ENOUGH) {
        return work();
    }
    let held = Mutex::new(Some(work));
    let take = || held.lock().unwrap_or_else(PoisonError::into_inner).take();
    let done = thread::scope(|scope| {
        let builder = thread::Builder::new().name("fulcrum-call".to_owned()).stack_size(STACK_BYTES);
        let running = builder.spawn_scoped(scope, || take().map(|work| work())).ok()?;
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    });
    // Whoever gets no thread has the work still.
    match (done, take()) {
        (Some(done), _) => done,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("the work was taken by a thread, which was joined"),
    }
}
