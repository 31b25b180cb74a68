//! Dual values of the restricted master, in the form that the pricing problem needs.

use rustc_hash::FxHashMap;

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{
            ids::ComponentIx,
            place_classes::PartitionKey,
            problem::{Candidate, Problem},
        },
        id_vec::{Id, IdVec},
        lp::safe_bound::{descale, floor_to_micros, micros_to_scaled},
        mip::{
            model::{Mip, Row},
            row_terms::{RowTerm, StockKey},
        },
        presolve::columns::Column,
    },
    model::Measure,
};

/// Measures that a lease adds to directly.
const MEASURES: [Measure; 3] = [Measure::Cost, Measure::Carbon, Measure::Sovereignty];

/// Dual values of replicas and of the other rows over leases.
pub(crate) struct Duals {
    /// The dual value of each row in whole micro-units. Rows over measures and resources keep fractions, as their
    /// units may be worth less than one.
    pub(crate) rows: IdVec<Row, i128>,
    /// The objective weight of each of `MEASURES` less the dual value of its cap; never negative.
    weights: [i128; 3],
    /// The dual value of one unit of stock, by offer or running group.
    stock: FxHashMap<StockKey, i128>,
    /// Dual values of leases that carry both of two components.
    pairs: Vec<((ComponentIx, ComponentIx), i128)>,
    /// Dual values of all other rows over leases.
    terms: Vec<(RowTerm, i128)>,
    /// The dual value of a replica anywhere, and what is to be added in a place.
    anywhere: IdVec<ComponentIx, i64>,
    in_place: FxHashMap<(PartitionKey, usize), Vec<(ComponentIx, i64)>>,
}

impl Duals {
    /// Zero dual values: the objective alone.
    pub(crate) fn none(problem: &Problem<'_>) -> Self {
        let weights = MEASURES.map(|measure| micros_to_scaled(problem.stage.weight(measure)));
        Self {
            rows: IdVec::new(),
            weights,
            stock: FxHashMap::default(),
            pairs: Vec::new(),
            terms: Vec::new(),
            anywhere: problem.components.ids().map(|_| 0).collect(),
            in_place: FxHashMap::default(),
        }
    }

    pub(crate) fn new(problem: &Problem<'_>, mip: &Mip, duals: IdVec<Row, i128>) -> Self {
        let mut exact: IdVec<Row, bool> = duals.ids().map(|_| false).collect();
        for (term, row) in &mip.lease_rows {
            exact[*row] = matches!(term, RowTerm::Measures(_) | RowTerm::Resource(..));
        }
        let rounded = |(row, scaled): (Row, &i128)| {
            if exact[row] { *scaled } else { micros_to_scaled(floor_to_micros(*scaled)) }
        };
        let rows = duals.iter().map(rounded).collect();
        let mut duals = Self { rows, ..Self::none(problem) };
        // The rows that define replicas come first, one for each component.
        for component in problem.components.ids() {
            duals.anywhere[component] = floor_to_micros(duals.rows[Row::from_index(component.index())]);
        }
        for (key, place, component, row) in &mip.place_rows {
            let dual = floor_to_micros(duals.rows[*row]);
            if dual != 0 {
                duals.in_place.entry((*key, *place)).or_default().push((*component, dual));
            }
        }
        for (term, row) in &mip.lease_rows {
            let dual = duals.rows[*row];
            match term {
                _ if dual == 0 => {}
                RowTerm::Stock(stocked) => *duals.stock.entry(*stocked).or_default() -= dual,
                RowTerm::Measures(weights) => {
                    for (of, sum) in MEASURES.iter().zip(&mut duals.weights) {
                        if let Some((_, weight)) = weights.iter().find(|(measure, _)| measure == of) {
                            *sum = sum.saturating_sub(dual.saturating_mul((*weight).into()));
                        }
                    }
                }
                RowTerm::MustUse(_)
                | RowTerm::Pinned(_)
                | RowTerm::Attached(..)
                | RowTerm::Retained(_)
                | RowTerm::Resource(..) => {
                    duals.terms.push((term.clone(), dual));
                }
            }
        }
        duals
    }

    /// Adds the dual value of one unit of stock; never above zero.
    pub(crate) fn add_stock(&mut self, key: StockKey, dual: i128) {
        *self.stock.entry(key).or_default() -= dual;
    }

    /// Adds the dual value of the leases that carry both of two components.
    pub(crate) fn add_pair(&mut self, pair: (ComponentIx, ComponentIx), dual: i128) {
        self.pairs.push((pair, dual));
    }

    /// What leases with both of two components cost more; less than nothing where they are wanted. Rounded down.
    pub(crate) fn pair_prices(&self) -> impl Iterator<Item = ((ComponentIx, ComponentIx), i64)> {
        self.pairs.iter().map(|(pair, dual)| (*pair, floor_to_micros(-*dual)))
    }

    /// At most what the pairs of a component add to its worth.
    pub(crate) fn worth_in_pairs(&self, component: ComponentIx) -> i64 {
        let own = self.pair_prices().filter(|((one, two), _)| *one == component || *two == component);
        own.fold(0i64, |sum, (_, price)| sum.saturating_sub(price.min(0)))
    }

