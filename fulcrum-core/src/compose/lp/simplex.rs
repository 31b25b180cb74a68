//! A bounded dual simplex on a dense tableau: the adviser.
//!
//! Costs are never negative, so all unknowns at their lower limits are dual feasible and no first phase is
//! needed; after a change of limits at a node of the search the same tableau goes on (dual simplex for bounded
//! variables; R. J. Vanderbei, *Linear Programming*, 5th ed., Springer 2020, chapters 5 and 12). IEEE 754
//! arithmetic without contraction is the same on every platform, so the advice, too, is reproducible.
#![expect(
    clippy::float_arithmetic,
    reason = "advice only: multipliers are rounded to integers and every bound and plan is re-computed exactly"
)]

use super::safe_bound::SCALE_BITS;
use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Program, Row, Var},
        var_bounds::Bounds,
    },
};

const FEASIBLE: f64 = 1e-7;
const PIVOT: f64 = 1e-9;
const LARGE_FACTOR: u64 = 1 << 16;
/// Work after which the caller is asked whether to go on: a millisecond or so.
const WORK_UNASKED: u64 = 1 << 20;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Solved.
    Optimal,
    /// No assignment, it seems; see [`Simplex::infeasibility`].
    Infeasible,
    /// The cost has passed the cut-off, it seems.
    CutOff,
    /// Too many steps, or the caller's wish: the multipliers are still good for a bound.
    Interrupted,
}

/// The tableau. Unknown `v < n` is `Var(v)`; unknown `n + r` is the sum of row `r`.
///
/// Columns of unknowns that have one value left, and rows that nothing can move any more, are left out by
/// [`pack`](Self::pack): a tableau becomes smaller the deeper the search is.
#[derive(Debug, Clone)]
pub(crate) struct Simplex {
    vars: usize,
    rows: usize,
    /// `basic[r] = Σ tableau[r·width + j] · nonbasic[j]`, plus what was left out; the width is the number of `nonbasic`.
    tableau: Vec<f64>,
    basic: Vec<u32>,
    nonbasic: Vec<u32>,
    /// Of each nonbasic unknown: 1 if it may rise, -1 if it may fall, 0 if it may not move.
    side: Vec<f64>,
    /// Cost of one more of each nonbasic unknown.
    reduced: Vec<f64>,
    /// Of all unknowns.
    value: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    /// Rows of large factors are divided by a power of two, so that all are of one order of magnitude.
    scale: Vec<f64>,
    /// Of the present assignment.
    cost: f64,
    pub(crate) pivots: u64,
    /// Entries looked at: the same on every machine.
    pub(crate) work: u64,
    /// The row that no entering unknown could mend, and whether it was below its limit.
    stuck: Option<(usize, bool)>,
    /// Room for the rows that a pivot changes, and for the columns.
    touched: Vec<(u32, f64)>,
    support: Vec<u32>,
}

