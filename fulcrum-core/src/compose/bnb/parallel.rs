//! Parallel branch and bound: several trees share the nodes of one search, each on a thread of its own.
//!
//! They run in rounds of a fixed number of nodes. During a round each tree keeps its own nodes and its own incumbent.
//! Between rounds incumbents are exchanged, and a tree that has run out takes half of another one's nodes. So the
//! result depends on the number of trees only (bulk synchronous parallel search; B. Gendron, T. G. Crainic, "Parallel
//! branch-and-bound algorithms: survey and synthesis", Operations Research 42(6), 1994, §3).

use super::{
    branch_and_bound::{Goal, Tree},
    fork_join::{Watch, run_lockstep},
};
use crate::{
    compose::{
        mip::model::Mip,
        options::{ComposeOptions, Signal},
    },
    model::StopReason,
};

/// A tree is starved if another one has more than this many times its open nodes.
const IMBALANCE_RATIO: usize = 2;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundOutcome {
    /// No open nodes are left.
    Exhausted,
    /// All trees have processed their nodes.
    NodesSpent,
    Stopped(StopReason),
}

pub(crate) struct TreePool<'a> {
    trees: Vec<Tree<'a>>,
}

impl<'a> TreePool<'a> {
    /// Makes `threads` trees; the first has all nodes. `cutoff`: only plans below it count.
    pub(crate) fn new(mip: &'a Mip, cutoff: i128, threads: usize) -> Self {
        let first = Tree::new(mip, Some(cutoff)).with_memory_share(threads);
        let others: Vec<Tree<'a>> = (1..threads).map(|_| first.sibling()).collect();
        Self { trees: std::iter::once(first).chain(others).collect() }
    }

    /// A proven lower bound on every plan.
    pub(crate) fn bound(&self) -> i128 {
        self.trees.iter().map(Tree::bound).fold(i128::MAX, i128::min)
    }

    /// Nodes, pivots and work of all trees.
    pub(crate) fn effort(&self) -> (u64, u64, u64) {
        self.trees
            .iter()
            .map(Tree::effort)
            .fold((0, 0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1, sum.2 + more.2))
    }

    /// Takes the best plan found since the last call.
    pub(crate) fn take_best(&mut self) -> Option<(Vec<i64>, i128)> {
        let found: Vec<_> = self.trees.iter_mut().filter_map(|tree| tree.best.take()).collect();
        found.into_iter().min_by_key(|(_, value)| *value)
    }

    /// Lowers the cutoff of all trees.
    pub(crate) fn tighten_cutoff(&mut self, cutoff: i128) {
        self.trees.iter_mut().for_each(|tree| tree.tighten_cutoff(cutoff));
    }

    /// A round of `nodes` nodes for each tree, and at most `max_nodes` in all.
    pub(crate) fn run_round(
        &mut self,
        options: &ComposeOptions,
        nodes: u64,
        max_nodes: u64,
        watch: &mut Watch<'_>,
    ) -> RoundOutcome {
        let nodes = if self.rebalance() { nodes } else { nodes.min(2 * self.trees.len() as u64) };
        let count = self.trees.len() as u64;
        let bounds: Vec<i128> = self.trees.iter().map(Tree::bound).collect();
        let done = self.effort().0;
        let mut parts: Vec<(&mut Tree<'a>, u64)> = Vec::new();
        for (at, tree) in self.trees.iter_mut().enumerate() {
            let others = bounds.iter().enumerate().filter(|(other, _)| *other != at);
            tree.set_sibling_bound(others.map(|(_, bound)| *bound).fold(i128::MAX, i128::min));
            let fair = max_nodes / count + u64::from((at as u64) < max_nodes % count);
            let quota = tree.nodes + nodes.min(fair);
            if tree.is_open() {
                parts.push((tree, quota));
            }
        }
        let first = parts.first().map_or(0, |(tree, _)| tree.nodes);
        let mut signal_seen = Signal::Continue;
        let mut watch_all = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            let signal = watch(incumbent, bound, done + nodes.saturating_sub(first));
            if signal != Signal::Continue {
                signal_seen = signal;
            }
            signal
        };
        let stops = run_lockstep(&mut parts, &mut watch_all, |(tree, quota), watch| {
            tree.resume(options, *quota, Goal::Best, watch)
        });
        match signal_seen.stop() {
            Some(reason) => RoundOutcome::Stopped(reason),
            None if stops.contains(&Some(StopReason::GapReached)) => {
                RoundOutcome::Stopped(StopReason::GapReached)
            }
            None if self.trees.iter().any(Tree::is_open) => RoundOutcome::NodesSpent,
            None => RoundOutcome::Exhausted,
        }
    }

    /// Gives each starved tree half of the nodes of the fullest one. Returns whether all trees have open nodes now.
    fn rebalance(&mut self) -> bool {
        for at in 0..self.trees.len() {
            // Of equal trees the first.
            let fullest = (0..self.trees.len()).rev().max_by_key(|&other| self.trees[other].open_nodes());
            let is_starved =
                |other: usize| self.trees[at].open_nodes() * IMBALANCE_RATIO < self.trees[other].open_nodes();
            if let Some(fullest) =
                fullest.filter(|&other| is_starved(other) && self.trees[other].open_nodes() > 1)
                && let Ok([idle, fullest]) = self.trees.get_disjoint_mut([at, fullest])
            {
                fullest.donate_to(idle);
            }
        }
        self.trees.iter().all(Tree::is_open)
    }
}
