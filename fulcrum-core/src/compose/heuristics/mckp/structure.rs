//! Programs that are choices under shared budgets: of each group of unknowns exactly one is one, and whatever other
//! rows there are add up over the groups (the multiple-choice knapsack with several dimensions: H. Kellerer,
//! U. Pferschy, D. Pisinger, *Knapsack Problems*, Springer 2004, §11.10).
//!
//! At the root's prices each group has a cheapest choice. A plan is as much above the root's bound as its choices are
//! above the cheapest ones, and what is left of the budgets is worth. So a good plan is a few cheap changes that leave
//! next to nothing of any budget that has a price. What is changed and what is left are told by keys that add up as
//! the amounts do.

use crate::compose::{
    heuristics::splitmix::mixed,
    id_vec::{Id, IdVec},
    lp::safe_bound::{Ranked, whole},
    mip::model::{Program, Row, Var},
};

/// Combinations of what may be left that are looked at.
const MAX_LEFT: usize = 4_096;
/// Fewer groups are not worth it.
const MIN_GROUPS: usize = 8;

/// Another choice than the cheapest one of its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice {
    /// What it costs above the cheapest one at the root's prices, in micro-units.
    pub(crate) above: i64,
    /// Of what it takes from the budgets more than the cheapest one does.
    pub(crate) key: u64,
    pub(crate) taken: Var,
    pub(crate) instead_of: Var,
}

/// A program of this kind.
#[derive(Debug)]
pub(crate) struct Choices {
    /// The values of all unknowns with the cheapest choice of each group.
    pub(crate) cheapest: Vec<i64>,
    /// The other choices of each group, cheapest first; first the groups that have the cheapest ones.
    pub(crate) groups: Vec<Vec<Choice>>,
    /// What may be left of the budgets: what it is worth and its key, cheapest first.
    pub(crate) left: Vec<(i64, u64)>,
    /// Of what the cheapest choices leave of the budgets, or lack.
    pub(crate) key: u64,
}

/// A row with a price: how much of it there is, in units of the common divisor of what it counts.
struct Budget {
    unit: i64,
    amount: i64,
    /// What a unit that is left is worth.
    price: i64,
    /// What a unit adds to a key: odd, so that keys differ.
    key: u64,
    is_exact: bool,
}

impl Choices {
    /// `None` if the program is of another kind.
    pub(crate) fn new(program: &Program, ranked: &Ranked, multipliers: &IdVec<Row, i128>) -> Option<Self> {
        let is_free = |var: Var| program.low[var] < program.high[var];
        let rows = || program.row_low.ids();
        let mut settled: IdVec<Row, i64> = rows().map(|_| 0).collect();
        let mut divisor: IdVec<Row, i64> = rows().map(|_| 0).collect();
        let mut counts_ones: IdVec<Row, bool> = rows().map(|_| true).collect();
        for (var, entries) in program.entries.iter() {
            for &(row, factor) in entries {
                if is_free(var) {
                    divisor[row] = gcd(divisor[row], factor.checked_abs()?);
                    counts_ones[row] &= factor == 1;
                } else {
                    let part = factor.checked_mul(program.low[var])?;
                    settled[row] = settled[row].checked_add(part)?;
                }
            }
        }
        let is_choice = |row: Row| {
            let one = settled[row].checked_add(1);
            counts_ones[row] && one.is_some() && program.row_low[row] == one && program.row_high[row] == one
        };
        let mut members: IdVec<Row, Vec<Var>> = rows().map(|_| Vec::new()).collect();
        for var in program.cost.ids().filter(|&var| is_free(var)) {
            let mut choices = program.entries[var].iter().map(|(row, _)| *row).filter(|&row| is_choice(row));
            match (choices.next(), choices.next(), program.low[var]) {
                (Some(row), None, 0) => members[row].push(var),
                _ => return None,
            }
        }
        let budgets: IdVec<Row, Option<Budget>> = rows()
            .map(|row| {
                let is_counted = divisor[row] > 0 && !is_choice(row);
                is_counted.then(|| budget(program, row, multipliers[row], divisor[row], settled[row]))?
            })
            .collect();
        let key_of = |var: Var| {
            program.entries[var].iter().fold(0u64, |key, &(row, factor)| match &budgets[row] {
                Some(budget) => {
                    let amount = (factor / budget.unit).cast_unsigned();
                    key.wrapping_add(amount.wrapping_mul(budget.key))
                }
                None => key,
            })
        };
        let mut cheapest: Vec<i64> = program.low.iter().map(|(_, low)| *low).collect();
        let mut key = budgets.iter().filter_map(|(_, budget)| budget.as_ref()).fold(0u64, |key, budget| {
            key.wrapping_add(budget.amount.cast_unsigned().wrapping_mul(budget.key))
        });
        let mut groups = Vec::new();
        for (_, vars) in members.iter() {
            let Some(&first) = vars.iter().min_by_key(|&&var| (ranked.0[var], var)) else { continue };
            cheapest[first.index()] = 1;
            let taken = key_of(first);
            key = key.wrapping_sub(taken);
            let mut others: Vec<Choice> = vars
                .iter()
                .filter(|&&var| var != first)
                .map(|&var| Choice {
                    above: ranked.0[var].saturating_sub(ranked.0[first]),
                    key: key_of(var).wrapping_sub(taken),
                    taken: var,
                    instead_of: first,
                })
                .collect();
            others.sort_unstable_by_key(|choice| (choice.above, choice.taken));
            groups.extend((!others.is_empty()).then_some(others));
        }
        groups.sort_by_key(|choices| choices[0].above);
        let left = left(budgets.iter().filter_map(|(_, budget)| budget.as_ref()));
        (groups.len() >= MIN_GROUPS).then_some(Self { cheapest, groups, left, key })
    }
}

