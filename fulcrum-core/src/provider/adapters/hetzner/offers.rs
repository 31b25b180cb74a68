//! Machines with their prices, location by location.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    Hetzner,
    services::next_page,
    wire::{LocationPrice, LocationStock, Pricing, PricingReply, ServerType, ServerTypes},
};
use crate::{
    model::{Charge, Offer, OfferKind, Price, PurchaseOption, Resources, SkuId, Surcharge, Tax},
    provider::{
        Call, OfferFilter, OfferStream, RejectedRow, Result,
        adapters::common::CallErrors,
        http::{Page, Request, bounded, paginate},
        portable::{with_and_without_address, with_media, without_word_of_address},
        surcharges::{NO_ADDRESS, ipv4_of, with, with_row},
        table::{Row, Table},
    },
};

/// All servers have SSDs.
const DISKS: &str = "media=ssd";

pub(super) fn offers(hetzner: &Hetzner, filter: &OfferFilter) -> OfferStream {
    let (id, hetzner, filter) = (hetzner.id.clone(), hetzner.clone(), filter.clone());
    let list = async move {
        let types = types(&hetzner).await?;
        let all = if !hetzner.is_table {
            let request = Request::get(Call::Offers, ["pricing"]);
            let PricingReply { pricing } = hetzner.client.json(&request).await?;
            from_api(&hetzner, &types, &pricing)?
        } else {
            from_table(&hetzner, &types)
        };
        Ok(all.into_iter().filter(move |offer| filter.admits(offer)).map(Ok))
    };
    bounded(&id, Call::Offers, stream::once(list).map_ok(stream::iter).try_flatten())
}

async fn types(hetzner: &Hetzner) -> Result<Vec<ServerType>> {
    let first =
        Request::get(Call::Offers, ["server_types"]).query("per_page", super::PAGE_SIZE).query("page", 1);
    paginate(hetzner.client.clone(), first, |request, response| {
        let page: ServerTypes = response.json()?;
        Ok(Page { items: page.server_types.into_iter().collect(), next: next_page(request, &page.meta) })
    })
    .try_collect()
    .await
}

/// Whether the cloud does not tell locations. An unreadable location is told, and left out.
fn hides_locations(kind: &ServerType) -> bool {
    kind.locations.is_empty() && kind.locations.unreadable().is_empty()
}

/// The stock of a type in a location: 0 if it is sold out; the outer none if it is discontinued there.
fn stock(place: &LocationStock, now: Timestamp) -> Option<Option<Decimal>> {
    let is_over = place.deprecation.as_ref().is_some_and(|it| it.unavailable_after <= now);
    (!is_over).then(|| (place.available == Some(false)).then_some(Decimal::ZERO))
}

