//! All columns of a problem, where they are not too many.

use super::{columns::Reduced, patterns, products};
use crate::compose::{error::ComposeError, formulation::problem::Problem, interrupt::Looks};

/// Candidates beyond which columns are made on demand.
const MAX_CANDIDATES: usize = 40_000;

/// Reduces a problem to all its columns; `None` if they are too many to be written down.
///
/// # Errors
/// [`ComposeError::Stopped`].
pub(crate) fn reduce(problem: &Problem<'_>, looks: &mut Looks<'_>) -> Result<Option<Reduced>, ComposeError> {
    if problem.candidates.len() > MAX_CANDIDATES {
        return Ok(None);
    }
    let mut columns = Vec::new();
    let Some(patterns) = patterns::enumerate(problem, &mut columns, looks)? else { return Ok(None) };
    let products = products::columns(problem, &mut columns);
    Ok(Some(Reduced { columns: columns.into_iter().collect(), patterns: patterns + products }))
}
