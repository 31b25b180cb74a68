//! Retries with exponential back-off and jitter, where repeating is safe.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use tokio::time::Instant;

use super::forward_through;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProviderError, ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
    },
};
use backon::{BackoffBuilder, ExponentialBuilder};

/// Attempts, back-off and budget of retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included.
    pub max_attempts: usize,
    /// The back-off before the second attempt. It doubles each time; jitter adds up to as much again.
    pub initial_backoff: Duration,
    /// The longest back-off before jitter. If the provider asks for a longer wait, the error is returned instead.
    pub max_backoff: Duration,
    /// The time for all attempts and waits together: no wait begins that would end after it.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(20),
            budget: Duration::from_secs(60),
        }
    }
}

/// Repeats calls that failed without effect: rate limited, unavailable, not sent. A call with an unknown outcome is never
/// repeated. Waits at least as long as the provider asks. A list is restarted only if it has yielded nothing yet.
#[derive(Debug)]
pub struct Retry<P> {
    inner: Arc<P>,
    policy: RetryPolicy,
}

impl<P: Provider> Retry<P> {
    /// Repeats calls of a provider.
    pub fn new(inner: P, policy: RetryPolicy) -> Self {
        Self { inner: Arc::new(inner), policy }
    }

    async fn call<T, F: Future<Output = Result<T>>>(&self, call: Call, make: impl Fn() -> F) -> Result<T> {
        let mut waits = self.policy.waits();
        loop {
            match make().await {
                Ok(value) => return Ok(value),
                Err(error) => self.policy.pause(&mut waits, call, error).await?,
            }
        }
    }

    fn stream<T: Send + 'static>(
        &self,
        call: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let policy = self.policy;
        futures::stream::once(async move {
            let mut waits = policy.waits();
            loop {
                let mut stream = make();
                match stream.next().await {
                    Some(Err(error)) => {
                        // A failed list must not hold a permit of an inner layer during the wait.
                        drop(stream);
                        if let Err(error) = policy.pause(&mut waits, call, error).await {
                            return futures::stream::iter([Err(error)]).boxed();
                        }
                    }
                    // A list that has ended must not be polled again.
                    None => return futures::stream::empty().boxed(),
                    first => return futures::stream::iter(first).chain(stream).boxed(),
                }
            }
        })
        .flatten()
        .boxed()
    }
}

/// The back-off sequence of one call, and the end of its budget; none if that is beyond the clock.
struct Backoff<W> {
    waits: W,
    end: Option<Instant>,
}

impl<W> Backoff<W> {
    fn allow(&self, wait: Duration) -> bool {
        let until = Instant::now().checked_add(wait);
        self.end.is_none_or(|end| until.is_some_and(|until| until <= end))
    }
}

impl RetryPolicy {
    fn waits(&self) -> Backoff<impl Iterator<Item = Duration> + Send + use<>> {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.initial_backoff)
            .with_max_delay(self.max_backoff)
            .with_max_times(self.max_attempts.saturating_sub(1))
            .with_jitter()
            .build();
        Backoff { waits, end: Instant::now().checked_add(self.budget) }
    }

    /// Waits before the next attempt, or returns the error if there is none.
    async fn pause(
        &self,
        waits: &mut Backoff<impl Iterator<Item = Duration>>,
        call: Call,
        error: ProviderError,
    ) -> Result<()> {
        let asked = error.kind.retry_after().unwrap_or_default();
        let may_retry = error.is_retryable() && asked <= self.max_backoff;
        let wait = waits.waits.next().map(|wait| wait.max(asked));
        let Some(wait) = wait.filter(|wait| may_retry && waits.allow(*wait)) else {
            return Err(error);
        };
        tracing::debug!(call = call.word(), wait_ms = wait.as_millis() as u64, kind = %error.kind, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

forward_through!(Retry);
