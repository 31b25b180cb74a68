//! The codec that both stores share: structures as text, and the events of an update.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

pub(super) use super::json::{parsed, text};
use super::{
    Claim, LedgerError, OrderUpdate, Result,
    unknown_fields::{Column, UnknownFields},
    verify_events,
};
use crate::model::{
    Acceptance, Cancellation, InvalidId, KeyNamespace, Operator, Order, OrderEvent, OrderEventKind, OrderId,
    OrderState, ProviderId, RecordedKind, ServiceId, Step, StepState,
};

/// The condition of unfinished orders in SQL: a state of [`OrderState::UNFINISHED`], or committed and cancelled. The index
/// `orders_unfinished` applies only where a query repeats its condition word for word.
pub(super) const UNFINISHED: &str = "(state IN ('accepted', 'provisioning', 'changing', 'compensating')
    OR (cancelled AND state = 'committed'))";

/// The longest delay after a failed drive. An order that waits for longer was put off by a clock that was set back since.
pub(super) const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

pub(super) fn no_id() -> LedgerError {
    LedgerError::Damaged("its table `ledger_meta` has no `id`".to_owned())
}

pub(super) fn token(claim: &Claim) -> i64 {
    i64::try_from(claim.token).unwrap_or(i64::MAX)
}

/// All that a change tells, the order's own state last. A step that is still planned is told with the plan that it comes
/// from: of a new price check another event tells.
pub(super) fn changed_kinds(change: &OrderUpdate) -> Vec<OrderEventKind> {
    let is_news = |step: &&Step| change.plan.is_some() || step.state != StepState::Planned;
    let steps = change.steps.iter().filter(is_news).map(|step| OrderEventKind::Step {
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
    let accepted = Some(Box::new(Acceptance::of(order, order.is_approved)));
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

pub(super) fn namespace(text: Option<&str>) -> Result<Option<KeyNamespace>> {
    text.map(KeyNamespace::new).transpose().map_err(|error| LedgerError::Damaged(error.to_string()))
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

/// An event's kind from its column.
pub(super) fn kind(text: String) -> Result<RecordedKind> {
    RecordedKind::from_text(text).map_err(|error| LedgerError::Damaged(format!("kind: {error}")))
}

/// The customer's wish from its columns; an older version noted no more than that there is one.
pub(super) fn cancellation(
    is_cancelled: bool,
    at: Option<&str>,
    by: Option<&str>,
) -> Result<Option<Cancellation>> {
    let at = at.map(|at| time(at, "cancelled_at")).transpose()?;
    let by = by.map(|by| parsed::<Operator>(by, "cancelled_by")).transpose()?;
    Ok(is_cancelled.then_some(Cancellation { at, by }))
}

/// The column that says which providers a host needs to drive an order.
pub(super) fn providers<'a>(ids: impl IntoIterator<Item = &'a ProviderId>) -> Result<String> {
    text(&ids.into_iter().collect::<BTreeSet<_>>())
}

/// That column with those of more steps; none if it stays as it is.
pub(super) fn more_providers(column: &str, steps: &[Step]) -> Result<Option<String>> {
    let known: BTreeSet<ProviderId> = parsed(column, "providers")?;
    let is_known = |step: &Step| known.contains(&step.provider);
    if steps.iter().all(is_known) {
        return Ok(None);
    }
    providers(known.iter().chain(steps.iter().map(|step| &step.provider))).map(Some)
}

/// A step from its columns `step_key`, `provider`, `lease`, `state` and `attempts`.
pub(super) fn step(
    unknown: &UnknownFields,
    order: &OrderId,
    index: u32,
    [key, provider, lease, state, attempts]: [&str; 5],
) -> Result<Step> {
    let damaged = |error: InvalidId| LedgerError::Damaged(error.to_string());
    Ok(Step {
        index,
        key: key.parse().map_err(damaged)?,
        provider: provider.parse().map_err(damaged)?,
        lease: unknown.read(order, Column::Lease(index), lease)?,
        state: unknown.read(order, Column::State(index), state)?,
        attempts: unknown.read(order, Column::Attempts(index), attempts)?,
    })
}

/// The service that a step has, or is about to end, from its column `state`.
pub(super) fn service_of(state: &str) -> Result<Option<ServiceId>> {
    let state: StepState = parsed(state, "state")?;
    Ok(state.service_id().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sql_condition_names_the_unfinished_states() {
        let words: Vec<String> = OrderState::UNFINISHED.map(|state| format!("'{}'", state.word())).to_vec();
        let condition =
            format!("(state IN ({})\n    OR (cancelled AND state = 'committed'))", words.join(", "));
        assert_eq!(UNFINISHED, condition);
        for state in OrderState::UNFINISHED {
            assert!(!state.is_final(), "{state:?}");
        }
    }
}
