//! Branch and price: bounds on how many replicas of a component stand in a place, with new columns at each node (C. Barnhart and
//! others, "Branch-and-price: column generation for solving huge integer programs", Operations Research 46(3), 1998).
//!
//! A node is followed by one of its parts while their bounds are near the least one, as the program is solved at once from there;
//! then the node with the least bound comes. Plans come from dives, and from parts without fractions.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at where to split; bounds of nodes are computed from dual values in integers"
)]

use std::collections::BTreeMap;

use super::{
    branch_costs::{BranchCosts, Side, score},
    dive::Leases,
    master::{MasterSolution, RestrictedMaster},
    row_pool::{BranchBounds, BranchKey, Counted},
};
use crate::compose::{error::ComposeError, formulation::ids::ComponentIx, interrupt::InterruptCheck};

/// Rounds of pricing of a node.
const MAX_NODE_ROUNDS: usize = 40;
/// How far a count may be from a whole number.
const COUNT_TOLERANCE: f64 = 1e-3;
/// Counts that are looked at for a split, and those of them that are tried.
const MAX_CANDIDATES: usize = 30;
const MAX_PROBES: usize = 8;
/// The part of the gap within which a part of the node just solved comes before the node with the least bound.
const PLUNGE_PART: i128 = 3;
/// How far the leases of a plan may be from whole numbers: rows are a little wider than they are told.
const WHOLE_TOLERANCE: f64 = 5e-3;
/// How often conditions come to a part without fractions, or it is solved as a program.
pub(super) const MAX_LEAF_TRIES: u32 = 20;

/// The share of the tree's work that equals the dive's.
pub(super) const SHARE_UNIT: u64 = 8;

/// A part of the plans.
#[derive(Debug, Clone, Default)]
pub(crate) struct BranchNode {
    pub(crate) part: BranchBounds,
    /// No plan in it costs less.
    pub(crate) bound: i128,
    /// What it should cost at least, in micro-units.
    estimate: f64,
    /// How it was split from its parent.
    side: Option<Side>,
    /// How often its solution was whole, or nearly, and no plan of that cost.
    pub(crate) tries: u32,
}

/// The parts that are still to be searched.
#[derive(Debug)]
pub(crate) struct BranchTree {
    open: Vec<BranchNode>,
    /// The position of the part to go on with.
    next: Option<usize>,
    costs: BranchCosts,
    /// Parts with whole numbers alone: they are solved as small programs.
    pub(crate) leaves: Vec<BranchNode>,
    /// Plans that were found, which may break conditions.
    pub(crate) found: Vec<Leases>,
}

/// The tree, and a master of its own: both searches go on from where they were.
pub(super) struct TreeSide<'p> {
    pub(super) master: RestrictedMaster<'p>,
    pub(super) tree: BranchTree,
}

impl BranchTree {
    /// All plans.
    pub(crate) fn new(bound: i128) -> Self {
        let root = BranchNode { bound, estimate: bound as f64, ..BranchNode::default() };
        let (leaves, found) = (Vec::new(), Vec::new());
        Self { open: vec![root], next: None, costs: BranchCosts::default(), leaves, found }
    }

    /// No plan below the cutoff costs less.
    pub(crate) fn bound(&self, cutoff: i128) -> i128 {
        self.open.iter().chain(&self.leaves).map(|node| node.bound).fold(cutoff, i128::min)
    }

    /// Whether there is a part that can be split.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Puts a part back that is to be split further.
    pub(crate) fn reopen(&mut self, node: BranchNode) {
        self.open.push(node);
    }

