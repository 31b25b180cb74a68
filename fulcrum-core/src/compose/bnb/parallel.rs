//! Several trees that share the parts of one space, each on a thread of its own.
//!
//! They go on in rounds of so many nodes. In a round each keeps to its own parts and its own best plan; in between
//! plans are exchanged and one that has run out takes half of what another has left. So the outcome depends on how
//! many there are and on nothing else (bulk synchronous parallel search; B. Gendron, T. G. Crainic, "Parallel
//! branch-and-bound algorithms: survey and synthesis", Operations Research 42(6), 1994, §3).

use super::{
    branch_and_bound::{Goal, Tree},
    fork_join::{Watch, together},
};
use crate::{
    compose::{
        mip::model::Program,
        options::{ComposeOptions, Signal},
    },
    model::StopReason,
};

/// A tree that has so many times less left than another one gets some of it.
const LITTLE: usize = 2;

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nothing is left.
    Exhausted,
    /// All have done their nodes.
    Done,
    Stopped(StopReason),
}

pub(crate) struct Team<'a> {
    trees: Vec<Tree<'a>>,
}

impl<'a> Team<'a> {
    /// `threads` trees, of which the first has all. `ceiling`: only plans below it count.
    pub(crate) fn new(program: &'a Program, ceiling: i128, threads: usize) -> Self {
        let first = Tree::new(program, Some(ceiling)).one_of(threads);
        let others: Vec<Tree<'a>> = (1..threads).map(|_| first.sibling()).collect();
        Self { trees: std::iter::once(first).chain(others).collect() }
    }

    /// What no plan in the space is below, as far as was proven.
    pub(crate) fn bound(&self) -> i128 {
        self.trees.iter().map(Tree::bound).fold(i128::MAX, i128::min)
    }

    /// Nodes, pivots and work of all.
    pub(crate) fn effort(&self) -> (u64, u64, u64) {
        self.trees
            .iter()
            .map(Tree::effort)
            .fold((0, 0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1, sum.2 + more.2))
    }

    /// The best plan that was found since it was asked last.
    pub(crate) fn take_best(&mut self) -> Option<(Vec<i64>, i128)> {
        let found: Vec<_> = self.trees.iter_mut().filter_map(|tree| tree.best.take()).collect();
        found.into_iter().min_by_key(|(_, value)| *value)
    }

    /// Plans must be below a value that was found elsewhere.
    pub(crate) fn lower(&mut self, ceiling: i128) {
        self.trees.iter_mut().for_each(|tree| tree.lower(ceiling));
    }

    /// A round of `nodes` nodes for each tree, less if `most` in all is less.
    pub(crate) fn go_on(
        &mut self,
        options: &ComposeOptions,
        nodes: u64,
        most: u64,
        watch: &mut Watch<'_>,
    ) -> Round {
        let nodes = if self.share_out() { nodes } else { nodes.min(2 * self.trees.len() as u64) };
        let count = self.trees.len() as u64;
        let bounds: Vec<i128> = self.trees.iter().map(Tree::bound).collect();
        let done = self.effort().0;
        let mut parts: Vec<(&mut Tree<'a>, u64)> = Vec::new();
        for (at, tree) in self.trees.iter_mut().enumerate() {
            let others = bounds.iter().enumerate().filter(|(other, _)| *other != at);
            tree.set_elsewhere(others.map(|(_, bound)| *bound).fold(i128::MAX, i128::min));
            let fair = most / count + u64::from((at as u64) < most % count);
            let quota = tree.nodes + nodes.min(fair);
            if tree.is_open() {
                parts.push((tree, quota));
            }
        }
        let first = parts.first().map_or(0, |(tree, _)| tree.nodes);
        let mut told = Signal::Continue;
        let mut watch_all = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            let signal = watch(incumbent, bound, done + nodes.saturating_sub(first));
            if signal != Signal::Continue {
                told = signal;
            }
            signal
        };
        let stops = together(&mut parts, &mut watch_all, |(tree, quota), watch| {
            tree.go_on(options, *quota, Goal::Best, watch)
        });
        match told {
            Signal::Cancel => Round::Stopped(StopReason::Cancelled),
            Signal::Limit => Round::Stopped(StopReason::Limit),
            Signal::Continue if stops.contains(&Some(StopReason::GapReached)) => {
                Round::Stopped(StopReason::GapReached)
            }
            Signal::Continue if self.trees.iter().any(Tree::is_open) => Round::Done,
            Signal::Continue => Round::Exhausted,
        }
    }

    /// Gives each that has little half of what the one with most has; whether all have something now.
    fn share_out(&mut self) -> bool {
        for at in 0..self.trees.len() {
            // Of equal ones the first.
            let fullest = (0..self.trees.len()).rev().max_by_key(|&other| self.trees[other].open_nodes());
            let has_little =
                |other: usize| self.trees[at].open_nodes() * LITTLE < self.trees[other].open_nodes();
            if let Some(fullest) =
                fullest.filter(|&other| has_little(other) && self.trees[other].open_nodes() > 1)
                && let Ok([idle, fullest]) = self.trees.get_disjoint_mut([at, fullest])
            {
                fullest.share_with(idle);
            }
        }
        self.trees.iter().all(Tree::is_open)
    }
}
