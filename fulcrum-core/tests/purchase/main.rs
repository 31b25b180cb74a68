//! An order ends with all of its services or with none, whatever a provider does.
#![cfg(all(feature = "sandbox", feature = "sqlite"))]

#[path = "../support/mod.rs"]
mod support;

mod amounts;
mod dependencies;
mod fail_over;
mod federation;
mod handles;
mod isolation;
mod lifecycle;
mod multi_call;
mod non_idempotent;
mod odd;
mod pace;
mod prices;
mod references;
mod reservation;
mod restored;
mod saga;
mod settings;
mod strange_plans;
mod strangers;
