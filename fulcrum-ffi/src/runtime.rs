//! Starts the threads of a federation.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{error::fulcrum_error, guard::Outcome};

/// Worker threads of the runtime. Calls drive their own futures. With two workers, tokio would wait for ever where the system
/// refuses the second one.
const WORKER_THREADS: usize = 1;
/// Threads for blocking work: providers of the host's, name resolution. They never end: the system might refuse a new one,
/// and tokio would wait for it.
const MAX_BLOCKING_THREADS: usize = 256;
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(1 << 30);
/// How long to retry where the system refuses a thread.
const START_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Starts the runtime, or fails if the system refuses threads. tokio itself panics without the first thread, and waits for
/// the others without an error.
pub(crate) fn start() -> Outcome<Runtime> {
    thread::Builder::new()
        .spawn(|| ())
        .map(|first| drop(first.join()))
        .map_err(|error| fulcrum_error::no_thread(&error))?;
    let (start, started) = channel();
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .thread_name("fulcrum")
        .on_thread_start(move || {
            let _ = start.send(());
        })
        .enable_all();
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    let refused = |_| fulcrum_error::no_thread(&"the first one was refused");
    let runtime = built.map_err(refused)?.map_err(|error| fulcrum_error::no_thread(&error))?;
    let end = Instant::now().checked_add(START_TIMEOUT);
    let mut count = 0_usize;
    // One of them waits for work already.
    while count <= WORKER_THREADS {
        // Each task that finds no thread has another one started, also for the tasks before it.
        let asked = catch_unwind(AssertUnwindSafe(|| drop(runtime.spawn_blocking(|| ()))));
        if asked.is_err() || end.is_some_and(|end| Instant::now() >= end) {
            runtime.shutdown_background();
            return Err(fulcrum_error::no_thread(&format!("{count} were given")));
        }
        while count <= WORKER_THREADS && started.recv_timeout(POLL_INTERVAL).is_ok() {
            count = count.saturating_add(1);
        }
    }
    Ok(runtime)
}
