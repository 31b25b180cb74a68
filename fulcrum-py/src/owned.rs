//! Objects that belong to the process that made them, and references that the garbage collector sees.

use std::{
    ops::Deref,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use fulcrum_core::federation::Federation;
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
};

use tokio::runtime::Handle;

use crate::{
    error::{Host, host_error},
    runtime::{drop_inside, handle},
};

static FORKS: AtomicU64 = AtomicU64::new(0);

/// Identifies a process. The id alone is not enough: in a PID namespace a child may have its parent's. The count of forks alone
/// misses forks that Python does not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    id: u32,
    forks: u64,
}

/// How many forks lie between the first process and this one.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

impl Process {
    pub(crate) fn current() -> Self {
        Self { id: process::id(), forks: FORKS.load(Ordering::Relaxed) }
    }

    pub(crate) fn is_current(self) -> bool {
        self == Self::current()
    }

    /// Counts a fork of Python's, in the child.
    pub(crate) fn note_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}

/// A value that a forked child must not use, because its threads and connections are the parent's. The child gets an error,
/// and never drops the value, as that would wait for those threads.
pub(crate) struct Owned<T> {
    value: Option<T>,
    process: Process,
    /// The runtime by which the value's connections are returned.
    handle: Option<Handle>,
}

impl<T> Owned<T> {
    /// Call it on a thread of the library's, or on one that holds the interpreter.
    pub(crate) fn new(value: T) -> Self {
        let handle = Handle::try_current().ok().or_else(handle);
        Self { value: Some(value), process: Process::current(), handle }
    }

    pub(crate) fn get(&self) -> PyResult<&T> {
        self.here().ok_or_else(forked)
    }

    /// The value, if this is the process that made it.
    pub(crate) fn here(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.process.is_current())
    }

    /// The value in any process, for code that only reads memory.
    fn memory(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        match self.value.take() {
            Some(value) if self.process.is_current() => drop_inside(self.handle.as_ref(), value),
            value => std::mem::forget(value),
        }
    }
}

pub(crate) fn forked() -> PyErr {
    host_error(
        Host::Forked,
        "this object was made before the process was forked; open a federation of its own in the child",
    )
}

/// A reference to a Python object that the garbage collector may take away.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<Py<PyAny>>>);

impl Slot {
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self(Mutex::new(Some(object)))
    }

    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|object| object.clone_ref(py))
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(object) => visit.call(&*object),
            // What is not visited stays.
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn clear(&self) {
        let object = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Not under the lock: the object's end may run code of the host's.
        drop(object);
    }
}

/// A federation, and the host's objects in it.
#[derive(Clone)]
pub(crate) struct OpenFederation {
    federation: Arc<Federation>,
    /// The providers that are written in Python. A call that is under way has a clone.
    written: Arc<[Arc<Slot>]>,
}

impl OpenFederation {
    pub(crate) fn new(federation: Federation, written: Vec<Arc<Slot>>) -> Owned<Self> {
        Owned::new(Self { federation: Arc::new(federation), written: written.into() })
    }
}

impl Deref for OpenFederation {
    type Target = Federation;

    fn deref(&self) -> &Federation {
        &self.federation
    }
}

impl Owned<OpenFederation> {
    /// The providers are this federation's alone unless a call is under way, which needs them.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(market) = self.memory() else { return Ok(()) };
        if Arc::strong_count(&market.written) > 1 {
            return Ok(());
        }
        market.written.iter().try_for_each(|slot| slot.traverse(visit))
    }

    pub(crate) fn clear(&self) {
        if let Some(market) = self.memory() {
            market.written.iter().for_each(|slot| slot.clear());
        }
    }
}

/// A federation until it is closed. Calls that are under way keep what they need.
pub(crate) struct Closable(Mutex<Option<Owned<OpenFederation>>>);

impl Closable {
    pub(crate) fn new(open: Owned<OpenFederation>) -> Self {
        Self(Mutex::new(Some(open)))
    }

    pub(crate) fn get(&self) -> PyResult<OpenFederation> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &*open else {
            return Err(PyValueError::new_err("the federation is closed; open one"));
        };
        open.get().cloned()
    }

    /// For `repr`.
    pub(crate) fn describe(&self, class: &str) -> PyResult<String> {
        let is_closed = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let state =
            if is_closed { "closed".to_owned() } else { format!("{} offers", self.get()?.catalogue().len()) };
        Ok(format!("<fulcrum_market.{class}: {state}>"))
    }

    /// Lets go of the ledger and of the providers' connections.
    pub(crate) fn close(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Not under the lock: the end of a provider may run code of the host's.
        drop(open);
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(open) => open.as_ref().map_or(Ok(()), |open| open.traverse(visit)),
            // What is not visited stays.
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(open) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            open.clear();
        }
    }
}
