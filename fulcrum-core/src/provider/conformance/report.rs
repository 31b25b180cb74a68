//! The report of the suite.

use std::fmt;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "why")]
#[non_exhaustive]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// The promise was broken; how.
    Failed(String),
    /// The promise was not checked; why.
    Skipped(String),
}

/// One checked promise of the contract.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Check {
    /// The promise, as a sentence.
    pub name: &'static str,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All checks, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Report {
    /// One check for each promise.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no promise was broken. Skipped checks prove nothing: read the report.
    pub fn is_passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The broken promises.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "passed   {name}")?,
                Outcome::Failed(reason) => writeln!(f, "FAILED   {name}: {reason}")?,
                Outcome::Skipped(reason) => writeln!(f, "skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}
