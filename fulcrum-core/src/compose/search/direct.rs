//! Branch and bound over all columns; where that takes long, with a search in the neighbourhood of the best plan.
//!
//! The neighbourhood search takes some components out of the plan and puts them back in the best way, all else as it
//! is (large neighbourhood search: P. Shaw, CP 1998), by the same branch and bound on what is then a small program.
//! How many are taken out changes from turn to turn; how many kinds of lease may join, those that cost least above
//! their worth first, follows from how long the last turns took.

use super::{
    Found, Goal, a_month, mixed, start,
    tree::{Tree, is_within_gap},
};
use crate::{
    compose::{
        bound::{Bounds, reduced_costs},
        error::ComposeError,
        id_vec::{Id, IdVec},
        options::{ComposeOptions, Progress, Signal},
        problem::{CompId, Problem},
        program::{ByRow, Presolved, Program, Var},
        reduce::{ColumnId, Reduced},
    },
    model::{Statistics, StopReason},
};

/// Nodes before neighbourhoods are looked at, and then each time in between.
const FIRST_NODES: u64 = 500;
/// Entries of a table that make a program large.
const LARGE: usize = 200_000;
const MORE_NODES: u64 = 100;
/// Work on neighbourhoods in quarters of that on the tree: most while they find something.
const MOST_SHARE: u64 = 20;
const LEAST_SHARE: u64 = 1;
/// Nodes that a neighbourhood may take.
const NEIGHBOURHOOD_NODES: u64 = 1_000;
/// A plan is nearly as good if it is dearer by no more than one part in so many powers of two; and how many turns a
/// stroll over such plans takes.
const NEARLY: u32 = 12;
const STROLL: u64 = 100;
/// Components that are taken out at a time, in turn.
const SIZES: [usize; 5] = [8, 12, 20, 36, usize::MAX];

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
    // Of a large program the root first, from which plans can be made.
    let is_large = program.size() > LARGE;
    let mut allowed = if is_large { 1 } else { FIRST_NODES.min(options.max_nodes) };
    let mut neighbours = Neighbours {
        problem,
        reduced,
        program,
        by_row: ByRow::new(program),
        widths: [40; SIZES.len()],
        turn: 0,
        current: None,
        work: 0,
        ranked: None,
    };
    let mut share = MOST_SHARE;
    // One round of neighbourhoods after each round of the tree.
    let mut look_around = |tree: &mut Tree<'_>, watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal| {
        let before = tree.ceiling;
        let target = tree.work().saturating_mul(share) / 4;
        let stop = neighbours.improve(tree, target, watch);
        share = if tree.ceiling < before { MOST_SHARE } else { (share - 1).max(LEAST_SHARE) };
        stop
    };
    if let Some(plan) = &options.start {
        start::offer(problem, reduced, program, plan, &mut tree, &mut watch_month);
    }
    let mut stop = tree.go_on(options, allowed, goal, &mut watch_month);
    while stop == Some(StopReason::Limit) && tree.nodes >= allowed && allowed < options.max_nodes {
        stop = if tree.best.is_none() {
            if is_large && tree.nodes == 1 {
                begin(problem, reduced, program, &mut tree, &mut watch_month)
            } else {
                None
            }
        } else if goal == Goal::Best {
            look_around(&mut tree, &mut watch_month)
        } else {
            None
        };
        if stop.is_some() {
            break;
        }
        if goal == Goal::Best && tree.best.is_some() {
            stop = over(&mut tree, program, options, &mut look_around, &mut watch_month);
            break;
        }
        allowed = (allowed + MORE_NODES).min(options.max_nodes);
        stop = tree.go_on(options, allowed, goal, &mut watch_month);
    }
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

