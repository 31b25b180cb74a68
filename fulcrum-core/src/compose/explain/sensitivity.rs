//! Why this plan: which conditions cost money, which plans come next, who else would get in.

use std::{collections::BTreeSet, fmt};

use rust_decimal::Decimal;
use serde::Serialize;

use super::{
    break_even,
    break_even::Entry,
    conditions,
    conditions::Condition,
    oracle::{Answer, Asker},
};
use crate::{
    catalogue::Catalogue,
    compose::{
        error::ComposeError,
        options::{ComposeOptions, Progress, Signal},
    },
    model::{Blueprint, Plan, ProviderId},
};

/// Why a plan is as it is. Figures are a month's, in the unit of what is minimised first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Of what is minimised: a currency, if it is money.
    pub unit: String,
    /// Conditions without which a better plan would exist, the dearest first.
    pub binding: Vec<Binding>,
    /// For each provider of the plan the best plan without it, the nearest first.
    pub runners_up: Vec<RunnerUp>,
    /// For providers that are not in the plan, what they would have to charge to get in, the nearest first. Empty
    /// unless money alone is minimised.
    pub entries: Vec<Entry>,
    /// Whether all questions were answered before the caller stopped.
    pub is_complete: bool,
}

/// A condition that a better plan would break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// Where it stands and what it says, as in a [`Conflict`](crate::compose::Conflict).
    pub condition: String,
    /// How much better the best plan is without it.
    pub costs: Decimal,
    /// Whether that is exact; else it is at least so much.
    pub is_proven: bool,
}

/// The best plan without one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerUp {
    /// Whom.
    pub without: ProviderId,
    /// How much worse it is; none if there is no plan without the provider.
    pub more: Option<Decimal>,
    /// The plan, for the blueprint that denies the provider.
    pub plan: Option<Plan>,
}

/// Providers that are asked what they would have to charge: the first ones by name that have an offer that fits.
const MAX_ENTRIES: usize = 24;

/// Explains a plan that [`compose`](crate::compose::compose()) made for this blueprint and catalogue, by asking again
/// with one point changed: so many searches as there are conditions and providers. `watch` may end it, and what is
/// known by then is the answer.
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
    crate::compose::verify::verify(catalogue, blueprint, plan).map_err(ComposeError::Foreign)?;
    let mut asker = Asker::new(catalogue, options, watch);
    let binding = binding(&mut asker, blueprint, plan);
    let entries = break_even::entries(&mut asker, blueprint, plan, MAX_ENTRIES);
    let runners_up = runners_up(&mut asker, blueprint, plan)?;
    let unit = blueprint.objective.unit(blueprint.currency);
    Ok(Explanation { unit, binding, runners_up, entries, is_complete: !asker.is_stopped })
}

fn binding(asker: &mut Asker<'_>, blueprint: &Blueprint, plan: &Plan) -> Vec<Binding> {
    let mut binding = Vec::new();
    // What the application needs is no condition to be bargained with.
    for condition in
        conditions::all(asker.catalogue, blueprint).iter().filter(|c| !matches!(c, Condition::Need(..)))
    {
        let Answer::Plan(value) = asker.best(&condition.removed_from(blueprint)) else { continue };
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
    asker: &mut Asker<'_>,
    blueprint: &Blueprint,
    plan: &Plan,
) -> Result<Vec<RunnerUp>, ComposeError> {
    let providers: BTreeSet<&ProviderId> = plan.leases.iter().map(|lease| &lease.place.provider).collect();
    let mut runners_up = Vec::new();
    for provider in providers {
        if asker.is_stopped {
            break;
        }
        let mut without = blueprint.clone();
        without.filter.providers.deny.push(provider.clone());
        let next = match asker.plan(&without) {
            Ok(next) => next,
            Err(ComposeError::Stopped | ComposeError::TooLarge(_)) => continue,
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
    /// As a document for other programs, with the lines for people as `text`.
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
        for Entry { provider, discount_percent } in &self.entries {
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
