//! Builds a snapshot from many providers at once, and isolates the failures of each.

use std::{any::Any, collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{AgeLimits, Catalogue, CatalogueBuilder, Rates, SourceReport, SourceState};
use crate::{
    model::{Offer, ProviderId},
    provider::{Call, OfferFilter, Provider, RejectedRow, StreamLimits, foreign_text},
};

/// Options of an ingest.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The time of the snapshot.
    pub now: Timestamp,
    /// Exchange rates.
    pub rates: Rates,
    /// The age limits.
    pub ages: AgeLimits,
    /// The time-out of one provider; a slower one counts as failed.
    pub deadline: Duration,
    /// Providers listed concurrently.
    pub concurrency: usize,
    /// The filter of offers.
    pub filter: OfferFilter,
}

impl IngestOptions {
    /// 30 seconds for each provider, 64 concurrently, all offers, and the default age limits.
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

/// The outcome of listing one provider.
struct ListingOutcome {
    provider: ProviderId,
    offers: Result<Vec<Offer>, String>,
    /// Rejected rows of its last complete list.
    rejected: Vec<RejectedRow>,
}

/// Lists all providers concurrently. A provider that fails, panics or is slow leaves the others usable. Its report names the
/// reason, and its offers of the previous snapshot stay, marked stale, within the age limit. Rejected rows are reported, too.
pub async fn ingest(
    providers: &[Arc<dyn Provider>],
    previous: Option<&Catalogue>,
    options: IngestOptions,
) -> Catalogue {
    // Boxed, so that the future can be spawned: a closure over borrowed providers could not.
    let lists: Vec<BoxFuture<'static, _>> = providers
        .iter()
        .map(|provider| list_offers(provider.clone(), options.filter.clone(), options.deadline).boxed())
        .collect();
    let answers: Vec<ListingOutcome> =
        stream::iter(lists).buffer_unordered(options.concurrency.max(1)).collect().await;

    let mut builder = CatalogueBuilder::new(options.now, options.rates).with_age_limits(options.ages);
    for provider in providers {
        if let Some(settings) = &provider.capabilities().settings {
            builder.declare_settings(provider.id().clone(), settings.clone());
        }
        if let Some(attributes) = &provider.capabilities().attributes {
            builder.declare_attributes(provider.id().clone(), attributes.clone());
        }
        let secrets = &provider.capabilities().secrets;
        if !secrets.is_empty() {
            builder.declare_secrets(provider.id().clone(), secrets.clone());
        }
        if provider.capabilities().is_buyable() {
            builder.declare_seller(provider.id().clone());
        }
        let not_accepted = provider.capabilities().not_accepted();
        if !not_accepted.is_empty() {
            builder.declare_not_accepted(provider.id().clone(), not_accepted);
        }
    }
    for ListingOutcome { provider, offers, rejected } in answers {
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

/// All offers of one provider, or why the listing failed. The provider has its own task: if it panics or blocks its thread for
/// ever, the others continue.
async fn list_offers(provider: Arc<dyn Provider>, filter: OfferFilter, deadline: Duration) -> ListingOutcome {
    struct AbortOnDrop<T>(JoinHandle<T>);
    impl<T> Drop for AbortOnDrop<T> {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let (id, asked) = (provider.id().clone(), provider.clone());
    let read = async move {
        let stream = asked.offers(&filter);
        StreamLimits::LONG_LIST.apply(asked.id(), Call::Offers, stream).try_collect::<Vec<_>>().await
    };
    let mut task = AbortOnDrop(tokio::spawn(AssertUnwindSafe(read).catch_unwind().in_current_span()));
    let offers = match tokio::time::timeout(deadline, &mut task.0).await {
        Ok(Ok(Ok(Ok(offers)))) => Ok(offers),
        Ok(Ok(Ok(Err(error)))) => Err(error.to_string()),
        Ok(Ok(Err(panic))) => Err(format!("its list panicked: {}", panic_message(&*panic))),
        Ok(Err(error)) => Err(format!("its list was ended: {error}")),
        Err(_) => Err(format!(
            "no complete list within {} ms; call refresh() again, or raise the deadline",
            deadline.as_millis()
        )),
    };
    let rejected = std::panic::catch_unwind(AssertUnwindSafe(|| provider.rejected())).unwrap_or_default();
    ListingOutcome { provider: id, offers: offers.map_err(|reason| foreign_text(&reason)), rejected }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

impl Catalogue {
    /// The report of a provider.
    pub fn source(&self, provider: &ProviderId) -> Option<&SourceReport> {
        self.sources().iter().find(|source| source.provider == *provider)
    }

    /// The catalogue without lists and rates that have become too old since; none if all are still valid.
    pub(crate) fn without_stale(&self, ages: AgeLimits, now: Timestamp) -> Option<Self> {
        let age =
            |source: &SourceReport| source.listed_at.and_then(|listed_at| ages.list_too_old(listed_at, now));
        let refused = ages.rates_too_old(self.rates(), now);
        if refused.is_none() && !self.sources().iter().any(|source| age(source).is_some()) {
            return None;
        }
        let refused = refused.or_else(|| self.refused_rates().map(str::to_owned));
        let mut builder = CatalogueBuilder::new(self.taken_at(), self.rates().clone()).without_rates(refused);
        let mut old = BTreeSet::new();
        for source in self.sources() {
            let mut source = source.clone();
            if let Some(age) = age(&source) {
                source.mark_too_old(&age);
                old.insert(source.provider.clone());
            }
            builder.add_source(source);
        }
        let kept = self.ids().filter(|ix| !old.contains(&self.place(*ix).provider));
        builder.extend(kept.map(|ix| self.offer(ix)));
        builder.add_quarantined(self.quarantined().iter().cloned());
        builder.declare_all(self.declared.clone());
        Some(builder.build())
    }

    /// All offers of a provider.
    fn offers_of(&self, provider: &ProviderId) -> Vec<Offer> {
        self.ids().filter(|ix| self.place(*ix).provider == *provider).map(|ix| self.offer(ix)).collect()
    }
}
