//! The worker: claims orders that wait in the ledger, and drives them.

use std::{future::Future, pin::pin, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{PurchaseError, claim_guard::ClaimGuard, engine::Engine};
use crate::model::{Order, OrderId};

/// Pauses between two looks for orders of dead hosts, which nobody announces; shorter if claims are.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause between two looks.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Engine {
    /// Drives orders that wait in the ledger, at most `at_once` at a time, until `stop` is ready: new ones, those that
    /// another host has dropped, and those whose host has died. Many hosts may do so side by side.
    ///
    /// When it stops, or is dropped, what is under way is left as it is, for another host or a later run.
    ///
    /// ```no_run
    /// # async fn example(engine: std::sync::Arc<fulcrum_core::purchase::Engine>) {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let serving = tokio::spawn(async move { engine.serve(64, async { stopped.await.unwrap_or_default() }).await });
    /// // Later, as when the process is told to end:
    /// let _ = stop.send(());
    /// serving.await.unwrap_or_default();
    /// # }
    /// ```
    pub async fn serve(&self, at_once: usize, stop: impl Future<Output = ()>) {
        let at_once = at_once.max(1);
        let mut stop = pin!(stop);
        let mut driven = FuturesUnordered::new();
        // Never awaited alone: it may need a connection that one of the driven orders waits for.
        let mut claiming = FuturesUnordered::new();
        let mut changes = self.ledger.changes();
        let mut can_hear = true;
        let mut due = Instant::now();
        loop {
            let free = at_once - driven.len();
            let may_claim = free > 0 && claiming.is_empty();
            if may_claim && Instant::now() >= due {
                changes.mark_unchanged();
                due = Instant::now() + POLL_INTERVAL.min(self.claim_ttl);
                claiming.push(self.claim_next(free));
                continue;
            }
            // Steps of this host's own orders are changes too: they are gathered.
            let soon = Instant::now() + MIN_POLL_INTERVAL;
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some((order, outcome)) = driven.next() => {
                    log_outcome(&order, &outcome);
                    if free == 0 {
                        due = Instant::now();
                    }
                }
                Some(claims) = claiming.next() => match claims {
                    Ok(claims) => driven.extend(claims.into_iter().map(|guard| self.drive_one(guard))),
                    Err(error) => tracing::warn!(%error, "no orders taken up; trying again"),
                },
                heard = changes.changed(), if can_hear && may_claim && due > soon => match heard {
                    Ok(()) => due = soon,
                    Err(_) => can_hear = false,
                },
                () = sleep_until(due), if may_claim => {}
            }
        }
    }

    async fn drive_one(&self, guard: ClaimGuard) -> (OrderId, Result<Order, PurchaseError>) {
        (guard.order().clone(), self.drive_claimed(guard).await)
    }
}

fn log_outcome(order: &OrderId, outcome: &Result<Order, PurchaseError>) {
    match outcome {
        Ok(done) => tracing::info!(%order, state = done.state.word(), "served"),
        Err(error) => tracing::warn!(%order, %error, "order not driven to its end; it is taken up again"),
    }
}
