//! Offers: rows of the price table that the cloud has.

use std::{collections::BTreeSet, sync::Arc};

use super::{Ec2Config, client::Cloud, provision::PRICED_BY_SIZE, wire::InstanceType};
use crate::{
    model::{Offer, OfferKind, Place, PurchaseOption, RegionId, Resources, SkuId, ZoneId},
    provider::{
        Call, OfferFilter, RejectedRow, Result,
        surcharges::{NO_ADDRESS, ipv4_of, with_least_disk, with_row},
    },
};

/// All offers that pass the filter.
pub(super) async fn offers(cloud: &Cloud, filter: &OfferFilter) -> Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for region in cloud.regions() {
        if filter.regions.is_empty() || filter.regions.contains(&region) {
            offers.extend(list_region(cloud, &region).await?);
        }
    }
    offers.retain(|offer| filter.admits(offer));
    Ok(offers)
}

async fn list_region(cloud: &Cloud, region: &RegionId) -> Result<Vec<Offer>> {
    let call = Call::Offers;
    let is_sold = |offer: &&Offer| offer.place.region == *region;
    let types = cloud.types(region, call).await?;
    let zones = cloud.zones(region, call).await?;
    let mut offers = Vec::new();
    for offer in cloud.listed.iter().filter(is_sold) {
        if let Some(kind) = types.get(offer.sku.as_str()) {
            offers.extend(in_zones(&with_cloud_sizes(offer, kind), &zones));
        }
    }
    Ok(offers)
}

/// The machines of a price table that are sold on demand, each with the lines of its address and its disk, and the rows that
/// are left out.
pub(super) fn sold_rows(listed: &[Offer], config: &Ec2Config) -> (Vec<Offer>, Vec<RejectedRow>) {
    let (mut sold, mut rejected) = (Vec::new(), Vec::new());
    for offer in listed {
        if offer.kind != OfferKind::Machine || offer.price.purchase_option != PurchaseOption::OnDemand {
            continue;
        }
        match with_parts(listed, offer, config) {
            Ok(offer) => sold.push(offer),
            Err(why) => rejected.push(RejectedRow::new(offer.id(), why)),
        }
    }
    (sold, rejected)
}

fn with_parts(listed: &[Offer], offer: &Offer, config: &Ec2Config) -> Result<Offer, String> {
    let mut sold = offer.clone();
    check_disk(listed, offer)?;
    if config.public_ip {
        let address = ipv4_of(listed, &offer.place).ok_or_else(|| NO_ADDRESS.to_owned())?;
        sold = with_row(sold, address);
    }
    if sold.capacity.disk_gib == 0 && sold.elastic_disk.is_none() {
        let why = "its system disk has no price: the price table has no block storage in its region";
        return Err(why.to_owned());
    }
    let least = config.least_disk_gib.max(1);
    with_least_disk(sold, least, least).ok_or_else(|| "its least disk cannot be priced".to_owned())
}

/// Checks that the priced disk is the ordered one. A row with the name of a disk type is that type. A row with another name is
/// the configured type, if no other row of the region could be.
fn check_disk(listed: &[Offer], offer: &Offer) -> Result<(), String> {
    let Some(disk) = &offer.elastic_disk else { return Ok(()) };
    if PRICED_BY_SIZE.contains(&disk.sku.as_str()) {
        return Ok(());
    }
    let here = listed
        .iter()
        .filter(|it| it.kind == OfferKind::BlockStorage && it.place.region == offer.place.region)
        .map(|it| &it.sku);
    let others: BTreeSet<_> = here.filter(|sku| **sku != disk.sku).map(SkuId::as_str).collect();
    let types = PRICED_BY_SIZE.join(", ");
    if matches!(disk.sku.as_str(), "io1" | "io2") {
        return Err(format!(
            "a disk of the type {} is not priced by its size alone; price one of {types}",
            disk.sku
        ));
    }
    match others.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "which type its disk {} is cannot be told, as the price table has {} in its region as well; call the row of \
             the disk by its type, one of {types}, or keep that one only",
            disk.sku,
            others.into_iter().collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The offer with the API's sizes. The disk is the table's, as it is bought with the machine.
fn with_cloud_sizes(offer: &Offer, kind: &InstanceType) -> Offer {
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

/// The offer in each zone, or in the region if it has one zone only.
fn in_zones(offer: &Offer, zones: &[ZoneId]) -> Vec<Offer> {
    match &offer.place.zone {
        // A row of one zone is offered if the zone exists.
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
