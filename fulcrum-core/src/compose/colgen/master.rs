//! The restricted master: a linear program whose columns and place rows are generated.

use std::collections::{BTreeMap, BTreeSet, hash_map::Entry};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    candidate_index::CandidateIndex,
    compact_lp::{CompactLp, LpDuals, UsedColumns},
    duals::{Duals, objective},
    pricing::{Pricing, PricingBound, best_patterns},
    row_pool::{BranchBounds, BranchKey, RowPool},
};
use crate::{
    catalogue::OfferIx,
    compose::{
        error::ComposeError,
        formulation::{
            ids::{ClassId, ComponentIx},
            place_classes::PartitionKey,
            problem::Problem,
        },
        id_vec::{Id, IdVec},
        interrupt::InterruptCheck,
        lp::{
            safe_bound::{SCALE_BITS, lagrangian_bound},
            sparse::LpEnd,
        },
        mip::{model::Mip, place_scope::PlaceScope, var_bounds::VarBounds},
        presolve::{
            columns::{Column, ColumnId, ColumnSet},
            dominance::skyline,
            pattern_rules::PatternRules,
        },
    },
    model::{FailureDomain, OfferKind},
};

/// Columns that one pricing round adds for each group of places.
const COLUMNS_PER_ROUND: usize = 16;
/// Initial columns.
const FIRST_COLUMNS: usize = 100;

/// A solved master.
pub(crate) struct MasterSolution {
    /// The columns that it uses, each with its leases.
    pub(crate) used: UsedColumns,
    pub(super) duals: Duals,
    /// The bound at these dual values, and the pricing bound of the columns that are not in the master.
    pub(super) last: (i128, PricingBound),
    pub(crate) pivots: u64,
}

/// Place classes in the same places of the scope, and the non-dominated machines there.
#[derive(Clone)]
pub(super) struct ColumnGroup {
    /// The places of the scope that contain the classes.
    pub(super) places: Vec<(PartitionKey, usize)>,
    pub(super) classes: Vec<ClassId>,
    pub(super) machines: Vec<usize>,
    is_outside_scope: bool,
}

/// What identifies a column: the offer, the running group that it retains, and its replicas.
type ColumnKey = (OfferIx, Option<usize>, Vec<(ComponentIx, u32)>);

fn column_key(column: &Column) -> ColumnKey {
    (column.offer, column.retained, column.members.clone())
}

/// Columns without duplicates.
pub(crate) fn distinct(columns: impl IntoIterator<Item = Column>) -> ColumnSet {
    let mut known = FxHashSet::default();
    let columns = columns.into_iter().filter(|column| known.insert(column_key(column))).collect();
    ColumnSet { columns, patterns: 0 }
}

#[derive(Clone)]
pub(crate) struct RestrictedMaster<'p> {
    pub(crate) problem: &'p Problem<'p>,
    pub(crate) rules: &'p PatternRules,
    pub(crate) index: &'p CandidateIndex,
    pub(crate) column_set: ColumnSet,
    known: FxHashMap<ColumnKey, ColumnId>,
    pub(crate) scope: BTreeSet<(PartitionKey, usize)>,
    pub(super) groups: Vec<ColumnGroup>,
    /// Whether the groups are those of the present scope.
    is_grouped: bool,
    /// The non-dominated machines of several groups, by their positions.
    unions: FxHashMap<Vec<usize>, Vec<usize>>,
    pub(super) pool: RowPool,
    pub(super) program: CompactLp,
    /// Machines whose pricing problem was not solved exactly, over all rounds.
    pub(crate) inexact: u64,
    /// A lower bound on every plan of the whole market, over the horizon.
    pub(crate) bound: i128,
}

impl<'p> RestrictedMaster<'p> {
    pub(crate) fn new(
        problem: &'p Problem<'p>,
        rules: &'p PatternRules,
        index: &'p CandidateIndex,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let dearest =
            problem.candidates.iter().map(|candidate| objective(problem, candidate)).max().unwrap_or(0);
        // Above what any replica can be worth if a plan exists; see `solve`.
        let big_m = dearest.clamp(1, 1 << 50).saturating_mul(4);
        let costs = problem.candidates.iter().map(|candidate| i128::from(objective(problem, candidate)));
        let mean = costs.sum::<i128>() / i128::try_from(problem.candidates.len().max(1)).unwrap_or(1);
        let mut master = Self {
            problem,
            rules,
            index,
            column_set: ColumnSet { columns: IdVec::new(), patterns: 0 },
            known: FxHashMap::default(),
            scope: BTreeSet::new(),
            groups: Vec::new(),
            is_grouped: false,
            unions: FxHashMap::default(),
            pool: RowPool::new(problem, &PlaceScope::Some(BTreeSet::new()), interrupt)?,
            program: CompactLp::new(problem, i64::try_from(mean).unwrap_or(i64::MAX), big_m),
            inexact: 0,
            bound: 0,
        };
        master.program.set_pool(&master.pool);
        master.group(interrupt)?;
        master.add_first_columns(interrupt)?;
        Ok(master)
    }

