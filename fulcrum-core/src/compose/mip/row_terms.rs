//! Rows that look at leases themselves and not at the replicas on them: what each counts of a lease. Said once, so
//! that a column is priced by the same measure_terms that it has in a row.

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{ids::ComponentIx, problem::Problem},
        presolve::columns::Column,
    },
    model::Measure,
};

/// An offer to be bought, or services that run already.
pub(crate) type StockKey = (OfferIx, Option<usize>);

/// What a row counts of each lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowTerm {
    /// One of an offer's stock, or of services that run.
    Stock(StockKey),
    /// One of an offer that must be used.
    MustUse(OfferIx),
    /// One that retained pinned services, at this position in `Problem::running`, with all that is on them.
    Pinned(usize),
    /// Replicas of a component that stay where they are.
    Retained(ComponentIx),
    /// So much of a measure.
    Measure(Measure),
    /// So much of the limited resource at this position, on leases that carry one of these components; on all if none
    /// are named.
    Resource(usize, Vec<ComponentIx>),
}

impl RowTerm {
    /// How much a lease counts.
    pub(crate) fn factor(&self, problem: &Problem<'_>, column: &Column) -> i64 {
        match self {
            Self::Stock(stocked) => i64::from((column.offer, column.retained) == *stocked),
            Self::MustUse(offer) => i64::from(column.offer == *offer),
            Self::Pinned(at) => {
                let holds =
                    |(component, count): &(ComponentIx, u32)| on(&column.members, *component) >= *count;
                i64::from(column.retained == Some(*at) && problem.running[*at].members.iter().all(holds))
            }
            Self::Retained(component) => column.retained.map_or(0, |at| {
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
pub(crate) fn on(members: &[(ComponentIx, u32)], component: ComponentIx) -> u32 {
    members.iter().find(|(c, _)| *c == component).map_or(0, |(_, count)| *count)
}
