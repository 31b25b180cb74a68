//! Again, where that is safe.

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

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first one included.
    pub tries: usize,
    /// The wait before the second try; it doubles each time, with as much chance added.
    pub first_wait: Duration,
    /// The longest wait before chance is added. Where the provider asks for more, the error is returned instead.
    pub longest_wait: Duration,
    /// The time for all tries and waits together: no wait begins that would end after it.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
            budget: Duration::from_secs(60),
        }
    }
}

/// Repeats calls that failed without effect: rate limited, unavailable, not sent. Never one whose outcome is
/// unknown. Waits as long as the provider asks. A list is opened again only if it has yielded nothing yet.
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
                        // A failed list must not hold a place of the layers within while this one waits.
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

/// The waits of one call, and when its time is up; a budget beyond the clock is none.
struct Waits<W> {
    waits: W,
    end: Option<Instant>,
}

impl<W> Waits<W> {
    fn allow(&self, wait: Duration) -> bool {
        let until = Instant::now().checked_add(wait);
        self.end.is_none_or(|end| until.is_some_and(|until| until <= end))
    }
}

impl RetryPolicy {
    fn waits(&self) -> Waits<impl Iterator<Item = Duration> + Send + use<>> {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.tries.saturating_sub(1))
            .with_jitter()
            .build();
        Waits { waits, end: Instant::now().checked_add(self.budget) }
    }

    /// Waits before the next try, or gives the error back if there is none.
    async fn pause(
        &self,
        waits: &mut Waits<impl Iterator<Item = Duration>>,
        call: Call,
        error: ProviderError,
    ) -> Result<()> {
        let asked = error.kind.retry_after().unwrap_or_default();
        let is_worth_it = error.is_retryable() && asked <= self.longest_wait;
        let wait = waits.waits.next().map(|wait| wait.max(asked));
        let Some(wait) = wait.filter(|wait| is_worth_it && waits.allow(*wait)) else {
            return Err(error);
        };
        tracing::debug!(call = call.word(), wait_ms = wait.as_millis() as u64, kind = %error.kind, "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

forward_through!(Retry);
