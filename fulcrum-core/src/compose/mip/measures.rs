//! What is minimised and what is capped, as costs and rows.

use super::{
    builder::{Builder, too_large},
    model::Var,
    row_terms::Term,
};
use crate::{
    compose::error::ComposeError,
    model::{Limit, Measure},
};

impl Builder<'_> {
    /// One unit of an unknown is so much of a measure.
    pub(super) fn figure(&mut self, var: Var, measure: Measure, amount: i64) {
        if amount != 0 && self.problem.aim.knows(measure) {
            self.program.figures.push((var, measure, amount));
        }
    }

    /// Turns figures into costs, and caps into rows; a cap on what alone is minimised is left to the search.
    pub(super) fn caps(&mut self) -> Result<(), ComposeError> {
        let aim = &self.problem.aim;
        for (var, measure, amount) in std::mem::take(&mut self.program.figures) {
            let more = amount.checked_mul(aim.weight(measure)).ok_or_else(too_large)?;
            self.program.cost[var] = self.program.cost[var].checked_add(more).ok_or_else(too_large)?;
            self.program.figures.push((var, measure, amount));
        }
        for (measure, max) in &aim.caps {
            if aim.single() == Some(*measure) {
                continue;
            }
            let figures: Vec<(Var, i64)> = self
                .program
                .figures
                .iter()
                .filter(|(_, of, _)| of == measure)
                .map(|(var, _, amount)| (*var, *amount))
                .collect();
            let max = i64::try_from(*max).unwrap_or(i64::MAX);
            self.lease_row((None, Some(max)), Term::Measure(*measure), figures);
        }
        Ok(())
    }

    pub(super) fn limit(&mut self, limit: &Limit) {
        let Some(resource) = &limit.resource else { return };
        let at = self.problem.limited.iter().position(|name| name == resource).unwrap_or_default();
        let only: Vec<_> = limit.components.iter().map(|name| self.problem.component(name)).collect();
        // The sum of whole numbers is at most the whole part.
        let max = rust_decimal::prelude::ToPrimitive::to_i64(&limit.max.floor()).unwrap_or(i64::MAX);
        self.lease_row((None, Some(max)), Term::Resource(at, only), None);
    }
}
