//! The claim guard: a claim as its driver holds it, renewed in time and relinquished at the end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    ledger::{Claim, Ledger, LedgerError},
    model::OrderId,
};

/// When a claim expires, by the monotonic and the wall clock, whichever is first. The monotonic clock pauses while the machine
/// sleeps; the wall clock can be set. Processes that share a file compare wall clocks, so a jump ends the claim for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimExpiry {
    monotonic: Instant,
    wall: Timestamp,
}

impl ClaimExpiry {
    /// Expires after `ttl` from now. Take it before the ledger is asked, which counts from its own receipt of the call.
    pub(super) fn after(ttl: Duration) -> Self {
        let wall = Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX);
        Self { monotonic: Instant::now() + ttl, wall }
    }

    fn has_passed(self) -> bool {
        Instant::now() >= self.monotonic || Timestamp::now() >= self.wall
    }
}

/// A claim that is relinquished at the end, also when its driver is dropped half-way: the next driver need not wait until the
/// claim expires. The next claim's fencing token refuses what the dropped driver still writes.
#[derive(Debug)]
pub(super) struct ClaimGuard {
    ledger: Arc<dyn Ledger>,
    claim: Claim,
    /// Until then no other host can claim the order.
    expiry: Mutex<ClaimExpiry>,
    is_relinquished: bool,
}

impl ClaimGuard {
    pub(super) fn new(ledger: Arc<dyn Ledger>, claim: Claim, expiry: ClaimExpiry) -> Self {
        Self { ledger, claim, expiry: Mutex::new(expiry), is_relinquished: false }
    }

    pub(super) fn order(&self) -> &OrderId {
        &self.claim.order
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Whether the claim has not expired, so that a call with an effect may be made: a host that was paused or cut off for longer
    /// may have been replaced. Writes need no such check, as the ledger refuses them.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let expiry = *self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if expiry.has_passed() { Err(LedgerError::Fenced(self.claim.order.clone())) } else { Ok(()) }
    }

    /// Renews the claim until it is lost; returns why.
    pub(super) async fn renew_until_lost(&self, ttl: Duration) -> LedgerError {
        let mut is_late = false;
        loop {
            tokio::time::sleep(if is_late { ttl / 20 } else { ttl / 3 }).await;
            is_late = true;
            let expiry = ClaimExpiry::after(ttl);
            // A ledger that does not answer in time may have given the claim to another host: no waiting call may be sent then.
            let renewed = tokio::select! {
                biased;
                renewed = self.ledger.renew(&self.claim, ttl) => renewed,
                () = self.wait_until_expired() => Err(LedgerError::Fenced(self.claim.order.clone())),
            };
            match renewed {
                Ok(_) => {}
                // The claim has not expired yet, and a lock on its row may pass.
                Err(LedgerError::Store(_)) if self.check().is_ok() => continue,
                Err(error) => return error,
            }
            *self.expiry.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
            is_late = false;
        }
    }

    /// Waits until the claim has expired.
    async fn wait_until_expired(&self) {
        while self.check().is_ok() {
            let expiry = *self.expiry.lock().unwrap_or_else(PoisonError::into_inner);
            // In short pauses, as the wall clock can be set.
            let left = expiry.monotonic.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.clamp(Duration::from_millis(1), Duration::from_millis(250))).await;
        }
    }

    pub(super) async fn relinquish(mut self) {
        relinquish(&*self.ledger, &self.claim).await;
        self.is_relinquished = true;
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        // Outside of a runtime, as at the end of a process, the claim expires by itself.
        if let (false, Ok(handle)) = (self.is_relinquished, tokio::runtime::Handle::try_current()) {
            let (ledger, claim) = (self.ledger.clone(), self.claim.clone());
            handle.spawn(async move { relinquish(&*ledger, &claim).await });
        }
    }
}

async fn relinquish(ledger: &dyn Ledger, claim: &Claim) {
    if let Err(error) = ledger.relinquish(claim).await {
        tracing::debug!(order = %claim.order, %error, "claim not relinquished; it expires by itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_expires_when_either_clock_says_so() {
        let hour = Duration::from_secs(3600);
        let expiry = ClaimExpiry::after(hour);
        assert!(!expiry.has_passed());
        // As after a sleep of the machine, or a clock set ahead: the wall clock alone has gone on.
        assert!(ClaimExpiry { wall: Timestamp::now() - hour, ..expiry }.has_passed());
        // As after a clock set back.
        assert!(ClaimExpiry { monotonic: Instant::now(), ..ClaimExpiry::after(hour) }.has_passed());
    }

    /// What waits to be sent must not be sent when another host may have the claim.
    #[cfg(feature = "sqlite")]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_ledger_that_does_not_answer_ends_the_claim_in_time() {
        use crate::ledger::SqliteLedger;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.db");
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&path).await.expect("a ledger"));
        let address = format!("sqlite://{}", path.display());
        let other = sqlx::SqlitePool::connect(&address).await.expect("opened");
        let mut other = other.acquire().await.expect("a connection");
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *other).await.expect("begun");
        let ttl = Duration::from_millis(300);
        let claim = Claim { order: OrderId::generate(), token: 1, until: Timestamp::MAX };
        let guard = ClaimGuard::new(ledger, claim, ClaimExpiry::after(ttl));
        let began = Instant::now();
        let lost = guard.renew_until_lost(ttl).await;
        assert!(matches!(lost, LedgerError::Fenced(_)), "{lost:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "it waited for the ledger: {:?}", began.elapsed());
        assert!(guard.check().is_err());
    }
}
