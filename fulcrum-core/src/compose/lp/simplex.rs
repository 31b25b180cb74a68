//! A dual simplex for bounded variables on a dense tableau (R. J. Vanderbei, *Linear Programming*, 5th ed., Springer
//! 2020, chapters 5 and 12).
//!
//! Costs are never negative, so all variables at their lower bounds are dual feasible and no first phase is needed.
//! After a change of bounds at a node of the search the same tableau goes on. The result only advises: `safe_bound`
//! computes every bound again in integers. IEEE 754 arithmetic without contraction is the same on every platform, so
//! the advice is reproducible.
#![expect(
    clippy::float_arithmetic,
    reason = "advice only: duals are rounded to integers and every bound and plan is re-computed exactly"
)]

use super::safe_bound::SCALE_BITS;
use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Mip, Row, Var},
        var_bounds::VarBounds,
    },
};

const FEASIBILITY_TOLERANCE: f64 = 1e-7;
const PIVOT_TOLERANCE: f64 = 1e-9;
const MIN_SCALED_FACTOR: u64 = 1 << 16;
/// Work between two questions to the caller: a millisecond or so.
const WORK_PER_CHECK: u64 = 1 << 20;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LpOutcome {
    /// An optimal basis was found.
    Optimal,
    /// The program seems infeasible; see [`Simplex::farkas_duals`].
    Infeasible,
    /// The cost seems to have passed the cutoff.
    CutOff,
    /// The step limit or the caller ended the run. The dual values still give a valid bound.
    Interrupted,
}

/// The tableau. Variable `v < n` is `Var(v)`; variable `n + r` is the sum of row `r`.
///
/// [`compact`](Self::compact) leaves out columns of fixed variables and rows that nothing can move any more. So a
/// tableau becomes smaller the deeper the search is.
#[derive(Debug, Clone)]
pub(crate) struct Simplex {
    vars: usize,
    rows: usize,
    /// `basic[r] = Σ tableau[r·width + j] · nonbasic[j]`, plus the left-out part; the width is the number of
    /// `nonbasic`.
    tableau: Vec<f64>,
    basic: Vec<u32>,
    nonbasic: Vec<u32>,
    /// For each nonbasic variable: 1 if it may rise, -1 if it may fall, 0 if it is fixed.
    direction: Vec<f64>,
    /// The reduced cost of each nonbasic variable.
    reduced_costs: Vec<f64>,
    /// The values of all variables.
    value: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Rows with large coefficients are scaled by a power of two, so that all rows have one order of magnitude.
    scale: Vec<f64>,
    /// The cost of the present assignment.
    cost: f64,
    pub(crate) pivots: u64,
    /// Entries looked at: the same number on every machine.
    pub(crate) work: u64,
    /// The row that no entering variable could repair, and whether it was below its bound.
    infeasible_row: Option<(usize, bool)>,
    /// Scratch space for the rows and columns that a pivot changes.
    touched: Vec<(u32, f64)>,
    support: Vec<u32>,
}

impl Simplex {
    /// A tableau with all variables at their lower bounds.
    pub(crate) fn new(mip: &Mip) -> Self {
        let (vars, rows) = (mip.cost.len(), mip.row_lower.len());
        let mut tableau = vec![0.0; vars * rows];
        let mut scale = vec![1.0f64; rows];
        for (_, coefficients) in mip.coefficients.iter() {
            for &(row, factor) in coefficients {
                let factor = factor.unsigned_abs();
                if factor > MIN_SCALED_FACTOR {
                    let bits = i32::try_from(factor.ilog2()).unwrap_or(0);
                    scale[row.index()] = scale[row.index()].min(0.5f64.powi(bits));
                }
            }
        }
        let lower: Vec<f64> = mip
            .lower
            .iter()
            .map(|(_, low)| *low as f64)
            .chain(
                mip.row_lower
                    .iter()
                    .map(|(row, low)| low.map_or(f64::NEG_INFINITY, |low| low as f64 * scale[row.index()])),
            )
            .collect();
        let upper: Vec<f64> = mip
            .upper
            .iter()
            .map(|(_, high)| *high as f64)
            .chain(
                mip.row_upper
                    .iter()
                    .map(|(row, high)| high.map_or(f64::INFINITY, |high| high as f64 * scale[row.index()])),
            )
            .collect();
        let mut value: Vec<f64> =
            lower[..vars].iter().copied().chain(std::iter::repeat_n(0.0, rows)).collect();
        let mut cost = 0.0;
        for (var, coefficients) in mip.coefficients.iter() {
            cost += mip.cost[var] as f64 * value[var.index()];
            for &(row, factor) in coefficients {
                let factor = factor as f64 * scale[row.index()];
                tableau[row.index() * vars + var.index()] = factor;
                value[vars + row.index()] += factor * value[var.index()];
            }
        }
        let mut simplex = Self {
            vars,
            rows,
            tableau,
            basic: (vars as u32..(vars + rows) as u32).collect(),
            nonbasic: (0..vars as u32).collect(),
            direction: vec![0.0; vars],
            reduced_costs: mip.cost.iter().map(|(_, cost)| *cost as f64).collect(),
            value,
            lower,
            upper,
            scale,
            cost,
            pivots: 0,
            work: (vars * rows) as u64,
            infeasible_row: None,
            touched: Vec::new(),
            support: Vec::new(),
        };
        (0..vars).for_each(|j| simplex.set_direction(j));
        simplex
    }

