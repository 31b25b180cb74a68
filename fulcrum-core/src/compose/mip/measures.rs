//! Measures: the objective as costs, and caps as rows.

use super::{
    builder::{Builder, too_large},
    model::Var,
    row_terms::RowTerm,
};
use crate::{
    compose::error::ComposeError,
    model::{Limit, Measure},
};

impl Builder<'_> {
    /// Adds `amount` of a measure to each unit of a variable.
    pub(super) fn count_measure(&mut self, var: Var, measure: Measure, amount: i64) {
        if amount != 0 && self.problem.stage.tracks(measure) {
            self.mip.measure_terms.push((var, measure, amount));
        }
    }

    /// Turns measure terms into costs, and caps into rows. A cap on the single minimised measure is left to the
    /// search, as a cutoff.
    pub(super) fn caps(&mut self) -> Result<(), ComposeError> {
        let stage = &self.problem.stage;
        for (var, measure, amount) in std::mem::take(&mut self.mip.measure_terms) {
            let more = amount.checked_mul(stage.weight(measure)).ok_or_else(too_large)?;
            self.mip.cost[var] = self.mip.cost[var].checked_add(more).ok_or_else(too_large)?;
            self.mip.measure_terms.push((var, measure, amount));
        }
        for cap in &stage.caps {
            if cap.single_measure().is_some_and(|measure| stage.single_measure() == Some(measure)) {
                continue;
            }
            let mut terms: Vec<(Var, i64)> = Vec::new();
            for (var, of, amount) in &self.mip.measure_terms {
                if let Some((_, weight)) = cap.weights.iter().find(|(measure, _)| measure == of) {
                    terms.push((*var, amount.checked_mul(*weight).ok_or_else(too_large)?));
                }
            }
            let max = i64::try_from(cap.max).map_err(|_| too_large())?;
            self.lease_row((None, Some(max)), RowTerm::Measures(cap.weights.clone()), terms);
        }
        Ok(())
    }

    pub(super) fn limit(&mut self, limit: &Limit) {
        let Some(resource) = &limit.resource else { return };
        let at = self.problem.limited.iter().position(|name| name == resource).unwrap_or_default();
        let only: Vec<_> = limit.components.iter().map(|name| self.problem.component(name)).collect();
        // A sum of whole numbers is at most the whole part of its limit.
        let max = rust_decimal::prelude::ToPrimitive::to_i64(&limit.max.floor()).unwrap_or(i64::MAX);
        self.lease_row((None, Some(max)), RowTerm::Resource(at, only), None);
    }
}