/// `None` if the row has no price, so that it does not matter what is left of it.
fn budget(program: &Program, row: Row, multiplier: i128, divisor: i64, settled: i64) -> Option<Budget> {
    let price = whole(multiplier.checked_abs()?).checked_mul(divisor)?;
    let (unit, amount) = match multiplier.signum() {
        0 => return None,
        1 => (-divisor, settled.checked_sub(program.row_low[row]?)?),
        _ => (divisor, program.row_high[row]?.checked_sub(settled)?),
    };
    Some(Budget {
        unit,
        amount: amount.div_euclid(divisor),
        price,
        key: mixed(0, row.index() as u64) | 1,
        is_exact: program.row_low[row] == program.row_high[row],
    })
    .filter(|budget| budget.price > 0)
}

/// The combinations of units left that are worth least: those of the first budgets are enough to make those of one
/// more.
fn left<'b>(budgets: impl Iterator<Item = &'b Budget>) -> Vec<(i64, u64)> {
    let mut left = vec![(0i64, 0u64)];
    for budget in budgets.filter(|budget| !budget.is_exact) {
        let mut more = Vec::new();
        for (at, &(worth, key)) in left.iter().enumerate() {
            // What has so many before it, each with as many units and fewer, is not among the first.
            for units in 0..MAX_LEFT / (at + 1) {
                let worth_of_units = budget.price.saturating_mul(units as i64);
                let key_of_units = budget.key.wrapping_mul(units as u64);
                more.push((worth.saturating_add(worth_of_units), key.wrapping_add(key_of_units)));
            }
        }
        more.sort_unstable();
        more.truncate(MAX_LEFT);
        left = more;
    }
    left
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(price: i64, key: u64) -> Budget {
        Budget { unit: 1, amount: 0, price, key, is_exact: false }
    }

    #[test]
    fn what_may_be_left_is_complete_and_cheapest_first() {
        let budgets = [budget(2, 1), budget(3, 100), budget(7, 10_000)];
        let found = left(budgets.iter());
        let mut all = Vec::new();
        for (a, b, c) in (0i64..80).flat_map(|a| (0..80).flat_map(move |b| (0..80).map(move |c| (a, b, c)))) {
            all.push((2 * a + 3 * b + 7 * c, (a + 100 * b + 10_000 * c).cast_unsigned()));
        }
        all.sort_unstable();
        assert_eq!(found[..], all[..MAX_LEFT]);
    }

    #[test]
    fn of_an_exact_budget_nothing_is_left() {
        let exact = Budget { is_exact: true, ..budget(1, 1) };
        assert_eq!(left([exact].iter()), [(0, 0)]);
    }
}
