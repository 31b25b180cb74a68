//! What a lease costs by its plan, by a quote and by an offer: sums and comparisons, without a call to a provider.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;

use iso_currency::Currency;
use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;

use super::engine::Engine;
use crate::{
    model::{
        Charge, CommitmentCost, Lease, LineKind, Money, Offer, OfferKind, Order, Plan, Policy, Price,
        PriceAuthority, PriceCheck, SkuId, Surcharge,
    },
    provider::{Quote, table::quarantine_reason},
};

/// Checks the total against the policy's `max_total`.
///
/// # Errors
/// In words: the plan costs more.
pub(super) fn check_limit(most: Decimal, total: Decimal, currency: Currency) -> Result<(), String> {
    if total <= most {
        return Ok(());
    }
    Err(format!(
        "it commits to {} over the horizon, and the policy's max_total is {}; compose a cheaper plan, or allow more",
        Money::new(total, currency),
        Money::new(most, currency)
    ))
}

pub(super) fn check_validity(policy: &Policy) -> Result<(), String> {
    if policy.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err("the prices were valid only until a moment that has passed; compose again".to_owned());
    }
    Ok(())
}

pub(super) fn out_of_range() -> String {
    "its amounts are outside the range of money; compose again".to_owned()
}

/// The cost of a lease in the plan. Plans of format 3 have no horizon: a month and the start are compared instead.
pub(super) fn planned_cost(plan: &Plan, lease: &Lease) -> Option<CommitmentCost> {
    let sum = |of: fn(&crate::model::PriceLine) -> Decimal| {
        lease.lines.iter().try_fold(Decimal::ZERO, |sum, line| sum.checked_add(of(line)))
    };
    let (monthly, once) = (sum(|line| line.monthly)?, sum(|line| line.once)?);
    let total = match plan.horizon_months {
        Some(_) => sum(|line| line.total)?,
        None => monthly.checked_add(once)?,
    };
    Some(CommitmentCost { monthly, once, total })
}

/// The cost of a lease at the last checked price, else as planned.
pub(super) fn last_checked_cost(plan: &Plan, lease: &Lease) -> Option<Decimal> {
    match &lease.checked {
        Some(check) => Some(check.total),
        None => planned_cost(plan, lease).map(|cost| cost.total),
    }
}

/// Which surcharges a price may have, such as one for an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SurchargeRule {
    /// Exactly those that the plan has lines for.
    AsPlanned,
    /// Any.
    AsSold,
}

/// Refuses a price that nobody can mean: zero or less.
pub(super) fn check_plausible(check: &PriceCheck, planned: &CommitmentCost) -> Result<(), String> {
    let is_negative = [check.monthly, check.once, check.total].iter().any(|amount| *amount < Decimal::ZERO);
    let is_nothing = check.authority.is_some() && check.total.is_zero() && !planned.total.is_zero();
    match is_negative || is_nothing {
        true => Err("its price is absurd now, zero or less; ask its provider".to_owned()),
        false => Ok(()),
    }
}

pub(super) fn price_check(cost: CommitmentCost, authority: Option<PriceAuthority>) -> PriceCheck {
    let CommitmentCost { monthly, once, total } = cost;
    PriceCheck { at: Timestamp::now(), authority, day: None, valid_until: None, monthly, once, total }
}

pub(super) fn from_quote(
    engine: &Engine,
    plan: &Plan,
    lease: &Lease,
    quote: &Quote,
    surcharge_rule: SurchargeRule,
) -> Result<PriceCheck, String> {
    if quote.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err("a price is quoted that has expired".to_owned());
    }
    check_terms(lease, &quote.price)?;
    check_surcharges(lease, &quote.surcharges, surcharge_rule)?;
    let disk = quote.disk.as_ref().zip(lease.disk_sku.as_ref());
    let disk = disk.map(|(price, sku)| (sku, price));
    let cost = cost(engine, plan, lease, &quote.price, disk, &quote.surcharges)?;
    let valid_until = quote.valid_until;
    Ok(PriceCheck { valid_until, ..price_check(cost, Some(PriceAuthority::Quote)) })
}

pub(super) fn from_offer(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    lease: &Lease,
    offer: &Offer,
    surcharge_rule: SurchargeRule,
) -> Result<PriceCheck, String> {
    if let Some(reason) = quarantine_reason(offer) {
        return Err(format!("its price is absurd now: {reason}"));
    }
    check_terms(lease, &offer.price)?;
    let provenance = &offer.provenance;
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    if provenance.valid_until.is_some_and(|end| today > end) {
        return Err("its price was valid only until a day that has passed; renew the price list".to_owned());
    }
    if provenance.authority == PriceAuthority::Table {
        let age =
            provenance.observed.until((jiff::Unit::Day, today)).map_or(i32::MAX, |span| span.get_days());
        // A day ahead is another time zone.
        if age < -1 {
            return Err(format!(
                "its price in a table is dated {}, which is in the future; correct `observed` in the table",
                provenance.observed
            ));
        }
        if i64::from(age) > i64::from(policy.max_table_age_days) {
            return Err(format!(
                "its price stands in a table and is of {}, {age} days old; renew the table, or allow a higher \
                 max_table_age_days than {}",
                provenance.observed, policy.max_table_age_days
            ));
        }
    }
    check_surcharges(lease, &offer.surcharges, surcharge_rule)?;
    let disk = offer.elastic_disk.as_ref().map(|disk| (&disk.sku, &disk.price));
    let cost = cost(engine, plan, lease, &offer.price, disk, &offer.surcharges)?;
    let day = Some(provenance.observed);
    Ok(PriceCheck { day, ..price_check(cost, Some(provenance.authority)) })
}

