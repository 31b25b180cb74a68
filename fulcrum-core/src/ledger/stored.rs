//! What the stores share: structures as text, and what a change tells.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{Change, Claim, LedgerError, Result, verify_events};
use crate::model::{
    Accepted, InvalidId, Order, OrderEvent, OrderEventKind, OrderId, OrderState, ServiceId, Step, StepState,
};

pub(super) fn store(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Store(error.to_string())
}

pub(super) fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| LedgerError::Damaged(error.to_string()))
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str, column: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| LedgerError::Damaged(format!("{column}: {error}")))
}

pub(super) fn token(claim: &Claim) -> i64 {
    i64::try_from(claim.token).unwrap_or(i64::MAX)
}

/// All that a change tells, the order's own state last.
pub(super) fn changed_kinds(change: &Change) -> Vec<OrderEventKind> {
    let steps = change.steps.iter().map(|step| OrderEventKind::Step {
        index: step.index,
        provider: step.provider.clone(),
        step: step.state.clone(),
    });
    let order = change.order.iter().map(|(state, reason)| OrderEventKind::Order {
        state: *state,
        reason: reason.clone(),
        accepted: None,
    });
    steps.chain(change.events.iter().cloned()).chain(order).collect()
}

/// What a new order's chain begins with: that it was accepted, and as what.
pub(super) fn first_kind(order: &Order) -> OrderEventKind {
    let accepted = Some(Box::new(Accepted::of(order, order.is_approved)));
    OrderEventKind::Order { state: order.state, reason: None, accepted }
}

/// Checks the chain of an order's events, and that it ends where the order says.
pub(super) fn verified(order: &OrderId, head: &str, events: &[OrderEvent]) -> Result<()> {
    if head == verify_events(events)? {
        return Ok(());
    }
    Err(LedgerError::Damaged(format!(
        "the last events of order {order} are missing, or were added by others"
    )))
}

pub(super) fn order_id(text: &str) -> Result<OrderId> {
    OrderId::new(text).map_err(|error| LedgerError::Damaged(error.to_string()))
}

pub(super) fn time(text: &str, column: &str) -> Result<Timestamp> {
    text.parse().map_err(|error| LedgerError::Damaged(format!("{column}: {error}")))
}

pub(super) fn state(word: String) -> Result<OrderState> {
    serde_json::from_value(word.into()).map_err(|error| LedgerError::Damaged(error.to_string()))
}

/// A step from its columns `step_key`, `provider`, `lease`, `state` and `attempts`.
pub(super) fn step(index: u32, [key, provider, lease, state, attempts]: [&str; 5]) -> Result<Step> {
    let damaged = |error: InvalidId| LedgerError::Damaged(error.to_string());
    Ok(Step {
        index,
        key: key.parse().map_err(damaged)?,
        provider: provider.parse().map_err(damaged)?,
        lease: parsed(lease, "lease")?,
        state: parsed(state, "state")?,
        attempts: parsed(attempts, "attempts")?,
    })
}

/// The service that a step has, or is about to end, from its column `state`.
pub(super) fn service_of(state: &str) -> Result<Option<ServiceId>> {
    Ok(match parsed(state, "state")? {
        StepState::Provisioned { service }
        | StepState::Committed { service }
        | StepState::Acting { service, .. } => Some(service.id.clone()),
        StepState::Compensating { service, .. } => service,
        StepState::Planned
        | StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Provisioning { .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => None,
    })
}
