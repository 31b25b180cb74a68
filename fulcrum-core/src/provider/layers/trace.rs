//! Spans and metrics of every call.

use std::{future::Future, sync::Arc, time::Instant};

use futures::{StreamExt, stream::BoxStream};

use super::forward_through;
use crate::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
    },
    telemetry,
};
use tracing::Instrument;

/// Records a span for each call with provider, call and outcome, and its duration by [`telemetry`]. Requests and results are
/// not recorded. Stands outermost.
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
        let began = Instant::now();
        let outcome = make().instrument(span.clone()).await;
        let word = outcome.as_ref().map_or_else(|error| error.kind.word(), |_| "ok");
        telemetry::call_ended(self.inner.id(), call.word(), word, began);
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
        let state = (make(), Instant::now(), false);
        futures::stream::unfold(state, move |state| {
            let provider = provider.clone();
            async move {
                let (mut list, began, has_failed) = state;
                let item = list.next().await;
                match &item {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::warn!(%provider, call = call.word(), kind = %error.kind, "list failed");
                        telemetry::call_ended(&provider, call.word(), error.kind.word(), began);
                    }
                    None if has_failed => {}
                    None => telemetry::call_ended(&provider, call.word(), "ok", began),
                }
                let has_failed = has_failed || matches!(item, Some(Err(_)));
                item.map(|item| (item, (list, began, has_failed)))
            }
        })
        .boxed()
    }
}

forward_through!(Trace);
