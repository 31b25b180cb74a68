//! Defers pthread_cancel during calls. Cancelling a thread in the middle of a call would unwind through Rust, which aborts the
//! process.

#[cfg(unix)]
use std::{ffi::c_int, marker::PhantomData};

#[cfg(unix)]
unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}
/// Of `pthread.h`.
#[cfg(all(unix, not(target_vendor = "apple")))]
const DISABLE: c_int = 1;
#[cfg(all(unix, target_vendor = "apple"))]
const DISABLE: c_int = 0;

/// While it is there, this thread cannot be cancelled.
#[cfg(unix)]
pub(crate) struct CancellationDisabled {
    before: c_int,
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

#[cfg(unix)]
impl CancellationDisabled {
    pub(crate) fn new() -> Self {
        let mut before = DISABLE;
        // SAFETY: a function of POSIX; it writes one number, which lives here, and cannot fail for this state.
        unsafe { pthread_setcancelstate(DISABLE, &raw mut before) };
        Self { before, thread: PhantomData }
    }
}

#[cfg(unix)]
impl Drop for CancellationDisabled {
    fn drop(&mut self) {
        let mut ignored = DISABLE;
        // SAFETY: as above; the state was this thread's before. It is no cancellation point.
        unsafe { pthread_setcancelstate(self.before, &raw mut ignored) };
    }
}

#[cfg(not(unix))]
pub(crate) struct CancellationDisabled;

#[cfg(not(unix))]
impl CancellationDisabled {
    pub(crate) fn new() -> Self {
        Self
    }
}
