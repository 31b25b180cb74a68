//! The relaxation: a linear program whose columns and places are made on demand.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    pool::Pool,
    price::{Shortfall, Wanted, all_patterns, best_patterns, column},
};
use crate::{
    catalogue::OfferIx,
    compose::{
        bound::{Bounds, Simplex, lagrange, scaled_whole, whole},
        error::ComposeError,
        id_vec::{Id, IdVec},
        problem::{ClassId, CompId, Problem},
        program::{Program, Row, Scope},
        reduce::{Column, Reduced, Rules},
        sites::Cut,
    },
    model::{Measure, OfferKind},
};

/// Columns that one round adds for each set of places.
const COLUMNS_A_ROUND: usize = 16;
/// Columns within the gap beyond which they are not all written down.
const MAX_WITHIN_GAP: usize = 2_500;
/// Columns of one class in a neighbourhood.
const MAX_AROUND: usize = 60;
/// Columns to begin with.
const FIRST_COLUMNS: usize = 100;

/// A relaxation at its end.
pub(super) struct Solved {
    pub(super) program: Program,
    pub(super) simplex: Simplex,
    prices: IdVec<Row, i64>,
    /// What no plan of the whole market is below, over the horizon.
    pub(super) bound: i128,
    pub(super) pivots: u64,
}

/// Places that the scope does not tell apart, and the machines there that count.
struct Group {
    /// The places of the scope that it lies in.
    places: Vec<(Cut, usize)>,
    classes: Vec<ClassId>,
    machines: Vec<usize>,
    is_elsewhere: bool,
}

pub(super) struct Relaxation<'p> {
    pub(super) problem: &'p Problem<'p>,
    rules: &'p Rules,
    pool: &'p Pool,
    pub(super) reduced: Reduced,
    known: FxHashSet<(OfferIx, Vec<(CompId, u32)>)>,
    pub(super) scope: BTreeSet<(Cut, usize)>,
    groups: Vec<Group>,
    penalty: i64,
}

impl<'p> Relaxation<'p> {
    pub(super) fn new(problem: &'p Problem<'p>, rules: &'p Rules, pool: &'p Pool) -> Self {
        let dearest = problem.candidates.iter().map(|candidate| candidate.base).max().unwrap_or(0);
        let mut relaxation = Self {
            problem,
            rules,
            pool,
            reduced: Reduced { columns: IdVec::new(), patterns: 0 },
            known: FxHashSet::default(),
            scope: BTreeSet::new(),
            groups: Vec::new(),
            // Above what any replica can be worth where a plan exists at all; see `solve`.
            penalty: dearest.clamp(1, 1 << 50).saturating_mul(4),
        };
        relaxation.group();
        relaxation.begin();
        relaxation
    }

    /// First columns: what each machine best carries if a replica is worth what it costs alone.
    fn begin(&mut self) {
        let mut worth: IdVec<CompId, i64> = self.problem.components.ids().map(|_| 0).collect();
        let mut fresh = Vec::new();
        let group = self.groups.iter().find(|group| group.is_elsewhere);
        let Some(group) = group else { return };
        for component in self.problem.components.ids() {
            let alone = match self.problem.components[component].kind {
                OfferKind::Machine => self.alone(component, &group.machines),
                _ => self.pool.products[component].first().and_then(|(cost, size_gib, at)| {
                    let candidate = &self.problem.candidates[*at as usize];
                    Column::new(self.problem, candidate, vec![(component, 1)], *cost, *size_gib)
                }),
            };
            worth[component] = alone.as_ref().map_or(0, |column| column.cost);
            fresh.extend(alone);
        }
        let priced =
            best_patterns(self.problem, self.rules, &group.machines, &worth, &|_| 0, (0, FIRST_COLUMNS));
        fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
        self.add(fresh);
    }

    fn add(&mut self, columns: Vec<Column>) -> usize {
        let mut added = 0;
        for column in columns {
            if self.known.insert((column.offer, column.members.clone())) {
                self.reduced.columns.push(column);
                added += 1;
            }
        }
        added
    }

    /// Brings places into scope.
    pub(super) fn enter(&mut self, places: BTreeSet<(Cut, usize)>) {
        if !places.is_subset(&self.scope) {
            self.scope.extend(places);
            self.group();
        }
    }

    /// The places of a class that are in a scope.
    pub(super) fn places_of(&self, class: ClassId) -> impl Iterator<Item = (Cut, usize)> {
        self.problem.sites.levels.iter().map(move |level| (level.cut, level.place_of[class]))
    }

