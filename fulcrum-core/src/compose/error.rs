//! Why there is no plan.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::{catalogue::Catalogue, compose::verify::Violation, model::DocumentError};

/// Why [`compose`](super::compose()) returns no plan; each kind says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The blueprint is not well formed.
    #[error("the blueprint: {0}")]
    Document(#[from] DocumentError),
    /// No plan meets all conditions.
    #[error("no plan meets the blueprint: {0}")]
    Infeasible(InfeasibleSet),
    /// Stopped before a plan was found.
    #[error(
        "stopped before a plan was found{}; give the search more time, or loosen the blueprint",
        bound.map_or(String::new(), |bound| format!(", and the objective of any plan is at least {bound} a month"))
    )]
    Stopped {
        /// What the objective of any plan is at least, per month and in its unit, if that is known.
        bound: Option<Decimal>,
    },
    /// The problem exceeds a limit of the engine.
    #[error("too large to compose: {0}")]
    TooLarge(String),
    /// The plan that was handed in does not belong to the blueprint and catalogue.
    #[error(
        "the plan does not belong to the blueprint and catalogue ({0}); compose again, and explain the new plan"
    )]
    PlanMismatch(Violation),
    /// The verifier refused the plan. That is a fault of the library.
    #[error("the plan failed its own verification ({0}); it was withheld, please report this")]
    Verification(Violation),
}

impl ComposeError {
    /// Stopped, and nothing is known.
    pub(crate) const STOPPED: Self = Self::Stopped { bound: None };

    /// A number that never changes; the C status and the Python exception follow from it.
    pub fn code(&self) -> i32 {
        match self {
            Self::Document(_) => 301,
            Self::Infeasible(_) => 302,
            Self::Stopped { .. } => 303,
            Self::TooLarge(_) => 304,
            Self::Verification(_) => 305,
            Self::PlanMismatch(_) => 306,
        }
    }
}

/// Conditions of a blueprint that no plan meets together: an irreducible infeasible set.
///
/// Without any one of its conditions a plan exists, if [`is_minimal`](Self::is_minimal) says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InfeasibleSet {
    /// Where each condition stands in the blueprint, such as `constraints[2].spread`, and what it says.
    pub conditions: Vec<String>,
    /// Whether each condition was shown to be necessary. It is false if the search was stopped early.
    pub is_minimal: bool,
    /// A cause that can be named at once, such as a component that no offer can hold.
    pub hint: Option<String>,
    /// Single conditions whose removal leaves a plan, with the value of the best such plan; the best way out first.
    #[serde(rename = "relaxations")]
    pub ways_out: Vec<WayOut>,
}

impl InfeasibleSet {
    /// The set for an empty catalogue; `None` if the catalogue has offers.
    pub(super) fn of_nothing(catalogue: &Catalogue) -> Option<Self> {
        let hint = Some(catalogue.why_empty()?);
        Some(Self { conditions: Vec::new(), is_minimal: true, hint, ways_out: Vec::new() })
    }
}

/// A way out of an [`InfeasibleSet`]: one condition to give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayOut {
    /// The condition, as in [`InfeasibleSet::conditions`].
    pub condition: String,
    /// The objective of the best plan without the condition, per month.
    pub objective: Decimal,
    /// Whether that plan is proven to be the best.
    pub is_proven: bool,
}

impl fmt::Display for InfeasibleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.conditions.join("; ");
        match (self.conditions.len(), &self.hint) {
            (0, None) => f.write_str("the catalogue has no offers for it")?,
            (0, Some(_)) => {}
            (1, _) => write!(f, "this cannot be met: {conditions}")?,
            _ => write!(f, "these clash, loosen one of them: {conditions}")?,
        }
        match &self.hint {
            Some(hint) if self.conditions.is_empty() => f.write_str(hint)?,
            Some(hint) => write!(f, " ({hint})")?,
            None => {}
        }
        match self.ways_out.first() {
            Some(WayOut { condition, objective, .. }) => {
                write!(f, "; the best way out: without `{condition}` there is a plan at {objective}")
            }
            None => Ok(()),
        }
    }
}
