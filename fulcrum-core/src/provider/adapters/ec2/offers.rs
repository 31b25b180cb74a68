//! Offers: rows of the price table that the cloud has.

use std::{collections::BTreeSet, sync::Arc};

use super::{Ec2Config, client::Cloud, wire::InstanceType};
use crate::{
    model::{Charge, Offer, OfferKind, Place, PurchaseOption, RegionId, Resources, SkuId, ZoneId},
    provider::{
        Call, OfferFilter, RejectedRow, Result,
        portable::{
            is_without_address, machine_type, with_and_without_address, with_media, without_word_of_address,
        },
        surcharges::{NO_ADDRESS, ipv4_of, with_least_disk, with_row},
    },
};

/// Types of disks that are priced by their size alone.
pub(super) const PRICED_BY_SIZE: [&str; 5] = ["standard", "gp2", "gp3", "st1", "sc1"];

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
    if !cloud.speaks_ec2() {
        return Ok(cloud.listed.iter().filter(is_sold).cloned().collect());
    }
    let types = cloud.types(region, call).await?;
    let zones = cloud.zones(region, call).await?;
    let mut offers = Vec::new();
    for offer in cloud.listed.iter().filter(is_sold) {
        match (offer.kind, types.get(machine_type(&offer.sku))) {
            (OfferKind::Machine, Some(kind)) => {
                offers.extend(in_zones(&with_cloud_sizes(offer, kind), &zones))
            }
            (OfferKind::Machine, None) => {}
            (OfferKind::BlockStorage, _) => offers.extend(in_zones(offer, &zones)),
            _ => offers.push(offer.clone()),
        }
    }
    Ok(offers)
}

/// The machines of a price table that are sold on demand, each with the lines of its address and its disk, and the rows that
/// are left out.
pub(super) fn sold_rows(listed: &[Offer], config: &Ec2Config) -> (Vec<Offer>, Vec<RejectedRow>) {
    let (mut sold, mut rejected) = (Vec::new(), Vec::new());
    for offer in listed {
        if !config.kinds.contains(&offer.kind) || offer.price.purchase_option != PurchaseOption::OnDemand {
            continue;
        }
        let rows = match offer.kind {
            OfferKind::Machine => machines(listed, offer, config),
            _ => by_itself(listed, offer, config).map(|offer| vec![offer]),
        };
        match rows {
            Ok(offers) => sold.extend(offers),
            Err(why) => rejected.push(RejectedRow::new(offer.id(), why)),
        }
    }
    (sold, rejected)
}

/// A row of another kind, if it is surely what would be made.
fn by_itself(listed: &[Offer], offer: &Offer, config: &Ec2Config) -> Result<Offer, String> {
    let is_by_size = matches!(offer.price.charge, Charge::PerUnit { .. });
    let product = match offer.kind {
        OfferKind::BlockStorage if PRICED_BY_SIZE.contains(&offer.sku.as_str()) && is_by_size => {
            return Ok(with_media(offer.clone(), media_of(offer.sku.as_str())));
        }
        OfferKind::BlockStorage => {
            return Err(format!(
                "a volume is bought by the name of its type; call the row one of {}",
                PRICED_BY_SIZE.join(", ")
            ));
        }
        OfferKind::PublicIp => match ipv4_of(listed, &offer.place) {
            Some(address) if address.sku == offer.sku => return Ok(offer.clone()),
            _ => return Err("it is not the IPv4 address of its region".to_owned()),
        },
        OfferKind::Database => return database(offer),
        OfferKind::LoadBalancer => NETWORK_LOAD_BALANCER,
        OfferKind::ObjectStorage => STANDARD_STORAGE,
        OfferKind::Network => PRIVATE_NETWORK,
        kind => return Err(format!("this adapter does not sell {kind}")),
    };
    let of_kind = listed.iter().filter(|it| it.kind == offer.kind && it.place.region == offer.place.region);
    let others = of_kind.filter(|it| it.sku != offer.sku).count();
    // A single row needs no name.
    if others > 0 && offer.sku.as_str() != product {
        return Err(format!(
            "the region has several rows of {}; the one that is bought is called {product}",
            offer.kind
        ));
    }
    if offer.kind == OfferKind::LoadBalancer && config.public_ip {
        let address =
            ipv4_of(listed, &offer.place).ok_or_else(|| NO_ADDRESS.replace("machines", "load balancers"))?;
        return Ok((0..MAX_PUBLIC_SUBNETS).fold(offer.clone(), |offer, _| with_row(offer, address)));
    }
    Ok(offer.clone())
}

