//! The threads of the module: their start, Ctrl-C during calls, and their end before the interpreter's.
//!
//! One thread drives timers, sockets and tasks. Blocking work has threads of its own. One of these is started at once and
//! stays, so that a later call works also where the system refuses new threads.

use std::{
    cell::Cell,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, LocalKey, Thread},
    time::{Duration, Instant},
};

use fulcrum_core::ledger;
use fulcrum_py_macros::guarded;
use pyo3::{exceptions::PyRuntimeError, prelude::*, types::PyDict};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::{
    error::{Host, fault, host_error},
    host::is_daemon,
    owned::{Process, forked},
    workers::{STACK_BYTES, Workers},
};

/// How often a waiting call looks for Ctrl-C.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);
/// How long work that is under way may take to stop when the interpreter ends.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a thread without work is kept.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(u32::MAX as u64);

/// Locked only by threads that hold the interpreter, as a fork does: a child never finds it locked by a thread that it has not. As
/// for each lock of this module, no code of Python's runs under it, and nobody waits for the interpreter: whoever has it may
/// wait for the lock.
static THREADS: Mutex<State> = Mutex::new(State::NotStarted);
/// What is under way stops.
static IS_ENDING: AtomicBool = AtomicBool::new(false);
/// The library's threads touch the interpreter no more.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
/// Threads that are in code of this module.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Those of them that have let go of the interpreter.
static DETACHED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_WORK_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Entries of this thread, one in the other.
    static ENTRIES: Cell<usize> = const { Cell::new(0) };
    /// How often this thread has let go of the interpreter, which a function of the host's may take again meanwhile.
    static DETACHMENTS: Cell<usize> = const { Cell::new(0) };
    /// The thread that ends the interpreter.
    static IS_ENDER: Cell<bool> = const { Cell::new(false) };
}

/// Counts a thread while it is in code of this module. The interpreter's end waits for it.
pub(crate) struct Entry;

impl Entry {
    pub(crate) fn new() -> Self {
        count(&ENTRIES, &INSIDE);
        Self
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        uncount(&ENTRIES, &INSIDE);
    }
}

/// Counts a thread while it has let go of the interpreter.
struct Detachment;

impl Detachment {
    fn new() -> Self {
        count(&DETACHMENTS, &DETACHED);
        Self
    }
}

impl Drop for Detachment {
    fn drop(&mut self) {
        uncount(&DETACHMENTS, &DETACHED);
    }
}

fn count(times: &'static LocalKey<Cell<usize>>, threads: &AtomicUsize) {
    let before = times.get();
    times.set(before.saturating_add(1));
    if before == 0 {
        threads.fetch_add(1, Ordering::SeqCst);
    }
}

fn uncount(times: &'static LocalKey<Cell<usize>>, threads: &AtomicUsize) {
    let left = times.get().saturating_sub(1);
    times.set(left);
    if left == 0 {
        threads.fetch_sub(1, Ordering::SeqCst);
    }
}

/// In a forked child there is no thread but this.
fn count_this_alone() {
    for (times, threads) in [(&ENTRIES, &INSIDE), (&DETACHMENTS, &DETACHED)] {
        threads.store(times.get().min(1), Ordering::SeqCst);
    }
}

/// Stops this thread, which does not hold the interpreter, for good. Python does not wait for it, and would end it by way of code
/// that is no Python, which ends the process.
fn stop_here() -> ! {
    for (times, threads) in [(&ENTRIES, &INSIDE), (&DETACHMENTS, &DETACHED)] {
        if times.replace(0) > 0 {
            threads.fetch_sub(1, Ordering::SeqCst);
        }
    }
    loop {
        thread::park();
    }
}

enum State {
    NotStarted,
    Running(Arc<Threads>),
    Ended,
}

/// The library's threads in one process.
pub(crate) struct Threads {
    pub(crate) handle: Handle,
    /// Those that make calls.
    pub(crate) workers: Arc<Workers>,
    process: Process,
    /// Dropped or used, it ends the thread that drives, which then says so.
    stop: Mutex<Option<(oneshot::Sender<()>, mpsc::Receiver<()>)>>,
}

/// The threads of this process; they start with the first call that needs them. A forked child has none of its parent's.
pub(crate) fn threads(py: Python<'_>) -> PyResult<Arc<Threads>> {
    let found = running_threads();
    found.map_err(|why| why.map_or_else(|| too_late(py), |error| no_thread(&error)))
}

