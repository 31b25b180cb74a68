//! The right to drive an order, as its driver holds it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    ledger::{Claim, Ledger, LedgerError},
    model::OrderId,
};

/// The end of a lease as its holder sees it: by two clocks, whichever says so first. One that nobody sets goes on while
/// the process is stopped, but not while the machine sleeps. The other one does then; and processes that share a file go by
/// it, so that a jump of it ends the lease for all of them at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    unset: Instant,
    wall: Timestamp,
}

impl End {
    /// So long from now; taken before the ledger is asked, which counts from when the question is there.
    pub(super) fn after(lease: Duration) -> Self {
        let wall = Timestamp::now().checked_add(lease).unwrap_or(Timestamp::MAX);
        Self { unset: Instant::now() + lease, wall }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.unset || Timestamp::now() >= self.wall
    }
}

/// A claim that is given back at the end, also when its driver is dropped half-way: then the next driver need not
/// wait until it ends by itself. What the dropped one still writes is fenced off by the next claim's token.
#[derive(Debug)]
pub(super) struct Held {
    ledger: Arc<dyn Ledger>,
    claim: Claim,
    /// Until when no other host can have it.
    end: Mutex<End>,
    is_given_back: bool,
}

impl Held {
    pub(super) fn new(ledger: Arc<dyn Ledger>, claim: Claim, end: End) -> Self {
        Self { ledger, claim, end: Mutex::new(end), is_given_back: false }
    }

    pub(super) fn order(&self) -> &OrderId {
        &self.claim.order
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Whether a call that changes something may be made: not by a host that was stopped or cut off for so long that
    /// another one may have taken over. Writes need no such care, as the ledger refuses them.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_over() { Err(LedgerError::Fenced(self.claim.order.clone())) } else { Ok(()) }
    }

    /// Renews the claim for ever; ends only when it is lost.
    pub(super) async fn keep(&self, lease: Duration) -> LedgerError {
        let mut is_late = false;
        loop {
            tokio::time::sleep(if is_late { lease / 20 } else { lease / 3 }).await;
            is_late = true;
            let end = End::after(lease);
            // A ledger that does not answer in time may have given the claim to another host: what waits to be sent must not
            // be sent then.
            let renewed = tokio::select! {
                biased;
                renewed = self.ledger.renew(&self.claim, lease) => renewed,
                () = self.over() => Err(LedgerError::Fenced(self.claim.order.clone())),
            };
            match renewed {
                Ok(_) => {}
                // The claim lives on until its end: a lock of somebody else on its row may pass.
                Err(LedgerError::Store(_)) if self.check().is_ok() => continue,
                Err(error) => return error,
            }
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
            is_late = false;
        }
    }

    /// Waits until another host may have the claim.
    async fn over(&self) {
        while self.check().is_ok() {
            let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
            // By the wall clock too, which somebody may set.
            let left = end.unset.saturating_duration_since(Instant::now());
            tokio::time::sleep(left.clamp(Duration::from_millis(1), Duration::from_millis(250))).await;
        }
    }

    pub(super) async fn give_back(mut self) {
        release(&*self.ledger, &self.claim).await;
        self.is_given_back = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Outside of a runtime, as at the end of a process, nobody is left to do it.
        if let (false, Ok(handle)) = (self.is_given_back, tokio::runtime::Handle::try_current()) {
            let (ledger, claim) = (self.ledger.clone(), self.claim.clone());
            handle.spawn(async move { release(&*ledger, &claim).await });
        }
    }
}

async fn release(ledger: &dyn Ledger, claim: &Claim) {
    if let Err(error) = ledger.release(claim).await {
        tracing::debug!(order = %claim.order, %error, "claim not released; it ends by itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_when_either_clock_says_so() {
        let hour = Duration::from_secs(3600);
        let end = End::after(hour);
        assert!(!end.is_over());
        // As after a sleep of the machine, or a clock set ahead: the wall clock alone has gone on.
        assert!(End { wall: Timestamp::now() - hour, ..end }.is_over());
        // As after a clock set back.
        assert!(End { unset: Instant::now(), ..End::after(hour) }.is_over());
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
        let lease = Duration::from_millis(300);
        let claim = Claim { order: OrderId::generate(), token: 1, until: Timestamp::MAX };
        let held = Held::new(ledger, claim, End::after(lease));
        let began = Instant::now();
        let lost = held.keep(lease).await;
        assert!(matches!(lost, LedgerError::Fenced(_)), "{lost:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "it waited for the ledger: {:?}", began.elapsed());
        assert!(held.check().is_err());
    }
}
