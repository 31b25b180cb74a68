//! The durable memory of purchases: orders, steps, and what happened to them.

mod conformance;
mod contract;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use conformance::check_ledger;
pub use contract::{Change, Claim, Ledger, LedgerError, OrderQuery, Result};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLedger;
