//! Every try ends in time.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};

use super::forward_through;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus,
        Provider, ProviderError, ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
        Worded,
    },
};

/// Bounds each call, and of a list each item. Stands inside retry, so that each try has its own time.
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
        tokio::time::timeout(self.limit, make())
            .await
            .unwrap_or_else(|_| Err(late(self.inner.id().clone(), call, self.limit)))
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
                    Err(_) => Some((Err(late(id, call, limit)), None)),
                }
            }
        })
        .boxed()
    }
}

/// Dropping a call does not un-send it: for one that changes state this is no plain time-out.
fn late(provider: ProviderId, call: Call, limit: Duration) -> ProviderError {
    let cause = format!("no answer came within {} s", limit.as_secs_f32());
    let kind = if call.is_mutation() { ErrorKind::Ambiguous } else { ErrorKind::unavailable(cause.clone()) };
    ProviderError::new(provider, call, kind).with_source(Worded::new(cause))
}

forward_through!(Deadline);