    /// Solves some parts, and splits them. Parts that have no plan below the cutoff are dropped. Returns how many were solved.
    pub(crate) fn search(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        cutoff: i128,
        (max_nodes, max_work): (u64, u64),
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<u64, ComposeError> {
        master.tidy();
        self.open.retain(|node| node.bound < cutoff);
        self.leaves.retain(|node| node.bound < cutoff);
        self.next = None;
        let mut end = Ok(());
        let mut nodes = 0;
        let before = master.work();
        while nodes < max_nodes
            && (nodes == 0 || master.work() - before < max_work)
            && !self.open.is_empty()
            && self.found.is_empty()
            && end.is_ok()
        {
            if !interrupt.should_continue() {
                break;
            }
            end = self.step(master, cutoff, interrupt);
            nodes += 1;
        }
        master.set_branch(&BranchBounds::new());
        end.map(|()| nodes)
    }

    /// Takes the part to go on with, or that with the least bound.
    fn take(&mut self, cutoff: i128) -> Option<BranchNode> {
        let bounds = self.open.iter().enumerate().map(|(at, node)| (node.bound, at));
        let (least, at) = bounds.min()?;
        let near = least.saturating_add(cutoff.saturating_sub(least) / PLUNGE_PART);
        let next = self.next.take().filter(|next| self.open[*next].bound <= near);
        Some(self.open.swap_remove(next.unwrap_or(at)))
    }

    fn step(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(), ComposeError> {
        let Some(mut node) = self.take(cutoff) else { return Ok(()) };
        master.set_branch(&node.part);
        let bound = match master.price_node(&node.part, node.bound, cutoff, interrupt) {
            Ok(Some(bound)) => bound,
            stopped => {
                // The node stays.
                self.open.push(node);
                return stopped.map(|_| ());
            }
        };
        if let Some(side) = node.side.take() {
            self.costs.add(side, (bound - node.bound) as f64);
        }
        node.bound = bound;
        if bound >= cutoff {
            return Ok(());
        }
        match master.split(&node.part, &mut self.costs, cutoff, interrupt) {
            Some(split) => self.split(&node, split),
            None if node.tries < MAX_LEAF_TRIES && master.add_broken_rows() => {
                node.tries += 1;
                self.next = Some(self.open.len());
                self.open.push(node);
            }
            None => {
                self.found.extend(master.whole_leases(WHOLE_TOLERANCE));
                self.leaves.push(node);
            }
        }
        Ok(())
    }

    /// Adds both sides of a split.
    fn split(&mut self, node: &BranchNode, (key, value, gains): Split) {
        let below = value.floor();
        let sides = [(i64::MIN, below as i64), (below as i64 + 1, i64::MAX)];
        let distances = [value - below, below + 1.0 - value];
        for (is_up, (low, high)) in [false, true].into_iter().zip(sides) {
            let mut part = node.part.clone();
            let range = part.entry(key).or_insert((0, i64::MAX));
            *range = (range.0.max(low), range.1.min(high));
            let at = usize::from(is_up);
            self.open.push(BranchNode {
                part,
                bound: node.bound,
                estimate: node.bound as f64 + gains[at],
                side: Some(Side { key, is_up, distance: distances[at] }),
                tries: node.tries,
            });
        }
        let last = self.open.len() - 1;
        let is_up_first = self.open[last].estimate < self.open[last - 1].estimate;
        self.next = Some(if is_up_first { last } else { last - 1 });
    }
}

/// Where to split: the number, its value in the solution, and what both sides should gain.
type Split = (BranchKey, f64, [f64; 2]);

impl RestrictedMaster<'_> {
    /// Bounds the numbers of a part of the plans; all others are free.
    pub(super) fn set_branch(&mut self, bounds: &BranchBounds) {
        self.program.set_branch(self.problem, &self.column_set, bounds);
    }

    /// The replicas of each component in each place of the scope, in the solution.
    fn counts_of_solution(&self) -> impl Iterator<Item = (BranchKey, f64)> + '_ {
        let values = self.program.count_values(self.problem, self.pool(), &self.column_set);
        self.pool().counted.ids().filter_map(move |var| match self.pool().counted[var] {
            Counted::At(component, key, place) => {
                Some((BranchKey::Count((component, key, place)), values[var]))
            }
            Counted::Total(_) | Counted::Nothing => None,
        })
    }

