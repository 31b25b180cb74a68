//! Rounds of heuristics beside branch and bound.

use super::{lns::Neighbours, mckp::schroeppel_shamir::FourLists};
use crate::{
    compose::bnb::{
        branch_and_bound::Tree,
        fork_join::{Watch, together},
    },
    model::StopReason,
};

/// Work on neighbourhoods in quarters of that on the tree: most while they find something.
pub(crate) const MOST_SHARE: u64 = 20;
const LEAST_SHARE: u64 = 1;

/// What one thread looks for better plans with.
pub(crate) struct Search<'a> {
    /// Where the program is of that kind.
    pub(crate) lists: Option<FourLists<'a>>,
    pub(crate) neighbours: Neighbours<'a>,
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
pub(crate) struct Around<'a> {
    pub(crate) searches: Vec<Search<'a>>,
    pub(crate) share: u64,
}

impl Around<'_> {
    /// One round of each search; why it stopped, if it did.
    pub(crate) fn look(&mut self, tree: &mut Tree<'_>, watch: &mut Watch<'_>) -> Option<StopReason> {
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
