//! The engine: that its plans are the best, that it says so truly, and that whoever gets it wrong is caught.

#[path = "../support/mod.rs"]
mod support;

#[allow(unreachable_pub, reason = "shared by the tests here")]
mod brute;
#[allow(unreachable_pub, reason = "shared by the tests here")]
mod packing;
#[allow(unreachable_pub, reason = "shared by the tests here")]
mod random;

mod answers;
mod anytime;
mod colgen;
mod declared;
mod explain;
mod extremes;
mod mutation;
mod oracle;
mod pairs;
mod queries;
mod shipped_tables;
mod threads;
