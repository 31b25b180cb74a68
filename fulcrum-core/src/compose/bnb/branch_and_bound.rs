//! Branch and bound, depth first, on the integer variables of a program.

use std::sync::Arc;

use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::pseudo_costs::{Branching, PseudoCosts};
use crate::{
    compose::{
        id_vec::{Id, IdVec},
        lp::{
            safe_bound::{ReducedCosts, proves_infeasible, reduced_costs},
            simplex::{LpOutcome, Simplex},
        },
        mip::{
            model::{Mip, Var},
            var_bounds::VarBounds,
        },
        options::{ComposeOptions, Signal},
    },
    model::StopReason,
};

/// What a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The optimum.
    Best,
    /// Any feasible plan.
    Feasible,
}

/// The result of a search.
#[derive(Debug)]
pub(crate) struct SearchOutcome {
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// A proven lower bound on every plan.
    pub(crate) bound: i128,
    /// Why the search stopped early; `None` if the tree is exhausted.
    pub(crate) stop: Option<StopReason>,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
}

/// An open node: a part of the space that is still to be searched.
struct Node {
    bounds: Arc<VarBounds>,
    /// The last branching, with the distance from the parent's relaxation.
    last_branching: Option<Branching>,
    /// A lower bound on every plan in the node.
    bound: i128,
    /// The parent's solved tableau; `None` if memory is short.
    parent: Option<Arc<Simplex>>,
}

/// Tableau entries that open nodes of all threads may retain together: 256 MiB.
const MAX_RETAINED_ENTRIES: usize = 32 << 20;

/// Work between two questions to the watcher: well below a millisecond.
const WORK_PER_WATCH: u64 = 200_000;

/// A search tree that can be resumed.
pub(crate) struct Tree<'a> {
    mip: &'a Mip,
    root: Arc<Simplex>,
    open: Vec<Node>,
    /// Tableau entries that the open nodes retain.
    retained_entries: usize,
    /// This tree's share of [`MAX_RETAINED_ENTRIES`].
    max_retained_entries: usize,
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// Only plans below this value count.
    pub(crate) cutoff: i128,
    /// A bound from elsewhere: no plan below the cutoff is below it.
    external_bound: i128,
    /// The bound of the nodes that other trees search.
    sibling_bound: i128,
    /// All costs are multiples of this number, so bounds may be rounded up to one.
    cost_granularity: i128,
    pseudo_costs: PseudoCosts,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
    /// Tableau entries looked at.
    work: u64,
    /// The work after which the watcher is asked next.
    next_watch: u64,
}

/// Searches to the end. `cutoff`: only plans below it count.
pub(crate) fn branch_and_bound(
    mip: &Mip,
    options: &ComposeOptions,
    goal: Goal,
    cutoff: Option<i128>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) -> SearchOutcome {
    let mut tree = Tree::new(mip, cutoff);
    let stop = tree.resume(options, options.max_nodes, goal, watch);
    let bound = tree.bound();
    SearchOutcome { best: tree.best, bound, stop, nodes: tree.nodes, pivots: tree.pivots }
}

impl<'a> Tree<'a> {
    pub(crate) fn new(mip: &'a Mip, cutoff: Option<i128>) -> Self {
        Self {
            mip,
            root: Arc::new(Simplex::new(mip)),
            open: vec![Node {
                bounds: Arc::new(VarBounds::of(mip)),
                last_branching: None,
                bound: trivial_bound(mip),
                parent: None,
            }],
            pseudo_costs: PseudoCosts::new(mip.cost.len()),
            retained_entries: 0,
            max_retained_entries: MAX_RETAINED_ENTRIES,
            best: None,
            cutoff: cutoff.unwrap_or(i128::MAX),
            external_bound: i128::MIN,
            sibling_bound: i128::MAX,
            cost_granularity: mip
                .cost
                .iter()
                .fold(0, |cost_granularity, (_, cost)| gcd(cost_granularity, (*cost).into()))
                .max(1),
            nodes: 0,
            pivots: 0,
            work: 0,
            next_watch: 0,
        }
    }

    /// The tree with the memory share of one of `threads` trees.
    pub(crate) fn with_memory_share(self, threads: usize) -> Self {
        Self { max_retained_entries: MAX_RETAINED_ENTRIES / threads.max(1), ..self }
    }

    /// A tree over the same program without open nodes.
    pub(crate) fn sibling(&self) -> Self {
        Self {
            root: self.root.clone(),
            open: Vec::new(),
            pseudo_costs: self.pseudo_costs.clone(),
            retained_entries: 0,
            best: None,
            nodes: 0,
            pivots: 0,
            work: 0,
            next_watch: 0,
            ..*self
        }
    }

    /// Whether there are open nodes.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The number of open nodes.
    pub(crate) fn open_nodes(&self) -> usize {
        self.open.len()
    }

