//! Closing: parts of the plans with few columns left are solved as programs of their own, and the tree goes on beside the dives.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{
    branch_and_price::{BranchNode, MAX_LEAF_TRIES, SHARE_UNIT, TreeSide},
    dive::{DivePace, Leases},
    driver::ColumnGeneration,
    master::{MasterSolution, RestrictedMaster},
};
use crate::compose::{
    bnb::{
        branch_and_bound::Goal,
        fork_join::{Watch, run_lockstep},
    },
    error::ComposeError,
    formulation::place_classes::PartitionKey,
    interrupt::InterruptCheck,
    mip::model::Var,
    options::Signal,
    presolve::columns::Column,
};

/// Work of the tree beside the shortest dives: some hundredths of a second.
const MIN_TREE_WORK: u64 = 16 << 20;
/// Nodes for a part without fractions, twice as many with each try.
const LEAF_NODES: u64 = 100;
const MAX_DOUBLINGS: u32 = 8;

/// One of two searches that go on side by side.
enum SearchPart<'s, 'p> {
    Dive { master: &'s mut RestrictedMaster<'p>, kept: Leases, stream: u64 },
    Tree { side: &'s mut TreeSide<'p>, max_nodes: u64, max_work: u64 },
}

/// What a search ended with: a plan, or the nodes that it solved.
type PartResult = Result<(Option<Leases>, u64), ComposeError>;

impl SearchPart<'_, '_> {
    fn run(&mut self, cutoff: i128, watch: &mut Watch<'_>) -> PartResult {
        let mut should_continue = || watch(None, 0, 0) == Signal::Continue;
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        match self {
            SearchPart::Dive { master, kept, stream } => {
                let found = master.dive(kept, DivePace::CAREFUL, cutoff, *stream, &mut interrupt)?;
                Ok((found, 0))
            }
            SearchPart::Tree { side: TreeSide { master, tree }, max_nodes, max_work } => {
                let nodes = tree.search(master, cutoff, (*max_nodes, *max_work), &mut interrupt)?;
                Ok((None, nodes))
            }
        }
    }
}

