//! Branch and bound, depth first, on the whole-numbered unknowns of a mip.

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

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The best plan.
    Best,
    /// Any plan: is there one at all?
    Feasible,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct SearchOutcome {
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// What no plan is below, as far as was external_bound.
    pub(crate) bound: i128,
    /// Why it stopped early; `None` if the tree is exhausted.
    pub(crate) stop: Option<StopReason>,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
}

/// A part of the space that is still to be searched.
struct Node {
    bounds: Arc<VarBounds>,
    /// What was split off last, and on which side of where the parent's relaxation had it.
    last_branching: Option<Branching>,
    /// What no plan in it is below.
    bound: i128,
    /// The parent's solved tableau, unless memory is short.
    parent: Option<Arc<Simplex>>,
}

/// Tableau entries that waiting nodes of all threads may hold on to together: 256 MiB.
const MAX_RETAINED_ENTRIES: usize = 32 << 20;

/// Work between two interrupt at the watcher: well below a millisecond.
const WORK_PER_WATCH: u64 = 200_000;

/// A search that can be taken up again.
pub(crate) struct Tree<'a> {
    mip: &'a Mip,
    root: Arc<Simplex>,
    open: Vec<Node>,
    retained_tableaux: usize,
    /// Of [`MAX_RETAINED_ENTRIES`] what this tree may.
    max_retained_tableaux: usize,
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// Plans must be below it.
    pub(crate) cutoff: i128,
    /// What was external_bound sibling_bound: no plan below the cutoff is below it.
    external_bound: i128,
    /// What no plan is below in the parts that other trees search.
    sibling_bound: i128,
    /// All costs are multiples of it, so all bounds may be rounded up to one.
    cost_granularity: i128,
    pseudo_costs: PseudoCosts,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
    /// Entries of tableaux that were looked at.
    work: u64,
    /// The work after which the watcher is asked next.
    next_watch: u64,
}

/// Searches. `cutoff`: only plans below it count.
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
            retained_tableaux: 0,
            max_retained_tableaux: MAX_RETAINED_ENTRIES,
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

    /// The same as one of so many trees that go on side by side.
    pub(crate) fn with_memory_share(self, threads: usize) -> Self {
        Self { max_retained_tableaux: MAX_RETAINED_ENTRIES / threads.max(1), ..self }
    }

    /// A tree over the same space with nothing to search yet.
    pub(crate) fn sibling(&self) -> Self {
        Self {
            root: self.root.clone(),
            open: Vec::new(),
            pseudo_costs: self.pseudo_costs.clone(),
            retained_tableaux: 0,
            best: None,
            nodes: 0,
            pivots: 0,
            work: 0,
            next_watch: 0,
            ..*self
        }
    }

    /// Whether there is something left to search.
    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// How many parts are left to search.
    pub(crate) fn open_nodes(&self) -> usize {
        self.open.len()
    }

    /// Gives another tree every second of the parts that are left.
    pub(crate) fn donate_to(&mut self, other: &mut Self) {
        let mut is_mine = false;
        let theirs = self.open.extract_if(.., |_| {
            is_mine = !is_mine;
            !is_mine
        });
        let theirs: Vec<Node> = theirs.collect();
        for node in theirs {
            self.drop_tableau(&node);
            other.retained_tableaux += node.parent.as_ref().map_or(0, |parent| parent.tableau_len());
            other.open.push(node);
        }
        other.root = self.root.clone();
    }

    /// Says what no plan is below in the parts that other trees search.
    pub(crate) fn set_sibling_bound(&mut self, bound: i128) {
        self.sibling_bound = bound;
    }

    /// What no plan is below, as far as was external_bound.
    pub(crate) fn bound(&self) -> i128 {
        let open = self.open.iter().map(|open| open.bound).fold(self.cutoff, i128::min);
        open.max(self.external_bound.min(self.cutoff))
    }

    /// Takes over what another tree over the same plans has done since it was asked last.
    pub(crate) fn add_effort(&mut self, bound: i128, (nodes, pivots, work): (u64, u64, u64)) {
        self.external_bound = self.external_bound.max(bound);
        self.nodes += nodes;
        self.pivots += pivots;
        self.work += work;
    }

    /// Nodes, pivots, work.
    pub(crate) fn effort(&self) -> (u64, u64, u64) {
        (self.nodes, self.pivots, self.work)
    }

    /// Plans must be below a value that another tree has found.
    pub(crate) fn tighten_cutoff(&mut self, cutoff: i128) {
        self.cutoff = self.cutoff.min(cutoff);
    }

    /// How much was done, in entries of a tableau that were looked at: the same on every machine.
    pub(crate) fn work(&self) -> u64 {
        self.work
    }

    /// The root's relaxation, once it was searched.
    pub(crate) fn root(&self) -> &Simplex {
        &self.root
    }

    /// What each unknown costs above its worth at the root, and the root's bound.
    pub(crate) fn root_reduced_costs(&self) -> Option<ReducedCosts> {
        reduced_costs(self.mip, &VarBounds::of(self.mip), &self.root.duals(self.mip))
    }

    /// Takes over a plan that was found sibling_bound, if it is better.
    pub(crate) fn install_incumbent(&mut self, values: Vec<i64>, value: i128) {
        if value < self.cutoff {
            self.cutoff = value;
            self.best = Some((values, value));
        }
    }

    /// Searches until there are so many nodes in all; says why it stopped, nothing if the tree is exhausted.
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

