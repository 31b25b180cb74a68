//! Branch and bound over all columns; where that takes long, with a search in the neighbourhood of the best plan.
//!
//! The neighbourhood search takes some components out of the plan and puts them back in the best way, all else as it
//! is (large neighbourhood search: P. Shaw, CP 1998), by the same branch and bound on what is then a small program.
//! How many are taken out follows from how long the last ones took.

use super::{Found, Goal, a_month, mixed, tree::Tree};
use crate::{
    compose::{
        bound::{Bounds, reduced_costs},
        error::ComposeError,
        id_vec::{Id, IdVec},
        options::{ComposeOptions, Progress, Signal},
        problem::{CompId, Problem},
        program::{Presolved, Program, Var},
        reduce::Reduced,
    },
    model::{Statistics, StopReason},
};

/// Nodes before neighbourhoods are looked at, and then each time in between.
const FIRST_NODES: u64 = 2_000;
const MORE_NODES: u64 = 200;
/// Neighbourhoods in between, and nodes that each may take.
const NEIGHBOURHOODS: u64 = 40;
const NEIGHBOURHOOD_NODES: u64 = 300;

/// Solves; `None` if it is proven that there is no plan.
pub(super) fn solve(
    problem: &Problem<'_>,
    reduced: &Reduced,
    program: &Program,
    options: &ComposeOptions,
    goal: Goal,
    ceiling: Option<i128>,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Found>, ComposeError> {
    let mut watch_month = |incumbent: Option<i128>, bound: i128, nodes: u64| {
        watch(&Progress {
            incumbent: incumbent.map(|value| a_month(problem, value)),
            bound: Some(a_month(problem, bound)),
            nodes,
        })
    };
    let mut tree = Tree::new(program, ceiling);
    let mut allowed = FIRST_NODES.min(options.max_nodes);
    let mut neighbours = Neighbours { problem, reduced, program, size: 6, turn: 0, ranked: None };
    let stop = loop {
        let stop = tree.go_on(options, allowed, goal, &mut watch_month);
        if stop != Some(StopReason::Limit) || tree.nodes < allowed || allowed >= options.max_nodes {
            break stop;
        }
        if goal == Goal::Best && tree.best.is_some() {
            let stop = neighbours.improve(&mut tree, &mut watch_month);
            if stop.is_some() {
                break stop;
            }
        }
        allowed = (allowed + MORE_NODES).min(options.max_nodes);
    };
    let bound = tree.bound();
    if let (Goal::Best, Some((_, cost))) = (goal, &tree.best) {
        // The last word to the watcher, which is the only one where the first relaxation was solved by itself.
        let bound = if stop.is_none() { *cost } else { bound.min(*cost) };
        watch_month(Some(*cost), bound, tree.nodes);
    }
    let statistics = Statistics {
        offers: problem.catalogue.len() as u64,
        eligible: problem.candidates.len() as u64,
        patterns: reduced.patterns as u64,
        variables: program.cost.len() as u64,
        rows: program.row_low.len() as u64,
        nodes: tree.nodes,
        pivots: tree.pivots,
    };
    match (tree.best, stop) {
        (Some((values, value)), stop) => {
            let bound = if stop.is_none() { value } else { bound.min(value) };
            let stop = stop.unwrap_or(StopReason::Optimal);
            Ok(Some(Found::new(program, reduced, &values, bound, stop, statistics)))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ComposeError::Stopped),
    }
}

struct Neighbours<'a> {
    problem: &'a Problem<'a>,
    reduced: &'a Reduced,
    program: &'a Program,
    /// Components taken out at a time, in quarters.
    size: usize,
    turn: u64,
    /// What each lease costs above its worth at the root, in micro-units, and the root's bound.
    ranked: Option<(IdVec<Var, i64>, i128)>,
}

impl Neighbours<'_> {
    /// Looks at some neighbourhoods; says why it stopped, nothing if there is time for more.
    fn improve(
        &mut self,
        tree: &mut Tree<'_>,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<StopReason> {
        if self.ranked.is_none() {
            let multipliers = tree.root().multipliers(self.program);
            self.ranked = reduced_costs(self.program, &Bounds::of(self.program), &multipliers);
        }
        for _ in 0..NEIGHBOURHOODS {
            let (values, value) = tree.best.clone()?;
            let bound = tree.bound();
            let mut stop = None;
            let nodes = tree.nodes;
            let mut inner = |_: Option<i128>, _: i128, _: u64| {
                let signal = watch(Some(value), bound, nodes);
                stop = match signal {
                    Signal::Continue => None,
                    Signal::Limit => Some(StopReason::Limit),
                    Signal::Cancel => Some(StopReason::Cancelled),
                };
                signal
            };
            let found = self.one(&values, value, &mut inner);
            if stop.is_some() {
                return stop;
            }
            if let Some((values, value)) = found {
                tree.offer(values, value);
            }
        }
        None
    }

    /// One neighbourhood: a better plan, if there is one in it.
    fn one(
        &mut self,
        values: &[i64],
        value: i128,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<(Vec<i64>, i128)> {
        self.turn += 1;
        let out = self.taken_out(values);
        let mut small = self.program.clone();
        for (id, column) in self.reduced.columns.iter() {
            let var = small.leases[id];
            let is_free = column.members.iter().all(|(component, _)| out[*component]);
            // A lease that costs more above its worth than all that can be gained is in no better plan.
            let is_hopeless = self.ranked.as_ref().is_some_and(|(reduced, bound)| {
                values[var.index()] == 0 && bound + i128::from(reduced[var]) >= value
            });
            if !is_free || is_hopeless {
                (small.low[var], small.high[var]) = (values[var.index()], values[var.index()]);
            }
        }
        let presolved = Presolved::new(&small)?;
        let offset = presolved.offset;
        let mut tree = Tree::new(&presolved.program, Some(value - offset));
        let stop = tree.go_on(&ComposeOptions::default(), NEIGHBOURHOOD_NODES, Goal::Best, watch);
        // Soon done: take more out; not done: fewer.
        match stop {
            None if tree.nodes < NEIGHBOURHOOD_NODES / 4 => self.size = (self.size + 1).min(4 * out.len()),
            None => {}
            Some(_) => self.size = (self.size - 1).max(8),
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
                && let Some((reduced, _)) = &self.ranked
            {
                for (component, _) in &column.members {
                    above[*component] = above[*component].saturating_add(reduced[var].max(0).unsigned_abs());
                }
            }
        }
        let mean = 1 + above.iter().map(|(_, cost)| *cost >> 8).sum::<u64>() * 256 / above.len().max(1) as u64;
        let mut draws: Vec<(u64, CompId)> = above
            .iter()
            .map(|(component, cost)| {
                let odds = 1 + cost.saturating_mul(4) / mean;
                ((mixed(self.turn, component.index() as u64) >> 16) / odds, component)
            })
            .collect();
        draws.sort_unstable();
        let mut out: IdVec<CompId, bool> = self.problem.components.ids().map(|_| false).collect();
        for (_, component) in draws.into_iter().take(self.size) {
            out[component] = true;
        }
        // What shares a lease with one that is out is out.
        let mut is_changed = true;
        while is_changed {
            is_changed = false;
            for (id, column) in self.reduced.columns.iter() {
                let is_used = values[self.program.leases[id].index()] > 0;
                if is_used && column.members.iter().any(|(c, _)| out[*c]) && !column.members.iter().all(|(c, _)| out[*c]) {
                    column.members.iter().for_each(|(c, _)| out[*c] = true);
                    is_changed = true;
                }
            }
        }
        out
    }
}
