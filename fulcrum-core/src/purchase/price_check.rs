//! The price check: whether a plan's prices still hold, before anything is bought.
//!
//! A price has an authority: a *quote* of the provider, its *listing*, or a dated *table*. A price without one is *unchecked*,
//! and bought only if the policy says so.
#![deny(clippy::arithmetic_side_effects)]

use std::{sync::PoisonError, time::Duration};

use futures::StreamExt;
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    PurchaseError,
    backoff::retry_transient,
    driver::Driver,
    engine::Engine,
    place_check::{check_place, present_place},
    price_terms::{
        SurchargeRule, check_limit, check_plausible, check_validity, from_offer, from_quote, headroom,
        last_checked_cost, out_of_range, planned_cost, price_check,
    },
    provision_request::request,
    step_failures::cut,
    traffic_check,
};
use crate::{
    model::{CheckedPrice, Lease, Money, OrderEventKind, Plan, Policy, PriceCheck, SkuId, Step},
    provider::{Call, ErrorKind, ProviderError},
};

/// How old a check may be when the intent of a purchase is written.
const MAX_CHECK_AGE: Duration = Duration::from_secs(180);

/// The outcome of a check: the steps with their current prices, and events.
pub(super) struct CheckedSteps {
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
) -> Result<CheckedSteps, String> {
    check_validity(policy)?;
    let checks = check_each(engine, policy, plan, steps).await;
    sum_up(engine, policy, plan, steps, checks, paid).await
}

/// The check of each step, in their order.
async fn check_each(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    steps: &[Step],
) -> Vec<Result<PriceCheck, String>> {
    let at_once = policy.concurrency.clamp(1, 256) as usize;
    // Collected first: a closure that borrows inside a stream would keep the order's future from being spawned.
    let calls: Vec<_> = steps.iter().map(|step| check_step(engine, policy, plan, step)).collect();
    futures::stream::iter(calls).buffered(at_once).collect().await
}

