//! Processes die, stop and run out of space, alone and beside others: each order still ends whole or empty.
//!
//! What dies is this executable, which starts itself for one ignored test.
#![cfg(all(feature = "sandbox", feature = "sqlite"))]

#[path = "../support/mod.rs"]
mod support;

mod clocks;
#[cfg(feature = "postgres")]
mod databases;
#[cfg(feature = "postgres")]
mod databases_fail_over;
#[cfg(target_os = "linux")]
mod disk_full;
#[cfg(target_os = "linux")]
mod disk_full_operations;
mod every_point;
mod hindered_ledger;
mod kill_points;
mod ledger_spy;
mod multi_host;
mod operation;
mod operations;
#[cfg(target_os = "linux")]
mod power;
mod random;
#[cfg(feature = "postgres")]
mod standby;
#[allow(unreachable_pub, reason = "as a module of its own")]
mod wal;
