//! Offers: rows of the price table that the cloud has.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{client::Cloud, wire};
use crate::{
    model::{Charge, Offer, OfferKind, Place, PurchaseOption, RegionId, Resources, ZoneId},
    provider::{Call, OfferFilter, RejectedRow, Result},
};

/// The age at which sizes are read again; prices are the table's.
const LISTS_FRESH_FOR: Duration = Duration::from_secs(60);

/// All offers that pass the filter.
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
    let here = |offer: &&Offer| offer.place.region == *region;
    let listed: Vec<_> = cloud.sold.iter().filter(here).collect();
    let mut offers = Vec::new();
    if listed.iter().any(|offer| offer.kind == OfferKind::Machine) {
        let flavors = cloud.flavors(region, call, LISTS_FRESH_FOR).await?;
        let zones = cloud.zones(region, call).await?;
        for offer in listed.iter().filter(|offer| offer.kind == OfferKind::Machine) {
            let is_it = |flavor: &&wire::Flavor| flavor.name == offer.sku.as_str() && !flavor.is_disabled;
            if let Some(flavor) = flavors.iter().find(is_it) {
                offers.extend(in_zones(&with_cloud_sizes(offer, flavor), &zones));
            }
        }
    }
    let others = listed.iter().filter(|offer| offer.kind != OfferKind::Machine);
    let is_sold =
        |offer: &&&Offer| offer.kind != OfferKind::PublicIp || cloud.config.floating_network.is_some();
    offers.extend(others.filter(is_sold).map(|offer| (*offer).clone()));
    Ok(offers)
}

/// The rows of a price table that are sold on demand, and those that are left out. No volume is made with a machine. Others than
/// machines are sold by region. A volume's type is the name of its row; of each other kind one product is made, so that a region has
/// one row of it.
pub(super) fn sold_rows(listed: &[Offer], kinds: &BTreeSet<OfferKind>) -> (Vec<Offer>, Vec<RejectedRow>) {
    let (mut sold, mut rejected) = (Vec::new(), Vec::new());
    let is_wanted = |offer: &&Offer| {
        offer.price.purchase_option == PurchaseOption::OnDemand
            && kinds.contains(&offer.kind)
            && (offer.kind == OfferKind::Machine || offer.place.zone.is_none())
    };
    for offer in listed.iter().filter(is_wanted) {
        let of_kind =
            listed.iter().filter(|it| it.kind == offer.kind && it.place.region == offer.place.region);
        let others = of_kind.filter(|it| it.sku != offer.sku).count();
        let why = match offer.kind {
            OfferKind::Machine => None,
            OfferKind::BlockStorage if matches!(offer.price.charge, Charge::PerUnit { .. }) => None,
            OfferKind::BlockStorage => Some("a volume is sold by size; give it a price per GiB".to_owned()),
            kind if others > 0 => {
                Some(format!("which {kind} is made cannot be told, as its region has several; keep one row"))
            }
            _ => None,
        };
        match why {
            None => sold.push(Offer { elastic_disk: None, ..offer.clone() }),
            Some(why) => rejected.push(RejectedRow::new(offer.id(), why)),
        }
    }
    (sold, rejected)
}

/// The offer with the flavor's sizes.
fn with_cloud_sizes(offer: &Offer, flavor: &wire::Flavor) -> Offer {
    let capacity = Resources {
        vcpu_milli: flavor.vcpus.saturating_mul(1000),
        memory_mib: flavor.ram,
        disk_gib: flavor.disk,
        gpu: gpus(flavor).unwrap_or(offer.capacity.gpu),
        named: offer.capacity.named.clone(),
    };
    if capacity != offer.capacity {
        tracing::warn!(sku = %offer.sku, place = %offer.place, table = ?offer.capacity, cloud = ?capacity,
            "the cloud has another size than the price table; taking the cloud's");
    }
    Offer { capacity, ..offer.clone() }
}

/// Graphics processors by the extra specs: `pci_passthrough:alias = "a100:2,nic:1"`, `resources:VGPU = 1`. None if there are
/// none: the price table may know better.
fn gpus(flavor: &wire::Flavor) -> Option<u32> {
    let is_nic = |name: &str| name.contains("nic") || name.contains("sriov");
    let alias = flavor.extra_specs.get("pci_passthrough:alias").map(|alias| {
        let devices = alias.split(',').filter_map(|device| device.trim().rsplit_once(':'));
        devices.filter(|(name, _)| !is_nic(name)).filter_map(|(_, count)| count.parse::<u32>().ok()).sum()
    });
    let resources = flavor.extra_specs.iter().filter(|(name, _)| {
        name.starts_with("resources") && (name.ends_with(":VGPU") || name.ends_with(":PGPU"))
    });
    let virtual_ones: u32 = resources.filter_map(|(_, count)| count.parse::<u32>().ok()).sum();
    Some(alias.unwrap_or(0) + virtual_ones).filter(|count| *count > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_specs_tell_of_graphics_processors() {
        let flavor = |name: &str, value: &str| wire::Flavor {
            id: "1".to_owned(),
            name: "g".to_owned(),
            vcpus: 1,
            ram: 1,
            disk: 1,
            is_disabled: false,
            extra_specs: [(name.to_owned(), value.to_owned())].into(),
        };
        assert_eq!(gpus(&flavor("pci_passthrough:alias", "a100:2, nic-mlx5:1")), Some(2));
        assert_eq!(gpus(&flavor("resources:VGPU", "1")), Some(1));
        assert_eq!(gpus(&flavor("hw:cpu_policy", "dedicated")), None);
    }
}
