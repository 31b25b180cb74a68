//! The outbox: delivers events to a consumer of the host, each at least once, and commits the consumer's offset.

use std::{
    fmt::Display,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{backoff::back_off, engine::Engine};
use crate::model::OrderEvent;

/// Events of one batch.
const EVENTS_PER_BATCH: u32 = 256;
/// Pauses between two looks for writes of other processes, which may not be announced.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The shortest pause between two batches, so that a batch can gather and readers do not keep writers waiting.
const MIN_BATCH_INTERVAL: Duration = Duration::from_millis(50);

impl Engine {
    /// Delivers the events of all orders to `sink`, in batches, in the order of their sequence numbers and each at least
    /// once, until `stop` is ready: those of the past first, then as they happen. The ledger keeps the offset of the consumer
    /// `name`, so that a later run goes on there.
    ///
    /// A batch counts as delivered when `sink` answers `Ok`. After an error it is delivered again, after a pause that
    /// grows to a few seconds; nothing that comes later overtakes it. It is delivered again, too, where the host dies
    /// before the ledger knows, and two hosts that use one name may both get it: **remember the highest
    /// [`sequence`](OrderEvent::sequence) that was dealt with, in one transaction with what was done about it, and skip
    /// what is not above it**. Within one order, numbers rise too.
    ///
    /// An order is not [purged](Self::purge) before each consumer has all of its events. Remove a consumer that nobody needs any
    /// more by [`Ledger::drop_consumer`](crate::ledger::Ledger::drop_consumer).
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
                    Ok(EVENTS_PER_BATCH) => failures = 0,
                    Ok(_) => {
                        failures = 0;
                        // Without announcements, changes are looked for.
                        if let Ok(Err(_)) = timeout(POLL_INTERVAL, changes.changed()).await {
                            sleep(POLL_INTERVAL).await;
                        }
                        sleep(MIN_BATCH_INTERVAL.saturating_sub(began.elapsed())).await;
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

    /// Delivers the next batch; returns how many events it had.
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
        let after = match self.ledger.consumer_offset(name).await.map_err(said)? {
            // From now on no order is purged before its events are delivered.
            0 => self.ledger.commit_offset(name, 0).await.map_err(said)?,
            after => after,
        };
        let events = self.ledger.events(after, None, EVENTS_PER_BATCH).await.map_err(said)?;
        let Some(last) = events.last().map(|event| event.sequence) else { return Ok(0) };
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        sink(events).await.map_err(|error| error.to_string())?;
        self.ledger.commit_offset(name, last).await.map_err(said)?;
        Ok(count)
    }
}
