//! Threads that make calls. Idle threads are kept, because starting one costs more than most calls.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

use crate::call_thread::Caller;

/// Without optimisation the deepest document needs 1.2 MiB.
pub(crate) const STACK_BYTES: usize = 4 << 20;
/// Idle threads that are kept; others end with their call.
const MAX_IDLE_THREADS: usize = 8;

pub(crate) fn builder() -> thread::Builder {
    thread::Builder::new().name("fulcrum-call".to_owned()).stack_size(STACK_BYTES)
}

/// The idle threads; none after shutdown.
pub(crate) struct Workers(Mutex<Option<Vec<Worker>>>);

/// A thread that waits for a call.
pub(crate) struct Worker {
    give: Sender<Task>,
    all: Arc<Workers>,
}

/// Dropping the returned caller ends the caller's wait.
type Work = Box<dyn FnOnce() -> Caller + Send>;

struct Task {
    work: Work,
    /// The thread's own handle, for when it is idle again.
    worker: Worker,
}

impl Workers {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Vec::new()))))
    }

    /// An idle thread, or a new one.
    pub(crate) fn claim(self: &Arc<Self>) -> io::Result<Worker> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Vec::pop);
        if let Some(worker) = idle {
            return Ok(worker);
        }
        let (give, given) = channel::<Task>();
        builder().spawn(move || {
            for Task { work, worker } in given {
                let caller = work();
                // Before the caller knows: its next call finds this thread idle.
                worker.rest();
                drop(caller);
            }
        })?;
        Ok(Worker { give, all: self.clone() })
    }

    /// Ends idle threads at once, and busy ones with their call.
    pub(crate) fn end(&self) {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(idle);
    }
}

impl Worker {
    /// Starts the thread's work, which does not panic.
    pub(crate) fn give(self, work: impl FnOnce() -> Caller + Send + 'static) {
        let give = self.give.clone();
        // A thread that is claimed waits for this: it has not ended.
        let _ = give.send(Task { work: Box::new(work), worker: self });
    }

    fn rest(self) {
        let all = self.all.clone();
        if let Some(idle) = &mut *all.0.lock().unwrap_or_else(PoisonError::into_inner)
            && idle.len() < MAX_IDLE_THREADS
        {
            idle.push(self);
        }
    }
}
