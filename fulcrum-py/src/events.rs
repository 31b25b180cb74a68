//! The events of one order, for those who wait and those who await.

use std::sync::Arc;

use fulcrum_core::federation;
use futures::StreamExt;
use pyo3::{exceptions::PyStopAsyncIteration, prelude::*};
use tokio::sync::Mutex;

use crate::{
    convert::python,
    error::raise,
    runtime::{awaitable, wait},
};

/// What `follow` answers.
#[pyclass(frozen, module = "fulcrum")]
pub(crate) struct Events(Arc<Mutex<federation::Events>>);

impl Events {
    pub(crate) fn new(events: federation::Events) -> Self {
        // An iterator may be asked again after its end.
        Self(Arc::new(Mutex::new(events.fuse().boxed())))
    }
}

#[pymethods]
impl Events {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match wait(py, async { self.0.lock().await.next().await })? {
            Some(event) => python(py, &event.map_err(raise)?).map(Some),
            None => Ok(None),
        }
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let events = self.0.clone();
        awaitable(py, async move {
            let next = events.lock().await.next().await;
            match next {
                Some(Ok(event)) => Python::attach(|py| python(py, &event).map(Bound::unbind)),
                Some(Err(error)) => Err(raise(error)),
                None => Err(PyStopAsyncIteration::new_err(())),
            }
        })
    }
}
