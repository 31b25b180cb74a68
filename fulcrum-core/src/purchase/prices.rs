//! Whether a plan's prices still hold, before anything is bought.
//!
//! A price has an authority: a *quote* of the provider, its *listing*, or a dated *table*. What none of them tells is
//! *unchecked*, and bought only if the policy says so.
#![deny(clippy::arithmetic_side_effects)]

use std::{
    collections::BTreeSet,
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures::StreamExt;
use iso_currency::Currency;
use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::Decimal;
use tokio::time::sleep;

use super::{
    Engine,
    drive::Driver,
    failures::cut,
    machine::back_off,
    place::{check_place, present_place},
    provision::request,
    traffic,
};
use crate::{
    model::{
        Charge, CheckedPrice, CommitmentCost, Lease, LineKind, Money, Offer, OfferKind, Order,
        OrderEventKind, Plan, Policy, Price, PriceAuthority, PriceCheck, SkuId, Step, Surcharge,
    },
    provider::{Call, ErrorKind, ProviderError, Quote, table::quarantine_reason},
};

/// How old a check may be when the intent of a purchase is written.
const CHECK_AGE: Duration = Duration::from_secs(180);
/// How long a provider that does not answer is asked for its price.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a check came to: the steps with the price that was found, and what to tell.
pub(super) struct Checked {
    pub(super) steps: Vec<Step>,
    pub(super) events: Vec<OrderEventKind>,
}

/// Checks the price of each step, or says why the order must not buy. `paid` was paid once for what stays.
pub(super) async fn check(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    steps: &[Step],
    paid: Decimal,
) -> Result<Checked, String> {
    check_validity(policy)?;
    let at_once = policy.concurrency.clamp(1, 256) as usize;
    // Collected first: a closure that borrows inside a stream would keep the order's future from being spawned.
    let calls: Vec<_> = steps.iter().map(|step| check_step(engine, policy, plan, step)).collect();
    let checks: Vec<Result<PriceCheck, String>> =
        futures::stream::iter(calls).buffered(at_once).collect().await;
    let mut checked = Checked { steps: Vec::with_capacity(steps.len()), events: Vec::new() };
    let (mut planned, mut current, mut told) = (Decimal::ZERO, Decimal::ZERO, Vec::new());
    for (step, check) in steps.iter().zip(checks) {
        let (check, before) = (check?, planned_cost(plan, &step.lease).ok_or_else(out_of_range)?);
        let add = |sum: Decimal, amount| sum.checked_add(amount).ok_or_else(out_of_range);
        if check.authority.is_some() {
            (planned, current) = (add(planned, before.total)?, add(current, check.total)?);
            told.push(CheckedPrice { index: step.index, check: check.clone() });
        } else {
            checked.events.push(OrderEventKind::PriceUnchecked {
                index: step.index,
                provider: step.provider.clone(),
                planned: Money::new(before.total, plan.currency),
            });
        }
        let mut step = step.clone();
        step.lease.checked = Some(check);
        checked.steps.push(step);
    }
    let traffic = traffic::rise_now(engine, policy, plan).await?;
    if let Some(most) = policy.max_total {
        let rise = current.checked_sub(planned).and_then(|rise| rise.checked_add(traffic));
        let rise = rise.ok_or_else(out_of_range)?;
        let total = plan.total().and_then(|total| total.checked_add(rise)?.checked_add(paid));
        check_limit(most, total.ok_or_else(out_of_range)?, plan.currency)?;
    }
    if !told.is_empty() {
        checked.events.push(OrderEventKind::PricesChecked {
            planned: Money::new(planned, plan.currency),
            current: Money::new(current, plan.currency),
            checks: told,
        });
    }
    Ok(checked)
}

/// What the policy allows to be committed to.
///
/// # Errors
/// In words: it costs more.
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

fn check_validity(policy: &Policy) -> Result<(), String> {
    if policy.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err("the prices were valid only until a moment that has passed; compose again".to_owned());
    }
    Ok(())
}

pub(super) fn out_of_range() -> String {
    "its amounts are outside the range of money; compose again".to_owned()
}

