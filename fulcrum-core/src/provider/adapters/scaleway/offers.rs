//! Machines with their prices, zone by zone, from the API.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    Scaleway,
    wire::{Product, Products, Stock, Stocks},
};
use crate::{
    model::{Offer, SkuId, ZoneId},
    provider::{
        Call, OfferFilter, OfferStream, Result,
        http::{Answer, Page, Request, bounded, pages},
        table::{Row, Table},
    },
};

/// Zones that are asked at once.
const AT_ONCE: usize = 8;

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
        .buffered(AT_ONCE)
        .map_ok(|offers| stream::iter(offers.into_iter().map(Ok)))
        .try_flatten();
    bounded(&id, Call::Offers, all)
}

/// `fr-par` of `fr-par-1`.
pub(super) fn region_of(zone: &ZoneId) -> &str {
    zone.as_str().rsplit_once('-').map_or(zone.as_str(), |(region, _)| region)
}

async fn of_zone(scaleway: &Scaleway, zone: &ZoneId, filter: &OfferFilter) -> Result<Vec<Offer>> {
    let list = |what: &[&'static str]| {
        let path = ["instance", "v1", "zones", zone.as_str(), "products", "servers"];
        Request::get(Call::Offers, path.into_iter().chain(what.iter().copied())).query("page", 1)
    };
    let client = &scaleway.client;
    let products = pages(client.clone(), list(&[]), |request, answer| {
        let page: Products = answer.json()?;
        Ok(Page { items: page.servers.into_iter().collect(), next: next_page(request, answer) })
    });
    let stocks = pages(client.clone(), list(&["availability"]), |request, answer| {
        let page: Stocks = answer.json()?;
        Ok(Page { items: page.servers.into_iter().collect(), next: next_page(request, answer) })
    });
    let (products, stocks): (Vec<(String, Product)>, BTreeMap<String, Stock>) =
        futures::try_join!(products.try_collect(), stocks.try_collect())?;
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let mut rows = (*scaleway.storage).clone();
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
            // Written with few digits: what a float prints is what was meant.
            hourly: Decimal::from_str_exact(&product.hourly_price.to_string()).ok(),
            currency: "EUR".to_owned(),
            tax: "net".to_owned(),
            stock: is_out.then_some(Decimal::ZERO),
            observed: Some(today),
            source: format!("GET /instance/v1/zones/{zone}/products/servers"),
            ..Row::default()
        });
    }
    let table =
        Table::from_rows(&scaleway.facts, rows).map_err(|error| scaleway.nonsense(Call::Offers, &error))?;
    // Storage is sold with the machines of each zone; on its own it stands in the price table only.
    let is_here = |offer: &Offer| offer.place.zone.as_ref() == Some(zone) && filter.admits(offer);
    Ok(table.into_listed().into_iter().filter(is_here).collect())
}

/// The next page, if this one says that there is one.
pub(super) fn next_page(request: &Request, answer: &Answer) -> Option<Request> {
    let has_next = answer.header("link").is_some_and(|link| link.contains("rel=\"next\""));
    has_next.then(|| request.clone().next_page("page"))
}
