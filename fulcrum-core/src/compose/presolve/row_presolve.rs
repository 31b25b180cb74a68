//! Row presolve: fixes variables with one possible value and removes redundant rows, without losing a solution (A. L.
//! Brearley, G. Mitra, H. P. Williams, "Analysis of mathematical programming problems prior to applying the simplex
//! algorithm", Mathematical Programming 8, 1975).

use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Mip, Row, Var},
        var_bounds::VarBounds,
    },
};

/// A presolved program, and how to restore a solution of the original one.
pub(crate) struct PresolvedMip {
    pub(crate) mip: Mip,
    /// The cost of the fixed variables.
    pub(crate) offset: i128,
    /// The new variable of each old one, or its fixed value.
    image: Vec<Result<Var, i64>>,
}

/// Passes over the rows.
const MAX_PASSES: usize = 12;

/// The rows of a program with their variables. It can be used for many presolves.
#[derive(Debug)]
pub(crate) struct RowwiseMatrix(Vec<Vec<(usize, i64)>>);

impl RowwiseMatrix {
    pub(crate) fn new(mip: &Mip) -> Self {
        let mut rowwise: Vec<Vec<(usize, i64)>> = vec![Vec::new(); mip.row_lower.len()];
        for (var, coefficients) in mip.coefficients.iter() {
            for (row, factor) in coefficients {
                rowwise[row.index()].push((var.index(), *factor));
            }
        }
        Self(rowwise)
    }
}

impl PresolvedMip {
    /// Presolves within the program's own bounds; `None` if there is no solution.
    ///
    /// Time: O(entries) for each of at most twelve passes.
    pub(crate) fn new(mip: &Mip) -> Option<Self> {
        Self::within(mip, &RowwiseMatrix::new(mip), VarBounds::of(mip))
    }

    /// Presolves within narrower bounds.
    pub(crate) fn within(mip: &Mip, rowwise: &RowwiseMatrix, bounds: VarBounds) -> Option<Self> {
        let vars = mip.cost.len();
        let rows = mip.row_lower.len();
        let rowwise = &rowwise.0;
        let VarBounds { lower, upper } = bounds;
        let (mut lower, mut upper) = (lower.into_inner(), upper.into_inner());
        let mut is_redundant = vec![false; rows];
        for _ in 0..MAX_PASSES {
            let mut is_changed = false;
            for row in 0..rows {
                if is_redundant[row] {
                    continue;
                }
                let id = Row::from_index(row);
                let (mut least, mut most, mut free) = (0i128, 0i128, None);
                let mut count = 0;
                for (var, factor) in &rowwise[row] {
                    let ends = (
                        i128::from(*factor) * i128::from(lower[*var]),
                        i128::from(*factor) * i128::from(upper[*var]),
                    );
                    least += ends.0.min(ends.1);
                    most += ends.0.max(ends.1);
                    if lower[*var] < upper[*var] {
                        count += 1;
                        free = Some((*var, i128::from(*factor), ends));
                    }
                }
                let (at_least, at_most) =
                    (mip.row_lower[id].map(i128::from), mip.row_upper[id].map(i128::from));
                if at_least.is_some_and(|limit| most < limit) || at_most.is_some_and(|limit| least > limit) {
                    return None;
                }
                if at_least.is_none_or(|limit| least >= limit) && at_most.is_none_or(|limit| most <= limit) {
                    is_redundant[row] = true;
                    is_changed = true;
                    continue;
                }
                let (1, Some((var, factor, ends))) = (count, free) else { continue };
                // Only one variable is free: its bounds follow from the row.
                let others = least - ends.0.min(ends.1);
                let (mut new_lower, mut new_upper) = (i128::from(lower[var]), i128::from(upper[var]));
                if let Some(limit) = at_least {
                    let rest = limit - others;
                    if factor > 0 {
                        new_lower = new_lower.max(-(-rest).div_euclid(factor)); // x ≥ rest / factor, rounded up
                    } else {
                        new_upper = new_upper.min((-rest).div_euclid(-factor)); // x ≤ rest / factor, rounded down
                    }
                }
                if let Some(limit) = at_most {
                    let rest = limit - others;
                    if factor > 0 {
                        new_upper = new_upper.min(rest.div_euclid(factor));
                    } else {
                        new_lower = new_lower.max(-rest.div_euclid(-factor));
                    }
                }
                if new_lower > new_upper {
                    return None;
                }
                let (new_lower, new_upper) = (i64::try_from(new_lower).ok()?, i64::try_from(new_upper).ok()?);
                is_changed |= new_lower > lower[var] || new_upper < upper[var];
                (lower[var], upper[var]) = (new_lower, new_upper);
                is_redundant[row] = true;
            }
            if !is_changed {
                break;
            }
        }
        Some(Self::remaining_mip(mip, &lower, &upper, &is_redundant, vars))
    }

    fn remaining_mip(mip: &Mip, lower: &[i64], upper: &[i64], is_redundant: &[bool], vars: usize) -> Self {
        let mut small = Mip::empty();
        let mut new_row: IdVec<Row, Option<Row>> = mip.row_lower.ids().map(|_| None).collect();
        let mut shift = vec![0i64; is_redundant.len()];
        for var in mip.cost.ids().filter(|var| lower[var.index()] == upper[var.index()]) {
            for (row, factor) in &mip.coefficients[var] {
                shift[row.index()] += factor * lower[var.index()];
            }
        }
        for row in mip.row_lower.ids().filter(|row| !is_redundant[row.index()]) {
            let by = shift[row.index()];
            small.row_lower.push(mip.row_lower[row].map(|limit| limit - by));
            new_row[row] = Some(small.row_upper.push(mip.row_upper[row].map(|limit| limit - by)));
        }
        let mut image = Vec::with_capacity(vars);
        let mut offset = 0;
        for var in mip.cost.ids() {
            let at = var.index();
            if lower[at] == upper[at] {
                offset += i128::from(mip.cost[var]) * i128::from(lower[at]);
                image.push(Err(lower[at]));
                continue;
            }
            let new = small.add_var(mip.role[var], mip.cost[var], lower[at], upper[at]);
            small.coefficients[new] = mip.coefficients[var]
                .iter()
                .filter_map(|(row, factor)| Some((new_row[*row]?, *factor)))
                .collect();
            image.push(Ok(new));
        }
        Self { mip: small, offset, image }
    }

    /// The values of all variables of the original program.
    pub(crate) fn restore(&self, values: &[i64]) -> Vec<i64> {
        self.image.iter().map(|image| image.map_or_else(|value| value, |var| values[var.index()])).collect()
    }
}
