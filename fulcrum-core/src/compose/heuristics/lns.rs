//! Large neighbourhood search (P. Shaw, CP 1998).
//!
//! Each iteration removes some components from the incumbent and inserts them again in the best way. Everything else
//! is fixed, so branch and bound solves a small program. The number of removed components changes from iteration to
//! iteration. The number of columns that may enter, in the order of their reduced costs, follows the effort of the
//! last iterations.

use super::splitmix::{STREAM_STRIDE, splitmix64};
use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree},
            fork_join::Watch,
        },
        formulation::{ids::ComponentIx, problem::Problem},
        id_vec::{Id, IdVec},
        lp::safe_bound::ReducedCosts,
        mip::{
            model::{Mip, Var},
            var_bounds::VarBounds,
        },
        options::ComposeOptions,
        presolve::{
            columns::ColumnSet,
            row_presolve::{PresolvedMip, RowwiseMatrix},
        },
    },
    model::StopReason,
};

/// Nodes of one iteration.
const SUB_MIP_NODES: u64 = 1_000;
/// Accepts a plan that is worse by at most 2⁻¹² of the best one; restarts from the best plan every 100 iterations.
const ACCEPT_SHIFT_BITS: u32 = 12;
const RESTART_EVERY_ITERATIONS: u64 = 100;
/// Components that one iteration removes, in turn.
const DESTROY_SIZES: [usize; 5] = [8, 12, 20, 36, usize::MAX];

/// A search that can be resumed.
pub(crate) struct Lns<'a> {
    problem: &'a Problem<'a>,
    column_set: &'a ColumnSet,
    mip: &'a Mip,
    rowwise: &'a RowwiseMatrix,
    root: Option<&'a ReducedCosts>,
    /// Columns that may enter, for each number of removed components.
    candidate_limits: [usize; DESTROY_SIZES.len()],
    iteration: u64,
    /// The plan whose neighbourhood is searched.
    current: Option<Vec<i64>>,
    /// Effort so far, as [`Tree::work`].
    work: u64,
}

impl<'a> Lns<'a> {
    /// The search number `at` of those that run side by side.
    pub(crate) fn new(
        (problem, column_set, mip): (&'a Problem<'a>, &'a ColumnSet, &'a Mip),
        rowwise: &'a RowwiseMatrix,
        root: Option<&'a ReducedCosts>,
        at: usize,
    ) -> Self {
        Self {
            problem,
            column_set,
            mip,
            rowwise,
            root,
            candidate_limits: [40; DESTROY_SIZES.len()],
            iteration: STREAM_STRIDE * at as u64,
            current: None,
            work: 0,
        }
    }

    /// Searches neighbourhoods until the effort reaches `target`. Returns a plan better than `best`, if it finds one.
    pub(crate) fn improve(
        &mut self,
        best: (Vec<i64>, i128),
        target: u64,
        watch: &mut Watch<'_>,
    ) -> (Option<(Vec<i64>, i128)>, Option<StopReason>) {
        let mut is_better = false;
        let mut best = best;
        let mut stop = None;
        while self.work < target && stop.is_none() {
            // Back to the best plan from time to time; in between a plan that was accepted is the next start.
            if self.iteration.is_multiple_of(RESTART_EVERY_ITERATIONS) || self.current.is_none() {
                self.current = Some(best.0.clone());
            }
            let Some(values) = self.current.take() else { break };
            let value = best.1 + (best.1 >> ACCEPT_SHIFT_BITS);
            let mut inner = |_: Option<i128>, _: i128, _: u64| {
                let signal = watch(Some(best.1), i128::MIN, 0);
                stop = signal.stop();
                signal
            };
            let found = self.iterate(&values, value, &mut inner);
            self.current = Some(values);
            if let Some((values, value)) = found {
                self.current = Some(values.clone());
                if value < best.1 {
                    (best, is_better) = ((values, value), true);
                }
            }
        }
        (is_better.then_some(best), stop)
    }

