//! Catches panics: pyo3 would raise them as an exception that `except Exception` misses.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::FutureExt;
use pyo3::prelude::*;

use crate::{error::fault, runtime::Entry};

/// Runs what Python has called. `#[guarded]` puts it around every method and function.
pub(crate) fn guard<T>(call: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let _entry = Entry::new();
    let call = || {
        planted::panic_if_due();
        call()
    };
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(fault(&*panic)))
}

/// The same for what cannot fail otherwise.
pub(crate) fn guard_plain<T>(call: impl FnOnce() -> T) -> PyResult<T> {
    guard(|| Ok(call()))
}

/// The same for what Python awaits. It is small: what it makes is on the heap, and was made there where this is polled.
pub(crate) async fn guard_task<F, T>(make: impl FnOnce() -> F) -> PyResult<T>
where
    F: Future<Output = PyResult<T>>,
{
    let task = async {
        planted::panic_if_due();
        Box::pin(make()).await
    };
    AssertUnwindSafe(task).catch_unwind().await.unwrap_or_else(|panic| Err(fault(&*panic)))
}

/// Panics that the tests plant; only builds with debug assertions have them.
#[cfg(debug_assertions)]
pub(crate) mod planted {
    use std::sync::atomic::{AtomicI64, Ordering};

    use fulcrum_py_macros::guarded;

    /// Calls to go until one panics; none below zero.
    static CALLS_BEFORE_PANIC: AtomicI64 = AtomicI64::new(-1);

    pub(super) fn panic_if_due() {
        if CALLS_BEFORE_PANIC.load(Ordering::Relaxed) >= 0
            && CALLS_BEFORE_PANIC.fetch_sub(1, Ordering::Relaxed) == 0
        {
            panic!("planted by a test");
        }
    }

    /// The call after so many others panics.
    #[guarded]
    #[pyo3(name = "_panic_after")]
    pub(crate) fn panic_after(calls: i64) {
        CALLS_BEFORE_PANIC.store(calls, Ordering::Relaxed);
    }
}

#[cfg(not(debug_assertions))]
mod planted {
    pub(super) fn panic_if_due() {}
}
