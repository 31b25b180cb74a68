//! Documents between Python and the library, by way of JSON.

use std::{path::PathBuf, time::Duration};

use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyList, PyString},
};
use serde::Serialize;

/// The text of a document: a str as it is, a path's content, a dict or list as JSON.
pub(crate) fn document(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        return text.extract();
    }
    if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() {
        let options = PyDict::new(py);
        options.set_item("default", py.get_type::<PyString>())?;
        options.set_item("allow_nan", false)?;
        return py.import("json")?.call_method("dumps", (value,), Some(&options))?.extract();
    }
    match value.extract::<PathBuf>() {
        Ok(path) => Ok(std::fs::read_to_string(path)?),
        Err(_) => {
            let message = format!(
                "a document is YAML or JSON text, a path, or a dict, not {}",
                value.get_type().qualname()?
            );
            Err(PyTypeError::new_err(message))
        }
    }
}

/// Dicts and lists; amounts of money are text, so that no digit is lost.
pub(crate) fn python<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json(value)?,))
}

pub(crate) fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Seconds.
pub(crate) fn duration(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let read = |seconds| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("timeout: write seconds, zero or more"))
    };
    seconds.map(read).transpose()
}
