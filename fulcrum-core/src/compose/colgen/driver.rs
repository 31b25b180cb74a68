//! Markets and applications too large to write all columns down: they are made on demand.
//!
//! 1. A relaxation tells no places apart at first, and knows few columns. Its prices for replicas find the columns
//!    that would improve it (column generation: P. C. Gilmore, R. E. Gomory, Operations Research 9(6), 1961); places
//!    where its solution breaks a condition come into scope, with the rows that belong to them.
//! 2. Whenever it is solved, its exact bound holds for the whole market: columns that are missing cost no less than
//!    they are worth, and places that are missing leave conditions out.
//! 3. Plans come from small programs over the places that the relaxation uses, in which all conditions are present;
//!    later ones leave some of those places out and take others in (a neighbourhood search).
//!
//! The gap between both is told as it is.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{
    candidate_index::Pool,
    master::{Relaxation, Solved, distinct},
    neighbourhood::Neighbourhood,
};
use crate::{
    compose::{
        bnb::branch_and_bound::{Goal, TreeOutcome, is_within_gap, search},
        error::ComposeError,
        formulation::{costs::a_month, place_classes::Cut, problem::Problem},
        heuristics::warm_start,
        id_vec::Id,
        interrupt::{Looks, watch_for_stop},
        mip::{model::Program, place_scope::Scope},
        options::{ComposeOptions, Progress, Signal},
        presolve::{
            columns::{Column, Reduced},
            pattern_rules::Rules,
            row_presolve::Presolved,
        },
        solution::Found,
    },
    model::{Statistics, StopReason},
};

/// Times that plans are sought in other places without finding a better one.
const MAX_IDLE: u32 = 24;

/// Rounds after which a relaxation counts as solved as far as it will be; the first time, where a plan is missing yet.
const MAX_ROUNDS: usize = 100;
const FIRST_ROUNDS: usize = 12;
/// Nodes that the search for a first plan may take.
const FIRST_NODES: u64 = 4_000;

/// Nodes that making an earlier plan better with its own columns may take.
const START_NODES: u64 = 200;

/// A program with the columns it was made from.
type Small = (Program, Reduced, Vec<i64>);

/// What is known so far, and when to stop.
struct Search<'p, 'w> {
    problem: &'p Problem<'p>,
    options: &'p ComposeOptions,
    watch: &'w mut dyn FnMut(&Progress) -> Signal,
    /// Plans must be below it.
    ceiling: i128,
    best: Option<(Small, i128)>,
    bound: i128,
    nodes: u64,
    pivots: u64,
    stop: Option<StopReason>,
}

impl Search<'_, '_> {
    /// Tells the caller; whether to go on.
    fn goes_on(&mut self) -> bool {
        let incumbent = self.best.as_ref().map(|(_, value)| *value);
        let signal = (self.watch)(&Progress {
            incumbent: incumbent.map(|value| a_month(self.problem, value)),
            bound: Some(a_month(self.problem, self.bound.min(incumbent.unwrap_or(i128::MAX)))),
            nodes: self.nodes,
        });
        self.stop = self.stop.or(match signal {
            Signal::Continue => None,
            Signal::Limit => Some(StopReason::Limit),
            Signal::Cancel => Some(StopReason::Cancelled),
        });
        if let Some(value) = incumbent {
            if self.bound >= value {
                self.stop = self.stop.or(Some(StopReason::Optimal));
            } else if is_within_gap(value, self.bound, self.options.gap_percent) {
                self.stop = self.stop.or(Some(StopReason::GapReached));
            }
        }
        self.stop.is_none() && self.nodes < self.options.max_nodes
    }