impl Simplex {
    /// A tableau with all unknowns at their lower limits.
    pub(crate) fn new(program: &Program) -> Self {
        let (vars, rows) = (program.cost.len(), program.row_low.len());
        let mut tableau = vec![0.0; vars * rows];
        let mut scale = vec![1.0f64; rows];
        for (_, entries) in program.entries.iter() {
            for &(row, factor) in entries {
                let factor = factor.unsigned_abs();
                if factor > LARGE_FACTOR {
                    let bits = i32::try_from(factor.ilog2()).unwrap_or(0);
                    scale[row.index()] = scale[row.index()].min(0.5f64.powi(bits));
                }
            }
        }
        let low: Vec<f64> = program
            .low
            .iter()
            .map(|(_, low)| *low as f64)
            .chain(
                program
                    .row_low
                    .iter()
                    .map(|(row, low)| low.map_or(f64::NEG_INFINITY, |low| low as f64 * scale[row.index()])),
            )
            .collect();
        let high: Vec<f64> = program
            .high
            .iter()
            .map(|(_, high)| *high as f64)
            .chain(
                program
                    .row_high
                    .iter()
                    .map(|(row, high)| high.map_or(f64::INFINITY, |high| high as f64 * scale[row.index()])),
            )
            .collect();
        let mut value: Vec<f64> = low[..vars].iter().copied().chain(std::iter::repeat_n(0.0, rows)).collect();
        let mut cost = 0.0;
        for (var, entries) in program.entries.iter() {
            cost += program.cost[var] as f64 * value[var.index()];
            for &(row, factor) in entries {
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
            side: vec![0.0; vars],
            reduced: program.cost.iter().map(|(_, cost)| *cost as f64).collect(),
            value,
            low,
            high,
            scale,
            cost,
            pivots: 0,
            work: (vars * rows) as u64,
            stuck: None,
            touched: Vec::new(),
            support: Vec::new(),
        };
        (0..vars).for_each(|j| simplex.take_side(j));
        simplex
    }

    /// Entries of the tableau, to reckon with memory.
    pub(crate) fn size(&self) -> usize {
        self.tableau.len()
    }

    fn take_side(&mut self, j: usize) {
        let unknown = self.nonbasic[j] as usize;
        let (low, high) = (self.low[unknown], self.high[unknown]);
        self.side[j] = if low == high {
            0.0
        } else if self.value[unknown] <= low {
            1.0
        } else {
            -1.0
        };
    }

    /// Takes over the limits of all unknowns.
    pub(crate) fn narrow(&mut self, bounds: &Bounds) {
        let mut is_changed = false;
        for (var, low) in bounds.low.iter() {
            let (low, high) = (*low as f64, bounds.high[var] as f64);
            let v = var.index();
            if self.low[v] != low || self.high[v] != high {
                (self.low[v], self.high[v]) = (low, high);
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
            // Where the price says: what costs stays low, what pays stays high.
            if self.value[v] < self.low[v] || self.value[v] > self.high[v] {
                let at_low = self.reduced[j] >= 0.0;
                self.shift(j, if at_low { self.low[v] } else { self.high[v] });
            }
            self.take_side(j);
        }
    }

    /// Leaves out what can no longer change, if that is a good part: limits only ever become narrower from here on.
    pub(crate) fn pack(&mut self) {
        let width = self.nonbasic.len();
        let is_kept = |j: usize| self.side[j] != 0.0 || self.nonbasic[j] as usize >= self.vars;
        let kept: Vec<usize> = (0..width).filter(|&j| is_kept(j)).collect();
        if kept.len() * 8 > width * 7 {
            return;
        }
        let mut to = 0;
        let mut height = 0;
        for row in 0..self.basic.len() {
            let unknown = self.basic[row] as usize;
            let from = row * width;
            let is_settled = (unknown >= self.vars || self.low[unknown] == self.high[unknown])
                && self.value[unknown] >= self.low[unknown] - FEASIBLE
                && self.value[unknown] <= self.high[unknown] + FEASIBLE;
            if is_settled && kept.iter().all(|&j| self.side[j] == 0.0 || self.tableau[from + j] == 0.0) {
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
            self.side[new] = self.side[j];
            self.reduced[new] = self.reduced[j];
        }
        self.nonbasic.truncate(kept.len());
        self.side.truncate(kept.len());
        self.reduced.truncate(kept.len());
        // What is left is to be copied: for every node.
        self.tableau.shrink_to_fit();
    }

    /// Moves a nonbasic unknown.
    fn shift(&mut self, j: usize, target: f64) {
        let unknown = self.nonbasic[j] as usize;
        let step = target - self.value[unknown];
        if step == 0.0 {
            return;
        }
        self.value[unknown] = target;
        self.cost += self.reduced[j] * step;
        let width = self.nonbasic.len();
        self.work += self.basic.len() as u64;
        for (row, &basic) in self.basic.iter().enumerate() {
            self.value[basic as usize] += self.tableau[row * width + j] * step;
        }
    }

    /// Runs until solved, infeasible, past the ceiling, out of steps, or told to stop.
    pub(crate) fn run(&mut self, ceiling: i128, should_stop: &mut dyn FnMut() -> bool) -> Outcome {
        let limit = 200 + 20 * (self.rows as u64 + self.vars as u64);
        self.steps(limit, ceiling, should_stop)
    }

    /// The same with so many steps at most.
    pub(crate) fn steps(
        &mut self,
        limit: u64,
        ceiling: i128,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> Outcome {
        // A little above, so that what is called cut off here stands up to exact arithmetic.
        let cut_off = ceiling as f64 * (1.0 + 1e-9) + 1.0;
        let mut asked = self.work;
        for _ in 0..limit {
            if self.cost > cut_off {
                return Outcome::CutOff;
            }
            if self.work - asked > WORK_UNASKED {
                asked = self.work;
                if should_stop() {
                    return Outcome::Interrupted;
                }
            }
            let Some((row, is_below)) = self.most_violated() else {
                return Outcome::Optimal;
            };
            let Some(j) = self.entering(row, is_below) else {
                self.stuck = Some((row, is_below));
                return Outcome::Infeasible;
            };
            self.pivot(row, j, is_below);
        }
        Outcome::Interrupted
    }

    /// The basic unknown that is furthest outside its limits; ties go to the lower row.
    fn most_violated(&self) -> Option<(usize, bool)> {
        let mut worst = (FEASIBLE, None);
        for (row, &unknown) in self.basic.iter().enumerate() {
            let unknown = unknown as usize;
            let (below, above) =
                (self.low[unknown] - self.value[unknown], self.value[unknown] - self.high[unknown]);
            let most = below.max(above);
            if most <= FEASIBLE {
                continue;
            }
            let scaled = most / (1.0 + self.value[unknown].abs() * 1e-3);
            if scaled > worst.0 {
                worst = (scaled, Some((row, below > above)));
            }
        }
        worst.1
    }

    /// The nonbasic unknown whose move mends the row at the least cost for each unit (the ratio test); of
    /// nearly equal ones the one with the largest pivot.
    fn entering(&self, row: usize, is_below: bool) -> Option<usize> {
        let direction = if is_below { 1.0 } else { -1.0 };
        let width = self.nonbasic.len();
        let entries = &self.tableau[row * width..(row + 1) * width];
        let mut best: Option<(f64, f64, usize)> = None;
        for (j, ((&entry, side), reduced)) in entries.iter().zip(&self.side).zip(&self.reduced).enumerate() {
            let pivot = direction * entry * side;
            if pivot <= PIVOT {
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
        let target = if is_below { self.low[leaving] } else { self.high[leaving] };
        let entry = self.tableau[row * width + j];
        let step = (target - self.value[leaving]) / entry;
        self.value[self.nonbasic[j] as usize] += step;
        self.cost += self.reduced[j] * step;
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
        let factor = self.reduced[j];
        if factor != 0.0 {
            add(&mut self.reduced, factor);
        }
        (self.touched, self.support) = (touched, support);
        let entering = self.nonbasic[j];
        self.nonbasic[j] = leaving as u32;
        self.basic[row] = entering;
        self.take_side(j);
    }

    /// The present value of an unknown.
    pub(crate) fn value(&self, var: Var) -> f64 {
        self.value[var.index()]
    }

    /// The whole number nearest to the present value of an unknown.
    pub(crate) fn nearest(&self, var: Var) -> i64 {
        self.value[var.index()].round() as i64
    }

    /// The whole number below it.
    pub(crate) fn below(&self, var: Var) -> i64 {
        self.value[var.index()].floor() as i64
    }

    /// How far it is from whole, in thousandths.
    pub(crate) fn fraction(&self, var: Var) -> u32 {
        let value = self.value[var.index()];
        ((value - value.round()).abs() * 1000.0) as u32
    }

    /// The rows' multipliers, rounded to units of 2⁻³⁶; of the sign that the row's limits allow.
    pub(crate) fn multipliers(&self, program: &Program) -> IdVec<Row, i128> {
        let mut multipliers: IdVec<Row, i128> = (0..self.rows).map(|_| 0).collect();
        for (j, &unknown) in self.nonbasic.iter().enumerate() {
            if let Some(row) = (unknown as usize).checked_sub(self.vars).map(Row::from_index) {
                let multiplier = self.reduced[j] * self.scale[row.index()];
                multipliers[row] = allowed(program, row, scaled(multiplier));
            }
        }
        multipliers
    }

    /// Multipliers that show why there is no assignment, after [`Outcome::Infeasible`]. Any multiple of them shows
    /// it too, so the largest is made a large whole number.
    pub(crate) fn infeasibility(&self, program: &Program) -> IdVec<Row, i128> {
        let Some((row, is_below)) = self.stuck else { return (0..self.rows).map(|_| 0).collect() };
        let sign = if is_below { 1.0 } else { -1.0 };
        let mut multipliers = vec![0.0; self.rows];
        let mut set = |unknown: u32, factor: f64| {
            if let Some(row) = (unknown as usize).checked_sub(self.vars) {
                multipliers[row] = sign * factor * self.scale[row];
            }
        };
        set(self.basic[row], 1.0);
        for (j, &unknown) in self.nonbasic.iter().enumerate() {
            set(unknown, -self.tableau[row * self.nonbasic.len() + j]);
        }
        let largest = multipliers.iter().fold(0.0f64, |most, multiplier| most.max(multiplier.abs()));
        let up = if largest > 0.0 { 2f64.powi(56) / largest } else { 1.0 };
        multipliers
            .into_iter()
            .enumerate()
            .map(|(row, multiplier)| {
                allowed(program, Row::from_index(row), (multiplier * up).round() as i128)
            })
            .collect()
    }
}

fn scaled(multiplier: f64) -> i128 {
    (multiplier * (1u64 << SCALE_BITS) as f64).round() as i128
}

/// A multiplier of the wrong sign on a one-sided row is rounding noise.
fn allowed(program: &Program, row: Row, multiplier: i128) -> i128 {
    let has_limit =
        if multiplier > 0 { program.row_low[row].is_some() } else { program.row_high[row].is_some() };
    if has_limit { multiplier } else { 0 }
}
