//! Makes a coroutine of a future.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use fulcrum_py_macros::guarded;
use futures::{FutureExt, future::BoxFuture};
use pyo3::{IntoPyObjectExt, exceptions::PyRuntimeError, prelude::*, sync::PyOnceLock};
use tokio::task::AbortHandle;

use crate::{
    guard::guard_task,
    logs,
    owned::Owned,
    runtime::{attach, on_thread, spawn},
};

/// A coroutine. It begins when it is awaited: one that nobody awaits, or that is cancelled before, does nothing. However it
/// ends, the future is dropped with it. The future is made on the library's thread.
pub(crate) fn coroutine<'py, F, T>(
    py: Python<'py>,
    make: impl FnOnce() -> F + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    coroutine_with_sinks(py, make, None)
}

/// The same with coroutines of the host's, which end with it: `sinks` is a `Sinks` of `fulcrum_market._aio`.
pub(crate) fn coroutine_with_sinks<'py, F, T>(
    py: Python<'py>,
    make: impl FnOnce() -> F + Send + 'static,
    sinks: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    static BEGUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let begin: Begin = Box::new(move |tell: Py<PyAny>| {
        async move {
            let outcome = guard_task(make).await;
            // On another thread: the interpreter may be busy for long.
            let told = on_thread(move || {
                attach(|py| {
                    let outcome = outcome.and_then(|value| value.into_py_any(py));
                    let (value, error) = match outcome {
                        Ok(value) => (value, None),
                        Err(error) => (py.None(), Some(error.into_value(py))),
                    };
                    tell.call1(py, (value, error)).map(drop)
                })
            });
            // Whoever waits has gone, with the loop or with the interpreter.
            let _ = told.await;
        }
        .boxed()
    });
    logs::look(py);
    let call = Call { begin: Owned::new(Mutex::new(Some(begin))), running: Mutex::new(None) };
    BEGUN.import(py, "fulcrum_market._aio", "run_call")?.call1((call, sinks))
}

type Begin = Box<dyn FnOnce(Py<PyAny>) -> BoxFuture<'static, ()> + Send>;

/// What `fulcrum_market._aio.run_call` awaits.
#[pyclass(frozen, module = "fulcrum_market")]
struct Call {
    begin: Owned<Mutex<Option<Begin>>>,
    running: Mutex<Option<Owned<AbortHandle>>>,
}

#[guarded]
impl Call {
    /// Begins; `tell` is called with the value and the exception, on a thread of the library's.
    fn begin(&self, py: Python<'_>, tell: Py<PyAny>) -> PyResult<()> {
        let begin = self.begin.get()?.lock().unwrap_or_else(PoisonError::into_inner).take();
        let begin = begin.ok_or_else(|| PyRuntimeError::new_err("this coroutine has begun already"))?;
        let running = Owned::new(spawn(py, begin(tell))?);
        let before = self.running.lock().unwrap_or_else(PoisonError::into_inner).replace(running);
        drop(before);
        Ok(())
    }

    /// Ends what goes on; nothing if all is over.
    fn cancel(&self) {
        let running = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().and_then(Owned::here).cloned()
        };
        if let Some(running) = running {
            running.abort();
        }
    }
}
