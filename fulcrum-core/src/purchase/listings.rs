//! What providers list, for checking prices: shared by all orders of a host, so that rate limits survive.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt;

use super::moment::Moment;
use crate::{
    model::{Lease, Offer, OfferId, ProviderId},
    provider::{Call, ErrorKind, OfferFilter, Provider, ProviderError},
};

/// How old a shared list may be.
const AGE: Duration = Duration::from_secs(30);
/// How long a list may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Offers of one provider at most.
const MOST: usize = 2_000_000;

/// One list of a provider's offers.
#[derive(Debug)]
pub(super) struct Listed {
    at: Moment,
    /// None: two offers of one name that differ, so that neither can be told to be the one that was planned.
    offers: HashMap<OfferId, Option<Offer>>,
}

impl Listed {
    /// What a lease was made of, by provider, place, SKU and purchase option.
    pub(super) fn find(&self, lease: &Lease) -> Option<&Offer> {
        let offer = self.offers.get(&lease.own_offer_id())?.as_ref()?;
        (offer.sku == lease.sku && offer.kind == lease.kind && *offer.place == lease.place).then_some(offer)
    }

    /// The offer of that name, wherever the lease says that it is.
    pub(super) fn named(&self, lease: &Lease) -> Option<&Offer> {
        self.offers.get(&lease.own_offer_id())?.as_ref()
    }
}

/// What a provider last listed, and how it last failed.
#[derive(Debug, Default)]
struct Newest {
    listed: Option<Arc<Listed>>,
    failed: Option<(Instant, ErrorKind)>,
}

type Place = Arc<tokio::sync::Mutex<Newest>>;

/// The newest list of each provider. Whoever comes while one is asked for waits for that answer.
#[derive(Debug, Default)]
pub(super) struct Listings {
    newest: Mutex<BTreeMap<ProviderId, Place>>,
}

impl Listings {
    /// What a provider lists now.
    ///
    /// # Errors
    /// What the provider answers; an old list is never given instead.
    pub(super) async fn of(&self, provider: &Arc<dyn Provider>) -> Result<Arc<Listed>, ProviderError> {
        let place = {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.entry(provider.id().clone()).or_default().clone()
        };
        let came = Instant::now();
        let mut newest = place.lock().await;
        if let Some(listed) = newest.listed.as_ref().filter(|listed| listed.at.is_within(AGE)) {
            return Ok(listed.clone());
        }
        // Who waited for an answer waited for a failure too: each asking anew, the last would wait for all others.
        if let Some((_, kind)) = newest.failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(ProviderError::new(provider.id().clone(), Call::Offers, kind.clone()));
        }
        match Self::ask(provider).await {
            Ok(listed) => {
                let listed = Arc::new(listed);
                *newest = Newest { listed: Some(listed.clone()), failed: None };
                Ok(listed)
            }
            Err(error) => {
                newest.failed = Some((Instant::now(), error.kind.clone()));
                Err(error)
            }
        }
    }

    async fn ask(provider: &Arc<dyn Provider>) -> Result<Listed, ProviderError> {
        let failed = |kind| ProviderError::new(provider.id().clone(), Call::Offers, kind);
        let at = Moment::now();
        let mut offers = HashMap::new();
        let read = async {
            let mut list = provider.offers(&OfferFilter::default());
            while let Some(offer) = list.try_next().await? {
                let place = offers.entry(offer.id()).or_insert_with(|| Some(offer.clone()));
                if place.as_ref().is_some_and(|other: &Offer| *other != offer) {
                    *place = None;
                }
                if offers.len() > MOST {
                    let message = format!("it lists more than {MOST} offers");
                    return Err(failed(ErrorKind::Protocol { message }));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                return Err(failed(ErrorKind::unavailable(format!(
                    "its list of offers took longer than {} s",
                    PATIENCE.as_secs()
                ))));
            }
        }
        Ok(Listed { at, offers })
    }
}
