//! Machines with their prices, zone by zone: sizes from the plans, prices from the price list.

use std::collections::BTreeMap;

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    UpCloud,
    wire::{Item, Plan, Plans, Prices},
};
use crate::{
    model::{Offer, OfferKind, SkuId},
    provider::{
        Call, OfferFilter, OfferStream, Result,
        http::{Request, bounded},
        table::{Row, Table},
    },
};

/// Stands before a plan's name in the price list.
const PLAN: &str = "server_plan_";
/// A month is billed as so many hours at most: 28 days.
const HOURS: u32 = 672;

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

impl UpCloud {
    pub(super) async fn plans(&self, call: Call) -> Result<BTreeMap<String, Plan>> {
        let plans: Plans = self.client.json(&Request::get(call, ["plan"])).await?;
        Ok(plans.plans.plan.into_iter().map(|plan| (plan.name.clone(), plan)).collect())
    }
}

fn priced(upcloud: &UpCloud, plans: &BTreeMap<String, Plan>, prices: &Prices) -> Result<Vec<Offer>> {
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let nonsense = |error: &dyn std::fmt::Display| upcloud.nonsense(Call::Offers, error);
    let mut rows = Vec::new();
    for zone in &prices.prices.zone {
        if !upcloud.facts.regions.iter().any(|region| region.id.as_str() == zone.name) {
            tracing::debug!(zone = zone.name, "this zone is not known; not offered");
            continue;
        }
        for (name, item) in &zone.items.0 {
            let Some(plan) = name.strip_prefix(PLAN).and_then(|name| plans.get(name)) else { continue };
            let Ok(sku) = SkuId::new(&plan.name) else { continue };
            if plan.storage_size == 0 {
                tracing::debug!(%sku, "its disk is sold apart; not offered");
                continue;
            }
            let item: Item = serde_json::from_value(item.clone()).map_err(|error| nonsense(&error))?;
            // Written with few digits: what a float prints is what was meant.
            let number = |number: &serde_json::Number| {
                Decimal::from_str_exact(&number.to_string()).map_err(|error| nonsense(&error))
            };
            let (amount, cents) = (number(&item.amount)?, number(&item.price)?);
            let none = || nonsense(&format!("{name} costs {cents} for {amount}"));
            let hourly = amount.checked_mul(Decimal::ONE_HUNDRED).and_then(|units| cents.checked_div(units));
            let hourly = hourly.ok_or_else(none)?;
            let monthly = hourly.checked_mul(Decimal::from(HOURS)).ok_or_else(none)?;
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
                source: "GET /1.3/price".to_owned(),
                ..Row::default()
            });
        }
    }
    let table = Table::from_rows(&upcloud.facts, rows).map_err(|error| nonsense(&error))?;
    upcloud.rejected.set(table.rejected.clone());
    Ok(table.into_listed())
}
