//! The conditions of a scope as rows over replicas: a program without columns, from which the coefficients of each column follow.

use std::{collections::BTreeMap, hash::BuildHasher};

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::compose::{
    error::ComposeError,
    formulation::{ids::ComponentIx, place_classes::PartitionKey, problem::Problem},
    id_vec::{Id, IdVec},
    interrupt::InterruptCheck,
    mip::{
        model::{Mip, Role, Row, Var},
        place_scope::PlaceScope,
        row_terms::RowTerm,
    },
    presolve::columns::{Column, ColumnSet},
};

/// Which replicas a variable of the program counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Total(ComponentIx),
    At(ComponentIx, PartitionKey, usize),
    /// None: it is a variable of its own.
    Nothing,
}

/// The replicas of a component in one place.
pub(crate) type CountKey = (ComponentIx, PartitionKey, usize);

/// A whole number of each plan, by which plans are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum BranchKey {
    /// The replicas of a component in a place.
    Count(CountKey),
    /// The leases that carry both components.
    Pair(ComponentIx, ComponentIx),
}

impl BranchKey {
    /// What a lease of a column adds to it.
    pub(crate) fn factor(self, problem: &Problem<'_>, column: &Column) -> u32 {
        let count = |component: ComponentIx| {
            column.members.iter().find(|(it, _)| *it == component).map_or(0, |(_, count)| *count)
        };
        match self {
            Self::Count((component, key, place)) => {
                let is_here = problem.places.partition(key).place_of[column.class] == place;
                if is_here { count(component) } else { 0 }
            }
            Self::Pair(one, two) => u32::from(count(one) > 0 && count(two) > 0),
        }
    }
}

/// A part of the plans: for some of their numbers, at least and at most.
pub(crate) type BranchBounds = BTreeMap<BranchKey, (i64, i64)>;

/// One condition.
#[derive(Debug, Clone)]
pub(crate) struct PoolRow {
    pub(crate) row: Row,
    pub(crate) lower: Option<i64>,
    pub(crate) upper: Option<i64>,
    /// Counts, and variables of their own.
    pub(crate) terms: Vec<(Var, i64)>,
    pub(crate) of_leases: Option<RowTerm>,
    /// Equal for equal conditions of all scopes.
    pub(crate) key: u64,
}

/// The rows of a scope. Those that only define counts are left out.
#[derive(Debug, Clone)]
pub(crate) struct RowPool {
    pub(crate) mip: Mip,
    pub(crate) rows: Vec<PoolRow>,
    pub(crate) counted: IdVec<Var, Counted>,
    /// The variable and the defining row of each count.
    totals: IdVec<ComponentIx, Var>,
    at: FxHashMap<CountKey, (Var, Row)>,
    /// The rows of each variable, by their positions in `rows`.
    rows_of: IdVec<Var, Vec<(u32, i64)>>,
    /// Rows over terms of leases, by their positions.
    of_leases: Vec<u32>,
}

impl RowPool {
    pub(crate) fn new(
        problem: &Problem<'_>,
        scope: &PlaceScope,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let none = ColumnSet { columns: IdVec::new(), patterns: 0 };
        let mut mip = Mip::of_any_size(problem, &none, scope, Some(1), interrupt)?;
        // Each row of the linear program has its own ones.
        for var in mip.cost.ids().filter(|var| mip.role[*var] == Role::Artificial) {
            mip.upper[var] = 0;
        }
        let mut counted: IdVec<Var, Counted> = mip.cost.ids().map(|_| Counted::Nothing).collect();
        let components = problem.components.len();
        let mut totals = IdVec::new();
        for component in problem.components.ids() {
            // The program begins with them, in this order; so do the rows that define them.
            let var = Var::from_index(component.index());
            counted[var] = Counted::Total(component);
            totals.push(var);
        }
        let defined: FxHashMap<Row, _> = mip
            .place_rows
            .iter()
            .map(|(key, place, component, row)| (*row, (*component, *key, *place)))
            .collect();
        let mut at = FxHashMap::default();
        for var in mip.cost.ids().filter(|var| mip.role[*var] == Role::ReplicasAt) {
            let mut rows = mip.coefficients[var].iter().filter(|(_, factor)| *factor == -1);
            if let Some((row, place)) = rows.find_map(|(row, _)| Some((*row, *defined.get(row)?))) {
                counted[var] = Counted::At(place.0, place.1, place.2);
                at.insert(place, (var, row));
            }
        }
        let is_definition = |row: Row| row.index() < components || defined.contains_key(&row);
        let of_leases: FxHashMap<Row, &RowTerm> =
            mip.lease_rows.iter().map(|(term, row)| (*row, term)).collect();
        let mut position: IdVec<Row, u32> = mip.row_lower.ids().map(|_| u32::MAX).collect();
        let mut rows: Vec<PoolRow> = Vec::new();
        for row in mip.row_lower.ids().filter(|row| !is_definition(*row)) {
            position[row] = rows.len() as u32;
            rows.push(PoolRow {
                row,
                lower: mip.row_lower[row],
                upper: mip.row_upper[row],
                terms: Vec::new(),
                of_leases: of_leases.get(&row).map(|term| (*term).clone()),
                key: 0,
            });
        }
        let mut rows_of: IdVec<Var, Vec<(u32, i64)>> = mip.cost.ids().map(|_| Vec::new()).collect();
        for var in mip.cost.ids().filter(|var| mip.role[*var] != Role::Artificial) {
            for (row, factor) in &mip.coefficients[var] {
                let at = position[*row];
                if at != u32::MAX {
                    rows[at as usize].terms.push((var, *factor));
                    rows_of[var].push((at, *factor));
                }
            }
        }
        let mut seen: FxHashMap<u64, u64> = FxHashMap::default();
        for row in &mut rows {
            let mut terms: Vec<(u64, i64)> = row.terms.iter().map(|(var, a)| (mip.names[*var], *a)).collect();
            terms.sort_unstable();
            let lease = row.of_leases.as_ref().map(|term| format!("{term:?}"));
            let key = FxBuildHasher.hash_one((row.lower, row.upper, terms, lease));
            let times = seen.entry(key).or_default();
            *times += 1;
            row.key = FxBuildHasher.hash_one((key, *times));
        }
        let of_leases = (0..rows.len() as u32).filter(|at| rows[*at as usize].of_leases.is_some()).collect();
        Ok(Self { mip, rows, counted, totals, at, rows_of, of_leases })
    }

