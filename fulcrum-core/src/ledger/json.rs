//! Values as JSON text, as the stores keep them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{LedgerError, Result};
use crate::model::lenient;

pub(super) fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| LedgerError::Damaged(error.to_string()))
}

pub(super) fn value<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| LedgerError::Damaged(error.to_string()))
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str, column: &str) -> Result<T> {
    lenient::from_json_ignoring_unknown(text)
        .map_err(|error| LedgerError::Damaged(format!("{column}: {error}")))
}