    fn group(&mut self) {
        let sites = &self.problem.sites;
        let mut by_places: FxHashMap<Vec<(Cut, usize)>, Vec<ClassId>> = FxHashMap::default();
        let mut is_here = vec![false; sites.classes()];
        for (at, is_here) in is_here.iter_mut().enumerate() {
            let class = ClassId::from_index(at);
            let places: Vec<_> = self.places_of(class).filter(|place| self.scope.contains(place)).collect();
            if !places.is_empty() {
                *is_here = true;
                by_places.entry(places).or_default().push(class);
            }
        }
        let mut before: FxHashMap<Vec<(Cut, usize)>, Group> = std::mem::take(&mut self.groups)
            .into_iter()
            .filter(|group| !group.is_elsewhere)
            .map(|group| (group.places.clone(), group))
            .collect();
        let mut groups: Vec<Group> = by_places
            .into_iter()
            .map(|(places, classes)| match before.remove(&places) {
                Some(group) if group.classes == classes => group,
                _ => {
                    let machines = self.pool.in_classes(self.problem, &classes);
                    Group { places, classes, machines, is_elsewhere: false }
                }
            })
            .collect();
        groups.sort_by(|a, b| a.places.cmp(&b.places));
        let classes: Vec<ClassId> =
            (0..is_here.len()).filter(|at| !is_here[*at]).map(ClassId::from_index).collect();
        if !classes.is_empty() {
            let machines = self.pool.elsewhere(self.problem, &is_here);
            groups.push(Group { places: Vec::new(), classes, machines, is_elsewhere: true });
        }
        self.groups = groups;
    }

