//! What every call did, for people who look later.

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
use tracing::Instrument;

/// A span for each call, with provider, call, and how it ended; neither requests nor answers are written.
/// Stands outermost.
#[derive(Debug)]
pub struct Trace<P> {
    inner: Arc<P>,
}

impl<P: Provider> Trace<P> {
    /// Traces each call of a provider.
    pub fn new(inner: P) -> Self {
        Self { inner: Arc::new(inner) }
    }

    async fn call<T, F: Future<Output = Result<T>>>(&self, call: Call, make: impl Fn() -> F) -> Result<T> {
        let span =
            tracing::debug_span!("fulcrum.provider.call", provider = %self.inner.id(), call = call.word());
        let outcome = make().instrument(span.clone()).await;
        span.in_scope(|| match &outcome {
            Ok(_) => tracing::debug!("done"),
            Err(error) => tracing::warn!(kind = %error.kind, request_id = error.request_id, "failed"),
        });
        outcome
    }

    fn stream<T: Send + 'static>(
        &self,
        call: Call,
        make: impl Fn() -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let provider = self.inner.id().clone();
        make()
            .inspect(move |item| {
                if let Err(error) = item {
                    tracing::warn!(%provider, call = call.word(), kind = %error.kind, "list failed");
                }
            })
            .boxed()
    }
}

forward_through!(Trace);