    /// Adds initial columns: the best patterns if the dual value of a replica is its cost alone.
    fn add_first_columns(&mut self, interrupt: &mut InterruptCheck<'_>) -> Result<(), ComposeError> {
        let problem = self.problem;
        let mut dual_value: IdVec<ComponentIx, i64> = problem.components.ids().map(|_| 0).collect();
        let mut fresh = self.special_columns();
        let Some(group) = self.groups.iter().find(|group| group.is_outside_scope) else { return Ok(()) };
        for component in problem.components.ids() {
            interrupt.charge(group.machines.len())?;
            let alone = match problem.components[component].kind {
                OfferKind::Machine => self.alone(component, &group.machines),
                _ => self
                    .least_of(group.classes.iter().flat_map(|class| self.index.products(component, *class))),
            };
            dual_value[component] =
                alone.first().and_then(|column| column.objective(&problem.stage)).unwrap_or(0);
            fresh.extend(alone);
        }
        let duals = Duals::none(problem);
        let pricing =
            Pricing { problem, rules: self.rules, duals: &duals, dual_value: &dual_value, rest: None };
        let priced = best_patterns(&pricing, &group.machines, (0, FIRST_COLUMNS), interrupt)?;
        fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
        self.add(fresh);
        Ok(())
    }

    pub(super) fn add(&mut self, columns: Vec<Column>) -> usize {
        let mut added = 0;
        for column in columns {
            let next = ColumnId::from_index(self.column_set.columns.len());
            if let Entry::Vacant(entry) = self.known.entry(column_key(&column)) {
                entry.insert(next);
                self.program.add_column(self.problem, &self.pool, &column);
                self.column_set.columns.push(column);
                added += 1;
            }
        }
        added
    }

    /// A column of the master.
    pub(super) fn position(&self, column: &Column) -> Option<ColumnId> {
        self.known.get(&column_key(column)).copied()
    }

