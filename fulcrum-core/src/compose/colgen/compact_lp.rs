//! The restricted master as a linear program: a row for each component, and rows of conditions once the solution breaks them.
//!
//! Counts of replicas are no unknowns here: conditions are rows over columns. An unknown that only conditions outside the program
//! name is zero, which is its best value, as costs are never negative. So a program with fewer rows is a relaxation. Each row may be
//! broken at a high price, so that the program has a solution while columns are still to come.
#![expect(
    clippy::float_arithmetic,
    reason = "advice only: dual values are rounded to integers, and bounds and plans are computed from these"
)]

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::row_pool::{BranchKey, CountKey, Counted, RowPool};
use crate::compose::{
    formulation::{ids::ComponentIx, problem::Problem},
    id_vec::{Id, IdVec},
    lp::{
        safe_bound::{SCALE_BITS, micros_to_scaled},
        sparse::{LpEnd, LpRow, LpVar, SparseLp},
    },
    mip::{
        model::Var,
        row_terms::{RowTerm, StockKey},
    },
    presolve::columns::{Column, ColumnId, ColumnSet},
};

/// How far a condition may be missed; wider than the rows are widened.
const ROW_TOLERANCE: f64 = 2e-4;
/// What rows must add to the bound, as a part of it, and solves in which they need not.
const LEAST_GAIN: f64 = 1e-5;
const MAX_IDLE_SOLVES: u32 = 2;
/// Rows that may be lifted or loose.
const MAX_LOOSE_ROWS: usize = 300;
/// Rows that come at a time.
const MAX_ENTERING_ROWS: usize = 150;
/// Leases below this count as none.
pub(super) const LEASE_TOLERANCE: f64 = 1e-7;
/// What columns cost on average in the program, so that its tolerances mean the same for each blueprint.
const MEAN_COST: f64 = 64.0;

#[derive(Clone)]
pub(crate) struct CompactLp {
    pub(super) lp: SparseLp,
    pub(super) columns: IdVec<ColumnId, LpVar>,
    /// The columns of each component, with the replicas of a lease.
    pub(super) carriers: IdVec<ComponentIx, Vec<(ColumnId, u32)>>,
    totals: IdVec<ComponentIx, LpRow>,
    by_key: FxHashMap<u64, LpRow>,
    by_name: FxHashMap<u64, LpVar>,
    /// The row of each condition of the pool that is in the program.
    active: Vec<Option<LpRow>>,
    stock: BTreeMap<StockKey, (LpRow, u32)>,
    /// Rows that bound the numbers by which plans are split.
    pub(super) branches: BTreeMap<BranchKey, LpRow>,
    /// What each row is multiplied with.
    scale: Vec<f64>,
    /// What costs are multiplied with.
    pub(super) cost_unit: f64,
    /// The price of a row that is broken by one, and the variables that break rows.
    big_m: f64,
    breaks: Vec<LpVar>,
    /// Columns of which some leases are fixed.
    fixed: Vec<ColumnId>,
}

/// Columns with their leases in a solution, which need not be whole.
pub(crate) type UsedColumns = Vec<(ColumnId, f64)>;

/// Dual values in the unit of the safe bound.
pub(crate) struct LpDuals {
    /// By position in the pool.
    pub(crate) of_rows: Vec<(u32, i128)>,
    pub(crate) of_totals: IdVec<ComponentIx, i128>,
    pub(crate) of_stock: Vec<(StockKey, u32, i128)>,
    pub(crate) of_branches: Vec<(BranchKey, i128)>,
}

impl CompactLp {
    /// The totals alone. `mean`: what columns cost; `dearest`: above what any replica is worth.
    pub(crate) fn new(problem: &Problem<'_>, mean: i64, dearest: i64) -> Self {
        let cost_unit = MEAN_COST / (mean.max(1) as f64);
        Self::of_totals(problem, cost_unit, dearest as f64 * cost_unit)
    }

