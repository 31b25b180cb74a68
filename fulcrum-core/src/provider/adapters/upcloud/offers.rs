//! Offers by zone: sizes from the plans, prices from the price list.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::{
    UpCloud,
    wire::{Item, Plan, Plans, Prices},
};
use crate::{
    model::{Offer, OfferKind, SkuId},
    provider::{
        Call, OfferFilter, OfferStream, RejectedRow, Result,
        adapters::common::CallErrors,
        http::{Request, bounded},
        table::{Row, Table},
    },
};

/// Stands before a plan's name in the price list.
const PLAN_PREFIX: &str = "server_plan_";
/// A month is billed as 28 days at most.
const BILLED_HOURS_PER_MONTH: u32 = 672;

impl UpCloud {
    pub(super) async fn plans(&self, call: Call) -> Result<BTreeMap<String, Plan>> {
        let plans: Plans = self.client.json(&Request::get(call, ["plan"])).await?;
        Ok(plans.plans.plan.into_iter().map(|plan| (plan.name.clone(), plan)).collect())
    }
}

pub(super) fn offers(upcloud: &UpCloud, filter: &OfferFilter) -> OfferStream {
    let (id, upcloud, filter) = (upcloud.id.clone(), upcloud.clone(), filter.clone());
    let list = async move {
        let plans = upcloud.plans(Call::Offers);
        let request = Request::get(Call::Offers, ["price"]);
        let prices = upcloud.client.json::<Prices>(&request);
        let (plans, prices) = futures::try_join!(plans, prices)?;
        let offers = priced(&upcloud, &plans, &prices)?;
        Ok(stream::iter(offers.into_iter().filter(move |offer| filter.admits(offer)).map(Ok)))
    };
    bounded(&id, Call::Offers, stream::once(list).try_flatten())
}

fn priced(upcloud: &UpCloud, plans: &BTreeMap<String, Plan>, prices: &Prices) -> Result<Vec<Offer>> {
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let protocol_error = |error: &dyn std::fmt::Display| upcloud.protocol_error(Call::Offers, error);
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    for zone in &prices.prices.zone {
        if !upcloud.facts.regions.iter().any(|region| region.id.as_str() == zone.name) {
            tracing::debug!(zone = zone.name, "this zone is not known; not offered");
            rejected
                .push(RejectedRow::new(&zone.name, "the country of this zone is not known to this version"));
            continue;
        }
        for (name, item) in &zone.items.0 {
            let Some(plan) = name.strip_prefix(PLAN_PREFIX).and_then(|name| plans.get(name)) else {
                continue;
            };
            let Ok(sku) = SkuId::new(&plan.name) else { continue };
            if plan.storage_size == 0 {
                tracing::debug!(%sku, "the plan has no disk of its own; not offered");
                continue;
            }
            let (hourly, monthly) = match price_of(item) {
                Ok(price) => price,
                Err(why) => {
                    rejected.push(RejectedRow::new(format!("{}/{sku}", zone.name), why));
                    continue;
                }
            };
            rows.push(Row {
                kind: OfferKind::Machine.to_string(),
                sku: Some(sku),
                region: zone.name.clone(),
                vcpu: Some(plan.core_number.into()),
                memory_mib: Some(plan.memory_amount.into()),
                disk_gib: Some(plan.storage_size.into()),
                gpu: plan.gpu_amount.filter(|count| *count > 0).map(Decimal::from),
                architecture: "x86_64".to_owned(),
                hourly: Some(hourly),
                monthly: Some(monthly),
                currency: upcloud.settings.currency.code().to_owned(),
                tax: "net".to_owned(),
                observed: Some(today),
                attributes: media_of(plan).to_owned(),
                source: "GET /1.3/price".to_owned(),
                ..Row::default()
            });
        }
    }
    let table = Table::from_rows(&upcloud.facts, rows).map_err(|error| protocol_error(&error))?;
    rejected.extend(table.rejected.iter().cloned());
    upcloud.rejected.set(rejected);
    Ok(table.into_listed())
}

/// What the disk of a plan is made of, by its tier; empty for a tier that is not known. A plan without one gets the default.
fn media_of(plan: &Plan) -> &'static str {
    match plan.storage_tier.as_deref() {
        None | Some("maxiops" | "standard") => "media=ssd",
        Some("hdd" | "archive") => "media=hdd",
        Some(_) => "",
    }
}

/// The price of one piece by the hour and by the month.
///
/// # Errors
/// In words: it is not a valid price.
fn price_of(item: &Value) -> Result<(Decimal, Decimal), String> {
    let item = Item::deserialize(item).map_err(|error| error.to_string())?;
    let none = || format!("the price {} for {} is not valid", item.price, item.amount);
    // The price has few digits, so the shortest text of the float is the exact price.
    let number = |number: &serde_json::Number| Decimal::from_str_exact(&number.to_string()).ok();
    let (amount, cents) = number(&item.amount).zip(number(&item.price)).ok_or_else(none)?;
    let hourly = amount.checked_mul(Decimal::ONE_HUNDRED).and_then(|units| cents.checked_div(units));
    let hourly = hourly.filter(|_| amount > Decimal::ZERO && cents >= Decimal::ZERO).ok_or_else(none)?;
    Ok((hourly, hourly.checked_mul(Decimal::from(BILLED_HOURS_PER_MONTH)).ok_or_else(none)?))
}