    /// The leases of the solution that carry both of two components.
    fn pairs_of_solution(&self) -> BTreeMap<(ComponentIx, ComponentIx), f64> {
        let mut pairs = BTreeMap::new();
        for (id, leases) in self.program.used() {
            let members = &self.column_set.columns[id].members;
            for (at, (one, _)) in members.iter().enumerate() {
                for (two, _) in &members[at + 1..] {
                    *pairs.entry((*one.min(two), *one.max(two))).or_default() += leases;
                }
            }
        }
        pairs
    }

    /// Adds the conditions that the solution breaks.
    fn add_broken_rows(&mut self) -> bool {
        self.program.add_broken_rows(self.problem, &self.pool, &self.column_set) > 0
    }

    /// The bound of a part of the plans; none if the caller has stopped it.
    fn price_node(
        &mut self,
        part: &BranchBounds,
        known: i128,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<i128>, ComposeError> {
        let mut best = known;
        for _ in 0..MAX_NODE_ROUNDS {
            self.solve_rows(i128::MAX, interrupt)?;
            let (duals, at_duals) = self.duals_within(part);
            let (added, unpriced) = self.add_improving(&duals, None, interrupt)?;
            if let Some(bound) = at_duals {
                best = best.max(unpriced.farley_bound(bound, self.leases()));
            }
            if !interrupt.should_continue() {
                return Ok(None);
            }
            if best >= cutoff || added == 0 {
                break;
            }
        }
        Ok(Some(best))
    }

    /// Solves a part of the plans as far as `price_node`, for its dual values.
    pub(crate) fn solve_part(
        &mut self,
        part: &BranchBounds,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<MasterSolution>, ComposeError> {
        self.set_branch(part);
        let priced = self.price_node(part, i128::MIN, i128::MAX, interrupt);
        let (duals, at_duals) = self.duals_within(part);
        let unpriced = self.add_improving(&duals, None, interrupt).map(|(_, unpriced)| unpriced);
        let used = self.program.used().collect();
        self.set_branch(&BranchBounds::new());
        let (Some(_), Some(bound)) = (priced?, at_duals) else { return Ok(None) };
        Ok(Some(MasterSolution { used, duals, last: (bound, unpriced?), pivots: 0 }))
    }

    /// The count that raises the bound of both sides most, as far as is known; others are tried.
    fn split(
        &mut self,
        part: &BranchBounds,
        costs: &mut BranchCosts,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Option<Split> {
        let may_split = |(key, value): (BranchKey, f64)| {
            let fraction = value - value.floor();
            let (low, high) = part.get(&key).copied().unwrap_or((0, i64::MAX));
            let is_inside = value.floor() as i64 >= low && (value.floor() as i64) < high;
            let is_whole = fraction.min(1.0 - fraction) <= COUNT_TOLERANCE;
            // Those of which little is known come with what is usual.
            let guess = score(costs.expected(key, fraction)) + 1e-9 * fraction.min(1.0 - fraction);
            (is_inside && !is_whole).then_some((guess, key, value))
        };
        let mut candidates: Vec<(f64, BranchKey, f64)> =
            self.counts_of_solution().filter_map(may_split).collect();
        if candidates.is_empty() {
            let pairs = self.pairs_of_solution().into_iter();
            candidates = pairs
                .map(|((one, two), leases)| (BranchKey::Pair(one, two), leases))
                .filter_map(may_split)
                .collect();
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        candidates.truncate(MAX_CANDIDATES);
        let mut best: Option<(f64, Split)> = None;
        let mut probes = 0;
        for (_, key, value) in candidates {
            let below = value.floor();
            let mut gains = costs.expected(key, value - below);
            if !costs.is_known(key) && probes < MAX_PROBES && interrupt.should_continue() {
                probes += 1;
                gains = self.program.probe(self.problem, &self.column_set, key, below as i64, cutoff);
                for (at, gain) in gains.into_iter().enumerate() {
                    let distance = if at == 0 { value - below } else { below + 1.0 - value };
                    costs.add(Side { key, is_up: at == 1, distance }, gain);
                }
            }
            let is_better = best.as_ref().is_none_or(|(most, _)| score(gains) > *most);
            if is_better {
                best = Some((score(gains), (key, value, gains)));
            }
        }
        best.map(|(_, split)| split)
    }
}
