//! The C ABI of Fulcrum: opaque handles, status numbers, JSON for what is structured. It translates and decides
//! nothing.
#![allow(non_camel_case_types, reason = "these are the names that C sees")]

mod compose;
mod error;
mod federation;
mod guard;
mod order;
mod plan;
mod text;

pub use compose::{
    fulcrum_compose_options, fulcrum_federation_compose, fulcrum_progress, fulcrum_progress_callback,
};
pub use error::{
    FULCRUM_FEDERATION_ENDED, FULCRUM_INVALID_ARGUMENT, FULCRUM_OK, FULCRUM_PANIC, fulcrum_error,
    fulcrum_error_code, fulcrum_error_free, fulcrum_error_message, fulcrum_status,
};
pub use federation::{
    fulcrum_federation, fulcrum_federation_cancel, fulcrum_federation_free, fulcrum_federation_open,
    fulcrum_federation_purchase, fulcrum_federation_purchase_async, fulcrum_federation_refresh,
    fulcrum_federation_resume, fulcrum_purchase_callback,
};
pub use order::{
    fulcrum_order, fulcrum_order_free, fulcrum_order_id, fulcrum_order_is_committed, fulcrum_order_json,
    fulcrum_order_sold_out,
};
pub use plan::{
    fulcrum_plan, fulcrum_plan_free, fulcrum_plan_from_json, fulcrum_plan_is_optimal, fulcrum_plan_json,
    fulcrum_plan_lease_count,
};
pub use text::{fulcrum_text, fulcrum_text_data, fulcrum_text_free, fulcrum_text_length, fulcrum_version};
