//! Why there is no plan.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::{catalogue::Catalogue, compose::verify::Violation, model::DocumentError};

/// There is no plan; see each kind for what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The blueprint is not well formed.
    #[error("the blueprint: {0}")]
    Document(#[from] DocumentError),
    /// Nothing fits.
    #[error("no plan meets the blueprint: {0}")]
    Infeasible(Conflict),
    /// Stopped before a plan was found.
    #[error("stopped before a plan was found; give the search more time, or loosen the blueprint")]
    Stopped,
    /// Beyond the engine's limits.
    #[error("too large to compose: {0}")]
    TooLarge(String),
    /// A plan that was handed in does not belong to the blueprint and catalogue.
    #[error("this is no plan for the blueprint and catalogue ({0}); compose again and ask about that plan")]
    Foreign(Violation),
    /// The verifier refused the plan: a fault of the library.
    #[error("the plan failed its own verification ({0}); it was withheld, please report this")]
    Verification(Violation),
}

impl ComposeError {
    /// A number that stays the same for ever; the C status and the Python exception follow from it.
    pub fn code(&self) -> i32 {
        match self {
            Self::Document(_) => 301,
            Self::Infeasible(_) => 302,
            Self::Stopped => 303,
            Self::TooLarge(_) => 304,
            Self::Verification(_) => 305,
            Self::Foreign(_) => 306,
        }
    }
}

/// Conditions of a blueprint that clash: together no plan meets them; without any one of them a plan exists,
/// as far as [`is_minimal`](Self::is_minimal) says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Where each condition stands in the blueprint, such as `constraints[2].spread`, and what it says.
    pub conditions: Vec<String>,
    /// Whether each of them was shown to be necessary; not so if the search was stopped early.
    pub is_minimal: bool,
    /// What stands out at once, such as a component that no offer at all can hold.
    pub hint: Option<String>,
    /// Single conditions without which there is a plan, and how good the best one is then; the best way out first.
    pub relaxations: Vec<Relaxation>,
}

impl Conflict {
    /// What an empty catalogue has to say; none if it is not empty.
    pub(super) fn of_nothing(catalogue: &Catalogue) -> Option<Self> {
        let hint = Some(catalogue.why_empty()?);
        Some(Self { conditions: Vec::new(), is_minimal: true, hint, relaxations: Vec::new() })
    }
}

/// A way out of a [`Conflict`]: to give up one condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relaxation {
    /// Which, as in [`Conflict::conditions`].
    pub condition: String,
    /// What is minimised, of the best plan without it: of cost so much a month.
    pub objective: Decimal,
    /// Whether that is proven to be the best.
    pub is_proven: bool,
}

impl fmt::Display for Conflict {
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
        match self.relaxations.first() {
            Some(Relaxation { condition, objective, .. }) => {
                write!(f, "; the best way out: without `{condition}` there is a plan at {objective}")
            }
            None => Ok(()),
        }
    }
}
