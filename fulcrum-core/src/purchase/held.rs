//! The right to drive an order, as its driver holds it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    ledger::{Claim, Ledger, LedgerError},
    model::OrderId,
};

/// A claim that is given back at the end, also when its driver is dropped half-way: then the next driver need not
/// wait until it ends by itself. What the dropped one still writes is fenced off by the next claim's token.
#[derive(Debug)]
pub(super) struct Held {
    ledger: Arc<dyn Ledger>,
    claim: Claim,
    /// Until when no other host can have it, by this host's own clock, which nobody sets and which goes on while the
    /// process is stopped.
    until: Mutex<Instant>,
    is_given_back: bool,
}

impl Held {
    pub(super) fn new(ledger: Arc<dyn Ledger>, claim: Claim, until: Instant) -> Self {
        Self { ledger, claim, until: Mutex::new(until), is_given_back: false }
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
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < until { Ok(()) } else { Err(LedgerError::Fenced(self.claim.order.clone())) }
    }

    /// Renews the claim for ever; ends only when it is lost.
    pub(super) async fn keep(&self, lease: Duration) -> LedgerError {
        loop {
            tokio::time::sleep(lease / 3).await;
            // From before the call: the ledger counts from when it is there.
            let since = Instant::now();
            if let Err(error) = self.ledger.renew(&self.claim, lease).await {
                return error;
            }
            *self.until.lock().unwrap_or_else(PoisonError::into_inner) = since + lease;
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