    fn of_totals(problem: &Problem<'_>, cost_unit: f64, big_m: f64) -> Self {
        let mut program = Self {
            lp: SparseLp::default(),
            columns: IdVec::new(),
            carriers: problem.components.ids().map(|_| Vec::new()).collect(),
            totals: IdVec::new(),
            by_key: FxHashMap::default(),
            by_name: FxHashMap::default(),
            active: Vec::new(),
            stock: BTreeMap::new(),
            branches: BTreeMap::new(),
            scale: Vec::new(),
            cost_unit,
            big_m,
            breaks: Vec::new(),
            fixed: Vec::new(),
        };
        for (_, spec) in problem.components.iter() {
            let low = if spec.is_optional { 0 } else { spec.min };
            let row = program.add_row((Some(low.into()), Some(spec.max.into())), 1.0, Vec::new());
            program.totals.push(row);
        }
        program
    }

    pub(super) fn add_row(
        &mut self,
        (lower, upper): (Option<i64>, Option<i64>),
        scale: f64,
        terms: Vec<(LpVar, f64)>,
    ) -> LpRow {
        let low = lower.map_or(f64::NEG_INFINITY, |low| low as f64 * scale);
        let high = upper.map_or(f64::INFINITY, |high| high as f64 * scale);
        let row = self.lp.add_row((low, high), terms.into_iter().map(|(var, a)| (var, a * scale)));
        self.scale.push(scale);
        if lower.is_some() {
            self.breaks.push(self.lp.add_var(self.big_m, (0.0, f64::INFINITY), [(row, 1.0)]));
        }
        if upper.is_some() {
            self.breaks.push(self.lp.add_var(self.big_m, (0.0, f64::INFINITY), [(row, -1.0)]));
        }
        row
    }

    /// Adds a column.
    pub(crate) fn add_column(&mut self, problem: &Problem<'_>, pool: &RowPool, column: &Column) {
        let id = ColumnId::from_index(self.columns.len());
        let mut terms: FxHashMap<LpRow, f64> = FxHashMap::default();
        for (component, count) in &column.members {
            self.carriers[*component].push((id, *count));
            *terms.entry(self.totals[*component]).or_default() += f64::from(*count);
        }
        for (at, factor) in pool.terms(problem, column) {
            if let Some(row) = self.active[at as usize] {
                *terms.entry(row).or_default() += factor as f64 * self.scale[row.index()];
            }
        }
        if let Some((row, _)) = self.stock.get(&(column.offer, column.retained)) {
            *terms.entry(*row).or_default() += 1.0;
        }
        for (key, row) in &self.branches {
            let factor = key.factor(problem, column);
            if factor > 0 {
                *terms.entry(*row).or_default() += f64::from(factor);
            }
        }
        let cost = column.objective(&problem.stage).unwrap_or(i64::MAX) as f64 * self.cost_unit;
        let mut terms: Vec<(LpRow, f64)> = terms.into_iter().collect();
        terms.sort_unstable_by_key(|(row, _)| *row);
        let var = self.lp.add_var(cost, (0.0, f64::INFINITY), terms);
        self.columns.push(var);
    }

    /// Makes the program anew with the rows that bind, if most of its rows are lifted or loose: each pivot looks at all of them.
    pub(crate) fn tidy(&mut self, problem: &Problem<'_>, pool: &RowPool, column_set: &ColumnSet) {
        let is_tight = |row: &LpRow| self.lp.dual_value(*row) != 0.0;
        let tight: Vec<u32> = (0..self.active.len() as u32)
            .filter(|at| self.active[*at as usize].as_ref().is_some_and(is_tight))
            .collect();
        let used = self.totals.len() + self.stock.len() + tight.len();
        if self.lp.row_count() < MAX_LOOSE_ROWS + 3 * used {
            return;
        }
        let (stock, before) = (std::mem::take(&mut self.stock), (self.lp.pivots, self.lp.work));
        *self = Self::of_totals(problem, self.cost_unit, self.big_m);
        (self.lp.pivots, self.lp.work) = before;
        self.active = vec![None; pool.rows.len()];
        for (_, column) in column_set.columns.iter() {
            self.add_column(problem, pool, column);
        }
        for at in tight {
            self.activate(problem, pool, column_set, at);
        }
        for (key, (_, stock)) in stock {
            self.add_stock_row(column_set, key, stock);
        }
    }

