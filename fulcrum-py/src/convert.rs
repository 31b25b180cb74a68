//! Documents between Python and the library, by way of JSON.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use fulcrum_core::model::{self, DocumentError};
use fulcrum_py_macros::guarded;
use pyo3::{
    exceptions::{PyOSError, PyTypeError, PyValueError},
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};
use serde::Serialize;

use crate::{
    error::raise,
    runtime::{on_thread, wait},
};

/// Lists and dicts in one another at most; the readers of documents go no deeper.
const MAX_DEPTH: usize = 128;

/// The text of a document: a str as it is, a path's content, a dict or list as JSON.
pub(crate) fn document(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = value.cast::<PyString>() {
        return text.extract();
    }
    let py = value.py();
    if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() {
        return json_of(value);
    }
    match value.extract::<PathBuf>() {
        Ok(path) => read(py, &path),
        Err(_) => {
            let message = format!(
                "a document is YAML or JSON text, a path, or a dict, not {}",
                value.get_type().qualname()?
            );
            Err(PyTypeError::new_err(message))
        }
    }
}

/// A file's text. What the system refuses is an `OSError` with the file's name, as Python's own `open` raises it.
fn read(py: Python<'_>, path: &Path) -> PyResult<String> {
    // Aside: what a pipe brings may never come, and Ctrl-C ends the wait.
    let file = path.to_owned();
    let read = wait(py, on_thread(move || Ok(model::read_text(&file))))??;
    read.map_err(|error| match error.raw_os_error() {
        Some(number) => {
            let words = error.to_string();
            let words = words.split(" (os error").next().unwrap_or_default();
            // Made by a call, so that it is a FileNotFoundError and its like.
            let made = py.get_type::<PyOSError>().call1((number, words, path.display().to_string()));
            made.map_or_else(|failure| failure, PyErr::from_value)
        }
        None => raise(DocumentError::at(path.display().to_string(), error)),
    })
}

/// As the module's own Python code calls it.
#[guarded]
#[pyo3(name = "_to_json")]
pub(crate) fn to_json(value: &Bound<'_, PyAny>) -> PyResult<String> {
    json_of(value)
}

/// A Python value as JSON. What has no form there is refused with its place: a text made of it would be taken for what was
/// meant.
fn json_of(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut writer = Writer { text: String::new(), path: String::new() };
    writer.value(value, 0)?;
    Ok(writer.text)
}

struct Writer {
    text: String,
    /// Of the value at hand, as documents name it.
    path: String,
}

impl Writer {
    fn value<'py>(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        if depth > MAX_DEPTH {
            return Err(self.refuse("the document is too deep, or holds itself; write it flatter"));
        }
        if value.is_none() {
            self.text.push_str("null");
        } else if let Ok(flag) = value.cast::<PyBool>() {
            self.text.push_str(if flag.is_true() { "true" } else { "false" });
        } else if let Ok(text) = value.cast::<PyString>() {
            self.string(text)?;
        } else if let Ok(number) = value.cast::<PyFloat>() {
            self.number(number.value())?;
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.dict(dict, depth)?;
        } else if let Ok(list) = value.cast::<PyList>() {
            self.list(list.iter(), depth)?;
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.list(tuple.iter(), depth)?;
        } else if let Some(whole) = whole(value) {
            // The digits, as JSON has no limit on them.
            self.text.push_str(&whole.str()?.to_cow()?);
        } else {
            self.other(value)?;
        }
        Ok(())
    }

    /// What has a text that is its only one.
    fn other<'py>(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = value.py();
        let class = value.get_type();
        let (module, name) = (class.module()?, class.qualname()?);
        let is_a = |module, class| value.is_instance(&py.import(module)?.getattr(class)?);
        if is_a("decimal", "Decimal")? {
            if !value.call_method0("is_finite")?.is_truthy()? {
                return Err(self.refuse(format!("{value} is no amount; write a number such as 12.5")));
            }
            self.string(&value.str()?)
        } else if is_a("datetime", "date")? {
            self.string(&value.call_method0("isoformat")?.str()?)
        } else if matches!(&*module.to_cow()?, "uuid" | "ipaddress") {
            self.string(&value.str()?)
        } else if module == "numpy" && matches!(&*name.to_cow()?, "bool" | "bool_") {
            self.text.push_str(if value.is_truthy()? { "true" } else { "false" });
            Ok(())
        } else if let Ok(path) = py.import("os")?.call_method1("fspath", (value,))
            && let Ok(path) = path.cast::<PyString>()
        {
            self.string(path)
        } else {
            Err(self.refuse(format!(
                "a value of type {name} has no form in a document; write text, a number, true or false, a list or a dict"
            )))
        }
    }

    fn number(&mut self, number: f64) -> PyResult<()> {
        if !number.is_finite() {
            return Err(self.refuse(format!("{number} is beyond all numbers; write one such as 12.5")));
        }
        self.text.push_str(&json(&number)?);
        Ok(())
    }

    fn string<'py>(&mut self, text: &Bound<'py, PyString>) -> PyResult<()> {
        let Ok(text) = text.to_cow() else {
            return Err(self.refuse("the text is not Unicode: it holds half of a character"));
        };
        self.text.push_str(&json(&text)?);
        Ok(())
    }

    fn list<'py>(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<()> {
        self.text.push('[');
        for (at, item) in items.enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            let around = self.path.len();
            self.path.push_str(&format!("[{at}]"));
            self.value(&item, depth.saturating_add(1))?;
            self.path.truncate(around);
        }
        self.text.push(']');
        Ok(())
    }

    fn dict<'py>(&mut self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<()> {
        self.text.push('{');
        for (at, (name, value)) in dict.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            let is_number = name.is_instance_of::<PyInt>() && !name.is_instance_of::<PyBool>();
            let name = match name.cast::<PyString>() {
                Ok(name) => name.clone(),
                // A map by numbers has the same form in YAML.
                Err(_) if is_number => name.str()?,
                Err(_) => {
                    let kind = name.get_type().qualname()?;
                    return Err(
                        self.refuse(format!("a name of type {kind} has no form in a document; write text"))
                    );
                }
            };
            let around = self.path.len();
            if around > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name.to_string_lossy());
            self.string(&name)?;
            self.text.push(':');
            self.value(&value, depth.saturating_add(1))?;
            self.path.truncate(around);
        }
        self.text.push('}');
        Ok(())
    }

    fn refuse(&self, message: impl std::fmt::Display) -> PyErr {
        raise(DocumentError::at(self.path.clone(), message))
    }
}

/// A whole number of whatever type, such as numpy's, as Python's own; none if it is none.
fn whole<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    value.py().import("operator").ok()?.call_method1("index", (value,)).ok()
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
