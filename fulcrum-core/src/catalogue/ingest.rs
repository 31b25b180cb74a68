//! Building a snapshot from many providers at once. What one provider answers, or how it fails, harms no other.

use std::{any::Any, collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{AgeLimits, Catalogue, CatalogueBuilder, Rates, SourceReport, SourceState, source::cut};
use crate::{
    model::{Offer, ProviderId},
    provider::{Bounds, Call, OfferFilter, Provider, RejectedRow},
};

/// How a snapshot is built.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The time of the snapshot.
    pub now: Timestamp,
    /// Exchange rates.
    pub rates: Rates,
    /// How old what is used may be.
    pub ages: AgeLimits,
    /// How long one provider may take; what is slower counts as failed.
    pub deadline: Duration,
    /// Providers asked at once.
    pub concurrency: usize,
    /// Which offers are wanted.
    pub filter: OfferFilter,
}

impl IngestOptions {
    /// Half a minute for each provider, 64 at once, all offers, and the usual limits of age.
    pub fn new(now: Timestamp, rates: Rates) -> Self {
        Self {
            now,
            rates,
            ages: AgeLimits::default(),
            deadline: Duration::from_secs(30),
            concurrency: 64,
            filter: OfferFilter::default(),
        }
    }
}

/// What a provider answers.
struct Answer {
    provider: ProviderId,
    offers: Result<Vec<Offer>, String>,
    /// What it left out of its last complete list.
    rejected: Vec<RejectedRow>,
}

/// Asks all providers at once. One that fails, panics or is slow leaves the others usable, is named with the reason, and
/// keeps its offers of the previous snapshot, marked stale, as long as these are not too old. What is left out of a list
/// is named with it.
pub async fn ingest(
    providers: &[Arc<dyn Provider>],
    previous: Option<&Catalogue>,
    options: IngestOptions,
) -> Catalogue {
    // Boxed, so that the whole stays a future that can be spawned: a closure over borrowed providers is not.
    let lists: Vec<BoxFuture<'static, _>> = providers
        .iter()
        .map(|provider| list(provider.clone(), options.filter.clone(), options.deadline).boxed())
        .collect();
    let answers: Vec<Answer> =
        stream::iter(lists).buffer_unordered(options.concurrency.max(1)).collect().await;

    let mut builder = CatalogueBuilder::new(options.now, options.rates).within(options.ages);
    for provider in providers {
        if let Some(settings) = &provider.capabilities().settings {
            builder.declare_settings(provider.id().clone(), settings.clone());
        }
    }
    for Answer { provider, offers, rejected } in answers {
        let (state, listed_at, offers) = match offers {
            Ok(offers) => (SourceState::Fresh, Some(options.now), offers),
            Err(reason) => {
                tracing::warn!(%provider, reason, "provider left out of the catalogue or stale");
                let old = previous.and_then(|catalogue| Some((catalogue, catalogue.source(&provider)?)));
                match old {
                    Some((catalogue, source)) if source.offers > 0 => {
                        (SourceState::Stale { reason }, source.listed_at, catalogue.offers_of(&provider))
                    }
                    _ => (SourceState::Missing { reason }, None, Vec::new()),
                }
            }
        };
        builder.add_list(SourceReport::new(provider, state, listed_at), rejected, offers);
    }
    builder.build()
}

/// All offers of one provider, or why there are none. The provider has a task of its own: if it panics, or holds its thread
/// for ever, the others go on.
async fn list(provider: Arc<dyn Provider>, filter: OfferFilter, deadline: Duration) -> Answer {
    struct Aborted<T>(JoinHandle<T>);
    impl<T> Drop for Aborted<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let (id, asked) = (provider.id().clone(), provider.clone());
    let read = async move {
        let stream = asked.offers(&filter);
        Bounds::LONG_LIST.of(asked.id(), Call::Offers, stream).try_collect::<Vec<_>>().await
    };
    let mut task = Aborted(tokio::spawn(AssertUnwindSafe(read).catch_unwind().in_current_span()));
    let offers = match tokio::time::timeout(deadline, &mut task.0).await {
        Ok(Ok(Ok(Ok(offers)))) => Ok(offers),
        Ok(Ok(Ok(Err(error)))) => Err(error.to_string()),
        Ok(Ok(Err(panic))) => Err(format!("its list panicked: {}", words_of(&*panic))),
        Ok(Err(error)) => Err(format!("its list was ended: {error}")),
        Err(_) => Err(format!("no complete list within {} ms", deadline.as_millis())),
    };
    let rejected = std::panic::catch_unwind(AssertUnwindSafe(|| provider.rejected())).unwrap_or_default();
    Answer { provider: id, offers: offers.map_err(|reason| cut(&reason)), rejected }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

impl Catalogue {
    /// How a provider answered.
    pub fn source(&self, provider: &ProviderId) -> Option<&SourceReport> {
        self.sources().iter().find(|source| source.provider == *provider)
    }

    /// The same catalogue without the lists and rates that have become too old since it was taken; none if all still hold.
    pub(crate) fn without_old(&self, ages: AgeLimits, now: Timestamp) -> Option<Self> {
        let age = |source: &SourceReport| source.listed_at.and_then(|listed_at| ages.of_list(listed_at, now));
        let refused = ages.of_rates(self.rates(), now);
        if refused.is_none() && !self.sources().iter().any(|source| age(source).is_some()) {
            return None;
        }
        let refused = refused.or_else(|| self.refused_rates().map(str::to_owned));
        let mut builder = CatalogueBuilder::new(self.taken_at(), self.rates().clone()).without_rates(refused);
        let mut old = BTreeSet::new();
        for source in self.sources() {
            let mut source = source.clone();
            if let Some(age) = age(&source) {
                source.outdate(&age);
                old.insert(source.provider.clone());
            }
            builder.add_source(source);
        }
        let kept = self.ids().filter(|ix| !old.contains(&self.place(*ix).provider));
        builder.extend(kept.map(|ix| self.offer(ix)));
        builder.add_quarantined(self.quarantined().iter().cloned());
        for (provider, settings) in self.settings() {
            builder.declare_settings(provider.clone(), settings.clone());
        }
        Some(builder.build())
    }

    /// All offers of a provider.
    fn offers_of(&self, provider: &ProviderId) -> Vec<Offer> {
        self.ids().filter(|ix| self.place(*ix).provider == *provider).map(|ix| self.offer(ix)).collect()
    }
}
