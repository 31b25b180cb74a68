//! Columns for small programs: those within the gap, in some places, or for some components.

use std::collections::BTreeSet;

use super::{
    knapsack_items::Wanted,
    master::{MasterSolution, RestrictedMaster, distinct},
    pricing::{Pricing, all_patterns, best_patterns},
};
use crate::compose::{
    error::ComposeError,
    formulation::{
        ids::{ClassId, ComponentIx},
        place_classes::PartitionKey,
    },
    id_vec::{Id, IdVec},
    interrupt::InterruptCheck,
    mip::place_scope::PlaceScope,
    presolve::columns::{Column, ColumnSet, nondominated},
};

/// Columns within the gap beyond which the program over all of them is not solved.
const MAX_COLUMNS_WITHIN_GAP: usize = 2_500;
/// Columns of one place class in a neighbourhood.
const MAX_COLUMNS_PER_CLASS: usize = 60;

impl RestrictedMaster<'_> {
    /// All columns that a plan below the cutoff can use: those with a reduced cost below the limit (reduced-cost
    /// fixing). `None` if they are too many.
    pub(crate) fn columns_within_gap(
        &self,
        solution: &MasterSolution,
        cutoff: i128,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Option<ColumnSet>, ComposeError> {
        let problem = self.problem;
        let limit = solution.last.1.reduced_cost_limit(solution.last.0, self.leases(), cutoff);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).min(i64::MAX / 4);
        let mut column_set = ColumnSet { columns: IdVec::new(), patterns: 0 };
        for group in &self.groups {
            let dual_value = solution.duals.dual_value(group.places.iter().copied());
            let pricing = Pricing {
                problem,
                rules: self.rules,
                duals: &solution.duals,
                dual_value: &dual_value,
                rest: None,
            };
            let left = MAX_COLUMNS_WITHIN_GAP.saturating_sub(column_set.columns.len());
            let found = all_patterns(&pricing, &group.machines, Wanted::All, (limit, left), interrupt)?;
            let Some(found) = found else { return Ok(None) };
            interrupt.charge(group.classes.len())?;
            let products = self.products().flat_map(|component| {
                let here = group.classes.iter().flat_map(move |class| self.index.products(component, *class));
                nondominated(problem, here.filter(|column| pricing.reduced_cost(column) <= limit))
            });
            for column in found.into_iter().chain(products) {
                column_set.columns.push(column);
            }
        }
        Ok((column_set.columns.len() <= MAX_COLUMNS_WITHIN_GAP).then_some(column_set))
    }

    /// Columns in some place classes that carry only some components, with a reduced cost of at most `limit`. The
    /// limit is halved until they are not too many.
    pub(crate) fn around(
        &self,
        solution: &MasterSolution,
        components: &[ComponentIx],
        classes: &[ClassId],
        limit: i64,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Vec<Column>, ComposeError> {
        let mut columns = self.special_columns();
        for class in classes {
            let machines = self.index.in_classes(self.problem, &[*class], interrupt)?;
            let found = self.priced(solution, *class, |pricing| {
                for halved in 0..4 {
                    let below = (limit >> halved, MAX_COLUMNS_PER_CLASS);
                    let found = all_patterns(pricing, &machines, Wanted::Only(components), below, interrupt)?;
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

    /// The columns that lie wholly in some places, with more good ones of these places, and the scope.
    pub(crate) fn restrict(
        &self,
        solution: &MasterSolution,
        places: &BTreeSet<(PartitionKey, usize)>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<(ColumnSet, PlaceScope), ComposeError> {
        let is_inside = |class: ClassId| self.places_of(class).all(|place| places.contains(&place));
        let inside: Vec<ClassId> = (0..self.problem.places.classes())
            .map(ClassId::from_index)
            .filter(|class| is_inside(*class))
            .collect();
        let known = self.column_set.columns.iter().map(|(_, column)| column);
        let mut columns: Vec<Column> = known.filter(|column| is_inside(column.class)).cloned().collect();
        for class in &inside {
            let machines = self.index.in_classes(self.problem, &[*class], interrupt)?;
            // Good columns even if the master does not use them.
            let priced = self.priced(solution, *class, |pricing| {
                let slack =
                    pricing.dual_value.iter().map(|(_, dual_value)| *dual_value).max().unwrap_or(0) / 4;
                best_patterns(pricing, &machines, (slack, 6), interrupt)
            })?;
            columns.extend(priced.columns.into_iter().map(|(_, column)| column));
            for component in self.problem.components.ids() {
                columns.extend(self.cheapest(component, *class, &machines));
            }
        }
        Ok((distinct(columns), PlaceScope::Some(places.clone())))
    }

    /// Adds some columns to the master, and returns them with the cheapest of each component in some place classes.
    pub(crate) fn adopt(
        &mut self,
        classes: &BTreeSet<ClassId>,
        columns: Vec<Column>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<ColumnSet, ComposeError> {
        self.add(columns.clone());
        let mut all: Vec<Column> = columns;
        for class in classes {
            let machines = self.index.in_classes(self.problem, &[*class], interrupt)?;
            for component in self.problem.components.ids() {
                all.extend(self.cheapest(component, *class, &machines));
            }
        }
        Ok(distinct(all))
    }
}