    /// Searches a small program; `gap_percent` as in the options. `is_strict`: it leaves no condition out, so that what
    /// it finds are plans that the caller may be told of.
    fn run(
        &mut self,
        program: &Program,
        is_strict: bool,
        goal: Goal,
        max_nodes: u64,
        gap_percent: Decimal,
    ) -> TreeOutcome {
        let options = ComposeOptions { max_nodes, gap_percent, ..self.options.clone() };
        let (problem, bound, nodes) = (self.problem, self.bound, self.nodes);
        let best = self.best.as_ref().map(|(_, value)| *value);
        let watch = &mut self.watch;
        let mut stop = None;
        let mut inner = |incumbent: Option<i128>, _: i128, more: u64| {
            let value = incumbent.filter(|_| is_strict).or(best);
            let signal = watch(&Progress {
                incumbent: value.map(|value| a_month(problem, value)),
                bound: Some(a_month(problem, bound.min(value.unwrap_or(i128::MAX)))),
                nodes: nodes + more,
            });
            stop = stop.or(match signal {
                Signal::Continue => None,
                Signal::Limit => Some(StopReason::Limit),
                Signal::Cancel => Some(StopReason::Cancelled),
            });
            signal
        };
        let ceiling = self.ceiling;
        let Some(presolved) = Presolved::new(program) else {
            return TreeOutcome { best: None, bound: ceiling, stop: None, nodes: 1, pivots: 0 };
        };
        let offset = presolved.offset;
        let mut shifted = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            inner(incumbent.map(|value| value + offset), bound + offset, nodes)
        };
        let below = ceiling.saturating_sub(offset);
        let mut outcome = search(&presolved.program, &options, goal, Some(below), &mut shifted);
        outcome.best = outcome.best.map(|(values, value)| (presolved.restore(&values), value + offset));
        outcome.bound = outcome.bound.saturating_add(offset);
        self.stop = self.stop.or(stop);
        self.nodes += outcome.nodes;
        self.pivots += outcome.pivots;
        outcome
    }

    /// Searches until the best plan is proven, or it is stopped.
    fn go(&mut self, relaxation: &mut Relaxation<'_>) -> Result<(), ComposeError> {
        if let Some(plan) = &self.options.start {
            self.begin_with(relaxation, warm_start::columns(self.problem, relaxation.rules, plan))?;
        }
        let mut idle = 0;
        let mut turn = 0u64;
        while self.goes_on() {
            // A relaxation that is solved, or as far as it got.
            let rounds = if turn == 0 { FIRST_ROUNDS } else { MAX_ROUNDS };
            let solved = relaxation.solve(rounds, &mut Looks::new(&mut || self.goes_on()))?;
            self.bound = self.bound.max(relaxation.bound);
            self.pivots += solved.pivots;
            self.nodes += 1;
            if self.bound >= self.ceiling || !self.goes_on() {
                break;
            }
            let mut broken = relaxation.broken_by_relaxation(&solved);
            let is_settled = broken.is_empty();
            let before = self.ceiling;
            let places = relaxation.neighbourhood(&solved, turn);
            let (reduced, scope) =
                relaxation.restrict(&solved, &places, &mut Looks::new(&mut || self.goes_on()))?;
            self.try_places(reduced, &scope, 40 + 10 * turn.min(40))?;
            let mut failures = 0;
            let mut step = 0u64;
            while failures < (if is_settled { 60 } else { 12 }) && self.goes_on() {
                let before = self.ceiling;
                self.improve(relaxation, &solved, turn * 1000 + step)?;
                failures = if self.ceiling < before { 0 } else { failures + 1 };
                step += 1;
            }
            if is_settled && self.goes_on() {
                broken = self.close(relaxation, &solved, 100 << idle.min(20))?;
            }
            idle = if self.ceiling < before || !broken.is_empty() { 0 } else { idle + 1 };
            relaxation.enter(broken, &mut Looks::new(&mut || self.goes_on()))?;
            turn += 1;
            if idle > MAX_IDLE {
                self.stop = self.stop.or(Some(StopReason::Limit));
            }
        }
        Ok(())
    }

    /// Takes some leases of the best plan back and finds the best way to run what was on them, all else as it is.
    fn improve(
        &mut self,
        relaxation: &Relaxation<'_>,
        solved: &Solved,
        turn: u64,
    ) -> Result<(), ComposeError> {
        let Some(((program, reduced, values), _)) = &self.best else { return Ok(()) };
        let leases: Vec<(Column, i64)> = reduced
            .columns
            .iter()
            .map(|(id, column)| (column, values[program.leases[id].index()]))
            .filter(|(_, count)| *count > 0)
            .map(|(column, count)| (column.clone(), count))
            .collect();
        let problem = self.problem;
        let mut goes_on = || self.goes_on();
        let mut looks = Looks::new(&mut goes_on);
        let Neighbourhood { freed, components, classes, limit } =
            relaxation.around_leases(solved, &leases, turn);
        let kept: Vec<i64> = leases
            .iter()
            .enumerate()
            .map(|(at, (_, count))| count - i64::from(freed.contains(&at)))
            .collect();
        let around = relaxation.around(solved, &components, &classes, limit, &mut looks)?;
        let reduced = distinct(leases.into_iter().map(|(column, _)| column).chain(around));
        let places =
            reduced.columns.iter().flat_map(|(_, column)| relaxation.places_of(column.class)).collect();
        let mut program = Program::new(problem, &reduced, &Scope::Some(places), None, &mut looks)?;
        for (at, kept) in kept.into_iter().enumerate() {
            let var = program.leases[Id::from_index(at)];
            program.low[var] = kept;
        }
        let outcome = self.run(&program, true, Goal::Best, 60, Decimal::ZERO);
        if let Some((values, value)) = outcome.best {
            self.ceiling = value;
            self.best = Some(((program, reduced, values), value));
        }
        Ok(())
    }

    /// Begins with the columns of an earlier plan, and whatever else may be needed at their places.
    fn begin_with(
        &mut self,
        relaxation: &mut Relaxation<'_>,
        columns: Vec<Column>,
    ) -> Result<(), ComposeError> {
        let mut classes = relaxation.pool.classes_apart.clone();
        classes.extend(columns.iter().map(|column| column.class));
        let places: BTreeSet<_> = classes.iter().flat_map(|class| relaxation.places_of(*class)).collect();
        let mut goes_on = || self.goes_on();
        let mut looks = Looks::new(&mut goes_on);
        relaxation.enter(places.clone(), &mut looks)?;
        let reduced = relaxation.together(&classes, columns, &mut looks)?;
        let scope = Scope::Some(places);
        self.try_places(reduced.clone(), &scope, FIRST_NODES)?;
        if self.best.is_some() && self.goes_on() {
            self.try_places(reduced, &scope, START_NODES)?;
        }
        Ok(())
    }

    /// Looks for a better plan in some places, all of which the scope tells apart.
    fn try_places(&mut self, reduced: Reduced, scope: &Scope, max_nodes: u64) -> Result<(), ComposeError> {
        let problem = self.problem;
        let program = Program::new(problem, &reduced, scope, None, &mut Looks::new(&mut || self.goes_on()))?;
        let outcome = if self.best.is_none() {
            // Any plan is a beginning.
            self.run(&program, true, Goal::Any, FIRST_NODES, Decimal::ZERO)
        } else {
            self.run(&program, true, Goal::Best, max_nodes, Decimal::new(2, 1))
        };
        if let Some((values, value)) = outcome.best {
            self.ceiling = value;
            self.best = Some(((program, reduced, values), value));
        }
        Ok(())
    }

    /// Searches all columns that a better plan can use, in a scope that the relaxation keeps to: if it ends, either
    /// what it finds is the best plan, or it breaks conditions in places that are then returned.
    fn close(
        &mut self,
        relaxation: &Relaxation<'_>,
        solved: &Solved,
        max_nodes: u64,
    ) -> Result<BTreeSet<(Cut, usize)>, ComposeError> {
        let ceiling = self.ceiling;
        let mut goes_on = || self.goes_on();
        let mut looks = Looks::new(&mut goes_on);
        let Some(reduced) = relaxation.within_gap(solved, ceiling, &mut looks)? else {
            return Ok(BTreeSet::new());
        };
        let program = relaxation.program(&reduced, &mut looks)?;
        let outcome = self.run(&program, false, Goal::Best, max_nodes, Decimal::ZERO);
        let Some((values, value)) = outcome.best else {
            self.bound = self.bound.max(if outcome.stop.is_none() { self.ceiling } else { outcome.bound });
            return Ok(BTreeSet::new());
        };
        self.bound = self.bound.max(if outcome.stop.is_none() { value } else { outcome.bound.min(value) });
        let broken = relaxation.broken_by(&reduced, &program, &values);
        if broken.is_empty() {
            self.ceiling = value;
            self.best = Some(((program, reduced, values), value));
        }
        Ok(broken)
    }
}

