//! The driver of column generation, for problems whose columns are too many to enumerate.
//!
//! 1. The restricted master knows few columns and tells no places apart. Its dual values lead to columns that improve
//!    it (P. C. Gilmore, R. E. Gomory, Operations Research 9(6), 1961). Separation brings places into scope whose
//!    conditions its solution violates.
//! 2. The safe bound of each solved master, corrected by the pricing bound, holds for the whole market: places outside
//!    the scope only leave conditions out.
//! 3. Plans come from small programs over the places that the master uses, with all conditions; later ones replace
//!    some of the places, or some leases of the incumbent (neighbourhoods).
//!
//! Value and bound are both reported; a gap may remain.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{
    branch_and_price::{BranchTree, SHARE_UNIT, TreeSide},
    candidate_index::CandidateIndex,
    dive::{DivePace, Leases},
    master::{MasterSolution, RestrictedMaster, distinct},
    neighbourhood::Neighbourhood,
};
use crate::{
    compose::{
        bnb::branch_and_bound::{Goal, SearchOutcome, branch_and_bound, is_within_gap},
        error::ComposeError,
        formulation::{costs::monthly, problem::Problem},
        heuristics::warm_start,
        id_vec::Id,
        interrupt::{InterruptCheck, watch_for_stop},
        mip::{model::Mip, place_scope::PlaceScope},
        options::{ComposeOptions, Progress, Signal},
        presolve::{
            columns::{Column, ColumnSet},
            pattern_rules::PatternRules,
            row_presolve::PresolvedMip,
        },
        solution::Solution,
    },
    model::{Statistics, StopReason},
};

/// Rounds without a better plan after which the search ends.
const MAX_IDLE_ROUNDS: u32 = 24;

/// Pricing rounds for one master; fewer before the first plans.
const MAX_PRICING_ROUNDS: usize = 100;
const PRICING_ROUNDS: [usize; 2] = [1, 12];
/// Nodes for a first plan.
const FIRST_PLAN_NODES: u64 = 4_000;

/// Neighbourhoods without a better plan after which all columns within the gap are tried.
const MAX_FAILURES: u32 = 10;
/// The most work of the tree beside a dive, and the part of the bound below which a gap is small.
const MAX_TREE_SHARE: u64 = 8 * SHARE_UNIT;
const SMALL_GAP: i128 = 140;

/// Nodes for improving a warm start within its own columns.
const WARM_START_NODES: u64 = 200;

/// A plan: the program that it solves, the program's columns, and the values.
type Incumbent = (Mip, ColumnSet, Vec<i64>);

/// The state of the search.
pub(super) struct ColumnGeneration<'p, 'w> {
    pub(super) problem: &'p Problem<'p>,
    pub(super) options: &'p ComposeOptions,
    watch: &'w mut dyn FnMut(&Progress) -> Signal,
    goal: Goal,
    /// Only plans below this value count.
    pub(super) cutoff: i128,
    best: Option<(Incumbent, i128)>,
    pub(super) bound: i128,
    pub(super) nodes: u64,
    pivots: u64,
    stop: Option<StopReason>,
    /// The work of the last dive.
    pub(super) dive_work: u64,
    /// Inexact pricing problems of the tree's own master.
    pub(super) inexact_beside: u64,
}

impl ColumnGeneration<'_, '_> {
    /// Reports progress; returns whether to go on.
    pub(super) fn should_continue(&mut self) -> bool {
        let incumbent = self.best.as_ref().map(|(_, value)| *value);
        let signal = (self.watch)(&Progress {
            incumbent: incumbent.map(|value| monthly(self.problem, value)),
            bound: Some(monthly(self.problem, self.bound.min(incumbent.unwrap_or(i128::MAX)))),
            nodes: self.nodes,
        });
        self.stop = self.stop.or(signal.stop());
        if let Some(value) = incumbent {
            if self.goal == Goal::Feasible {
                self.stop = self.stop.or(Some(StopReason::GapReached));
            } else if self.bound >= value {
                self.stop = self.stop.or(Some(StopReason::Optimal));
            } else if is_within_gap(value, self.bound, self.options.gap_percent) {
                self.stop = self.stop.or(Some(StopReason::GapReached));
            }
        }
        self.stop.is_none() && self.nodes < self.options.max_nodes
    }

