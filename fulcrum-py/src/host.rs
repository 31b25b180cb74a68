//! Providers that are written in Python, and calls of the host's functions.

use std::{
    cell::Cell,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
};

use fulcrum_core::{
    model::parse_json,
    provider::{
        Call, Provider,
        callback::{CallbackDescription, CallbackProvider, ProviderCallbacks},
    },
};
use fulcrum_py_macros::guarded;
use pyo3::{exceptions::PyRuntimeError, prelude::*, sync::PyOnceLock, types::PyTuple};

use crate::{
    error::raise,
    owned::Slot,
    runtime::{attach, ending},
    workers::STACK_BYTES,
};

/// The most nested callbacks of the host's that call the library.
pub(crate) const MAX_CALLBACK_DEPTH: usize = 16;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static IS_DAEMON: Cell<Option<bool>> = const { Cell::new(None) };
}

/// How many callbacks of the host's are nested around the code of this thread. Dropping it restores the depth before.
pub(crate) struct Depth(usize);

impl Depth {
    pub(crate) fn here() -> usize {
        DEPTH.get()
    }

    pub(crate) fn enter(depth: usize) -> Self {
        Self(DEPTH.replace(depth))
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

/// Whether Python's end does not wait for this thread.
pub(crate) fn is_daemon(py: Python<'_>) -> bool {
    if let Some(known) = IS_DAEMON.get() {
        return known;
    }
    let asked = py.import("fulcrum_market._host").and_then(|host| host.call_method0("is_daemon")?.extract());
    let is_daemon = asked.unwrap_or(true);
    IS_DAEMON.set(Some(is_daemon));
    is_daemon
}

/// Takes the result of a function from a thread of Python's own. Dropped without one, it reports that there is none.
#[pyclass(frozen, module = "fulcrum_market")]
struct Reply {
    answer: Sender<PyResult<Py<PyAny>>>,
    depth: usize,
}

#[guarded]
impl Reply {
    fn begin(&self) {
        DEPTH.set(self.depth);
    }

    fn tell(&self, value: Py<PyAny>, error: Option<Bound<'_, PyAny>>) {
        DEPTH.set(0);
        let _ = self.answer.send(match error {
            Some(error) => Err(PyErr::from_value(error)),
            None => Ok(value),
        });
    }
}

/// Calls a function of the host's on a thread of Python's own, and waits for it. On a thread of the library's the call would
/// return through Rust code, which aborts the process where Python has ended meanwhile.
pub(crate) fn call(
    depth: usize,
    call: impl for<'py> FnOnce(Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)>,
) -> PyResult<Py<PyAny>> {
    static BEGIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let (answer, answered) = channel();
    let answer = attach(|py| {
        let (function, given) = call(py)?;
        let reply = Bound::new(py, Reply { answer, depth })?;
        let inbox = BEGIN.import(py, "fulcrum_market._host", "begin")?.call1((&function, &given, reply))?;
        let begun = if inbox.is_none() { Ok(()) } else { start_thread(py, inbox) };
        match begun {
            Ok(()) => Ok(None),
            // No thread can be had but this.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => {
                let _depth = Depth::enter(depth);
                function.call1(given).map(|answer| Some(answer.unbind()))
            }
            Err(error) => Err(error),
        }
    })?;
    answer.map_or_else(|| answered.recv().unwrap_or_else(|_| Err(ending())), Ok)
}

/// No code of Python's runs meanwhile, and so no other thread, which would get the size of this one.
fn start_thread(py: Python<'_>, inbox: Bound<'_, PyAny>) -> PyResult<()> {
    let (threads, work) = (py.import("_thread")?, host_function(py, "work")?);
    let size = threads.call_method1("stack_size", (STACK_BYTES,));
    let started = threads.call_method1("start_new_thread", (work, (inbox,)));
    if let Ok(size) = size {
        threads.call_method1("stack_size", (size,))?;
    }
    started.map(drop)
}

/// The calls of one provider. `answer` is a Python function from the request's text to the response's.
#[derive(Debug)]
struct Calls {
    provider: Arc<Slot>,
    answer: Py<PyAny>,
}

impl ProviderCallbacks for Calls {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let provider = attach(|py| Ok(self.provider.get(py)));
        let Ok(Some(provider)) = provider else {
            return Err("nobody has its federation any more".to_owned());
        };
        let answer = self::call(1, move |py| {
            let given = (provider, call.word(), request).into_pyobject(py)?;
            Ok((self.answer.bind(py).clone(), given))
        });
        let text = answer.and_then(|answer| attach(|py| answer.extract::<String>(py)));
        // Not what it says: that may be a secret, and whoever reads orders reads this.
        let named = |error: PyErr| attach(|py| error.get_type(py).qualname()?.extract::<String>());
        text.map_err(|error| named(error).unwrap_or_else(|_| "there is no answer".to_owned()))
    }
}

/// A function of `fulcrum_market._host`, which calls one of the host's.
pub(crate) fn host_function<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("fulcrum_market._host")?.getattr(name)
}

/// Providers as the library has them, and the Python objects behind them.
type Providers = (Vec<Arc<dyn Provider>>, Vec<Arc<Slot>>);

/// A provider that is written in Python, with its description.
pub(crate) struct PythonProvider {
    description: String,
    calls: Calls,
}

/// The providers of a list.
pub(crate) fn described(py: Python<'_>, given: Option<Vec<Py<PyAny>>>) -> PyResult<Vec<PythonProvider>> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let module = py.import("fulcrum_market.provider")?;
    let (describe, answer) = (module.getattr("_describe")?, module.getattr("_answer")?);
    let described = |object: Py<PyAny>| -> PyResult<PythonProvider> {
        let description = describe.call1((&object,))?.extract()?;
        let calls = Calls { provider: Arc::new(Slot::new(object)), answer: answer.clone().unbind() };
        Ok(PythonProvider { description, calls })
    };
    given.into_iter().map(described).collect()
}

/// Reads the descriptions of providers.
pub(crate) fn providers(written: Vec<PythonProvider>) -> PyResult<Providers> {
    let provider = |PythonProvider { description, calls }| -> PyResult<(Arc<dyn Provider>, Arc<Slot>)> {
        let description: CallbackDescription = parse_json(&description).map_err(raise)?;
        let slot = calls.provider.clone();
        let provider = CallbackProvider::new(description, Arc::new(calls)).map_err(raise)?;
        Ok((Arc::new(provider), slot))
    };
    written.into_iter().map(provider).collect()
}

/// A report as Python has it.
pub(crate) struct Report(pub(crate) fulcrum_core::provider::conformance::Report);

impl<'py> IntoPyObject<'py> for Report {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let document = crate::convert::python(py, &self.0)?;
        document.set_item("is_passed", self.0.is_passed())?;
        document.set_item("text", self.0.to_string())?;
        Ok(document)
    }
}