    /// Entries of the tableau.
    pub(crate) fn tableau_len(&self) -> usize {
        self.tableau.len()
    }

    fn set_direction(&mut self, j: usize) {
        let var_ix = self.nonbasic[j] as usize;
        let (low, high) = (self.lower[var_ix], self.upper[var_ix]);
        self.direction[j] = if low == high {
            0.0
        } else if self.value[var_ix] <= low {
            1.0
        } else {
            -1.0
        };
    }

    /// Sets the bounds of all variables.
    pub(crate) fn set_bounds(&mut self, bounds: &VarBounds) {
        let mut is_changed = false;
        for (var, low) in bounds.lower.iter() {
            let (low, high) = (*low as f64, bounds.upper[var] as f64);
            let v = var.index();
            if self.lower[v] != low || self.upper[v] != high {
                (self.lower[v], self.upper[v]) = (low, high);
                is_changed = true;
            }
        }
        if !is_changed {
            return;
        }
        for j in 0..self.nonbasic.len() {
            let v = self.nonbasic[j] as usize;
            if v >= self.vars {
                continue;
            }
            // The sign of the reduced cost decides: positive stays at the lower bound, negative at the upper one.
            if self.value[v] < self.lower[v] || self.value[v] > self.upper[v] {
                let at_low = self.reduced_costs[j] >= 0.0;
                self.shift(j, if at_low { self.lower[v] } else { self.upper[v] });
            }
            self.set_direction(j);
        }
    }

    /// Leaves fixed columns and settled rows out, if they are at least an eighth. Bounds only become narrower from
    /// here on.
    pub(crate) fn compact(&mut self) {
        let width = self.nonbasic.len();
        let is_kept = |j: usize| self.direction[j] != 0.0 || self.nonbasic[j] as usize >= self.vars;
        let kept: Vec<usize> = (0..width).filter(|&j| is_kept(j)).collect();
        if kept.len() * 8 > width * 7 {
            return;
        }
        let mut to = 0;
        let mut height = 0;
        for row in 0..self.basic.len() {
            let var_ix = self.basic[row] as usize;
            let from = row * width;
            let is_settled = (var_ix >= self.vars || self.lower[var_ix] == self.upper[var_ix])
                && self.value[var_ix] >= self.lower[var_ix] - FEASIBILITY_TOLERANCE
                && self.value[var_ix] <= self.upper[var_ix] + FEASIBILITY_TOLERANCE;
            if is_settled && kept.iter().all(|&j| self.direction[j] == 0.0 || self.tableau[from + j] == 0.0) {
                continue;
            }
            for &j in &kept {
                self.tableau[to] = self.tableau[from + j];
                to += 1;
            }
            self.basic[height] = self.basic[row];
            height += 1;
        }
        self.basic.truncate(height);
        self.tableau.truncate(to);
        for (new, &j) in kept.iter().enumerate() {
            self.nonbasic[new] = self.nonbasic[j];
            self.direction[new] = self.direction[j];
            self.reduced_costs[new] = self.reduced_costs[j];
        }
        self.nonbasic.truncate(kept.len());
        self.direction.truncate(kept.len());
        self.reduced_costs.truncate(kept.len());
        // Each node copies the rest.
        self.tableau.shrink_to_fit();
    }

    /// Moves a nonbasic variable to a value.
    fn shift(&mut self, j: usize, target: f64) {
        let var_ix = self.nonbasic[j] as usize;
        let step = target - self.value[var_ix];
        if step == 0.0 {
            return;
        }
        self.value[var_ix] = target;
        self.cost += self.reduced_costs[j] * step;
        let width = self.nonbasic.len();
        self.work += self.basic.len() as u64;
        for (row, &basic) in self.basic.iter().enumerate() {
            self.value[basic as usize] += self.tableau[row * width + j] * step;
        }
    }

