//! The Pareto frontier of two measures, by ε-constraints.

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

/// A Pareto frontier: no other plan beats one of its plans in both measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frontier {
    /// The two measures.
    pub measures: [Measure; 2],
    /// The plans, from the best in the first measure to the best in the second. Each is made for the blueprint with
    /// the two measures as a lexicographic objective.
    pub plans: Vec<Plan>,
    /// Whether these are all plans, down to the requested resolution, and each is proven.
    pub is_complete: bool,
}

impl Frontier {
    /// The values of a plan in the two measures.
    pub fn values(&self, plan: &Plan) -> [Decimal; 2] {
        self.measures.map(|measure| plan.measures.get(measure).unwrap_or_default())
    }
}

/// Finds the Pareto frontier of two measures by ε-constraints (Y. Haimes, L. Lasdon, D. Wismer, IEEE Trans. Syst. Man
/// Cybern. 1, 1971).
///
/// Each point minimises the first measure, then the second under that value; the next point caps the second measure
/// below it. The second stage excludes dominated points (K. Miettinen, *Nonlinear Multiobjective Optimization*, 1999,
/// §3.2).
///
/// Exact: every point is found that differs from its neighbour by at least `step` in the second measure, in its unit.
/// Steps below a millionth count as one. If `watch` stops a search, the frontier ends with the plans so far.
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
            break; // no value is negative
        }
        match best(catalogue, &blueprint, &options, watch) {
            Ok(None) => break,
            Ok(Some(plan)) => {
                frontier.is_complete = plan.is_optimal();
                frontier.plans.push(plan);
            }
            Err(ComposeError::Stopped { .. }) => frontier.is_complete = false,
            Err(error) => return Err(error),
        }
    }
    Ok(frontier)
}
