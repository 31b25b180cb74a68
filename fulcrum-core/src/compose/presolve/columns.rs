//! Columns: kinds of lease. Of columns that carry the same in the same place class only the non-dominated ones stay.

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{
            ids::{ClassId, ComponentIx},
            problem::{Candidate, Problem},
        },
        id_vec::{IdVec, id_type},
        objective::{Cost, ObjectiveStage},
    },
    model::Measure,
};

id_type!(
    /// A column.
    ColumnId
);

/// A column of the integer program: an offer with the replicas on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Replicas on one lease; sorted, never empty, counts above zero.
    pub(crate) members: Vec<(ComponentIx, u32)>,
    pub(crate) offer: OfferIx,
    pub(crate) class: ClassId,
    /// Never negative.
    pub(crate) cost: Cost,
    /// Emissions, and sovereignty points below 100; zero if the stage does not track them.
    pub(crate) carbon: i64,
    pub(crate) sovereignty_shortfall: i64,
    /// Amounts of each limited resource.
    pub(crate) uses: Vec<u64>,
    /// GiB bought with the machine, or as the product.
    pub(crate) size_gib: u64,
    /// How many leases of the offer can be had over all its columns, or the number of running services.
    pub(crate) stock: Option<u32>,
    /// Position in `Problem::running` of the services that the column retains.
    pub(crate) retained: Option<usize>,
}

impl Column {
    /// A column without price checks; `None` if a value leaves its range.
    pub(crate) fn new(
        problem: &Problem<'_>,
        candidate: &Candidate,
        members: Vec<(ComponentIx, u32)>,
        cost: Cost,
        size_gib: u64,
    ) -> Option<Self> {
        let offer = candidate.offer;
        let replicas: i64 = members.iter().map(|(_, count)| i64::from(*count)).sum();
        let metrics = problem.metrics_of(candidate);
        let is_larger = size_gib > 0 && problem.stage.tracks(Measure::Carbon);
        let carbon = if is_larger { problem.carbon(offer, size_gib)? } else { metrics.carbon };
        let sovereignty_shortfall = metrics.sovereignty_shortfall.checked_mul(replicas)?;
        let uses = metrics.uses.clone();
        let (class, stock, retained) = (candidate.class, candidate.stock(), candidate.retained());
        Some(Self {
            members,
            offer,
            class,
            cost,
            carbon,
            sovereignty_shortfall,
            uses,
            size_gib,
            stock,
            retained,
        })
    }

    /// How much of a measure one lease adds.
    pub(crate) fn measure(&self, measure: Measure) -> i64 {
        match measure {
            Measure::Cost => self.cost,
            Measure::Carbon => self.carbon,
            Measure::Sovereignty => self.sovereignty_shortfall,
            Measure::Latency | Measure::WorstLatency | Measure::Providers => 0,
        }
    }

    /// What one lease adds to the objective; `None` beyond 64 bits.
    pub(crate) fn objective(&self, stage: &ObjectiveStage) -> Option<i64> {
        [Measure::Cost, Measure::Carbon, Measure::Sovereignty].into_iter().try_fold(0i64, |sum, measure| {
            sum.checked_add(self.measure(measure).checked_mul(stage.weight(measure))?)
        })
    }
}

/// Columns, and the number of patterns that they came from.
#[derive(Debug, Clone)]
pub(crate) struct ColumnSet {
    pub(crate) columns: IdVec<ColumnId, Column>,
    pub(crate) patterns: usize,
}

/// Adds the non-dominated columns of several that carry the same, in each class of places.
pub(crate) fn push_nondominated(problem: &Problem<'_>, mut options: Vec<Column>, columns: &mut Vec<Column>) {
    options.sort_by_key(|column| column.class);
    for same in options.chunk_by(|a, b| a.class == b.class) {
        columns.extend(nondominated(problem, same));
    }
}

/// The non-dominated columns of several that carry the same in equivalent places.
///
/// A column is dominated if another one of unlimited stock is no worse in the objective, in each capped measure and in
/// each limited resource. Ties go to the lower offer id, so that the answer is always the same.
///
/// Safe because constraints see the carried replicas, the class of places and the capped metrics, never the offer
/// itself.
pub(crate) fn nondominated<'c>(
    problem: &Problem<'_>,
    options: impl IntoIterator<Item = &'c Column>,
) -> Vec<Column> {
    let stage = &problem.stage;
    let axes = |column: &Column| -> Option<Vec<i64>> {
        let uses = column.uses.iter().map(|used| i64::try_from(*used).unwrap_or(i64::MAX));
        let capped = stage.capped().map(|measure| column.measure(measure));
        Some([column.objective(stage)?].into_iter().chain(capped).chain(uses).collect())
    };
    // Columns beyond the range are left out: ingest has refused prices above a thousand million.
    let mut keyed: Vec<(Vec<i64>, &Column)> = options
        .into_iter()
        .filter(|column| column.stock != Some(0))
        .filter_map(|column| Some((axes(column)?, column)))
        .collect();
    keyed.sort_by(|(a, left), (b, right)| {
        (a, left.offer, left.retained).cmp(&(b, right.offer, right.retained))
    });
    let mut unlimited: Vec<&Vec<i64>> = Vec::new();
    let mut kept = Vec::new();
    for (axes, column) in &keyed {
        let dominates = |other: &&Vec<i64>| other.iter().zip(axes).all(|(theirs, own)| theirs <= own);
        let has_own_value = column.retained.is_some() || stage.must_use == Some(column.offer);
        if !has_own_value && unlimited.iter().any(dominates) {
            continue;
        }
        if column.stock.is_none() {
            unlimited.push(axes);
        }
        kept.push((*column).clone());
    }
    kept
}
