//! Calls that wait or compute run on threads of the library. So a caller's stack may be small, no connection is ever written
//! to on a thread of the host's (see [`crate::signals`]), and whatever a call starts is the library's, too.

use std::{
    cell::RefCell,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::{
    compose::fulcrum_progress,
    error::fulcrum_error,
    guard::Outcome,
    process::Process,
    signals::{Mask, SignalsBlocked},
};

/// What the deepest document needs, several times over.
const STACK_BYTES: usize = 4 << 20;

thread_local! {
    static CALLER: RefCell<Option<Caller>> = const { RefCell::new(None) };
}

/// Whoever waits for the call that this thread makes.
struct Caller {
    ask: Sender<HostCallback>,
    answers: Receiver<bool>,
    mask: Mask,
}

/// Something that the host wants to be told on the thread that called.
pub(crate) struct HostCallback {
    pub(crate) callback: unsafe extern "C" fn(*mut c_void, *const fulcrum_progress) -> bool,
    pub(crate) userdata: *mut c_void,
    pub(crate) progress: fulcrum_progress,
}

// SAFETY: it goes back to the thread that has brought callback and userdata.
unsafe impl Send for HostCallback {}

impl HostCallback {
    /// Runs it on the thread of the caller; false if that is gone.
    pub(crate) fn run_on_caller(self) -> bool {
        CALLER.with_borrow(|caller| {
            let Some(caller) = caller else { return false };
            caller.ask.send(self).is_ok() && caller.answers.recv().unwrap_or(false)
        })
    }

    fn run(&self) -> bool {
        // SAFETY: this is the caller's thread; it gave both for this, and `progress` lives for the call.
        unsafe { (self.callback)(self.userdata, &raw const self.progress) }
    }
}

/// Which signals the caller's thread takes: those that code of the host's takes on other threads, too.
pub(crate) fn caller_signal_mask() -> Mask {
    CALLER.with_borrow(|caller| caller.as_ref().map(|caller| caller.mask)).unwrap_or_else(|| {
        // Nobody waits: code of the host's on this thread takes what the thread takes.
        SignalsBlocked::new().before()
    })
}

/// What another thread uses while this one waits.
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
    let process = Process::current();
    let ((ask, errands), (answer, answers)) = (channel::<HostCallback>(), channel::<bool>());
    let blocked = SignalsBlocked::new();
    let caller = Caller { ask, answers, mask: blocked.before() };
    let lent = AssertSend(call);
    let work = move || {
        let call = lent.take();
        CALLER.set(Some(caller));
        let outcome =
            catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)));
        // Whoever waits for errands hears that there are none left.
        drop(CALLER.take());
        outcome
    };
    let thread = thread::Builder::new().name("fulcrum-call".to_owned()).stack_size(STACK_BYTES);
    // SAFETY: what it borrows lives until it has ended, as it is waited for below; but in a forked process, where it does not
    // run. One thread at a time uses what is lent: this one waits, or runs an errand while the other one waits.
    let running = unsafe { thread.spawn_unchecked(work) };
    drop(blocked);
    let running = running.map_err(|error| fulcrum_error::no_thread(&error))?;
    while let Ok(errand) = errands.recv() {
        let goes_on = errand.run();
        if !process.is_current() {
            // The callback has forked, and this is the child, in which nobody makes the call.
            std::mem::forget((running, errands, answer));
            return Err(process.forked_error());
        }
        let _ = answer.send(goes_on);
    }
    running.join().unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)))
}