    /// Runs until the program is optimal, infeasible or past the cutoff, or until the step limit or the caller ends
    /// it.
    pub(crate) fn run(&mut self, cutoff: i128, should_stop: &mut dyn FnMut() -> bool) -> LpOutcome {
        let limit = 200 + 20 * (self.rows as u64 + self.vars as u64);
        self.run_limited(limit, cutoff, should_stop)
    }

    /// Runs for at most `limit` steps.
    pub(crate) fn run_limited(
        &mut self,
        limit: u64,
        cutoff: i128,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> LpOutcome {
        // A little above the cutoff, so that exact arithmetic confirms most cut-offs.
        let cut_off = cutoff as f64 * (1.0 + 1e-9) + 1.0;
        let mut asked = self.work;
        for _ in 0..limit {
            if self.cost > cut_off {
                return LpOutcome::CutOff;
            }
            if self.work - asked > WORK_PER_CHECK {
                asked = self.work;
                if should_stop() {
                    return LpOutcome::Interrupted;
                }
            }
            let Some((row, is_below)) = self.most_violated() else {
                return LpOutcome::Optimal;
            };
            let Some(j) = self.entering(row, is_below) else {
                self.infeasible_row = Some((row, is_below));
                return LpOutcome::Infeasible;
            };
            self.pivot(row, j, is_below);
        }
        LpOutcome::Interrupted
    }

    /// The basic variable that violates its bounds most; ties go to the lower row.
    fn most_violated(&self) -> Option<(usize, bool)> {
        let mut worst = (FEASIBILITY_TOLERANCE, None);
        for (row, &var_ix) in self.basic.iter().enumerate() {
            let var_ix = var_ix as usize;
            let (below, above) =
                (self.lower[var_ix] - self.value[var_ix], self.value[var_ix] - self.upper[var_ix]);
            let most = below.max(above);
            if most <= FEASIBILITY_TOLERANCE {
                continue;
            }
            let scaled = most / (1.0 + self.value[var_ix].abs() * 1e-3);
            if scaled > worst.0 {
                worst = (scaled, Some((row, below > above)));
            }
        }
        worst.1
    }

    /// The entering variable: the one that repairs the row at the lowest reduced cost per unit (the ratio test). Of
    /// nearly equal ones the one with the largest pivot enters.
    fn entering(&self, row: usize, is_below: bool) -> Option<usize> {
        let sign = if is_below { 1.0 } else { -1.0 };
        let width = self.nonbasic.len();
        let entries = &self.tableau[row * width..(row + 1) * width];
        let mut best: Option<(f64, f64, usize)> = None;
        for (j, ((&entry, direction), reduced)) in
            entries.iter().zip(&self.direction).zip(&self.reduced_costs).enumerate()
        {
            let pivot = sign * entry * direction;
            if pivot <= PIVOT_TOLERANCE {
                continue;
            }
            let ratio = reduced.abs() / pivot;
            let is_better = best.is_none_or(|(least, most, _)| {
                let tie = 1e-9 * (1.0 + least);
                ratio < least - tie || (ratio <= least + tie && pivot > most)
            });
            if is_better {
                best = Some((ratio, pivot, j));
            }
        }
        best.map(|(_, _, j)| j)
    }

    fn pivot(&mut self, row: usize, j: usize, is_below: bool) {
        self.pivots += 1;
        let width = self.nonbasic.len();
        let leaving = self.basic[row] as usize;
        let target = if is_below { self.lower[leaving] } else { self.upper[leaving] };
        let entry = self.tableau[row * width + j];
        let step = (target - self.value[leaving]) / entry;
        self.value[self.nonbasic[j] as usize] += step;
        self.cost += self.reduced_costs[j] * step;
        let mut touched = std::mem::take(&mut self.touched);
        let mut support = std::mem::take(&mut self.support);
        touched.clear();
        support.clear();
        for (other, &basic) in self.basic.iter().enumerate() {
            let factor = self.tableau[other * width + j];
            if factor != 0.0 {
                self.value[basic as usize] += factor * step;
                if other != row {
                    touched.push((other as u32, factor));
                }
            }
        }
        self.value[leaving] = target;

        let (before, rest) = self.tableau.split_at_mut(row * width);
        let (mine, after) = rest.split_at_mut(width);
        for value in mine.iter_mut() {
            *value /= -entry;
        }
        mine[j] = 1.0 / entry;
        let is_nonzero = |(at, value): (usize, &f64)| (*value != 0.0).then_some(at as u32);
        support.extend(mine.iter().enumerate().filter_map(is_nonzero));
        let is_sparse = support.len() * 3 < width;
        let done = if is_sparse { support.len() } else { width };
        self.work += (2 * width + 2 * self.basic.len() + (touched.len() + 1) * done) as u64;
        let add = |other: &mut [f64], factor: f64| {
            other[j] = 0.0;
            if is_sparse {
                for &at in &support {
                    let value = other[at as usize] + factor * mine[at as usize];
                    other[at as usize] = if value.abs() < 1e-12 { 0.0 } else { value };
                }
            } else {
                for (value, own) in other.iter_mut().zip(mine.iter()) {
                    let sum = *value + factor * own;
                    *value = if sum.abs() < 1e-12 { 0.0 } else { sum };
                }
            }
        };
        for &(other, factor) in &touched {
            let other = other as usize;
            if other < row {
                add(&mut before[other * width..(other + 1) * width], factor);
            } else {
                add(&mut after[(other - row - 1) * width..(other - row) * width], factor);
            }
        }
        let factor = self.reduced_costs[j];
        if factor != 0.0 {
            add(&mut self.reduced_costs, factor);
        }
        (self.touched, self.support) = (touched, support);
        let entering = self.nonbasic[j];
        self.nonbasic[j] = leaving as u32;
        self.basic[row] = entering;
        self.set_direction(j);
    }

    /// The present value of a variable.
    pub(crate) fn value(&self, var: Var) -> f64 {
        self.value[var.index()]
    }

    /// The integer nearest to the present value of a variable.
    pub(crate) fn nearest(&self, var: Var) -> i64 {
        self.value[var.index()].round() as i64
    }

    /// The integer below the present value of a variable.
    pub(crate) fn below(&self, var: Var) -> i64 {
        self.value[var.index()].floor() as i64
    }

    /// The distance to the nearest integer, in thousandths.
    pub(crate) fn fraction(&self, var: Var) -> u32 {
        let value = self.value[var.index()];
        ((value - value.round()).abs() * 1000.0) as u32
    }

    /// The dual values of the rows, rounded to units of 2⁻³⁶; their signs fit the rows' bounds.
    pub(crate) fn duals(&self, mip: &Mip) -> IdVec<Row, i128> {
        let mut duals: IdVec<Row, i128> = (0..self.rows).map(|_| 0).collect();
        for (j, &var_ix) in self.nonbasic.iter().enumerate() {
            if let Some(row) = (var_ix as usize).checked_sub(self.vars).map(Row::from_index) {
                let dual = self.reduced_costs[j] * self.scale[row.index()];
                duals[row] = clear_wrong_sign(mip, row, to_fixed_point(dual));
            }
        }
        duals
    }

    /// The dual values of a Farkas proof, after [`LpOutcome::Infeasible`]. Any multiple of them is a proof too, so the
    /// largest is scaled to a large integer.
    pub(crate) fn farkas_duals(&self, mip: &Mip) -> IdVec<Row, i128> {
        let Some((row, is_below)) = self.infeasible_row else { return (0..self.rows).map(|_| 0).collect() };
        let sign = if is_below { 1.0 } else { -1.0 };
        let mut duals = vec![0.0; self.rows];
        let mut set = |var_ix: u32, factor: f64| {
            if let Some(row) = (var_ix as usize).checked_sub(self.vars) {
                duals[row] = sign * factor * self.scale[row];
            }
        };
        set(self.basic[row], 1.0);
        for (j, &var_ix) in self.nonbasic.iter().enumerate() {
            set(var_ix, -self.tableau[row * self.nonbasic.len() + j]);
        }
        let largest = duals.iter().fold(0.0f64, |most, dual| most.max(dual.abs()));
        let up = if largest > 0.0 { 2f64.powi(56) / largest } else { 1.0 };
        duals
            .into_iter()
            .enumerate()
            .map(|(row, dual)| clear_wrong_sign(mip, Row::from_index(row), (dual * up).round() as i128))
            .collect()
    }
}

fn to_fixed_point(dual: f64) -> i128 {
    (dual * (1u64 << SCALE_BITS) as f64).round() as i128
}

/// A dual value whose sign does not fit a one-sided row is rounding noise.
fn clear_wrong_sign(mip: &Mip, row: Row, dual: i128) -> i128 {
    let has_limit = if dual > 0 { mip.row_lower[row].is_some() } else { mip.row_upper[row].is_some() };
    if has_limit { dual } else { 0 }
}
