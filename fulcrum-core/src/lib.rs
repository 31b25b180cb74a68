#![doc = include_str!("lib.md")]
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod compose;
pub mod federation;
pub mod ledger;
pub mod model;
pub mod provider;
pub mod purchase;
