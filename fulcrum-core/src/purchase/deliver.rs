//! Events to the host, each at least once.

use std::{
    fmt::Display,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Engine, machine::back_off};
use crate::model::OrderEvent;

/// Events that are delivered at once.
const PAGE: u32 = 256;
/// Between two looks for what other processes have written, which may not be heard of.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks at least, so that a batch can gather and writers are not kept waiting by readers.
const MOMENT: Duration = Duration::from_millis(50);

impl Engine {
    /// Delivers the events of all orders to `sink`, in batches, in the order of their sequence numbers and each at least
    /// once, until `stop` is ready: those of the past first, then as they happen. How far it has come is kept in the
    /// ledger under `name`, so that a later run goes on there.
    ///
    /// A batch counts as delivered when `sink` answers `Ok`. After an error it is delivered again, after a pause that
    /// grows to a few seconds; nothing that comes later overtakes it. It is delivered again, too, where the host dies
    /// before the ledger knows, and two hosts that use one name may both get it: **remember the highest
    /// [`sequence`](OrderEvent::sequence) that was dealt with, in one transaction with what was done about it, and skip
    /// what is not above it**. Within one order, numbers rise too.
    ///
    /// An order is not [forgotten](Self::forget) before each delivery has got all of its events. A delivery that nobody
    /// needs any more is ended by [`Ledger::drop_cursor`](crate::ledger::Ledger::drop_cursor).
    ///
    /// ```no_run
    /// # async fn example(engine: std::sync::Arc<fulcrum_core::purchase::Engine>) {
    /// use fulcrum_core::model::OrderEvent;
    /// async fn post(events: Vec<OrderEvent>) -> Result<(), std::io::Error> {
    ///     for event in events {
    ///         println!("{}: {:?}", event.sequence, event.kind);
    ///     }
    ///     Ok(())
    /// }
    /// engine.deliver("to the billing", post, std::future::pending()).await;
    /// # }
    /// ```
    pub async fn deliver<F, E>(
        &self,
        name: &str,
        mut sink: impl FnMut(Vec<OrderEvent>) -> F,
        stop: impl Future<Output = ()>,
    ) where
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut stop = pin!(stop);
        let mut changes = self.ledger.changes();
        let deliver = async {
            let mut failures = 0;
            loop {
                changes.mark_unchanged();
                let began = Instant::now();
                match self.deliver_batch(name, &mut sink).await {
                    Ok(PAGE) => failures = 0,
                    Ok(_) => {
                        failures = 0;
                        // Where nobody can tell of changes any more, they are looked for.
                        if let Ok(Err(_)) = timeout(LOOK, changes.changed()).await {
                            sleep(LOOK).await;
                        }
                        sleep(MOMENT.saturating_sub(began.elapsed())).await;
                    }
                    Err(error) => {
                        tracing::warn!(name, error, failures, "events not delivered; trying again");
                        sleep(back_off(failures)).await;
                        failures = failures.saturating_add(1);
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = &mut stop => {}
            () = deliver => {}
        }
    }

    /// Delivers what comes next; answers how many.
    async fn deliver_batch<F, E>(
        &self,
        name: &str,
        sink: &mut impl FnMut(Vec<OrderEvent>) -> F,
    ) -> Result<u32, String>
    where
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let said = |error: crate::ledger::LedgerError| error.to_string();
        let after = match self.ledger.cursor(name).await.map_err(said)? {
            // From now on nothing is forgotten before it is delivered.
            0 => self.ledger.advance(name, 0).await.map_err(said)?,
            after => after,
        };
        let events = self.ledger.events(after, None, PAGE).await.map_err(said)?;
        let Some(last) = events.last().map(|event| event.sequence) else { return Ok(0) };
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        sink(events).await.map_err(|error| error.to_string())?;
        self.ledger.advance(name, last).await.map_err(said)?;
        Ok(count)
    }
}