    /// Solves a small program; `gap_percent` as in the options. `is_strict`: the program has all conditions, so that
    /// its incumbents are plans.
    pub(super) fn solve_mip(
        &mut self,
        mip: &Mip,
        is_strict: bool,
        goal: Goal,
        max_nodes: u64,
        gap_percent: Decimal,
    ) -> SearchOutcome {
        let options = ComposeOptions { max_nodes, gap_percent, ..self.options.clone() };
        let (problem, bound, nodes) = (self.problem, self.bound, self.nodes);
        let best = self.best.as_ref().map(|(_, value)| *value);
        let watch = &mut self.watch;
        let mut stop = None;
        let mut inner = |incumbent: Option<i128>, _: i128, more: u64| {
            let value = incumbent.filter(|_| is_strict).or(best);
            let signal = watch(&Progress {
                incumbent: value.map(|value| monthly(problem, value)),
                bound: Some(monthly(problem, bound.min(value.unwrap_or(i128::MAX)))),
                nodes: nodes + more,
            });
            stop = stop.or(signal.stop());
            signal
        };
        let cutoff = self.cutoff;
        let Some(presolved) = PresolvedMip::new(mip) else {
            return SearchOutcome { best: None, bound: cutoff, stop: None, nodes: 1, pivots: 0 };
        };
        if presolved.mip.check_size().is_err() {
            return SearchOutcome {
                best: None,
                bound: i128::MIN,
                stop: Some(StopReason::Limit),
                nodes: 1,
                pivots: 0,
            };
        }
        let offset = presolved.offset;
        let mut shifted = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            inner(incumbent.map(|value| value + offset), bound + offset, nodes)
        };
        let below = cutoff.saturating_sub(offset);
        let mut outcome = branch_and_bound(&presolved.mip, &options, goal, Some(below), &mut shifted);
        outcome.best = outcome.best.map(|(values, value)| (presolved.restore(&values), value + offset));
        outcome.bound = outcome.bound.saturating_add(offset);
        self.stop = self.stop.or(stop);
        self.nodes += outcome.nodes;
        self.pivots += outcome.pivots;
        outcome
    }

    /// Searches until the best plan is proven, or until it is stopped.
    fn run<'p>(&mut self, master: &mut RestrictedMaster<'p>) -> Result<(), ComposeError> {
        if let Some(plan) = &self.options.start {
            self.begin_with(master, warm_start::columns_of_plan(self.problem, master.rules, plan))?;
        }
        let mut idle = 0;
        let mut round = 0u64;
        let mut side: Option<TreeSide<'p>> = None;
        let mut all_failures = 0;
        while self.should_continue() {
            // A solved master, or one with as many columns as the rounds gave.
            let rounds = PRICING_ROUNDS.get(round as usize).copied().unwrap_or(MAX_PRICING_ROUNDS);
            let solution = self.solve_master(master, rounds)?;
            self.nodes += 1;
            if self.bound >= self.cutoff || !self.should_continue() {
                break;
            }
            let mut violated = master.violated_by_master(&solution);
            let is_settled = violated.is_empty() && round >= PRICING_ROUNDS.len() as u64;
            let before = self.cutoff;
            let pace = if round == 0 { DivePace::QUICK } else { DivePace::CAREFUL };
            self.dive(master, Vec::new(), pace, round)?;
            if self.best.is_none() && round > 0 {
                let places = master.neighbourhood(&solution, round);
                let (column_set, scope) = master.restrict(
                    &solution,
                    &places,
                    &mut InterruptCheck::new(&mut || self.should_continue()),
                )?;
                self.try_places(column_set, &scope, 40 + 10 * round.min(40))?;
            }
            let mut failures = 0u32;
            let mut step = 0u64;
            while failures < (if is_settled { MAX_FAILURES } else { round.min(2) as u32 })
                && self.should_continue()
            {
                // First plans, then the bound.
                if is_settled && side.is_none() && (failures > 1 || failures > 0 && self.is_near()) {
                    let tree = BranchTree::new(master.bound);
                    let mut master = master.clone();
                    master.inexact = 0;
                    side = Some(TreeSide { master, tree });
                }
                let before = self.cutoff;
                let stream = round * 1000 + step;
                match &mut side {
                    _ if step % 3 == 2 => self.improve(master, &solution, stream)?,
                    Some(side) if side.tree.is_open() => {
                        let kept = self.leases_to_keep(master, &solution, (stream, failures));
                        let share = match self.is_near() {
                            true => (SHARE_UNIT + all_failures).min(MAX_TREE_SHARE),
                            false => SHARE_UNIT / 3,
                        };
                        self.dive_beside_tree(master, side, &kept, (stream, share))?;
                    }
                    _ => {
                        let kept = self.leases_to_keep(master, &solution, (stream, failures));
                        self.dive(master, kept, DivePace::CAREFUL, stream)?;
                    }
                }
                let has_failed = self.cutoff == before;
                failures = if has_failed { failures + 1 } else { 0 };
                all_failures += u64::from(has_failed && side.is_some());
                step += 1;
            }
            if is_settled && self.should_continue() {
                violated = self.solve_within_gap(master, &solution, 100 << idle.min(20))?;
            }
            idle = if self.cutoff < before || !violated.is_empty() { 0 } else { idle + 1 };
            if let Some(side) = &mut side {
                let mut should_continue = || self.should_continue();
                side.master
                    .add_place_rows(violated.clone(), &mut InterruptCheck::new(&mut should_continue))?;
            }
            master.add_place_rows(violated, &mut InterruptCheck::new(&mut || self.should_continue()))?;
            round += 1;
            if idle > MAX_IDLE_ROUNDS && side.as_ref().is_none_or(|side| !side.tree.is_open()) {
                self.stop = self.stop.or(Some(StopReason::Limit));
            }
        }
        Ok(())
    }

    /// Makes a plan the incumbent, if there is one; it is better.
    pub(super) fn take(&mut self, mip: Mip, column_set: ColumnSet, found: Option<(Vec<i64>, i128)>) {
        if let Some((values, value)) = found {
            self.cutoff = value;
            self.best = Some(((mip, column_set, values), value));
        }
    }

    /// The leases of the incumbent.
    fn incumbent_leases(&self) -> Vec<(Column, i64)> {
        let Some(((mip, column_set, values), _)) = &self.best else { return Vec::new() };
        let all = column_set.columns.iter().map(|(id, column)| (column, values[mip.leases[id].index()]));
        all.filter(|(_, count)| *count > 0).map(|(column, count)| (column.clone(), count)).collect()
    }

    /// Generates columns until none improves the master, or for some rounds; a bound is told as it comes.
    fn solve_master(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        max_rounds: usize,
    ) -> Result<MasterSolution, ComposeError> {
        let mut round = 0;
        loop {
            let mut should_continue = || self.should_continue();
            let (solution, added) = master.solve_round(&mut InterruptCheck::new(&mut should_continue))?;
            self.bound = self.bound.max(master.bound);
            self.pivots += solution.pivots;
            let is_enough = round >= max_rounds && (max_rounds > 1 || master.is_possible());
            if added == 0 || is_enough || self.bound >= self.cutoff || !self.should_continue() {
                return Ok(solution);
            }
            round += 1;
        }
    }

    /// What stays of the incumbent where many leases are freed.
    fn leases_to_keep(
        &self,
        master: &RestrictedMaster<'_>,
        solution: &MasterSolution,
        turn: (u64, u32),
    ) -> Vec<(Column, i64)> {
        let leases = self.incumbent_leases();
        let freed = master.leases_to_free(solution, &leases, turn);
        let kept = leases.into_iter().zip(freed).map(|((column, count), freed)| (column, count - freed));
        kept.filter(|(_, count)| *count > 0).collect()
    }

    /// Whether the gap is small.
    fn is_near(&self) -> bool {
        self.cutoff.saturating_sub(self.bound) < self.bound / SMALL_GAP
    }

    /// Dives for what some leases leave. A plan that is found becomes the incumbent if it is better.
    fn dive(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        kept: Vec<(Column, i64)>,
        pace: DivePace,
        stream: u64,
    ) -> Result<(), ComposeError> {
        let kept = master.leases_of(&kept);
        let cutoff = self.cutoff;
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        let found = master.dive(&kept, pace, cutoff, stream, &mut interrupt)?;
        let Some(found) = found else { return Ok(()) };
        self.try_leases(master, &found)
    }

    /// Makes some leases the incumbent, if they are a better plan.
    pub(super) fn try_leases(
        &mut self,
        master: &RestrictedMaster<'_>,
        found: &Leases,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        let columns: Vec<(Column, i64)> =
            found.iter().map(|(id, count)| (master.column_set.columns[*id].clone(), *count)).collect();
        let places = columns.iter().flat_map(|(column, _)| master.places_of(column.class)).collect();
        let column_set = distinct(columns.iter().map(|(column, _)| column.clone()));
        let scope = PlaceScope::Some(places);
        let mut mip = Mip::of_any_size(problem, &column_set, &scope, None, &mut interrupt)?;
        for (at, (_, count)) in columns.iter().enumerate() {
            let var = mip.leases[Id::from_index(at)];
            if *count > mip.upper[var] {
                return Ok(()); // more than there are
            }
            (mip.lower[var], mip.upper[var]) = (*count, *count);
        }
        let outcome = self.solve_mip(&mip, true, Goal::Best, 60, Decimal::ZERO);
        self.take(mip, column_set, outcome.best);
        Ok(())
    }

    /// Frees some leases of the incumbent, and solves for their replicas with all else fixed.
    fn improve(
        &mut self,
        master: &RestrictedMaster<'_>,
        solution: &MasterSolution,
        round: u64,
    ) -> Result<(), ComposeError> {
        let leases = self.incumbent_leases();
        if leases.is_empty() {
            return Ok(());
        }
        let problem = self.problem;
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        let Neighbourhood { freed, components, classes, limit } =
            master.around_leases(solution, &leases, round);
        let kept: Vec<i64> = leases
            .iter()
            .enumerate()
            .map(|(at, (_, count))| count - i64::from(freed.contains(&at)))
            .collect();
        let around = master.around(solution, &components, &classes, limit, &mut interrupt)?;
        let column_set = distinct(leases.into_iter().map(|(column, _)| column).chain(around));
        let places =
            column_set.columns.iter().flat_map(|(_, column)| master.places_of(column.class)).collect();
        let mut mip = Mip::new(problem, &column_set, &PlaceScope::Some(places), None, &mut interrupt)?;
        for (at, kept) in kept.into_iter().enumerate() {
            let var = mip.leases[Id::from_index(at)];
            mip.lower[var] = kept;
        }
        let outcome = self.solve_mip(&mip, true, Goal::Best, 60, Decimal::ZERO);
        self.take(mip, column_set, outcome.best);
        Ok(())
    }

    /// Starts with the columns of an earlier plan, and with the other columns that its places may need.
    fn begin_with(
        &mut self,
        master: &mut RestrictedMaster<'_>,
        columns: Vec<Column>,
    ) -> Result<(), ComposeError> {
        let mut classes = master.index.special_classes.clone();
        classes.extend(columns.iter().map(|column| column.class));
        let places: BTreeSet<_> = classes.iter().flat_map(|class| master.places_of(*class)).collect();
        let mut should_continue = || self.should_continue();
        let mut interrupt = InterruptCheck::new(&mut should_continue);
        master.add_place_rows(places.clone(), &mut interrupt)?;
        let column_set = master.adopt(&classes, columns, &mut interrupt)?;
        let scope = PlaceScope::Some(places);
        self.try_places(column_set.clone(), &scope, FIRST_PLAN_NODES)?;
        if self.best.is_some() && self.should_continue() {
            self.try_places(column_set, &scope, WARM_START_NODES)?;
        }
        Ok(())
    }

    /// Looks for a better plan in some places, all of which are in scope.
    fn try_places(
        &mut self,
        column_set: ColumnSet,
        scope: &PlaceScope,
        max_nodes: u64,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let mip = Mip::new(
            problem,
            &column_set,
            scope,
            None,
            &mut InterruptCheck::new(&mut || self.should_continue()),
        )?;
        let outcome = if self.best.is_none() {
            // Any plan is a beginning.
            self.solve_mip(&mip, true, Goal::Feasible, FIRST_PLAN_NODES, Decimal::ZERO)
        } else {
            self.solve_mip(&mip, true, Goal::Best, max_nodes, Decimal::new(2, 1))
        };
        self.take(mip, column_set, outcome.best);
        Ok(())
    }
}

