//! Break-even discounts: what a provider outside the plan would have to charge to get in.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;

use super::oracle::{Oracle, PlanValue, Verdict};
use crate::{
    compose::{bnb::branch_and_bound::Goal, objective::MICROS_PER_UNIT},
    model::{Blueprint, Filter, Lease, Measure, Objective, Plan, ProviderId, to_micros},
};

/// A provider outside the plan, and the discount that would bring it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct EntryDiscount {
    /// The provider.
    pub provider: ProviderId,
    /// The discount on all its prices for leases, in per cent rounded up to four decimals, at which the best plan that
    /// uses it costs no more than the present one. `None` if no discount is enough.
    #[schemars(with = "Option<String>")]
    pub discount_percent: Option<Decimal>,
}

/// Searches per provider; the method converges faster than linearly.
const MAX_DINKELBACH_ROUNDS: usize = 12;

pub(super) fn entry_discounts(
    oracle: &mut Oracle<'_>,
    blueprint: &Blueprint,
    plan: &Plan,
    most: usize,
) -> Vec<EntryDiscount> {
    if blueprint.objective != Objective::InTurn(vec![Measure::Cost]) {
        return Vec::new();
    }
    let used: BTreeSet<&ProviderId> = plan.leases.iter().map(|lease| &lease.place.provider).collect();
    let others = eligible(oracle, blueprint).into_iter().filter(|provider| !used.contains(provider));
    let mut entry_discounts = Vec::new();
    for provider in others.take(most) {
        if oracle.is_stopped {
            break;
        }
        if let Some(discount_percent) = discount(oracle, blueprint, plan, &provider) {
            entry_discounts.push(EntryDiscount { provider, discount_percent });
        }
    }
    entry_discounts.sort_by(|a, b| {
        let key = |entry: &EntryDiscount| (entry.discount_percent.is_none(), entry.discount_percent);
        (key(a), &a.provider).cmp(&(key(b), &b.provider))
    });
    entry_discounts
}

/// Providers with an offer that the options and the filters let through, by name.
fn eligible(oracle: &Oracle<'_>, blueprint: &Blueprint) -> BTreeSet<ProviderId> {
    let catalogue = oracle.catalogue;
    let passes = |filter: &Filter, ix| catalogue.failed_clause(ix, filter).is_none();
    let interfaces = blueprint.interfaces();
    let is_fit = |ix: &_| {
        blueprint.components.values().zip(&interfaces).any(|(component, interface)| {
            let (global, own) =
                crate::compose::formulation::eligibility::pair(&blueprint.filter, &component.filter);
            component.kind == catalogue.kind(*ix)
                && passes(&global, *ix)
                && passes(&own, *ix)
                && catalogue.interface_fault(*ix, interface).is_none()
        })
    };
    let mut providers = BTreeSet::new();
    for ix in catalogue.ids() {
        let provider = &catalogue.place(ix).provider;
        if !providers.contains(provider) && oracle.options.admits(catalogue, ix) && is_fit(&ix) {
            providers.insert(provider.clone());
        }
    }
    providers
}

/// The least discount `d` with which some plan `x` costs no more than the present one: `C(x) - d·S(x) ≤ C*`, where
/// `S(x)` is what the provider gets of it. `None` if a search did not end.
///
/// A few searches minimise this ratio of two sums. Each minimises `C(x) - d·S(x)` with the `d` that the search before
/// it gave (W. Dinkelbach, "On nonlinear fractional programming", Management Science 13(7), 1967).
fn discount(
    oracle: &mut Oracle<'_>,
    blueprint: &Blueprint,
    plan: &Plan,
    provider: &ProviderId,
) -> Option<Option<Decimal>> {
    let horizon = Decimal::from(blueprint.horizon_months);
    let present = plan.objective.checked_mul(horizon)?.checked_mul(Decimal::from(MICROS_PER_UNIT))?.round();
    let present = rust_decimal::prelude::ToPrimitive::to_i128(&present)?;
    let mut millionths = MICROS_PER_UNIT;
    let mut best = None;
    for _ in 0..MAX_DINKELBACH_ROUNDS {
        let answer = oracle
            .solve(blueprint, Goal::Best, |stage| stage.discount = Some((provider.clone(), millionths)));
        let Verdict::Plan(value) = answer else { return None };
        let PlanValue { found, plan: other, exact, is_proven: true, .. } = *value else { return None };
        let is_theirs = |lease: &&Lease| lease.place.provider == *provider && lease.keeps.is_none();
        let lines = other.leases.iter().filter(is_theirs).flat_map(|lease| &lease.lines);
        let full: i128 =
            lines.map(|line| to_micros(line.total).map(i128::from)).sum::<Result<i128, _>>().ok()?;
        if full == 0 {
            break; // the plan does not use the provider
        }
        let of = |offer| &oracle.catalogue.place(offer).provider == provider;
        let theirs = found.leases.iter().filter(|(column, _)| of(column.offer) && column.retained.is_none());
        let reduced =
            theirs.map(|(column, count)| i128::from(column.cost) * i128::from(*count)).sum::<i128>();
        let above = exact - reduced + full - present;
        let needed = (above.max(0) * i128::from(MICROS_PER_UNIT) + full - 1) / full;
        let needed = i64::try_from(needed).ok()?;
        best = Some(needed);
        if needed >= millionths || needed == 0 {
            break;
        }
        millionths = needed;
    }
    Some(best.map(|millionths| Decimal::new(millionths, 4)))
}