/// Solves as far as it is let; `None` if it is proven that there is no plan.
pub(crate) fn solve(
    problem: &Problem<'_>,
    options: &ComposeOptions,
    ceiling: Option<i128>,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Found>, ComposeError> {
    let rules = Rules::new(problem);
    let mut goes_on = || watch_for_stop(watch).is_ok();
    let mut looks = Looks::new(&mut goes_on);
    let pool = Pool::new(problem, &mut looks)?;
    let mut relaxation = Relaxation::new(problem, &rules, &pool, &mut looks)?;
    watch_for_stop(watch)?; // the last look before the search
    let mut search = Search {
        problem,
        options,
        watch,
        ceiling: ceiling.unwrap_or(i128::MAX),
        best: None,
        bound: 0,
        nodes: 0,
        pivots: 0,
        stop: None,
    };
    match search.go(&mut relaxation) {
        // What is known by then is told.
        Ok(()) | Err(ComposeError::Stopped) => search.bound = search.bound.max(relaxation.bound),
        Err(error) => return Err(error),
    }
    let statistics = Statistics {
        offers: problem.catalogue.len() as u64,
        eligible: problem.candidates.len() as u64,
        patterns: relaxation.reduced.columns.len() as u64,
        variables: search.best.as_ref().map_or(0, |((program, ..), _)| program.cost.len() as u64),
        rows: search.best.as_ref().map_or(0, |((program, ..), _)| program.row_low.len() as u64),
        nodes: search.nodes,
        pivots: search.pivots,
    };
    let Some(((program, reduced, values), value)) = search.best else {
        return match search.stop {
            None if search.bound >= search.ceiling => Ok(None),
            _ => Err(ComposeError::Stopped),
        };
    };
    let stop =
        if search.bound >= value { StopReason::Optimal } else { search.stop.unwrap_or(StopReason::Limit) };
    Ok(Some(Found::new(&program, &reduced, &values, search.bound.min(value), stop, statistics)))
}
