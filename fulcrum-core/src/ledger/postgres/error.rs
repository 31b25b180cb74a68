//! Errors of PostgreSQL, with advice.

use crate::ledger::LedgerError;

/// The advice if nothing better is known.
const ADVICE: &str = "check the ledger's address, the role's rights and the server's log";

/// A row or table is locked by another session.
pub(super) const LOCKED: &str = "55P03";
/// The transaction would change something, and may not.
pub(super) const READ_ONLY: &str = "25006";
/// A statement took longer than the session allows.
const TOO_LONG: &str = "57014";
/// The role may not do it.
pub(super) const FORBIDDEN: &str = "42501";

/// The five characters by which PostgreSQL names an error.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// An error of the store that says what to do.
pub(super) fn store_error(words: impl Into<String>) -> LedgerError {
    LedgerError::Store(words.into())
}

/// An error of the driver, with advice.
pub(super) fn driver_error(error: sqlx::Error) -> LedgerError {
    let code = code(&error);
    store_error(match (code.as_deref(), &error) {
        (Some(LOCKED), _) => format!(
            "another session of the database holds a lock on the order's row ({error}); try again, and look for that session in \
             pg_locks if it stays"
        ),
        (Some(READ_ONLY), _) => format!(
            "the database is read-only just now ({error}); it goes on by itself once the address leads to a server that \
             takes writes"
        ),
        (Some(TOO_LONG), _) => {
            format!("{error}; the server is overloaded, or statement_timeout is too short")
        }
        (Some(FORBIDDEN), _) => {
            format!("{error}; grant the role what it lacks, or connect as the tables' owner")
        }
        (_, sqlx::Error::PoolTimedOut) => {
            format!("no connection to PostgreSQL became free in time; {ADVICE}")
        }
        _ => format!("{error}; {ADVICE}"),
    })
}