    /// One neighbourhood: a better plan, if there is one in it.
    fn iterate(&mut self, values: &[i64], value: i128, watch: &mut Watch<'_>) -> Option<(Vec<i64>, i128)> {
        self.iteration += 1;
        self.work += 50 * (self.mip.cost.len() + self.mip.row_lower.len()) as u64;
        let destroyed = self.destroy_set(values);
        let mut bounds = VarBounds::of(self.mip);
        let mut repair_candidates: Vec<(i64, Var)> = Vec::new();
        for (id, column) in self.column_set.columns.iter() {
            let var = self.mip.leases[id];
            let is_destroyed = column.members.iter().all(|(component, _)| destroyed[*component]);
            if values[var.index()] == 0 {
                let reduced = self.root.map_or(0, |root| root.costs[var]);
                // No better plan uses a column whose reduced cost exceeds the gap.
                let is_hopeless = self.root.is_some_and(|root| root.bound + i128::from(reduced) - 2 >= value);
                if is_destroyed && !is_hopeless {
                    let chance = 1 + splitmix64(self.iteration, var.index() as u64) % 8;
                    repair_candidates.push((reduced.saturating_mul(chance.cast_signed()), var));
                }
            }
            if values[var.index()] == 0 || !is_destroyed {
                (bounds.lower[var], bounds.upper[var]) = (values[var.index()], values[var.index()]);
            }
        }
        // Columns with low reduced costs enter first, with some randomness.
        repair_candidates.sort_unstable();
        let limit = &mut self.candidate_limits[(self.iteration % 5) as usize];
        for (_, var) in repair_candidates.into_iter().take(*limit) {
            bounds.upper[var] = self.mip.upper[var];
        }
        let presolved = PresolvedMip::within(self.mip, self.rowwise, bounds)?;
        let offset = presolved.offset;
        let mut tree = Tree::new(&presolved.mip, Some(value - offset));
        let stop = tree.resume(&ComposeOptions::default(), SUB_MIP_NODES, Goal::Best, watch);
        self.work += tree.work();
        // Solved early: let more columns enter. Not solved: fewer.
        match stop {
            _ if tree.best.is_some() => {}
            None if tree.nodes < SUB_MIP_NODES / 4 => *limit = (*limit + 2).min(2_000),
            None => {}
            Some(_) => *limit = (*limit - 2).max(20),
        }
        tree.best.map(|(values, value)| (presolved.restore(&values), value + offset))
    }

    /// The components to remove: drawn in proportion to the reduced costs of their leases, with all components that
    /// share a lease with them.
    fn destroy_set(&self, values: &[i64]) -> IdVec<ComponentIx, bool> {
        let mut reduced_costs: IdVec<ComponentIx, u64> = self.problem.components.ids().map(|_| 0).collect();
        for (id, column) in self.column_set.columns.iter() {
            let var = self.mip.leases[id];
            if values[var.index()] > 0
                && let Some(root) = self.root
            {
                for (component, _) in &column.members {
                    reduced_costs[*component] =
                        reduced_costs[*component].saturating_add(root.costs[var].max(0).unsigned_abs());
                }
            }
        }
        let mean = 1 + reduced_costs.iter().map(|(_, cost)| *cost >> 8).sum::<u64>() * 256
            / reduced_costs.len().max(1) as u64;
        let mut draws: Vec<(u64, ComponentIx)> = reduced_costs
            .iter()
            .map(|(component, cost)| {
                let odds = 1 + cost.saturating_mul(4) / mean;
                ((splitmix64(self.iteration, component.index() as u64) >> 16) / odds, component)
            })
            .collect();
        draws.sort_unstable();
        let mut destroyed: IdVec<ComponentIx, bool> = self.problem.components.ids().map(|_| false).collect();
        let size = DESTROY_SIZES[(self.iteration % 5) as usize];
        for (_, component) in draws.into_iter().take(size) {
            destroyed[component] = true;
        }
        // Components that share a lease with a removed one are removed too.
        let mut is_changed = true;
        while is_changed {
            is_changed = false;
            for (id, column) in self.column_set.columns.iter() {
                let is_used = values[self.mip.leases[id].index()] > 0;
                if is_used
                    && column.members.iter().any(|(c, _)| destroyed[*c])
                    && !column.members.iter().all(|(c, _)| destroyed[*c])
                {
                    column.members.iter().for_each(|(c, _)| destroyed[*c] = true);
                    is_changed = true;
                }
            }
        }
        destroyed
    }
}
