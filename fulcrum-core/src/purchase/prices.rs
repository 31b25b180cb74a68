//! Whether a plan's prices still hold, before anything is bought.

use futures::StreamExt;
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Engine, failures::cut, provision::request};
use crate::{
    model::{Charge, Money, OrderEventKind, Plan, Policy, Step, from_micros, to_micros},
    provider::{ErrorKind, Quote},
};

/// The events to tell, or why the order must not buy.
pub(super) async fn check(
    engine: &Engine,
    policy: &Policy,
    plan: &Plan,
    steps: &[Step],
) -> Result<Vec<OrderEventKind>, String> {
    if policy.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err("the prices were valid only until a moment that has passed; compose again".to_owned());
    }
    let currency = plan.currency;
    let at_once = policy.concurrency.clamp(1, 256) as usize;
    // Collected first: a closure that borrows inside a stream would keep the order's future from being spawned.
    let calls: Vec<_> = steps.iter().map(|step| quote(engine, plan, step, currency)).collect();
    let quotes: Vec<Result<Option<Decimal>, String>> =
        futures::stream::iter(calls).buffered(at_once).collect().await;
    let mut events = Vec::new();
    let (mut planned, mut current) = (Decimal::ZERO, Decimal::ZERO);
    for (step, quoted) in steps.iter().zip(quotes) {
        let before: Decimal = step.lease.lines.iter().map(|line| line.monthly + line.once).sum();
        let now = match quoted? {
            Some(now) => now,
            None => {
                let error = "the provider quotes no prices; the plan's price stands".to_owned();
                let (index, provider) = (step.index, step.provider.clone());
                events.push(OrderEventKind::Attempt { index, provider, error });
                before
            }
        };
        let limit = before + before * policy.price_tolerance_percent / Decimal::ONE_HUNDRED;
        if now > limit {
            return Err(format!(
                "{} at {} costs {} now, {} in the plan; compose again, or allow a higher price_tolerance_percent",
                step.lease.sku,
                step.provider,
                Money::new(now, currency),
                Money::new(before, currency)
            ));
        }
        planned += before;
        current += now;
    }
    let money = |amount| Money::new(amount, currency);
    events.push(OrderEventKind::PricesChecked {
        planned: money(planned),
        current: money(current),
        checks: Vec::new(),
    });
    Ok(events)
}

/// What a step costs now, a month and once, in the plan's currency; `None` if the provider does not quote.
async fn quote(
    engine: &Engine,
    plan: &Plan,
    step: &Step,
    currency: Currency,
) -> Result<Option<Decimal>, String> {
    let provider = &engine.providers[&step.provider];
    let quote = match provider.quote(&request(&plan.blueprint, step)).await {
        Ok(quote) => quote,
        Err(error) if error.kind == ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(format!("no present price: {}", cut(&error.to_string()))),
    };
    if quote.valid_until.is_some_and(|end| Timestamp::now() > end) {
        return Err(format!("{} quotes a price that has expired", step.provider));
    }
    total(engine, step, &quote, currency).map(Some).ok_or_else(|| {
        format!(
            "the price that {} quotes for {} cannot be compared with the plan's",
            step.provider, step.lease.sku
        )
    })
}

fn total(engine: &Engine, step: &Step, quote: &Quote, currency: Currency) -> Option<Decimal> {
    let rounded = |amount, from| {
        let converted = engine.rates.convert(amount, from, currency)?;
        to_micros(converted).ok().map(from_micros)
    };
    let is_by_size = matches!(quote.price.charge, Charge::PerUnit { .. });
    let size = step.lease.size_gib;
    let month = rounded(quote.price.net_month(if is_by_size { size } else { 0 })?, quote.price.currency)?;
    let once = rounded(quote.price.net_once()?, quote.price.currency)?;
    let disk = match &quote.disk {
        _ if is_by_size || size == 0 => Decimal::ZERO,
        Some(disk) => rounded(disk.net_month(size)?, disk.currency)?,
        None => return None,
    };
    Some(month + once + disk)
}
