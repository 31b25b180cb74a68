//! Runs calls that wait or compute on threads of the library. So a caller's stack may be small: musl gives 128 KiB, and a stack
//! overflow ends the process without a message. The host's callbacks still run on the thread that called.
//!
//! A future is created on the thread that runs it. Otherwise it would first be built on the caller's stack.

use std::{
    cell::RefCell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Instant,
};

use pyo3::{exceptions::PyRecursionError, prelude::*, types::PyTuple};
use tokio::sync::Notify;

use crate::{
    error::fault,
    host::{self, Depth, is_daemon},
    logs,
    owned::{Process, forked},
    runtime::{
        SIGNAL_INTERVAL, attach, detached, ending, is_ending, is_on_work_thread, no_thread, poll, threads,
    },
    workers::builder,
};

thread_local! {
    static CALLER: RefCell<Option<Caller>> = const { RefCell::new(None) };
}

/// The caller of the call that this thread makes; its own thread waits. Dropping this value ends the wait.
pub(crate) struct Caller {
    callbacks: Sender<HostCallback>,
    cancel: Arc<Cancel>,
    depth: usize,
    /// Python does not wait for its thread, which must run nothing of the host's above code that is no Python.
    is_daemon: bool,
}

/// A callback that the caller's thread runs while it waits.
type HostCallback = Box<dyn FnOnce(Python<'_>) + Send>;

/// Tells a call that its caller has stopped waiting.
#[derive(Default)]
struct Cancel {
    is_set: AtomicBool,
    notify: Notify,
}

impl Cancel {
    fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
        self.notify.notify_one();
    }
}

type Outcome<T> = Arc<Mutex<Option<thread::Result<T>>>>;

/// A call, as the thread has it that makes it.
struct Call<T> {
    caller: Caller,
    outcome: Outcome<T>,
}

/// A call, as the thread has it that waits.
struct Waiting<T> {
    callbacks: Receiver<HostCallback>,
    cancel: Arc<Cancel>,
    outcome: Outcome<T>,
}

fn call<T>(is_daemon: bool) -> (Call<T>, Waiting<T>) {
    let (send, callbacks) = channel();
    let (cancel, outcome) = (Arc::<Cancel>::default(), Outcome::default());
    let caller = Caller { callbacks: send, cancel: cancel.clone(), depth: Depth::here(), is_daemon };
    (Call { caller, outcome: outcome.clone() }, Waiting { callbacks, cancel, outcome })
}

impl<T> Call<T> {
    /// Makes it on this thread.
    fn make(self, work: impl FnOnce() -> T) -> Caller {
        let around = CALLER.replace(Some(self.caller));
        let outcome = catch_unwind(AssertUnwindSafe(work));
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        // Nobody has taken it meanwhile.
        CALLER.replace(around).unwrap_or_else(|| unreachable!("the caller of a call that goes on"))
    }

