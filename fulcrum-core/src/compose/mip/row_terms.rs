//! Row terms: what a row counts of a lease itself. The rows and the pricing problem both use this definition, so a
//! column is priced by the coefficients that it has.

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{ids::ComponentIx, problem::Problem},
        presolve::columns::Column,
    },
    model::Measure,
};

/// An offer to buy, or a group of running services.
pub(crate) type StockKey = (OfferIx, Option<usize>);

/// What a row counts of each lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowTerm {
    /// One of an offer's stock, or of a group of running services.
    Stock(StockKey),
    /// One lease of an offer that must be used.
    MustUse(OfferIx),
    /// One lease that retains pinned services, at this position in `Problem::running`, with all replicas on them.
    Pinned(usize),
    /// Retained groups whose services are attached to one service, less the replicas of a component that stay on that one, whose
    /// position in `Problem::running` is the second.
    Attached(Vec<usize>, Option<usize>, ComponentIx),
    /// Replicas of a component that stay on their lease.
    Retained(ComponentIx),
    /// A weighted sum of measures.
    Measures(Vec<(Measure, i64)>),
    /// The amount of the limited resource at this position, on leases that carry one of these components; on all
    /// leases if none are named.
    Resource(usize, Vec<ComponentIx>),
}

impl RowTerm {
    /// The coefficient of a lease.
    pub(crate) fn factor(&self, problem: &Problem<'_>, column: &Column) -> i64 {
        match self {
            Self::Stock(stocked) => i64::from((column.offer, column.retained) == *stocked),
            Self::MustUse(offer) => i64::from(column.offer == *offer),
            Self::Pinned(at) => {
                let holds =
                    |(component, count): &(ComponentIx, u32)| on(&column.members, *component) >= *count;
                i64::from(column.retained == Some(*at) && problem.running[*at].members.iter().all(holds))
            }
            Self::Attached(parts, whole, component) => match column.retained {
                Some(at) if parts.contains(&at) => 1,
                Some(at) if *whole == Some(at) => -i64::from(on(&column.members, *component)),
                _ => 0,
            },
            Self::Retained(component) => column.retained.map_or(0, |at| {
                on(&column.members, *component).min(on(&problem.running[at].members, *component)).into()
            }),
            Self::Measures(weights) => weights.iter().fold(0i64, |sum, (measure, weight)| {
                sum.saturating_add(column.measure(*measure).saturating_mul(*weight))
            }),
            Self::Resource(at, only) => {
                let counts = only.is_empty() || column.members.iter().any(|(c, _)| only.contains(c));
                if counts { i64::try_from(column.uses[*at]).unwrap_or(i64::MAX) } else { 0 }
            }
        }
    }
}

/// The replicas of a component among some members.
pub(crate) fn on(members: &[(ComponentIx, u32)], component: ComponentIx) -> u32 {
    members.iter().find(|(c, _)| *c == component).map_or(0, |(_, count)| *count)
}