/// GiB of the least storage of a database.
const MIN_DATABASE_GIB: u64 = 20;
/// Ends the names of rows of databases with a standby in another zone.
const MULTI_AZ: &str = "-multi-az";

/// A database, if it is surely what would be made.
fn database(offer: &Offer) -> Result<Offer, String> {
    let has_engine =
        offer.attributes.get("engine").is_some_and(|all| all.split('+').any(|it| it == "postgresql"));
    if !has_engine || !offer.sku.as_str().starts_with("db.") {
        return Err(
            "a database is bought as a class of PostgreSQL; call the row db.…, with engine=postgresql"
                .to_owned(),
        );
    }
    if is_highly_available(offer) != offer.sku.as_str().ends_with(MULTI_AZ) {
        return Err(format!("a database with ha=yes is called …{MULTI_AZ}, and no other one"));
    }
    if offer.capacity.disk_gib == 0 && offer.elastic_disk.is_none() {
        return Err("its storage has no price: the table has no row with=database of its region".to_owned());
    }
    // A standby has storage of its own, which costs as much again.
    let disk_is_doubled = offer.elastic_disk.as_ref().map(|disk| disk.sku.as_str().ends_with(MULTI_AZ));
    if disk_is_doubled.is_some_and(|is_doubled| is_doubled != is_highly_available(offer)) {
        return Err(format!(
            "the storage of a database with ha=yes is a row called …{MULTI_AZ}, with=database ha=yes, and of no other one"
        ));
    }
    with_least_disk(offer.clone(), MIN_DATABASE_GIB, MIN_DATABASE_GIB)
        .ok_or_else(|| "its least storage cannot be priced".to_owned())
}

/// Whether a database has a standby in another zone.
pub(super) fn is_highly_available(offer: &Offer) -> bool {
    offer.attributes.get("ha").is_some_and(|ha| ha == "yes")
}

/// The class of a database's row.
pub(super) fn database_class(sku: &str) -> &str {
    sku.strip_suffix(MULTI_AZ).unwrap_or(sku)
}

/// Subnets of a load balancer with public addresses, at most: each has an address, which is a line of the offer.
pub(super) const MAX_PUBLIC_SUBNETS: usize = 3;

/// The products that are made, where a table has several of their kind: AWS's names of its types.
const NETWORK_LOAD_BALANCER: &str = "network";
const STANDARD_STORAGE: &str = "standard";
const PRIVATE_NETWORK: &str = "vpc";

/// A machine with its system disk, and with its address if machines get one; then also without.
fn machines(listed: &[Offer], offer: &Offer, config: &Ec2Config) -> Result<Vec<Offer>, String> {
    check_disk(listed, offer)?;
    if is_without_address(&offer.sku) {
        return Err(
            "its name ends as those that this adapter gives to machines without an address".to_owned()
        );
    }
    if offer.capacity.disk_gib == 0 && offer.elastic_disk.is_none() {
        let why = "its system disk has no price: the price table has no block storage in its region";
        return Err(why.to_owned());
    }
    let complete = |offer: Offer| {
        let least = config.least_disk_gib.max(1);
        let media = media_of(system_disk_type(&offer, config));
        with_least_disk(with_media(offer, media), least, least)
            .ok_or_else(|| "its least disk cannot be priced".to_owned())
    };
    if !config.public_ip {
        return complete(without_word_of_address(offer.clone())).map(|offer| vec![offer]);
    }
    let address = ipv4_of(listed, &offer.place).ok_or_else(|| NO_ADDRESS.to_owned())?;
    with_and_without_address(offer, |it| with_row(it, address)).map(complete).collect()
}

/// The cloud's name of the type of a machine's system disk.
pub(super) fn system_disk_type<'a>(offer: &'a Offer, config: &'a Ec2Config) -> &'a str {
    let sku = offer.elastic_disk.as_ref().map(|disk| disk.sku.as_str());
    sku.filter(|sku| PRICED_BY_SIZE.contains(sku)).unwrap_or(&config.volume_type)
}

/// What disks of a type are made of.
fn media_of(volume_type: &str) -> &'static str {
    match volume_type {
        "standard" | "st1" | "sc1" => "hdd",
        _ => "ssd",
    }
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
