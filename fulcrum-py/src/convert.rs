//! Converts documents between Python and the library, by way of JSON.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use fulcrum_core::model::{self, DocumentError};
use fulcrum_py_macros::guarded;
use pyo3::{
    exceptions::{PyOSError, PyTypeError, PyValueError},
    prelude::*,
    types::{
        PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, list::BoundListIterator,
        tuple::BoundTupleIterator,
    },
};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::{
    arguments::Seconds,
    call_thread::{compute_borrowed, wait},
    error::raise,
    runtime::on_thread,
};

/// Lists and dicts in one another at most; the readers of documents go no deeper.
const MAX_DEPTH: usize = 128;
/// So deep does a small stack suffice for writing a document.
const PYTHON_STACK_DEPTH: usize = 24;
/// A century.
const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 366 * 86400);
/// A document of more bytes is read on a thread that it may keep busy.
const SLOW_DOCUMENT_BYTES: usize = 64 << 10;

/// The text of a document: a str as it is, a path's content, a dict or list as JSON.
pub(crate) fn document(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        let text: String = text.extract()?;
        if names_file(&text) {
            let message = format!(
                "a text that names a file is not read, as it may be a stranger's; write pathlib.Path({text:?})"
            );
            return Err(raise(DocumentError::at("", message)));
        }
        return Ok(text);
    }
    if value.is_instance_of::<PyDict>() || value.is_instance_of::<PyList>() {
        return json_of(value);
    }
    match value.extract::<PathBuf>() {
        Ok(path) => read_file(py, &path),
        Err(_) => {
            let message = format!(
                "a document is YAML or JSON text, a path, or a dict, not {}",
                value.get_type().qualname()?
            );
            Err(PyTypeError::new_err(message))
        }
    }
}

/// A federation's configuration. Its text may be a stranger's, and so never names a file.
pub(crate) fn configuration(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyString>() {
        Ok(text) if names_file(&text.to_cow()?) => {
            let message = "a configuration's text is needed; to open a file write Federation.open(path)";
            Err(raise(DocumentError::at("", message)))
        }
        Ok(text) => text.extract(),
        Err(_) => document(value),
    }
}

/// Whether a text is the name of a document's file: one line that ends as such names do and cannot be a document.
fn names_file(text: &str) -> bool {
    let is_name = [".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end));
    is_name && !text.contains(['\n', '\r', '{', '[', '\0']) && !text.contains(": ")
}

/// The text of a document, if there is one.
pub(crate) fn optional(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    value.map(document).transpose()
}

/// A document; without one the default. The stack must be one of the library's.
pub(crate) async fn read_or_default<T: Default + Send + 'static>(
    text: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, DocumentError> + Send + 'static,
) -> PyResult<T> {
    match text {
        Some(text) => read(text, parse).await,
        None => Ok(T::default()),
    }
}

/// A document. The stack must be one of the library's.
pub(crate) async fn read<T: Send + 'static>(
    text: String,
    parse: impl FnOnce(&str) -> Result<T, DocumentError> + Send + 'static,
) -> PyResult<T> {
    let is_long = text.len() > SLOW_DOCUMENT_BYTES;
    let parse = move || parse(&text).map_err(raise);
    if is_long { on_thread(parse).await } else { parse() }
}

/// A file's text. What the system refuses is an `OSError` with the file's name, as Python's own `open` raises it.
fn read_file(py: Python<'_>, path: &Path) -> PyResult<String> {
    // Aside: what a pipe brings may never come, and Ctrl-C ends the wait.
    let file = path.to_owned();
    let read = wait(py, move || on_thread(move || Ok(model::read_text(&file))))?;
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
    let mut writer = Writer { text: String::new(), path: String::new(), around: Vec::new() };
    writer.document(value)?;
    Ok(writer.text)
}

/// Keeps its own stack, as that of the thread may be small.
struct Writer<'py> {
    text: String,
    /// Of the value at hand, as documents name it.
    path: String,
    around: Vec<Level<'py>>,
}

/// A list or dict that is being written.
struct Level<'py> {
    rest: Rest<'py>,
    written: usize,
    /// How long the path to it is.
    path: usize,
}

