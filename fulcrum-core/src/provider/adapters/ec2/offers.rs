//! What is sold: what the price table lists and the cloud has.

use std::{collections::BTreeSet, sync::Arc};

use super::{cloud::Cloud, wire::InstanceType};
use crate::{
    model::{Offer, OfferKind, Place, PurchaseOption, RegionId, Resources, ZoneId},
    provider::{Call, OfferFilter, Result},
};

/// All offers that pass.
pub(super) async fn offers(cloud: &Cloud, filter: &OfferFilter) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for region in cloud.regions() {
        if filter.regions.is_empty() || filter.regions.contains(&region) {
            offers.extend(of_region(cloud, &region).await?);
        }
    }
    offers.retain(|offer| filter.admits(offer));
    Ok(offers)
}

async fn of_region(cloud: &Cloud, region: &RegionId) -> Result<Vec<Offer>> {
    let call = Call::Offers;
    let is_sold = |offer: &&Offer| {
        offer.place.region == *region
            && offer.price.purchase_option == PurchaseOption::OnDemand
            && offer.kind == OfferKind::Machine
    };
    let types = cloud.types(region, call).await?;
    let zones: BTreeSet<_> = cloud.zones(region, call).await?.into_iter().collect();
    // One zone is no failure domain of its own.
    let zones: Vec<ZoneId> = match zones.len() {
        0 | 1 => Vec::new(),
        _ => zones.iter().filter_map(|zone| ZoneId::new(zone).ok()).collect(),
    };
    let mut offers = Vec::new();
    for offer in cloud.listed.iter().filter(is_sold) {
        if let Some(kind) = types.get(offer.sku.as_str()) {
            offers.extend(in_zones(&as_the_cloud_has_it(offer, kind), &zones));
        }
    }
    Ok(offers)
}

/// With the sizes that the API tells; the disk is the table's, as it is bought with the machine.
fn as_the_cloud_has_it(offer: &Offer, kind: &InstanceType) -> Offer {
    let capacity = Resources {
        vcpu_milli: kind.vcpus.saturating_mul(1000),
        memory_mib: kind.memory_mib,
        gpu: kind.gpus.unwrap_or(offer.capacity.gpu),
        ..offer.capacity.clone()
    };
    if capacity != offer.capacity {
        tracing::warn!(sku = %offer.sku, place = %offer.place, table = ?offer.capacity, cloud = ?capacity,
            "the cloud has another size than the price table; taking the cloud's");
    }
    Offer { capacity, ..offer.clone() }
}

/// In each zone, or in the region if it has none to choose from.
fn in_zones(offer: &Offer, zones: &[ZoneId]) -> Vec<Offer> {
    match &offer.place.zone {
        // Priced by zone: only if it is there.
        Some(zone) if zones.contains(zone) => vec![offer.clone()],
        Some(_) => Vec::new(),
        None if zones.is_empty() => vec![offer.clone()],
        None => {
            let place =
                |zone: &ZoneId| Arc::new(Place { zone: Some(zone.clone()), ..(*offer.place).clone() });
            zones.iter().map(|zone| Offer { place: place(zone), ..offer.clone() }).collect()
        }
    }
}
