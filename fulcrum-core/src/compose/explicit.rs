//! Branch and bound over all columns; where that takes long, with a search in the neighbourhood of the best plan.

use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree, is_within_gap},
            fork_join::Watch,
            parallel::{Round, Team},
        },
        error::ComposeError,
        formulation::{costs::a_month, problem::Problem},
        heuristics::{
            lns::Neighbours,
            mckp::{schroeppel_shamir::FourLists, structure::Choices},
            rens,
            rounds::{Around, MOST_SHARE, Search},
            warm_start,
        },
        lp::safe_bound::Ranked,
        mip::{model::Program, var_bounds::Bounds},
        options::{ComposeOptions, Progress, Signal},
        presolve::{
            columns::Reduced,
            row_presolve::{ByRow, Presolved},
        },
        solution::Found,
    },
    model::{Statistics, StopReason},
};

/// Nodes before neighbourhoods are looked at, and then each time in between.
const FIRST_NODES: u64 = 500;
/// Entries of a table that make a program large.
const LARGE: usize = 200_000;
const MORE_NODES: u64 = 100;
/// More threads than that are not used.
const MAX_THREADS: usize = 64;

/// Solves; `None` if it is proven that there is no plan.
pub(crate) fn solve(
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
        warm_start::offer(problem, reduced, program, plan, &mut tree, &mut watch_month);
    }
    let mut stop = tree.go_on(options, allowed, goal, &mut watch_month);
    while stop == Some(StopReason::Limit) && tree.nodes >= allowed && allowed < options.max_nodes {
        stop = None;
        if goal == Goal::Best && tree.best.is_some() {
            stop = go_on(problem, reduced, &mut tree, program, options, &mut watch_month);
            break;
        }
        if is_large && tree.nodes == 1 && tree.best.is_none() {
            stop = rens::begin(problem, reduced, program, &mut tree, &mut watch_month);
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
    let root = whole.root_prices();
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
