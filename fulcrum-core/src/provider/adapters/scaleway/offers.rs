//! Offers by zone, with prices from the API.

use std::{collections::BTreeMap, sync::PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    Scaleway,
    wire::{Product, Products, Stock, Stocks},
};
use crate::{
    model::{Offer, OfferKind, Place, SkuId, ZoneId},
    provider::{
        Call, OfferFilter, OfferStream, RejectedRow, Result,
        adapters::common::CallErrors,
        http::{Page, Request, Response, bounded, paginate},
        portable::with_media,
        surcharges::{ipv4_of, with_least_disk, with_row},
        table::{Row, Table},
    },
};

/// Zones that are read in parallel.
const CONCURRENT_ZONES: usize = 8;
/// The least disk of each machine, in GiB.
pub(super) const MIN_DISK_GIB: u64 = 10;
/// The billed part of the least disk: disks are made in whole 10⁹ bytes, up to 10⁹ bytes more than requested.
const BILLED_DISK_GIB: u64 = MIN_DISK_GIB + 1;
/// The SKU of the block storage that is made with a machine.
const BLOCK_STORAGE_SKU: &str = "sbs_5k";

pub(super) fn offers(scaleway: &Scaleway, filter: &OfferFilter) -> OfferStream {
    let zones: Vec<_> = scaleway
        .zones
        .iter()
        .filter(|zone| {
            filter.regions.is_empty() || filter.regions.iter().any(|it| it.as_str() == region_of(zone))
        })
        .cloned()
        .collect();
    let (id, scaleway, filter) = (scaleway.id.clone(), scaleway.clone(), filter.clone());
    let lists = zones.into_iter().map(move |zone| {
        let (scaleway, filter) = (scaleway.clone(), filter.clone());
        async move { of_zone(&scaleway, &zone, &filter).await }
    });
    let all = stream::iter(lists)
        .buffered(CONCURRENT_ZONES)
        .map_ok(|offers| stream::iter(offers.into_iter().map(Ok)))
        .try_flatten();
    bounded(&id, Call::Offers, all)
}

/// `fr-par` of `fr-par-1`.
fn region_of(zone: &ZoneId) -> &str {
    zone.as_str().rsplit_once('-').map_or(zone.as_str(), |(region, _)| region)
}

async fn of_zone(scaleway: &Scaleway, zone: &ZoneId, filter: &OfferFilter) -> Result<Vec<Offer>> {
    let list = |what: &[&'static str]| {
        let path = ["instance", "v1", "zones", zone.as_str(), "products", "servers"];
        Request::get(Call::Offers, path.into_iter().chain(what.iter().copied())).query("page", 1)
    };
    let client = &scaleway.client;
    let products = paginate(client.clone(), list(&[]), |request, response| {
        let page: Products = response.json()?;
        Ok(Page { items: page.servers.into_iter().collect(), next: next_page(request, response) })
    });
    let stocks = paginate(client.clone(), list(&["availability"]), |request, response| {
        let page: Stocks = response.json()?;
        Ok(Page { items: page.servers.into_iter().collect(), next: next_page(request, response) })
    });
    let (products, stocks): (Vec<(String, Product)>, BTreeMap<String, Stock>) =
        futures::try_join!(products.try_collect(), stocks.try_collect())?;
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let mut rows = Vec::new();
    for (sku, product) in &products {
        let Ok(id) = SkuId::new(sku) else { continue };
        let is_out =
            product.end_of_service || stocks.get(sku).is_some_and(|stock| stock.availability == "shortage");
        rows.push(Row {
            kind: "machine".to_owned(),
            sku: Some(id),
            region: region_of(zone).to_owned(),
            zone: zone.to_string(),
            vcpu: Some(product.ncpus.into()),
            memory_mib: Some((product.ram >> 20).into()),
            gpu: product.gpu.filter(|count| *count > 0).map(Decimal::from),
            architecture: product.arch.clone(),
            // The price has few digits, so the shortest text of the float is the exact price.
            hourly: Decimal::from_str_exact(&product.hourly_price.to_string()).ok(),
            currency: "EUR".to_owned(),
            tax: "net".to_owned(),
            stock: is_out.then_some(Decimal::ZERO),
            observed: Some(today),
            source: format!("GET /instance/v1/zones/{zone}/products/servers"),
            ..Row::default()
        });
    }
    let table = Table::from_dated_and(&scaleway.facts, (*scaleway.rows).clone(), rows)
        .map_err(|error| scaleway.protocol_error(Call::Offers, &error))?;
    let (mut offers, mut rejected) = (Vec::new(), table.rejected.clone());
    // Storage is sold with the machines of each zone, and not by itself.
    for offer in table.into_listed().into_iter().filter(|offer| offer.place.zone.as_ref() == Some(zone)) {
        let id = offer.id();
        match with_parts(scaleway, offer) {
            Ok(offer) => offers.push(offer),
            Err(why) => rejected.push(RejectedRow::new(id, why)),
        }
    }
    scaleway.rejected.lock().unwrap_or_else(PoisonError::into_inner).insert(zone.clone(), rejected);
    offers.retain(|offer| filter.admits(offer));
    Ok(offers)
}

/// Whether a row prices a part that is ordered with a machine.
pub(super) fn is_ordered(row: &Row) -> bool {
    row.kind != OfferKind::BlockStorage.to_string()
        || row.sku.as_ref().is_some_and(|sku| sku.as_str() == BLOCK_STORAGE_SKU)
}

/// The block storage of a place.
pub(super) fn disk_of<'a>(storage: &'a [Offer], place: &Place) -> Option<&'a Offer> {
    storage.iter().find(|offer| offer.kind == OfferKind::BlockStorage && offer.place.region == place.region)
}

fn with_parts(scaleway: &Scaleway, offer: Offer) -> Result<Offer, &'static str> {
    if offer.elastic_disk.is_none() {
        return Err("its disk has no price: no row prices block storage in its region; add one by `storage`");
    }
    let offer = match (scaleway.settings.public_ip, ipv4_of(&scaleway.storage, &offer.place)) {
        (false, _) => offer,
        (true, Some(address)) => with_row(offer, address),
        (true, None) => {
            return Err(
                "its IPv4 address has no price: no row prices one in its region; add one by `storage`",
            );
        }
    };
    // Block storage is on SSDs.
    with_least_disk(with_media(offer, "ssd"), MIN_DISK_GIB, BILLED_DISK_GIB)
        .ok_or("its disk cannot be priced")
}

/// The next page, if this one names one.
pub(super) fn next_page(request: &Request, response: &Response) -> Option<Request> {
    let has_next = response.header("link").is_some_and(|link| link.contains("rel=\"next\""));
    has_next.then(|| request.clone().next_page("page"))
}