    /// The variable of the replicas of a component in a place.
    pub(crate) fn count_at(&self, key: CountKey) -> Option<Var> {
        self.at.get(&key).map(|(var, _)| *var)
    }

    /// The counts that a lease of a column adds to.
    pub(crate) fn counts<'s>(
        &'s self,
        problem: &'s Problem<'_>,
        column: &'s Column,
    ) -> impl Iterator<Item = (Var, i64)> + 's {
        column.members.iter().flat_map(move |(component, count)| {
            let partitions = problem.places.partitions.iter();
            let here = partitions.filter_map(move |partition| {
                let place = partition.place_of[column.class];
                self.at.get(&(*component, partition.key, place)).map(|(var, _)| *var)
            });
            let count = i64::from(*count);
            [self.totals[*component]].into_iter().chain(here).map(move |var| (var, count))
        })
    }

    /// The coefficients of a column, by the rows' positions; one row may come several times.
    pub(crate) fn terms<'s>(
        &'s self,
        problem: &'s Problem<'_>,
        column: &'s Column,
    ) -> impl Iterator<Item = (u32, i64)> + 's {
        let counted = self.counts(problem, column).flat_map(|(var, count)| {
            self.rows_of[var].iter().map(move |(row, factor)| (*row, factor.saturating_mul(count)))
        });
        let of_leases = self.of_leases.iter().filter_map(move |at| {
            let term = self.rows[*at as usize].of_leases.as_ref()?;
            Some((*at, term.factor(problem, column))).filter(|(_, factor)| *factor != 0)
        });
        counted.chain(of_leases)
    }

    /// Dual values of all rows of the program: those of the conditions as they are told, and those of the definitions, which
    /// follow. `of_total` is the dual value of each component's total itself, `of_counts` that of bounds on counts.
    pub(crate) fn complete_duals(
        &self,
        of_rows: impl IntoIterator<Item = (u32, i128)>,
        of_total: &IdVec<ComponentIx, i128>,
        of_counts: impl IntoIterator<Item = (CountKey, i128)>,
    ) -> IdVec<Row, i128> {
        let mut duals: IdVec<Row, i128> = self.mip.row_lower.ids().map(|_| 0).collect();
        let mut of_var: FxHashMap<Var, i128> = FxHashMap::default();
        for (at, dual) in of_rows {
            if dual == 0 {
                continue;
            }
            let row = &self.rows[at as usize];
            duals[row.row] = dual;
            for (var, factor) in &row.terms {
                if self.counted[*var] != Counted::Nothing {
                    let sum = of_var.entry(*var).or_default();
                    *sum = sum.saturating_add(dual.saturating_mul((*factor).into()));
                }
            }
        }
        for (key, own) in of_counts {
            if let Some((var, _)) = self.at.get(&key) {
                let sum = of_var.entry(*var).or_default();
                *sum = sum.saturating_add(own);
            }
        }
        for (component, own) in of_total.iter() {
            let more = of_var.get(&self.totals[component]).copied().unwrap_or(0);
            duals[Row::from_index(component.index())] = own.saturating_add(more);
        }
        for (var, sum) in of_var {
            if let Counted::At(component, key, place) = self.counted[var] {
                let (_, row) = self.at[&(component, key, place)];
                duals[row] = sum;
            }
        }
        duals
    }
}
