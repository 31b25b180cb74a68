//! What leases cost and replicas are worth at the multipliers of a relaxation: what it takes to price a column that
//! the relaxation does not know.

use rustc_hash::FxHashMap;

use crate::{
    catalogue::OfferIx,
    compose::{
        formulation::{
            ids::CompId,
            place_classes::Cut,
            problem::{Candidate, Problem},
        },
        id_vec::{Id, IdVec},
        lp::safe_bound::{scaled_whole, unscaled, whole},
        mip::{
            model::{Program, Row},
            row_terms::Term,
        },
        presolve::columns::Column,
    },
    model::Measure,
};

/// Measures of which a lease is so much.
const MEASURES: [Measure; 3] = [Measure::Cost, Measure::Carbon, Measure::Sovereignty];

/// Prices of replicas and of all else that rows count of leases.
pub(crate) struct Prices {
    /// The multiplier of each row: whole micro-units, save those of rows over measures and resources, whose units may
    /// be worth less than one.
    pub(crate) rows: IdVec<Row, i128>,
    /// What a unit of each of `MEASURES` counts: its weight, and what its cap makes of it; never negative.
    weights: [i128; 3],
    /// What one more lease of an offer, or of what runs already, takes from the others.
    stock: FxHashMap<(OfferIx, Option<usize>), i128>,
    /// What the other rows give for what they count.
    terms: Vec<(Term, i128)>,
}

impl Prices {
    /// Without any multipliers: what is minimised, and nothing else.
    pub(crate) fn none(problem: &Problem<'_>) -> Self {
        let weights = MEASURES.map(|measure| scaled_whole(problem.aim.weight(measure)));
        Self { rows: IdVec::new(), weights, stock: FxHashMap::default(), terms: Vec::new() }
    }

    pub(crate) fn new(problem: &Problem<'_>, program: &Program, multipliers: IdVec<Row, i128>) -> Self {
        let mut exact: IdVec<Row, bool> = multipliers.ids().map(|_| false).collect();
        for (term, row) in &program.lease_rows {
            exact[*row] = matches!(term, Term::Measure(_) | Term::Resource(..));
        }
        let rounded = |(row, scaled): (Row, &i128)| {
            if exact[row] { *scaled } else { scaled_whole(whole(*scaled)) }
        };
        let rows = multipliers.iter().map(rounded).collect();
        let mut prices = Self { rows, ..Self::none(problem) };
        for (term, row) in &program.lease_rows {
            let multiplier = prices.rows[*row];
            match term {
                _ if multiplier == 0 => {}
                Term::Stock(stocked) => *prices.stock.entry(*stocked).or_default() -= multiplier,
                Term::Measure(measure) => {
                    for (of, weight) in MEASURES.iter().zip(&mut prices.weights) {
                        *weight = if of == measure { weight.saturating_sub(multiplier) } else { *weight };
                    }
                }
                Term::Used(_) | Term::Pinned(_) | Term::Stays(_) | Term::Resource(..) => {
                    prices.terms.push((term.clone(), multiplier));
                }
            }
        }
        prices
    }

    /// What each component's replica is worth in some places.
    pub(crate) fn worth(
        &self,
        problem: &Problem<'_>,
        program: &Program,
        places: &[(Cut, usize)],
    ) -> IdVec<CompId, i64> {
        // The rows that define replicas come first, one for each component.
        let of = |row: Row| whole(self.rows[row]);
        let mut worth: IdVec<CompId, i64> =
            problem.components.ids().map(|component| of(Row::from_index(component.index()))).collect();
        for (cut, place, component, row) in &program.at_rows {
            if places.contains(&(*cut, *place)) {
                worth[*component] = worth[*component].saturating_add(of(*row));
            }
        }
        worth
    }

    /// What a lease counts, in micro-units rounded down, besides what its replicas are worth.
    pub(crate) fn of(&self, problem: &Problem<'_>, column: &Column) -> i64 {
        let mut sum = self.measured(MEASURES.map(|measure| column.measure(measure)));
        sum = sum.saturating_add(self.taken(column.offer, column.keeps));
        for (term, multiplier) in &self.terms {
            let factor = term.factor(problem, column);
            sum = sum.saturating_sub(multiplier.saturating_mul(factor.into()));
        }
        unscaled(sum)
    }

