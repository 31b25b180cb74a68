//! What a provider that is not in the plan would have to charge to get in.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;

use super::oracle::{Answer, Asker, Value};
use crate::{
    catalogue::Catalogue,
    compose::{bnb::branch_and_bound::Goal, objective::MICRO},
    model::{Blueprint, Filter, Lease, Measure, Objective, Plan, ProviderId, to_micros},
};

/// A provider that is not in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Who.
    pub provider: ProviderId,
    /// With so many per cent off all its prices for leases, rounded up to four decimals, the best plan that buys
    /// from it costs no more than the present one; none if it would not be in the best plan even for nothing.
    pub discount_percent: Option<Decimal>,
}

/// Rounds after which what is known is the answer: it converges faster than linearly.
const MAX_ROUNDS: usize = 12;

pub(super) fn entries(asker: &mut Asker<'_>, blueprint: &Blueprint, plan: &Plan, most: usize) -> Vec<Entry> {
    if blueprint.objective != Objective::InTurn(vec![Measure::Cost]) {
        return Vec::new();
    }
    let used: BTreeSet<&ProviderId> = plan.leases.iter().map(|lease| &lease.place.provider).collect();
    let others = eligible(asker.catalogue, blueprint).into_iter().filter(|provider| !used.contains(provider));
    let mut entries = Vec::new();
    for provider in others.take(most) {
        if asker.is_stopped {
            break;
        }
        if let Some(discount_percent) = discount(asker, blueprint, plan, &provider) {
            entries.push(Entry { provider, discount_percent });
        }
    }
    entries.sort_by(|a, b| {
        let key = |entry: &Entry| (entry.discount_percent.is_none(), entry.discount_percent);
        (key(a), &a.provider).cmp(&(key(b), &b.provider))
    });
    entries
}

/// Providers of which some offer passes the filters, by name.
fn eligible(catalogue: &Catalogue, blueprint: &Blueprint) -> BTreeSet<ProviderId> {
    let passes = |filter: &Filter, ix| catalogue.refusal(ix, filter).is_none();
    let is_fit = |ix: &_| {
        blueprint.components.values().any(|component| {
            let (global, own) =
                crate::compose::formulation::eligibility::pair(&blueprint.filter, &component.filter);
            component.kind == catalogue.kind(*ix)
                && passes(&global, *ix)
                && passes(&own, *ix)
                && catalogue.unknown_setting(*ix, &component.settings).is_none()
        })
    };
    let mut providers = BTreeSet::new();
    for ix in catalogue.ids() {
        let provider = &catalogue.place(ix).provider;
        if !providers.contains(provider) && is_fit(&ix) {
            providers.insert(provider.clone());
        }
    }
    providers
}

/// The least discount `d` with which some plan `x` costs no more than the present one: `C(x) - d·S(x) ≤ C*`, where
/// `S(x)` is what the provider gets of it. A ratio of two sums is minimised by a few searches for the least of
/// `C(x) - d·S(x)`, each with the `d` that the last one gave (W. Dinkelbach, "On nonlinear fractional programming",
/// Management Science 13(7), 1967). `None` if a search did not end.
fn discount(
    asker: &mut Asker<'_>,
    blueprint: &Blueprint,
    plan: &Plan,
    provider: &ProviderId,
) -> Option<Option<Decimal>> {
    let horizon = Decimal::from(blueprint.horizon_months);
    let present = plan.objective.checked_mul(horizon)?.checked_mul(Decimal::from(MICRO))?.round();
    let present = rust_decimal::prelude::ToPrimitive::to_i128(&present)?;
    let mut millionths = MICRO;
    let mut best = None;
    for _ in 0..MAX_ROUNDS {
        let answer =
            asker.ask(blueprint, Goal::Best, |aim| aim.discount = Some((provider.clone(), millionths)));
        let Answer::Plan(value) = answer else { return None };
        let Value { found, plan: other, exact, is_proven: true, .. } = *value else { return None };
        let is_theirs = |lease: &&Lease| lease.place.provider == *provider && lease.keeps.is_none();
        let lines = other.leases.iter().filter(is_theirs).flat_map(|lease| &lease.lines);
        let full: i128 =
            lines.map(|line| to_micros(line.total).map(i128::from)).sum::<Result<i128, _>>().ok()?;
        if full == 0 {
            break; // it is not in
        }
        let of = |offer| &asker.catalogue.place(offer).provider == provider;
        let theirs = found.leases.iter().filter(|(column, _)| of(column.offer) && column.keeps.is_none());
        let reduced =
            theirs.map(|(column, count)| i128::from(column.cost) * i128::from(*count)).sum::<i128>();
        let above = exact - reduced + full - present;
        let needed = (above.max(0) * i128::from(MICRO) + full - 1) / full;
        let needed = i64::try_from(needed).ok()?;
        best = Some(needed);
        if needed >= millionths || needed == 0 {
            break;
        }
        millionths = needed;
    }
    Some(best.map(|millionths| Decimal::new(millionths, 4)))
}
