//! Branch and bound over all columns, with primal heuristics beside it where it takes long.

use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree, is_within_gap},
            fork_join::Watch,
            parallel::{RoundOutcome, TreePool},
        },
        error::ComposeError,
        formulation::{costs::monthly, problem::Problem},
        heuristics::{
            lns::Lns,
            mckp::{schroeppel_shamir::FourListSearch, structure::MckpStructure},
            rens,
            rounds::{HeuristicRounds, MAX_WORK_SHARE_QUARTERS, ThreadHeuristics},
            warm_start,
        },
        lp::safe_bound::ReducedCosts,
        mip::{model::Mip, var_bounds::VarBounds},
        options::{ComposeOptions, Progress, Signal},
        presolve::{
            columns::ColumnSet,
            row_presolve::{PresolvedMip, RowwiseMatrix},
        },
        solution::Solution,
    },
    model::{Statistics, StopReason},
};

/// Nodes before the first round of heuristics.
const ROOT_NODES: u64 = 500;
/// Coefficients of a large program.
const LARGE_MIP_ENTRIES: usize = 200_000;
const NODES_PER_ROUND: u64 = 100;
/// Threads that are used at most.
const MAX_THREADS: usize = 64;

/// Solves; `None` if it is proven that there is no plan.
pub(crate) fn solve(
    problem: &Problem<'_>,
    column_set: &ColumnSet,
    mip: &Mip,
    options: &ComposeOptions,
    goal: Goal,
    cutoff: Option<i128>,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Solution>, ComposeError> {
    let mut watch_month = |incumbent: Option<i128>, bound: i128, nodes: u64| {
        watch(&Progress {
            incumbent: incumbent.map(|value| monthly(problem, value)),
            bound: Some(monthly(problem, bound)),
            nodes,
        })
    };
    let mut tree = Tree::new(mip, cutoff);
    // Of a large program only the root is solved at first, for a first plan by RENS.
    let is_large = mip.size() > LARGE_MIP_ENTRIES;
    let mut allowed = if is_large { 1 } else { ROOT_NODES.min(options.max_nodes) };
    if let Some(plan) = &options.start {
        warm_start::install(problem, column_set, mip, plan, &mut tree, &mut watch_month);
    }
    let mut stop = tree.resume(options, allowed, goal, &mut watch_month);
    while stop == Some(StopReason::Limit) && tree.nodes >= allowed && allowed < options.max_nodes {
        stop = None;
        if goal == Goal::Best && tree.best.is_some() {
            stop = restart_loop(problem, column_set, &mut tree, mip, options, &mut watch_month);
            break;
        }
        if is_large && tree.nodes == 1 && tree.best.is_none() {
            stop = rens::rens(problem, column_set, mip, &mut tree, &mut watch_month);
        }
        if stop.is_some() {
            break;
        }
        allowed = (allowed + NODES_PER_ROUND).min(options.max_nodes);
        stop = tree.resume(options, allowed, goal, &mut watch_month);
    }
    let bound = tree.bound();
    if let (Goal::Best, Some((_, cost))) = (goal, &tree.best) {
        // The last report. If the root was solved at once it is the only one.
        let bound = if stop.is_none() { *cost } else { bound.min(*cost) };
        watch_month(Some(*cost), bound, tree.nodes);
    }
    let statistics = Statistics {
        offers: problem.catalogue.len() as u64,
        eligible: problem.candidates.len() as u64,
        patterns: column_set.patterns as u64,
        variables: mip.cost.len() as u64,
        rows: mip.row_lower.len() as u64,
        nodes: tree.nodes,
        pivots: tree.pivots,
        inexact_pricing: 0,
    };
    match (tree.best, stop) {
        (Some((values, value)), stop) => {
            let bound = if stop.is_none() { value } else { bound.min(value) };
            let stop = stop.unwrap_or(StopReason::Optimal);
            Ok(Some(Solution::new(mip, column_set, &values, bound, stop, statistics)))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ComposeError::Stopped { bound: (bound > 0).then(|| monthly(problem, bound)) }),
    }
}

/// Searches on from a root tree that has an incumbent.
///
/// Reduced-cost fixing at the root and row presolve give a smaller program, on which a tree pool runs in rounds. A
/// round of heuristics follows each round of nodes. If a better incumbent fixes a fifth of the free variables, the
/// loop restarts with a new presolve (restarts after root fixing: T. Achterberg, *Constraint Integer Programming*, TU
/// Berlin 2007, §10.9).
fn restart_loop(
    problem: &Problem<'_>,
    column_set: &ColumnSet,
    root_tree: &mut Tree<'_>,
    mip: &Mip,
    options: &ComposeOptions,
    watch: &mut Watch<'_>,
) -> Option<StopReason> {
    let threads = options.threads.get().min(MAX_THREADS);
    let rowwise = RowwiseMatrix::new(mip);
    let root = root_tree.root_reduced_costs();
    let mut rounds = HeuristicRounds {
        threads: (0..threads)
            .map(|at| ThreadHeuristics {
                four_lists: root.as_ref().and_then(|reduced_costs| {
                    let structure = MckpStructure::new(mip, reduced_costs, &root_tree.root().duals(mip))?;
                    Some(FourListSearch::new(mip, structure, reduced_costs.bound, (at, threads)))
                }),
                lns: Lns::new((problem, column_set, mip), &rowwise, root.as_ref(), at),
            })
            .collect(),
        work_share_quarters: MAX_WORK_SHARE_QUARTERS,
    };
    let mut stop = rounds.run_round(root_tree, watch);
    while stop.is_none() {
        let (bounds, free) = bounds_below(mip, root.as_ref(), root_tree.cutoff);
        let presolved = PresolvedMip::within(mip, &rowwise, bounds)?; // none: no plan is better
        let offset = presolved.offset;
        let mut pool = TreePool::new(&presolved.mip, root_tree.cutoff - offset, threads);
        while stop.is_none() {
            let before = pool.effort();
            let (so_far, proven) = (root_tree.nodes, root_tree.bound());
            let best = root_tree.best.as_ref().map(|(_, value)| *value);
            let mut shifted = |incumbent: Option<i128>, bound: i128, nodes: u64| {
                let incumbent = incumbent.map(|value| value + offset).or(best);
                watch(incumbent, (bound + offset).max(proven), so_far + nodes)
            };
            let max_nodes = options.max_nodes.saturating_sub(root_tree.nodes);
            let round = pool.run_round(options, NODES_PER_ROUND, max_nodes, &mut shifted);
            let after = pool.effort();
            if let Some((values, value)) = pool.take_best() {
                root_tree.install_incumbent(presolved.restore(&values), value + offset);
            }
            root_tree.add_effort(
                pool.bound().saturating_add(offset),
                (after.0 - before.0, after.1 - before.1, after.2 - before.2),
            );
            match round {
                RoundOutcome::Exhausted => return None,
                RoundOutcome::Stopped(reason) => return Some(reason),
                RoundOutcome::NodesSpent if root_tree.nodes >= options.max_nodes => {
                    return Some(StopReason::Limit);
                }
                RoundOutcome::NodesSpent => {}
            }
            stop = rounds.run_round(root_tree, watch);
            let best = root_tree.best.as_ref().map(|(_, value)| *value);
            if best.is_some_and(|cost| is_within_gap(cost, root_tree.bound(), options.gap_percent)) {
                stop = stop.or(Some(StopReason::GapReached));
            }
            pool.tighten_cutoff(root_tree.cutoff - offset);
            if bounds_below(mip, root.as_ref(), root_tree.cutoff).1 * 5 < free * 4 {
                break;
            }
        }
    }
    stop
}

/// The bounds of the variables in plans below a cutoff, and the number of free variables.
fn bounds_below(mip: &Mip, root: Option<&ReducedCosts>, cutoff: i128) -> (VarBounds, usize) {
    let mut bounds = VarBounds::of(mip);
    if let Some(ReducedCosts { costs, bound }) = root {
        // One more for the rounding.
        bounds.fix_by_reduced_cost(costs, cutoff.saturating_sub(*bound).saturating_add(1));
    }
    let free = mip.cost.ids().filter(|&var| bounds.lower[var] < bounds.upper[var]).count();
    (bounds, free)
}
