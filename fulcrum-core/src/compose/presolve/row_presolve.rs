//! Makes a program smaller without losing a solution: unknowns that can have one value only become numbers, and rows
//! that hold whatever happens disappear (A. L. Brearley, G. Mitra, H. P. Williams, "Analysis of mathematical
//! programming problems prior to applying the simplex algorithm", Mathematical Programming 8, 1975).

use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Program, Row, Var},
        var_bounds::Bounds,
    },
};

/// A smaller program, and how to get back.
pub(crate) struct Presolved {
    pub(crate) program: Program,
    /// Cost of what became a number.
    pub(crate) offset: i128,
    /// Where each unknown went, or its value.
    place: Vec<Result<Var, i64>>,
}

/// Passes after which what is left stays.
const MAX_PASSES: usize = 12;

/// The rows of a program, each with its unknowns: what presolving needs and can be used again.
#[derive(Debug)]
pub(crate) struct ByRow(Vec<Vec<(usize, i64)>>);

impl ByRow {
    pub(crate) fn new(program: &Program) -> Self {
        let mut by_row: Vec<Vec<(usize, i64)>> = vec![Vec::new(); program.row_low.len()];
        for (var, entries) in program.entries.iter() {
            for (row, factor) in entries {
                by_row[row.index()].push((var.index(), *factor));
            }
        }
        Self(by_row)
    }
}

impl Presolved {
    /// `None` if there is no solution.
    ///
    /// Time: O(entries) for each of at most twelve passes.
    pub(crate) fn new(program: &Program) -> Option<Self> {
        Self::within(program, &ByRow::new(program), Bounds::of(program))
    }

    /// The same within narrower limits.
    pub(crate) fn within(program: &Program, by_row: &ByRow, bounds: Bounds) -> Option<Self> {
        let vars = program.cost.len();
        let rows = program.row_low.len();
        let by_row = &by_row.0;
        let Bounds { low, high } = bounds;
        let (mut low, mut high) = (low.into_inner(), high.into_inner());
        let mut is_gone = vec![false; rows];
        for _ in 0..MAX_PASSES {
            let mut is_changed = false;
            for row in 0..rows {
                if is_gone[row] {
                    continue;
                }
                let id = Row::from_index(row);
                let (mut least, mut most, mut free) = (0i128, 0i128, None);
                let mut count = 0;
                for (var, factor) in &by_row[row] {
                    let ends = (
                        i128::from(*factor) * i128::from(low[*var]),
                        i128::from(*factor) * i128::from(high[*var]),
                    );
                    least += ends.0.min(ends.1);
                    most += ends.0.max(ends.1);
                    if low[*var] < high[*var] {
                        count += 1;
                        free = Some((*var, i128::from(*factor), ends));
                    }
                }
                let (at_least, at_most) =
                    (program.row_low[id].map(i128::from), program.row_high[id].map(i128::from));
                if at_least.is_some_and(|limit| most < limit) || at_most.is_some_and(|limit| least > limit) {
                    return None;
                }
                if at_least.is_none_or(|limit| least >= limit) && at_most.is_none_or(|limit| most <= limit) {
                    is_gone[row] = true;
                    is_changed = true;
                    continue;
                }
                let (1, Some((var, factor, ends))) = (count, free) else { continue };
                // The one free unknown takes up what the row needs.
                let others = least - ends.0.min(ends.1);
                let (mut new_low, mut new_high) = (i128::from(low[var]), i128::from(high[var]));
                if let Some(limit) = at_least {
                    let rest = limit - others;
                    if factor > 0 {
                        new_low = new_low.max(-(-rest).div_euclid(factor)); // x ≥ rest / factor, rounded up
                    } else {
                        new_high = new_high.min((-rest).div_euclid(-factor)); // x ≤ rest / factor, rounded down
                    }
                }
                if let Some(limit) = at_most {
                    let rest = limit - others;
                    if factor > 0 {
                        new_high = new_high.min(rest.div_euclid(factor));
                    } else {
                        new_low = new_low.max(-rest.div_euclid(-factor));
                    }
                }
                if new_low > new_high {
                    return None;
                }
                let (new_low, new_high) = (i64::try_from(new_low).ok()?, i64::try_from(new_high).ok()?);
                is_changed |= new_low > low[var] || new_high < high[var];
                (low[var], high[var]) = (new_low, new_high);
                is_gone[row] = true;
            }
            if !is_changed {
                break;
            }
        }
        Some(Self::rest(program, &low, &high, &is_gone, vars))
    }

    fn rest(program: &Program, low: &[i64], high: &[i64], is_gone: &[bool], vars: usize) -> Self {
        let mut small = Program::empty();
        let mut new_row: IdVec<Row, Option<Row>> = program.row_low.ids().map(|_| None).collect();
        let mut shift = vec![0i64; is_gone.len()];
        for var in program.cost.ids().filter(|var| low[var.index()] == high[var.index()]) {
            for (row, factor) in &program.entries[var] {
                shift[row.index()] += factor * low[var.index()];
            }
        }
        for row in program.row_low.ids().filter(|row| !is_gone[row.index()]) {
            let by = shift[row.index()];
            small.row_low.push(program.row_low[row].map(|limit| limit - by));
            new_row[row] = Some(small.row_high.push(program.row_high[row].map(|limit| limit - by)));
        }
        let mut place = Vec::with_capacity(vars);
        let mut offset = 0;
        for var in program.cost.ids() {
            let at = var.index();
            if low[at] == high[at] {
                offset += i128::from(program.cost[var]) * i128::from(low[at]);
                place.push(Err(low[at]));
                continue;
            }
            let new = small.var(program.role[var], program.cost[var], low[at], high[at]);
            small.entries[new] = program.entries[var]
                .iter()
                .filter_map(|(row, factor)| Some((new_row[*row]?, *factor)))
                .collect();
            place.push(Ok(new));
        }
        Self { program: small, offset, place }
    }

    /// The values of all unknowns of the larger program.
    pub(crate) fn restore(&self, values: &[i64]) -> Vec<i64> {
        self.place.iter().map(|place| place.map_or_else(|value| value, |var| values[var.index()])).collect()
    }
}
