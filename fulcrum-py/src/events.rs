//! Events of one order, for both `for` and `async for`.

use std::sync::Arc;

use fulcrum_core::{federation, ledger::LedgerError, model::OrderId};
use fulcrum_py_macros::{documented, guarded};
use futures::{StreamExt, stream};
use pyo3::{
    exceptions::PyStopAsyncIteration,
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
};
use tokio::sync::Mutex;

use crate::{
    call_thread::wait,
    convert::python,
    coroutine::coroutine,
    error::raise,
    owned::{OpenFederation, Owned, Slot},
    runtime::attach,
};

/// What `follow` answers.
#[documented]
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Events {
    events: Owned<Arc<Mutex<federation::Events>>>,
    /// The federation, so that the garbage collector sees what these events keep.
    market: Slot,
}

impl Events {
    /// Begins with an error if the ledger has no such order: nobody would ever write down one that is not there.
    pub(crate) fn new(market: &OpenFederation, order: OrderId, object: Py<PyAny>) -> Self {
        let (ledger, events) = (market.ledger().clone(), market.follow(&order));
        let first = async move {
            match ledger.load(&order).await {
                Ok(Some(_)) => events,
                Ok(None) => stream::iter([Err(LedgerError::NoSuchOrder(order).into())]).boxed(),
                Err(error) => stream::iter([Err(error.into())]).boxed(),
            }
        };
        // An iterator may be asked again after its end.
        let events = stream::once(first).flatten().fuse().boxed();
        Self { events: Owned::new(Arc::new(Mutex::new(events))), market: Slot::new(object) }
    }
}

#[guarded]
impl Events {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let events = self.events.get()?.clone();
        let next = wait(py, move || async move {
            let next = events.lock().await.next().await;
            next.transpose().map_err(raise)
        });
        next?.map(|event| python(py, &event)).transpose()
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let events = self.events.get()?.clone();
        coroutine(py, move || async move {
            let next = events.lock().await.next().await;
            match next {
                Some(Ok(event)) => attach(|py| python(py, &event).map(Bound::unbind)),
                Some(Err(error)) => Err(raise(error)),
                None => Err(PyStopAsyncIteration::new_err(())),
            }
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.market.traverse(&visit)
    }

    fn __clear__(&self) {
        self.market.clear();
    }
}
