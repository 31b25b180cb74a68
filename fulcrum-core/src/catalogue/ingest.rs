//! Building a snapshot from many providers at once.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Catalogue, CatalogueBuilder, Rates};
use crate::{
    model::{Offer, ProviderId},
    provider::{OfferFilter, Provider},
};

/// How a snapshot is built.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// The time of the snapshot.
    pub now: Timestamp,
    /// Exchange rates.
    pub rates: Rates,
    /// How long one provider may take; what is slower counts as failed.
    pub deadline: Duration,
    /// Providers asked at once.
    pub concurrency: usize,
    /// Which offers are wanted.
    pub filter: OfferFilter,
}

impl IngestOptions {
    /// Half a minute for each provider, 64 at once, all offers.
    pub fn new(now: Timestamp, rates: Rates) -> Self {
        Self {
            now,
            rates,
            deadline: Duration::from_secs(30),
            concurrency: 64,
            filter: OfferFilter::default(),
        }
    }
}

/// How one provider answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Who.
    pub provider: ProviderId,
    /// How.
    pub state: SourceState,
    /// Offers in the snapshot.
    pub offers: usize,
    /// When these offers were listed.
    pub listed_at: Option<Timestamp>,
}

/// Whether a provider's offers are fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// All listed just now.
    Fresh,
    /// The provider failed; its offers are those of the snapshot before.
    Stale {
        /// What went wrong.
        reason: String,
    },
    /// The provider failed and nothing older is known: none of its offers are in.
    Missing {
        /// What went wrong.
        reason: String,
    },
}

/// Asks all providers at once. One that fails or is slow leaves the others usable, is named with the reason,
/// and keeps its offers of the previous snapshot, marked stale with their age.
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
    let answers: Vec<(ProviderId, Result<Vec<Offer>, String>)> =
        stream::iter(lists).buffer_unordered(options.concurrency.max(1)).collect().await;

    let mut builder = CatalogueBuilder::new(options.now, options.rates);
    for (provider, answer) in answers {
        let (state, listed_at, offers) = match answer {
            Ok(offers) => (SourceState::Fresh, Some(options.now), offers),
            Err(reason) => {
                tracing::warn!(%provider, reason, "provider left out of the catalogue or stale");
                let old = previous.and_then(|catalogue| catalogue.source(&provider));
                match (old, previous) {
                    (Some(source), Some(catalogue)) if source.offers > 0 => {
                        (SourceState::Stale { reason }, source.listed_at, catalogue.offers_of(&provider))
                    }
                    _ => (SourceState::Missing { reason }, None, Vec::new()),
                }
            }
        };
        builder.add_source(SourceReport { provider, state, offers: offers.len(), listed_at });
        builder.extend(offers);
    }
    builder.build()
}

/// All offers of one provider, or why there are none.
async fn list(
    provider: Arc<dyn Provider>,
    filter: OfferFilter,
    deadline: Duration,
) -> (ProviderId, Result<Vec<Offer>, String>) {
    let listing = provider.offers(&filter).try_collect::<Vec<_>>();
    let answer = match tokio::time::timeout(deadline, listing).await {
        Ok(Ok(offers)) => check_owner(provider.id(), offers),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no complete list within {} ms", deadline.as_millis())),
    };
    (provider.id().clone(), answer)
}

/// A provider that lists offers of another would be bought from under a false name.
fn check_owner(provider: &ProviderId, offers: Vec<Offer>) -> Result<Vec<Offer>, String> {
    match offers.iter().find(|offer| offer.place.provider != *provider) {
        Some(offer) => Err(format!("it lists {} as an offer of its own", offer.id())),
        None => Ok(offers),
    }
}

impl Catalogue {
    /// How a provider answered.
    pub fn source(&self, provider: &ProviderId) -> Option<&SourceReport> {
        self.sources().iter().find(|source| source.provider == *provider)
    }

    fn offers_of(&self, provider: &ProviderId) -> Vec<Offer> {
        self.ids().filter(|ix| self.place(*ix).provider == *provider).map(|ix| self.offer(ix)).collect()
    }
}
