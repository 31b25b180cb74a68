//! What the stores share: structures as text, and what a change tells.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use serde::{Serialize, de::DeserializeOwned};

use super::{Change, Claim, LedgerError, Result};
use crate::model::{OrderEventKind, OrderId};

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
    let order = change
        .order
        .iter()
        .map(|(state, reason)| OrderEventKind::Order { state: *state, reason: reason.clone() });
    steps.chain(change.events.iter().cloned()).chain(order).collect()
}

/// Whether a chain ends where the order says.
pub(super) fn is_head(order: &OrderId, head: &str, found: &str) -> Result<()> {
    if head == found {
        return Ok(());
    }
    Err(LedgerError::Damaged(format!(
        "the last events of order {order} are missing, or were added by others"
    )))
}
