//! Threads for what waits, Ctrl-C while it does, and their end before the interpreter's.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    sync::PyOnceLock,
    types::{PyCFunction, PyDict, PyTuple},
};
use pyo3_async_runtimes::{
    TaskLocals,
    generic::{self, ContextExt},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinError, JoinHandle},
};

/// How often a waiting call looks for Ctrl-C.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);
/// How long work that is under way may take to stop when the interpreter ends.
const GRACE: Duration = Duration::from_secs(5);

/// The threads and the process that they are in; they start with the first call that needs them.
static RUNTIME: Mutex<State> = Mutex::new(State::NotStarted);

enum State {
    NotStarted,
    Running { runtime: Runtime, process: u32 },
    Ended,
}

/// The threads, which a forked child does not have: it would wait for ever.
fn handle() -> PyResult<Handle> {
    let mut state = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*state, State::NotStarted) {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("fulcrum").enable_all().build()?;
        *state = State::Running { runtime, process: std::process::id() };
    }
    match &*state {
        State::Running { runtime, process } if *process == std::process::id() => Ok(runtime.handle().clone()),
        State::Running { .. } => Err(PyRuntimeError::new_err(
            "fulcrum was used before this process was forked; use the start method \"spawn\"",
        )),
        State::NotStarted | State::Ended => Err(PyRuntimeError::new_err("the interpreter is ending")),
    }
}

/// Called at exit: a thread that asks for the interpreter after its end would abort the process. What is under way
/// is dropped; orders stay in their ledger, resumable.
#[pyfunction]
#[pyo3(name = "_shutdown")]
pub(crate) fn shutdown(py: Python<'_>) {
    py.detach(|| {
        let state =
            std::mem::replace(&mut *RUNTIME.lock().unwrap_or_else(PoisonError::into_inner), State::Ended);
        match state {
            State::Running { runtime, process } if process == std::process::id() => {
                runtime.shutdown_timeout(GRACE)
            }
            // The threads are the parent's: there is nothing to join here.
            State::Running { runtime, .. } => std::mem::forget(runtime),
            State::NotStarted | State::Ended => {}
        }
    });
}

/// Waits without holding the interpreter. Ctrl-C drops the future.
pub(crate) fn wait<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let handle = handle()?;
    py.detach(|| {
        handle.block_on(async {
            let mut future = pin!(future);
            loop {
                match tokio::time::timeout(SIGNAL_INTERVAL, future.as_mut()).await {
                    Ok(value) => return Ok(value),
                    Err(_) => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    })
}

/// A coroutine. It begins when it is awaited: one that nobody awaits, or that is cancelled before, does nothing. Cancelling
/// it later drops the future.
pub(crate) fn awaitable<'py, T>(
    py: Python<'py>,
    future: impl Future<Output = PyResult<T>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    static BEGUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    handle()?;
    let future = Mutex::new(Some(future));
    let begin = move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<Py<PyAny>> {
        let taken = future.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken = taken.ok_or_else(|| PyRuntimeError::new_err("this coroutine has begun already"))?;
        generic::future_into_py::<Threads, _, T>(arguments.py(), taken).map(Bound::unbind)
    };
    let begin = PyCFunction::new_closure(py, None, None, begin)?;
    BEGUN.import(py, "fulcrum._aio", "begun")?.call1((begin,))
}

/// Our threads, as the bridge to asyncio wants to see them.
struct Threads;

impl Threads {
    /// The first call of an awaitable has looked already; at the interpreter's end a task is dropped.
    fn spawn_or_drop(task: impl FnOnce(&Handle) -> JoinHandle<()>) -> Never {
        match handle() {
            Ok(handle) => Never(Some(task(&handle))),
            Err(_) => Never(None),
        }
    }
}

/// A task, or one that was dropped and never ends.
struct Never(Option<JoinHandle<()>>);

impl Future for Never {
    type Output = Result<(), JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(context),
            None => std::task::Poll::Pending,
        }
    }
}

impl generic::Runtime for Threads {
    type JoinError = JoinError;
    type JoinHandle = Never;

    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> Never {
        Self::spawn_or_drop(|handle| handle.spawn(future))
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(task: F) -> Never {
        Self::spawn_or_drop(|handle| handle.spawn_blocking(task))
    }
}

impl ContextExt for Threads {
    fn scope<F, R>(_: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    /// No Rust code of ours awaits Python, so none needs to know its loop.
    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}