/// None where all is over.
fn running_threads() -> Result<Arc<Threads>, Option<io::Error>> {
    let mut state = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        State::Running(threads) if threads.process.is_current() => return Ok(threads.clone()),
        State::Ended => return Err(None),
        State::NotStarted | State::Running(_) => {}
    }
    let started = Threads::start().map(Arc::new).map_err(Some)?;
    // A parent's threads are nothing that a child could end.
    std::mem::forget(std::mem::replace(&mut *state, State::Running(started.clone())));
    Ok(started)
}

/// Those that run, if any do.
pub(crate) fn handle() -> Option<Handle> {
    match &*THREADS.lock().unwrap_or_else(PoisonError::into_inner) {
        State::Running(threads) if threads.process.is_current() => Some(threads.handle.clone()),
        _ => None,
    }
}

/// A call after the end. A thread that Python does not wait for makes no further one.
fn too_late(py: Python<'_>) -> PyErr {
    if !IS_ENDER.get() && is_daemon(py) {
        py.detach(|| -> () { stop_here() });
    }
    let message = "the library has ended, as the interpreter does; functions that call it at exit are to be registered after \
                   `import fulcrum_market`";
    host_error(Host::Ending, message)
}

pub(crate) fn no_thread(error: &io::Error) -> PyErr {
    let message =
        format!("no thread can be started: {error}; end others, or raise the limit (ulimit -u, pids.max)");
    host_error(Host::NoThread, &message)
}

/// Whether this is one of the threads for what blocks.
pub(crate) fn is_on_work_thread() -> bool {
    IS_WORK_THREAD.get()
}

impl Threads {
    fn start() -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().thread_name("fulcrum-work").thread_keep_alive(THREAD_KEEP_ALIVE);
        builder.thread_stack_size(STACK_BYTES).on_thread_start(|| IS_WORK_THREAD.set(true));
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        thread::Builder::new().name("fulcrum".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(EXIT_TIMEOUT);
            let _ = end.send(());
        })?;
        // The runtime panics where it gets no first thread for work that blocks: so one is tried before.
        let tried =
            thread::Builder::new().name("fulcrum-work".to_owned()).stack_size(STACK_BYTES).spawn(|| ())?;
        let _ = tried.join();
        catch_unwind(AssertUnwindSafe(|| drop(handle.spawn_blocking(|| ()))))
            .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        let (process, stop) = (Process::current(), Mutex::new(Some((stop, ended))));
        Ok(Self { handle, workers: Workers::new(), process, stop })
    }

    /// Waits for the calls that are under way to leave, and ends the threads.
    fn end(&self) {
        wait_while(|| INSIDE.load(Ordering::SeqCst) > 1);
        self.workers.end();
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, ended)) = stop {
            drop(stop);
            // The thread waits as long for those that block.
            let _ = ended.recv_timeout(EXIT_TIMEOUT + EXIT_TIMEOUT);
        }
    }
}

/// Waits, but not for long.
fn wait_while(is_so: impl Fn() -> bool) {
    let end = Instant::now() + EXIT_TIMEOUT;
    while is_so() && Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Called at exit: a thread that asks for the interpreter after its end would abort the process. What is under way
/// is dropped; orders stay in their ledger, resumable.
#[guarded]
#[pyo3(name = "_shutdown")]
pub(crate) fn shutdown(py: Python<'_>) {
    let state = std::mem::replace(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner), State::Ended);
    IS_ENDER.set(true);
    IS_ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        match state {
            State::Running(threads) if threads.process.is_current() => threads.end(),
            // The threads are the parent's: there is nothing to end here.
            State::Running(threads) => std::mem::forget(threads),
            State::NotStarted | State::Ended => {}
        }
        HAS_ENDED.store(true, Ordering::SeqCst);
        // A thread that has let go of the interpreter stops when it comes back.
        wait_while(|| INSIDE.load(Ordering::SeqCst).saturating_sub(DETACHED.load(Ordering::SeqCst)) > 1);
    });
}

/// SQLite's locks are copied by a fork as they are: so a fork waits until it is at rest.
#[cfg(unix)]
pub(crate) fn register_at_fork(module: &Bound<'_, PyModule>) -> PyResult<()> {
    #[guarded]
    fn before_fork(py: Python<'_>) {
        py.detach(ledger::before_fork);
    }
    #[guarded]
    fn after_fork() {
        ledger::after_fork();
    }
    #[guarded]
    fn note_fork(py: Python<'_>) -> PyResult<()> {
        Process::note_fork();
        ledger::after_fork_in_child();
        count_this_alone();
        py.import("fulcrum_market._host")?.call_method0("after_fork").map(drop)
    }
    let hooks = PyDict::new(module.py());
    hooks.set_item("before", wrap_pyfunction!(before_fork, module)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork, module)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(note_fork, module)?)?;
    module.py().import("os")?.call_method("register_at_fork", (), Some(&hooks)).map(drop)
}

