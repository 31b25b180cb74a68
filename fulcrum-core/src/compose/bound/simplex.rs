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

use super::exact::{Bounds, SCALE_BITS};
use crate::compose::{
    id_vec::{Id, IdVec},
    program::{Program, Row, Var},
};

const FEASIBLE: f64 = 1e-7;
const PIVOT: f64 = 1e-9;
const LARGE_FACTOR: u64 = 1 << 16;

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
#[derive(Debug, Clone)]
pub(crate) struct Simplex {
    vars: usize,
    rows: usize,
    /// `basic[r] = Σ tableau[r·vars + j] · nonbasic[j]`.
    tableau: Vec<f64>,
    basic: Vec<u32>,
    nonbasic: Vec<u32>,
    /// Cost of one more of each nonbasic unknown.
    reduced: Vec<f64>,
    /// Of all unknowns.
    value: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    /// Rows of large factors are divided by a power of two, so that all are of one order of magnitude.
    scale: Vec<f64>,
    pub(crate) pivots: u64,
    /// The row that no entering unknown could mend, and whether it was below its limit.
    stuck: Option<(usize, bool)>,
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
        for (var, entries) in program.entries.iter() {
            for &(row, factor) in entries {
                tableau[row.index() * vars + var.index()] = factor as f64 * scale[row.index()];
            }
        }
        let row_low = program
            .row_low
            .iter()
            .map(|(row, low)| low.map_or(f64::NEG_INFINITY, |low| low as f64 * scale[row.index()]));
        let row_high = program
            .row_high
            .iter()
            .map(|(row, high)| high.map_or(f64::INFINITY, |high| high as f64 * scale[row.index()]));
        let low: Vec<f64> = program.low.iter().map(|(_, low)| *low as f64).chain(row_low).collect();
        let high: Vec<f64> = program.high.iter().map(|(_, high)| *high as f64).chain(row_high).collect();
        let mut simplex = Self {
            vars,
            rows,
            tableau,
            basic: (vars as u32..(vars + rows) as u32).collect(),
            nonbasic: (0..vars as u32).collect(),
            reduced: program.cost.iter().map(|(_, cost)| *cost as f64).collect(),
            value: low[..vars].iter().copied().chain(std::iter::repeat_n(0.0, rows)).collect(),
            low,
            high,
            scale,
            pivots: 0,
            stuck: None,
        };
        for row in 0..rows {
            simplex.value[vars + row] =
                (0..vars).map(|j| simplex.tableau[row * vars + j] * simplex.value[j]).sum();
        }
        simplex
    }

    /// Entries of the tableau, to reckon with memory.
    pub(crate) fn size(&self) -> usize {
        self.tableau.len()
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
        for j in 0..self.vars {
            let v = self.nonbasic[j] as usize;
            // Where the price says: what costs stays low, what pays stays high.
            if v < self.vars && (self.value[v] < self.low[v] || self.value[v] > self.high[v]) {
                let at_low = self.reduced[j] >= 0.0;
                self.shift(j, if at_low { self.low[v] } else { self.high[v] });
            }
        }
    }

    /// Moves a nonbasic unknown.
    fn shift(&mut self, j: usize, target: f64) {
        let unknown = self.nonbasic[j] as usize;
        let step = target - self.value[unknown];
        if step == 0.0 {
            return;
        }
        self.value[unknown] = target;
        for row in 0..self.rows {
            self.value[self.basic[row] as usize] += self.tableau[row * self.vars + j] * step;
        }
    }

    /// Runs until solved, infeasible, past the ceiling, out of steps, or told to stop.
    pub(crate) fn run(&mut self, ceiling: i128, should_stop: &mut dyn FnMut() -> bool) -> Outcome {
        // A little above, so that what is called cut off here stands up to exact arithmetic.
        let cut_off = ceiling as f64 * (1.0 + 1e-9) + 1.0;
        let limit = 200 + 20 * (self.rows as u64 + self.vars as u64);
        for step in 0..limit {
            if step % 32 == 31 && (should_stop() || self.cost() > cut_off) {
                return if self.cost() > cut_off { Outcome::CutOff } else { Outcome::Interrupted };
            }
            let Some((row, is_below)) = self.most_violated() else {
                return if self.cost() > cut_off { Outcome::CutOff } else { Outcome::Optimal };
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
        for row in 0..self.rows {
            let unknown = self.basic[row] as usize;
            let (below, above) =
                (self.low[unknown] - self.value[unknown], self.value[unknown] - self.high[unknown]);
            let scale = 1.0 + self.value[unknown].abs() * 1e-3;
            if below.max(above) / scale > worst.0 {
                worst = (below.max(above) / scale, Some((row, below > above)));
            }
        }
        worst.1
    }

    /// The nonbasic unknown whose move mends the row at the least cost for each unit (the ratio test); of
    /// nearly equal ones the one with the largest pivot.
    fn entering(&self, row: usize, is_below: bool) -> Option<usize> {
        let direction = if is_below { 1.0 } else { -1.0 };
        let entries = &self.tableau[row * self.vars..(row + 1) * self.vars];
        let mut best: Option<(f64, f64, usize)> = None;
        for (j, &entry) in entries.iter().enumerate() {
            let unknown = self.nonbasic[j] as usize;
            if entry.abs() <= PIVOT || self.low[unknown] == self.high[unknown] {
                continue;
            }
            let is_at_low = self.value[unknown] <= self.low[unknown];
            let helps = if is_at_low { direction * entry > 0.0 } else { direction * entry < 0.0 };
            if !helps {
                continue;
            }
            let ratio = self.reduced[j].abs() / entry.abs();
            let is_better = best.is_none_or(|(least, pivot, _)| {
                let tie = 1e-9 * (1.0 + least);
                ratio < least - tie || (ratio <= least + tie && entry.abs() > pivot)
            });
            if is_better {
                best = Some((ratio, entry.abs(), j));
            }
        }
        best.map(|(_, _, j)| j)
    }

    fn pivot(&mut self, row: usize, j: usize, is_below: bool) {
        self.pivots += 1;
        let vars = self.vars;
        let leaving = self.basic[row] as usize;
        let target = if is_below { self.low[leaving] } else { self.high[leaving] };
        let entry = self.tableau[row * vars + j];
        let step = (target - self.value[leaving]) / entry;
        self.value[self.nonbasic[j] as usize] += step;
        for other in 0..self.rows {
            self.value[self.basic[other] as usize] += self.tableau[other * vars + j] * step;
        }
        self.value[leaving] = target;

        let (before, rest) = self.tableau.split_at_mut(row * vars);
        let (mine, after) = rest.split_at_mut(vars);
        for value in mine.iter_mut() {
            *value /= -entry;
        }
        mine[j] = 1.0 / entry;
        let rows = before
            .chunks_exact_mut(vars)
            .chain(after.chunks_exact_mut(vars))
            .chain([self.reduced.as_mut_slice()]);
        for other in rows {
            let factor = other[j];
            if factor == 0.0 {
                continue;
            }
            other[j] = 0.0;
            for (value, own) in other.iter_mut().zip(mine.iter()) {
                *value += factor * own;
                if value.abs() < 1e-12 {
                    *value = 0.0;
                }
            }
        }
        let entering = self.nonbasic[j];
        self.nonbasic[j] = leaving as u32;
        self.basic[row] = entering;
    }

    /// Cost of the present assignment, which while the run goes on is below the optimum.
    pub(crate) fn cost(&self) -> f64 {
        self.nonbasic
            .iter()
            .zip(&self.reduced)
            .map(|(&unknown, cost)| cost * self.value[unknown as usize])
            .sum()
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
            set(unknown, -self.tableau[row * self.vars + j]);
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
