//! Errors of the library as Python exceptions; the classes are in `fulcrum/errors.py`.

use fulcrum_core::{compose::ComposeError, federation::FulcrumError};
use pyo3::prelude::*;

/// The exception for an error.
pub(crate) fn raise(error: impl Into<FulcrumError>) -> PyErr {
    let error = error.into();
    let conditions = match &error {
        FulcrumError::Compose(ComposeError::Infeasible(conflict)) => conflict.conditions.clone(),
        _ => Vec::new(),
    };
    Python::attach(|py| {
        let made = py
            .import("fulcrum.errors")
            .and_then(|errors| errors.call_method1("_make", (error.code(), error.to_string(), conditions)));
        made.map_or_else(|failure| failure, PyErr::from_value)
    })
}
