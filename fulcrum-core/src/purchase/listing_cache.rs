//! The providers' lists of offers, for checking prices: shared by all orders of a host, so that rate limits are kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt;

use super::dual_clock::DualInstant;
use crate::{
    model::{Lease, Offer, OfferId, ProviderId},
    provider::{Call, ErrorKind, OfferFilter, Provider, ProviderError},
};

/// The age after which a shared list is fetched again.
const MAX_LISTING_AGE: Duration = Duration::from_secs(30);
/// How long a list may take.
const LISTING_TIMEOUT: Duration = Duration::from_secs(60);
/// Offers of one provider at most.
const MAX_OFFERS_PER_LISTING: usize = 2_000_000;

/// One list of a provider's offers.
#[derive(Debug)]
pub(super) struct Listing {
    at: DualInstant,
    /// None: two different offers have one name, so neither can be taken for the planned one.
    offers: HashMap<OfferId, Option<Offer>>,
}

impl Listing {
    /// The offer of a lease, by provider, place, SKU and purchase option.
    pub(super) fn find(&self, lease: &Lease) -> Option<&Offer> {
        let offer = self.offers.get(&lease.own_offer_id())?.as_ref()?;
        (offer.sku == lease.sku && offer.kind == lease.kind && *offer.place == lease.place).then_some(offer)
    }

    /// The offer with the lease's name, wherever it is.
    pub(super) fn named(&self, lease: &Lease) -> Option<&Offer> {
        self.offers.get(&lease.own_offer_id())?.as_ref()
    }
}

/// A provider's last list, and its last failure.
#[derive(Debug, Default)]
struct LatestListing {
    listed: Option<Arc<Listing>>,
    failed: Option<(Instant, ErrorKind)>,
}

type CacheEntry = Arc<tokio::sync::Mutex<LatestListing>>;

/// The newest list of each provider. Concurrent callers share one fetch.
#[derive(Debug, Default)]
pub(super) struct ListingCache {
    newest: Mutex<BTreeMap<ProviderId, CacheEntry>>,
}

impl ListingCache {
    /// A provider's list, at most [`MAX_LISTING_AGE`] old.
    ///
    /// # Errors
    /// The provider's error; an old list is never returned instead.
    pub(super) async fn of(&self, provider: &Arc<dyn Provider>) -> Result<Arc<Listing>, ProviderError> {
        let place = {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.entry(provider.id().clone()).or_default().clone()
        };
        let came = Instant::now();
        let mut newest = place.lock().await;
        if let Some(listed) = newest.listed.as_ref().filter(|listed| listed.at.is_within(MAX_LISTING_AGE)) {
            return Ok(listed.clone());
        }
        // Callers that waited share the failure too: if each fetched anew, the last would wait for all others.
        if let Some((_, kind)) = newest.failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(ProviderError::new(provider.id().clone(), Call::Offers, kind.clone()));
        }
        match Self::fetch(provider).await {
            Ok(listed) => {
                let listed = Arc::new(listed);
                *newest = LatestListing { listed: Some(listed.clone()), failed: None };
                Ok(listed)
            }
            Err(error) => {
                newest.failed = Some((Instant::now(), error.kind.clone()));
                Err(error)
            }
        }
    }

    async fn fetch(provider: &Arc<dyn Provider>) -> Result<Listing, ProviderError> {
        let failed = |kind| ProviderError::new(provider.id().clone(), Call::Offers, kind);
        let at = DualInstant::now();
        let mut offers = HashMap::new();
        let read = async {
            let mut list = provider.offers(&OfferFilter::default());
            while let Some(offer) = list.try_next().await? {
                let place = offers.entry(offer.id()).or_insert_with(|| Some(offer.clone()));
                if place.as_ref().is_some_and(|other: &Offer| *other != offer) {
                    *place = None;
                }
                if offers.len() > MAX_OFFERS_PER_LISTING {
                    let message = format!("it lists more than {MAX_OFFERS_PER_LISTING} offers");
                    return Err(failed(ErrorKind::Protocol { message }));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(LISTING_TIMEOUT, read).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                return Err(failed(ErrorKind::unavailable(format!(
                    "its list of offers took longer than {} s",
                    LISTING_TIMEOUT.as_secs()
                ))));
            }
        }
        Ok(Listing { at, offers })
    }
}
