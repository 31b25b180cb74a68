//! Pricing: the columns with the lowest reduced costs over some machines, from one knapsack for each machine that may
//! have one.

use rustc_hash::FxHashMap;

use super::{
    duals::{Duals, objective},
    knapsack::Knapsack,
    knapsack_items::{Wanted, items},
};
use crate::compose::{
    error::ComposeError,
    formulation::{ids::ComponentIx, problem::Problem},
    id_vec::IdVec,
    interrupt::InterruptCheck,
    presolve::{
        columns::{Column, nondominated},
        pattern_rules::PatternRules,
    },
};

/// Work of selecting a machine, in offers looked at.
const WORK_PER_MACHINE: usize = 16;

/// The dual values for pricing: those of the rows, and those of replicas in the places in question.
#[derive(Clone, Copy)]
pub(crate) struct Pricing<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) rules: &'a PatternRules,
    pub(crate) duals: &'a Duals,
    pub(crate) dual_value: &'a IdVec<ComponentIx, i64>,
    /// The replicas of each component that may still come, where some are fixed.
    pub(crate) rest: Option<&'a IdVec<ComponentIx, u32>>,
}

impl Pricing<'_> {
    /// The reduced cost of a column.
    pub(crate) fn reduced_cost(&self, column: &Column) -> i64 {
        let carried = column
            .members
            .iter()
            .map(|(component, count)| self.dual_value[*component].saturating_mul((*count).into()));
        self.duals.lease_cost(self.problem, column).saturating_sub(carried.fold(0i64, i64::saturating_add))
    }
}

/// The result of pricing some machines.
#[derive(Debug, Default)]
pub(crate) struct PricingResult {
    /// Columns with their reduced costs, lowest first; negative ones improve the master.
    pub(crate) columns: Vec<(i64, Column)>,
    /// A bound on the reduced costs of the columns that were not found.
    pub(crate) bound: PricingBound,
    /// Machines whose best column is not proven.
    pub(crate) inexact: u64,
}

/// A bound on the reduced costs of unpriced columns: none is below `-amount`, and none has a worse ratio of reduced
/// cost to objective than `worst`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PricingBound {
    pub(crate) amount: i64,
    worst: (i64, i64),
}

