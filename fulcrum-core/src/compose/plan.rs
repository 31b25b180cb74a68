//! From a solution to a plan that people and programs read.

use indexmap::IndexMap;
use rust_decimal::Decimal;

use super::{
    error::ComposeError,
    reduce::Column,
    search::{Found, a_month},
};
use crate::{
    catalogue::Catalogue,
    model::{
        Blueprint, Charge, HOURS_PER_MONTH, Lease, Plan, Price, PriceLine, SkuId, digest_of, from_micros,
        to_micros,
    },
};

pub(super) fn build(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    found: &Found,
) -> Result<Plan, ComposeError> {
    let mut leases = Vec::new();
    let mut columns: Vec<&(Column, i64)> = found.leases.iter().collect();
    columns.sort_by(|(a, _), (b, _)| (a.offer, &a.members).cmp(&(b.offer, &b.members)));
    for (column, count) in columns {
        let lease = lease(catalogue, blueprint, column).ok_or_else(|| {
            ComposeError::TooLarge(format!(
                "a price of {} is beyond the range of money",
                catalogue.offer(column.offer).id()
            ))
        })?;
        leases.extend(std::iter::repeat_n(lease, usize::try_from(*count).unwrap_or(0)));
    }
    let lines = || leases.iter().flat_map(|lease| &lease.lines);
    let gap =
        if found.cost == 0 { 0 } else { ((found.cost - found.bound) * 10_000 + found.cost - 1) / found.cost };
    Ok(Plan {
        format: Plan::FORMAT.to_owned(),
        blueprint: blueprint.name.clone(),
        blueprint_digest: digest_of(blueprint),
        catalogue_digest: catalogue.digest().to_owned(),
        currency: blueprint.currency,
        monthly: lines().map(|line| line.monthly).sum(),
        once: lines().map(|line| line.once).sum(),
        leases,
        objective: a_month(found.cost, blueprint.horizon_months),
        bound: a_month(found.bound, blueprint.horizon_months),
        gap_percent: Decimal::new(i64::try_from(gap).unwrap_or(i64::MAX), 2).normalize(),
        stop: found.stop,
        statistics: found.statistics,
    })
}

fn lease(catalogue: &Catalogue, blueprint: &Blueprint, column: &Column) -> Option<Lease> {
    let offer = catalogue.offer(column.offer);
    let is_by_size = matches!(offer.price.charge, Charge::PerUnit { .. });
    let gib = if is_by_size { column.size_gib } else { 0 };
    let mut lines = vec![line(catalogue, blueprint, &offer.sku, &offer.price, gib)?];
    if !is_by_size && column.size_gib > 0 {
        let disk = offer.elastic_disk.as_ref()?;
        lines.push(line(catalogue, blueprint, &disk.sku, &disk.price, column.size_gib)?);
    }
    let replicas: IndexMap<_, _> = column
        .members
        .iter()
        .map(|(component, count)| {
            let (name, _) = blueprint.components.get_index(super::id_vec::Id::index(*component))?;
            Some((name.clone(), *count))
        })
        .collect::<Option<_>>()?;
    Some(Lease {
        offer: offer.id(),
        sku: offer.sku.clone(),
        kind: offer.kind,
        place: (*offer.place).clone(),
        replicas,
        size_gib: column.size_gib,
        lines,
    })
}

fn line(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    sku: &SkuId,
    price: &Price,
    gib: u64,
) -> Option<PriceLine> {
    let currency = blueprint.currency;
    let once = catalogue.rates().convert(price.net_once()?, price.currency, currency)?;
    Some(PriceLine {
        sku: sku.clone(),
        text: text(price, gib),
        monthly: from_micros(to_micros(catalogue.net_month(price, gib, currency)?).ok()?),
        once: from_micros(to_micros(once).ok()?),
    })
}

/// How a figure comes about.
fn text(price: &Price, gib: u64) -> String {
    let code = price.currency.code();
    match &price.charge {
        Charge::Hourly(hourly) => format!("{hourly} {code}/hour × {HOURS_PER_MONTH} h"),
        Charge::Monthly(monthly) => format!("{monthly} {code}/month"),
        Charge::HourlyCapped { hourly, monthly } => {
            format!("{hourly} {code}/hour, at most {monthly} {code}/month")
        }
        Charge::PerUnit { unit, tiers } => match tiers.as_slice() {
            [tier] => format!("{gib} GiB at {} {code}/{unit}", tier.price),
            tiers => {
                format!("{gib} GiB at {} {code}/{unit} and {} further tiers", tiers[0].price, tiers.len() - 1)
            }
        },
        Charge::Once => format!("{} {code} once", price.once),
    }
}