/// A round of neighbourhoods: why it stopped, if it did.
type LookAround<'f> =
    dyn FnMut(&mut Tree<'_>, &mut dyn FnMut(Option<i128>, i128, u64) -> Signal) -> Option<StopReason> + 'f;

/// Goes on from a tree with a plan on what is left of the program: unknowns whose price at the root is above what is
/// left to gain stay where they are, and what they settle is presolved. Starts over whenever a better plan settles many
/// more (restarts after root fixing: T. Achterberg, *Constraint Integer Programming*, TU Berlin 2007, §10.9).
fn over(
    whole: &mut Tree<'_>,
    program: &Program,
    options: &ComposeOptions,
    look_around: &mut LookAround<'_>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) -> Option<StopReason> {
    let by_row = ByRow::new(program);
    let root = ranked(program, whole);
    loop {
        let (bounds, free) = fixed(program, root.as_ref(), whole.ceiling);
        let small = Presolved::within(program, &by_row, bounds)?; // none: no plan is better
        let offset = small.offset;
        let mut tree = Tree::new(&small.program, Some(whole.ceiling - offset));
        let mut allowed = 0;
        loop {
            let (nodes, pivots, work) = tree.effort();
            allowed += MORE_NODES.min(options.max_nodes.saturating_sub(whole.nodes));
            let (so_far, proven) = (whole.nodes - nodes.min(whole.nodes), whole.bound());
            let best = whole.best.as_ref().map(|(_, value)| *value);
            let mut shifted = |incumbent: Option<i128>, bound: i128, nodes: u64| {
                let incumbent = incumbent.map(|value| value + offset).or(best);
                watch(incumbent, (bound + offset).max(proven), so_far + nodes)
            };
            let mut stop = tree.go_on(options, allowed, Goal::Best, &mut shifted);
            let more = tree.effort();
            if let Some((values, value)) = tree.best.take() {
                whole.offer(small.restore(&values), value + offset);
            }
            whole.account(tree.bound() + offset, (more.0 - nodes, more.1 - pivots, more.2 - work));
            if stop == Some(StopReason::Limit) && tree.nodes >= allowed && whole.nodes < options.max_nodes {
                stop = look_around(whole, watch);
                let best = whole.best.as_ref().map(|(_, value)| *value);
                if best.is_some_and(|cost| is_within_gap(cost, whole.bound(), options.gap_percent)) {
                    stop = stop.or(Some(StopReason::GapReached));
                }
                if stop.is_none() {
                    tree.lower(whole.ceiling - offset);
                    if fixed(program, root.as_ref(), whole.ceiling).1 * 5 < free * 4 {
                        break;
                    }
                    continue;
                }
            }
            return stop;
        }
    }
}

/// The limits of the unknowns in plans below a ceiling, and how many unknowns are not settled by them.
fn fixed(program: &Program, root: Option<&(IdVec<Var, i64>, i128)>, ceiling: i128) -> (Bounds, usize) {
    let mut bounds = Bounds::of(program);
    if let Some((prices, bound)) = root {
        // One more for the rounding.
        bounds.fix(prices, ceiling.saturating_sub(*bound).saturating_add(1));
    }
    let free = program.cost.ids().filter(|&var| bounds.low[var] < bounds.high[var]).count();
    (bounds, free)
}

/// What each unknown costs above its worth at the root, and the root's bound.
fn ranked(program: &Program, tree: &Tree<'_>) -> Option<(IdVec<Var, i64>, i128)> {
    reduced_costs(program, &Bounds::of(program), &tree.root().multipliers(program))
}

/// A first plan near the root's relaxation: what is whole there stays, the rest is searched, together with more
/// and more components drawn at random until there is a plan (relaxation enforced neighbourhood search: T. Berthold,
/// Operations Research Letters 42(6), 2014).
fn begin(
    problem: &Problem<'_>,
    reduced: &Reduced,
    program: &Program,
    tree: &mut Tree<'_>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) -> Option<StopReason> {
    let by_row = ByRow::new(program);
    let ranked = ranked(program, tree);
    let whole: IdVec<ColumnId, Option<i64>> = reduced
        .columns
        .ids()
        .map(|id| {
            let var = program.leases[id];
            (tree.root().fraction(var) == 0).then(|| tree.root().nearest(var))
        })
        .collect();
    let bound = tree.bound();
    let mut more = 0;
    for turn in 0..8u64 {
        let mut out: IdVec<CompId, bool> =
            problem.components.ids().map(|c| mixed(turn, c.index() as u64) % 64 < more).collect();
        for (_, column) in reduced.columns.iter().filter(|(id, _)| whole[*id].is_none()) {
            column.members.iter().for_each(|(component, _)| out[*component] = true);
        }
        let mut bounds = Bounds::of(program);
        let mut joining = Vec::new();
        for (id, column) in reduced.columns.iter() {
            let var = program.leases[id];
            let value = whole[id].unwrap_or(0).clamp(bounds.low[var], bounds.high[var]);
            if !column.members.iter().any(|(component, _)| out[*component]) {
                (bounds.low[var], bounds.high[var]) = (value, value);
            } else if value == 0 && whole[id].is_some() {
                joining.push((ranked.as_ref().map_or(0, |(costs, _)| costs[var]), var));
            }
        }
        joining.sort_unstable();
        joining.into_iter().skip(400).for_each(|(_, var)| bounds.high[var] = bounds.low[var]);
        more = 1 + 2 * more;
        let Some(presolved) = Presolved::within(program, &by_row, bounds) else { continue };
        let mut small = Tree::new(&presolved.program, None);
        let mut stop = None;
        let mut inner = |_: Option<i128>, _: i128, _: u64| {
            let signal = watch(None, bound, 1);
            stop = match signal {
                Signal::Continue => None,
                Signal::Limit => Some(StopReason::Limit),
                Signal::Cancel => Some(StopReason::Cancelled),
            };
            signal
        };
        small.go_on(&ComposeOptions::default(), FIRST_NODES, Goal::Any, &mut inner);
        if stop.is_some() {
            return stop;
        }
        if let Some((values, value)) = small.best {
            tree.offer(presolved.restore(&values), value + presolved.offset);
            return None;
        }
    }
    None
}

struct Neighbours<'a> {
    problem: &'a Problem<'a>,
    reduced: &'a Reduced,
    program: &'a Program,
    by_row: ByRow,
    /// Kinds of lease that may join the plan at a time, for each number of components taken out.
    widths: [usize; SIZES.len()],
    turn: u64,
    /// The plan whose neighbourhood is looked at.
    current: Option<Vec<i64>>,
    /// Done so far, as [`Tree::work`].
    work: u64,
    /// What each lease costs above its worth at the root, in micro-units, and the root's bound.
    ranked: Option<(IdVec<Var, i64>, i128)>,
}

