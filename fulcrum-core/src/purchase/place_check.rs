//! Whether a lease is where the present market has its offer.

use std::sync::Arc;

use super::{backoff::retry_transient, engine::Engine};
use crate::{
    catalogue::Catalogue,
    model::{Lease, Place, Plan},
    provider::{Call, Provider, ProviderError},
};

/// Where the present market has a lease's offer: as the host's catalogue says, else as its provider lists it; none where
/// neither knows it.
pub(super) async fn present_place(
    engine: &Engine,
    provider: &Arc<dyn Provider>,
    lease: &Lease,
) -> Result<Option<Place>, ProviderError> {
    let catalogue = engine.market.catalogue();
    if let Some(ix) = catalogue.find(&lease.own_offer_id()) {
        return Ok(Some(catalogue.place(ix).clone()));
    }
    if !provider.capabilities().can(Call::Offers) {
        return Ok(None);
    }
    let listed = retry_transient(|| engine.listings.of(provider)).await?;
    Ok(listed.named(lease).map(|offer| (*offer.place).clone()))
}

/// Whether a lease is where its offer is: all that is told of a place, as what may be bought may hang on its country.
pub(super) fn check_place(planned: &Place, now: &Place) -> Result<(), String> {
    if planned == now {
        return Ok(());
    }
    let words = |place: &Place| {
        let zone = place.zone.as_ref().map_or_else(String::new, |zone| format!(" {zone}"));
        let at = place
            .coordinates
            .as_ref()
            .map_or_else(String::new, |at| format!(" at {}, {}", at.latitude, at.longitude));
        format!("{}/{}{zone} in {}{at}", place.provider, place.region, place.country)
    };
    Err(format!("is {} by the plan, and {} by the market; compose again", words(planned), words(now)))
}

/// Whether each lease is where the present market has its offer, as far as that is known: region and zone are in the offer's
/// name, and country and coordinates are not.
pub(super) fn check_places(catalogue: &Catalogue, plan: &Plan) -> Result<(), String> {
    for (at, lease) in plan.leases.iter().enumerate() {
        let Some(ix) = catalogue.find(&lease.own_offer_id()) else { continue };
        check_place(&lease.place, catalogue.place(ix)).map_err(|why| format!("leases[{at}] {why}"))?;
    }
    Ok(())
}
