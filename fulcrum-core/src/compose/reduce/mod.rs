//! From offers to columns: what a lease can carry, and the cheapest offers that carry it.

mod dominance;
mod patterns;
mod products;

use super::{
    id_vec::IdVec,
    problem::{ClassId, CompId, Cost, Problem},
};
use crate::catalogue::OfferIx;

super::id_vec::id_type!(
    /// A kind of lease: an offer with what it carries.
    ColumnId
);

/// A kind of lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Replicas on it; sorted, never empty, counts above zero.
    pub(crate) members: Vec<(CompId, u32)>,
    pub(crate) offer: OfferIx,
    pub(crate) class: ClassId,
    /// Never negative.
    pub(crate) cost: Cost,
    /// GiB bought with it or as it.
    pub(crate) size_gib: u64,
    /// How many of the offer can be had, over all columns with it.
    pub(crate) stock: Option<u32>,
}

/// All columns that an optimal plan may need.
#[derive(Debug)]
pub(crate) struct Reduced {
    pub(crate) columns: IdVec<ColumnId, Column>,
    pub(crate) patterns: usize,
    /// Whether there were too many patterns and some are missing: then the optimum is not proven.
    pub(crate) is_truncated: bool,
}

/// Reduces a problem to columns.
pub(crate) fn reduce(problem: &Problem<'_>) -> Reduced {
    let mut columns = Vec::new();
    let (patterns, is_truncated) = patterns::enumerate(problem, &mut columns);
    let products = products::columns(problem, &mut columns);
    Reduced { columns: columns.into_iter().collect(), patterns: patterns + products, is_truncated }
}

/// Of several offers that can carry the same in the same place only the cheapest matters; where its stock is
/// limited the next one too, and so on. Ties go to the lower offer id, for the sake of a fixed answer.
///
/// Safe because constraints see the carried replicas and the class of places, never the offer itself.
pub(crate) fn keep_cheapest(options: &mut Vec<Column>) {
    options.sort_by_key(|column| (column.class, column.cost, column.offer));
    let mut satisfied = None;
    options.retain(|column| {
        if satisfied == Some(column.class) {
            return false;
        }
        if column.stock.is_none() {
            satisfied = Some(column.class);
        }
        column.stock != Some(0)
    });
}
