//! A limit on concurrent calls.

use std::{future::Future, sync::Arc};

use futures::{StreamExt, stream::BoxStream};

use super::forward_through;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
    },
};
use tokio::sync::Semaphore;

/// Limits concurrent calls by a semaphore. A list holds a permit only while its next item is fetched, so that its caller may
/// make another call between two items even with a single permit.
#[derive(Debug)]
pub struct Concurrency<P> {
    inner: Arc<P>,
    permits: Arc<Semaphore>,
}

impl<P: Provider> Concurrency<P> {
    /// At most `max_concurrent_calls` calls of a provider at once; 0 counts as 1.
    pub fn new(inner: P, max_concurrent_calls: u32) -> Self {
        Self {
            inner: Arc::new(inner),
            permits: Arc::new(Semaphore::new(max_concurrent_calls.max(1) as usize)),
        }
    }

    async fn call<T, F: Future<Output = Result<T>>>(&self, _: Call, make: impl Fn() -> F) -> Result<T> {
        // The semaphore is never closed, so this is always a permit.
        let _permit = self.permits.acquire().await.ok();
        make().await
    }

    fn stream<T: Send + 'static>(
        &self,
        _: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        futures::stream::unfold((self.permits.clone(), make()), |(permits, mut list)| async move {
            let item = {
                let _permit = permits.acquire().await.ok();
                list.next().await
            };
            item.map(|item| (item, (permits, list)))
        })
        .boxed()
    }
}

forward_through!(Concurrency);
