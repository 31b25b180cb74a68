//! The durable memory of purchases: orders, steps, and what happened to them.

mod chain;
mod conformance;
mod contract;
mod forget;
mod kept;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stored;

pub use chain::verify_events;
pub use conformance::check_ledger;
pub use contract::{Change, Claim, Gate, Ledger, LedgerError, OrderQuery, Result, Written};
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteLedger, after_fork, after_fork_in_child, before_fork};
