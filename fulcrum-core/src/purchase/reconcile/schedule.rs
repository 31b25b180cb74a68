//! Repeats scans and repairs.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::sleep;

use super::{policy::RepairPolicy, report::Reconciliation};
use crate::purchase::{PurchaseError, engine::Engine};

/// The shortest pause between two scans.
const MIN_SCAN_INTERVAL: Duration = Duration::from_millis(20);

impl Engine {
    /// [Repairs](Self::repair) at once and then again `interval` after each end, until `stop` is ready, and reports each
    /// outcome. An error is reported too, and the next scan tries again.
    ///
    /// One host of a ledger is enough; more of them cost the providers more lists and do no harm. When it stops, or is
    /// dropped, what is under way is left as it is, for the next scan.
    ///
    /// ```no_run
    /// # async fn example(engine: std::sync::Arc<fulcrum_core::purchase::Engine>) {
    /// use fulcrum_core::purchase::{Repair, RepairPolicy};
    /// use std::time::Duration;
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let policy = RepairPolicy { duplicates: Repair::Release, ..RepairPolicy::default() };
    /// let reconciling = tokio::spawn(async move {
    ///     let stopped = async { stopped.await.unwrap_or_default() };
    ///     let report = |outcome| println!("{outcome:?}");
    ///     engine.reconcile_every(Duration::from_secs(3600), &policy, stopped, report).await;
    /// });
    /// // Later, as when the process is told to end:
    /// let _ = stop.send(());
    /// reconciling.await.unwrap_or_default();
    /// # }
    /// ```
    pub async fn reconcile_every(
        &self,
        interval: Duration,
        policy: &RepairPolicy,
        stop: impl Future<Output = ()>,
        mut report: impl FnMut(Result<Reconciliation, PurchaseError>),
    ) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                outcome = self.repair(policy) => report(outcome),
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = sleep(interval.max(MIN_SCAN_INTERVAL)) => {}
            }
        }
    }
}
