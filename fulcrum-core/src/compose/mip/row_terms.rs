//! Rows that look at leases themselves and not at the replicas on them: what each counts of a lease. Said once, so
//! that a column is priced by the same figures that it has in a row.

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{ids::CompId, problem::Problem},
        presolve::columns::Column,
    },
    model::Measure,
};

/// An offer to be bought, or services that run already.
pub(crate) type Stocked = (OfferIx, Option<usize>);

/// What a row counts of each lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// One of an offer's stock, or of services that run.
    Stock(Stocked),
    /// One of an offer that must be used.
    Used(OfferIx),
    /// One that keeps pinned services, at this position in `Problem::running`, with all that is on them.
    Pinned(usize),
    /// Replicas of a component that stay where they are.
    Stays(CompId),
    /// So much of a measure.
    Measure(Measure),
    /// So much of the limited resource at this position, on leases that carry one of these components; on all if none
    /// are named.
    Resource(usize, Vec<CompId>),
}

impl Term {
    /// How much a lease counts.
    pub(crate) fn factor(&self, problem: &Problem<'_>, column: &Column) -> i64 {
        match self {
            Self::Stock(stocked) => i64::from((column.offer, column.keeps) == *stocked),
            Self::Used(offer) => i64::from(column.offer == *offer),
            Self::Pinned(at) => {
                let holds = |(component, count): &(CompId, u32)| on(&column.members, *component) >= *count;
                i64::from(column.keeps == Some(*at) && problem.running[*at].members.iter().all(holds))
            }
            Self::Stays(component) => column.keeps.map_or(0, |at| {
                on(&column.members, *component).min(on(&problem.running[at].members, *component)).into()
            }),
            Self::Measure(measure) => column.measure(*measure),
            Self::Resource(at, only) => {
                let counts = only.is_empty() || column.members.iter().any(|(c, _)| only.contains(c));
                if counts { i64::try_from(column.uses[*at]).unwrap_or(i64::MAX) } else { 0 }
            }
        }
    }
}

/// How many replicas of a component are among some.
pub(crate) fn on(members: &[(CompId, u32)], component: CompId) -> u32 {
    members.iter().find(|(c, _)| *c == component).map_or(0, |(_, count)| *count)
}
