//! Orders as sagas: every intent is written before its call, every outcome after it. A purchase survives any crash with all of
//! its services, or with none.
//!
//! * One order: `claims` claims it, `drive` takes it through its states, `driver` writes what happens. `machine` decides the next
//!   effect of a step from the ledger alone, and does no I/O.
//! * One step: `reserve`, `provision`, `step_secrets`, `compensate`, `lifecycle` (actions on a running service); `serial_slot` and
//!   `non_idempotent` where a provider takes no idempotency keys.
//! * Before a purchase: `accept`, `plan_check`, `place_check`, `price_check`, `traffic_check`; all of them, and what providers know, without
//!   a purchase: `dry_run`. After a shortage: `fail_over`.
//! * Hosts and people: `access`, `worker`, `outbox`, `follow`, `operator_actions`, `reconcile`, `archive`, `timeline`.

mod absent_provider;
mod accept;
mod access;
mod archive;
mod backoff;
mod claim_guard;
mod claims;
mod compensate;
mod drive;
mod driver;
mod dry_run;
mod dual_clock;
mod engine;
mod error;
#[allow(clippy::arithmetic_side_effects, reason = "its amounts are checked when a plan is accepted")]
mod fail_over;
mod follow;
mod lifecycle;
mod listing_cache;
mod machine;
mod non_idempotent;
mod operation_handle;
mod operator_actions;
mod outbox;
mod ownership;
#[allow(clippy::arithmetic_side_effects, reason = "its amounts are checked when a plan is accepted")]
mod place_check;
mod plan_check;
mod price_check;
mod price_terms;
mod provision;
mod provision_attempt;
mod provision_request;
mod recent_orders;
mod reconcile;
mod reserve;
mod serial_slot;
mod spans;
mod step_dependencies;
mod step_failures;
mod step_secrets;
mod terminal_state;
#[cfg(test)]
mod tests;
mod timeline;
mod traffic_check;
mod worker;

pub use accept::PurchaseOptions;
pub use archive::OrderArchive;
pub use dry_run::{DryRun, DryRunFinding};
pub use engine::Engine;
pub use error::{PurchaseError, sold_out};
pub use reconcile::{Reconciliation, Record, Repair, RepairPolicy, Scanned, Unrepaired};
pub use timeline::{Timeline, TimelineEntry};
