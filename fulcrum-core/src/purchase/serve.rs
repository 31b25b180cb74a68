//! A host that drives whatever waits in the ledger.

use std::{future::Future, pin::pin, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::sleep;

use super::{Engine, PurchaseError, held::Held};
use crate::model::{Order, OrderId};

/// Between two looks for orders whose host has died, which nobody tells of; less where leases are shorter.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks at least.
const MOMENT: Duration = Duration::from_millis(20);

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
        let mut changes = self.ledger.changes();
        loop {
            let free = at_once - driven.len();
            if free > 0 {
                changes.mark_unchanged();
                // What is under way goes on meanwhile: it renews its claims, and may hold the lock that this waits for.
                let mut asked = pin!(self.claim_next(free));
                let claims = loop {
                    tokio::select! {
                        biased;
                        () = &mut stop => return,
                        claims = &mut asked => break claims,
                        Some((order, outcome)) = driven.next() => note(&order, &outcome),
                    }
                };
                match claims {
                    Ok(claims) => driven.extend(claims.into_iter().map(|held| self.drive_one(held))),
                    Err(error) => tracing::warn!(%error, "no orders taken up; trying again"),
                }
            }
            let is_free = driven.len() < at_once;
            // Steps of this host's own orders are changes too: not for each of them a look.
            let change = async {
                sleep(MOMENT).await;
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some((order, outcome)) = driven.next() => note(&order, &outcome),
                () = change, if is_free => {}
                () = sleep(LOOK.min(self.lease)), if is_free => {}
            }
        }
    }

    async fn drive_one(&self, held: Held) -> (OrderId, Result<Order, PurchaseError>) {
        (held.order().clone(), self.drive_claimed(held).await)
    }
}

fn note(order: &OrderId, outcome: &Result<Order, PurchaseError>) {
    match outcome {
        Ok(done) => tracing::info!(%order, state = done.state.word(), "served"),
        Err(error) => tracing::warn!(%order, %error, "order not driven to its end; it is taken up again"),
    }
}
