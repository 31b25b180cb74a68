//! The terminal state of an order, once it is proven that none of its services exists.

use super::{PurchaseError, driver::Driver};
use crate::{
    ledger::Ledger,
    model::{OrderEvent, OrderEventKind, OrderId, OrderState, StepState},
};

/// Events that are read at once.
const EVENTS_PER_PAGE: u32 = 1000;

/// `ended` if the order was committed once, `failed` if a provider was asked for anything, else `refused`.
pub(super) fn terminal_state<'a>(events: impl IntoIterator<Item = &'a OrderEvent>) -> OrderState {
    let mut state = OrderState::Refused;
    for event in events {
        match &*event.kind {
            OrderEventKind::Order { state: OrderState::Committed, .. } => return OrderState::Ended,
            OrderEventKind::Step { step, .. } if was_requested(step) => state = OrderState::Failed,
            _ => {}
        }
    }
    state
}

fn was_requested(state: &StepState) -> bool {
    match state {
        StepState::Planned | StepState::Compensated | StepState::Compensating { service: None, .. } => false,
        StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Provisioning { .. }
        | StepState::Provisioned { .. }
        | StepState::Committed { .. }
        | StepState::Acting { .. }
        | StepState::Compensating { service: Some(_), .. }
        | StepState::Stuck { .. } => true,
    }
}

/// As [`terminal_state`], from what the ledger has of an order.
pub(super) async fn terminal_state_of(
    ledger: &dyn Ledger,
    order: &OrderId,
) -> Result<OrderState, PurchaseError> {
    let (mut after, mut state) = (0, OrderState::Refused);
    loop {
        let events = ledger.events(after, Some(order), EVENTS_PER_PAGE).await?;
        state = match terminal_state(&events) {
            OrderState::Refused => state,
            later => later,
        };
        match events.last() {
            Some(last) if state != OrderState::Ended && events.len() >= EVENTS_PER_PAGE as usize => {
                after = last.sequence
            }
            _ => return Ok(state),
        }
    }
}

impl Driver<'_> {
    /// The order's terminal state.
    pub(super) async fn terminal_state(&self) -> Result<OrderState, PurchaseError> {
        terminal_state_of(&*self.engine.ledger, &self.order.id).await
    }
}
