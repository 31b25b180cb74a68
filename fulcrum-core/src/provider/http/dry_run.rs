//! A purchase without its effect: every request that would change something ends here, in the place where all of them pass.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

tokio::task_local! {
    /// Whether a request was held back.
    static HELD_BACK: Arc<AtomicBool>;
}

/// How a call without its effect ended.
#[derive(Debug)]
pub(crate) enum WithoutEffect<T> {
    /// It came to its first request with an effect, which was not sent.
    HeldBack,
    /// It ended before.
    Ended(T),
}

/// Runs a call, and sends none of its requests that would have an effect: the first one ends it. The call must not leave its
/// task.
pub(crate) async fn without_effect<T>(call: impl Future<Output = T>) -> WithoutEffect<T> {
    let held_back = Arc::new(AtomicBool::new(false));
    let ended = HELD_BACK.scope(held_back.clone(), call).await;
    match held_back.load(Ordering::Relaxed) {
        true => WithoutEffect::HeldBack,
        false => WithoutEffect::Ended(ended),
    }
}

/// Whether the present call is one without its effect.
#[allow(dead_code, reason = "each adapter uses its own part")]
pub(crate) fn is_dry_run() -> bool {
    HELD_BACK.try_with(|_| ()).is_ok()
}

/// Whether a request with an effect must not be sent.
pub(super) fn holds_back() -> bool {
    HELD_BACK.try_with(|held_back| held_back.store(true, Ordering::Relaxed)).is_ok()
}
