//! Reconciliation: compares what the providers report with what the ledger holds, and repairs by policy.
//!
//! `scan` reads and confirms, and `judge` decides from an order and a service alone what is wrong: a `report` of findings. `repair`
//! does what the `policy` says, and `release` ends a service. `schedule` repeats that.

mod judge;
mod policy;
mod release;
mod repair;
mod report;
mod scan;
mod schedule;

pub use policy::{Record, Repair, RepairPolicy};
pub use report::{Reconciliation, Scanned, Unrepaired};

use super::{PurchaseError, engine::Engine};

impl Engine {
    /// Compares what the providers have with what the ledger holds; changes nothing. Orders that are under way, and
    /// services without a key of this library's form, are left alone.
    ///
    /// Reads every provider's list, then the orders page by page; memory is that of the list. A provider is asked
    /// about single services only where something seems not to fit.
    ///
    /// # Errors
    /// The ledger cannot be read. A provider that fails is in [`Reconciliation::failed`] and leaves the others.
    pub async fn reconcile(&self) -> Result<Reconciliation, PurchaseError> {
        scan::Scan::new(self).run().await
    }

    /// [Compares](Self::reconcile), and then does what the policy says. Many hosts may do so at the same time: a
    /// service is ended by who has the claim of its order, and whoever dies in between leaves it to the next scan.
    ///
    /// ```
    /// # async fn example(engine: fulcrum_core::purchase::Engine) -> Result<(), Box<dyn std::error::Error>> {
    /// use fulcrum_core::purchase::{Repair, RepairPolicy};
    /// let policy = RepairPolicy { orphans: Repair::Release, ..RepairPolicy::default() };
    /// let outcome = engine.repair(&policy).await?;
    /// for left in &outcome.unrepaired {
    ///     println!("{} at {}: {}", left.finding.service, left.finding.provider, left.reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile). What cannot be repaired is in [`Reconciliation::unrepaired`].
    pub async fn repair(&self, policy: &RepairPolicy) -> Result<Reconciliation, PurchaseError> {
        let mut outcome = self.reconcile().await?;
        self.repair_found(policy, &mut outcome).await;
        Ok(outcome)
    }
}
