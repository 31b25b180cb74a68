//! Sensitivity: which conditions of a plan cost money, and which plans come next.

use std::{collections::BTreeSet, fmt};

use rust_decimal::Decimal;
use serde::Serialize;

use super::{
    break_even,
    break_even::EntryDiscount,
    conditions,
    conditions::Condition,
    oracle::{Oracle, Verdict},
};
use crate::{
    catalogue::Catalogue,
    compose::{
        error::ComposeError,
        options::{ComposeOptions, Progress, Signal},
    },
    model::{Blueprint, Plan, ProviderId},
};

/// Why a plan is as it is. Values are per month, in the unit of the first objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Explanation {
    /// The unit of the objective: a currency, if it is money.
    pub unit: String,
    /// Binding conditions, the dearest first.
    pub binding: Vec<Binding>,
    /// The best plan without each provider of the plan, the nearest first.
    pub runners_up: Vec<RunnerUp>,
    /// Break-even discounts of providers outside the plan, the nearest first. Empty unless cost alone is minimised.
    #[serde(rename = "entries")]
    pub entry_discounts: Vec<EntryDiscount>,
    /// Whether all questions were answered before the caller stopped the search.
    pub is_complete: bool,
}

/// A condition without which a better plan exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Binding {
    /// The condition, as in an [`InfeasibleSet`](crate::compose::InfeasibleSet).
    pub condition: String,
    /// How much better the best plan without the condition is.
    #[schemars(with = "String")]
    pub costs: Decimal,
    /// Whether `costs` is exact; otherwise it is a lower bound.
    pub is_proven: bool,
}

/// The best plan without one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RunnerUp {
    /// The provider that the plan does not use.
    pub without: ProviderId,
    /// How much worse the plan is; `None` if there is no plan without the provider.
    #[schemars(with = "Option<String>")]
    pub more: Option<Decimal>,
    /// The plan, for a blueprint that denies the provider.
    pub plan: Option<Plan>,
}

/// Providers with a break-even discount: the first by name that have a suitable offer.
const MAX_ENTRY_DISCOUNTS: usize = 24;

/// Explains a plan that [`compose`](crate::compose::compose()) made for this blueprint and catalogue: one search for
/// each condition and each provider. If `watch` stops it, the result is what is known by then.
///
/// # Errors
/// [`ComposeError`]: the blueprint is not well formed, or the plan does not belong to it.
pub fn explain(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    plan: &Plan,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Explanation, ComposeError> {
    blueprint.check()?;
    crate::compose::verify::verify(catalogue, blueprint, plan).map_err(ComposeError::PlanMismatch)?;
    let options = &options.as_for(plan);
    let mut oracle = Oracle::new(catalogue, options, watch);
    let binding = binding(&mut oracle, blueprint, plan);
    let entry_discounts = break_even::entry_discounts(&mut oracle, blueprint, plan, MAX_ENTRY_DISCOUNTS);
    let runners_up = runners_up(&mut oracle, blueprint, plan)?;
    let unit = blueprint.objective.unit(blueprint.currency);
    Ok(Explanation { unit, binding, runners_up, entry_discounts, is_complete: !oracle.is_stopped })
}

fn binding(oracle: &mut Oracle<'_>, blueprint: &Blueprint, plan: &Plan) -> Vec<Binding> {
    let mut binding = Vec::new();
    // The demand of the application is not negotiable.
    for condition in
        conditions::all(oracle.catalogue, blueprint).iter().filter(|c| !matches!(c, Condition::Need(..)))
    {
        let Verdict::Plan(value) = oracle.best(&conditions::without(blueprint, [condition])) else {
            continue;
        };
        let costs = plan.objective.saturating_sub(value.objective);
        if costs > Decimal::ZERO {
            binding.push(Binding {
                condition: condition.text(blueprint),
                costs,
                is_proven: value.is_proven && plan.is_optimal(),
            });
        }
    }
    binding.sort_by_key(|binding| std::cmp::Reverse(binding.costs));
    binding
}

fn runners_up(
    oracle: &mut Oracle<'_>,
    blueprint: &Blueprint,
    plan: &Plan,
) -> Result<Vec<RunnerUp>, ComposeError> {
    let providers: BTreeSet<&ProviderId> = plan.leases.iter().map(|lease| &lease.place.provider).collect();
    let mut runners_up = Vec::new();
    for provider in providers {
        if oracle.is_stopped {
            break;
        }
        let mut without = blueprint.clone();
        without.filter.providers.deny.push(provider.clone());
        let next = match oracle.plan(&without) {
            Ok(next) => next,
            Err(ComposeError::Stopped { .. } | ComposeError::TooLarge(_)) => continue,
            Err(error) => return Err(error),
        };
        let more = next.as_ref().map(|next| next.objective.saturating_sub(plan.objective));
        runners_up.push(RunnerUp { without: provider.clone(), more, plan: next });
    }
    runners_up
        .sort_by(|a, b| (a.more.is_none(), a.more, &a.without).cmp(&(b.more.is_none(), b.more, &b.without)));
    Ok(runners_up)
}

impl Explanation {
    /// The explanation as a JSON document, with the lines for people as `text`.
    pub fn to_document(&self) -> serde_json::Value {
        let mut document = serde_json::to_value(self).unwrap_or_default();
        document["text"] = self.to_string().into();
        document
    }
}

impl fmt::Display for Explanation {
    /// One line each, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = &self.unit;
        for Binding { condition, costs, is_proven } in &self.binding {
            let about = if *is_proven { "" } else { "at least " };
            writeln!(f, "{condition} costs {about}{} {unit}", costs.normalize())?;
        }
        for runner_up in &self.runners_up {
            let RunnerUp { without, more, plan } = runner_up;
            match (more, plan) {
                (Some(more), Some(plan)) => {
                    let names: BTreeSet<&str> =
                        plan.leases.iter().map(|lease| lease.place.provider.as_str()).collect();
                    let names: Vec<&str> = names.into_iter().collect();
                    writeln!(
                        f,
                        "without {without}: {} {unit} more, at {}",
                        more.normalize(),
                        names.join(", ")
                    )?;
                }
                _ => writeln!(f, "without {without}: no plan")?,
            }
        }
        for EntryDiscount { provider, discount_percent } in &self.entry_discounts {
            match discount_percent {
                Some(percent) => writeln!(f, "{provider} would get in at {} % less", percent.normalize())?,
                None => writeln!(f, "{provider} would not get in, whatever it charges")?,
            }
        }
        if !self.is_complete {
            writeln!(f, "stopped before everything was asked")?;
        }
        Ok(())
    }
}