/// A price on other terms is another price, however low.
fn check_terms(lease: &Lease, price: &Price) -> Result<(), String> {
    if price.purchase_option != lease.purchase_option {
        let (now, planned) = (price.purchase_option, lease.purchase_option);
        return Err(format!("it is sold {now} now, {planned} in the plan; compose again"));
    }
    if price.term_months != lease.term_months {
        return Err(format!(
            "its minimum term is {} months now, {} in the plan; compose again",
            price.term_months, lease.term_months
        ));
    }
    Ok(())
}

/// Whether the surcharges are those that the plan has lines for.
fn check_surcharges(
    lease: &Lease,
    surcharges: &[Surcharge],
    surcharge_rule: SurchargeRule,
) -> Result<(), String> {
    if surcharge_rule == SurchargeRule::AsSold {
        return Ok(());
    }
    let planned = lease.lines.iter().filter(|line| line.kind == LineKind::Surcharge).map(|line| &line.sku);
    let (planned, now): (BTreeSet<_>, BTreeSet<_>) =
        (planned.collect(), surcharges.iter().map(|surcharge| &surcharge.sku).collect());
    if planned != now {
        let named = |skus: &BTreeSet<&SkuId>| match skus.len() {
            0 => "nothing".to_owned(),
            _ => skus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        return Err(format!(
            "what must be paid besides it is {} now, {} in the plan; compose again",
            named(&now),
            named(&planned)
        ));
    }
    Ok(())
}

/// The cost of a lease at current prices: the offer, its disk and its surcharges.
fn cost(
    engine: &Engine,
    plan: &Plan,
    lease: &Lease,
    price: &Price,
    disk: Option<(&SkuId, &Price)>,
    surcharges: &[Surcharge],
) -> Result<CommitmentCost, String> {
    let is_by_size = matches!(price.charge, Charge::PerUnit { .. });
    if is_by_size && (lease.kind == OfferKind::Machine || lease.disk_sku.is_some()) {
        return Err("it is sold by size now, and nothing says how many GiB it is; compose again".to_owned());
    }
    let mut parts = vec![(price, if is_by_size { lease.size_gib } else { 0 })];
    if !is_by_size && lease.size_gib > 0 {
        let disk = disk.filter(|(sku, _)| lease.disk_sku.as_ref() == Some(*sku));
        let (_, price) =
            disk.ok_or("the disk that was planned with it is not sold with it any more; compose again")?;
        parts.push((price, lease.size_gib));
    }
    parts.extend(surcharges.iter().map(|surcharge| (&surcharge.price, 0)));
    let months = plan.horizon_months.unwrap_or(1);
    let (rates, refused) = engine.market.rates();
    let zero = CommitmentCost { monthly: Decimal::ZERO, once: Decimal::ZERO, total: Decimal::ZERO };
    let sum = parts.into_iter().try_fold(zero, |sum, (price, gib)| {
        let cost = rates.commitment_cost(price, gib, months, plan.currency)?;
        let (monthly, once) = (sum.monthly.checked_add(cost.monthly)?, sum.once.checked_add(cost.once)?);
        let total = match plan.horizon_months {
            Some(_) => cost.total,
            None => cost.monthly.checked_add(cost.once)?,
        };
        Some(CommitmentCost { monthly, once, total: sum.total.checked_add(total)? })
    });
    sum.ok_or_else(|| {
        let why = refused.unwrap_or_else(|| "a rate is missing, or it is out of range".to_owned());
        format!("its price cannot be compared with the plan's: {why}")
    })
}

/// What an order commits to over the horizon at the last checked prices. A service that a fail-over keeps has paid its start.
fn committed_total(order: &Order) -> Option<Decimal> {
    let bought = order.current_steps().try_fold(order.plan.total()?, |sum, step| {
        let planned = planned_cost(&order.plan, &step.lease)?.total;
        sum.checked_sub(planned)?.checked_add(step.current_cost(planned, |check| check.total))
    });
    order.retained_steps().try_fold(bought?, |sum, step| sum.checked_add(step.lease.paid_once()?))
}

/// What `max_total` leaves beyond the last checked prices; none without a limit.
pub(super) fn headroom(order: &Order) -> Option<Decimal> {
    let most = order.policy.max_total?;
    Some(committed_total(order).and_then(|sum| most.checked_sub(sum)).unwrap_or(Decimal::ZERO))
}