    /// Gives every second open node to another tree.
    pub(crate) fn donate_to(&mut self, other: &mut Self) {
        let mut is_mine = false;
        let theirs = self.open.extract_if(.., |_| {
            is_mine = !is_mine;
            !is_mine
        });
        let theirs: Vec<Node> = theirs.collect();
        for node in theirs {
            self.drop_tableau(&node);
            other.retained_entries += node.parent.as_ref().map_or(0, |parent| parent.tableau_len());
            other.open.push(node);
        }
        other.root = self.root.clone();
    }

    /// Sets the bound of the nodes that other trees search.
    pub(crate) fn set_sibling_bound(&mut self, bound: i128) {
        self.sibling_bound = bound;
    }

    /// A proven lower bound on every plan.
    pub(crate) fn bound(&self) -> i128 {
        let open = self.open.iter().map(|open| open.bound).fold(self.cutoff, i128::min);
        open.max(self.external_bound.min(self.cutoff))
    }

    /// Adds the effort of another tree over the same program, and the bound that it proved.
    pub(crate) fn add_effort(&mut self, bound: i128, (nodes, pivots, work): (u64, u64, u64)) {
        self.external_bound = self.external_bound.max(bound);
        self.nodes += nodes;
        self.pivots += pivots;
        self.work += work;
    }

    /// Nodes, pivots and work.
    pub(crate) fn effort(&self) -> (u64, u64, u64) {
        (self.nodes, self.pivots, self.work)
    }

    /// Lowers the cutoff to a value that was found elsewhere.
    pub(crate) fn tighten_cutoff(&mut self, cutoff: i128) {
        self.cutoff = self.cutoff.min(cutoff);
    }

    /// Effort in tableau entries looked at: the same on every machine.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// The solved relaxation of the root.
    pub(crate) fn root(&self) -> &Simplex {
        &self.root
    }

    /// The reduced costs at the root, with the root's bound.
    pub(crate) fn root_reduced_costs(&self) -> Option<ReducedCosts> {
        reduced_costs(self.mip, &VarBounds::of(self.mip), &self.root.duals(self.mip))
    }

    /// Makes a plan that was found elsewhere the incumbent, if it is better.
    pub(crate) fn install_incumbent(&mut self, values: Vec<i64>, value: i128) {
        if value < self.cutoff {
            self.cutoff = value;
            self.best = Some((values, value));
        }
    }

