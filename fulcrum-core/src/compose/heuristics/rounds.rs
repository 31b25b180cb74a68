//! Rounds of LNS and of meet in the middle, beside branch and bound.

use super::{lns::Lns, mckp::schroeppel_shamir::FourListSearch};
use crate::{
    compose::bnb::{
        branch_and_bound::Tree,
        fork_join::{Watch, run_lockstep},
    },
    model::StopReason,
};

/// The effort of a round in quarters of the tree's effort: the maximum after a success, one less after each failure.
pub(crate) const MAX_WORK_SHARE_QUARTERS: u64 = 20;
const MIN_WORK_SHARE_QUARTERS: u64 = 1;

/// The heuristics of one thread.
pub(crate) struct ThreadHeuristics<'a> {
    /// `None` if the program is not a multiple-choice knapsack.
    pub(crate) four_lists: Option<FourListSearch<'a>>,
    pub(crate) lns: Lns<'a>,
}

impl ThreadHeuristics<'_> {
    /// Runs both heuristics, each for half of the effort. Returns a plan better than `best`, if one was found.
    fn improve(
        &mut self,
        best: (Vec<i64>, i128),
        target: u64,
        watch: &mut Watch<'_>,
    ) -> (Option<(Vec<i64>, i128)>, Option<StopReason>) {
        let Some(four_lists) = &mut self.four_lists else { return self.lns.improve(best, target, watch) };
        let (found, stop) = four_lists.improve(best.1, target / 2, watch);
        if stop.is_some() {
            return (found, stop);
        }
        let (better, stop) = self.lns.improve(found.clone().unwrap_or(best), target / 2, watch);
        (better.or(found), stop)
    }
}

/// Rounds of heuristics on several threads.
pub(crate) struct HeuristicRounds<'a> {
    pub(crate) threads: Vec<ThreadHeuristics<'a>>,
    pub(crate) work_share_quarters: u64,
}

impl HeuristicRounds<'_> {
    /// One round on each thread. Returns why it stopped early, if it did.
    pub(crate) fn run_round(&mut self, tree: &mut Tree<'_>, watch: &mut Watch<'_>) -> Option<StopReason> {
        let best = tree.best.clone()?;
        let before = best.1;
        let (bound, nodes) = (tree.bound(), tree.nodes);
        // Each thread gets the same share of the effort.
        let target = tree.work().saturating_mul(self.work_share_quarters) / (4 * self.threads.len() as u64);
        let mut watch_round = |incumbent: Option<i128>, _: i128, _: u64| watch(incumbent, bound, nodes);
        let found = run_lockstep(&mut self.threads, &mut watch_round, |search, watch| {
            search.improve(best.clone(), target, watch)
        });
        let mut stop = None;
        for (better, stopped) in found {
            if let Some((values, value)) = better {
                tree.install_incumbent(values, value);
            }
            stop = stop.or(stopped);
        }
        self.work_share_quarters = if tree.cutoff < before {
            MAX_WORK_SHARE_QUARTERS
        } else {
            (self.work_share_quarters - 1).max(MIN_WORK_SHARE_QUARTERS)
        };
        stop
    }
}
