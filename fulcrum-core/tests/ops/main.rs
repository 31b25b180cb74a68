//! What whoever runs it needs: ledgers, outbox, archive, timelines, numbers, and finding what differs.
#![cfg(all(feature = "sandbox", feature = "sqlite"))]

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod ledger;
mod outbox;
mod reconcile;
#[cfg(feature = "metrics")]
mod telemetry;
mod timeline;
