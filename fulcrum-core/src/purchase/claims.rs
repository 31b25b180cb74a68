//! Claims orders and drives them: each under a claim that is renewed while its driver works, and relinquished when it ends.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::Instrument;

use super::{
    PurchaseError,
    claim_guard::{ClaimExpiry, ClaimGuard},
    driver::Driver,
    engine::Engine,
    step_failures::MAX_WORDS,
};
use crate::{
    ledger::{LedgerError, OrderQuery, OrderUpdate},
    model::{Operator, Order, OrderEventKind, OrderId, OrderState},
    telemetry,
};

/// Pauses between two looks at an order that another host drives.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(20);
const MAX_WAIT: Duration = Duration::from_millis(250);
/// How long a host without all of an order's providers leaves the order to hosts that have them.
const DEFER_TO_COMPLETE_HOSTS: Duration = Duration::from_secs(10);
/// Failed drives in a row after which an order is stuck.
const MAX_FAILED_DRIVES: u32 = 10;

/// The message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it says nothing").chars().take(200).collect()
}

impl Engine {
    /// Drives an order until it is over, committed or stuck. If another host drives it, this call follows that work to its end,
    /// and takes the order over if that host goes. So does a host that was away for longer than its claim. Dropping the future
    /// leaves an order that can be driven again.
    ///
    /// # Errors
    /// The ledger cannot be used, or the order is damaged.
    pub async fn drive(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let began = Instant::now();
        // An order that was just accepted here is known to wait, with providers that are here.
        let mut is_known = self.recent.contains(order);
        loop {
            if !std::mem::take(&mut is_known) {
                let present = self.load(order).await?;
                if !present.is_unfinished() {
                    return Ok(present);
                }
                // A host that has all of its providers can do more.
                let is_whole = present.steps.iter().all(|step| self.providers.contains_key(&step.provider));
                if !is_whole && began.elapsed() < DEFER_TO_COMPLETE_HOSTS {
                    self.wait_for_change(Timestamp::MAX).await;
                    continue;
                }
            }
            match self.claim(order).await {
                Ok(guard) => match self.drive_claimed(guard).await {
                    // Another host may have the order, or none. A host that is always late must not keep the ledger busy.
                    Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => sleep(MIN_WAIT).await,
                    outcome => return outcome,
                },
                Err(LedgerError::Claimed { until, .. }) => self.wait_for_change(until).await,
                Err(LedgerError::Fenced(_)) => sleep(MIN_WAIT).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the ledger changes, or the claim of another host may have expired.
    async fn wait_for_change(&self, until: Timestamp) {
        let mut changes = self.ledger.changes();
        // The wait is bounded: clocks of two hosts may differ, and other processes do not announce their writes.
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let moment = left.clamp(MIN_WAIT, MAX_WAIT);
        let _ = tokio::time::timeout(moment, changes.changed()).await;
    }

    /// Claims an order, in a task of its own: if the caller is dropped half-way, the guard still relinquishes the claim.
    pub(super) async fn claim(&self, order: &OrderId) -> Result<ClaimGuard, LedgerError> {
        let (ledger, order, owner, ttl) =
            (self.ledger.clone(), order.clone(), self.owner.clone(), self.claim_ttl);
        let asked = tokio::spawn(async move {
            let end = ClaimExpiry::after(ttl);
            let claim = ledger.claim(&order, &owner, ttl).await?;
            Ok(ClaimGuard::new(ledger, claim, end))
        });
        asked.await.unwrap_or_else(|error| Err(LedgerError::Store(format!("the host is ending: {error}"))))
    }

    /// Claims at most `most` orders that wait.
    pub(super) async fn claim_next(&self, most: usize) -> Result<Vec<ClaimGuard>, LedgerError> {
        let (ledger, owner, ttl) = (self.ledger.clone(), self.owner.clone(), self.claim_ttl);
        let providers: Vec<_> = self.providers.keys().cloned().collect();
        let asked = tokio::spawn(async move {
            let end = ClaimExpiry::after(ttl);
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let claims = ledger.claim_next(&owner, ttl, most, &providers).await?;
            Ok(claims.into_iter().map(|claim| ClaimGuard::new(ledger.clone(), claim, end)).collect())
        });
        asked.await.unwrap_or_else(|error| Err(LedgerError::Store(format!("the host is ending: {error}"))))
    }

    /// Drives an order under a claim until nothing more happens by itself, and relinquishes the claim.
    pub(super) async fn drive_claimed(&self, guard: ClaimGuard) -> Result<Order, PurchaseError> {
        let order = guard.order().clone();
        // On the heap: a host's thread may have a small stack, and the caller's future would hold all of this.
        let drive = Box::pin(self.drive_with(&guard));
        // A panic must end nothing but the drive of its own order.
        let driven = AssertUnwindSafe(drive).catch_unwind().await;
        let outcome = driven
            .unwrap_or_else(|panic| Err(PurchaseError::Panicked { order, message: panic_message(&*panic) }));
        if let Err(error) = &outcome {
            self.record_drive_failure(&guard, error).await;
        }
        guard.relinquish().await;
        outcome
    }

    /// Puts off an order whose drive has failed, longer each time; in the end the order is stuck. It must not keep hosts from
    /// others.
    async fn record_drive_failure(&self, guard: &ClaimGuard, error: &PurchaseError) {
        match error {
            PurchaseError::Ledger(LedgerError::Store(_)) => return self.recent.clear(),
            // The order itself is fine.
            PurchaseError::Ledger(LedgerError::Fenced(_) | LedgerError::Claimed { .. }) => return,
            _ => {}
        }
        let reason: String = error.to_string().chars().take(MAX_WORDS).collect();
        let counted = async {
            // Doubling from a second to some minutes.
            let wait = Duration::from_secs(1 << self.failed_drives_before(guard.order()).await.min(9));
            let next = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
            let count = self.ledger.record_failed_drive(guard.claim(), &reason, next).await?;
            if count >= MAX_FAILED_DRIVES {
                let reason = format!(
                    "it could not be driven {count} times in a row: {reason}; look at it, and `retry` or `abandon` it"
                );
                let order = Some((OrderState::Stuck, Some(reason)));
                self.ledger.write(guard.claim(), &OrderUpdate { order, ..OrderUpdate::default() }).await?;
                if let Some(order) = self.ledger.load(guard.order()).await? {
                    telemetry::order_entered(OrderState::Stuck, order.created);
                }
            }
            Ok::<_, LedgerError>(())
        };
        if let Err(error) = counted.await {
            tracing::warn!(order = %guard.order(), %error, "a failed drive was not counted");
        }
    }

    /// How many drives of an order have failed in a row, by its events; the maximum if these cannot be read.
    async fn failed_drives_before(&self, order: &OrderId) -> u32 {
        let Ok(events) = self.ledger.events(0, Some(order), u32::MAX).await else {
            return MAX_FAILED_DRIVES;
        };
        events.iter().fold(0, |before, event| match &*event.kind {
            OrderEventKind::DriveFailed { count, .. } => *count,
            OrderEventKind::Order { .. } => 0,
            _ => before,
        })
    }

    async fn drive_with(&self, guard: &ClaimGuard) -> Result<Order, PurchaseError> {
        let driver = Driver::new(self, guard, self.load(guard.order()).await?)?;
        let span = driver.span.clone();
        // If the claim is lost the work must end at once: another host may have begun it.
        tokio::select! {
            biased;
            lost = guard.renew_until_lost(self.claim_ttl) => Err(lost.into()),
            outcome = driver.run().instrument(span) => outcome,
        }
    }

    /// Drives every unfinished order whose providers are here to its end. An order of a dead host is taken over once that host's
    /// claim has expired.
    ///
    /// # Errors
    /// The ledger cannot be read. What goes wrong with one order is logged and leaves the others.
    pub async fn resume_all(&self) -> Result<Vec<Order>, PurchaseError> {
        let unfinished =
            self.ledger.list(&OrderQuery { is_unfinished: true, ..OrderQuery::default() }).await?;
        let mut done = Vec::new();
        let drives: Vec<_> =
            unfinished.iter().map(|order| async move { (order, self.take_over(order).await) }).collect();
        let mut driven = futures::stream::iter(drives).buffer_unordered(4);
        while let Some((order, outcome)) = driven.next().await {
            match outcome {
                Ok(Some(order)) => done.push(order),
                Ok(None) => tracing::info!(%order, "order left to a host that has its providers"),
                Err(error) => tracing::warn!(%order, %error, "order not resumed"),
            }
        }
        Ok(done)
    }

    /// None if the order is left to other hosts.
    async fn take_over(&self, order: &OrderId) -> Result<Option<Order>, PurchaseError> {
        let present = self.load(order).await?;
        if !present.steps.iter().all(|step| self.providers.contains_key(&step.provider)) {
            return Ok(None);
        }
        self.drive(order).await.map(Some)
    }

    /// Cancels an order: one that is under way is compensated, and all services of a committed one are released. The cancellation
    /// is in the ledger before anything else: if this host dies, another one takes it up.
    ///
    /// # Errors
    /// As [`drive`](Self::drive). If another host drives the order, this call follows that work.
    pub async fn cancel(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.ledger.request_cancel(order, None).await?;
        self.drive(order).await
    }

    /// As [`cancel`](Self::cancel); who and why are recorded.
    ///
    /// # Errors
    /// * [`PurchaseError::OperatorRequired`]: `by` names nobody, or no reason.
    /// * As [`cancel`](Self::cancel).
    pub async fn cancel_by(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.ledger.request_cancel(order, Some(&by)).await?;
        self.drive(order).await
    }
}
