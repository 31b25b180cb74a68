//! Recognises a multiple-choice knapsack with several resources: of each group of binary variables exactly one is one,
//! and all other rows add up over the groups (H. Kellerer, U. Pferschy, D. Pisinger, *Knapsack Problems*, Springer
//! 2004, §11.10).
//!
//! By the reduced costs at the root each group has a cheapest choice. A plan exceeds the root's bound by the reduced
//! costs of its other choices and by the dual values of the slack that it leaves. So a good plan makes a few cheap
//! changes and leaves almost no slack of any resource with a dual value. Changes and slack have keys, which add up as
//! the amounts do.

use crate::compose::{
    heuristics::splitmix::splitmix64,
    id_vec::{Id, IdVec},
    lp::safe_bound::{ReducedCosts, floor_to_micros},
    mip::model::{Mip, Row, Var},
};

/// Combinations of slack that are considered.
const MAX_SLACK_COMBINATIONS: usize = 4_096;
/// Groups below which the heuristic does not pay.
const MIN_GROUPS: usize = 8;

/// Another choice than the cheapest one of its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// The reduced cost above the cheapest choice, in micro-units.
    pub(crate) reduced_cost: i64,
    /// The key of the resources that it takes more than the cheapest choice.
    pub(crate) key: u64,
    pub(crate) taken: Var,
    pub(crate) instead_of: Var,
}

/// A program with this structure.
#[derive(Debug)]
pub(crate) struct MckpStructure {
    /// The values of all variables with the cheapest choice of each group.
    pub(crate) cheapest: Vec<i64>,
    /// The other choices of each group, cheapest first; groups with the cheapest changes first.
    pub(crate) groups: Vec<Vec<Choice>>,
    /// Combinations of slack, each with its value and its key, cheapest first.
    pub(crate) slack: Vec<(i64, u64)>,
    /// The key of the slack that the cheapest choices leave; negative if they lack something.
    pub(crate) key: u64,
}

/// A row with a dual value: its amount in units of the common divisor of its coefficients.
struct Resource {
    unit: i64,
    amount: i64,
    /// The dual value of one unit of slack.
    unit_value: i64,
    /// What one unit adds to a key: odd, so that keys differ.
    key: u64,
    is_exact: bool,
}

impl MckpStructure {
    /// `None` if the program has another structure.
    pub(crate) fn new(mip: &Mip, root: &ReducedCosts, duals: &IdVec<Row, i128>) -> Option<Self> {
        let is_free = |var: Var| mip.lower[var] < mip.upper[var];
        let rows = || mip.row_lower.ids();
        let mut settled: IdVec<Row, i64> = rows().map(|_| 0).collect();
        let mut divisor: IdVec<Row, i64> = rows().map(|_| 0).collect();
        let mut counts_ones: IdVec<Row, bool> = rows().map(|_| true).collect();
        for (var, coefficients) in mip.coefficients.iter() {
            for &(row, factor) in coefficients {
                if is_free(var) {
                    divisor[row] = gcd(divisor[row], factor.checked_abs()?);
                    counts_ones[row] &= factor == 1;
                } else {
                    let part = factor.checked_mul(mip.lower[var])?;
                    settled[row] = settled[row].checked_add(part)?;
                }
            }
        }
        let is_choice = |row: Row| {
            let one = settled[row].checked_add(1);
            counts_ones[row] && one.is_some() && mip.row_lower[row] == one && mip.row_upper[row] == one
        };
        let mut members: IdVec<Row, Vec<Var>> = rows().map(|_| Vec::new()).collect();
        for var in mip.cost.ids().filter(|&var| is_free(var)) {
            let mut choices = mip.coefficients[var].iter().map(|(row, _)| *row).filter(|&row| is_choice(row));
            match (choices.next(), choices.next(), mip.lower[var]) {
                (Some(row), None, 0) => members[row].push(var),
                _ => return None,
            }
        }
        let resources: IdVec<Row, Option<Resource>> = rows()
            .map(|row| {
                let is_counted = divisor[row] > 0 && !is_choice(row);
                is_counted.then(|| resource(mip, row, duals[row], divisor[row], settled[row]))?
            })
            .collect();
        let key_of = |var: Var| {
            mip.coefficients[var].iter().fold(0u64, |key, &(row, factor)| match &resources[row] {
                Some(resource) => {
                    let amount = (factor / resource.unit).cast_unsigned();
                    key.wrapping_add(amount.wrapping_mul(resource.key))
                }
                None => key,
            })
        };
        let mut cheapest: Vec<i64> = mip.lower.iter().map(|(_, low)| *low).collect();
        let mut key =
            resources.iter().filter_map(|(_, resource)| resource.as_ref()).fold(0u64, |key, resource| {
                key.wrapping_add(resource.amount.cast_unsigned().wrapping_mul(resource.key))
            });
        let mut groups = Vec::new();
        for (_, vars) in members.iter() {
            let Some(&first) = vars.iter().min_by_key(|&&var| (root.costs[var], var)) else { continue };
            cheapest[first.index()] = 1;
            let taken = key_of(first);
            key = key.wrapping_sub(taken);
            let mut others: Vec<Choice> = vars
                .iter()
                .filter(|&&var| var != first)
                .map(|&var| Choice {
                    reduced_cost: root.costs[var].saturating_sub(root.costs[first]),
                    key: key_of(var).wrapping_sub(taken),
                    taken: var,
                    instead_of: first,
                })
                .collect();
            others.sort_unstable_by_key(|choice| (choice.reduced_cost, choice.taken));
            groups.extend((!others.is_empty()).then_some(others));
        }
        groups.sort_by_key(|choices| choices[0].reduced_cost);
        let slack = slack_combinations(resources.iter().filter_map(|(_, resource)| resource.as_ref()));
        (groups.len() >= MIN_GROUPS).then_some(Self { cheapest, groups, slack, key })
    }
}

