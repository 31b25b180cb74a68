//! Rows of the linear program that bound the numbers by which plans are split, and what such a bound would cost.
#![expect(
    clippy::float_arithmetic,
    reason = "advice only: dual values are rounded to integers, and bounds are computed from these"
)]

use super::{
    compact_lp::CompactLp,
    row_pool::{BranchBounds, BranchKey},
};
use crate::compose::{
    formulation::problem::Problem,
    lp::sparse::{LpEnd, LpVar},
    presolve::columns::{ColumnId, ColumnSet},
};

/// Questions to the caller after which a probe ends.
const MAX_PROBE_CHECKS: u32 = 2;

impl CompactLp {
    /// Bounds some numbers of the plans; all others are free.
    pub(crate) fn set_branch(
        &mut self,
        problem: &Problem<'_>,
        column_set: &ColumnSet,
        bounds: &BranchBounds,
    ) {
        for (key, row) in &self.branches {
            if !bounds.contains_key(key) {
                self.lp.lift(*row);
            }
        }
        for (key, (low, high)) in bounds {
            let row = match self.branches.get(key) {
                Some(row) => *row,
                None => {
                    let terms = self.branch_terms(problem, column_set, *key);
                    let row = self.add_row((Some(0), Some(0)), 1.0, terms);
                    self.branches.insert(*key, row);
                    row
                }
            };
            let low = if *low > 0 { *low as f64 } else { f64::NEG_INFINITY };
            let high = if *high < i64::MAX { *high as f64 } else { f64::INFINITY };
            self.lp.set_row_bounds(row, (low, high));
        }
    }

    /// The columns that add to a number of the plans.
    fn branch_terms(
        &self,
        problem: &Problem<'_>,
        column_set: &ColumnSet,
        key: BranchKey,
    ) -> Vec<(LpVar, f64)> {
        let (BranchKey::Count((one, ..)) | BranchKey::Pair(one, _)) = key;
        let of = |(id, _): &(ColumnId, u32)| {
            let factor = key.factor(problem, &column_set.columns[*id]);
            (factor > 0).then_some((self.columns[*id], f64::from(factor)))
        };
        self.carriers[one].iter().filter_map(of).collect()
    }

    /// What the solution would cost more if a number were at most this, and if it were at least one more; as far as a few pivots tell.
    pub(crate) fn probe(
        &mut self,
        problem: &Problem<'_>,
        column_set: &ColumnSet,
        key: BranchKey,
        below: i64,
        cutoff: i128,
    ) -> [f64; 2] {
        let before = self.lp.objective();
        let most = (self.lp_cost(cutoff) - before).max(0.0);
        let mut work = 0;
        let gains = [(f64::NEG_INFINITY, below as f64), (below as f64 + 1.0, f64::INFINITY)].map(|limits| {
            let mut lp = self.lp.clone();
            match self.branches.get(&key) {
                Some(row) => lp.set_row_bounds(*row, limits),
                None => drop(lp.add_row(limits, self.branch_terms(problem, column_set, key))),
            }
            let mut asked = 0;
            let end = lp.solve(self.lp_cost(cutoff), &mut || {
                asked += 1;
                asked > MAX_PROBE_CHECKS
            });
            let gain = match end {
                LpEnd::Infeasible | LpEnd::CutOff => most,
                LpEnd::Optimal | LpEnd::Interrupted => (lp.objective() - before).clamp(0.0, most),
            };
            work += lp.work - self.lp.work;
            gain / self.cost_unit
        });
        self.lp.work += work;
        gains
    }
}
