//! Machines with their prices, location by location.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    Hetzner,
    wire::{OnePricing, PriceAt, Pricing, ServerType, ServerTypes, TypeAt},
};
use crate::{
    model::{Offer, OfferKind, PurchaseOption, Resources, SkuId},
    provider::{
        Call, OfferFilter, OfferStream, Result,
        http::{Page, Request, bounded, pages},
        table::{Row, Table},
    },
};

pub(super) fn offers(hetzner: &Hetzner, filter: &OfferFilter) -> OfferStream {
    let (id, hetzner, filter) = (hetzner.id.clone(), hetzner.clone(), filter.clone());
    let list = async move {
        let types = types(&hetzner).await?;
        let all = if hetzner.listed.is_empty() {
            let request = Request::get(Call::Offers, ["pricing"]);
            let OnePricing { pricing } = hetzner.client.json(&request).await?;
            by_api(&hetzner, &types, &pricing)?
        } else {
            by_table(&hetzner, &types)
        };
        Ok(all.into_iter().filter(move |offer| filter.admits(offer)).map(Ok))
    };
    bounded(&id, Call::Offers, stream::once(list).map_ok(stream::iter).try_flatten())
}

async fn types(hetzner: &Hetzner) -> Result<Vec<ServerType>> {
    let first = Request::get(Call::Offers, ["server_types"]).query("per_page", super::PAGE).query("page", 1);
    pages(hetzner.client.clone(), first, |request, answer| {
        let page: ServerTypes = answer.json()?;
        Ok(Page { items: page.server_types, next: super::next_page(request, &page.meta) })
    })
    .try_collect()
    .await
}

/// Whether it is sold in a location at all, and how many are left if that is none.
fn stock(place: &TypeAt, now: Timestamp) -> Option<Option<Decimal>> {
    let is_over = place.deprecation.as_ref().is_some_and(|it| it.unavailable_after <= now);
    (!is_over).then(|| (place.available == Some(false)).then_some(Decimal::ZERO))
}

fn by_api(hetzner: &Hetzner, types: &[ServerType], pricing: &Pricing) -> Result<Vec<Offer>> {
    let now = Timestamp::now();
    let nonsense = |error: &dyn std::fmt::Display| hetzner.nonsense(Call::Offers, error);
    let money = |price: &PriceAt| -> Result<(Decimal, Decimal)> {
        let read = |text: &str| Decimal::from_str_exact(text).map_err(|error| nonsense(&error));
        // They have more digits than anybody pays.
        Ok((read(&price.price_hourly.net)?.round_dp(8), read(&price.price_monthly.net)?.round_dp(8)))
    };
    let addresses = pricing.primary_ips.iter().filter(|it| it.kind == "ipv4").flat_map(|it| &it.prices);
    let addresses: BTreeMap<&str, &PriceAt> = addresses.map(|it| (it.location.as_str(), it)).collect();
    let mut rows = Vec::new();
    for kind in types {
        for price in &kind.prices {
            let stock = match kind.locations.iter().find(|place| place.name == price.location) {
                Some(place) => stock(place, now),
                // It tells of each location, or of none.
                None => kind.locations.is_empty().then_some(None),
            };
            let is_known = hetzner.facts.regions.iter().any(|region| region.id.as_str() == price.location);
            let (Some(stock), Ok(sku), true) = (stock, SkuId::new(&kind.name), is_known) else { continue };
            let (mut hourly, mut monthly) = money(price)?;
            let mut source = "GET /v1/server_types".to_owned();
            if hetzner.settings.public_ipv4 {
                let Some(address) = addresses.get(price.location.as_str()) else {
                    tracing::debug!(%sku, location = price.location, "no price of an IPv4 address; not offered");
                    continue;
                };
                let (an_hour, a_month) = money(address)?;
                let sum = |one: Decimal, other| {
                    one.checked_add(other)
                        .ok_or_else(|| nonsense(&format!("{one} and {other} are no prices")))
                };
                (hourly, monthly) = (sum(hourly, an_hour)?, sum(monthly, a_month)?);
                source.push_str(", with an IPv4 address of GET /v1/pricing");
            }
            rows.push(Row {
                kind: OfferKind::Machine.to_string(),
                sku: Some(sku),
                region: price.location.clone(),
                vcpu: Some(kind.cores.into()),
                memory_mib: Some(memory_mib(kind).into()),
                disk_gib: Some(kind.disk.into()),
                architecture: match kind.architecture.as_str() {
                    "arm" => "arm64".to_owned(),
                    _ => "x86_64".to_owned(),
                },
                hourly: Some(hourly),
                monthly: Some(monthly),
                currency: pricing.currency.clone(),
                tax: "net".to_owned(),
                stock,
                attributes: if kind.cpu_type.is_empty() {
                    String::new()
                } else {
                    format!("cpu={}", kind.cpu_type)
                },
                observed: Some(jiff::tz::Offset::UTC.to_datetime(now).date()),
                source,
                ..Row::default()
            });
        }
    }
    let table = Table::from_rows(&hetzner.facts, rows).map_err(|error| nonsense(&error))?;
    Ok(table.into_listed())
}

/// What the table lists and the cloud has, with the cloud's sizes.
fn by_table(hetzner: &Hetzner, types: &[ServerType]) -> Vec<Offer> {
    let now = Timestamp::now();
    let listed = hetzner.listed.iter().filter(|offer| {
        offer.kind == OfferKind::Machine
            && offer.price.purchase_option == PurchaseOption::OnDemand
            && offer.place.zone.is_none()
    });
    let there = listed.filter_map(|offer| {
        let kind = types.iter().find(|kind| kind.name == offer.sku.as_str())?;
        let place = kind.locations.iter().find(|place| place.name == offer.place.region.as_str());
        let is_sold = match place {
            Some(place) => stock(place, now)?.is_none(),
            None => kind.locations.is_empty(),
        };
        let capacity = Resources {
            vcpu_milli: kind.cores.saturating_mul(1000),
            memory_mib: memory_mib(kind),
            disk_gib: kind.disk,
            ..offer.capacity.clone()
        };
        is_sold.then(|| Offer { capacity, elastic_disk: None, ..offer.clone() })
    });
    there.collect()
}

/// Memory is told in GiB, which may be a fraction.
fn memory_mib(kind: &ServerType) -> u64 {
    let gib = Decimal::from_str_exact(&kind.memory.to_string()).unwrap_or_default();
    gib.saturating_mul(Decimal::from(1024)).trunc().try_into().unwrap_or(0)
}