/// Solves until a limit; `None` if it is proven that there is no plan.
pub(crate) fn solve(
    problem: &Problem<'_>,
    options: &ComposeOptions,
    goal: Goal,
    cutoff: Option<i128>,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Solution>, ComposeError> {
    let rules = PatternRules::new(problem);
    let mut should_continue = || watch_for_stop(watch).is_ok();
    let mut interrupt = InterruptCheck::new(&mut should_continue);
    let index = CandidateIndex::new(problem, &mut interrupt)?;
    let mut master = RestrictedMaster::new(problem, &rules, &index, &mut interrupt)?;
    watch_for_stop(watch)?; // the last question before the search
    let mut search = ColumnGeneration {
        problem,
        options,
        goal,
        watch,
        cutoff: cutoff.unwrap_or(i128::MAX),
        best: None,
        bound: 0,
        nodes: 0,
        pivots: 0,
        stop: None,
        dive_work: 0,
        inexact_beside: 0,
    };
    match search.run(&mut master) {
        // A stopped search reports the best plan so far.
        Ok(()) | Err(ComposeError::Stopped { .. }) => search.bound = search.bound.max(master.bound),
        Err(error) => return Err(error),
    }
    let statistics = Statistics {
        offers: problem.catalogue.len() as u64,
        eligible: problem.candidates.len() as u64,
        patterns: master.column_set.columns.len() as u64,
        variables: search.best.as_ref().map_or(0, |((mip, ..), _)| mip.cost.len() as u64),
        rows: search.best.as_ref().map_or(0, |((mip, ..), _)| mip.row_lower.len() as u64),
        nodes: search.nodes,
        pivots: search.pivots,
        inexact_pricing: master.inexact + search.inexact_beside,
    };
    let Some(((mip, column_set, values), value)) = search.best else {
        return match search.stop {
            None if search.bound >= search.cutoff => Ok(None),
            _ => Err(ComposeError::Stopped {
                bound: (search.bound > 0).then(|| monthly(problem, search.bound)),
            }),
        };
    };
    let stop =
        if search.bound >= value { StopReason::Optimal } else { search.stop.unwrap_or(StopReason::Limit) };
    Ok(Some(Solution::new(&mip, &column_set, &values, search.bound.min(value), stop, statistics)))
}
