//! A simplex for linear programs that grow by columns and rows, with a warm start (R. J. Vanderbei, *Linear Programming*,
//! 5th ed., Springer 2020, chapters 8 and 9).
//!
//! * `inverse`: the inverse of the basis, and what is computed with it.
//! * `primal`: the primal simplex, after columns come.
//! * `dual`: the dual simplex, after rows come or bounds change.
//!
//! Rows are `A x - s = 0`, where the sum `s` of each row is a bounded variable too. The inverse is kept as a whole, by columns: it
//! has some hundred rows here, and most of its entries are zero. Right sides are a little wider than they are told, against
//! stalling (P. Wolfe, "A technique for resolving degeneracy in linear programming", SIAM Journal 11(2), 1963). The result only
//! advises: `safe_bound` computes every bound again in integers.
#![expect(
    clippy::float_arithmetic,
    reason = "advice only: duals are rounded to integers and every bound and plan is re-computed exactly"
)]

mod dual;
mod inverse;
mod primal;
#[cfg(test)]
mod tests;

use crate::compose::{
    heuristics::splitmix::splitmix64,
    id_vec::{Id, id_type},
};

id_type!(
    /// A variable, or the sum of a row.
    LpVar
);
id_type!(
    /// A row.
    LpRow
);

/// Stands for the position of a variable that is not basic.
const NO_POSITION: u32 = u32::MAX;
const PRIMAL_TOLERANCE: f64 = 1e-7;
const DUAL_TOLERANCE: f64 = 1e-7;
const PIVOT_TOLERANCE: f64 = 1e-7;
/// Pivots below this one are taken from a fresh inverse alone.
const SMALL_PIVOT: f64 = 1e-4;
/// How far two computations of one pivot may differ.
const PIVOT_ERROR: f64 = 1e-8;
/// What counts as zero in the inverse.
const DROP_TOLERANCE: f64 = 1e-13;
/// By how much costs rise where the dual simplex stalls, at least; at most twice that, and in proportion to large ones.
const MIN_COST_CHANGE: f64 = 1e-5;
/// By how much right sides are wider than they are told, at least; at most twice that.
const MIN_ROW_WIDENING: f64 = 5e-6;
/// Work between two questions to the caller: a millisecond or so.
const WORK_PER_CHECK: u64 = 1 << 20;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LpEnd {
    Optimal,
    /// No values meet all rows and bounds.
    Infeasible,
    /// The least cost is above the cutoff.
    CutOff,
    /// The caller or a limit ended the run, or rounding errors are too large.
    Interrupted,
}

/// A number from 0 to 1 that is always the same for the same stream and index.
pub(crate) fn chance(stream: u64, index: u64) -> f64 {
    (splitmix64(stream, index) >> 11) as f64 / (1u64 << 53) as f64
}

/// A linear program with its basis.
#[derive(Debug, Clone, Default)]
pub(crate) struct SparseLp {
    /// Coefficients of each variable by row; -1 in its own row for the sum of a row.
    columns: Vec<Vec<(u32, f64)>>,
    /// As told, and as the dual simplex changes them while it runs.
    told_cost: Vec<f64>,
    cost: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    value: Vec<f64>,
    /// Reduced costs; zero for basic variables.
    reduced: Vec<f64>,
    /// Position in the basis, or `NO_POSITION`.
    position: Vec<u32>,
    /// Coefficients of each row by variable, without its sum.
    rows: Vec<Vec<(u32, f64)>>,
    /// The variable of each row's sum.
    sums: Vec<u32>,
    basis: Vec<u32>,
    /// The inverse of the basis, by columns.
    inverse: Vec<Vec<f64>>,
    /// Reference weights of variables (primal), and squared norms of the inverse's rows (dual).
    weights: Vec<f64>,
    norms: Vec<f64>,
    has_norms: bool,
    pivots_since_inversion: u32,
    pub(crate) pivots: u64,
    /// Entries looked at: the same number on every machine.
    pub(crate) work: u64,
    scratch: Scratch,
}

/// What one pivot computes.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// The entering column in terms of the basis, and where it is not zero.
    column: Vec<f64>,
    support: Vec<u32>,
    /// The leaving row of the inverse.
    row: Vec<f64>,
    /// The leaving row in terms of all variables, and the variables where it is not zero.
    entries: Vec<f64>,
    touched: Vec<u32>,
    is_touched: Vec<bool>,
}

impl SparseLp {
    /// Adds a variable at its lower bound, which is finite.
    pub(crate) fn add_var(
        &mut self,
        cost: f64,
        (lower, upper): (f64, f64),
        terms: impl IntoIterator<Item = (LpRow, f64)>,
    ) -> LpVar {
        let mut column: Vec<(u32, f64)> = terms.into_iter().map(|(row, a)| (row.index() as u32, a)).collect();
        column.retain(|(_, a)| *a != 0.0);
        let ix = self.push(cost, (lower, upper), lower);
        let mut reduced = cost;
        for &(row, a) in &column {
            self.rows[row as usize].push((ix, a));
            reduced -= self.reduced[self.sums[row as usize] as usize] * a;
        }
        self.reduced[ix as usize] = reduced;
        self.columns[ix as usize] = column;
        if lower != 0.0 {
            self.value[ix as usize] = 0.0;
            self.shift(ix as usize, lower);
        }
        LpVar::from_index(ix as usize)
    }

