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

use crate::error::raise;

/// One of them. `answer` makes a call, from text to text.
#[derive(Debug)]
struct Written {
    provider: Py<PyAny>,
    answer: Py<PyAny>,
}

impl HostCalls for Written {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let asked = Python::try_attach(|py| {
            let answer = self.answer.call1(py, (&self.provider, call.word(), request))?;
            answer.extract::<String>(py)
        });
        match asked {
            Some(answer) => answer.map_err(|error: PyErr| error.to_string()),
            None => Err("the interpreter is ending".to_owned()),
        }
    }
}

/// The providers of a list.
pub(crate) fn providers(py: Python<'_>, given: Option<Vec<Py<PyAny>>>) -> PyResult<Vec<Arc<dyn Provider>>> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let module = py.import("fulcrum.provider")?;
    let (describe, answer) = (module.getattr("_describe")?, module.getattr("_answer")?);
    let provider = |written: Py<PyAny>| -> PyResult<Arc<dyn Provider>> {
        let text: String = describe.call1((&written,))?.extract()?;
        let description: HostDescription = parse_json(&text).map_err(raise)?;
        let calls = Written { provider: written, answer: answer.clone().unbind() };
        let provider = HostProvider::new(description, Arc::new(calls)).map_err(raise)?;
        Ok(Arc::new(provider))
    };
    given.into_iter().map(provider).collect()
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