impl PricingBound {
    /// Records the reduced cost and the objective of a column, or a bound on both.
    pub(crate) fn record(&mut self, reduced: i64, cost: i64) {
        if reduced < 0 {
            self.amount = self.amount.max(-reduced);
            let (amount, of) = self.worst;
            if amount == 0 || i128::from(-reduced) * i128::from(of) > i128::from(amount) * i128::from(cost) {
                self.worst = (-reduced, cost.max(0));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.amount = self.amount.max(other.amount);
        self.record(-other.worst.0, other.worst.1);
    }

    /// The bound of a master that lacks these columns: the better of two corrections.
    ///
    /// Either a plan has at most `leases` leases, each of which lowers the bound by at most `amount`. Or the plan
    /// spends at most its own value on unpriced columns (A. A. Farley, "A note on bounding a class of linear
    /// programming problems", Operations Research 38(5), 1990).
    pub(crate) fn farley_bound(&self, bound: i128, leases: i128) -> i128 {
        if self.amount == 0 || bound <= 0 {
            return bound;
        }
        let (amount, cost) = (i128::from(self.worst.0), i128::from(self.worst.1));
        let by_cost = bound.checked_mul(cost).map_or(0, |product| product / (cost + amount));
        by_cost.max(self.lease_count_bound(bound, leases))
    }

    /// The highest reduced cost of a column that a plan below the cutoff can use, by the same two arguments.
    pub(crate) fn reduced_cost_limit(&self, bound: i128, leases: i128, cutoff: i128) -> i128 {
        let lease_count_bound = cutoff.saturating_sub(self.lease_count_bound(bound, leases));
        let (amount, cost) = (i128::from(self.worst.0), i128::from(self.worst.1));
        let spent = cutoff.max(0).checked_mul(amount).and_then(|product| product.checked_div(cost));
        let by_cost = match spent {
            _ if amount == 0 => i128::MAX,
            Some(spent) => cutoff.saturating_sub(bound).saturating_add(spent).saturating_add(1),
            None => i128::MAX,
        };
        lease_count_bound.min(by_cost)
    }

    fn lease_count_bound(&self, bound: i128, leases: i128) -> i128 {
        bound.saturating_sub(i128::from(self.amount).saturating_mul(leases))
    }
}

/// The columns with the lowest reduced costs over some machines: at most `most`, one per machine, each below `limit`.
pub(crate) fn best_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    (limit, most): (i64, usize),
    interrupt: &mut InterruptCheck<'_>,
) -> Result<PricingResult, ComposeError> {
    let Pricing { problem, rules, duals, dual_value, rest } = *pricing;
    let [positive, all] = [Wanted::PositiveValue, Wanted::All]
        .map(|wanted| items(problem, rules, (dual_value, duals), wanted, rest));
    let mut knapsack = Knapsack::new(problem, rules, duals, &positive, machines);
    // A machine with a value of its own may carry components without one.
    let mut special = Knapsack::new(problem, rules, duals, &all, machines);
    let mut priced = PricingResult::default();
    for &at in machines {
        let candidate = &problem.candidates[at];
        let cost = duals.min_lease_cost(problem, candidate);
        // Machines that cannot beat the worst column kept so far are skipped.
        let cutoff = if priced.columns.len() < most { limit } else { priced.columns[most - 1].0 };
        let knapsack = if problem.has_own_value(candidate) { &mut special } else { &mut knapsack };
        let potential = cost.saturating_sub(knapsack.select_machine(at, cost, cutoff));
        interrupt.charge(WORK_PER_MACHINE)?;
        if potential >= cutoff {
            priced.bound.record(potential, objective(problem, candidate));
            continue;
        }
        let (best, least) = knapsack.solve(cost, cutoff, potential);
        interrupt.charge(knapsack.nodes())?;
        priced.bound.record(least, objective(problem, candidate));
        if let Some(best) = best {
            let place = priced.columns.partition_point(|(other, _)| *other <= best.0);
            priced.columns.insert(place, best);
            priced.columns.truncate(most);
        }
    }
    priced.inexact = knapsack.inexact + special.inexact;
    Ok(priced)
}

/// All non-dominated columns over some machines with a reduced cost of at most `limit`. `None` if they are more than
/// `most`, or if a node limit ended a knapsack.
pub(crate) fn all_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    wanted: Wanted<'_>,
    (limit, most): (i64, usize),
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Option<Vec<Column>>, ComposeError> {
    let Pricing { problem, rules, duals, dual_value, rest } = *pricing;
    let items = items(problem, rules, (dual_value, duals), wanted, rest);
    let mut knapsack = Knapsack::new(problem, rules, duals, &items, machines);
    let mut found: FxHashMap<Vec<(ComponentIx, u32)>, Vec<Column>> = FxHashMap::default();
    for &at in machines {
        let cost = duals.min_lease_cost(problem, &problem.candidates[at]);
        interrupt.charge(WORK_PER_MACHINE)?;
        if cost.saturating_sub(knapsack.select_machine(at, cost, limit.saturating_add(1))) > limit {
            continue;
        }
        let all = knapsack.all(cost, limit);
        interrupt.charge(2 * knapsack.nodes())?;
        let Some(all) = all else { return Ok(None) };
        for (_, column) in all {
            match found.get_mut(&column.members) {
                Some(same) => same.push(column),
                None => drop(found.insert(column.members.clone(), vec![column])),
            }
        }
        if found.len() > most {
            return Ok(None);
        }
    }
    let mut columns: Vec<(i64, Column)> = found
        .values()
        .flat_map(|same| nondominated(problem, same))
        .map(|column| (pricing.reduced_cost(&column), column))
        .collect();
    columns.sort_by(|(a, left), (b, right)| {
        (a, left.offer, left.retained, &left.members).cmp(&(b, right.offer, right.retained, &right.members))
    });
    Ok((columns.len() <= most).then(|| columns.into_iter().map(|(_, column)| column).collect()))
}

#[cfg(test)]
mod tests;