pub(crate) fn is_ending() -> bool {
    IS_ENDING.load(Ordering::Acquire)
}

/// Nobody sees it: whoever waits for the call stops.
pub(crate) fn ending() -> PyErr {
    PyRuntimeError::new_err("the interpreter is ending")
}

/// Drops what may hold connections, which go back to their pool by a task. Without threads, as at the process's end, it is
/// left to the system.
pub(crate) fn drop_inside<T>(handle: Option<&Handle>, value: T) {
    let Some(handle) = handle.filter(|_| !is_ending()) else { return std::mem::forget(value) };
    let _entered = handle.enter();
    // The garbage collector takes no panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

/// Holds the interpreter meanwhile, for code that is short and the library's own; an error where all is over.
pub(crate) fn attach<T>(work: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    let is_library_thread = ENTRIES.get() == 0;
    let _entry = Entry::new();
    if is_library_thread && HAS_ENDED.load(Ordering::SeqCst) {
        return Err(ending());
    }
    Python::try_attach(work).unwrap_or_else(|| Err(ending()))
}

/// Lets go of the interpreter meanwhile. Where it ends meanwhile, this thread, which Python does not wait for, stops for
/// good: whatever it did or raised then would disturb.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let is_waited_for = IS_ENDER.get() || !is_daemon(py);
    let outcome = py.detach(move || {
        let detachment = Detachment::new();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        drop(detachment);
        if is_ending() && !is_waited_for {
            drop(outcome);
            stop_here();
        }
        outcome
    });
    outcome.map_err(|panic| fault(&*panic))
}

/// Polls a future on this thread, which looks around now and then: an error of `look` drops the future. The runtime's own
/// way does not allow to be begun while another one goes on, as where the host's function calls the library.
pub(crate) fn poll<T>(
    handle: &Handle,
    future: impl Future<Output = T>,
    mut look: impl FnMut() -> PyResult<()>,
) -> PyResult<T> {
    /// Wakes a thread that polls.
    struct Unpark {
        thread: Thread,
        is_woken: AtomicBool,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.is_woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }
    let process = Process::current();
    let _entered = handle.enter();
    let wake = Arc::new(Unpark { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(wake.clone());
    let mut future = Box::pin(future);
    let mut last_poll = Instant::now();
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        // The host's function may have forked: the child has nothing that would ever wake it.
        if !process.is_current() {
            std::mem::forget(future);
            return Err(forked());
        }
        if let Poll::Ready(value) = polled {
            return Ok(value);
        }
        loop {
            if last_poll.elapsed() >= SIGNAL_INTERVAL {
                if is_ending() {
                    return Err(ending());
                }
                look()?;
                last_poll = Instant::now();
            }
            if wake.is_woken.swap(false, Ordering::Acquire) {
                break;
            }
            thread::park_timeout(SIGNAL_INTERVAL);
        }
    }
}

/// Work on a thread of its own, which it may keep waiting; dropping the future leaves it alone.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Err(fault(&*panic)),
            Err(_) => Err(ending()),
        },
    }
}

/// A future on a thread of its own, where it is made, as it calls the host's functions or reads what may never come.
pub(crate) async fn on_thread_polled<F, T>(make: impl FnOnce() -> F + Send + 'static) -> PyResult<T>
where
    F: Future<Output = PyResult<T>>,
    T: Send + 'static,
{
    /// Tells the thread when nobody waits any more.
    struct Cancel(Arc<AtomicBool>);
    impl Drop for Cancel {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (cancel, handle) = (Cancel(Arc::default()), Handle::current());
    let is_cancelled = cancel.0.clone();
    let look = move || if is_cancelled.load(Ordering::Relaxed) { Err(ending()) } else { Ok(()) };
    let outcome = on_thread(move || poll(&handle, make(), look)?).await;
    drop(cancel);
    outcome
}

/// Starts a task; the answer ends it.
pub(crate) fn spawn(
    py: Python<'_>,
    task: impl Future<Output = ()> + Send + 'static,
) -> PyResult<tokio::task::AbortHandle> {
    Ok(threads(py)?.handle.spawn(task).abort_handle())
}
