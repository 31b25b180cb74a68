//! What SQLite says, in words that help.

use crate::ledger::LedgerError;

/// An error in words that are enough.
pub(super) fn said(words: impl Into<String>) -> LedgerError {
    LedgerError::Store(words.into())
}

/// An error of the driver, with what to do.
pub(super) fn store(error: impl std::fmt::Display) -> LedgerError {
    said(format!("{error}; check the file, its folder's rights and the free space"))
}
