#![doc = include_str!("lib.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
// An operator of decimals panics on overflow; see clippy.toml.
#![deny(clippy::arithmetic_side_effects)]

pub mod catalogue;
pub mod compose;
pub mod federation;
mod files;
pub mod ledger;
pub mod model;
pub mod provider;
pub mod purchase;
pub mod telemetry;
mod threads;

/// The README's examples, compiled.
#[cfg(all(doctest, feature = "sqlite", feature = "sandbox"))]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The examples of the guide to orders, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/orders.md")]
struct Orders;