    fn add_stock_row(&mut self, column_set: &ColumnSet, key: StockKey, stock: u32) {
        let all = column_set.columns.iter().filter(|(_, it)| (it.offer, it.retained) == key);
        let terms = all.map(|(id, _)| (self.columns[id], 1.0)).collect();
        let row = self.add_row((None, Some(stock.into())), 1.0, terms);
        self.stock.insert(key, (row, stock));
    }

    /// Takes the rows of another scope: conditions that are the same stay, and others that were in the program are lifted.
    pub(crate) fn set_pool(&mut self, pool: &RowPool) {
        self.active = pool.rows.iter().map(|row| self.by_key.get(&row.key).copied()).collect();
        let kept: FxHashSet<u64> = pool.rows.iter().map(|row| row.key).collect();
        let gone: Vec<u64> = self.by_key.keys().copied().filter(|key| !kept.contains(key)).collect();
        for key in gone {
            if let Some(row) = self.by_key.remove(&key) {
                self.lp.lift(row);
            }
        }
    }

    /// Solves, and adds the rows that the solution breaks until there is none.
    pub(crate) fn solve(
        &mut self,
        problem: &Problem<'_>,
        pool: &RowPool,
        column_set: &ColumnSet,
        cutoff: i128,
        should_stop: &mut dyn FnMut() -> bool,
    ) -> LpEnd {
        let cutoff = self.lp_cost(cutoff);
        let (mut before, mut idle) = (f64::NEG_INFINITY, 0);
        loop {
            let end = self.lp.solve(cutoff, should_stop);
            if end != LpEnd::Optimal {
                return end;
            }
            let broken = self.broken(problem, pool, column_set);
            let sold_out = self.sold_out(column_set);
            if broken.is_empty() && sold_out.is_empty() {
                return end;
            }
            // Rows that only move leases to places of the same worth go on without end.
            let objective = self.lp.objective();
            idle = if objective > before + objective.abs() * LEAST_GAIN { 0 } else { idle + 1 };
            before = objective;
            if idle >= MAX_IDLE_SOLVES {
                return end;
            }
            self.add_rows(problem, pool, column_set, broken, sold_out);
        }
    }

    /// Adds rows that the solution breaks. Returns their number.
    pub(crate) fn add_broken_rows(
        &mut self,
        problem: &Problem<'_>,
        pool: &RowPool,
        column_set: &ColumnSet,
    ) -> usize {
        let broken = self.broken(problem, pool, column_set);
        let sold_out = self.sold_out(column_set);
        let count = broken.len() + sold_out.len();
        self.add_rows(problem, pool, column_set, broken, sold_out);
        count
    }

    fn add_rows(
        &mut self,
        problem: &Problem<'_>,
        pool: &RowPool,
        column_set: &ColumnSet,
        mut broken: Vec<(f64, u32)>,
        sold_out: Vec<(StockKey, u32)>,
    ) {
        broken.sort_by(|(a, left), (b, right)| b.total_cmp(a).then(left.cmp(right)));
        for (_, at) in broken.into_iter().take(MAX_ENTERING_ROWS) {
            self.activate(problem, pool, column_set, at);
        }
        for (key, stock) in sold_out {
            self.add_stock_row(column_set, key, stock);
        }
    }

    pub(super) fn lp_cost(&self, cost: i128) -> f64 {
        if cost == i128::MAX { f64::INFINITY } else { cost as f64 * self.cost_unit }
    }