enum Rest<'py> {
    List(BoundListIterator<'py>),
    Tuple(BoundTupleIterator<'py>),
    /// Its names with their values as they were: reading them may run code of the host's, which may change it.
    Dict(BoundListIterator<'py>),
}

impl<'py> Writer<'py> {
    fn document(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        self.value(value)?;
        while let Some(level) = self.around.last_mut() {
            self.path.truncate(level.path);
            let at = level.written;
            level.written = at.saturating_add(1);
            let (name, item) = match &mut level.rest {
                Rest::List(items) => (None, items.next()),
                Rest::Tuple(items) => (None, items.next()),
                Rest::Dict(items) => match items.next() {
                    Some(pair) => {
                        let (name, item) = pair.extract()?;
                        (Some(name), Some(item))
                    }
                    None => (None, None),
                },
            };
            let Some(item) = item else {
                self.text.push(if matches!(level.rest, Rest::Dict(_)) { '}' } else { ']' });
                self.around.pop();
                continue;
            };
            if at > 0 {
                self.text.push(',');
            }
            match name {
                Some(name) => self.name(&name)?,
                None => self.path.push_str(&format!("[{at}]")),
            }
            self.value(&item)?;
        }
        Ok(())
    }

    /// A value as a whole, or the begin of a list or dict.
    fn value(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.around.len() > MAX_DEPTH {
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
            self.begin('{', Rest::Dict(dict.items().iter()));
        } else if let Ok(list) = value.cast::<PyList>() {
            self.begin('[', Rest::List(list.iter()));
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.begin('[', Rest::Tuple(tuple.iter()));
        } else if let Some(whole) = whole(value) {
            // The digits, as JSON has no limit on them.
            self.text.push_str(&whole.str()?.to_cow()?);
        } else {
            self.other(value)?;
        }
        Ok(())
    }

    fn begin(&mut self, bracket: char, rest: Rest<'py>) {
        self.text.push(bracket);
        self.around.push(Level { rest, written: 0, path: self.path.len() });
    }

    /// The name of a value in a dict, which is next.
    fn name(&mut self, name: &Bound<'py, PyAny>) -> PyResult<()> {
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
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(&name.to_string_lossy());
        self.string(&name)?;
        self.text.push(':');
        Ok(())
    }

    /// What has a text that is its only one.
    fn other(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = value.py();
        let class = value.get_type();
        let (module, name) = (class.module()?, class.qualname()?);
        let is_a = |module, class| value.is_instance(&py.import(module)?.getattr(class)?);
        if is_a("decimal", "Decimal")? {
            if !value.call_method0("is_finite")?.is_truthy()? {
                return Err(
                    self.refuse(format!("{value} is not a valid amount; write a number such as 12.5"))
                );
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
        self.text.push_str(&written(&number)?);
        Ok(())
    }

    fn string(&mut self, text: &Bound<'py, PyString>) -> PyResult<()> {
        let Ok(text) = text.to_cow() else {
            return Err(self.refuse("the text is not Unicode: it holds half of a character"));
        };
        self.text.push_str(&written(&*text)?);
        Ok(())
    }

    fn refuse(&self, message: impl Display) -> PyErr {
        raise(DocumentError::at(self.path.clone(), message))
    }
}

/// A whole number of whatever type, such as numpy's, as Python's own; none if it is none.
fn whole<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    value.py().import("operator").ok()?.call_method1("index", (value,)).ok()
}

/// Dicts and lists; amounts of money are text, so that no digit is lost.
pub(crate) fn python<'py>(
    py: Python<'py>,
    value: &(impl Serialize + Sync + ?Sized),
) -> PyResult<Bound<'py, PyAny>> {
    loaded(py, &json(py, value)?)
}

/// An object of `fulcrum_market.answers`, made of what a document says.
pub(crate) fn answer<'py>(
    py: Python<'py>,
    class: &str,
    document: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("fulcrum_market.answers")?.getattr(class)?.call_method1("_of", (document,))
}

/// A list of such objects, of one class.
pub(crate) fn answers<'py>(
    py: Python<'py>,
    class: &str,
    values: &(impl Serialize + Sync + ?Sized),
) -> PyResult<Bound<'py, PyList>> {
    let class = py.import("fulcrum_market.answers")?.getattr(class)?.getattr("_of")?;
    let made = PyList::empty(py);
    for value in python(py, values)?.try_iter()? {
        made.append(class.call1((value?,))?)?;
    }
    Ok(made)
}

