//! The neighbourhood of the best plan.
//!
//! Some components are taken out of the plan and put back in the best way, all else as it is (large neighbourhood
//! search: P. Shaw, CP 1998), by branch and bound on what is then a small program. How many are taken out changes from
//! turn to turn; how many kinds of lease may join, those that cost least above their worth first, follows from how long
//! the last turns took.

use super::splitmix::{APART, mixed};
use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree},
            fork_join::Watch,
        },
        formulation::{ids::CompId, problem::Problem},
        id_vec::{Id, IdVec},
        lp::safe_bound::Ranked,
        mip::{
            model::{Program, Var},
            var_bounds::Bounds,
        },
        options::{ComposeOptions, Signal},
        presolve::{
            columns::Reduced,
            row_presolve::{ByRow, Presolved},
        },
    },
    model::StopReason,
};

/// Nodes that a neighbourhood may take.
const NEIGHBOURHOOD_NODES: u64 = 1_000;
/// A plan is nearly as good if it is dearer by no more than one part in so many powers of two; and how many turns a
/// stroll over such plans takes.
const NEARLY: u32 = 12;
const STROLL: u64 = 100;
/// Components that are taken out at a time, in turn.
const SIZES: [usize; 5] = [8, 12, 20, 36, usize::MAX];

/// A search that can be taken up again.
pub(crate) struct Neighbours<'a> {
    problem: &'a Problem<'a>,
    reduced: &'a Reduced,
    program: &'a Program,
    by_row: &'a ByRow,
    ranked: Option<&'a Ranked>,
    /// Kinds of lease that may join the plan at a time, for each number of components taken out.
    widths: [usize; SIZES.len()],
    turn: u64,
    /// The plan whose neighbourhood is looked at.
    current: Option<Vec<i64>>,
    /// Done so far, as [`Tree::work`].
    work: u64,
}

impl<'a> Neighbours<'a> {
    /// The search number `at` of those that go on side by side.
    pub(crate) fn new(
        (problem, reduced, program): (&'a Problem<'a>, &'a Reduced, &'a Program),
        by_row: &'a ByRow,
        ranked: Option<&'a Ranked>,
        at: usize,
    ) -> Self {
        Self {
            problem,
            reduced,
            program,
            by_row,
            ranked,
            widths: [40; SIZES.len()],
            turn: APART * at as u64,
            current: None,
            work: 0,
        }
    }

    /// Looks at neighbourhoods until so much work is done on them in all; a plan better than `best`, if one was found.
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
            // From time to time back to the best plan; in between others that are nearly as good are gone on from.
            if self.turn.is_multiple_of(STROLL) || self.current.is_none() {
                self.current = Some(best.0.clone());
            }
            let Some(values) = self.current.take() else { break };
            let value = best.1 + (best.1 >> NEARLY);
            let mut inner = |_: Option<i128>, _: i128, _: u64| {
                let signal = watch(Some(best.1), i128::MIN, 0);
                stop = match signal {
                    Signal::Continue => None,
                    Signal::Limit => Some(StopReason::Limit),
                    Signal::Cancel => Some(StopReason::Cancelled),
                };
                signal
            };
            let found = self.one(&values, value, &mut inner);
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
    fn one(&mut self, values: &[i64], value: i128, watch: &mut Watch<'_>) -> Option<(Vec<i64>, i128)> {
        self.turn += 1;
        self.work += 50 * (self.program.cost.len() + self.program.row_low.len()) as u64;
        let out = self.taken_out(values);
        let mut bounds = Bounds::of(self.program);
        let mut joining: Vec<(i64, Var)> = Vec::new();
        for (id, column) in self.reduced.columns.iter() {
            let var = self.program.leases[id];
            let is_out = column.members.iter().all(|(component, _)| out[*component]);
            if values[var.index()] == 0 {
                let reduced = self.ranked.map_or(0, |(reduced, _)| reduced[var]);
                // A lease that costs more above its worth than all that can be gained is in no better plan.
                let is_hopeless =
                    self.ranked.is_some_and(|(_, bound)| bound + i128::from(reduced) - 2 >= value);
                if is_out && !is_hopeless {
                    let chance = 1 + mixed(self.turn, var.index() as u64) % 8;
                    joining.push((reduced.saturating_mul(chance.cast_signed()), var));
                }
            }
            if values[var.index()] == 0 || !is_out {
                (bounds.low[var], bounds.high[var]) = (values[var.index()], values[var.index()]);
            }
        }
        // The most promising ones may join, with some chance.
        joining.sort_unstable();
        let width = &mut self.widths[(self.turn % 5) as usize];
        for (_, var) in joining.into_iter().take(*width) {
            bounds.high[var] = self.program.high[var];
        }
        let presolved = Presolved::within(self.program, self.by_row, bounds)?;
        let offset = presolved.offset;
        let mut tree = Tree::new(&presolved.program, Some(value - offset));
        let stop = tree.go_on(&ComposeOptions::default(), NEIGHBOURHOOD_NODES, Goal::Best, watch);
        self.work += tree.work();
        // Soon done: take more out; not done: fewer.
        match stop {
            _ if tree.best.is_some() => {}
            None if tree.nodes < NEIGHBOURHOOD_NODES / 4 => *width = (*width + 2).min(2_000),
            None => {}
            Some(_) => *width = (*width - 2).max(20),
        }
        tree.best.map(|(values, value)| (presolved.restore(&values), value + offset))
    }

    /// Which components are taken out: drawn with the odds of what their leases cost above their worth, and with them
    /// all that shares their leases.
    fn taken_out(&self, values: &[i64]) -> IdVec<CompId, bool> {
        let mut above: IdVec<CompId, u64> = self.problem.components.ids().map(|_| 0).collect();
        for (id, column) in self.reduced.columns.iter() {
            let var = self.program.leases[id];
            if values[var.index()] > 0
                && let Some((reduced, _)) = self.ranked
            {
                for (component, _) in &column.members {
                    above[*component] = above[*component].saturating_add(reduced[var].max(0).unsigned_abs());
                }
            }
        }
        let mean =
            1 + above.iter().map(|(_, cost)| *cost >> 8).sum::<u64>() * 256 / above.len().max(1) as u64;
        let mut draws: Vec<(u64, CompId)> = above
            .iter()
            .map(|(component, cost)| {
                let odds = 1 + cost.saturating_mul(4) / mean;
                ((mixed(self.turn, component.index() as u64) >> 16) / odds, component)
            })
            .collect();
        draws.sort_unstable();
        let mut out: IdVec<CompId, bool> = self.problem.components.ids().map(|_| false).collect();
        let size = SIZES[(self.turn % 5) as usize];
        for (_, component) in draws.into_iter().take(size) {
            out[component] = true;
        }
        // What shares a lease with one that is out is out.
        let mut is_changed = true;
        while is_changed {
            is_changed = false;
            for (id, column) in self.reduced.columns.iter() {
                let is_used = values[self.program.leases[id].index()] > 0;
                if is_used
                    && column.members.iter().any(|(c, _)| out[*c])
                    && !column.members.iter().all(|(c, _)| out[*c])
                {
                    column.members.iter().for_each(|(c, _)| out[*c] = true);
                    is_changed = true;
                }
            }
        }
        out
    }
}