    /// The same by a task, which has no functions of the host's to call.
    async fn run_as_task(self, future: impl Future<Output = T>) {
        let outcome = futures::FutureExt::catch_unwind(AssertUnwindSafe(future)).await;
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// What the thread that waits does now and then.
fn check(py: Python<'_>) -> PyResult<()> {
    logs::flush(py);
    py.check_signals()
}

impl<T> Waiting<T> {
    /// Runs callbacks, and looks for Ctrl-C and for the interpreter's end, until the call is over.
    fn wait(self) -> PyResult<T> {
        let (process, mut last_poll, mut failure) = (Process::current(), Instant::now(), None);
        loop {
            match self.callbacks.recv_timeout(SIGNAL_INTERVAL) {
                // One that is dropped tells the call that nobody will answer.
                Ok(callback) => {
                    if failure.is_none() && !is_ending() {
                        let _ = attach(|py| {
                            callback(py);
                            Ok(())
                        });
                    }
                    // The host's function may have forked: in the child nobody makes the call.
                    if !process.is_current() {
                        std::mem::forget(self);
                        return Err(forked());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if failure.is_none() && last_poll.elapsed() >= SIGNAL_INTERVAL {
                let seen = if is_ending() { Err(ending()) } else { attach(check) };
                failure = seen.err();
                if failure.is_some() {
                    self.cancel.set();
                }
                last_poll = Instant::now();
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        match outcome {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(panic)) => Err(fault(&*panic)),
            None => Err(ending()),
        }
    }
}

/// Lets go of the interpreter meanwhile, and gives the logger what comes of it.
fn with_logs<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    logs::look(py);
    let outcome = detached(py, work);
    if !is_ending() {
        logs::flush(py);
    }
    outcome
}

/// Waits for a future without holding the interpreter. Ctrl-C drops the future. Where no thread can be had, the one that drives all
/// tasks goes on with it.
pub(crate) fn wait<F, T>(py: Python<'_>, make: impl FnOnce() -> F + Send + 'static) -> PyResult<T>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: Send + 'static,
{
    let (threads, is_daemon) = (threads(py)?, is_daemon(py));
    with_logs(py, || {
        let (call, waiting) = call(is_daemon);
        let future = until_cancelled(waiting.cancel.clone(), make);
        let handle = threads.handle.clone();
        match threads.workers.claim() {
            Ok(worker) => worker.give(move || call.make(|| poll(&handle, future, || Ok(()))?)),
            Err(_) => drop(handle.spawn(call.run_as_task(future))),
        }
        waiting.wait()?
    })?
}

/// The same for a future that calls functions of the host's, for which it needs a thread of its own: they may call the library.
pub(crate) fn wait_with_callbacks<F, T>(
    py: Python<'_>,
    make: impl FnOnce() -> F + Send + 'static,
) -> PyResult<T>
where
    F: Future<Output = PyResult<T>> + 'static,
    T: Send + 'static,
{
    check_depth()?;
    let (threads, is_daemon) = (threads(py)?, is_daemon(py));
    with_logs(py, || {
        let (call, waiting) = call(is_daemon);
        let (cancel, handle) = (waiting.cancel.clone(), threads.handle.clone());
        let worker = threads.workers.claim().map_err(|error| no_thread(&error))?;
        worker.give(move || call.make(|| poll(&handle, until_cancelled(cancel, make), || Ok(()))?));
        waiting.wait()?
    })?
}

/// A future that ends when nobody waits any more. It is small: what it makes is on the heap, and was made there where this is polled.
async fn until_cancelled<F, T>(cancel: Arc<Cancel>, make: impl FnOnce() -> F) -> PyResult<T>
where
    F: Future<Output = PyResult<T>>,
{
    let future = Box::pin(make());
    tokio::select! {
        biased;
        () = cancel.notify.notified() => Err(ending()),
        outcome = future => outcome,
    }
}

/// Computes without holding the interpreter. `tells` says that the work calls functions of the host's, for which it needs a thread
/// of its own; other work waits for one where none can be had.
pub(crate) fn compute<T: Send + 'static>(
    py: Python<'_>,
    tells: bool,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    if tells {
        check_depth()?;
    }
    let (threads, is_daemon) = (threads(py)?, is_daemon(py));
    with_logs(py, || {
        let (call, waiting) = call(is_daemon);
        match threads.workers.claim() {
            Ok(worker) => worker.give(move || call.make(work)),
            Err(error) if tells => return Err(no_thread(&error)),
            // It might wait for itself, and its stack suffices.
            Err(_) if is_on_work_thread() => return work(),
            Err(_) => drop(threads.handle.spawn_blocking(move || drop(call.make(work)))),
        }
        waiting.wait()?
    })?
}

/// The same for work that borrows, calls nobody, and is rare: its thread is a new one.
pub(crate) fn compute_borrowed<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> PyResult<T> + Send,
) -> PyResult<T> {
    detached(py, || {
        thread::scope(|scope| match builder().spawn_scoped(scope, work) {
            Ok(running) => running.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => Err(no_thread(&error)),
        })
    })?
}

/// Whether nobody waits any more for the call that this thread makes.
pub(crate) fn is_cancelled() -> bool {
    CALLER.with_borrow(|caller| {
        caller.as_ref().is_some_and(|caller| caller.cancel.is_set.load(Ordering::Relaxed))
    })
}

/// Each takes a part of the host's stack, which Python does not see.
fn check_depth() -> PyResult<()> {
    if Depth::here() < host::MAX_CALLBACK_DEPTH {
        return Ok(());
    }
    Err(PyRecursionError::new_err(format!(
        "a function of yours calls the library, which calls it again, {} times in one another",
        host::MAX_CALLBACK_DEPTH
    )))
}

/// Whether the call that this thread makes has a thread that waits for it and may run functions of the host's.
pub(crate) fn has_waiting_caller() -> bool {
    CALLER.with_borrow(|caller| caller.as_ref().is_some_and(|caller| !caller.is_daemon))
}

/// Calls a function of the host's: on the thread that waits for this one if Python waits for that, else on one of Python's own.
/// `call` answers the function and what it is given.
pub(crate) fn call_host(
    call: impl for<'py> FnOnce(Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> + Send + 'static,
) -> PyResult<Py<PyAny>> {
    let caller = CALLER.with_borrow(|caller| {
        caller.as_ref().map(|caller| (caller.callbacks.clone(), caller.depth, caller.is_daemon))
    });
    let (callbacks, depth) = match caller {
        Some((callbacks, depth, false)) => (callbacks, depth.saturating_add(1)),
        Some((_, depth, true)) => return host::call(depth.saturating_add(1), call),
        None => return host::call(1, call),
    };
    let (answer, answered) = channel();
    let callback: HostCallback = Box::new(move |py| {
        let _depth = Depth::enter(depth);
        let work = || call(py).and_then(|(function, given)| function.call1(given)).map(Bound::unbind);
        let told = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(fault(&*panic)));
        let _ = answer.send(told);
    });
    let _ = callbacks.send(callback);
    answered.recv().unwrap_or_else(|_| Err(ending()))
}