    /// Adds the rows of some places. A site brings its region, as traffic pays unless a receiver is seen in the
    /// region.
    pub(crate) fn add_place_rows(
        &mut self,
        mut places: BTreeSet<(PartitionKey, usize)>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(), ComposeError> {
        let sites = places.iter().filter(|(key, _)| *key == PartitionKey::Site);
        let region = |site: usize| {
            (PartitionKey::Domain(FailureDomain::Region), self.problem.places.sites[site].region)
        };
        let regions: Vec<_> = sites.map(|(_, site)| region(*site)).collect();
        places.extend(regions);
        if !places.is_subset(&self.scope) {
            self.scope.extend(places);
            self.is_grouped = false;
            self.pool = RowPool::new(self.problem, &PlaceScope::Some(self.scope.clone()), interrupt)?;
            self.program.set_pool(&self.pool);
        }
        Ok(())
    }

    /// The places of a class, one for each partition.
    pub(crate) fn places_of(&self, class: ClassId) -> impl Iterator<Item = (PartitionKey, usize)> {
        self.problem.places.partitions.iter().map(move |partition| (partition.key, partition.place_of[class]))
    }

    /// Groups the place classes by the places of the scope, where the scope has changed: it changes several times between two rounds of
    /// pricing, and the groups of a large market take long.
    pub(super) fn group(&mut self, interrupt: &mut InterruptCheck<'_>) -> Result<(), ComposeError> {
        if self.is_grouped {
            return Ok(());
        }
        let sites = &self.problem.places;
        let mut by_places: FxHashMap<Vec<(PartitionKey, usize)>, Vec<ClassId>> = FxHashMap::default();
        let mut is_here = vec![false; sites.classes()];
        for (at, is_here) in is_here.iter_mut().enumerate() {
            interrupt.charge(1)?;
            let class = ClassId::from_index(at);
            let places: Vec<_> = self.places_of(class).filter(|place| self.scope.contains(place)).collect();
            if !places.is_empty() {
                *is_here = true;
                by_places.entry(places).or_default().push(class);
            }
        }
        let mut before: FxHashMap<Vec<(PartitionKey, usize)>, ColumnGroup> = std::mem::take(&mut self.groups)
            .into_iter()
            .filter(|group| !group.is_outside_scope)
            .map(|group| (group.places.clone(), group))
            .collect();
        let mut groups = Vec::new();
        for (places, classes) in by_places {
            groups.push(match before.remove(&places) {
                Some(group) if group.classes == classes => group,
                _ => {
                    let machines = self.index.in_classes(self.problem, &classes, interrupt)?;
                    ColumnGroup { places, classes, machines, is_outside_scope: false }
                }
            });
        }
        groups.sort_by(|a, b| a.places.cmp(&b.places));
        let classes: Vec<ClassId> =
            (0..is_here.len()).filter(|at| !is_here[*at]).map(ClassId::from_index).collect();
        if !classes.is_empty() {
            let machines = self.index.outside_classes(self.problem, &is_here, interrupt)?;
            groups.push(ColumnGroup { places: Vec::new(), classes, machines, is_outside_scope: true });
        }
        self.groups = groups;
        self.is_grouped = true;
        self.unions.clear();
        Ok(())
    }

    /// Solves once: adds rows and places that the solution breaks, then columns that improve it. Returns how many columns came: without
    /// any the solution is that of all columns. A bound that was proven stays if the solve is stopped.
    pub(crate) fn solve_round(
        &mut self,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(MasterSolution, usize), ComposeError> {
        let before = self.program.pivots();
        self.solve_rows(i128::MAX, interrupt)?;
        let (duals, at_duals) = self.duals();
        // Columns that come are not in it.
        let used = self.program.used().collect();
        let (added, unpriced) = self.add_improving(&duals, None, interrupt)?;
        let bound = at_duals.unwrap_or(i128::MIN);
        self.bound = self.bound.max(unpriced.farley_bound(bound, self.leases()));
        let pivots = self.program.pivots() - before;
        Ok((MasterSolution { used, duals, last: (bound, unpriced), pivots }, added))
    }

    /// Whether the program has a solution with the columns that there are.
    pub(crate) fn is_possible(&self) -> bool {
        self.program.is_possible()
    }

    /// Solves with the columns that there are; rows and places come that the solution breaks.
    pub(super) fn solve_rows(
        &mut self,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<LpEnd, ComposeError> {
        loop {
            let (problem, pool, columns) = (self.problem, &self.pool, &self.column_set);
            let end =
                self.program.solve(problem, pool, columns, cutoff, &mut || !interrupt.should_continue());
            let used: UsedColumns = self.program.used().collect();
            let places = self.violated_by_leases(&used);
            if places.is_empty() || end != LpEnd::Optimal || !interrupt.should_continue() {
                return Ok(end);
            }
            self.add_place_rows(places, interrupt)?;
        }
    }

    /// The dual values of the solved program, and the bound that they give if no column has a reduced cost below zero.
    pub(super) fn duals(&self) -> (Duals, Option<i128>) {
        self.duals_within(&BranchBounds::new())
    }

    /// The same for a part of the plans.
    pub(super) fn duals_within(&self, part: &BranchBounds) -> (Duals, Option<i128>) {
        let LpDuals { of_rows, of_totals, of_stock, of_branches } = self.program.duals(&self.pool);
        let mip = &self.pool.mip;
        let mut bounds = VarBounds::of(mip);
        for (key, (low, high)) in part {
            if let BranchKey::Count(key) = key
                && let Some(var) = self.pool.count_at(*key)
            {
                bounds.lower[var] = bounds.lower[var].max(*low);
                bounds.upper[var] = bounds.upper[var].min(*high);
            }
        }
        let of_counts = of_branches.iter().filter_map(|(key, dual)| match key {
            BranchKey::Count(key) => Some((*key, *dual)),
            BranchKey::Pair(..) => None,
        });
        let complete = self.pool.complete_duals(of_rows, &of_totals, of_counts);
        let mut duals = Duals::new(self.problem, mip, complete);
        let mut bound = lagrangian_bound(mip, &bounds, &duals.rows);
        for (key, dual) in of_branches {
            if let (BranchKey::Pair(one, two), Some((low, high))) = (key, part.get(&key))
                && dual != 0
            {
                let limit = if dual > 0 { *low } else { *high };
                let all = dual.saturating_mul(limit.into()) >> SCALE_BITS;
                bound = bound.and_then(|bound| bound.checked_add(all));
                duals.add_pair((one, two), dual);
            }
        }
        for (key, stock, dual) in of_stock {
            duals.add_stock(key, dual);
            let all = dual.saturating_mul(stock.into()) >> SCALE_BITS;
            bound = bound.and_then(|bound| bound.checked_add(all));
        }
        (duals, bound)
    }

    /// The work of its linear programs: the same number on every machine.
    pub(super) fn work(&self) -> u64 {
        self.program.work()
    }

    /// Drops rows of the program that no longer count. No leases are fixed and no counts bounded.
    pub(super) fn tidy(&mut self) {
        self.program.tidy(self.problem, &self.pool, &self.column_set);
    }

    pub(super) fn pool(&self) -> &RowPool {
        &self.pool
    }

    /// An upper bound on the number of leases in a plan.
    pub(super) fn leases(&self) -> i128 {
        self.problem.components.iter().map(|(_, spec)| i128::from(spec.max)).sum()
    }

    /// Adds columns with negative reduced costs. Returns their number, and the pricing bound of the columns that are
    /// not in the master.
    pub(super) fn add_improving(
        &mut self,
        duals: &Duals,
        rest: Option<&IdVec<ComponentIx, u32>>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(usize, PricingBound), ComposeError> {
        self.group(interrupt)?;
        let problem = self.problem;
        let mut fresh: Vec<Column> = Vec::new();
        let mut unpriced = PricingBound::default();
        // Places where replicas are worth the same are priced as one.
        let mut alike: BTreeMap<Vec<i64>, Vec<usize>> = BTreeMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            let dual_value = duals.dual_value(group.places.iter().copied());
            alike.entry(dual_value.into_inner()).or_default().push(at);
        }
        for (dual_value, groups) in alike {
            let dual_value: IdVec<ComponentIx, i64> = dual_value.into_iter().collect();
            let pricing = Pricing { problem, rules: self.rules, duals, dual_value: &dual_value, rest };
            let limits = (-1, COLUMNS_PER_ROUND + problem.components.len() / 2);
            let machines = match groups.as_slice() {
                [one] => &self.groups[*one].machines,
                several => {
                    if !self.unions.contains_key(several) {
                        let all = several.iter().flat_map(|at| self.groups[*at].machines.iter().copied());
                        let union = skyline(problem, all.collect(), interrupt)?;
                        self.unions.insert(several.to_vec(), union);
                    }
                    &self.unions[several]
                }
            };
            let priced = best_patterns(&pricing, machines, limits, interrupt)?;
            self.inexact += priced.inexact;
            unpriced.merge(priced.bound);
            fresh.extend(priced.columns.into_iter().map(|(_, column)| column));
            for component in self.products() {
                if rest.is_some_and(|rest| rest[component] == 0) {
                    continue;
                }
                let classes = || groups.iter().flat_map(|at| &self.groups[*at].classes);
                interrupt.charge(classes().count() / 2)?;
                let here = classes().flat_map(|class| self.index.products(component, *class));
                let mut good: Vec<(i64, &Column)> = here
                    .map(|column| (pricing.reduced_cost(column), column))
                    .filter(|(reduced, _)| *reduced < -1)
                    .collect();
                good.sort_by_key(|(reduced, column)| (*reduced, column.offer, column.retained));
                for (reduced, column) in &good {
                    unpriced.record(*reduced, column.objective(&problem.stage).unwrap_or(0));
                }
                // The best column, and while its stock is limited the next.
                let enough = good.iter().position(|(_, column)| column.stock.is_none());
                let count = enough.map_or(good.len(), |at| at + 1);
                fresh.extend(good[..count].iter().map(|(_, column)| (*column).clone()));
            }
        }
        Ok((self.add(fresh), unpriced))
    }

    /// The reduced cost of a column.
    pub(crate) fn reduced_cost(&self, solution: &MasterSolution, column: &Column) -> i64 {
        self.priced(solution, column.class, |pricing| pricing.reduced_cost(column))
    }

    /// Prices columns of one place class at the dual values of a solved master.
    pub(super) fn priced<T>(
        &self,
        solution: &MasterSolution,
        class: ClassId,
        then: impl FnOnce(&Pricing<'_>) -> T,
    ) -> T {
        let dual_value = solution.duals.dual_value(self.places_of(class));
        then(&Pricing {
            problem: self.problem,
            rules: self.rules,
            duals: &solution.duals,
            dual_value: &dual_value,
            rest: None,
        })
    }

    /// Components that are not machines.
    pub(super) fn products(&self) -> impl Iterator<Item = ComponentIx> {
        let components = self.problem.components.iter();
        components.filter(|(_, spec)| spec.kind != OfferKind::Machine).map(|(component, _)| component)
    }

    /// The program of some columns in the master's scope.
    pub(crate) fn mip(
        &self,
        column_set: &ColumnSet,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Mip, ComposeError> {
        Mip::new(self.problem, column_set, &PlaceScope::Some(self.scope.clone()), None, interrupt)
    }
}
