//! The relaxation: a linear program whose columns and places are made on demand.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    candidate_index::Pool,
    duals::{Prices, objective},
    knapsack::Wanted,
    pricing::{Pricing, Shortfall, all_patterns, best_patterns},
};
use crate::{
    catalogue::OfferIx,
    compose::{
        error::ComposeError,
        formulation::{
            ids::{ClassId, CompId},
            place_classes::Cut,
            problem::Problem,
        },
        id_vec::{Id, IdVec},
        interrupt::Looks,
        lp::{safe_bound::lagrange, simplex::Simplex},
        mip::{model::Program, place_scope::Scope, var_bounds::Bounds},
        presolve::{
            columns::{Column, Reduced, unbeaten},
            pattern_rules::Rules,
        },
    },
    model::{OfferKind, Over},
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
pub(crate) struct Solved {
    pub(crate) program: Program,
    pub(crate) simplex: Simplex,
    prices: Prices,
    /// The bound at these prices, and how far columns that are missing then may be below their worth.
    last: (i128, Shortfall),
    pub(crate) pivots: u64,
}

/// Places that the scope does not tell apart, and the machines there that count.
struct Group {
    /// The places of the scope that it lies in.
    places: Vec<(Cut, usize)>,
    classes: Vec<ClassId>,
    machines: Vec<usize>,
    is_elsewhere: bool,
}

/// What tells kinds of lease apart: the offer, the services that it keeps, and what is on it.
type Kind = (OfferIx, Option<usize>, Vec<(CompId, u32)>);

fn kind(column: &Column) -> Kind {
    (column.offer, column.keeps, column.members.clone())
}

/// Some kinds of lease, each once.
pub(crate) fn distinct(columns: impl IntoIterator<Item = Column>) -> Reduced {
    let mut known = FxHashSet::default();
    let columns = columns.into_iter().filter(|column| known.insert(kind(column))).collect();
    Reduced { columns, patterns: 0 }
}

pub(crate) struct Relaxation<'p> {
    pub(crate) problem: &'p Problem<'p>,
    pub(crate) rules: &'p Rules,
    pub(crate) pool: &'p Pool,
    pub(crate) reduced: Reduced,
    known: FxHashSet<Kind>,
    pub(crate) scope: BTreeSet<(Cut, usize)>,
    groups: Vec<Group>,
    /// What no plan of the whole market is below, over the horizon.
    pub(crate) bound: i128,
    penalty: i64,
}

impl<'p> Relaxation<'p> {
    pub(crate) fn new(
        problem: &'p Problem<'p>,
        rules: &'p Rules,
        pool: &'p Pool,
        looks: &mut Looks<'_>,
    ) -> Result<Self, ComposeError> {
        let dearest =
            problem.candidates.iter().map(|candidate| objective(problem, candidate)).max().unwrap_or(0);
        let mut relaxation = Self {
            problem,
            rules,
            pool,
            reduced: Reduced { columns: IdVec::new(), patterns: 0 },
            known: FxHashSet::default(),
            scope: BTreeSet::new(),
            groups: Vec::new(),
            bound: 0,
            // Above what any replica can be worth where a plan exists at all; see `solve`.
            penalty: dearest.clamp(1, 1 << 50).saturating_mul(4),
        };
        relaxation.group(looks)?;
        relaxation.begin(looks)?;
        Ok(relaxation)
    }

    /// First columns: what each machine best carries if a replica is worth what it costs alone.
    fn begin(&mut self, looks: &mut Looks<'_>) -> Result<(), ComposeError> {
        let problem = self.problem;
        let mut worth: IdVec<CompId, i64> = problem.components.ids().map(|_| 0).collect();
        let mut fresh = self.apart();
        let Some(group) = self.groups.iter().find(|group| group.is_elsewhere) else { return Ok(()) };
        for component in problem.components.ids() {
            looks.after(group.machines.len())?;
            let alone = match problem.components[component].kind {
                OfferKind::Machine => self.alone(component, &group.machines),
                _ => self
                    .least_of(group.classes.iter().flat_map(|class| self.pool.products(component, *class))),
            };
            worth[component] = alone.first().and_then(|column| column.objective(&problem.aim)).unwrap_or(0);
            fresh.extend(alone);
        }
        let prices = Prices::none(problem);
        let pricing = Pricing { problem, rules: self.rules, prices: &prices, worth: &worth };
        let priced = best_patterns(&pricing, &group.machines, (0, FIRST_COLUMNS), looks)?;
        fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
        self.add(fresh);
        Ok(())
    }

