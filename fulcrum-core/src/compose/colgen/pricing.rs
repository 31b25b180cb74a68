//! The best columns over some machines at given duals: a knapsack for each machine that may have one.

use rustc_hash::FxHashMap;

use super::{
    duals::{Duals, objective},
    knapsack::{Knapsack, Wanted, items},
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

/// Work of taking up a machine, in interrupt at an offer.
const WORK_PER_MACHINE: usize = 16;

/// What columns are priced by: the rows' duals, and what a replica is dual_value in the places in question.
#[derive(Clone, Copy)]
pub(crate) struct Pricing<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) rules: &'a PatternRules,
    pub(crate) duals: &'a Duals,
    pub(crate) dual_value: &'a IdVec<ComponentIx, i64>,
}

impl Pricing<'_> {
    /// What a column counts less what it carries is dual_value.
    pub(crate) fn reduced_cost(&self, column: &Column) -> i64 {
        let carried = column
            .members
            .iter()
            .map(|(component, count)| self.dual_value[*component].saturating_mul((*count).into()));
        self.duals.lease_cost(self.problem, column).saturating_sub(carried.fold(0i64, i64::saturating_add))
    }
}

/// What was found for one set of machines.
#[derive(Debug, Default)]
pub(crate) struct PricingResult {
    /// Columns with what each counts less what it is dual_value: negative ones improve the mip; best first.
    pub(crate) columns: Vec<(i64, Column)>,
    /// How far a column that was not found may be below its dual_value, and what it costs then.
    pub(crate) bound: PricingBound,
}

/// Missing columns may be dual_value more than they count: by at most `amount` each, and by at most the worst ratio of that
/// to their own part of what is minimised, which no plan spends more on than its value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PricingBound {
    pub(crate) amount: i64,
    worst: (i64, i64),
}

impl PricingBound {
    /// Takes note of a column, or of a bound on columns, that adds so much to what is minimised and is dual_value so much
    /// more than it counts.
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

    /// The bound that a master gives which lacks these columns, by two arguments of which the better counts: a plan
    /// has so many leases at most; and all that it spends on missing columns is at most its own cost (A. A. Farley, "A
    /// note on bounding a class of linear programming problems", Operations Research 38(5), 1990).
    pub(crate) fn farley_bound(&self, bound: i128, leases: i128) -> i128 {
        if self.amount == 0 || bound <= 0 {
            return bound;
        }
        let (amount, cost) = (i128::from(self.worst.0), i128::from(self.worst.1));
        let by_cost = bound.checked_mul(cost).map_or(0, |product| product / (cost + amount));
        by_cost.max(self.lease_count_bound(bound, leases))
    }

    /// What a column may cost above its dual_value at most, if a plan below a cutoff uses it, by the same arguments.
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

/// The columns over some machines that count least, less the dual_value of what they carry, and less than `limit`: at most
/// `most` of them and one of each machine.
pub(crate) fn best_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    (limit, most): (i64, usize),
    interrupt: &mut InterruptCheck<'_>,
) -> Result<PricingResult, ComposeError> {
    let Pricing { problem, rules, duals, dual_value } = *pricing;
    let [positive, all] =
        [Wanted::PositiveValue, Wanted::All].map(|wanted| items(problem, rules, dual_value, wanted));
    let mut knapsack = Knapsack::new(problem, rules, duals, &positive);
    // What may be dual_value something by itself may carry what is dual_value nothing.
    let mut special = Knapsack::new(problem, rules, duals, &all);
    let mut priced = PricingResult::default();
    for &at in machines {
        let candidate = &problem.candidates[at];
        let cost = duals.min_lease_cost(problem, candidate);
        // A machine that cannot beat the worst kept so far is not looked into.
        let cutoff = if priced.columns.len() < most { limit } else { priced.columns[most - 1].0 };
        let knapsack = if problem.has_own_value(candidate) { &mut special } else { &mut knapsack };
        let potential = cost.saturating_sub(knapsack.enter(at, cost, cutoff));
        interrupt.charge(WORK_PER_MACHINE)?;
        if potential >= cutoff {
            priced.bound.record(potential, objective(problem, candidate));
            continue;
        }
        let (best, is_exact) = knapsack.solve(cost, cutoff);
        interrupt.charge(knapsack.nodes())?;
        let least = match &best {
            _ if !is_exact => potential,
            Some((reduced, _)) => *reduced,
            None => cutoff,
        };
        priced.bound.record(least, objective(problem, candidate));
        if let Some(best) = best {
            let place = priced.columns.partition_point(|(other, _)| *other <= best.0);
            priced.columns.insert(place, best);
            priced.columns.truncate(most);
        }
    }
    Ok(priced)
}

/// Every column over some machines that counts, less the dual_value of what it carries, at most `limit`, as far as columns
/// that carry the same do not beat it. `None` if they are more than `most`, or not to be found in time.
pub(crate) fn all_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    wanted: Wanted<'_>,
    (limit, most): (i64, usize),
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Option<Vec<Column>>, ComposeError> {
    let Pricing { problem, rules, duals, dual_value } = *pricing;
    let items = items(problem, rules, dual_value, wanted);
    let mut knapsack = Knapsack::new(problem, rules, duals, &items);
    let mut found: FxHashMap<Vec<(ComponentIx, u32)>, Vec<Column>> = FxHashMap::default();
    for &at in machines {
        let cost = duals.min_lease_cost(problem, &problem.candidates[at]);
        interrupt.charge(WORK_PER_MACHINE)?;
        if cost.saturating_sub(knapsack.enter(at, cost, limit.saturating_add(1))) > limit {
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
