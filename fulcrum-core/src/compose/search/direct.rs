//! Branch and bound over all columns; where that takes long, with a search in the neighbourhood of the best plan.

use super::{
    Found, Goal, a_month,
    choices::Choices,
    four_lists::FourLists,
    mixed,
    neighbours::{Neighbours, Ranked},
    start,
    team::{Round, Team},
    together::{Watch, together},
    tree::{Tree, is_within_gap},
};
use crate::{
    compose::{
        bound::{Bounds, reduced_costs},
        error::ComposeError,
        id_vec::{Id, IdVec},
        options::{ComposeOptions, Progress, Signal},
        problem::{CompId, Problem},
        program::{ByRow, Presolved, Program},
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
/// More threads than that are not used.
const MAX_THREADS: usize = 64;

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
    if let Some(plan) = &options.start {
        start::offer(problem, reduced, program, plan, &mut tree, &mut watch_month);
    }
    let mut stop = tree.go_on(options, allowed, goal, &mut watch_month);
    while stop == Some(StopReason::Limit) && tree.nodes >= allowed && allowed < options.max_nodes {
        stop = None;
        if goal == Goal::Best && tree.best.is_some() {
            stop = go_on(problem, reduced, &mut tree, program, options, &mut watch_month);
            break;
        }
        if is_large && tree.nodes == 1 && tree.best.is_none() {
            stop = begin(problem, reduced, program, &mut tree, &mut watch_month);
        }
        if stop.is_some() {
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

/// Goes on from a tree with a plan on what is left of the program: unknowns whose price at the root is above what is
/// left to gain stay where they are, and what they settle is presolved. Starts over whenever a better plan settles many
/// more (restarts after root fixing: T. Achterberg, *Constraint Integer Programming*, TU Berlin 2007, §10.9).
/// Each round of nodes is followed by one of neighbourhoods.
fn go_on(
    problem: &Problem<'_>,
    reduced: &Reduced,
    whole: &mut Tree<'_>,
    program: &Program,
    options: &ComposeOptions,
    watch: &mut Watch<'_>,
) -> Option<StopReason> {
    let threads = options.threads.get().min(MAX_THREADS);
    let by_row = ByRow::new(program);
    let root = ranked(program, whole);
    let mut around = Around {
        searches: (0..threads)
            .map(|at| Search {
                lists: root.as_ref().and_then(|ranked| {
                    let choices = Choices::new(program, ranked, &whole.root().multipliers(program))?;
                    Some(FourLists::new(program, choices, ranked.1, (at, threads)))
                }),
                neighbours: Neighbours::new((problem, reduced, program), &by_row, root.as_ref(), at),
            })
            .collect(),
        share: MOST_SHARE,
    };
    let mut stop = around.look(whole, watch);
    while stop.is_none() {
        let (bounds, free) = fixed(program, root.as_ref(), whole.ceiling);
        let small = Presolved::within(program, &by_row, bounds)?; // none: no plan is better
        let offset = small.offset;
        let mut team = Team::new(&small.program, whole.ceiling - offset, threads);
        while stop.is_none() {
            let before = team.effort();
            let (so_far, proven) = (whole.nodes, whole.bound());
            let best = whole.best.as_ref().map(|(_, value)| *value);
            let mut shifted = |incumbent: Option<i128>, bound: i128, nodes: u64| {
                let incumbent = incumbent.map(|value| value + offset).or(best);
                watch(incumbent, (bound + offset).max(proven), so_far + nodes)
            };
            let most = options.max_nodes.saturating_sub(whole.nodes);
            let round = team.go_on(options, MORE_NODES, most, &mut shifted);
            let after = team.effort();
            if let Some((values, value)) = team.take_best() {
                whole.offer(small.restore(&values), value + offset);
            }
            whole.account(
                team.bound().saturating_add(offset),
                (after.0 - before.0, after.1 - before.1, after.2 - before.2),
            );
            match round {
                Round::Exhausted => return None,
                Round::Stopped(reason) => return Some(reason),
                Round::Done if whole.nodes >= options.max_nodes => return Some(StopReason::Limit),
                Round::Done => {}
            }
            stop = around.look(whole, watch);
            let best = whole.best.as_ref().map(|(_, value)| *value);
            if best.is_some_and(|cost| is_within_gap(cost, whole.bound(), options.gap_percent)) {
                stop = stop.or(Some(StopReason::GapReached));
            }
            team.lower(whole.ceiling - offset);
            if fixed(program, root.as_ref(), whole.ceiling).1 * 5 < free * 4 {
                break;
            }
        }
    }
    stop
}

/// What one thread looks for better plans with.
struct Search<'a> {
    /// Where the program is of that kind.
    lists: Option<FourLists<'a>>,
    neighbours: Neighbours<'a>,
}

impl Search<'_> {
    /// Until so much work is done in all, half of it each; a plan better than `best`, if one was found.
    fn improve(
        &mut self,
        best: (Vec<i64>, i128),
        target: u64,
        watch: &mut Watch<'_>,
    ) -> (Option<(Vec<i64>, i128)>, Option<StopReason>) {
        let Some(lists) = &mut self.lists else { return self.neighbours.improve(best, target, watch) };
        let (found, stop) = lists.improve(best.1, target / 2, watch);
        if stop.is_some() {
            return (found, stop);
        }
        let (better, stop) = self.neighbours.improve(found.clone().unwrap_or(best), target / 2, watch);
        (better.or(found), stop)
    }
}

/// Rounds of neighbourhoods.
struct Around<'a> {
    searches: Vec<Search<'a>>,
    share: u64,
}

impl Around<'_> {
    /// One round of each search; why it stopped, if it did.
    fn look(&mut self, tree: &mut Tree<'_>, watch: &mut Watch<'_>) -> Option<StopReason> {
        let best = tree.best.clone()?;
        let before = best.1;
        let (bound, nodes) = (tree.bound(), tree.nodes);
        // Each search as much as each of the trees.
        let target = tree.work().saturating_mul(self.share) / (4 * self.searches.len() as u64);
        let mut watch_round = |incumbent: Option<i128>, _: i128, _: u64| watch(incumbent, bound, nodes);
        let found = together(&mut self.searches, &mut watch_round, |search, watch| {
            search.improve(best.clone(), target, watch)
        });
        let mut stop = None;
        for (better, stopped) in found {
            if let Some((values, value)) = better {
                tree.offer(values, value);
            }
            stop = stop.or(stopped);
        }
        self.share = if tree.ceiling < before { MOST_SHARE } else { (self.share - 1).max(LEAST_SHARE) };
        stop
    }
}

/// The limits of the unknowns in plans below a ceiling, and how many unknowns are not settled by them.
fn fixed(program: &Program, root: Option<&Ranked>, ceiling: i128) -> (Bounds, usize) {
    let mut bounds = Bounds::of(program);
    if let Some((prices, bound)) = root {
        // One more for the rounding.
        bounds.fix(prices, ceiling.saturating_sub(*bound).saturating_add(1));
    }
    let free = program.cost.ids().filter(|&var| bounds.low[var] < bounds.high[var]).count();
    (bounds, free)
}

/// What each unknown costs above its worth at the root, and the root's bound.
fn ranked(program: &Program, tree: &Tree<'_>) -> Option<Ranked> {
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
    watch: &mut Watch<'_>,
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