/// What a lease costs in the plan. Plans of format 3 tell no horizon: of them a month and the start are compared.
fn planned_cost(plan: &Plan, lease: &Lease) -> Option<CommitmentCost> {
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

/// What a lease costs at the price that was last checked, else as planned.
fn cost_before(plan: &Plan, lease: &Lease) -> Option<Decimal> {
    match &lease.checked {
        Some(check) => Some(check.total),
        None => planned_cost(plan, lease).map(|cost| cost.total),
    }
}

/// The price of a step now, within what the policy tolerates.
async fn check_step(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    step: &Step,
) -> Result<PriceCheck, String> {
    let what = || format!("{} at {}", step.lease.sku, step.provider);
    let check = present_price(engine, policy, plan, step, Besides::AsPlanned)
        .await
        .map_err(|why| format!("{}: {why}", what()))?;
    let planned = planned_cost(plan, &step.lease).ok_or_else(out_of_range)?;
    check_sense(&check, &planned).map_err(|why| format!("{}: {why}", what()))?;
    let limit = |amount: Decimal| {
        let rise = amount.checked_mul(policy.price_tolerance_percent)?.checked_div(Decimal::ONE_HUNDRED)?;
        amount.checked_add(rise)
    };
    // A cheaper start does not make up for a dearer month: whoever stays beyond the horizon pays that. Nor the other way
    // round: the start is due at once.
    for (span, now, before) in [
        ("over the horizon", check.total, planned.total),
        ("a month", check.monthly, planned.monthly),
        ("at the start", check.once, planned.once),
    ] {
        if now > limit(before).ok_or_else(out_of_range)? {
            return Err(format!(
                "{} costs {} {span} now, {} in the plan; compose again, or allow a higher price_tolerance_percent",
                what(),
                Money::new(now, plan.currency),
                Money::new(before, plan.currency)
            ));
        }
    }
    Ok(check)
}

/// What must be paid besides a product, such as an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Besides {
    /// Just what the plan has lines for.
    AsPlanned,
    /// Whatever it is now.
    AsSold,
}

/// Whether a price is one that somebody may mean.
fn check_sense(check: &PriceCheck, planned: &CommitmentCost) -> Result<(), String> {
    let is_negative = [check.monthly, check.once, check.total].iter().any(|amount| *amount < Decimal::ZERO);
    let is_nothing = check.authority.is_some() && check.total.is_zero() && !planned.total.is_zero();
    match is_negative || is_nothing {
        true => Err("its price is absurd now: it costs nothing, or less; ask its provider".to_owned()),
        false => Ok(()),
    }
}

/// What the best authority that there is says.
async fn present_price(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    step: &Step,
    besides: Besides,
) -> Result<PriceCheck, String> {
    let Some(provider) = engine.providers.get(&step.provider) else {
        return Err("its provider is not in this federation; add it, or compose again".to_owned());
    };
    let capabilities = provider.capabilities();
    let no_price = |error: ProviderError| format!("no present price: {}", cut(&error.to_string()));
    if capabilities.can(Call::Quote) {
        // A quote tells what it costs, and not where it is.
        if let Some(place) = present_place(engine, provider, &step.lease).await.map_err(no_price)? {
            check_place(&step.lease.place, &place)?;
        }
        let request = request(&plan.blueprint, step);
        match patiently(|| provider.quote(&request)).await {
            Ok(quote) => return quoted(engine, plan, &step.lease, &quote, besides),
            Err(error) if error.kind == ErrorKind::Unsupported => {}
            Err(error) => return Err(no_price(error)),
        }
    }
    if capabilities.can(Call::Offers) {
        let listed = patiently(|| engine.listings.of(provider)).await.map_err(no_price)?;
        if let Some(named) = listed.named(&step.lease) {
            check_place(&step.lease.place, &named.place)?;
        }
        let offer = listed.find(&step.lease).ok_or("it is not offered any more; compose again")?;
        return of_offer(engine, policy, plan, &step.lease, offer, besides);
    }
    if !policy.allow_unchecked_prices {
        return Err("nobody can check its price: the provider neither quotes nor lists it; \
                    `may_buy_unchecked` in the policy allows it"
            .to_owned());
    }
    let planned = planned_cost(plan, &step.lease).ok_or_else(out_of_range)?;
    Ok(price_check(planned, None))
}

