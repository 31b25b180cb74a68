//! An order ends with all of its services or with none, whatever a provider does.
#![cfg(all(feature = "sandbox", feature = "sqlite"))]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod amounts;
mod attributes;
mod backoff;
mod dependencies;
mod dry_run;
mod fail_over;
mod faulty_provider;
mod federation;
mod isolation;
mod kept_relations;
mod lifecycle;
mod multi_call;
mod non_idempotent;
mod operation_handles;
mod orderable;
mod plan_formats;
mod price_check;
mod references;
mod relations;
mod reservation;
mod restored_ledger;
mod saga;
mod settings;
mod shipped_tables;
mod untrusted_plans;
