//! Branch and price: bounds on how many replicas of a component stand in a place, with new columns at each node (C. Barnhart and
//! others, "Branch-and-price: column generation for solving huge integer programs", Operations Research 46(3), 1998).
//!
//! The node with the least bound comes first, so that the bound of the whole search rises. Plans come from dives.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at where to split; bounds of nodes are computed from dual values in integers"
)]

use super::{
    master::RestrictedMaster,
    row_pool::{CountBounds, CountKey, Counted},
};
use crate::compose::{error::ComposeError, interrupt::InterruptCheck, mip::var_bounds::VarBounds};

/// Rounds of pricing of a node.
const MAX_NODE_ROUNDS: usize = 40;
/// How far a count may be from a whole number.
const COUNT_TOLERANCE: f64 = 1e-3;

/// A part of the plans.
#[derive(Debug, Clone, Default)]
struct BranchNode {
    counts: CountBounds,
    /// No plan in it costs less.
    bound: i128,
}

/// The parts that are still to be searched.
#[derive(Debug)]
pub(crate) struct BranchTree {
    open: Vec<BranchNode>,
    /// The least bound of the parts that cannot be split here.
    unsplit: i128,
}

impl BranchTree {
    /// All plans.
    pub(crate) fn new(bound: i128) -> Self {
        Self { open: vec![BranchNode { counts: CountBounds::new(), bound }], unsplit: i128::MAX }
    }

    /// No plan below the cutoff costs less.
    pub(crate) fn bound(&self, cutoff: i128) -> i128 {
        self.open.iter().map(|node| node.bound).fold(self.unsplit.min(cutoff), i128::min)
    }

    /// Whether there is a part that can be split.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Solves the part with the least bound, and splits it. Parts that have no plan below the cutoff are dropped.
    pub(crate) fn step(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(), ComposeError> {
        self.open.retain(|node| node.bound < cutoff);
        let least = (0..self.open.len()).min_by_key(|at| (self.open[*at].bound, *at));
        let Some(node) = least.map(|at| self.open[at].clone()) else { return Ok(()) };
        let solved = master.solve_node(&node.counts, node.bound, cutoff, interrupt)?;
        let at = least.unwrap_or_default();
        match solved {
            // Stopped: the node stays.
            None => {}
            Some((bound, _)) if bound >= cutoff => drop(self.open.swap_remove(at)),
            Some((bound, Some((key, below)))) => {
                self.open.swap_remove(at);
                for (low, high) in [(i64::MIN, below), (below + 1, i64::MAX)] {
                    let mut counts = node.counts.clone();
                    let range = counts.entry(key).or_insert((0, i64::MAX));
                    *range = (range.0.max(low), range.1.min(high));
                    self.open.push(BranchNode { counts, bound });
                }
            }
            Some((bound, None)) => {
                self.open.swap_remove(at);
                self.unsplit = self.unsplit.min(bound);
            }
        }
        Ok(())
    }
}

/// A bound, and where to split: after this number of the replicas.
type SolvedNode = (i128, Option<(CountKey, i64)>);

impl RestrictedMaster<'_> {
    /// Bounds how many replicas of components stand in places.
    fn set_counts(&mut self, bounds: &CountBounds) {
        self.program.set_counts(self.problem, &self.column_set, bounds);
    }

    /// The replicas of each component in each place of the scope, in the solution.
    fn counts_of_solution(&self) -> impl Iterator<Item = (CountKey, f64)> + '_ {
        let values = self.program.count_values(self.problem, self.pool(), &self.column_set);
        self.pool().counted.ids().filter_map(move |var| match self.pool().counted[var] {
            Counted::At(component, key, place) => Some(((component, key, place), values[var])),
            Counted::Total(_) | Counted::Nothing => None,
        })
    }

    /// The bound of a part of the plans, and where to split it; none if the caller has stopped it.
    fn solve_node(
        &mut self,
        counts: &CountBounds,
        known: i128,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<SolvedNode>, ComposeError> {
        self.tidy();
        self.set_counts(counts);
        let solved = self.price_node(counts, known, cutoff, interrupt);
        self.set_counts(&CountBounds::new());
        solved
    }

    fn price_node(
        &mut self,
        counts: &CountBounds,
        known: i128,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<SolvedNode>, ComposeError> {
        let mut best = known;
        for _ in 0..MAX_NODE_ROUNDS {
            self.solve_rows(i128::MAX, interrupt)?;
            let mut bounds = VarBounds::of(&self.pool().mip);
            for (key, (low, high)) in counts {
                if let Some(var) = self.pool().count_at(*key) {
                    bounds.lower[var] = bounds.lower[var].max(*low);
                    bounds.upper[var] = bounds.upper[var].min(*high);
                }
            }
            let (duals, at_duals) = self.duals_within(&bounds);
            let (added, unpriced) = self.add_improving(&duals, None, interrupt)?;
            if let Some(bound) = at_duals {
                best = best.max(unpriced.farley_bound(bound, self.leases()));
            }
            if !interrupt.should_continue() {
                return Ok(None);
            }
            if best >= cutoff {
                return Ok(Some((best, None)));
            }
            if added == 0 {
                break;
            }
        }
        Ok(Some((best, self.split(counts))))
    }

    /// The count that is farthest from a whole number, of the largest places first.
    fn split(&self, counts: &CountBounds) -> Option<(CountKey, i64)> {
        let mut best: Option<(f64, CountKey, i64)> = None;
        for (key, value) in self.counts_of_solution() {
            let below = value.floor();
            let part = (value - below).min(below + 1.0 - value);
            let (low, high) = counts.get(&key).copied().unwrap_or((0, i64::MAX));
            let is_inside = below as i64 >= low && (below as i64) < high;
            if part > COUNT_TOLERANCE && is_inside && best.is_none_or(|(most, ..)| part > most) {
                best = Some((part, key, below as i64));
            }
        }
        best.map(|(_, key, below)| (key, below))
    }
}
