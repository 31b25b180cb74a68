//! Dives: plans from the linear program, by fixing leases until all are whole (T. Achterberg, *Constraint Integer Programming*, TU
//! Berlin 2007, §9.2; with columns on the way: R. Sadykov and others, "Primal heuristics for branch and price", INFORMS Journal on
//! Computing 31(2), 2019). A neighbourhood keeps some leases of a plan and dives for the others.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at good leases; whole plans are checked in integers, by a program of their own and by the verifier"
)]

use super::master::RestrictedMaster;
use crate::compose::{
    error::ComposeError,
    formulation::ids::ComponentIx,
    id_vec::{Id, IdVec},
    interrupt::InterruptCheck,
    lp::sparse::{LpEnd, chance},
    presolve::columns::{Column, ColumnId},
};

/// How far a number of leases may be from a whole one.
const WHOLE_TOLERANCE: f64 = 1e-4;
/// How carefully a dive goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DivePace {
    /// Leases from this part on are fixed at once.
    nearly_whole: f64,
    /// Rounds of pricing before the first fixing, and after each one.
    pricing_before: usize,
    pricing_after: usize,
}

impl DivePace {
    /// To a first plan.
    pub(crate) const QUICK: Self = Self { nearly_whole: 0.5, pricing_before: 0, pricing_after: 0 };
    /// To a good one.
    pub(crate) const CAREFUL: Self = Self { nearly_whole: 0.85, pricing_before: 3, pricing_after: 1 };
}

/// Rounds of pricing where the fixed leases leave no solution with the columns that there are.
const MAX_REPAIRS: usize = 4;

/// Columns with their numbers of leases.
pub(crate) type Leases = Vec<(ColumnId, i64)>;

impl RestrictedMaster<'_> {
    /// Keeps some leases, and dives for the rest. `None` if nothing below the cutoff was found. Equal streams give equal dives.
    pub(crate) fn dive(
        &mut self,
        kept: &Leases,
        pace: DivePace,
        cutoff: i128,
        stream: u64,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<Leases>, ComposeError> {
        self.tidy();
        let found = self.dive_within(kept, pace, cutoff, stream, interrupt);
        self.program.free_all();
        found
    }

    fn dive_within(
        &mut self,
        kept: &Leases,
        pace: DivePace,
        cutoff: i128,
        stream: u64,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<Leases>, ComposeError> {
        let mut fixed: IdVec<ColumnId, i64> = self.column_set.columns.ids().map(|_| 0).collect();
        for (id, count) in kept {
            fixed[*id] += count;
            self.program.fix(*id, fixed[*id]);
        }
        let mut rounds = pace.pricing_before;
        // What was fixed last, with what was fixed before.
        let mut batch: Vec<(ColumnId, i64)> = Vec::new();
        loop {
            if !self.solve_rest(&fixed, cutoff, rounds, interrupt)? {
                if batch.len() < 2 || !interrupt.should_continue() {
                    return Ok(None);
                }
                // Too many at once: the second half is free again.
                for (id, before) in batch.split_off(batch.len() / 2) {
                    fixed[id] = before;
                    self.program.fix(id, before);
                }
                continue;
            }
            rounds = pace.pricing_after;
            while fixed.len() < self.column_set.columns.len() {
                fixed.push(0);
            }
            let used: Vec<(ColumnId, f64)> = self.program.used().collect();
            if let Some(whole) = self.whole_leases(WHOLE_TOLERANCE) {
                return Ok(Some(whole));
            }
            let mut parts: Vec<(f64, ColumnId)> = used
                .into_iter()
                .map(|(id, leases)| {
                    let part = leases - fixed[id] as f64;
                    (
                        part * (1.0
                            + if stream == 0 { 0.0 } else { 0.3 * chance(stream, id.index() as u64) }),
                        id,
                    )
                })
                .filter(|(part, _)| *part > WHOLE_TOLERANCE)
                .collect();
            parts.sort_by(|(a, one), (b, two)| b.total_cmp(a).then(one.cmp(two)));
            batch.clear();
            for (at, (part, id)) in parts.into_iter().enumerate() {
                let whole = (part + 1.0 - pace.nearly_whole).floor() as i64;
                // The largest part is fixed in any case.
                let more = if at == 0 { whole.max(1) } else { whole };
                if more > 0 {
                    batch.push((id, fixed[id]));
                    fixed[id] += more;
                    self.program.fix(id, fixed[id]);
                }
            }
        }
    }

    /// The leases of the solution, if they are whole.
    pub(super) fn whole_leases(&self, tolerance: f64) -> Option<Leases> {
        let used = self.program.used();
        let whole = used.map(|(id, leases)| {
            ((leases - leases.round()).abs() < tolerance).then_some((id, leases.round() as i64))
        });
        let whole: Option<Leases> = whole.collect();
        whole.map(|all| all.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    /// Solves with the fixed leases, with new columns for what they leave. False if nothing below the cutoff is left.
    fn solve_rest(
        &mut self,
        fixed: &IdVec<ColumnId, i64>,
        cutoff: i128,
        rounds: usize,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<bool, ComposeError> {
        let rest = self.rest(fixed);
        for round in 0..rounds.max(MAX_REPAIRS) {
            // What is above the cutoff may be below with columns to come.
            if self.solve_rows(i128::MAX, interrupt)? != LpEnd::Optimal {
                return Ok(false);
            }
            if round >= rounds && self.program.is_possible() {
                break;
            }
            let (duals, _) = self.duals();
            if self.add_improving(&duals, Some(&rest), interrupt)?.0 == 0 {
                break;
            }
        }
        let end = self.solve_rows(cutoff, interrupt)?;
        Ok(end == LpEnd::Optimal && self.program.is_below(cutoff) && self.program.is_possible())
    }

    /// The replicas of each component that may still come.
    fn rest(&self, fixed: &IdVec<ColumnId, i64>) -> IdVec<ComponentIx, u32> {
        let mut rest: IdVec<ComponentIx, u32> =
            self.problem.components.iter().map(|(_, spec)| spec.max).collect();
        for (id, count) in fixed.iter().filter(|(_, count)| **count > 0) {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            for (component, each) in &self.column_set.columns[id].members {
                rest[*component] = rest[*component].saturating_sub(each.saturating_mul(count));
            }
        }
        rest
    }

    /// The columns of some leases, which enter the master.
    pub(crate) fn leases_of(&mut self, leases: &[(Column, i64)]) -> Leases {
        self.add(leases.iter().map(|(column, _)| column.clone()).collect());
        leases.iter().filter_map(|(column, count)| Some((self.position(column)?, *count))).collect()
    }
}
