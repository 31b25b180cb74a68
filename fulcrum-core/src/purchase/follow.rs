//! The events of one order as a stream, as they happen.

use std::time::Duration;

use futures::{StreamExt, stream::BoxStream};

use super::{PurchaseError, engine::Engine};
use crate::{
    ledger::LedgerError,
    model::{OrderEvent, OrderEventKind, OrderId},
};

/// Events that are read at once.
const EVENTS_PER_PAGE: u32 = 256;

impl Engine {
    /// The events of one order, those of the past first, then as they happen; ends when the order is final.
    pub fn follow(&self, order: OrderId) -> BoxStream<'static, Result<OrderEvent, PurchaseError>> {
        let ledger = self.ledger.clone();
        // None when nothing more is to come.
        let start = Some((ledger.changes(), 0u64, false));
        futures::stream::unfold(start, move |state| {
            let (ledger, order) = (ledger.clone(), order.clone());
            async move {
                let (mut changes, after, was_final) = state?;
                loop {
                    let events = match ledger.events(after, Some(&order), EVENTS_PER_PAGE).await {
                        Ok(events) => events,
                        Err(error) => return Some((vec![Err(error.into())], None)),
                    };
                    let Some(last) = events.last() else {
                        if was_final {
                            return None;
                        }
                        // Every order has an event from the start on.
                        if after == 0 {
                            return Some((vec![Err(LedgerError::NoSuchOrder(order).into())], None));
                        }
                        // Other processes do not announce their writes here: ask again by and by.
                        let _ = tokio::time::timeout(Duration::from_millis(250), changes.changed()).await;
                        continue;
                    };
                    let is_final = |event: &OrderEvent| {
                        matches!(&*event.kind, OrderEventKind::Order { state, .. } if state.is_final())
                    };
                    // What a scan wrote down later leaves the order as it was.
                    let is_own = |event: &&OrderEvent| !matches!(*event.kind, OrderEventKind::Reconciled { .. });
                    let is_final = events.iter().rfind(is_own).map_or(was_final, is_final);
                    let is_over = is_final && events.len() < EVENTS_PER_PAGE as usize;
                    let next = (!is_over).then_some((changes, last.sequence, is_final));
                    return Some((events.into_iter().map(Ok).collect(), next));
                }
            }
        })
        .flat_map(futures::stream::iter)
        .boxed()
    }
}
