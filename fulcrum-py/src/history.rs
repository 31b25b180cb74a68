//! Archives, timelines and the delivery of events.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fulcrum_core::{
    model::OrderEvent,
    purchase::{self, OrderArchive},
};
use fulcrum_py_macros::guarded;
use pyo3::{
    exceptions::{PyException, PyValueError},
    prelude::*,
};
use tokio::sync::Notify;

use crate::{
    call_thread::{call_host, compute},
    calls::until_timeout,
    convert::{answer, document, python},
    error::raise,
    host::host_function,
    owned::OpenFederation,
    runtime::{attach, on_thread},
};

/// The timeline of an order, in words for people.
pub(crate) struct Timeline(pub(crate) purchase::Timeline);

impl<'py> IntoPyObject<'py> for Timeline {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let document = python(py, &self.0)?;
        document.set_item("text", self.0.to_string())?;
        answer(py, "Timeline", &document)
    }
}

/// Checks what Federation.export answered, without a ledger: no event was changed, removed or added, the order is where
/// its events lead, and plan, policy, keys and leases are those of its first event. Raises LedgerError if not.
#[guarded]
pub(crate) fn verify_archive(archive: &Bound<'_, PyAny>) -> PyResult<()> {
    let text = document(archive)?;
    compute(archive.py(), false, move || {
        let archive = OrderArchive::from_json(&text).map_err(raise)?;
        archive.verify().map_err(raise)
    })
}

/// A `datetime` that knows its offset.
pub(crate) fn timestamp(field: &str, time: &Bound<'_, PyAny>) -> PyResult<jiff::Timestamp> {
    let text: String = time.call_method0("isoformat")?.extract()?;
    let written =
        || format!("{field}: write a datetime with a time zone, such as datetime.now(timezone.utc)");
    text.parse().map_err(|_| PyValueError::new_err(written()))
}

/// The host's function, and how its failures come out.
pub(crate) struct Sink {
    function: Arc<Py<PyAny>>,
    /// Runs coroutines of the host's.
    sinks: Option<Arc<Py<PyAny>>>,
    failure: Arc<Mutex<Option<PyErr>>>,
    has_failed: Arc<Notify>,
}

impl Sink {
    /// A plain function, called on the thread that waits.
    pub(crate) fn new(function: Py<PyAny>) -> Self {
        let (failure, has_failed) = (Arc::default(), Arc::default());
        Self { function: Arc::new(function), sinks: None, failure, has_failed }
    }

    /// A plain function, called on a thread of the library's, or one that answers a coroutine, which runs in the loop that
    /// is running now.
    pub(crate) fn awaited(py: Python<'_>, function: Py<PyAny>) -> PyResult<(Self, Py<PyAny>)> {
        let sinks = py.import("fulcrum_market._aio")?.call_method0("Sinks")?.unbind();
        Ok((Self { sinks: Some(Arc::new(sinks.clone_ref(py))), ..Self::new(function) }, sinks))
    }

    /// Delivers until the timeout, or until the function raises something other than an `Exception`, such as Ctrl-C.
    pub(crate) async fn run(
        self,
        market: OpenFederation,
        name: String,
        timeout: Option<Duration>,
    ) -> PyResult<()> {
        let stop = async {
            tokio::select! {
                () = until_timeout(timeout) => {}
                () = self.has_failed.notified() => {}
            }
        };
        let sink = |events: Vec<OrderEvent>| {
            let (function, sinks) = (self.function.clone(), self.sinks.clone());
            let (failure, has_failed) = (self.failure.clone(), self.has_failed.clone());
            async move {
                let its_sinks = sinks.clone();
                let call = move || take(function, its_sinks, events);
                // A coroutine waits for the loop, which must not keep this thread from its other work.
                let taken = if sinks.is_some() { on_thread(call).await } else { call() };
                taken.map_err(|error| {
                    let said = attach(|py| error.value(py).str()?.extract::<String>());
                    let said = said.unwrap_or_else(|_| "it raised what has no words".to_owned());
                    if ends(&error, sinks.as_deref()) {
                        let before = failure.lock().unwrap_or_else(PoisonError::into_inner).replace(error);
                        drop(before);
                        has_failed.notify_one();
                    }
                    said
                })
            }
        };
        market.deliver(&name, sink, stop).await;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }
}

/// Whether delivery ends with this failure: it is not an `Exception`, or the event loop is closed.
fn ends(error: &PyErr, sinks: Option<&Py<PyAny>>) -> bool {
    let ends = attach(|py| {
        let Some(sinks) = sinks else { return Ok(!error.is_instance_of::<PyException>(py)) };
        let is_closed = sinks.getattr(py, "loop")?.call_method0(py, "is_closed")?.is_truthy(py)?;
        Ok(is_closed || !error.is_instance_of::<PyException>(py))
    });
    ends.unwrap_or(true)
}

fn take(function: Arc<Py<PyAny>>, sinks: Option<Arc<Py<PyAny>>>, events: Vec<OrderEvent>) -> PyResult<()> {
    call_host(move |py| {
        Ok((
            host_function(py, "deliver_events")?,
            (&*function, sinks.as_deref(), python(py, &events)?).into_pyobject(py)?,
        ))
    })
    .map(drop)
}
