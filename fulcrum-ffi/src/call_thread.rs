//! Runs calls that wait or compute on threads of the library. So a caller's stack may be small, and no thread of the host's
//! ever writes to a connection (see [`crate::signals`]).

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::{
    error::fulcrum_error,
    guard::Outcome,
    process::Process,
    signals::{Mask, SignalsBlocked},
};

/// Several times what the deepest document needs.
pub(crate) const STACK_BYTES: usize = 4 << 20;

thread_local! {
    static CALLER: RefCell<Option<Caller>> = const { RefCell::new(None) };
}

/// The caller of the call that this thread makes; its own thread waits.
struct Caller {
    callbacks: Sender<HostCallback>,
    results: Receiver<bool>,
    mask: Mask,
}

/// A callback of the host's with its arguments, to be run on the thread that called.
pub(crate) struct HostCallback(Box<dyn FnOnce() -> bool>);

// SAFETY: it runs on the caller's thread, which has passed callback and userdata; see `new`.
unsafe impl Send for HostCallback {}

impl HostCallback {
    /// # Safety
    /// `call` calls what the caller has passed for its own thread, and has nothing else that belongs to a thread.
    pub(crate) unsafe fn new(call: impl FnOnce() -> bool + 'static) -> Self {
        Self(Box::new(call))
    }

    /// Runs the callback on the caller's thread. Returns false if that thread is gone.
    pub(crate) fn run_on_caller(self) -> bool {
        CALLER.with_borrow(|caller| {
            let Some(caller) = caller else { return false };
            caller.callbacks.send(self).is_ok() && caller.results.recv().unwrap_or(false)
        })
    }
}

/// The signal mask of the caller's thread. The host's callbacks have it on other threads, too.
pub(crate) fn caller_signal_mask() -> Mask {
    CALLER.with_borrow(|caller| caller.as_ref().map(|caller| caller.mask)).unwrap_or_else(|| {
        // This is no thread of the library's: its own mask counts.
        SignalsBlocked::new().before()
    })
}

/// A value that another thread uses while this one waits.
struct AssertSend<T>(T);

// SAFETY: see `run_on_call_thread`, which alone makes it.
unsafe impl<T> Send for AssertSend<T> {}

impl<T> AssertSend<T> {
    fn take(self) -> T {
        self.0
    }
}

/// Makes a call on a thread of the library, and waits for it.
///
/// # Safety
/// `call` has nothing that belongs to a thread: pointers of the caller's, which may be used by whoever makes the call, and
/// what may be sent.
pub(crate) unsafe fn run_on_call_thread(call: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    // SAFETY: the caller's promise above.
    unsafe { run_boxed(Box::new(call)) }
}

/// Compiled once for all calls.
///
/// # Safety
/// That of [`run_on_call_thread`].
unsafe fn run_boxed(call: Box<dyn FnOnce() -> Outcome<()> + '_>) -> Outcome<()> {
    let process = Process::current();
    let ((send, callbacks), (result, results)) = (channel::<HostCallback>(), channel::<bool>());
    let blocked = SignalsBlocked::new();
    let caller = Caller { callbacks: send, results, mask: blocked.before() };
    let call = AssertSend(call);
    let work = move || {
        let call = call.take();
        CALLER.set(Some(caller));
        let outcome =
            catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)));
        // Ends the caller's wait for callbacks.
        drop(CALLER.take());
        outcome
    };
    let thread = thread::Builder::new().name("fulcrum-call".to_owned()).stack_size(STACK_BYTES);
    // SAFETY: what it borrows lives until it has ended, as it is waited for below; but in a forked process, where it does not
    // run. One thread at a time uses what is lent: this one waits, or runs a callback while the other one waits.
    let running = unsafe { thread.spawn_unchecked(work) };
    drop(blocked);
    let running = running.map_err(|error| fulcrum_error::no_thread(&error))?;
    while let Ok(callback) = callbacks.recv() {
        let goes_on = (callback.0)();
        if !process.is_current() {
            // The callback has forked, and this is the child, in which nobody makes the call.
            std::mem::forget((running, callbacks, result));
            return Err(process.forked_error());
        }
        let _ = result.send(goes_on);
    }
    running.join().unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)))
}