    /// Searches until there are `max_nodes` nodes in all. Returns why it stopped; `None` if the tree is exhausted.
    pub(crate) fn resume(
        &mut self,
        options: &ComposeOptions,
        max_nodes: u64,
        goal: Goal,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<StopReason> {
        self.next_watch = self.work;
        let mut bound = self.bound();
        while let Some(node) = self.open.pop() {
            if node.bound >= self.cutoff {
                self.drop_tableau(&node);
                continue;
            }
            let mut stop = (self.nodes >= max_nodes).then_some(StopReason::Limit);
            let incumbent = self.best.as_ref().map(|(_, cost)| *cost);
            if stop.is_some() || self.work >= self.next_watch {
                self.next_watch = self.work + WORK_PER_WATCH;
                let here = self.open.iter().map(|open| open.bound).fold(node.bound, i128::min);
                bound = here.min(self.sibling_bound);
                stop = stop.or_else(|| watch(incumbent, bound, self.nodes).stop());
                if incumbent.is_some_and(|cost| is_within_gap(cost, bound, options.gap_percent)) {
                    stop = stop.or(Some(StopReason::GapReached));
                }
            }
            if goal == Goal::Feasible && incumbent.is_some() {
                stop = stop.or(Some(StopReason::GapReached));
            }
            if stop.is_some() {
                self.open.push(node);
                return stop;
            }
            self.drop_tableau(&node);
            self.nodes += 1;
            self.process_node(node, &mut || watch(incumbent, bound, 0) != Signal::Continue);
        }
        None
    }
}

/// The cost at the lower bounds: costs are never negative.
pub(crate) fn trivial_bound(mip: &Mip) -> i128 {
    mip.cost.iter().map(|(var, cost)| i128::from(*cost) * i128::from(mip.lower[var])).sum::<i128>()
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

pub(crate) fn is_within_gap(cost: i128, bound: i128, percent: Decimal) -> bool {
    // Two decimals of a per cent, rounded down: that asks for more proof, never for less.
    let basis_points =
        percent.clamp(Decimal::ZERO, Decimal::from(1_000_000_000)).saturating_mul(Decimal::ONE_HUNDRED);
    let basis_points = basis_points.trunc().to_i128().unwrap_or(0);
    basis_points > 0 && (cost - bound).saturating_mul(10_000) <= basis_points.saturating_mul(cost)
}

impl Tree<'_> {
    fn drop_tableau(&mut self, node: &Node) {
        if let Some(parent) = &node.parent {
            self.retained_entries -= parent.tableau_len();
        }
    }

    /// Solves a node's relaxation, then prunes the node, records a plan, or branches.
    fn process_node(&mut self, node: Node, should_stop: &mut dyn FnMut() -> bool) {
        let mut bounds = Arc::unwrap_or_clone(node.bounds);
        let mut simplex = match node.parent {
            Some(parent) => Arc::unwrap_or_clone(parent),
            None => Simplex::clone(&self.root),
        };
        // Bounds that the tableau has already cost nothing.
        simplex.set_bounds(&bounds);
        let (pivots, work) = (simplex.pivots, simplex.work);
        let outcome = simplex.run(self.cutoff, should_stop);
        self.pivots += simplex.pivots - pivots;
        // Besides the pivots: one copy of the tableau, and a pass over all variables.
        self.work += simplex.work - work + (simplex.tableau_len() + 40 * self.mip.cost.len()) as u64;
        if node.last_branching.is_none() {
            self.root = Arc::new(simplex.clone());
        }
        if outcome == LpOutcome::Infeasible
            && proves_infeasible(self.mip, &bounds, &simplex.farkas_duals(self.mip))
        {
            return;
        }
        let duals = simplex.duals(self.mip);
        let priced = reduced_costs(self.mip, &bounds, &duals);
        let bound = priced.as_ref().map_or(node.bound, |priced| self.round_up(priced.bound).max(node.bound));
        self.pseudo_costs.update(node.last_branching, bound.saturating_sub(node.bound));
        if bound >= self.cutoff {
            return;
        }
        self.try_rounding(&simplex, &bounds);
        if bound >= self.cutoff {
            return;
        }
        if let Some(ReducedCosts { costs, bound }) = &priced
            && self.cutoff < i128::MAX
        {
            bounds.fix_by_reduced_cost(costs, self.cutoff - bound + 1);
        }
        let Some((var, split)) = self.select_branching(&simplex, &bounds) else {
            return; // all variables are fixed, and try_rounding has checked their values
        };
        let (low, high) = (bounds.lower[var], bounds.upper[var]);
        let sides = [(low, split), (split + 1, high)];
        let [down, up] = [0, 1].map(|side| Branching::new(&simplex, var, sides[side], side == 1));
        let is_down_first = simplex.nearest(var) <= split;
        simplex.set_bounds(&bounds);
        simplex.compact();
        let parent = (self.retained_entries + 2 * simplex.tableau_len() <= self.max_retained_entries)
            .then(|| Arc::new(simplex));
        let child = |(low, high), last| {
            let mut bounds = bounds.clone();
            (bounds.lower[var], bounds.upper[var]) = (low, high);
            Node { bounds: Arc::new(bounds), last_branching: Some(last), bound, parent: parent.clone() }
        };
        let (down, up) = (child(sides[0], down), child(sides[1], up));
        self.retained_entries += 2 * parent.as_ref().map_or(0, |parent| parent.tableau_len());
        self.open.extend(if is_down_first { [up, down] } else { [down, up] });
    }

    fn round_up(&self, bound: i128) -> i128 {
        -(-bound).div_euclid(self.cost_granularity) * self.cost_granularity
    }

    /// Rounds the relaxation, and takes the result if it is a better plan.
    fn try_rounding(&mut self, simplex: &Simplex, bounds: &VarBounds) {
        let values: IdVec<Var, i64> = self
            .mip
            .cost
            .ids()
            .map(|var| simplex.nearest(var).clamp(bounds.lower[var], bounds.upper[var]))
            .collect();
        if let Some(cost) = self.mip.check(&values).filter(|cost| *cost < self.cutoff) {
            self.cutoff = cost;
            self.best = Some((values.iter().map(|(_, value)| *value).collect(), cost));
        }
    }

    /// The variable to branch on, and the value after which to split; `None` if all are fixed.
    ///
    /// Roles in their order: deployment, places, replicas, then leases. Within a role the variable with the best
    /// pseudo-cost score; ties go to the lower number. If all values are integral and yet no plan, any free variable,
    /// so that the search ends.
    fn select_branching(&self, simplex: &Simplex, bounds: &VarBounds) -> Option<(Var, i64)> {
        let free = || self.mip.cost.ids().filter(|&var| bounds.lower[var] < bounds.upper[var]);
        let fractional = free()
            .filter(|&var| simplex.fraction(var) > 0)
            .min_by_key(|&var| {
                (self.mip.role[var], std::cmp::Reverse(self.pseudo_costs.score(simplex, var)), var.index())
            })
            .map(|var| (var, simplex.below(var).clamp(bounds.lower[var], bounds.upper[var] - 1)));
        fractional.or_else(|| {
            free().min_by_key(|&var| (self.mip.role[var], var.index())).map(|var| {
                let near = simplex.nearest(var).clamp(bounds.lower[var], bounds.upper[var] - 1);
                (var, near)
            })
        })
    }
}