    /// What a lease of a candidate counts at least, whatever it carries. What depends on how many replicas it carries
    /// is in [`more`](Self::more).
    pub(crate) fn least(&self, problem: &Problem<'_>, candidate: &Candidate) -> i64 {
        let figures = problem.figures_of(candidate);
        let mut sum = self.measured([candidate.base, figures.carbon, 0]);
        sum = sum.saturating_add(self.taken(candidate.offer, candidate.keeps()));
        for (term, multiplier) in &self.terms {
            let most = match term {
                Term::Used(offer) if *offer == candidate.offer => *multiplier,
                Term::Pinned(at) if candidate.keeps() == Some(*at) => (*multiplier).max(0),
                Term::Resource(at, only) => {
                    let all = multiplier.saturating_mul(figures.uses[*at].into());
                    if only.is_empty() { all } else { all.max(0) }
                }
                Term::Used(_) | Term::Pinned(_) => 0,
                Term::Stays(_) | Term::Stock(_) | Term::Measure(_) => 0, // by replica, or counted above
            };
            sum = sum.saturating_sub(most);
        }
        unscaled(sum)
    }

    /// What a replica is worth more on a candidate than elsewhere, at most: it stays, or misses points of sovereignty.
    pub(crate) fn more(&self, problem: &Problem<'_>, candidate: &Candidate, component: CompId) -> i64 {
        let mut sum = -self.weights[2].saturating_mul(problem.figures_of(candidate).missing.into());
        if let Some(at) = candidate.keeps() {
            let stays = problem.running[at].members.iter().any(|(c, _)| *c == component);
            for (term, multiplier) in self.terms.iter().filter(|_| stays) {
                if *term == Term::Stays(component) {
                    sum = sum.saturating_add((*multiplier).max(0));
                }
            }
        }
        -unscaled(-sum)
    }

    /// What a GiB of further disk counts at least.
    pub(crate) fn gib(&self, problem: &Problem<'_>, candidate: &Candidate) -> i64 {
        unscaled(self.weights[0].saturating_mul(problem.gib_cost(candidate).into()))
    }

    fn measured(&self, figures: [i64; 3]) -> i128 {
        let parts = self.weights.iter().zip(figures);
        parts.fold(0i128, |sum, (weight, figure)| sum.saturating_add(weight.saturating_mul(figure.into())))
    }

    fn taken(&self, offer: OfferIx, keeps: Option<usize>) -> i128 {
        if self.stock.is_empty() { 0 } else { self.stock.get(&(offer, keeps)).copied().unwrap_or(0) }
    }
}

/// What is minimised of any lease of a candidate at least.
pub(crate) fn objective(problem: &Problem<'_>, candidate: &Candidate) -> i64 {
    let figures = problem.figures_of(candidate);
    let figures = [candidate.base, figures.carbon, figures.missing];
    MEASURES.iter().zip(figures).fold(0i64, |sum, (measure, figure)| {
        sum.saturating_add(figure.saturating_mul(problem.aim.weight(*measure)))
    })
}

/// What candidates are compared in: what is minimised, and all that is limited.
pub(crate) fn axes(problem: &Problem<'_>, candidate: &Candidate) -> Vec<i64> {
    let figures = problem.figures_of(candidate);
    let capped = problem.aim.caps.iter().filter_map(|(measure, _)| match measure {
        Measure::Cost => Some(candidate.base),
        Measure::Carbon => Some(figures.carbon),
        Measure::Sovereignty => Some(figures.missing),
        Measure::Latency | Measure::WorstLatency | Measure::Providers => None,
    });
    let uses = figures.uses.iter().map(|used| i64::try_from(*used).unwrap_or(i64::MAX));
    [objective(problem, candidate)].into_iter().chain(capped).chain(uses).collect()
}