    /// The dual value of a replica of each component in some places.
    pub(crate) fn dual_value(
        &self,
        places: impl IntoIterator<Item = (PartitionKey, usize)>,
    ) -> IdVec<ComponentIx, i64> {
        let mut dual_value = self.anywhere.clone();
        for place in places {
            for (component, dual) in self.in_place.get(&place).into_iter().flatten() {
                dual_value[*component] = dual_value[*component].saturating_add(*dual);
            }
        }
        dual_value
    }

    /// The cost of a lease less all dual values but those of its replicas, in micro-units rounded down.
    pub(crate) fn lease_cost(&self, problem: &Problem<'_>, column: &Column) -> i64 {
        let mut sum = self.measured(MEASURES.map(|measure| column.measure(measure)));
        sum = sum.saturating_add(self.taken(column.offer, column.retained));
        for ((one, two), dual) in &self.pairs {
            let has = |it: &ComponentIx| column.members.iter().any(|(component, _)| component == it);
            if has(one) && has(two) {
                sum = sum.saturating_sub(*dual);
            }
        }
        for (term, dual) in &self.terms {
            let factor = term.factor(problem, column);
            sum = sum.saturating_sub(dual.saturating_mul(factor.into()));
        }
        descale(sum)
    }

    /// A lower bound on [`lease_cost`](Self::lease_cost) for any replicas; the part that depends on replicas is in
    /// [`replica_premium`](Self::replica_premium).
    pub(crate) fn min_lease_cost(&self, problem: &Problem<'_>, candidate: &Candidate) -> i64 {
        let metrics = problem.metrics_of(candidate);
        let mut sum = self.measured([candidate.base, metrics.carbon, 0]);
        sum = sum.saturating_add(self.taken(candidate.offer, candidate.retained()));
        for (term, dual) in &self.terms {
            let most = match term {
                RowTerm::MustUse(offer) if *offer == candidate.offer => *dual,
                RowTerm::Pinned(at) if candidate.retained() == Some(*at) => (*dual).max(0),
                RowTerm::Attached(parts, whole, component) => match candidate.retained() {
                    Some(at) if parts.contains(&at) => *dual,
                    Some(at) if *whole == Some(at) => {
                        let most = problem.components[*component].max;
                        dual.saturating_neg().max(0).saturating_mul(most.into())
                    }
                    _ => 0,
                },
                RowTerm::Resource(at, only) => {
                    let all = dual.saturating_mul(metrics.uses[*at].into());
                    if only.is_empty() { all } else { all.max(0) }
                }
                RowTerm::MustUse(_) | RowTerm::Pinned(_) => 0,
                RowTerm::Retained(_) | RowTerm::Stock(_) | RowTerm::Measures(_) => 0, // by replica, or counted above
            };
            sum = sum.saturating_sub(most);
        }
        descale(sum)
    }

    /// An upper bound on what a replica is worth beyond its dual value on this candidate: it stays, or lacks
    /// sovereignty points.
    pub(crate) fn replica_premium(
        &self,
        problem: &Problem<'_>,
        candidate: &Candidate,
        component: ComponentIx,
    ) -> i64 {
        let mut sum =
            -self.weights[2].saturating_mul(problem.metrics_of(candidate).sovereignty_shortfall.into());
        if let Some(at) = candidate.retained() {
            let stays = problem.running[at].members.iter().any(|(c, _)| *c == component);
            for (term, dual) in self.terms.iter().filter(|_| stays) {
                if *term == RowTerm::Retained(component) {
                    sum = sum.saturating_add((*dual).max(0));
                }
            }
        }
        -descale(-sum)
    }

    /// A lower bound on the cost of a GiB of further disk.
    pub(crate) fn gib_cost(&self, problem: &Problem<'_>, candidate: &Candidate) -> i64 {
        descale(self.weights[0].saturating_mul(problem.gib_cost(candidate).into()))
    }

    fn measured(&self, metrics: [i64; 3]) -> i128 {
        let parts = self.weights.iter().zip(metrics);
        parts.fold(0i128, |sum, (weight, figure)| sum.saturating_add(weight.saturating_mul(figure.into())))
    }

    fn taken(&self, offer: OfferIx, retained: Option<usize>) -> i128 {
        if self.stock.is_empty() { 0 } else { self.stock.get(&(offer, retained)).copied().unwrap_or(0) }
    }
}

/// A lower bound on the objective of any lease of a candidate.
pub(crate) fn objective(problem: &Problem<'_>, candidate: &Candidate) -> i64 {
    let metrics = problem.metrics_of(candidate);
    let metrics = [candidate.base, metrics.carbon, metrics.sovereignty_shortfall];
    MEASURES.iter().zip(metrics).fold(0i64, |sum, (measure, figure)| {
        sum.saturating_add(figure.saturating_mul(problem.stage.weight(*measure)))
    })
}

/// The axes of dominance: the objective, capped measures, limited resources.
pub(crate) fn axes(problem: &Problem<'_>, candidate: &Candidate) -> Vec<i64> {
    let metrics = problem.metrics_of(candidate);
    let capped = problem.stage.capped().filter_map(|measure| match measure {
        Measure::Cost => Some(candidate.base),
        Measure::Carbon => Some(metrics.carbon),
        Measure::Sovereignty => Some(metrics.sovereignty_shortfall),
        Measure::Latency | Measure::WorstLatency | Measure::Providers => None,
    });
    let uses = metrics.uses.iter().map(|used| i64::try_from(*used).unwrap_or(i64::MAX));
    [objective(problem, candidate)].into_iter().chain(capped).chain(uses).collect()
}