/// What every plan pays: costs are never negative.
pub(crate) fn trivial_bound(mip: &Mip) -> i128 {
    mip.cost.iter().map(|(var, cost)| i128::from(*cost) * i128::from(mip.lower[var])).sum::<i128>()
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

pub(crate) fn is_within_gap(cost: i128, bound: i128, percent: Decimal) -> bool {
    // Two decimals of a per cent are plenty; rounded down, which asks for more proof, never less.
    let basis_points =
        percent.clamp(Decimal::ZERO, Decimal::from(1_000_000_000)).saturating_mul(Decimal::ONE_HUNDRED);
    let basis_points = basis_points.trunc().to_i128().unwrap_or(0);
    basis_points > 0 && (cost - bound).saturating_mul(10_000) <= basis_points.saturating_mul(cost)
}

impl Tree<'_> {
    fn drop_tableau(&mut self, node: &Node) {
        if let Some(parent) = &node.parent {
            self.retained_tableaux -= parent.tableau_len();
        }
    }

    /// Solves a node's relaxation; drops the node, records a plan, or splits it in two.
    fn process_node(&mut self, node: Node, should_stop: &mut dyn FnMut() -> bool) {
        let mut bounds = Arc::unwrap_or_clone(node.bounds);
        let mut simplex = match node.parent {
            Some(parent) => Arc::unwrap_or_clone(parent),
            None => Simplex::clone(&self.root),
        };
        // What the tableau has of these limits already costs nothing to say again.
        simplex.set_bounds(&bounds);
        let (pivots, work) = (simplex.pivots, simplex.work);
        let outcome = simplex.run(self.cutoff, should_stop);
        self.pivots += simplex.pivots - pivots;
        // Besides the pivots: one more copy of the tableau, and what all unknowns are looked at for.
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
            return; // all unknowns are fixed; what they are was checked by try_rounding
        };
        let (low, high) = (bounds.lower[var], bounds.upper[var]);
        let sides = [(low, split), (split + 1, high)];
        let [down, up] = [0, 1].map(|side| Branching::new(&simplex, var, sides[side], side == 1));
        let is_down_first = simplex.nearest(var) <= split;
        simplex.set_bounds(&bounds);
        simplex.compact();
        let parent = (self.retained_tableaux + 2 * simplex.tableau_len() <= self.max_retained_tableaux)
            .then(|| Arc::new(simplex));
        let child = |(low, high), last| {
            let mut bounds = bounds.clone();
            (bounds.lower[var], bounds.upper[var]) = (low, high);
            Node { bounds: Arc::new(bounds), last_branching: Some(last), bound, parent: parent.clone() }
        };
        let (down, up) = (child(sides[0], down), child(sides[1], up));
        self.retained_tableaux += 2 * parent.as_ref().map_or(0, |parent| parent.tableau_len());
        self.open.extend(if is_down_first { [up, down] } else { [down, up] });
    }

    fn round_up(&self, bound: i128) -> i128 {
        -(-bound).div_euclid(self.cost_granularity) * self.cost_granularity
    }

    /// Takes the nearest whole numbers if they are a plan, and a better one.
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

    /// The unknown to split, and the value after which; `None` if all are fixed.
    ///
    /// Structure first: what is deployed, which places are used, how many replicas, and only then leases. Of one
    /// role the one that has moved the bound most when it was split before; ties go to the lower number. If the
    /// adviser's values are all whole and yet no plan, any unknown that is still free, so that the search ends.
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
