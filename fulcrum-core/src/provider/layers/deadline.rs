//! A deadline for each attempt.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};

use super::forward_through;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, ErrorContext, ErrorKind, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Result, ServiceStream,
        UsagePeriod, UsageStream,
    },
};

/// The time of a dry run, in deadlines of other calls.
const DRY_RUN_DEADLINES: u32 = 10;

/// Bounds the time of each call, and of each item of a list. Stands inside retry, so that each attempt has its own deadline.
#[derive(Debug)]
pub struct Deadline<P> {
    inner: Arc<P>,
    limit: Duration,
}

impl<P: Provider> Deadline<P> {
    /// Bounds each call of a provider.
    pub fn new(inner: P, limit: Duration) -> Self {
        Self { inner: Arc::new(inner), limit }
    }

    async fn call<T, F: Future<Output = Result<T>>>(&self, call: Call, make: impl Fn() -> F) -> Result<T> {
        // A dry run asks about a whole plan.
        let limit =
            if call == Call::DryRun { self.limit.saturating_mul(DRY_RUN_DEADLINES) } else { self.limit };
        tokio::time::timeout(limit, make())
            .await
            .unwrap_or_else(|_| Err(deadline_exceeded(self.inner.id().clone(), call, limit)))
    }

    fn stream<T: Send + 'static>(
        &self,
        call: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let (limit, id) = (self.limit, self.inner.id().clone());
        let state = Some(make());
        futures::stream::unfold(state, move |stream| {
            let id = id.clone();
            async move {
                let mut stream = stream?;
                match tokio::time::timeout(limit, stream.next()).await {
                    Ok(item) => item.map(|item| (item, Some(stream))),
                    Err(_) => Some((Err(deadline_exceeded(id, call, limit)), None)),
                }
            }
        })
        .boxed()
    }
}

/// The error of a missed deadline. A dropped call may have been sent: for a mutation the outcome is unknown.
fn deadline_exceeded(provider: ProviderId, call: Call, limit: Duration) -> ProviderError {
    let cause = format!("no answer came within {} s", limit.as_secs_f32());
    let kind = if call.is_mutation() { ErrorKind::Ambiguous } else { ErrorKind::unavailable(cause.clone()) };
    ProviderError::new(provider, call, kind).with_source(ErrorContext::new(cause))
}

forward_through!(Deadline);
