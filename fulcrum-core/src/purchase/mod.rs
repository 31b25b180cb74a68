//! Orders as sagas: every intent is written before its call, every outcome after it, so that a purchase survives
//! any crash with all of its services or with none.
//!
//! `machine` decides from the ledger alone what comes next and does nothing; `drive` does it.

mod absent;
mod accept;
mod act;
mod archive;
mod compensate;
mod deliver;
mod drive;
mod engine;
mod error;
#[allow(clippy::arithmetic_side_effects, reason = "its amounts are checked when a plan is accepted")]
mod fail_over;
mod failures;
mod fresh;
mod held;
mod listings;
mod machine;
mod metrics;
#[cfg(test)]
mod model;
mod moment;
mod operate;
mod outcome;
mod own;
#[allow(clippy::arithmetic_side_effects, reason = "its amounts are checked when a plan is accepted")]
mod place;
mod prices;
mod provision;
mod reconcile;
mod reserve;
mod serve;
mod timeline;
mod traffic;
mod turns;
mod unkeyed;

pub use accept::PurchaseOptions;
pub use archive::OrderArchive;
pub use engine::Engine;
pub use error::{PurchaseError, sold_out};
pub use reconcile::{Reconciliation, Record, Repair, RepairPolicy, Scanned, Unrepaired};
pub use timeline::{Timeline, TimelineEntry};
