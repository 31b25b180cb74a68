//! Not too many calls at once.

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

/// Bounds the calls that are under way at once. A list holds a place only while its next item is fetched, so
/// that a caller may call again between two items even where one place is all there is.
#[derive(Debug)]
pub struct Concurrency<P> {
    inner: Arc<P>,
    places: Arc<Semaphore>,
}

impl<P: Provider> Concurrency<P> {
    /// At most `at_once` calls of a provider at once; 0 counts as 1.
    pub fn new(inner: P, at_once: u32) -> Self {
        Self { inner: Arc::new(inner), places: Arc::new(Semaphore::new(at_once.max(1) as usize)) }
    }

    async fn call<T, F: Future<Output = Result<T>>>(&self, _: Call, make: impl Fn() -> F) -> Result<T> {
        // The semaphore is never closed, so that a place is all that this can be.
        let _place = self.places.acquire().await.ok();
        make().await
    }

    fn stream<T: Send + 'static>(
        &self,
        _: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        futures::stream::unfold((self.places.clone(), make()), |(places, mut list)| async move {
            let item = {
                let _place = places.acquire().await.ok();
                list.next().await
            };
            item.map(|item| (item, (places, list)))
        })
        .boxed()
    }
}

forward_through!(Concurrency);