fn from_api(hetzner: &Hetzner, types: &[ServerType], pricing: &Pricing) -> Result<Vec<Offer>> {
    let now = Timestamp::now();
    let protocol_error = |error: &dyn std::fmt::Display| hetzner.protocol_error(Call::Offers, error);
    let money = |price: &LocationPrice| -> Result<(Decimal, Decimal), String> {
        let read = |text: &str| {
            Decimal::from_str_exact(text).map_err(|error| format!("{text:?} is not a valid price: {error}"))
        };
        // Prices have more digits than are billed.
        Ok((read(&price.price_hourly.net)?.round_dp(8), read(&price.price_monthly.net)?.round_dp(8)))
    };
    let addresses = pricing.primary_ips.iter().filter(|it| it.kind == "ipv4").flat_map(|it| &it.prices);
    // An address whose price cannot be read counts as missing: no machine is offered without its address's line.
    let addresses: BTreeMap<&str, (Decimal, Decimal)> =
        addresses.filter_map(|it| Some((it.location.as_str(), money(it).ok()?))).collect();
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    for kind in types {
        for price in &kind.prices {
            let stock = match kind.locations.iter().find(|place| place.name == price.location) {
                Some(place) => stock(place, now),
                // The cloud tells all locations, or none.
                None => hides_locations(kind).then_some(None),
            };
            let is_known = hetzner.facts.regions.iter().any(|region| region.id.as_str() == price.location);
            let row = format!("{}/{}", price.location, kind.name);
            if !is_known {
                rejected
                    .push(RejectedRow::new(row, "the country of this location is not known to this version"));
                continue;
            }
            let (Some(stock), Ok(sku)) = (stock, SkuId::new(&kind.name)) else { continue };
            let (hourly, monthly) = match money(price) {
                Ok(price) => price,
                Err(error) => {
                    rejected.push(RejectedRow::new(row, error));
                    continue;
                }
            };
            if hetzner.settings.public_ipv4 && !addresses.contains_key(price.location.as_str()) {
                rejected.push(RejectedRow::new(row, "its IPv4 address has no price in this location"));
                continue;
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
                attributes: match kind.cpu_type.as_str() {
                    "" => DISKS.to_owned(),
                    cpu => format!("cpu={cpu};{DISKS}"),
                },
                observed: Some(jiff::tz::Offset::UTC.to_datetime(now).date()),
                source: "GET /v1/server_types".to_owned(),
                ..Row::default()
            });
        }
    }
    let table = Table::from_rows(&hetzner.facts, rows).map_err(|error| protocol_error(&error))?;
    rejected.extend(table.rejected.iter().cloned());
    hetzner.rejected.set(rejected);
    let mut surcharges = BTreeMap::new();
    for (location, (hourly, monthly)) in addresses.into_iter().filter(|_| hetzner.settings.public_ipv4) {
        let currency = Currency::from_code(&pricing.currency);
        let currency =
            currency.ok_or_else(|| protocol_error(&format!("{:?} is not a currency", pricing.currency)))?;
        let price = Price {
            charge: Charge::HourlyCapped { hourly, monthly },
            once: Decimal::ZERO,
            currency,
            tax: Tax::Net,
            purchase_option: PurchaseOption::OnDemand,
            term_months: 0,
        };
        surcharges.insert(location, Surcharge { sku: ipv4(), price });
    }
    let each = |offer: Offer| match surcharges.get(offer.place.region.as_str()) {
        // The label that tells such a server is the API's own: clouds with tables may keep no labels.
        Some(address) => with_and_without_address(&offer, |it| with(it, address.clone())).collect(),
        None => vec![offer],
    };
    Ok(table.into_listed().into_iter().flat_map(each).collect())
}

/// The SKU of an IPv4 address in the provider's price list.
pub(super) fn ipv4() -> SkuId {
    SkuId::new("primary-ipv4").expect("a plain word is a product code")
}

/// The machines of a price table, each with its address if machines get one, and the rows that are left out.
pub(super) fn sold_rows(listed: Vec<Offer>, public_ipv4: bool) -> (Vec<Offer>, Vec<RejectedRow>) {
    let (mut sold, mut rejected) = (Vec::new(), Vec::new());
    for offer in &listed {
        let is_sold = offer.kind == OfferKind::Machine
            && offer.price.purchase_option == PurchaseOption::OnDemand
            && offer.place.zone.is_none();
        if !is_sold {
            continue;
        }
        let offer = with_media(Offer { elastic_disk: None, ..offer.clone() }, "ssd");
        let offer = without_word_of_address(offer);
        if !public_ipv4 {
            sold.push(offer);
            continue;
        }
        match ipv4_of(&listed, &offer.place) {
            Some(address) => sold.push(with_row(offer, address)),
            None => rejected.push(RejectedRow::new(offer.id(), NO_ADDRESS)),
        }
    }
    (sold, rejected)
}

/// Rows of the table that the cloud has, in the cloud's sizes.
fn from_table(hetzner: &Hetzner, types: &[ServerType]) -> Vec<Offer> {
    let now = Timestamp::now();
    let there = hetzner.listed.iter().filter_map(|offer| {
        let kind = types.iter().find(|kind| kind.name == offer.sku.as_str())?;
        let place = kind.locations.iter().find(|place| place.name == offer.place.region.as_str());
        let is_sold = match place {
            Some(place) => stock(place, now)?.is_none(),
            None => hides_locations(kind),
        };
        let capacity = Resources {
            vcpu_milli: kind.cores.saturating_mul(1000),
            memory_mib: memory_mib(kind),
            disk_gib: kind.disk,
            ..offer.capacity.clone()
        };
        is_sold.then(|| Offer { capacity, ..offer.clone() })
    });
    there.collect()
}

/// Memory is a number of GiB, maybe a fraction.
fn memory_mib(kind: &ServerType) -> u64 {
    let gib = Decimal::from_str_exact(&kind.memory.to_string()).unwrap_or_default();
    gib.saturating_mul(Decimal::from(1024)).trunc().try_into().unwrap_or(0)
}
