//! Whether a plan's traffic is what its flows send, and still costs what the plan says.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{backoff::retry_transient, engine::Engine, price_terms::out_of_range, step_failures::cut};
use crate::{
    catalogue::{Catalogue, TrafficTariff},
    model::{EndPoint, Flow, Lease, Money, Plan, Policy, ProviderId, TrafficLine, from_micros},
    provider::Call,
};

/// Whether the traffic lines carry what the flows send: no line is missing, too much, or of another size.
pub(super) fn check_lines(plan: &Plan) -> Result<(), String> {
    let mut sent: BTreeMap<(&ProviderId, &str), u64> = BTreeMap::new();
    for (at, flow) in sending(plan) {
        let lease = holders(plan, flow).next();
        let tariff = flow.tariff.as_deref();
        let (Some(lease), Some(tariff)) = (lease, tariff) else {
            return Err(format!("nobody of it sends flows[{at}], or charges for that; compose again"));
        };
        let sum = sent.entry((&lease.place.provider, tariff)).or_default();
        *sum = sum.saturating_add(flow.gib);
    }
    let listed: BTreeMap<(&ProviderId, &str), u64> =
        plan.traffic.iter().map(|line| ((&line.provider, line.tariff.as_str()), line.gib)).collect();
    if listed == sent && listed.len() == plan.traffic.len() {
        return Ok(());
    }
    Err("its traffic lines are not what its flows send; compose again".to_owned())
}

/// By how much a month's traffic is dearer now than in the plan, within what the policy tolerates. `tariff_of` says what is
/// known of a lease's traffic now; none where nobody tells, which the policy may allow.
///
/// # Errors
/// In words: it is dearer, or nobody can tell.
fn rise(
    plan: &Plan,
    policy: &Policy,
    tariff_of: impl Fn(&Lease) -> Option<TrafficTariff>,
) -> Result<Decimal, String> {
    let mut rise = Decimal::ZERO;
    for line in &plan.traffic {
        let Some(now) = month_of(plan, line, &tariff_of)? else {
            if policy.allow_unchecked_prices {
                continue;
            }
            return Err(format!(
                "nobody tells what traffic of {} costs now; compose again, or let the policy's \
                 `may_buy_unchecked` allow it",
                line.provider
            ));
        };
        let far = || "its traffic is outside the range of money; compose again".to_owned();
        let more = line.monthly.checked_mul(policy.price_tolerance_percent);
        let more = more.and_then(|more| more.checked_div(Decimal::ONE_HUNDRED)).ok_or_else(far)?;
        if now > line.monthly.checked_add(more).ok_or_else(far)? {
            return Err(format!(
                "traffic of {} costs {} a month now, {} in the plan; compose again, or allow a higher \
                 price_tolerance_percent",
                line.provider,
                Money::new(now, plan.currency),
                Money::new(line.monthly, plan.currency)
            ));
        }
        let dearer = now.checked_sub(line.monthly).ok_or_else(far)?;
        rise = rise.checked_add(dearer).ok_or_else(far)?;
    }
    Ok(rise)
}

/// What is known of a lease's traffic in a catalogue, within what the policy tolerates.
pub(super) fn check_against_catalogue(
    catalogue: &Catalogue,
    plan: &Plan,
    policy: &Policy,
) -> Result<(), String> {
    let tariff_of = |lease: &Lease| {
        let price = catalogue.egress(catalogue.find(&lease.own_offer_id())?)?;
        TrafficTariff::new(price, catalogue.rates(), plan.currency)
    };
    rise(plan, policy, tariff_of).map(drop)
}

/// By how much all traffic is dearer over the horizon than in the plan, at what providers list now, else at what the host's
/// catalogue says.
pub(super) async fn current_rise(engine: &Engine, policy: &Policy, plan: &Plan) -> Result<Decimal, String> {
    if plan.traffic.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let charging: BTreeSet<&ProviderId> = plan.traffic.iter().map(|line| &line.provider).collect();
    let mut listed = BTreeMap::new();
    for id in charging {
        if let Some(provider) = engine.providers.get(id).filter(|it| it.capabilities().can(Call::Offers)) {
            let list = retry_transient(|| engine.listings.of(provider)).await;
            let list = list.map_err(|error| {
                format!("no present price of traffic at {id}: {}", cut(&error.to_string()))
            })?;
            listed.insert(id, list);
        }
    }
    let (catalogue, (rates, _)) = (engine.market.catalogue(), engine.market.rates());
    let rise = rise(plan, policy, |lease| {
        let known = || catalogue.egress(catalogue.find(&lease.own_offer_id())?);
        let price = match listed.get(&lease.place.provider) {
            Some(list) => match list.named(lease) {
                Some(offer) => offer.egress.as_deref(),
                None => known(),
            },
            None => known(),
        };
        TrafficTariff::new(price?, &rates, plan.currency)
    })?;
    rise.checked_mul(plan.horizon_months.unwrap_or(1).into()).ok_or_else(out_of_range)
}

/// What a line's traffic costs a month now; none if nobody tells.
fn month_of(
    plan: &Plan,
    line: &TrafficLine,
    tariff_of: &impl Fn(&Lease) -> Option<TrafficTariff>,
) -> Result<Option<Decimal>, String> {
    let mut pools: BTreeMap<TrafficTariff, u64> = BTreeMap::new();
    for (_, flow) in sending(plan).filter(|(_, flow)| flow.tariff.as_ref() == Some(&line.tariff)) {
        let holders = holders(plan, flow).filter(|lease| lease.place.provider == line.provider);
        let tariffs: Vec<_> = holders.filter_map(&tariff_of).collect();
        // Of several under one roof that which the plan means, if it is there still; else the dearest.
        let same = tariffs.iter().find(|tariff| tariff.text() == line.tariff);
        let dearest = || tariffs.iter().max_by_key(|tariff| tariff.month(flow.gib).unwrap_or(i64::MAX));
        match same.or_else(dearest) {
            Some(tariff) => {
                let sum = pools.entry(tariff.clone()).or_default();
                *sum = sum.saturating_add(flow.gib);
            }
            None if holders_at(plan, flow, &line.provider) => return Ok(None),
            None => {}
        }
    }
    let far = || format!("traffic of {} is outside the range of money; compose again", line.provider);
    let month = pools
        .iter()
        .try_fold(Decimal::ZERO, |sum, (tariff, gib)| sum.checked_add(from_micros(tariff.month(*gib)?)));
    month.map(Some).ok_or_else(far)
}

fn sending(plan: &Plan) -> impl Iterator<Item = (usize, &Flow)> {
    plan.flows.iter().enumerate().filter(|(_, flow)| flow.gib > 0)
}

/// The leases that may send a flow.
fn holders<'a>(plan: &'a Plan, flow: &'a Flow) -> impl Iterator<Item = &'a Lease> {
    let is_there = |lease: &&Lease| {
        lease.replicas.contains_key(&flow.from) && EndPoint::of(&lease.place).name == flow.from_region
    };
    plan.leases.iter().filter(is_there)
}

fn holders_at(plan: &Plan, flow: &Flow, provider: &ProviderId) -> bool {
    holders(plan, flow).any(|lease| lease.place.provider == *provider)
}
