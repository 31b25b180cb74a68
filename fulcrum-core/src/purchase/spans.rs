//! What a tracing subscriber sees of an order and its steps: a span around each.

use tracing::Span;

use crate::model::{Order, OrderId, Step};

/// Around all that is done for an order; its state is that of the last write.
pub(super) fn span_of_order(order: &Order) -> Span {
    tracing::info_span!("fulcrum.order", order = %order.id, state = order.state.word())
}

/// Around all that is done for one step.
pub(super) fn span_of_step(order: &OrderId, step: &Step) -> Span {
    tracing::info_span!(
        "fulcrum.step",
        order = %order,
        step = step.index,
        provider = %step.provider,
        sku = %step.lease.sku
    )
}
