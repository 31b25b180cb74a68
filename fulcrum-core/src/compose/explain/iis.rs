//! Irreducible infeasible sets (IIS), and the ways out.
//!
//! QuickXplain (U. Junker, "QUICKXPLAIN: Preferred explanations and relaxations for over-constrained problems", AAAI 2004) halves the
//! conditions, and asks which ones are infeasible together. It asks in the order of the logarithm of their number for each condition of
//! the set. Without any one of its conditions there is a plan.
//!
//! Where a plan exists without the budget, what components need, and how many of them, is no suspect: it always costs something.

use rust_decimal::Decimal;

use super::{
    conditions,
    conditions::Condition,
    oracle::{Oracle, PlanValue, Verdict},
};
use crate::{
    catalogue::Catalogue,
    compose::{
        bnb::branch_and_bound::Goal,
        error::{ComposeError, InfeasibleSet, WayOut},
        options::{ComposeOptions, Progress, Signal},
    },
    model::Blueprint,
};

/// Nodes of a question where a budget is one of the conditions: without some others it may be as hard as can be.
const MAX_BUDGET_NODES: u64 = 300;

/// The infeasible set of a blueprint that has no plan.
pub(crate) fn infeasible_set(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<InfeasibleSet, ComposeError> {
    let mut oracle = Oracle::new(catalogue, options, watch);
    let cheapest = blueprint.budget.and_then(|budget| {
        match oracle.best(&conditions::without(blueprint, [&Condition::Budget])) {
            Verdict::Plan(value) => Some((budget, value)),
            Verdict::Infeasible | Verdict::Unknown => None,
        }
    });
    let mut suspects = conditions::all(catalogue, blueprint);
    if cheapest.is_some() {
        oracle.limit_nodes(MAX_BUDGET_NODES);
        suspects.retain(|condition| !matches!(condition, Condition::Need(..) | Condition::Replicas(_)));
    }
    // Those that people give up last come last here: the set avoids them if it can.
    suspects.reverse();
    let mut search = QuickXplain { blueprint, oracle, suspects, is_minimal: true };
    let all: Vec<usize> = (0..search.suspects.len()).collect();
    let mut found = search.minimal(Vec::new(), true, &all);
    found.sort_unstable_by(|a, b| b.cmp(a));
    let QuickXplain { mut oracle, suspects, is_minimal, .. } = search;
    let kept: Vec<Condition> = found.into_iter().map(|at| suspects[at].clone()).collect();
    let priced = |condition: &Condition| {
        cheapest.as_ref().filter(|_| *condition == Condition::Budget).map(|(_, value)| value)
    };
    // A condition that helps alone is in every infeasible set, and so in this one.
    let mut ways_out: Vec<WayOut> = kept
        .iter()
        .filter(|condition| !matches!(condition, Condition::Need(..)))
        .filter_map(|condition| {
            let (objective, is_proven) = match priced(condition) {
                Some(known) => (known.objective, known.is_proven),
                None => match oracle.best(&conditions::without(blueprint, [condition])) {
                    Verdict::Plan(value) => (value.objective, value.is_proven),
                    Verdict::Infeasible | Verdict::Unknown => return None,
                },
            };
            Some(WayOut { condition: condition.text(blueprint), objective, is_proven })
        })
        .collect();
    ways_out.sort_by_key(|way| way.objective);
    let costs = |(budget, value): &(Decimal, Box<PlanValue>)| {
        let word = if value.is_proven { "the cheapest plan" } else { "the cheapest plan that was found" };
        let (monthly, currency) = (value.plan.monthly, blueprint.currency.code());
        format!("{word} costs {monthly} {currency} a month, and the budget is {budget} {currency}")
    };
    let costs = cheapest.as_ref().filter(|_| kept.contains(&Condition::Budget)).map(costs);
    let hint = costs.or_else(|| conditions::hint(catalogue, blueprint, options, &kept));
    Ok(InfeasibleSet {
        conditions: kept.iter().map(|condition| condition.text(blueprint)).collect(),
        is_minimal,
        hint,
        ways_out,
    })
}

/// The search for conditions that are infeasible together, by their positions.
struct QuickXplain<'a> {
    blueprint: &'a Blueprint,
    oracle: Oracle<'a>,
    /// The most dispensable ones first.
    suspects: Vec<Condition>,
    /// Whether each question was answered.
    is_minimal: bool,
}

impl QuickXplain<'_> {
    /// Of `these`, conditions that are needed for infeasibility with `background`. `has_grown`: the background may be infeasible by
    /// itself.
    fn minimal(&mut self, background: Vec<usize>, has_grown: bool, these: &[usize]) -> Vec<usize> {
        if has_grown && self.is_infeasible(&background) {
            return Vec::new();
        }
        if these.len() <= 1 {
            return these.to_vec();
        }
        let (first, second) = these.split_at(these.len() / 2);
        let with = |more: &[usize]| [background.as_slice(), more].concat();
        let needed = self.minimal(with(first), !first.is_empty(), second);
        let others = self.minimal(with(&needed), !needed.is_empty(), first);
        [needed, others].concat()
    }

    /// Whether these conditions alone have no plan. One that is not decided counts as if there was one: then more conditions stay.
    fn is_infeasible(&mut self, these: &[usize]) -> bool {
        let off = self.suspects.iter().enumerate().filter(|(at, _)| !these.contains(at)).map(|(_, it)| it);
        let rest = conditions::without(self.blueprint, off);
        match self.oracle.solve(&rest, Goal::Feasible, |_| {}) {
            Verdict::Infeasible => true,
            Verdict::Plan(_) => false,
            Verdict::Unknown => {
                self.is_minimal = false;
                false
            }
        }
    }
}
