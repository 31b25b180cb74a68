//! Branch and bound, depth first, on the whole-numbered unknowns of a program.

use std::sync::Arc;

use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::pseudo_costs::{Gains, Split};
use crate::{
    compose::{
        id_vec::{Id, IdVec},
        lp::{
            safe_bound::{Ranked, proves_infeasible, reduced_costs},
            simplex::{Outcome, Simplex},
        },
        mip::{
            model::{Program, Var},
            var_bounds::Bounds,
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
    Any,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct TreeOutcome {
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// What no plan is below, as far as was proven.
    pub(crate) bound: i128,
    /// Why it stopped early; `None` if the tree is exhausted.
    pub(crate) stop: Option<StopReason>,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
}

/// A part of the space that is still to be searched.
struct Node {
    bounds: Arc<Bounds>,
    /// What was split off last, and on which side of where the parent's relaxation had it.
    last: Option<Split>,
    /// What no plan in it is below.
    bound: i128,
    /// The parent's solved tableau, unless memory is short.
    parent: Option<Arc<Simplex>>,
}

/// Tableau entries that waiting nodes of all threads may hold on to together: 256 MiB.
const MAX_KEPT: usize = 32 << 20;

/// Work between two looks at the watcher: well below a millisecond.
const WORK_UNWATCHED: u64 = 200_000;

/// A search that can be taken up again.
pub(crate) struct Tree<'a> {
    program: &'a Program,
    root: Arc<Simplex>,
    open: Vec<Node>,
    kept: usize,
    /// Of [`MAX_KEPT`] what this tree may.
    max_kept: usize,
    pub(crate) best: Option<(Vec<i64>, i128)>,
    /// Plans must be below it.
    pub(crate) ceiling: i128,
    /// What was proven elsewhere: no plan below the ceiling is below it.
    proven: i128,
    /// What no plan is below in the parts that other trees search.
    elsewhere: i128,
    /// All costs are multiples of it, so all bounds may be rounded up to one.
    step: i128,
    gains: Gains,
    pub(crate) nodes: u64,
    pub(crate) pivots: u64,
    /// Entries of tableaux that were looked at.
    work: u64,
    /// The work after which the watcher is asked next.
    next_look: u64,
}

/// Searches. `ceiling`: only plans below it count.
pub(crate) fn search(
    program: &Program,
    options: &ComposeOptions,
    goal: Goal,
    ceiling: Option<i128>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) -> TreeOutcome {
    let mut tree = Tree::new(program, ceiling);
    let stop = tree.go_on(options, options.max_nodes, goal, watch);
    let bound = tree.bound();
    TreeOutcome { best: tree.best, bound, stop, nodes: tree.nodes, pivots: tree.pivots }
}

impl<'a> Tree<'a> {
    pub(crate) fn new(program: &'a Program, ceiling: Option<i128>) -> Self {
        Self {
            program,
            root: Arc::new(Simplex::new(program)),
            open: vec![Node {
                bounds: Arc::new(Bounds::of(program)),
                last: None,
                bound: trivial_bound(program),
                parent: None,
            }],
            gains: Gains::new(program.cost.len()),
            kept: 0,
            max_kept: MAX_KEPT,
            best: None,
            ceiling: ceiling.unwrap_or(i128::MAX),
            proven: i128::MIN,
            elsewhere: i128::MAX,
            step: program.cost.iter().fold(0, |step, (_, cost)| gcd(step, (*cost).into())).max(1),
            nodes: 0,
            pivots: 0,
            work: 0,
            next_look: 0,
        }
    }

    /// The same as one of so many trees that go on side by side.
    pub(crate) fn one_of(self, threads: usize) -> Self {
        Self { max_kept: MAX_KEPT / threads.max(1), ..self }
    }

    /// A tree over the same space with nothing to search yet.
    pub(crate) fn sibling(&self) -> Self {
        Self {
            root: self.root.clone(),
            open: Vec::new(),
            gains: self.gains.clone(),
            kept: 0,
            best: None,
            nodes: 0,
            pivots: 0,
            work: 0,
            next_look: 0,
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
    pub(crate) fn share_with(&mut self, other: &mut Self) {
        let mut is_mine = false;
        let theirs = self.open.extract_if(.., |_| {
            is_mine = !is_mine;
            !is_mine
        });
        let theirs: Vec<Node> = theirs.collect();
        for node in theirs {
            self.forget(&node);
            other.kept += node.parent.as_ref().map_or(0, |parent| parent.size());
            other.open.push(node);
        }
        other.root = self.root.clone();
    }

    /// Says what no plan is below in the parts that other trees search.
    pub(crate) fn set_elsewhere(&mut self, bound: i128) {
        self.elsewhere = bound;
    }

    /// What no plan is below, as far as was proven.
    pub(crate) fn bound(&self) -> i128 {
        let open = self.open.iter().map(|open| open.bound).fold(self.ceiling, i128::min);
        open.max(self.proven.min(self.ceiling))
    }

    /// Takes over what another tree over the same plans has done since it was asked last.
    pub(crate) fn account(&mut self, bound: i128, (nodes, pivots, work): (u64, u64, u64)) {
        self.proven = self.proven.max(bound);
        self.nodes += nodes;
        self.pivots += pivots;
        self.work += work;
    }

    /// Nodes, pivots, work.
    pub(crate) fn effort(&self) -> (u64, u64, u64) {
        (self.nodes, self.pivots, self.work)
    }

    /// Plans must be below a value that another tree has found.
    pub(crate) fn lower(&mut self, ceiling: i128) {
        self.ceiling = self.ceiling.min(ceiling);
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
    pub(crate) fn root_prices(&self) -> Option<Ranked> {
        reduced_costs(self.program, &Bounds::of(self.program), &self.root.multipliers(self.program))
    }

    /// Takes over a plan that was found elsewhere, if it is better.
    pub(crate) fn offer(&mut self, values: Vec<i64>, value: i128) {
        if value < self.ceiling {
            self.ceiling = value;
            self.best = Some((values, value));
        }
    }

    /// Searches until there are so many nodes in all; says why it stopped, nothing if the tree is exhausted.
    pub(crate) fn go_on(
        &mut self,
        options: &ComposeOptions,
        max_nodes: u64,
        goal: Goal,
        watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
    ) -> Option<StopReason> {
        self.next_look = self.work;
        let mut bound = self.bound();
        while let Some(node) = self.open.pop() {
            if node.bound >= self.ceiling {
                self.forget(&node);
                continue;
            }
            let mut stop = (self.nodes >= max_nodes).then_some(StopReason::Limit);
            let incumbent = self.best.as_ref().map(|(_, cost)| *cost);
            if stop.is_some() || self.work >= self.next_look {
                self.next_look = self.work + WORK_UNWATCHED;
                let here = self.open.iter().map(|open| open.bound).fold(node.bound, i128::min);
                bound = here.min(self.elsewhere);
                stop = stop.or_else(|| match watch(incumbent, bound, self.nodes) {
                    Signal::Continue => None,
                    Signal::Limit => Some(StopReason::Limit),
                    Signal::Cancel => Some(StopReason::Cancelled),
                });
                if incumbent.is_some_and(|cost| is_within_gap(cost, bound, options.gap_percent)) {
                    stop = stop.or(Some(StopReason::GapReached));
                }
            }
            if goal == Goal::Any && incumbent.is_some() {
                stop = stop.or(Some(StopReason::GapReached));
            }
            if stop.is_some() {
                self.open.push(node);
                return stop;
            }
            self.forget(&node);
            self.nodes += 1;
            self.expand(node, &mut || watch(incumbent, bound, 0) != Signal::Continue);
        }
        None
    }
}

/// What every plan pays: costs are never negative.
pub(crate) fn trivial_bound(program: &Program) -> i128 {
    program.cost.iter().map(|(var, cost)| i128::from(*cost) * i128::from(program.low[var])).sum::<i128>()
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
    fn forget(&mut self, node: &Node) {
        if let Some(parent) = &node.parent {
            self.kept -= parent.size();
        }
    }

    /// Solves a node's relaxation; drops the node, records a plan, or splits it in two.
    fn expand(&mut self, node: Node, should_stop: &mut dyn FnMut() -> bool) {
        let mut bounds = Arc::unwrap_or_clone(node.bounds);
        let mut simplex = match node.parent {
            Some(parent) => Arc::unwrap_or_clone(parent),
            None => Simplex::clone(&self.root),
        };
        // What the tableau has of these limits already costs nothing to say again.
        simplex.narrow(&bounds);
        let (pivots, work) = (simplex.pivots, simplex.work);
        let outcome = simplex.run(self.ceiling, should_stop);
        self.pivots += simplex.pivots - pivots;
        // Besides the pivots: one more copy of the tableau, and what all unknowns are looked at for.
        self.work += simplex.work - work + (simplex.size() + 40 * self.program.cost.len()) as u64;
        if node.last.is_none() {
            self.root = Arc::new(simplex.clone());
        }
        if outcome == Outcome::Infeasible
            && proves_infeasible(self.program, &bounds, &simplex.infeasibility(self.program))
        {
            return;
        }
        let multipliers = simplex.multipliers(self.program);
        let priced = reduced_costs(self.program, &bounds, &multipliers);
        let bound = priced.as_ref().map_or(node.bound, |(_, bound)| self.round_up(*bound).max(node.bound));
        self.gains.learn(node.last, bound.saturating_sub(node.bound));
        if bound >= self.ceiling {
            return;
        }
        self.try_rounding(&simplex, &bounds);
        if bound >= self.ceiling {
            return;
        }
        if let Some((reduced, bound)) = &priced
            && self.ceiling < i128::MAX
        {
            bounds.fix(reduced, self.ceiling - bound + 1);
        }
        let Some((var, split)) = self.branch(&simplex, &bounds) else {
            return; // all unknowns are fixed; what they are was checked by try_rounding
        };
        let (low, high) = (bounds.low[var], bounds.high[var]);
        let sides = [(low, split), (split + 1, high)];
        let [down, up] = [0, 1].map(|side| Split::new(&simplex, var, sides[side], side == 1));
        let is_down_first = simplex.nearest(var) <= split;
        simplex.narrow(&bounds);
        simplex.pack();
        let parent = (self.kept + 2 * simplex.size() <= self.max_kept).then(|| Arc::new(simplex));
        let child = |(low, high), last| {
            let mut bounds = bounds.clone();
            (bounds.low[var], bounds.high[var]) = (low, high);
            Node { bounds: Arc::new(bounds), last: Some(last), bound, parent: parent.clone() }
        };
        let (down, up) = (child(sides[0], down), child(sides[1], up));
        self.kept += 2 * parent.as_ref().map_or(0, |parent| parent.size());
        self.open.extend(if is_down_first { [up, down] } else { [down, up] });
    }

    fn round_up(&self, bound: i128) -> i128 {
        -(-bound).div_euclid(self.step) * self.step
    }

    /// Takes the nearest whole numbers if they are a plan, and a better one.
    fn try_rounding(&mut self, simplex: &Simplex, bounds: &Bounds) {
        let values: IdVec<Var, i64> = self
            .program
            .cost
            .ids()
            .map(|var| simplex.nearest(var).clamp(bounds.low[var], bounds.high[var]))
            .collect();
        if let Some(cost) = self.program.check(&values).filter(|cost| *cost < self.ceiling) {
            self.ceiling = cost;
            self.best = Some((values.iter().map(|(_, value)| *value).collect(), cost));
        }
    }

    /// The unknown to split, and the value after which; `None` if all are fixed.
    ///
    /// Structure first: what is deployed, which places are used, how many replicas, and only then leases. Of one
    /// role the one that has moved the bound most when it was split before; ties go to the lower number. If the
    /// adviser's values are all whole and yet no plan, any unknown that is still free, so that the search ends.
    fn branch(&self, simplex: &Simplex, bounds: &Bounds) -> Option<(Var, i64)> {
        let free = || self.program.cost.ids().filter(|&var| bounds.low[var] < bounds.high[var]);
        let fractional = free()
            .filter(|&var| simplex.fraction(var) > 0)
            .min_by_key(|&var| {
                (self.program.role[var], std::cmp::Reverse(self.gains.promise(simplex, var)), var.index())
            })
            .map(|var| (var, simplex.below(var).clamp(bounds.low[var], bounds.high[var] - 1)));
        fractional.or_else(|| {
            free().min_by_key(|&var| (self.program.role[var], var.index())).map(|var| {
                let near = simplex.nearest(var).clamp(bounds.low[var], bounds.high[var] - 1);
                (var, near)
            })
        })
    }
}
