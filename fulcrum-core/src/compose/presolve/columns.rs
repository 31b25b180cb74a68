//! From offers to columns: what a lease can carry, and the cheapest offers that carry it.

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{
            ids::{ClassId, CompId},
            problem::{Candidate, Problem},
        },
        id_vec::{IdVec, id_type},
        objective::{Aim, Cost},
    },
    model::Measure,
};

id_type!(
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
    /// Emissions, and points of sovereignty missing; zero where the aim does not look at them.
    pub(crate) carbon: i64,
    pub(crate) missing: i64,
    /// Of each limited resource.
    pub(crate) uses: Vec<u64>,
    /// GiB bought with it or as it.
    pub(crate) size_gib: u64,
    /// How many of the offer can be had, over all columns with it; or how many of what runs already there are.
    pub(crate) stock: Option<u32>,
    /// Position in `Problem::running` of the services that it keeps.
    pub(crate) keeps: Option<usize>,
}

impl Column {
    /// A column without its price checks; `None` if a figure leaves its range.
    pub(crate) fn new(
        problem: &Problem<'_>,
        candidate: &Candidate,
        members: Vec<(CompId, u32)>,
        cost: Cost,
        size_gib: u64,
    ) -> Option<Self> {
        let offer = candidate.offer;
        let replicas: i64 = members.iter().map(|(_, count)| i64::from(*count)).sum();
        let figures = problem.figures_of(candidate);
        let is_larger = size_gib > 0 && problem.aim.knows(Measure::Carbon);
        let carbon = if is_larger { problem.carbon(offer, size_gib)? } else { figures.carbon };
        let missing = figures.missing.checked_mul(replicas)?;
        let uses = figures.uses.clone();
        let (class, stock, keeps) = (candidate.class, candidate.stock(), candidate.keeps());
        Some(Self { members, offer, class, cost, carbon, missing, uses, size_gib, stock, keeps })
    }

    /// How much of a measure one such lease is.
    pub(crate) fn measure(&self, measure: Measure) -> i64 {
        match measure {
            Measure::Cost => self.cost,
            Measure::Carbon => self.carbon,
            Measure::Sovereignty => self.missing,
            Measure::Latency | Measure::WorstLatency | Measure::Providers => 0,
        }
    }

    /// What is minimised of it; `None` beyond 64 bits.
    pub(crate) fn objective(&self, aim: &Aim) -> Option<i64> {
        [Measure::Cost, Measure::Carbon, Measure::Sovereignty].into_iter().try_fold(0i64, |sum, measure| {
            sum.checked_add(self.measure(measure).checked_mul(aim.weight(measure))?)
        })
    }
}

/// All columns that an optimal plan may need.
#[derive(Debug, Clone)]
pub(crate) struct Reduced {
    pub(crate) columns: IdVec<ColumnId, Column>,
    pub(crate) patterns: usize,
}

/// The columns that matter of several that can carry the same, in each class of places.
pub(crate) fn keep_cheapest(problem: &Problem<'_>, mut options: Vec<Column>, columns: &mut Vec<Column>) {
    options.sort_by_key(|column| column.class);
    for same in options.chunk_by(|a, b| a.class == b.class) {
        columns.extend(unbeaten(problem, same));
    }
}

/// Of several offers that can carry the same in places that are not told apart only those matter that no other one
/// beats in what is minimised and in everything that is capped: with one axis the cheapest; where its stock is limited
/// the next one too, and so on. Ties go to the lower offer id, for the sake of a fixed answer.
///
/// Safe because constraints see the carried replicas, the class of places and the capped figures, never the offer
/// itself.
pub(crate) fn unbeaten<'c>(
    problem: &Problem<'_>,
    options: impl IntoIterator<Item = &'c Column>,
) -> Vec<Column> {
    let aim = &problem.aim;
    let axes = |column: &Column| -> Option<Vec<i64>> {
        let uses = column.uses.iter().map(|used| i64::try_from(*used).unwrap_or(i64::MAX));
        let capped = aim.caps.iter().map(|(measure, _)| column.measure(*measure));
        Some([column.objective(aim)?].into_iter().chain(capped).chain(uses).collect())
    };
    // What cannot be reckoned with is left out; a price of a thousand million is already refused.
    let mut keyed: Vec<(Vec<i64>, &Column)> = options
        .into_iter()
        .filter(|column| column.stock != Some(0))
        .filter_map(|column| Some((axes(column)?, column)))
        .collect();
    keyed.sort_by(|(a, left), (b, right)| (a, left.offer, left.keeps).cmp(&(b, right.offer, right.keeps)));
    let mut unlimited: Vec<&Vec<i64>> = Vec::new();
    let mut kept = Vec::new();
    for (axes, column) in &keyed {
        let is_beaten = |other: &&Vec<i64>| other.iter().zip(axes).all(|(theirs, own)| theirs <= own);
        let is_apart = column.keeps.is_some() || aim.must_use == Some(column.offer);
        if !is_apart && unlimited.iter().any(is_beaten) {
            continue;
        }
        if column.stock.is_none() {
            unlimited.push(axes);
        }
        kept.push((*column).clone());
    }
    kept
}
