//! The durable store of purchases: orders, their steps and their events, in SQLite or PostgreSQL.

mod codec;
mod conformance;
mod contract;
mod hash_chain;
mod json;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
#[cfg(feature = "postgres")]
mod postgres;
mod purge;
#[cfg(feature = "sqlite")]
mod sqlite;
mod unknown_fields;

pub use conformance::check_ledger;
pub use contract::{Claim, Ledger, LedgerError, OrderQuery, OrderUpdate, Result, SerialSlot, WriteReceipt};
pub use hash_chain::verify_events;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteLedger, after_fork, after_fork_in_child, before_fork};
