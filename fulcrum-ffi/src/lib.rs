//! The C ABI of Fulcrum: opaque handles, status numbers, sized structures, JSON for the rest. It translates and decides
//! nothing.
#![deny(clippy::arithmetic_side_effects)]
#![allow(non_camel_case_types, reason = "these are the names that C sees")]

// The header has its functions in the order of these groups: by type, and each type from its first call to its last.

mod text;

mod error;
mod error_details;
mod status;

mod federation;

mod provider;

mod offers;

mod compose;

mod explain;

mod dry_run;
mod purchase;

mod purchase_options;

mod operate;

mod access;

mod history;

mod archive;

mod deliver;

mod follow;

mod reconcile;

mod interrupt;

mod task;

mod start;

mod log;

mod metrics;

mod amount;
mod plan;

mod order;
mod order_view;

// Nothing of these is in the header.
mod call_thread;
mod guard;
mod process;
mod readiness;
mod runtime;
mod signals;
mod thread_cancellation;

pub use access::{
    fulcrum_access, fulcrum_access_count, fulcrum_access_free, fulcrum_access_name, fulcrum_access_value,
    fulcrum_federation_access,
};
pub use amount::fulcrum_amount;
pub use archive::{fulcrum_archive_verify, fulcrum_federation_export_json, fulcrum_federation_purge};
pub use compose::{
    FULCRUM_OFFERS_ALL, FULCRUM_OFFERS_ORDERABLE, fulcrum_compose_options, fulcrum_federation_compose,
    fulcrum_progress, fulcrum_progress_callback,
};
pub use deliver::{fulcrum_deliver_callback, fulcrum_federation_deliver};
pub use dry_run::fulcrum_federation_dry_run_json;
pub use error::{
    FULCRUM_FEDERATION_ENDED, FULCRUM_FORKED, FULCRUM_INTERRUPTED, FULCRUM_INVALID_ARGUMENT,
    FULCRUM_NO_THREAD, FULCRUM_OK, FULCRUM_PANIC, fulcrum_error, fulcrum_error_code, fulcrum_error_free,
    fulcrum_error_message, fulcrum_status, fulcrum_status_name,
};
pub use error_details::{
    fulcrum_error_condition, fulcrum_error_details, fulcrum_error_json, fulcrum_error_read,
    fulcrum_error_read_way_out, fulcrum_way_out,
};
pub use explain::{
    fulcrum_federation_explain_json, fulcrum_federation_pareto_json, fulcrum_federation_why_not_json,
};
pub use federation::{
    fulcrum_federation, fulcrum_federation_free, fulcrum_federation_open, fulcrum_federation_open_file,
    fulcrum_federation_refresh, fulcrum_federation_settings_schema_json, fulcrum_federation_sources_json,
};
pub use follow::{
    fulcrum_event, fulcrum_events, fulcrum_events_fd, fulcrum_events_free, fulcrum_events_has_ended,
    fulcrum_events_next, fulcrum_events_next_json, fulcrum_federation_follow,
};
pub use history::{
    fulcrum_federation_events_json, fulcrum_federation_timeline_json, fulcrum_federation_timeline_text,
};
pub use interrupt::fulcrum_federation_interrupt;
pub use log::{fulcrum_log_callback, fulcrum_log_level, fulcrum_set_log_callback};
pub use metrics::fulcrum_metrics_text;
pub use offers::{
    fulcrum_federation_offers, fulcrum_federation_quarantined_json, fulcrum_offer, fulcrum_offers,
    fulcrum_offers_catalogue_digest, fulcrum_offers_count, fulcrum_offers_free, fulcrum_offers_json,
    fulcrum_offers_read,
};
pub use operate::{
    fulcrum_federation_cancel, fulcrum_federation_operate, fulcrum_federation_order,
    fulcrum_federation_orders, fulcrum_federation_resume, fulcrum_federation_serve,
};
pub use order::{
    fulcrum_order, fulcrum_order_free, fulcrum_order_id, fulcrum_order_is_committed, fulcrum_order_json,
    fulcrum_order_read, fulcrum_order_read_attribute, fulcrum_order_read_service, fulcrum_order_read_step,
    fulcrum_order_sold_out_json, fulcrum_orders, fulcrum_orders_count, fulcrum_orders_free,
    fulcrum_orders_get,
};
pub use order_view::{
    fulcrum_attribute, fulcrum_order_state, fulcrum_order_summary, fulcrum_service, fulcrum_service_status,
    fulcrum_step, fulcrum_step_state,
};
pub use plan::{
    fulcrum_lease, fulcrum_plan, fulcrum_plan_approval_digest, fulcrum_plan_free, fulcrum_plan_from_json,
    fulcrum_plan_is_optimal, fulcrum_plan_json, fulcrum_plan_lease_count, fulcrum_plan_read,
    fulcrum_plan_read_lease, fulcrum_plan_read_replica, fulcrum_plan_summary, fulcrum_replica,
    fulcrum_stop_reason,
};
pub use provider::{
    fulcrum_federation_open_with, fulcrum_federation_run_conformance_json, fulcrum_provider,
    fulcrum_provider_callback, fulcrum_reply, fulcrum_reply_set,
};
pub use purchase::{
    fulcrum_federation_accept, fulcrum_federation_accept_as, fulcrum_federation_drive,
    fulcrum_federation_purchase, fulcrum_federation_purchase_async, fulcrum_purchase_callback,
};
pub use purchase_options::fulcrum_purchase_options;
pub use reconcile::fulcrum_federation_reconcile_json;
pub use start::{
    fulcrum_federation_cancel_start, fulcrum_federation_compose_start, fulcrum_federation_drive_start,
    fulcrum_federation_explain_start, fulcrum_federation_operate_start, fulcrum_federation_reconcile_start,
    fulcrum_federation_refresh_start, fulcrum_federation_resume_start,
};
pub use status::*;
pub use task::{
    fulcrum_task, fulcrum_task_cancel, fulcrum_task_fd, fulcrum_task_free, fulcrum_task_is_done,
    fulcrum_task_read_progress, fulcrum_task_result, fulcrum_task_take_order, fulcrum_task_take_orders,
    fulcrum_task_take_plan, fulcrum_task_take_text, fulcrum_task_wait,
};
pub use text::{fulcrum_text, fulcrum_text_data, fulcrum_text_free, fulcrum_text_length, fulcrum_version};