/// `None` if the row has no dual value, so that its slack is free.
fn resource(mip: &Mip, row: Row, dual: i128, divisor: i64, settled: i64) -> Option<Resource> {
    let unit_value = floor_to_micros(dual.checked_abs()?).checked_mul(divisor)?;
    let (unit, amount) = match dual.signum() {
        0 => return None,
        1 => (-divisor, settled.checked_sub(mip.row_lower[row]?)?),
        _ => (divisor, mip.row_upper[row]?.checked_sub(settled)?),
    };
    Some(Resource {
        unit,
        amount: amount.div_euclid(divisor),
        unit_value,
        key: splitmix64(0, row.index() as u64) | 1,
        is_exact: mip.row_lower[row] == mip.row_upper[row],
    })
    .filter(|resource| resource.unit_value > 0)
}

/// The combinations of slack with the lowest values. Those of the first resources are enough to extend them by one
/// more.
fn slack_combinations<'b>(resources: impl Iterator<Item = &'b Resource>) -> Vec<(i64, u64)> {
    let mut slack = vec![(0i64, 0u64)];
    for resource in resources.filter(|resource| !resource.is_exact) {
        let mut more = Vec::new();
        for (at, &(value, key)) in slack.iter().enumerate() {
            // A combination with this many predecessors of at most as many units is not among the first.
            for units in 0..MAX_SLACK_COMBINATIONS / (at + 1) {
                let value_of_units = resource.unit_value.saturating_mul(units as i64);
                let key_of_units = resource.key.wrapping_mul(units as u64);
                more.push((value.saturating_add(value_of_units), key.wrapping_add(key_of_units)));
            }
        }
        more.sort_unstable();
        more.truncate(MAX_SLACK_COMBINATIONS);
        slack = more;
    }
    slack
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(unit_value: i64, key: u64) -> Resource {
        Resource { unit: 1, amount: 0, unit_value, key, is_exact: false }
    }

    #[test]
    fn what_may_be_left_is_complete_and_cheapest_first() {
        let resources = [resource(2, 1), resource(3, 100), resource(7, 10_000)];
        let found = slack_combinations(resources.iter());
        let mut all = Vec::new();
        for (a, b, c) in (0i64..80).flat_map(|a| (0..80).flat_map(move |b| (0..80).map(move |c| (a, b, c)))) {
            all.push((2 * a + 3 * b + 7 * c, (a + 100 * b + 10_000 * c).cast_unsigned()));
        }
        all.sort_unstable();
        assert_eq!(found[..], all[..MAX_SLACK_COMBINATIONS]);
    }

    #[test]
    fn of_an_exact_budget_nothing_is_left() {
        let exact = Resource { is_exact: true, ..resource(1, 1) };
        assert_eq!(slack_combinations([exact].iter()), [(0, 0)]);
    }
}
