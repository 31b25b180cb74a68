//! Metrics of orders and providers, for the host's own monitoring.
//!
//! They go to whatever recorder the host has installed for the [`metrics`](https://docs.rs/metrics/0.24) facade; without
//! one, and without the feature `metrics`, nothing is counted. Times are in seconds. Counts are of this process: sum them
//! over all hosts. Nothing here names an order, a service or a customer.

/// `state`: orders that entered a state, as this process wrote it.
pub const ORDERS: &str = "fulcrum_orders_total";
/// `provider`, `kind`: calls that failed and were noted with their step, after the retries within the call.
pub const ATTEMPTS_FAILED: &str = "fulcrum_attempts_failed_total";
/// Orders that went on with another plan.
pub const FAIL_OVERS: &str = "fulcrum_fail_overs_total";
/// `kind`: findings of scans; each scan counts what is still there.
pub const FINDINGS: &str = "fulcrum_findings_total";
/// `state`: from when an order was accepted until it entered a final state.
pub const ORDER_TIME: &str = "fulcrum_order_seconds";
/// `provider`: the time that this process took to get a service, waits included.
pub const STEP_TIME: &str = "fulcrum_step_seconds";
/// `provider`, `call`, `outcome` (`ok`, or the kind of error): calls that the trace layer saw, retries included; a list
/// counts from when it is asked for until its end.
pub const CALL_TIME: &str = "fulcrum_provider_call_seconds";
/// The time of a write of an order until it was durable.
pub const WRITE_TIME: &str = "fulcrum_ledger_write_seconds";

/// Describes each metric to the host's recorder, with its unit. Call it once, after the recorder was installed.
#[cfg(feature = "metrics")]
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!(ORDERS, Unit::Count, "orders that entered a state");
    describe_counter!(
        ATTEMPTS_FAILED,
        Unit::Count,
        "calls to providers that failed and were noted with their step"
    );
    describe_counter!(FAIL_OVERS, Unit::Count, "orders that went on with another plan");
    describe_counter!(FINDINGS, Unit::Count, "what scans found");
    describe_histogram!(ORDER_TIME, Unit::Seconds, "from accepting an order to its final state");
    describe_histogram!(STEP_TIME, Unit::Seconds, "to get a service");
    describe_histogram!(CALL_TIME, Unit::Seconds, "calls to providers, retries included");
    describe_histogram!(WRITE_TIME, Unit::Seconds, "writes of orders until they were durable");
}

pub(crate) use recorder::*;

#[cfg(feature = "metrics")]
mod recorder {
    use std::time::{Duration, Instant};

    use jiff::Timestamp;
    use metrics::{counter, histogram};

    use super::*;
    use crate::model::{FindingKind, OrderState, ProviderId};

    pub(crate) fn order_entered(state: OrderState, created: Timestamp) {
        counter!(ORDERS, "state" => state.word()).increment(1);
        if state.is_final() {
            let took = Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default();
            histogram!(ORDER_TIME, "state" => state.word()).record(took);
        }
    }

    pub(crate) fn attempt_failed(provider: &ProviderId, kind: &'static str) {
        counter!(ATTEMPTS_FAILED, "provider" => provider.to_string(), "kind" => kind).increment(1);
    }

    pub(crate) fn failed_over() {
        counter!(FAIL_OVERS).increment(1);
    }

    pub(crate) fn finding_reported(kind: FindingKind) {
        counter!(FINDINGS, "kind" => kind.word()).increment(1);
    }

    pub(crate) fn step_provisioned(provider: &ProviderId, began: Instant) {
        histogram!(STEP_TIME, "provider" => provider.to_string()).record(began.elapsed());
    }

    pub(crate) fn call_ended(
        provider: &ProviderId,
        call: &'static str,
        outcome: &'static str,
        began: Instant,
    ) {
        let provider = provider.to_string();
        histogram!(CALL_TIME, "provider" => provider, "call" => call, "outcome" => outcome)
            .record(began.elapsed());
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn write_committed(began: Instant) {
        histogram!(WRITE_TIME).record(began.elapsed());
    }
}

#[cfg(not(feature = "metrics"))]
mod recorder {
    use std::time::Instant;

    use jiff::Timestamp;

    use crate::model::{FindingKind, OrderState, ProviderId};

    pub(crate) fn order_entered(_: OrderState, _: Timestamp) {}
    pub(crate) fn attempt_failed(_: &ProviderId, _: &'static str) {}
    pub(crate) fn failed_over() {}
    pub(crate) fn finding_reported(_: FindingKind) {}
    pub(crate) fn step_provisioned(_: &ProviderId, _: Instant) {}
    pub(crate) fn call_ended(_: &ProviderId, _: &'static str, _: &'static str, _: Instant) {}
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn write_committed(_: Instant) {}
}
