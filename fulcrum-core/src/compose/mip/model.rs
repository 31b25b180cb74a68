//! The integer program: how many of each kind of lease, under the blueprint's conditions as rows.
//!
//! Columns for leases enter it through rows that define replica counts only: of a component in all, and of a
//! component in one place. All other conditions speak of those counts. So a condition on places that are not in
//! the scope leaves rows out and never adds any: a program with a smaller scope is a relaxation.

use super::row_terms::Term;
use crate::compose::{
    formulation::{ids::CompId, place_classes::Cut},
    id_vec::{IdVec, id_type},
    objective::Cost,
    presolve::columns::ColumnId,
};

id_type!(
    /// A whole-numbered unknown.
    Var
);
id_type!(
    /// A linear condition.
    Row
);

/// What an unknown stands for; the order is that in which the search decides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Whether an optional component is deployed.
    Deployed,
    /// Whether a place is used, or holds a component.
    Place,
    /// Whether a price tier is reached.
    Tier,
    /// Where a group of users is served from.
    Served,
    /// Replicas of a component.
    Replicas,
    /// Replicas of a component in one place.
    ReplicasAt,
    /// Replicas that talk to a place.
    Flow,
    /// Leases of one kind.
    Leases,
    /// A figure that follows from the others, such as GiB in a price tier.
    Figure,
    /// What no column gives, such as replicas that none carries.
    Missing,
}

/// Where replicas send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To another region that holds the receiver, whichever.
    Elsewhere,
    /// To this region.
    Region(usize),
}

/// Replicas of one site that send along one link.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// Position in the blueprint's links.
    pub(crate) link: usize,
    pub(crate) site: usize,
    pub(crate) target: Target,
    /// How many.
    pub(crate) var: Var,
}

/// A group of users who may be served from a site.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) component: CompId,
    /// Position in the component's users.
    pub(crate) group: usize,
    pub(crate) site: usize,
    /// Whether.
    pub(crate) var: Var,
}

/// Minimise `cost · x` with `low ≤ x ≤ high` and `row_low ≤ A x ≤ row_high`, all whole numbers.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) cost: IdVec<Var, Cost>,
    pub(crate) low: IdVec<Var, i64>,
    pub(crate) high: IdVec<Var, i64>,
    pub(crate) role: IdVec<Var, Role>,
    /// Entries of each column of `A`, at most one a row.
    pub(crate) entries: IdVec<Var, Vec<(Row, i64)>>,
    pub(crate) row_low: IdVec<Row, Option<i64>>,
    pub(crate) row_high: IdVec<Row, Option<i64>>,
    /// The unknown that counts the leases of each column.
    pub(crate) leases: IdVec<ColumnId, Var>,
    /// Who talks to whom from where.
    pub(crate) flows: Vec<Flow>,
    /// Which users are served from where.
    pub(crate) served: Vec<Served>,
    /// The row that defines the replicas of a component in a place.
    pub(crate) at_rows: Vec<(Cut, usize, CompId, Row)>,
    /// Rows that look at leases themselves.
    pub(crate) lease_rows: Vec<(Term, Row)>,
    /// Figures other than those of leases; see `measures`.
    pub(super) figures: Vec<(Var, crate::model::Measure, i64)>,
}

impl Program {
    /// Entries of its table.
    pub(crate) fn size(&self) -> usize {
        self.cost.len().saturating_mul(self.row_low.len())
    }

    pub(crate) fn empty() -> Self {
        Self {
            cost: IdVec::new(),
            low: IdVec::new(),
            high: IdVec::new(),
            role: IdVec::new(),
            entries: IdVec::new(),
            row_low: IdVec::new(),
            row_high: IdVec::new(),
            leases: IdVec::new(),
            flows: Vec::new(),
            served: Vec::new(),
            at_rows: Vec::new(),
            lease_rows: Vec::new(),
            figures: Vec::new(),
        }
    }

    /// The cost of an assignment, if it meets every row and limit.
    pub(crate) fn check(&self, values: &IdVec<Var, i64>) -> Option<i128> {
        let mut sums: IdVec<Row, i128> = self.row_low.ids().map(|_| 0).collect();
        let mut cost = 0i128;
        for (var, &value) in values.iter() {
            if value < self.low[var] || value > self.high[var] {
                return None;
            }
            if value == 0 {
                continue;
            }
            cost += i128::from(value) * i128::from(self.cost[var]);
            for &(row, factor) in &self.entries[var] {
                sums[row] += i128::from(value) * i128::from(factor);
            }
        }
        let is_met = |row: Row| {
            self.row_low[row].is_none_or(|low| sums[row] >= low.into())
                && self.row_high[row].is_none_or(|high| sums[row] <= high.into())
        };
        self.row_low.ids().all(is_met).then_some(cost)
    }

    pub(crate) fn var(&mut self, role: Role, cost: Cost, low: i64, high: i64) -> Var {
        self.cost.push(cost);
        self.low.push(low);
        self.high.push(high.max(low));
        self.role.push(role);
        self.entries.push(Vec::new())
    }

    pub(crate) fn row(
        &mut self,
        low: Option<i64>,
        high: Option<i64>,
        terms: impl IntoIterator<Item = (Var, i64)>,
    ) -> Row {
        self.row_low.push(low);
        let row = self.row_high.push(high);
        for (var, factor) in terms {
            if factor == 0 {
                continue;
            }
            let entries = &mut self.entries[var];
            match entries.last_mut() {
                Some((last, sum)) if *last == row => *sum += factor,
                _ => entries.push((row, factor)),
            }
        }
        row
    }
}
