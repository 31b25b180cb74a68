//! What monitoring sees of an order and its steps: a span around each, and how long a step took.

use std::time::Instant;

use tracing::{Instrument, Span};

use super::{PurchaseError, drive::Driver};
use crate::{
    model::{Order, Shortage, Step, StepState},
    telemetry,
};

/// Around all that is done for an order; its state is that of the last write.
pub(super) fn span_of_order(order: &Order) -> Span {
    tracing::info_span!("fulcrum.order", order = %order.id, state = order.state.word())
}

impl Driver<'_> {
    fn span_of(&self, step: &Step) -> Span {
        tracing::info_span!(
            "fulcrum.step",
            order = %self.order.id,
            step = step.index,
            provider = %step.provider,
            sku = %step.lease.sku
        )
    }

    /// Makes the service, or says by `fail` that it cannot be had and leaves the step as far as it is known.
    pub(super) async fn provision(&self, step: Step) -> Result<Step, PurchaseError> {
        let (span, began) = (self.span_of(&step), Instant::now());
        let was_open = is_open(&step.state);
        let step = self.make(step).instrument(span).await?;
        self.leave(&step).await?;
        if was_open && matches!(step.state, StepState::Provisioned { .. }) {
            telemetry::step_done(&step.provider, began);
        }
        Ok(step)
    }

    /// Releases what the step made, or marks it stuck when the provider refuses for too long.
    pub(super) async fn compensate(&self, step: Step) -> Result<Step, PurchaseError> {
        let span = self.span_of(&step);
        let was_there = step.state != StepState::Compensated;
        let step = self.unmake(step).instrument(span).await?;
        self.leave(&step).await?;
        if was_there && step.state == StepState::Compensated {
            self.give_back(&step).await;
        }
        Ok(step)
    }

    /// One action to its end. What the provider refuses is told by `failure`, and the service stays as it is.
    pub(super) async fn carry_out(
        &self,
        step: Step,
        failure: &mut Option<String>,
    ) -> Result<Step, PurchaseError> {
        let span = self.span_of(&step);
        self.act_on(step, failure).instrument(span).await
    }
}

/// Whether a step is still to be made.
pub(super) fn is_open(state: &StepState) -> bool {
    match state {
        StepState::Planned
        | StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Provisioning { .. } => true,
        StepState::Provisioned { .. }
        | StepState::Committed { .. }
        | StepState::Acting { .. }
        | StepState::Compensating { .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => false,
    }
}

/// The kind of a failure that no call came back with.
pub(super) fn kind_of(shortage: Option<Shortage>) -> &'static str {
    match shortage {
        Some(Shortage::SoldOut) => "capacity_exhausted",
        Some(Shortage::Quota) => "quota_exceeded",
        Some(Shortage::Unavailable) => "unavailable",
        None => "operation_failed",
    }
}