    /// The columns that carry a component in a place, with the replicas of a lease.
    fn carriers_at<'s>(
        &'s self,
        problem: &'s Problem<'_>,
        column_set: &'s ColumnSet,
        (component, key, place): CountKey,
    ) -> impl Iterator<Item = (LpVar, f64)> + 's {
        let partition = problem.places.partition(key);
        self.carriers[component].iter().filter_map(move |(id, count)| {
            let is_here = partition.place_of[column_set.columns[*id].class] == place;
            is_here.then_some((self.columns[*id], f64::from(*count)))
        })
    }

    /// Requires at least so many leases of a column.
    pub(crate) fn fix(&mut self, id: ColumnId, leases: i64) {
        self.fixed.push(id);
        self.lp.set_bounds(self.columns[id], (leases as f64, f64::INFINITY));
    }

    /// Requires no leases any more.
    pub(crate) fn free_all(&mut self) {
        for id in std::mem::take(&mut self.fixed) {
            self.lp.set_bounds(self.columns[id], (0.0, f64::INFINITY));
        }
    }

    /// Whether the solution costs less than a plan.
    pub(crate) fn is_below(&self, cutoff: i128) -> bool {
        self.lp.objective() < self.lp_cost(cutoff)
    }

    /// Whether the solution breaks no row.
    pub(crate) fn is_possible(&self) -> bool {
        self.breaks.iter().all(|var| self.lp.value(*var) < ROW_TOLERANCE)
    }

    /// The replicas that the solution has, by the variables of the pool that count them.
    pub(crate) fn count_values(
        &self,
        problem: &Problem<'_>,
        pool: &RowPool,
        column_set: &ColumnSet,
    ) -> IdVec<Var, f64> {
        let mut values: IdVec<Var, f64> = pool.counted.ids().map(|_| 0.0).collect();
        for (id, leases) in self.used() {
            for (var, count) in pool.counts(problem, &column_set.columns[id]) {
                values[var] += leases * count as f64;
            }
        }
        values
    }

    /// Conditions outside the program that the solution breaks, and by how much.
    fn broken(&self, problem: &Problem<'_>, pool: &RowPool, column_set: &ColumnSet) -> Vec<(f64, u32)> {
        let mut values = self.count_values(problem, pool, column_set);
        let used: UsedColumns = self.used().collect();
        for (var, counted) in pool.counted.iter() {
            if *counted == Counted::Nothing
                && let Some(own) = self.by_name.get(&pool.mip.names[var])
            {
                values[var] = self.lp.value(*own);
            }
        }
        let mut broken = Vec::new();
        for (at, row) in pool.rows.iter().enumerate().filter(|(at, _)| self.active[*at].is_none()) {
            let mut sum: f64 = row.terms.iter().map(|(var, a)| values[*var] * *a as f64).sum();
            let mut most = row.terms.iter().map(|(_, a)| a.unsigned_abs()).max().unwrap_or(1);
            if let Some(term) = &row.of_leases {
                for (id, leases) in &used {
                    let factor = term.factor(problem, &column_set.columns[*id]);
                    sum += factor as f64 * leases;
                    most = most.max(factor.unsigned_abs());
                }
            }
            let below = row.lower.map_or(0.0, |low| low as f64 - sum);
            let above = row.upper.map_or(0.0, |high| sum - high as f64);
            let by = below.max(above) / most.max(1) as f64;
            if by > ROW_TOLERANCE {
                broken.push((by, at as u32));
            }
        }
        broken
    }

    /// Offers of which more leases are used than there are.
    fn sold_out(&self, column_set: &ColumnSet) -> Vec<(StockKey, u32)> {
        let mut used: BTreeMap<StockKey, (f64, u32)> = BTreeMap::new();
        for (id, leases) in self.used() {
            let column = &column_set.columns[id];
            if let Some(stock) = column.stock {
                used.entry((column.offer, column.retained)).or_insert((0.0, stock)).0 += leases;
            }
        }
        let is_short = |(key, (leases, stock)): &(StockKey, (f64, u32))| {
            *leases > f64::from(*stock) + ROW_TOLERANCE && !self.stock.contains_key(key)
        };
        used.into_iter().filter(is_short).map(|(key, (_, stock))| (key, stock)).collect()
    }

    /// Adds a condition of the pool as a row.
    fn activate(&mut self, problem: &Problem<'_>, pool: &RowPool, column_set: &ColumnSet, at: u32) {
        let row = &pool.rows[at as usize];
        let mut terms: BTreeMap<LpVar, f64> = BTreeMap::new();
        let mut most = 1.0f64;
        for (var, factor) in &row.terms {
            let factor = *factor as f64;
            most = most.max(factor.abs());
            match pool.counted[*var] {
                Counted::Total(component) => {
                    for (id, count) in &self.carriers[component] {
                        *terms.entry(self.columns[*id]).or_default() += factor * f64::from(*count);
                    }
                }
                Counted::At(component, key, place) => {
                    for (var, count) in self.carriers_at(problem, column_set, (component, key, place)) {
                        *terms.entry(var).or_default() += factor * count;
                    }
                }
                Counted::Nothing => *terms.entry(self.own(pool, *var)).or_default() += factor,
            }
        }
        if let Some(term) = &row.of_leases {
            for (id, column) in column_set.columns.iter() {
                let factor = term.factor(problem, column) as f64;
                if factor != 0.0 {
                    most = most.max(factor.abs());
                    *terms.entry(self.columns[id]).or_default() += factor;
                }
            }
        }
        // Counts keep their order of magnitude; money and GiB get the same one.
        let scale = if most > 65_536.0 { 0.5f64.powi(most.log2() as i32) } else { 1.0 };
        let added = self.add_row((row.lower, row.upper), scale, terms.into_iter().collect());
        self.active[at as usize] = Some(added);
        self.by_key.insert(row.key, added);
    }

    /// A variable of the pool that counts nothing.
    fn own(&mut self, pool: &RowPool, var: Var) -> LpVar {
        let (lp, unit) = (&mut self.lp, self.cost_unit);
        *self.by_name.entry(pool.mip.names[var]).or_insert_with(|| {
            let bounds = (pool.mip.lower[var] as f64, pool.mip.upper[var] as f64);
            lp.add_var(pool.mip.cost[var] as f64 * unit, bounds, [])
        })
    }

    /// The columns that the solution uses, each with its leases.
    pub(crate) fn used(&self) -> impl Iterator<Item = (ColumnId, f64)> + '_ {
        let all = self.columns.iter().map(|(id, var)| (id, self.lp.value(*var)));
        all.filter(|(_, leases)| *leases > LEASE_TOLERANCE)
    }

    /// The dual values, rounded to whole micro-units; those of measures and resources keep fractions, as their units may be worth
    /// less than one.
    pub(crate) fn duals(&self, pool: &RowPool) -> LpDuals {
        let fixed = |row: LpRow, is_exact: bool, (lower, upper): (bool, bool)| {
            let dual = self.lp.dual_value(row) * self.scale[row.index()] / self.cost_unit;
            let may = if dual > 0.0 { lower } else { upper };
            match (may, is_exact) {
                (false, _) => 0,
                (true, true) => (dual * (1u64 << SCALE_BITS) as f64).round() as i128,
                (true, false) => micros_to_scaled(dual.round() as i64),
            }
        };
        let active = self.active.iter().enumerate().filter_map(|(at, row)| Some((at as u32, (*row)?)));
        let of_rows = active.map(|(at, row)| {
            let condition = &pool.rows[at as usize];
            let is_exact = matches!(condition.of_leases, Some(RowTerm::Measures(_) | RowTerm::Resource(..)));
            (at, fixed(row, is_exact, (condition.lower.is_some(), condition.upper.is_some())))
        });
        LpDuals {
            of_rows: of_rows.collect(),
            of_totals: self.totals.iter().map(|(_, row)| fixed(*row, false, (true, true))).collect(),
            of_stock: self
                .stock
                .iter()
                .map(|(key, (row, stock))| (*key, *stock, fixed(*row, false, (false, true))))
                .collect(),
            of_branches: self
                .branches
                .iter()
                .map(|(key, row)| (*key, fixed(*row, false, self.lp.row_limits(*row))))
                .collect(),
        }
    }

    /// Entries that the simplex has looked at: the same number on every machine.
    pub(crate) fn work(&self) -> u64 {
        self.lp.work
    }

    pub(crate) fn pivots(&self) -> u64 {
        self.lp.pivots
    }
}
