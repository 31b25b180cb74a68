//! What providers list, for checking prices: shared by all orders of a host, so that rate limits survive.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::TryStreamExt;

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
    at: Instant,
    /// None: two offers of one name that differ, so that neither can be told to be the one that was planned.
    offers: HashMap<OfferId, Option<Offer>>,
}

impl Listed {
    /// What a lease was made of, by provider, place, SKU and purchase option.
    pub(super) fn find(&self, lease: &Lease) -> Option<&Offer> {
        let offer = self.offers.get(&lease.own_offer_id())?.as_ref()?;
        (offer.sku == lease.sku && offer.kind == lease.kind && *offer.place == lease.place).then_some(offer)
    }
}

type Place = Arc<tokio::sync::Mutex<Option<Arc<Listed>>>>;

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
        let mut newest = place.lock().await;
        if let Some(listed) = newest.as_ref().filter(|listed| listed.at.elapsed() < AGE) {
            return Ok(listed.clone());
        }
        let failed = |kind| ProviderError::new(provider.id().clone(), Call::Offers, kind);
        let at = Instant::now();
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
        let listed = Arc::new(Listed { at, offers });
        *newest = Some(listed.clone());
        Ok(listed)
    }
}