impl ColumnGeneration<'_, '_> {
    /// Dives for what some leases of the incumbent leave, and goes on with the tree: on two threads if there are as many, with the
    /// same results.
    pub(super) fn dive_beside_tree<'p>(
        &mut self,
        master: &mut RestrictedMaster<'p>,
        side: &mut TreeSide<'p>,
        kept: &[(Column, i64)],
        (stream, share): (u64, u64),
    ) -> Result<(), ComposeError> {
        let kept = master.leases_of(kept);
        let cutoff = self.cutoff;
        let max_nodes = self.options.max_nodes.saturating_sub(self.nodes);
        let max_work = self.dive_work.max(MIN_TREE_WORK).saturating_mul(share) / SHARE_UNIT;
        let is_parallel = self.options.threads.get() > 1;
        let before = master.work();
        let mut parts =
            [SearchPart::Dive { master, kept, stream }, SearchPart::Tree { side, max_nodes, max_work }];
        let mut watch = |_: Option<i128>, _: i128, _: u64| match self.should_continue() {
            true => Signal::Continue,
            false => Signal::Limit,
        };
        let results: Vec<PartResult> = if is_parallel {
            run_lockstep(&mut parts, &mut watch, |part, watch| part.run(cutoff, watch))
        } else {
            parts.iter_mut().map(|part| part.run(cutoff, &mut watch)).collect()
        };
        self.dive_work = master.work().saturating_sub(before).max(self.dive_work / 2);
        for result in results {
            let (found, nodes) = result?;
            self.nodes += nodes;
            if let Some(found) = found {
                self.try_leases(master, &found)?;
            }
        }
        let closed = self.close_leaves(side);
        self.inexact_beside = side.master.inexact;
        closed
    }

    /// Takes the plans that the tree has found, and solves the parts that it does not split.
    fn close_leaves(&mut self, side: &mut TreeSide<'_>) -> Result<(), ComposeError> {
        for found in std::mem::take(&mut side.tree.found) {
            self.try_leases(&side.master, &found)?;
        }
        let mut leaves = std::mem::take(&mut side.tree.leaves).into_iter();
        let mut end = Ok(());
        while end.is_ok()
            && let Some(leaf) = leaves.next()
        {
            if leaf.bound < self.cutoff {
                end = self.close_leaf(side, leaf);
            }
        }
        // Stopped: the others stay.
        side.tree.leaves.extend(leaves);
        end?;
        self.bound = self.bound.max(side.tree.bound(self.cutoff));
        Ok(())
    }

    /// Solves a part of the plans as a program of all columns that a better plan in it can use.
    fn close_leaf(
        &mut self,
        TreeSide { master, tree }: &mut TreeSide<'_>,
        mut leaf: BranchNode,
    ) -> Result<(), ComposeError> {
        if leaf.tries >= MAX_LEAF_TRIES {
            tree.leaves.push(leaf);
            return Ok(());
        }
        let cutoff = self.cutoff;
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        let solution = master.solve_part(&leaf.part, &mut interrupt)?;
        let column_set = match &solution {
            Some(solution) => master.columns_within_gap(solution, cutoff, &mut interrupt)?,
            None => None,
        };
        leaf.tries += 1;
        let Some(column_set) = column_set else {
            tree.leaves.push(leaf);
            return Ok(());
        };
        let mut mip = master.mip(&column_set, &mut interrupt)?;
        for (key, (low, high)) in &leaf.part {
            let factor = |(id, column)| (mip.leases[id], i64::from(key.factor(self.problem, column)));
            let terms: Vec<(Var, i64)> = column_set.columns.iter().map(factor).collect();
            mip.add_row(Some(*low), Some(*high).filter(|high| *high < i64::MAX), terms);
        }
        let max_nodes = LEAF_NODES << leaf.tries.min(MAX_DOUBLINGS);
        let outcome = self.solve_mip(&mip, false, Goal::Best, max_nodes, Decimal::ZERO);
        let is_solved = outcome.stop.is_none();
        if !is_solved {
            leaf.bound = leaf.bound.max(outcome.bound);
        }
        if let Some((values, value)) = outcome.best {
            let violated = master.violated_by(&column_set, &mip, &values);
            if violated.is_empty() {
                self.take(mip, column_set, Some((values, value)));
            } else {
                master.add_place_rows(violated, &mut InterruptCheck::new(&mut || self.should_continue()))?;
                tree.reopen(leaf);
                return Ok(());
            }
        }
        if !is_solved {
            tree.leaves.push(leaf);
        }
        Ok(())
    }

    /// Solves over all columns that a better plan can use, in the master's scope. The result is optimal, or it
    /// violates conditions of places that are then returned.
    pub(super) fn solve_within_gap(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        solution: &MasterSolution,
        max_nodes: u64,
    ) -> Result<BTreeSet<(PartitionKey, usize)>, ComposeError> {
        let cutoff = self.cutoff;
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        master.group(&mut interrupt)?;
        let Some(column_set) = master.columns_within_gap(solution, cutoff, &mut interrupt)? else {
            return Ok(BTreeSet::new());
        };
        let mip = master.mip(&column_set, &mut interrupt)?;
        let outcome = self.solve_mip(&mip, false, Goal::Best, max_nodes, Decimal::ZERO);
        let Some((values, value)) = outcome.best else {
            self.bound = self.bound.max(if outcome.stop.is_none() { self.cutoff } else { outcome.bound });
            return Ok(BTreeSet::new());
        };
        self.bound = self.bound.max(if outcome.stop.is_none() { value } else { outcome.bound.min(value) });
        let violated = master.violated_by(&column_set, &mip, &values);
        if violated.is_empty() {
            self.take(mip, column_set, Some((values, value)));
        }
        Ok(violated)
    }
}
