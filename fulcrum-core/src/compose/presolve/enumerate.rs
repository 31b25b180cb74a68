//! Enumerates all columns of a problem, if they are not too many.

use super::{columns::ColumnSet, patterns, products};
use crate::compose::{error::ComposeError, formulation::problem::Problem, interrupt::InterruptCheck};

/// Candidates beyond which columns are generated.
const MAX_CANDIDATES: usize = 40_000;

/// All columns of a problem; `None` if there are more patterns, or too many candidates.
///
/// # Errors
/// [`ComposeError::Stopped`].
pub(crate) fn enumerate_columns(
    problem: &Problem<'_>,
    max_patterns: usize,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Option<ColumnSet>, ComposeError> {
    if problem.candidates.len() > MAX_CANDIDATES {
        return Ok(None);
    }
    let mut columns = Vec::new();
    let Some(patterns) = patterns::enumerate(problem, max_patterns, &mut columns, interrupt)? else {
        return Ok(None);
    };
    let products = products::columns(problem, &mut columns);
    Ok(Some(ColumnSet { columns: columns.into_iter().collect(), patterns: patterns + products }))
}