/// Asks again while that may help, for a while.
pub(super) async fn patiently<T, F: Future<Output = Result<T, ProviderError>>>(
    ask: impl Fn() -> F,
) -> Result<T, ProviderError> {
    let (began, mut tries) = (Instant::now(), 0);
    loop {
        match ask().await {
            Err(error) if super::reserve::is_worth_another_try(&error.kind) => {
                let pause = back_off(tries).max(error.kind.retry_after().unwrap_or_default());
                if began.elapsed().saturating_add(pause) >= PATIENCE || tries >= 4 {
                    return Err(error);
                }
                sleep(pause).await;
                tries = tries.saturating_add(1);
            }
            answer => return answer,
        }
    }
}

fn price_check(cost: CommitmentCost, authority: Option<PriceAuthority>) -> PriceCheck {
    let CommitmentCost { monthly, once, total } = cost;
    PriceCheck { at: Timestamp::now(), authority, day: None, valid_until: None, monthly, once, total }
}

fn quoted(
    engine: &Engine,
    plan: &Plan,
    lease: &Lease,
    quote: &Quote,
    besides: Besides,
) -> Result<PriceCheck, String> {
    if quote.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err("a price is quoted that has expired".to_owned());
    }
    check_terms(lease, &quote.price)?;
    check_surcharges(lease, &quote.surcharges, besides)?;
    let disk = quote.disk.as_ref().zip(lease.disk_sku.as_ref());
    let disk = disk.map(|(price, sku)| (sku, price));
    let cost = cost(engine, plan, lease, &quote.price, disk, &quote.surcharges)?;
    let valid_until = quote.valid_until;
    Ok(PriceCheck { valid_until, ..price_check(cost, Some(PriceAuthority::Quote)) })
}

