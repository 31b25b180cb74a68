//! Errors of SQLite, with advice.

use crate::ledger::LedgerError;

/// An error of the store that says what to do.
pub(super) fn store_error(words: impl Into<String>) -> LedgerError {
    LedgerError::Store(words.into())
}

/// An error of the driver, with advice.
pub(super) fn driver_error(error: impl std::fmt::Display) -> LedgerError {
    store_error(format!("{error}; check the file, its folder's rights and the free space"))
}
