//! Providers that are written in Python.

use std::sync::Arc;

use fulcrum_core::{
    model::parse_json,
    provider::{
        Call, Provider,
        host::{HostCalls, HostDescription, HostProvider},
    },
};
use pyo3::prelude::*;

use crate::{error::raise, owned::Slot};

/// One of them. `answer` makes a call, from text to text.
#[derive(Debug)]
struct Calls {
    provider: Arc<Slot>,
    answer: Py<PyAny>,
}

impl HostCalls for Calls {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let asked = Python::try_attach(|py| -> PyResult<Option<String>> {
            let Some(provider) = self.provider.get(py) else { return Ok(None) };
            let answer = self.answer.call1(py, (provider, call.word(), request))?;
            answer.extract::<String>(py).map(Some)
        });
        match asked {
            Some(Ok(Some(answer))) => Ok(answer),
            Some(Ok(None)) => Err("nobody has its federation any more".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the interpreter is ending".to_owned()),
        }
    }
}

/// Providers as the library has them, and the Python objects behind them.
type Providers = (Vec<Arc<dyn Provider>>, Vec<Arc<Slot>>);

/// A provider that is written in Python, and what it says of itself.
pub(crate) struct Written {
    description: String,
    calls: Calls,
}

/// The providers of a list.
pub(crate) fn described(py: Python<'_>, given: Option<Vec<Py<PyAny>>>) -> PyResult<Vec<Written>> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let module = py.import("fulcrum.provider")?;
    let (describe, answer) = (module.getattr("_describe")?, module.getattr("_answer")?);
    let described = |object: Py<PyAny>| -> PyResult<Written> {
        let description = describe.call1((&object,))?.extract()?;
        let calls = Calls { provider: Arc::new(Slot::new(object)), answer: answer.clone().unbind() };
        Ok(Written { description, calls })
    };
    given.into_iter().map(described).collect()
}

/// Reads what they say of themselves.
pub(crate) fn providers(written: Vec<Written>) -> PyResult<Providers> {
    let provider = |Written { description, calls }| -> PyResult<(Arc<dyn Provider>, Arc<Slot>)> {
        let description: HostDescription = parse_json(&description).map_err(raise)?;
        let slot = calls.provider.clone();
        let provider = HostProvider::new(description, Arc::new(calls)).map_err(raise)?;
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
