//! All trade-offs between two measures.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::{
    catalogue::Catalogue,
    compose::{
        error::ComposeError,
        lexicographic::best,
        options::{ComposeOptions, Progress, Signal},
    },
    model::{Blueprint, DocumentError, Measure, Objective, Plan},
};

/// The best plans by two measures: of each no other plan is better in one and as good in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frontier {
    /// What is traded for what.
    pub measures: [Measure; 2],
    /// The plans, from the best in the first measure to the best in the second. Each is made for the blueprint with
    /// the two measures as its objective, in turn.
    pub plans: Vec<Plan>,
    /// Whether these are all, down to the resolution that was asked for, and each is proven.
    pub is_complete: bool,
}

impl Frontier {
    /// The values of a plan in the two measures.
    pub fn values(&self, plan: &Plan) -> [Decimal; 2] {
        self.measures.map(|measure| plan.measures.get(measure).unwrap_or_default())
    }
}

/// Finds the Pareto frontier of two measures by ε-constraints: the best in the first, of those the best in the second,
/// then the same with the second below what was found (Y. Haimes, L. Lasdon, D. Wismer, IEEE Trans. Syst. Man Cybern.
/// 1, 1971; with the second stage no point is dominated: K. Miettinen, *Nonlinear Multiobjective Optimization*, 1999,
/// §3.2). Exact: every trade-off is found that differs from its neighbour by at least `step` in the second measure,
/// in its unit; steps below a millionth count as one.
///
/// `watch` sees each search; when it stops one, the plans so far are the answer.
///
/// # Errors
/// As [`compose`](super::compose()) for the first plan; later ones only end the frontier.
pub fn pareto(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    measures: [Measure; 2],
    step: Decimal,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Frontier, ComposeError> {
    if measures[0] == measures[1] {
        return Err(DocumentError::at("measures", "name two different measures").into());
    }
    let step = step.max(Decimal::new(1, 6));
    let blueprint = Blueprint { objective: Objective::InTurn(measures.to_vec()), ..blueprint.clone() };
    let first = super::compose(catalogue, &blueprint, options, watch)?;
    let mut options = options.clone();
    let mut frontier = Frontier { measures, is_complete: first.is_optimal(), plans: vec![first] };
    while frontier.is_complete {
        let second =
            frontier.plans.last().and_then(|plan| plan.measures.get(measures[1])).unwrap_or_default();
        options.caps.insert(measures[1], second.saturating_sub(step));
        if second < step {
            break; // nothing is below zero
        }
        match best(catalogue, &blueprint, &options, watch) {
            Ok(None) => break,
            Ok(Some(plan)) => {
                frontier.is_complete = plan.is_optimal();
                frontier.plans.push(plan);
            }
            Err(ComposeError::Stopped) => frontier.is_complete = false,
            Err(error) => return Err(error),
        }
    }
    Ok(frontier)
}