    /// Adds a row; its sum enters the basis.
    pub(crate) fn add_row(
        &mut self,
        (lower, upper): (f64, f64),
        terms: impl IntoIterator<Item = (LpVar, f64)>,
    ) -> LpRow {
        let row = self.rows.len();
        let mut terms: Vec<(u32, f64)> = terms.into_iter().map(|(var, a)| (var.index() as u32, a)).collect();
        terms.retain(|(_, a)| *a != 0.0);
        let value = terms.iter().map(|(var, a)| self.value[*var as usize] * a).sum();
        let wider = MIN_ROW_WIDENING * (1.0 + chance(row as u64, 7));
        let widen = |bound: f64, by: f64| bound + by * (1.0 + bound.abs().min(1e9) * 1e-3);
        let sum = self.push(0.0, (widen(lower, -wider), widen(upper, wider)), value);
        self.columns[sum as usize] = vec![(row as u32, -1.0)];
        let basic: Vec<(usize, f64)> = terms
            .iter()
            .filter(|(var, _)| self.position[*var as usize] != NO_POSITION)
            .map(|(var, a)| (self.position[*var as usize] as usize, *a))
            .collect();
        let mut norm = 1.0;
        for column in &mut self.inverse {
            let entry: f64 = basic.iter().map(|(at, a)| a * column[*at]).sum();
            let entry = if entry.abs() < DROP_TOLERANCE { 0.0 } else { entry };
            norm += entry * entry;
            column.push(entry);
        }
        self.inverse.push(vec![0.0; row]);
        self.inverse[row].push(-1.0);
        self.norms.push(norm);
        self.position[sum as usize] = row as u32;
        self.basis.push(sum);
        self.sums.push(sum);
        for &(var, a) in &terms {
            self.columns[var as usize].push((row as u32, a));
        }
        self.rows.push(terms);
        self.work += (row * (basic.len() + 1)) as u64;
        LpRow::from_index(row)
    }

    fn push(&mut self, cost: f64, (lower, upper): (f64, f64), value: f64) -> u32 {
        let ix = self.cost.len() as u32;
        self.columns.push(Vec::new());
        self.told_cost.push(cost);
        self.cost.push(cost);
        self.lower.push(lower);
        self.upper.push(upper);
        self.value.push(value);
        self.reduced.push(0.0);
        self.position.push(NO_POSITION);
        self.weights.push(1.0);
        ix
    }

    /// Changes the bounds of a variable. One that is not basic moves to the nearer bound if it must.
    pub(crate) fn set_bounds(&mut self, var: LpVar, (lower, upper): (f64, f64)) {
        let ix = var.index();
        (self.lower[ix], self.upper[ix]) = (lower, upper);
        if self.position[ix] == NO_POSITION {
            self.shift(ix, self.value[ix].clamp(lower, upper));
        }
    }

    /// Lifts the limits of a row.
    pub(crate) fn lift(&mut self, row: LpRow) {
        self.set_row_bounds(row, (f64::NEG_INFINITY, f64::INFINITY));
    }

    /// Changes the limits of a row, as they are told here.
    pub(crate) fn set_row_bounds(&mut self, row: LpRow, bounds: (f64, f64)) {
        let sum = self.sums[row.index()];
        self.set_bounds(LpVar::from_index(sum as usize), bounds);
    }

    /// Whether a row has a lower and an upper limit.
    pub(crate) fn row_limits(&self, row: LpRow) -> (bool, bool) {
        let sum = self.sums[row.index()] as usize;
        (self.lower[sum].is_finite(), self.upper[sum].is_finite())
    }

    /// Whether the caller says stop, who is asked after some work.
    fn is_stopped(&self, asked: &mut u64, should_stop: &mut dyn FnMut() -> bool) -> bool {
        if self.work - *asked <= WORK_PER_CHECK {
            return false;
        }
        *asked = self.work;
        should_stop()
    }

    /// Moves a variable that is not basic.
    fn shift(&mut self, ix: usize, target: f64) {
        let step = target - self.value[ix];
        if step == 0.0 {
            return;
        }
        self.value[ix] = target;
        self.set_column(ix);
        for &at in &self.scratch.support {
            let basic = self.basis[at as usize] as usize;
            self.value[basic] -= self.scratch.column[at as usize] * step;
        }
    }

    /// Minimises the cost. Ends early above the cutoff.
    pub(crate) fn solve(&mut self, cutoff: f64, should_stop: &mut dyn FnMut() -> bool) -> LpEnd {
        for _ in 0..8 {
            if self.most_violated().is_some() {
                let end = self.dual(cutoff, should_stop);
                if end != LpEnd::Optimal {
                    return end;
                }
            }
            let end = self.primal(should_stop);
            // The primal simplex ends where values break rows, by rounding errors that an inversion has shown.
            if self.most_violated().is_some() {
                continue;
            }
            return end;
        }
        LpEnd::Interrupted
    }

    pub(crate) fn value(&self, var: LpVar) -> f64 {
        self.value[var.index()]
    }

    /// The dual value of a row.
    pub(crate) fn dual_value(&self, row: LpRow) -> f64 {
        self.reduced[self.sums[row.index()] as usize]
    }

    /// The cost of the present values.
    pub(crate) fn objective(&self) -> f64 {
        self.told_cost.iter().zip(&self.value).map(|(cost, value)| cost * value).sum()
    }

    pub(crate) fn row_count(&self) -> usize {
        self.rows.len()
    }
}
