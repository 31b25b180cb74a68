//! What the plans of a broker's catalogue cost.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    Osb,
    wire::{Catalog, Cost},
};
use crate::{
    model::SkuId,
    provider::{RejectedRow, table::Row},
};

impl Osb {
    /// A row for each plan whose costs are understood; the others are named.
    pub(super) fn rows(&self, catalog: &Catalog) -> Vec<Row> {
        let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
        let currency = self.settings.currency.code();
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for service in &catalog.services {
            let kind = self.kind_of(&service.name);
            for plan in &service.plans {
                let name = format!("{}/{}", service.name, plan.name);
                let price = SkuId::new(&name).map_err(|error| error.to_string()).and_then(|sku| {
                    let costs = plan.metadata.costs()?;
                    Ok((sku, total(costs, currency, &self.settings.usage_units)?))
                });
                let (sku, Total { hourly, monthly }) = match price {
                    Ok(price) => price,
                    Err(why) => {
                        tracing::debug!(plan = name, why, "not offered");
                        rejected.push(RejectedRow::new(name, why));
                        continue;
                    }
                };
                rows.push(Row {
                    kind: kind.to_string(),
                    sku: Some(sku),
                    region: self.settings.region.to_string(),
                    hourly,
                    monthly,
                    currency: currency.to_owned(),
                    tax: "net".to_owned(),
                    observed: Some(today),
                    source: "GET /v2/catalog".to_owned(),
                    ..Row::default()
                });
            }
        }
        self.rejected.set(rejected);
        rows
    }
}

/// What all costs of a plan come to; at least one of them is there.
struct Total {
    hourly: Option<Decimal>,
    monthly: Option<Decimal>,
}

/// A cost in a currency, whatever the case of its code; none if that is no amount.
///
/// # Errors
/// In words: it is not told in that currency, or told twice and differently.
fn amount_in(cost: &Cost, currency: &str) -> Result<Option<Decimal>, String> {
    let told = cost.amount.iter().filter(|(code, _)| code.eq_ignore_ascii_case(currency));
    // Written with few digits: what a float prints is what was meant.
    let mut amounts = told.map(|(_, amount)| Decimal::from_str_exact(&amount.to_string()).ok());
    let first =
        amounts.next().ok_or_else(|| format!("a cost per {} is not told in {currency}", cost.unit))?;
    match amounts.all(|other| other == first) {
        true => Ok(first.filter(|amount| !amount.is_sign_negative())),
        false => Err(format!("a cost per {} is told twice in {currency}, and differs", cost.unit)),
    }
}

/// A month has so many hours where one sum is made of both.
const HOURS: u64 = crate::model::HOURS_PER_MONTH as u64;

/// The sum of a plan's costs: all of them are billed, those by use on top. By the hour and by the month together is a sum by
/// the month.
///
/// # Errors
/// In words: a cost that is not understood, so that nobody knows what the plan comes to.
fn total<'a>(
    costs: impl IntoIterator<Item = &'a Cost>,
    currency: &str,
    by_use: &BTreeSet<String>,
) -> Result<Total, String> {
    let (mut hourly, mut monthly) = (None, None);
    for cost in costs.into_iter().filter(|cost| !by_use.contains(&cost.unit)) {
        let unit = cost.unit.to_ascii_lowercase();
        let sum = match unit.as_str() {
            "hourly" => &mut hourly,
            "monthly" => &mut monthly,
            _ => {
                return Err(format!(
                    "a cost per {:?} is not understood; if it is billed by use, name it in `usage_units`",
                    cost.unit
                ));
            }
        };
        let amount = amount_in(cost, currency)?;
        let before = sum.unwrap_or(Decimal::ZERO);
        let after = amount.and_then(|amount| before.checked_add(amount));
        *sum = Some(after.ok_or_else(|| format!("a cost per {} is no amount", cost.unit))?);
    }
    if let (Some(hour), Some(month)) = (hourly, monthly) {
        let both = hour.checked_mul(HOURS.into()).and_then(|hours| hours.checked_add(month));
        (hourly, monthly) = (None, Some(both.ok_or("its costs are no amount")?));
    }
    match (hourly, monthly) {
        (None, None) => Err(format!("no price is told in {currency}")),
        _ => Ok(Total { hourly, monthly }),
    }
}
