//! Back-off: the pause before a call is repeated, and which errors are transient.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::provider::{ErrorKind, ProviderError};

/// The longest pause that a provider can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The pause after a failed call: it grows with each try, is at least what the provider asks for, up to five minutes, and never
/// exceeds the time that is left.
pub(super) fn pause(tries: u32, error: &ProviderError, left: Duration) -> Duration {
    let asked = error.kind.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
    back_off(tries).max(asked).min(left)
}

/// The pause before the `n`-th try in a row: doubling from 50 ms to 5 s.
pub(super) fn back_off(n: u32) -> Duration {
    Duration::from_millis(50u64.saturating_mul(1 << n.min(7))).min(Duration::from_secs(5))
}

/// The pause before the `n`-th poll in a row of one operation: at least the provider's interval, and growing to a second if that
/// is shorter.
pub(super) fn between_polls(interval: Duration, n: u32) -> Duration {
    interval.max(Duration::from_millis(u64::from(n).saturating_mul(10)).min(Duration::from_secs(1)))
}

/// The time until `end`, by the clock of the pauses, so that both pause together.
pub(super) fn time_left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// How long a failing provider is asked for its price.
const PRICE_RETRY_LIMIT: Duration = Duration::from_secs(30);

/// Repeats a call while its errors are transient, for a while.
pub(super) async fn retry_transient<T, F: Future<Output = Result<T, ProviderError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ProviderError> {
    let (began, mut tries) = (Instant::now(), 0);
    loop {
        match ask().await {
            Err(error) if is_transient(&error.kind) => {
                let pause = back_off(tries).max(error.kind.retry_after().unwrap_or_default());
                if began.elapsed().saturating_add(pause) >= PRICE_RETRY_LIMIT || tries >= 4 {
                    return Err(error);
                }
                sleep(pause).await;
                tries = tries.saturating_add(1);
            }
            answer => return answer,
        }
    }
}

/// Whether the same call may succeed later. No `_` arm: a new kind of error must decide.
pub(super) fn is_transient(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::RateLimited { .. }
        | ErrorKind::Unavailable { .. }
        | ErrorKind::NotSent { .. }
        | ErrorKind::Ambiguous
        | ErrorKind::Protocol { .. } => true,
        ErrorKind::InvalidRequest { .. }
        | ErrorKind::Unauthorised
        | ErrorKind::Forbidden
        | ErrorKind::NotFound { .. }
        | ErrorKind::Conflict { .. }
        | ErrorKind::QuotaExceeded { .. }
        | ErrorKind::CapacityExhausted { .. }
        | ErrorKind::Unsupported => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_and_is_bounded() {
        assert_eq!(back_off(0), Duration::from_millis(50));
        assert_eq!(back_off(u32::MAX), Duration::from_secs(5));
    }
}