    /// Solves: prices, columns, prices, until no column improves.
    pub(super) fn solve(
        &mut self,
        max_rounds: usize,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Solved, ComposeError> {
        let mut best_bound = 0i128;
        let mut pivots = 0;
        for round in 0.. {
            let scope = Scope::Some(self.scope.clone());
            let program = Program::new(self.problem, &self.reduced, &scope, Some(self.penalty))?;
            let mut simplex = Simplex::new(&program);
            simplex.run(i128::MAX, &mut || !goes_on());
            pivots += simplex.pivots;
            let multipliers = simplex.multipliers(&program);
            let prices: IdVec<Row, i64> = multipliers.iter().map(|(_, scaled)| whole(*scaled)).collect();
            let (added, missing) = self.price(&program, &prices);
            // Missing columns cost at most so much less than they are worth, and leases are so many at most.
            let rounded: IdVec<Row, i128> = prices.iter().map(|(_, price)| scaled_whole(*price)).collect();
            if self.prices_are_costs()
                && let Some(bound) = lagrange(&program, &Bounds::of(&program), &rounded)
            {
                let leases: i128 = self.problem.components.iter().map(|(_, comp)| i128::from(comp.max)).sum();
                best_bound = best_bound.max(missing.corrected(bound, leases));
            }
            if added == 0 || round >= max_rounds || !goes_on() {
                return Ok(Solved { program, simplex, prices, bound: best_bound, pivots });
            }
        }
        Err(ComposeError::Stopped)
    }

    /// Whether a column's price in money is at most what it counts for in the objective. Columns are found by their price
    /// in money: where that counts for nothing, those that are missing prove nothing.
    fn prices_are_costs(&self) -> bool {
        self.problem.aim.weight(Measure::Cost) >= 1
    }

    /// What each component's replica is worth in a group.
    fn worth(
        &self,
        program: &Program,
        prices: &IdVec<Row, i64>,
        places: &[(Cut, usize)],
    ) -> IdVec<CompId, i64> {
        // The rows that define replicas come first, one for each component.
        let mut worth: IdVec<CompId, i64> = self
            .problem
            .components
            .ids()
            .map(|component| prices[Row::from_index(component.index())])
            .collect();
        for (cut, place, component, row) in &program.at_rows {
            if places.contains(&(*cut, *place)) {
                worth[*component] = worth[*component].saturating_add(prices[*row]);
            }
        }
        worth
    }

    /// Adds columns that improve; returns how many, and how far those that are missing may be below their worth.
    fn price(&mut self, program: &Program, prices: &IdVec<Row, i64>) -> (usize, Shortfall) {
        let stock: FxHashMap<OfferIx, i64> =
            program.stock_rows.iter().map(|((offer, _), row)| (*offer, -prices[*row])).collect();
        let extra = |at: usize| stock.get(&self.problem.candidates[at].offer).copied().unwrap_or(0);
        let mut fresh: Vec<Column> = Vec::new();
        let mut missing = Shortfall::default();
        for group in &self.groups {
            let worth = self.worth(program, prices, &group.places);
            let limits = (-1, COLUMNS_A_ROUND + self.problem.components.len() / 2);
            let priced = best_patterns(self.problem, self.rules, &group.machines, &worth, &extra, limits);
            missing.join(priced.shortfall);
            fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
            for (component, table) in self.pool.products.iter() {
                let is_in = |at: u32| {
                    group.classes.binary_search(&self.problem.candidates[at as usize].class).is_ok()
                };
                for (cost, size_gib, at) in table.iter().filter(|(_, _, at)| is_in(*at)) {
                    let reduced = cost.saturating_add(extra(*at as usize)).saturating_sub(worth[component]);
                    let candidate = &self.problem.candidates[*at as usize];
                    if reduced < -1 {
                        missing.note(reduced, *cost);
                        fresh.extend(Column::new(
                            self.problem,
                            candidate,
                            vec![(component, 1)],
                            *cost,
                            *size_gib,
                        ));
                    }
                    if candidate.stock().is_none() || reduced >= -1 {
                        break; // the others are dearer
                    }
                }
            }
        }
        (self.add(fresh), missing)
    }

    /// All columns that a plan below the ceiling can use: those whose cost is above their worth by no more than the
    /// gap (reduced cost fixing). `None` if they are too many. With them goes a program in the scope at hand.
    pub(super) fn within_gap(&self, solved: &Solved, gap: i64) -> Option<Reduced> {
        // Without a limit all columns are taken, whatever they cost.
        let gap = if self.prices_are_costs() { gap } else { i64::MAX / 4 };
        let stock: FxHashMap<OfferIx, i64> = solved
            .program
            .stock_rows
            .iter()
            .map(|((offer, _), row)| (*offer, -solved.prices[*row]))
            .collect();
        let extra = |at: usize| stock.get(&self.problem.candidates[at].offer).copied().unwrap_or(0);
        let mut reduced = Reduced { columns: IdVec::new(), patterns: 0 };
        for group in &self.groups {
            let worth = self.worth(&solved.program, &solved.prices, &group.places);
            let left = MAX_WITHIN_GAP.checked_sub(reduced.columns.len())?;
            let found = all_patterns(
                self.problem,
                self.rules,
                &group.machines,
                &worth,
                &extra,
                Wanted::All,
                (gap, left),
            )?;
            found.into_iter().for_each(|(_, column)| {
                reduced.columns.push(column);
            });
            for (component, table) in self.pool.products.iter() {
                let is_in = |at: u32| {
                    group.classes.binary_search(&self.problem.candidates[at as usize].class).is_ok()
                };
                for (cost, size_gib, at) in table.iter().filter(|(_, _, at)| is_in(*at)) {
                    let candidate = &self.problem.candidates[*at as usize];
                    if cost.saturating_add(extra(*at as usize)).saturating_sub(worth[component]) > gap {
                        break;
                    }
                    let column =
                        Column::new(self.problem, candidate, vec![(component, 1)], *cost, *size_gib)?;
                    reduced.columns.push(column);
                    if candidate.stock().is_none() {
                        break; // others here are dearer
                    }
                }
            }
        }
        (reduced.columns.len() <= MAX_WITHIN_GAP).then_some(reduced)
    }

    /// What a column costs above what it is worth.
    pub(super) fn reduced_cost(&self, solved: &Solved, column: &Column) -> i64 {
        let places: Vec<_> = self.places_of(column.class).collect();
        let worth = self.worth(&solved.program, &solved.prices, &places);
        let carried =
            column.members.iter().map(|(component, count)| worth[*component].saturating_mul((*count).into()));
        column.cost.saturating_sub(carried.fold(0i64, i64::saturating_add))
    }

    /// Columns in some classes that carry only some components and cost above their worth no more than a limit; the
    /// limit is halved until they are not too many.
    pub(super) fn around(
        &self,
        solved: &Solved,
        components: &[CompId],
        classes: &[ClassId],
        limit: i64,
    ) -> Vec<Column> {
        let mut columns = Vec::new();
        for class in classes {
            let places: Vec<_> = self.places_of(*class).collect();
            let worth = self.worth(&solved.program, &solved.prices, &places);
            let machines = self.pool.in_classes(self.problem, &[*class]);
            let mut limit = limit;
            for _ in 0..4 {
                let limits = (limit, MAX_AROUND);
                let wanted = Wanted::Only(components);
                if let Some(found) =
                    all_patterns(self.problem, self.rules, &machines, &worth, &|_| 0, wanted, limits)
                {
                    columns.extend(found.into_iter().map(|(_, column)| column));
                    break;
                }
                limit /= 2;
            }
            for component in components {
                columns.extend(self.cheapest(*component, *class, &machines));
            }
        }
        columns
    }

    /// The program of some columns in the scope at hand, where places outside are not told apart.
    pub(super) fn program(&self, reduced: &Reduced) -> Result<Program, ComposeError> {
        Program::new(self.problem, reduced, &Scope::Some(self.scope.clone()), None)
    }

    /// The columns that lie wholly in some places, with more of them for want of choice, and the scope for it.
    pub(super) fn restrict(&self, solved: &Solved, places: &BTreeSet<(Cut, usize)>) -> (Reduced, Scope) {
        let is_inside = |class: ClassId| self.places_of(class).all(|place| places.contains(&place));
        let inside: Vec<ClassId> = (0..self.problem.sites.classes())
            .map(ClassId::from_index)
            .filter(|class| is_inside(*class))
            .collect();
        let mut known = FxHashSet::default();
        let mut reduced = Reduced { columns: IdVec::new(), patterns: 0 };
        let mut push = |column: Column| {
            if known.insert((column.offer, column.members.clone())) {
                reduced.columns.push(column);
            }
        };
        for (_, column) in self.reduced.columns.iter().filter(|(_, column)| is_inside(column.class)) {
            push(column.clone());
        }
        for class in &inside {
            let at: Vec<_> = self.places_of(*class).collect();
            let worth = self.worth(&solved.program, &solved.prices, &at);
            let machines = self.pool.in_classes(self.problem, &[*class]);
            // Good ones even if the relaxation has no use for them.
            let slack = worth.iter().map(|(_, worth)| *worth).max().unwrap_or(0) / 4;
            let priced = best_patterns(self.problem, self.rules, &machines, &worth, &|_| 0, (slack, 6));
            priced.columns.into_iter().for_each(|(_, column)| push(column));
            for component in self.problem.components.ids() {
                self.cheapest(component, *class, &machines).into_iter().for_each(&mut push);
            }
        }
        (reduced, Scope::Some(places.clone()))
    }

    /// Some columns, which the relaxation gets to know too, with the cheapest of each component in some classes.
    pub(super) fn together(&mut self, classes: &BTreeSet<ClassId>, columns: Vec<Column>) -> Reduced {
        self.add(columns.clone());
        let mut all: Vec<Column> = columns;
        for class in classes {
            let machines = self.pool.in_classes(self.problem, &[*class]);
            for component in self.problem.components.ids() {
                all.extend(self.cheapest(component, *class, &machines));
            }
        }
        let mut known = FxHashSet::default();
        all.retain(|column| known.insert((column.offer, column.members.clone())));
        Reduced { columns: all.into_iter().collect(), patterns: 0 }
    }

    /// The cheapest way to run one replica alone in a class.
    fn cheapest(&self, component: CompId, class: ClassId, machines: &[usize]) -> Option<Column> {
        let problem = self.problem;
        if problem.components[component].kind != OfferKind::Machine {
            let table = &self.pool.products[component];
            let (cost, size_gib, at) =
                table.iter().find(|(_, _, at)| problem.candidates[*at as usize].class == class)?;
            let candidate = &problem.candidates[*at as usize];
            return Column::new(problem, candidate, vec![(component, 1)], *cost, *size_gib);
        }
        self.alone(component, machines)
    }

    /// The cheapest of some machines that can carry one replica alone.
    fn alone(&self, component: CompId, machines: &[usize]) -> Option<Column> {
        let problem = self.problem;
        let members = vec![(component, 1)];
        if !self.rules.is_complete(&members) {
            return None;
        }
        let comp = &problem.components[component];
        let holds = |at: &&usize| {
            let candidate = &problem.candidates[**at];
            let disk = problem.disk_gib(candidate) >= comp.disk_gib
                || problem.catalogue.elastic_disk(candidate.offer).is_some();
            problem.may_carry(candidate, component)
                && disk
                && problem.size(candidate).iter().zip(&comp.demand).all(|(size, demand)| size >= demand)
        };
        machines.iter().filter(holds).find_map(|at| column(problem, *at, members.clone()))
    }
}