/// The same of its text. Python's reader takes little of the stack for each level, and levels are few.
pub(crate) fn loaded<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

/// What is deep is written on a stack of the library's.
pub(crate) fn json(py: Python<'_>, value: &(impl Serialize + Sync + ?Sized)) -> PyResult<String> {
    let mut text = Vec::new();
    let mut shallow = serde_json::Serializer::with_formatter(&mut text, Shallow(0));
    match value.serialize(&mut shallow) {
        Err(error) if error.is_io() => compute_borrowed(py, || written(value)),
        outcome => checked(outcome.map(|()| text)),
    }
}

/// On a stack of the library's, where all may be deep.
pub(crate) fn written(value: &(impl Serialize + ?Sized)) -> PyResult<String> {
    checked(serde_json::to_vec(value))
}

fn checked(written: serde_json::Result<Vec<u8>>) -> PyResult<String> {
    let text = written.map_err(|error| PyValueError::new_err(error.to_string()))?;
    String::from_utf8(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Writes JSON, and refuses what is deep before it goes there.
struct Shallow(usize);

impl Shallow {
    fn enter(&mut self) -> io::Result<()> {
        self.0 = self.0.saturating_add(1);
        if self.0 > PYTHON_STACK_DEPTH { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }
}

impl serde_json::ser::Formatter for Shallow {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave();
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.leave();
        writer.write_all(b"}")
    }
}

/// A number in whatever form, as a decimal; none if it is none. The text of anything else is not asked for: that of a list
/// goes as deep as the list does.
pub(crate) fn decimal(value: &Bound<'_, PyAny>) -> PyResult<Option<Decimal>> {
    if value.is_instance_of::<PyString>() || value.extract::<f64>().is_ok() {
        return Ok(value.str()?.extract::<String>()?.parse().ok());
    }
    Ok(None)
}

/// A timeout.
pub(crate) fn duration(timeout: Option<Seconds>) -> PyResult<Option<Duration>> {
    timeout.map(|timeout| timeout.duration("timeout")).transpose()
}

/// Seconds of a field. What is longer than a clock can tell, infinity too, is as long as anybody waits.
pub(crate) fn seconds(field: &str, seconds: f64) -> PyResult<Duration> {
    if seconds >= MAX_TIMEOUT.as_secs_f64() {
        return Ok(MAX_TIMEOUT);
    }
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("{field}: write seconds, zero or more")))
}

/// The ids of a list, set or other collection.
pub(crate) fn ids<T: Ord + FromStr<Err: Display>>(
    field: &str,
    given: Option<&Bound<'_, PyAny>>,
) -> PyResult<BTreeSet<T>> {
    let Some(given) = given else { return Ok(BTreeSet::new()) };
    let refuse =
        |what: &str| PyTypeError::new_err(format!("{field}: write a list or set of ids, not {what}"));
    if given.is_instance_of::<PyString>() {
        return Err(refuse("one text"));
    }
    let Ok(items) = given.try_iter() else { return Err(refuse(&given.get_type().qualname()?.to_cow()?)) };
    let id = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        if !item.is_instance_of::<PyString>() && name_of(&item).is_none() {
            return Err(refuse(&format!("one of {}", item.get_type().qualname()?)));
        }
        named(field, &item)
    };
    items.map(id).collect()
}

/// An id: text, or an object that has one, such as a lease or an offer.
pub(crate) fn named<T: FromStr<Err: Display>>(field: &str, given: &Bound<'_, PyAny>) -> PyResult<T> {
    let name = name_of(given).unwrap_or_else(|| given.clone());
    let Ok(text) = name.cast::<PyString>() else {
        let message = format!("{field}: write an id, not {}", given.get_type().qualname()?);
        return Err(PyTypeError::new_err(message));
    };
    text.to_cow()?.parse().map_err(|error| PyValueError::new_err(format!("{field}: {error}")))
}

/// The offer of a lease, or the id of an offer.
fn name_of<'py>(given: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let is_ours =
        given.get_type().module().is_ok_and(|name| name.to_string_lossy().starts_with("fulcrum_market."));
    if !is_ours {
        return None;
    }
    given.getattr("offer").or_else(|_| given.getattr("id")).ok()
}
