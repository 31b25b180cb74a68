//! What is sold: what the price table lists and the cloud has.

use std::sync::Arc;

use super::{Ec2Config, cloud::Cloud, wire::InstanceType};
use crate::{
    model::{Offer, OfferKind, Place, PurchaseOption, RegionId, Resources, ZoneId},
    provider::{
        Call, OfferFilter, RejectedRow, Result,
        surcharges::{NO_ADDRESS, ipv4_of, with, with_least_disk},
    },
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
    let is_sold = |offer: &&Offer| offer.place.region == *region;
    let types = cloud.types(region, call).await?;
    let zones = cloud.zones(region, call).await?;
    let mut offers = Vec::new();
    for offer in cloud.listed.iter().filter(is_sold) {
        if let Some(kind) = types.get(offer.sku.as_str()) {
            offers.extend(in_zones(&as_the_cloud_has_it(offer, kind), &zones));
        }
    }
    Ok(offers)
}

/// What of a price table is sold here: machines on demand, each with the address and the disk that it is made with as lines.
/// What is left out is named.
pub(super) fn of_table(listed: &[Offer], config: &Ec2Config) -> (Vec<Offer>, Vec<RejectedRow>) {
    let (mut sold, mut rejected) = (Vec::new(), Vec::new());
    for offer in listed {
        if offer.kind != OfferKind::Machine || offer.price.purchase_option != PurchaseOption::OnDemand {
            continue;
        }
        match with_all(listed, offer, config) {
            Ok(offer) => sold.push(offer),
            Err(why) => rejected.push(RejectedRow::new(offer.id(), why)),
        }
    }
    (sold, rejected)
}

fn with_all(listed: &[Offer], offer: &Offer, config: &Ec2Config) -> Result<Offer, &'static str> {
    let mut sold = offer.clone();
    if config.public_ip {
        sold = with(sold, ipv4_of(listed, &offer.place).ok_or(NO_ADDRESS)?);
    }
    if sold.capacity.disk_gib == 0 && sold.elastic_disk.is_none() {
        return Err("it is made with a system disk, and the price table has no block storage in its region");
    }
    let least = config.least_disk_gib.max(1);
    with_least_disk(sold, least, least).ok_or("its least disk cannot be priced")
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