/// The steps with their checks, if all of them hold, and their sum too.
async fn sum_up(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    steps: &[Step],
    checks: Vec<Result<PriceCheck, String>>,
    paid: Decimal,
) -> Result<CheckedSteps, String> {
    let mut checked = CheckedSteps { steps: Vec::with_capacity(steps.len()), events: Vec::new() };
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
    let traffic = traffic_check::current_rise(engine, policy, plan).await?;
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

/// How the reason begins that a provider did not tell a present price.
pub(super) const NO_PRESENT_PRICE: &str = "no present price";

/// The steps whose prices do not hold, by their positions, or the plan as a whole; and why. Only asks.
pub(super) async fn refusals(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    steps: &[Step],
) -> Vec<(Option<usize>, String)> {
    if let Err(why) = check_validity(policy) {
        return vec![(None, why)];
    }
    let checks = check_each(engine, policy, plan, steps).await;
    let refused = checks.iter().enumerate();
    let refused: Vec<_> =
        refused.filter_map(|(at, check)| Some((Some(at), check.as_ref().err()?.clone()))).collect();
    if !refused.is_empty() || policy.max_total.is_none() {
        return refused;
    }
    let summed = sum_up(engine, policy, plan, steps, checks, Decimal::ZERO).await;
    summed.err().into_iter().map(|why| (None, why)).collect()
}

/// The price of a step now, within what the policy tolerates.
async fn check_step(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    step: &Step,
) -> Result<PriceCheck, String> {
    let what = || format!("{} at {}", step.lease.sku, step.provider);
    let check = current_price(engine, policy, plan, step, SurchargeRule::AsPlanned)
        .await
        .map_err(|why| format!("{}: {why}", what()))?;
    let planned = planned_cost(plan, &step.lease).ok_or_else(out_of_range)?;
    check_plausible(&check, &planned).map_err(|why| format!("{}: {why}", what()))?;
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

/// The current price of a step, by the best authority.
async fn current_price(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    step: &Step,
    surcharge_rule: SurchargeRule,
) -> Result<PriceCheck, String> {
    let Some(provider) = engine.providers.get(&step.provider) else {
        return Err("its provider is not in this federation; add it, or compose again".to_owned());
    };
    let capabilities = provider.capabilities();
    let no_price = |error: ProviderError| format!("{NO_PRESENT_PRICE}: {}", cut(&error.to_string()));
    if capabilities.can(Call::Quote) {
        // A quote tells what it costs, and not where it is.
        if let Some(place) = present_place(engine, provider, &step.lease).await.map_err(no_price)? {
            check_place(&step.lease.place, &place)?;
        }
        let request = request(&plan.blueprint, step);
        match retry_transient(|| provider.quote(&request)).await {
            Ok(quote) => return from_quote(engine, plan, &step.lease, &quote, surcharge_rule),
            Err(error) if error.kind == ErrorKind::Unsupported => {}
            Err(error) => return Err(no_price(error)),
        }
    }
    if capabilities.can(Call::Offers) {
        let listed = retry_transient(|| engine.listings.of(provider)).await.map_err(no_price)?;
        if let Some(named) = listed.named(&step.lease) {
            check_place(&step.lease.place, &named.place)?;
        }
        let offer = listed.find(&step.lease).ok_or("it is not offered any more; compose again")?;
        return from_offer(engine, policy, plan, &step.lease, offer, surcharge_rule);
    }
    if !policy.allow_unchecked_prices {
        return Err("nobody can check its price: the provider neither quotes nor lists it; \
                    `may_buy_unchecked` in the policy allows it"
            .to_owned());
    }
    let planned = planned_cost(plan, &step.lease).ok_or_else(out_of_range)?;
    Ok(price_check(planned, None))
}

impl Driver<'_> {
    /// Computes anew what the policy's `max_total` leaves.
    pub(super) fn refresh_headroom(&self) {
        *self.headroom.lock().unwrap_or_else(PoisonError::into_inner) = headroom(&self.order);
    }

    /// Whether the policy allows the price of another size; an event tells the price. `Err` says why not.
    pub(super) async fn resize_price_holds(
        &self,
        step: &Step,
        sku: &SkuId,
    ) -> Result<Result<(), String>, PurchaseError> {
        // A repeated request after an error costs nothing more.
        self.refresh_headroom();
        let check = match self.resized_price(step, sku).await {
            Ok(check) => check,
            Err(why) => return Ok(Err(why)),
        };
        let before = last_checked_cost(&self.order.plan, &step.lease);
        let rise = before.and_then(|before| check.total.checked_sub(before));
        if let Err(why) = rise.ok_or_else(out_of_range).and_then(|rise| self.spend_headroom(rise)) {
            return Ok(Err(why));
        }
        let event = price_event(step, check, before, self.order.plan.currency);
        self.write_step(step, vec![event]).await.map(Ok)
    }

    /// The price of a service in another size.
    pub(super) async fn resized_price(&self, step: &Step, sku: &SkuId) -> Result<PriceCheck, String> {
        let lease = Lease { sku: sku.clone(), ..step.lease.clone() };
        let lease = Lease { offer: lease.own_offer_id(), ..lease };
        let resized = Step { lease, ..step.clone() };
        current_price(self.engine, &self.policy, &self.order.plan, &resized, SurchargeRule::AsSold).await
    }

    /// Takes a rise off what `max_total` leaves.
    fn spend_headroom(&self, rise: Decimal) -> Result<(), String> {
        let mut room = self.headroom.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(left), Some(most)) = (room.as_mut(), self.policy.max_total) else { return Ok(()) };
        let rest = left.checked_sub(rise).ok_or_else(out_of_range)?;
        if rise > Decimal::ZERO {
            let total = most.checked_sub(rest).ok_or_else(out_of_range)?;
            check_limit(most, total, self.order.plan.currency)?;
        }
        *left = rest;
        Ok(())
    }

    /// Checks a step's price again if the last check is too old for an intent. False: the step must not be bought, and was given
    /// up.
    pub(super) async fn price_holds(&self, step: &mut Step) -> Result<bool, PurchaseError> {
        if let Some(check) = &step.lease.checked
            && is_recent(check, Timestamp::now())
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
            let before = last_checked_cost(&self.order.plan, &step.lease).ok_or_else(out_of_range)?;
            self.spend_headroom(check.total.checked_sub(before).ok_or_else(out_of_range)?)?;
            Ok(check)
        });
        match outcome {
            Ok(check) => {
                let before = planned_cost(&self.order.plan, &step.lease).map(|cost| cost.total);
                let event = price_event(step, check.clone(), before, self.order.plan.currency);
                step.lease.checked = Some(check);
                self.write_step(step, vec![event]).await?;
                Ok(true)
            }
            Err(why) => {
                self.record_failure(step, why.clone(), None).await?;
                self.give_up(step, None, &why);
                Ok(false)
            }
        }
    }
}

/// The event of one step's price check.
fn price_event(
    step: &Step,
    check: PriceCheck,
    before: Option<Decimal>,
    currency: Currency,
) -> OrderEventKind {
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

/// Whether a check is at most [`MAX_CHECK_AGE`] old. A check of the future was made before a clock was set back.
fn is_recent(check: &PriceCheck, now: Timestamp) -> bool {
    let age = now.duration_since(check.at);
    !age.is_negative() && age.unsigned_abs() < MAX_CHECK_AGE && check.valid_until.is_none_or(|end| now < end)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::model::{CommitmentCost, PriceAuthority};

    #[test]
    fn a_check_is_fresh_for_some_minutes_and_no_longer_than_its_quote() {
        let now = Timestamp::now();
        let zero = CommitmentCost { monthly: Decimal::ZERO, once: Decimal::ZERO, total: Decimal::ZERO };
        let check = PriceCheck { at: now, ..price_check(zero, Some(PriceAuthority::Listing)) };
        let after = |seconds| now.checked_add(SignedDuration::from_secs(seconds)).expect("a time");
        assert!(is_recent(&check, now) && is_recent(&check, after(100)));
        assert!(!is_recent(&check, after(181)), "too old");
        assert!(!is_recent(&check, after(-1)), "of the future");
        let ends = PriceCheck { valid_until: Some(after(50)), ..check };
        assert!(is_recent(&ends, after(49)) && !is_recent(&ends, after(50)), "the quote has ended");
    }
}
