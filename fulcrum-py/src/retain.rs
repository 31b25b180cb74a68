//! What is kept of old orders, what is told of orders, and what is delivered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fulcrum_core::{
    federation,
    model::OrderEvent,
    purchase::{self, OrderArchive},
};
use pyo3::{
    exceptions::{PyException, PyTypeError, PyValueError},
    prelude::*,
};
use tokio::sync::Notify;

use crate::{
    convert::{document, python},
    error::raise,
    federation::ended,
};

/// What has happened to an order so far, in words.
#[pyclass(frozen, module = "fulcrum")]
pub(crate) struct Timeline(pub(crate) purchase::Timeline);

#[pymethods]
impl Timeline {
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __len__(&self) -> usize {
        self.0.entries.len()
    }
}

/// Checks what Federation.export answered, without a ledger: no event was changed, removed or added, the order is where
/// its events lead, and plan, policy, keys and leases are those of its first event. Raises LedgerError if not.
#[pyfunction]
pub(crate) fn verify_archive(archive: &Bound<'_, PyAny>) -> PyResult<()> {
    let archive = OrderArchive::from_json(&document(archive)?).map_err(raise)?;
    archive.verify().map_err(raise)
}

/// A `datetime` that knows its offset.
pub(crate) fn moment(time: &Bound<'_, PyAny>) -> PyResult<jiff::Timestamp> {
    let text: String = time.call_method0("isoformat")?.extract()?;
    let written = || "before: write a datetime with a time zone, such as datetime.now(timezone.utc)";
    text.parse().map_err(|_| PyValueError::new_err(written()))
}

/// The host's function, and how its failures come out.
pub(crate) struct Sink {
    function: Arc<Py<PyAny>>,
    /// Where coroutines of the host's run.
    event_loop: Option<Arc<Py<PyAny>>>,
    failure: Arc<Mutex<Option<PyErr>>>,
    has_failed: Arc<Notify>,
}

impl Sink {
    /// A plain function, called on the thread that waits.
    pub(crate) fn new(function: Py<PyAny>) -> Self {
        let (failure, has_failed) = (Arc::default(), Arc::default());
        Self { function: Arc::new(function), event_loop: None, failure, has_failed }
    }

    /// A plain function, called on a thread of the library's, or one that answers a coroutine, which runs in the loop that
    /// is running now.
    pub(crate) fn awaited(py: Python<'_>, function: Py<PyAny>) -> PyResult<Self> {
        let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?.unbind();
        Ok(Self { event_loop: Some(Arc::new(event_loop)), ..Self::new(function) })
    }

    /// Until the time is over, or the function raises what is no `Exception`, as Ctrl-C is.
    pub(crate) async fn run(
        self,
        market: Arc<federation::Federation>,
        name: String,
        timeout: Option<Duration>,
    ) -> PyResult<()> {
        let stop = async {
            tokio::select! {
                () = ended(timeout) => {}
                () = self.has_failed.notified() => {}
            }
        };
        let sink = |events: Vec<OrderEvent>| {
            let (function, event_loop) = (self.function.clone(), self.event_loop.clone());
            let (failure, has_failed) = (self.failure.clone(), self.has_failed.clone());
            async move {
                let is_awaited = event_loop.is_some();
                let call = move || take(&function, event_loop.as_deref(), &events);
                // A coroutine waits for the loop, which must not keep this thread from its other work.
                let taken = match is_awaited {
                    true => tokio::task::spawn_blocking(call).await.map_err(|error| error.to_string())?,
                    false => call(),
                };
                taken.map_err(|error| {
                    let said = error.to_string();
                    if !Python::attach(|py| error.is_instance_of::<PyException>(py)) {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        has_failed.notify_one();
                    }
                    said
                })
            }
        };
        market.deliver(&name, sink, stop).await;
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

fn take(function: &Py<PyAny>, event_loop: Option<&Py<PyAny>>, events: &[OrderEvent]) -> PyResult<()> {
    Python::attach(|py| {
        let answer = function.call1(py, (python(py, &events)?,))?;
        let asyncio = py.import("asyncio")?;
        if !asyncio.call_method1("iscoroutine", (&answer,))?.is_truthy()? {
            return Ok(());
        }
        let Some(event_loop) = event_loop else {
            answer.call_method0(py, "close")?;
            return Err(PyTypeError::new_err("sink: a coroutine needs an AsyncFederation"));
        };
        let running = asyncio.call_method1("run_coroutine_threadsafe", (answer, event_loop))?;
        running.call_method0("result").map(drop)
    })
}