impl Neighbours<'_> {
    /// Looks at neighbourhoods until so much work is done on them in all; says why it stopped, nothing if there is time for more.
    fn improve(
        &mut self,
        tree: &mut Tree<'_>,
        target: u64,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<StopReason> {
        self.rank(tree);
        while self.work < target {
            let (best, best_value) = tree.best.clone()?;
            // From time to time back to the best plan; in between others that are nearly as good are gone on from.
            if self.turn.is_multiple_of(STROLL) || self.current.is_none() {
                self.current = Some(best);
            }
            let values = self.current.clone()?;
            let value = best_value + (best_value >> NEARLY);
            let bound = tree.bound();
            let mut stop = None;
            let nodes = tree.nodes;
            let mut inner = |_: Option<i128>, _: i128, _: u64| {
                let signal = watch(Some(best_value), bound, nodes);
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
                self.current = Some(values.clone());
                tree.offer(values, value);
            }
        }
        None
    }

    fn rank(&mut self, tree: &Tree<'_>) {
        if self.ranked.is_none() {
            self.ranked = ranked(self.program, tree);
        }
    }

    /// One neighbourhood: a better plan, if there is one in it.
    fn one(
        &mut self,
        values: &[i64],
        value: i128,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<(Vec<i64>, i128)> {
        self.turn += 1;
        self.work += 50 * (self.program.cost.len() + self.program.row_low.len()) as u64;
        let out = self.taken_out(values);
        let mut bounds = Bounds::of(self.program);
        let mut joining: Vec<(i64, Var)> = Vec::new();
        for (id, column) in self.reduced.columns.iter() {
            let var = self.program.leases[id];
            let is_out = column.members.iter().all(|(component, _)| out[*component]);
            if values[var.index()] == 0 {
                let reduced = self.ranked.as_ref().map_or(0, |(reduced, _)| reduced[var]);
                // A lease that costs more above its worth than all that can be gained is in no better plan.
                let is_hopeless =
                    self.ranked.as_ref().is_some_and(|(_, bound)| bound + i128::from(reduced) - 2 >= value);
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
        let presolved = Presolved::within(self.program, &self.by_row, bounds)?;
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
                && let Some((reduced, _)) = &self.ranked
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