    fn add(&mut self, columns: Vec<Column>) -> usize {
        let mut added = 0;
        for column in columns {
            if self.known.insert(kind(&column)) {
                self.reduced.columns.push(column);
                added += 1;
            }
        }
        added
    }

    /// Brings places into scope. With a site comes its region: what is sent from a site pays unless a receiver is seen
    /// in its region.
    pub(crate) fn enter(
        &mut self,
        mut places: BTreeSet<(Cut, usize)>,
        looks: &mut Looks<'_>,
    ) -> Result<(), ComposeError> {
        let sites = places.iter().filter(|(cut, _)| *cut == Cut::Site);
        let region = |site: usize| (Cut::Over(Over::Region), self.problem.sites.sites[site].region);
        let regions: Vec<_> = sites.map(|(_, site)| region(*site)).collect();
        places.extend(regions);
        if !places.is_subset(&self.scope) {
            self.scope.extend(places);
            self.group(looks)?;
        }
        Ok(())
    }

    /// The places of a class that are in a scope.
    pub(crate) fn places_of(&self, class: ClassId) -> impl Iterator<Item = (Cut, usize)> {
        self.problem.sites.levels.iter().map(move |level| (level.cut, level.place_of[class]))
    }

    fn group(&mut self, looks: &mut Looks<'_>) -> Result<(), ComposeError> {
        let sites = &self.problem.sites;
        let mut by_places: FxHashMap<Vec<(Cut, usize)>, Vec<ClassId>> = FxHashMap::default();
        let mut is_here = vec![false; sites.classes()];
        for (at, is_here) in is_here.iter_mut().enumerate() {
            looks.after(1)?;
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
        let mut groups = Vec::new();
        for (places, classes) in by_places {
            groups.push(match before.remove(&places) {
                Some(group) if group.classes == classes => group,
                _ => {
                    let machines = self.pool.in_classes(self.problem, &classes, looks)?;
                    Group { places, classes, machines, is_elsewhere: false }
                }
            });
        }
        groups.sort_by(|a, b| a.places.cmp(&b.places));
        let classes: Vec<ClassId> =
            (0..is_here.len()).filter(|at| !is_here[*at]).map(ClassId::from_index).collect();
        if !classes.is_empty() {
            let machines = self.pool.elsewhere(self.problem, &is_here, looks)?;
            groups.push(Group { places: Vec::new(), classes, machines, is_elsewhere: true });
        }
        self.groups = groups;
        Ok(())
    }

    /// Solves: prices, columns, prices, until no column improves. What is proven on the way stays so if it is stopped.
    pub(crate) fn solve(&mut self, max_rounds: usize, looks: &mut Looks<'_>) -> Result<Solved, ComposeError> {
        let mut pivots = 0;
        for round in 0.. {
            let scope = Scope::Some(self.scope.clone());
            let program = Program::new(self.problem, &self.reduced, &scope, Some(self.penalty), looks)?;
            let mut simplex = Simplex::new(&program);
            simplex.run(i128::MAX, &mut || !looks.goes_on());
            pivots += simplex.pivots;
            let prices = Prices::new(self.problem, &program, simplex.multipliers(&program));
            let (added, missing) = self.price(&program, &prices, looks)?;
            let bound = lagrange(&program, &Bounds::of(&program), &prices.rows).unwrap_or(i128::MIN);
            self.bound = self.bound.max(missing.corrected(bound, self.leases()));
            if added == 0 || round >= max_rounds || !looks.goes_on() {
                let last = (bound, missing);
                return Ok(Solved { program, simplex, prices, last, pivots });
            }
        }
        Err(ComposeError::Stopped)
    }

    /// Leases that a plan has at most.
    fn leases(&self) -> i128 {
        self.problem.components.iter().map(|(_, comp)| i128::from(comp.max)).sum()
    }

    /// Adds columns that improve; returns how many, and how far those that are missing may be below their worth.
    fn price(
        &mut self,
        program: &Program,
        prices: &Prices,
        looks: &mut Looks<'_>,
    ) -> Result<(usize, Shortfall), ComposeError> {
        let problem = self.problem;
        let mut fresh: Vec<Column> = Vec::new();
        let mut missing = Shortfall::default();
        for group in &self.groups {
            let worth = prices.worth(problem, program, &group.places);
            let pricing = Pricing { problem, rules: self.rules, prices, worth: &worth };
            let limits = (-1, COLUMNS_A_ROUND + problem.components.len() / 2);
            let priced = best_patterns(&pricing, &group.machines, limits, looks)?;
            missing.join(priced.shortfall);
            fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
            for component in self.products() {
                looks.after(group.classes.len() / 2)?;
                let here = group.classes.iter().flat_map(|class| self.pool.products(component, *class));
                let mut good: Vec<(i64, &Column)> = here
                    .map(|column| (pricing.reduced(column), column))
                    .filter(|(reduced, _)| *reduced < -1)
                    .collect();
                good.sort_by_key(|(reduced, column)| (*reduced, column.offer, column.keeps));
                for (reduced, column) in &good {
                    missing.note(*reduced, column.objective(&problem.aim).unwrap_or(0));
                }
                // The best, and while their stock is limited the next.
                let enough = good.iter().position(|(_, column)| column.stock.is_none());
                let count = enough.map_or(good.len(), |at| at + 1);
                fresh.extend(good[..count].iter().map(|(_, column)| (*column).clone()));
            }
        }
        Ok((self.add(fresh), missing))
    }

    /// All columns that a plan below the ceiling can use: those that count above their worth no more than there is room
    /// for (reduced cost fixing). `None` if they are too many.
    pub(crate) fn within_gap(
        &self,
        solved: &Solved,
        ceiling: i128,
        looks: &mut Looks<'_>,
    ) -> Result<Option<Reduced>, ComposeError> {
        let problem = self.problem;
        let room = solved.last.1.room(solved.last.0, self.leases(), ceiling);
        let room = i64::try_from(room).unwrap_or(i64::MAX).min(i64::MAX / 4);
        let mut reduced = Reduced { columns: IdVec::new(), patterns: 0 };
        for group in &self.groups {
            let worth = solved.prices.worth(problem, &solved.program, &group.places);
            let pricing = Pricing { problem, rules: self.rules, prices: &solved.prices, worth: &worth };
            let left = MAX_WITHIN_GAP.saturating_sub(reduced.columns.len());
            let found = all_patterns(&pricing, &group.machines, Wanted::All, (room, left), looks)?;
            let Some(found) = found else { return Ok(None) };
            looks.after(group.classes.len())?;
            let products = self.products().flat_map(|component| {
                let here = group.classes.iter().flat_map(move |class| self.pool.products(component, *class));
                unbeaten(problem, here.filter(|column| pricing.reduced(column) <= room))
            });
            for column in found.into_iter().chain(products) {
                reduced.columns.push(column);
            }
        }
        Ok((reduced.columns.len() <= MAX_WITHIN_GAP).then_some(reduced))
    }

    /// What a column counts above what it is worth.
    pub(crate) fn reduced_cost(&self, solved: &Solved, column: &Column) -> i64 {
        self.priced(solved, column.class, |pricing| pricing.reduced(column))
    }

    /// At the prices of a relaxation, in a class.
    fn priced<T>(&self, solved: &Solved, class: ClassId, then: impl FnOnce(&Pricing<'_>) -> T) -> T {
        let places: Vec<_> = self.places_of(class).collect();
        let worth = solved.prices.worth(self.problem, &solved.program, &places);
        then(&Pricing { problem: self.problem, rules: self.rules, prices: &solved.prices, worth: &worth })
    }

    /// Columns in some classes that carry only some components and count above their worth no more than a limit; the
    /// limit is halved until they are not too many.
    pub(crate) fn around(
        &self,
        solved: &Solved,
        components: &[CompId],
        classes: &[ClassId],
        limit: i64,
        looks: &mut Looks<'_>,
    ) -> Result<Vec<Column>, ComposeError> {
        let mut columns = self.apart();
        for class in classes {
            let machines = self.pool.in_classes(self.problem, &[*class], looks)?;
            let found = self.priced(solved, *class, |pricing| {
                for halved in 0..4 {
                    let below = (limit >> halved, MAX_AROUND);
                    let found = all_patterns(pricing, &machines, Wanted::Only(components), below, looks)?;
                    if found.is_some() {
                        return Ok::<_, ComposeError>(found);
                    }
                }
                Ok(None)
            })?;
            columns.extend(found.into_iter().flatten());
            for component in components {
                columns.extend(self.cheapest(*component, *class, &machines));
            }
        }
        Ok(columns)
    }

    /// Components that are no machines.
    fn products(&self) -> impl Iterator<Item = CompId> {
        let components = self.problem.components.iter();
        components.filter(|(_, comp)| comp.kind != OfferKind::Machine).map(|(component, _)| component)
    }

    /// The program of some columns in the scope at hand, where places outside are not told apart.
    pub(crate) fn program(&self, reduced: &Reduced, looks: &mut Looks<'_>) -> Result<Program, ComposeError> {
        Program::new(self.problem, reduced, &Scope::Some(self.scope.clone()), None, looks)
    }

    /// The columns that lie wholly in some places, with more of them for want of choice, and the scope for it.
    pub(crate) fn restrict(
        &self,
        solved: &Solved,
        places: &BTreeSet<(Cut, usize)>,
        looks: &mut Looks<'_>,
    ) -> Result<(Reduced, Scope), ComposeError> {
        let is_inside = |class: ClassId| self.places_of(class).all(|place| places.contains(&place));
        let inside: Vec<ClassId> = (0..self.problem.sites.classes())
            .map(ClassId::from_index)
            .filter(|class| is_inside(*class))
            .collect();
        let known = self.reduced.columns.iter().map(|(_, column)| column);
        let mut columns: Vec<Column> = known.filter(|column| is_inside(column.class)).cloned().collect();
        for class in &inside {
            let machines = self.pool.in_classes(self.problem, &[*class], looks)?;
            // Good ones even if the relaxation has no use for them.
            let priced = self.priced(solved, *class, |pricing| {
                let slack = pricing.worth.iter().map(|(_, worth)| *worth).max().unwrap_or(0) / 4;
                best_patterns(pricing, &machines, (slack, 6), looks)
            })?;
            columns.extend(priced.columns.into_iter().map(|(_, column)| column));
            for component in self.problem.components.ids() {
                columns.extend(self.cheapest(component, *class, &machines));
            }
        }
        Ok((distinct(columns), Scope::Some(places.clone())))
    }

    /// Some columns, which the relaxation gets to know too, with the cheapest of each component in some classes.
    pub(crate) fn together(
        &mut self,
        classes: &BTreeSet<ClassId>,
        columns: Vec<Column>,
        looks: &mut Looks<'_>,
    ) -> Result<Reduced, ComposeError> {
        self.add(columns.clone());
        let mut all: Vec<Column> = columns;
        for class in classes {
            let machines = self.pool.in_classes(self.problem, &[*class], looks)?;
            for component in self.problem.components.ids() {
                all.extend(self.cheapest(component, *class, &machines));
            }
        }
        Ok(distinct(all))
    }
}
