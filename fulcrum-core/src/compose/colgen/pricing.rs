//! The best columns over some machines at given prices: a knapsack for each machine that may have one.

use rustc_hash::FxHashMap;

use super::{
    duals::{Prices, objective},
    knapsack::{Knapsack, Wanted, items},
};
use crate::compose::{
    error::ComposeError,
    formulation::{ids::CompId, problem::Problem},
    id_vec::IdVec,
    interrupt::Looks,
    presolve::{
        columns::{Column, unbeaten},
        pattern_rules::Rules,
    },
};

/// Work of taking up a machine, in looks at an offer.
const ENTERED: usize = 16;

/// What columns are priced by: the rows' prices, and what a replica is worth in the places in question.
#[derive(Clone, Copy)]
pub(crate) struct Pricing<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) rules: &'a Rules,
    pub(crate) prices: &'a Prices,
    pub(crate) worth: &'a IdVec<CompId, i64>,
}

impl Pricing<'_> {
    /// What a column counts less what it carries is worth.
    pub(crate) fn reduced(&self, column: &Column) -> i64 {
        let carried = column
            .members
            .iter()
            .map(|(component, count)| self.worth[*component].saturating_mul((*count).into()));
        self.prices.of(self.problem, column).saturating_sub(carried.fold(0i64, i64::saturating_add))
    }
}

/// What was found for one set of machines.
#[derive(Debug, Default)]
pub(crate) struct Priced {
    /// Columns with what each counts less what it is worth: negative ones improve the program; best first.
    pub(crate) columns: Vec<(i64, Column)>,
    /// How far a column that was not found may be below its worth, and what it costs then.
    pub(crate) shortfall: Shortfall,
}

/// Missing columns may be worth more than they count: by at most `amount` each, and by at most the worst ratio of that
/// to their own part of what is minimised, which no plan spends more on than its value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shortfall {
    pub(crate) amount: i64,
    worst: (i64, i64),
}

impl Shortfall {
    /// Takes note of a column, or of a bound on columns, that adds so much to what is minimised and is worth so much
    /// more than it counts.
    pub(crate) fn note(&mut self, reduced: i64, cost: i64) {
        if reduced < 0 {
            self.amount = self.amount.max(-reduced);
            let (amount, of) = self.worst;
            if amount == 0 || i128::from(-reduced) * i128::from(of) > i128::from(amount) * i128::from(cost) {
                self.worst = (-reduced, cost.max(0));
            }
        }
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.amount = self.amount.max(other.amount);
        self.note(-other.worst.0, other.worst.1);
    }

    /// The bound that a relaxation gives which lacks these columns, by two arguments of which the better counts: a plan
    /// has so many leases at most; and all that it spends on missing columns is at most its own cost (A. A. Farley, "A
    /// note on bounding a class of linear programming problems", Operations Research 38(5), 1990).
    pub(crate) fn corrected(&self, bound: i128, leases: i128) -> i128 {
        if self.amount == 0 || bound <= 0 {
            return bound;
        }
        let (amount, cost) = (i128::from(self.worst.0), i128::from(self.worst.1));
        let by_cost = bound.checked_mul(cost).map_or(0, |product| product / (cost + amount));
        by_cost.max(self.by_leases(bound, leases))
    }

    /// What a column may cost above its worth at most, if a plan below a ceiling uses it, by the same arguments.
    pub(crate) fn room(&self, bound: i128, leases: i128, ceiling: i128) -> i128 {
        let by_leases = ceiling.saturating_sub(self.by_leases(bound, leases));
        let (amount, cost) = (i128::from(self.worst.0), i128::from(self.worst.1));
        let spent = ceiling.max(0).checked_mul(amount).and_then(|product| product.checked_div(cost));
        let by_cost = match spent {
            _ if amount == 0 => i128::MAX,
            Some(spent) => ceiling.saturating_sub(bound).saturating_add(spent).saturating_add(1),
            None => i128::MAX,
        };
        by_leases.min(by_cost)
    }

    fn by_leases(&self, bound: i128, leases: i128) -> i128 {
        bound.saturating_sub(i128::from(self.amount).saturating_mul(leases))
    }
}

/// The columns over some machines that count least, less the worth of what they carry, and less than `limit`: at most
/// `most` of them and one of each machine.
pub(crate) fn best_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    (limit, most): (i64, usize),
    looks: &mut Looks<'_>,
) -> Result<Priced, ComposeError> {
    let Pricing { problem, rules, prices, worth } = *pricing;
    let [worthy, all] = [Wanted::Worthy, Wanted::All].map(|wanted| items(problem, rules, worth, wanted));
    let mut knapsack = Knapsack::new(problem, rules, prices, &worthy);
    // What may be worth something by itself may carry what is worth nothing.
    let mut apart = Knapsack::new(problem, rules, prices, &all);
    let mut priced = Priced::default();
    for &at in machines {
        let candidate = &problem.candidates[at];
        let cost = prices.least(problem, candidate);
        // A machine that cannot beat the worst kept so far is not looked into.
        let cutoff = if priced.columns.len() < most { limit } else { priced.columns[most - 1].0 };
        let knapsack = if problem.is_apart(candidate) { &mut apart } else { &mut knapsack };
        let potential = cost.saturating_sub(knapsack.enter(at, cost, cutoff));
        looks.after(ENTERED)?;
        if potential >= cutoff {
            priced.shortfall.note(potential, objective(problem, candidate));
            continue;
        }
        let (best, is_exact) = knapsack.solve(cost, cutoff);
        looks.after(knapsack.nodes())?;
        let least = match &best {
            _ if !is_exact => potential,
            Some((reduced, _)) => *reduced,
            None => cutoff,
        };
        priced.shortfall.note(least, objective(problem, candidate));
        if let Some(best) = best {
            let place = priced.columns.partition_point(|(other, _)| *other <= best.0);
            priced.columns.insert(place, best);
            priced.columns.truncate(most);
        }
    }
    Ok(priced)
}

/// Every column over some machines that counts, less the worth of what it carries, at most `limit`, as far as columns
/// that carry the same do not beat it. `None` if they are more than `most`, or not to be found in time.
pub(crate) fn all_patterns(
    pricing: &Pricing<'_>,
    machines: &[usize],
    wanted: Wanted<'_>,
    (limit, most): (i64, usize),
    looks: &mut Looks<'_>,
) -> Result<Option<Vec<Column>>, ComposeError> {
    let Pricing { problem, rules, prices, worth } = *pricing;
    let items = items(problem, rules, worth, wanted);
    let mut knapsack = Knapsack::new(problem, rules, prices, &items);
    let mut found: FxHashMap<Vec<(CompId, u32)>, Vec<Column>> = FxHashMap::default();
    for &at in machines {
        let cost = prices.least(problem, &problem.candidates[at]);
        looks.after(ENTERED)?;
        if cost.saturating_sub(knapsack.enter(at, cost, limit.saturating_add(1))) > limit {
            continue;
        }
        let all = knapsack.all(cost, limit);
        looks.after(2 * knapsack.nodes())?;
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
        .flat_map(|same| unbeaten(problem, same))
        .map(|column| (pricing.reduced(&column), column))
        .collect();
    columns.sort_by(|(a, left), (b, right)| {
        (a, left.offer, left.keeps, &left.members).cmp(&(b, right.offer, right.keeps, &right.members))
    });
    Ok((columns.len() <= most).then(|| columns.into_iter().map(|(_, column)| column).collect()))
}
