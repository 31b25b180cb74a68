//! How an order is over, once it is proven that nothing of it exists.

use super::{PurchaseError, drive::Driver};
use crate::{
    ledger::Ledger,
    model::{OrderEvent, OrderEventKind, OrderId, OrderState, StepState},
};

/// Events that are read at once.
const PAGE: u32 = 1000;

/// `ended` if it was committed once, `failed` if a provider was asked for anything, else `refused`.
pub(super) fn over_state<'a>(events: impl IntoIterator<Item = &'a OrderEvent>) -> OrderState {
    let mut state = OrderState::Refused;
    for event in events {
        match &*event.kind {
            OrderEventKind::Order { state: OrderState::Committed, .. } => return OrderState::Ended,
            OrderEventKind::Step { step, .. } if was_asked(step) => state = OrderState::Failed,
            _ => {}
        }
    }
    state
}

fn was_asked(state: &StepState) -> bool {
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

/// As [`over_state`], from what the ledger has of an order.
pub(super) async fn over_state_of(ledger: &dyn Ledger, order: &OrderId) -> Result<OrderState, PurchaseError> {
    let (mut after, mut state) = (0, OrderState::Refused);
    loop {
        let events = ledger.events(after, Some(order), PAGE).await?;
        state = match over_state(&events) {
            OrderState::Refused => state,
            later => later,
        };
        match events.last() {
            Some(last) if state != OrderState::Ended && events.len() >= PAGE as usize => {
                after = last.sequence
            }
            _ => return Ok(state),
        }
    }
}

impl Driver<'_> {
    /// The state in which the order is over.
    pub(super) async fn over_state(&self) -> Result<OrderState, PurchaseError> {
        over_state_of(&*self.engine.ledger, &self.order.id).await
    }
}