fn of_offer(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    lease: &Lease,
    offer: &Offer,
    besides: Besides,
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
                "its price stands in a table and is of {}, which is to come; mend the table's day",
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
    check_surcharges(lease, &offer.surcharges, besides)?;
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

/// Whether what must be paid besides a product is what the plan has lines for.
fn check_surcharges(lease: &Lease, surcharges: &[Surcharge], besides: Besides) -> Result<(), String> {
    if besides == Besides::AsSold {
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

/// What a lease comes to at present prices: the offer, its disk, and what must be paid besides.
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

/// What an order commits to over the horizon at the prices that were last checked; what a fail-over keeps has paid its start.
fn committed(order: &Order) -> Option<Decimal> {
    let bought = order.current_steps().try_fold(order.plan.total()?, |sum, step| {
        let planned = planned_cost(&order.plan, &step.lease)?.total;
        sum.checked_sub(planned)?.checked_add(step.current_cost(planned, |check| check.total))
    });
    order.retained_steps().try_fold(bought?, |sum, step| sum.checked_add(step.lease.paid_once()?))
}

/// What may be committed to beyond the prices that were last checked; none where the policy has no `max_total`.
pub(super) fn room(order: &Order) -> Option<Decimal> {
    let most = order.policy.max_total?;
    Some(committed(order).and_then(|sum| most.checked_sub(sum)).unwrap_or(Decimal::ZERO))
}

impl Driver<'_> {
    /// Whether a service may be had in another size: what that costs, and who says so, is told. `Err` says why not.
    pub(super) async fn resize_holds(
        &self,
        step: &Step,
        sku: &SkuId,
    ) -> Result<Result<(), String>, super::PurchaseError> {
        // Asked for again after an error it costs no more.
        self.know_room();
        let check = match self.resized_price(step, sku).await {
            Ok(check) => check,
            Err(why) => return Ok(Err(why)),
        };
        let before = cost_before(&self.order.plan, &step.lease);
        let rise = before.and_then(|before| check.total.checked_sub(before));
        if let Err(why) = rise.ok_or_else(out_of_range).and_then(|rise| self.take_room(rise)) {
            return Ok(Err(why));
        }
        let event = told(step, check, before, self.order.plan.currency);
        self.tell(step, vec![event]).await.map(Ok)
    }

    /// What a service costs in another size.
    pub(super) async fn resized_price(&self, step: &Step, sku: &SkuId) -> Result<PriceCheck, String> {
        let lease = Lease { sku: sku.clone(), ..step.lease.clone() };
        let lease = Lease { offer: lease.own_offer_id(), ..lease };
        let resized = Step { lease, ..step.clone() };
        present_price(self.engine, &self.policy, &self.order.plan, &resized, Besides::AsSold).await
    }

    /// Takes a rise off what may still be committed to.
    fn take_room(&self, rise: Decimal) -> Result<(), String> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(left), Some(most)) = (room.as_mut(), self.policy.max_total) else { return Ok(()) };
        let rest = left.checked_sub(rise).ok_or_else(out_of_range)?;
        if rise > Decimal::ZERO {
            let total = most.checked_sub(rest).ok_or_else(out_of_range)?;
            check_limit(most, total, self.order.plan.currency)?;
        }
        *left = rest;
        Ok(())
    }

    /// Checks a step's price again if the last check is too old for an intent; false after `fail` has said why it must
    /// not be bought.
    pub(super) async fn price_holds(&self, step: &mut Step) -> Result<bool, super::PurchaseError> {
        if let Some(check) = &step.lease.checked
            && is_fresh(check, Timestamp::now())
        {
            return Ok(true);
        }
        let outcome = match check_validity(&self.policy) {
            Ok(()) => {
                let check = check_step(self.engine, &self.policy, &self.order.plan, step);
                let Some(checked) = self.unless_stopped(check).await? else { return Ok(false) };
                checked
            }
            Err(why) => Err(why),
        };
        let outcome = outcome.and_then(|check| {
            let before = cost_before(&self.order.plan, &step.lease).ok_or_else(out_of_range)?;
            self.take_room(check.total.checked_sub(before).ok_or_else(out_of_range)?)?;
            Ok(check)
        });
        match outcome {
            Ok(check) => {
                let before = planned_cost(&self.order.plan, &step.lease).map(|cost| cost.total);
                let event = told(step, check.clone(), before, self.order.plan.currency);
                step.lease.checked = Some(check);
                self.tell(step, vec![event]).await?;
                Ok(true)
            }
            Err(why) => {
                self.note_text(step, why.clone(), None).await?;
                self.fail(step, None, &why);
                Ok(false)
            }
        }
    }
}

/// The event of one step's check: who said what it costs, or that nobody did.
fn told(step: &Step, check: PriceCheck, before: Option<Decimal>, currency: Currency) -> OrderEventKind {
    let planned = Money::new(before.unwrap_or(check.total), currency);
    match check.authority {
        Some(_) => OrderEventKind::PricesChecked {
            planned,
            current: Money::new(check.total, currency),
            checks: vec![CheckedPrice { index: step.index, check }],
        },
        None => {
            OrderEventKind::PriceUnchecked { index: step.index, provider: step.provider.clone(), planned }
        }
    }
}

/// Whether a check is of the last minutes. One of the future was made before a clock was set back.
fn is_fresh(check: &PriceCheck, now: Timestamp) -> bool {
    let age = now.duration_since(check.at);
    !age.is_negative() && age.unsigned_abs() < CHECK_AGE && check.valid_until.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_check_is_fresh_for_some_minutes_and_no_longer_than_its_quote() {
        let now = Timestamp::now();
        let zero = CommitmentCost { monthly: Decimal::ZERO, once: Decimal::ZERO, total: Decimal::ZERO };
        let check = PriceCheck { at: now, ..price_check(zero, Some(PriceAuthority::Listing)) };
        let after = |seconds| now.checked_add(SignedDuration::from_secs(seconds)).expect("a time");
        assert!(is_fresh(&check, now) && is_fresh(&check, after(100)));
        assert!(!is_fresh(&check, after(181)), "too old");
        assert!(!is_fresh(&check, after(-1)), "of the future");
        let ends = PriceCheck { valid_until: Some(after(50)), ..check };
        assert!(is_fresh(&ends, after(49)) && !is_fresh(&ends, after(50)), "the quote has ended");
    }
}
