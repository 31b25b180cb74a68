//! How long a call may take, and what sessions listen to.

use std::time::Duration;

use super::error::store_error;
use crate::ledger::Result;

/// What is listened to: new orders, cancellations and new states of orders. Not steps: a transaction that notifies
/// holds a lock of the whole server while it commits, so steps would wait for each other.
pub(super) const CHANNEL: &str = "fulcrum_orders";

/// How long any call may take: longer than a session lets a statement take, for a server that is gone without a word.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a transaction to its end even if nobody waits for it any more: a connection whose caller is dropped while it
/// begins would go back to the pool with the transaction open.
pub(super) async fn spawn_uncancellable<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let ended = |error| Err(store_error(format!("the host is ending: {error}")));
    tokio::spawn(with_timeout(work)).await.unwrap_or_else(ended)
}

/// Waits for an answer as long as any call may take.
pub(super) async fn with_timeout<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || {
        store_error(format!(
            "PostgreSQL has not answered in {CALL_TIMEOUT:?}; check the network and the server"
        ))
    };
    tokio::time::timeout(CALL_TIMEOUT, work).await.unwrap_or_else(|_| Err(late()))
}
