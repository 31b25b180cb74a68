//! Arguments as Python writes them: an order or its id, seconds or a `timedelta`.

use std::time::Duration;

use fulcrum_core::model::OrderId;
use pyo3::{
    Borrowed,
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyString,
};

use crate::{convert::seconds, values::Order};

/// Which order: its id as text or UUID, or the order itself.
pub(crate) struct Id(pub(crate) OrderId);

impl<'a, 'py> FromPyObject<'a, 'py> for Id {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(order) = given.cast::<Order>() {
            return Ok(Self(order.get().0.id.clone()));
        }
        let class = given.get_type();
        let is_uuid = class.module()?.to_cow()? == "uuid" && class.name()?.to_cow()? == "UUID";
        if !is_uuid && !given.is_instance_of::<PyString>() {
            let message = format!("an order, its id, or a UUID is needed, not {}", class.qualname()?);
            return Err(PyTypeError::new_err(message));
        }
        let id = given.str()?.to_cow()?.parse();
        id.map(Self).map_err(|error| PyValueError::new_err(format!("{error}")))
    }
}

/// A time: seconds, or a `timedelta`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(f64);

impl Seconds {
    /// As a duration; `field` is named if it is below zero.
    pub(crate) fn duration(self, field: &str) -> PyResult<Duration> {
        seconds(field, self.0)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Seconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let seconds = match given.getattr("total_seconds") {
            Ok(total_seconds) => total_seconds.call0()?.extract(),
            Err(_) => given.extract(),
        };
        seconds.map(Self).map_err(|_| {
            let class = given.get_type();
            let kind = class.qualname().map_or_else(|_| "that".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("a time is seconds or a timedelta, not {kind}"))
        })
    }
}
