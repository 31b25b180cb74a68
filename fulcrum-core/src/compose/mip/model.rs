//! The integer mip: how many of each kind of lease, under the blueprint's conditions as rows.
//!
//! Columns for leases enter it through rows that define replica counts only: of a component in all, and of a
//! component in one place. All other conditions speak of those counts. So a condition on places that are not in
//! the scope leaves rows out and never adds any: a mip with a smaller scope is a relaxation.

use super::row_terms::RowTerm;
use crate::compose::{
    formulation::{ids::ComponentIx, place_classes::PartitionKey},
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
    ServedVar,
    /// Replicas of a component.
    Replicas,
    /// Replicas of a component in one place.
    ReplicasAt,
    /// Replicas that talk to a place.
    FlowVar,
    /// Leases of one kind.
    Leases,
    /// A figure that follows from the others, such as GiB in a price tier.
    Auxiliary,
    /// What no column gives, such as replicas that none carries.
    Artificial,
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
pub(crate) struct FlowVar {
    /// Position in the blueprint's links.
    pub(crate) link: usize,
    pub(crate) site: usize,
    pub(crate) target: Target,
    /// How many.
    pub(crate) var: Var,
}

/// A group of users who may be served from a site.
#[derive(Debug, Clone)]
pub(crate) struct ServedVar {
    pub(crate) component: ComponentIx,
    /// Position in the component's users.
    pub(crate) group: usize,
    pub(crate) site: usize,
    /// Whether.
    pub(crate) var: Var,
}

/// Minimise `cost · x` with `lower ≤ x ≤ upper` and `row_lower ≤ A x ≤ row_upper`, all whole numbers.
#[derive(Debug, Clone)]
pub(crate) struct Mip {
    pub(crate) cost: IdVec<Var, Cost>,
    pub(crate) lower: IdVec<Var, i64>,
    pub(crate) upper: IdVec<Var, i64>,
    pub(crate) role: IdVec<Var, Role>,
    /// Entries of each column of `A`, at most one a row.
    pub(crate) coefficients: IdVec<Var, Vec<(Row, i64)>>,
    pub(crate) row_lower: IdVec<Row, Option<i64>>,
    pub(crate) row_upper: IdVec<Row, Option<i64>>,
    /// The unknown that counts the leases of each column.
    pub(crate) leases: IdVec<ColumnId, Var>,
    /// Who talks to whom from where.
    pub(crate) flows: Vec<FlowVar>,
    /// Which users are served from where.
    pub(crate) served: Vec<ServedVar>,
    /// The row that defines the replicas of a component in a place.
    pub(crate) place_rows: Vec<(PartitionKey, usize, ComponentIx, Row)>,
    /// Rows that look at leases themselves.
    pub(crate) lease_rows: Vec<(RowTerm, Row)>,
    /// Metrics other than those of leases; see `measures`.
    pub(super) measure_terms: Vec<(Var, crate::model::Measure, i64)>,
}

impl Mip {
    /// Entries of its table.
    pub(crate) fn size(&self) -> usize {
        self.cost.len().saturating_mul(self.row_lower.len())
    }

    pub(crate) fn empty() -> Self {
        Self {
            cost: IdVec::new(),
            lower: IdVec::new(),
            upper: IdVec::new(),
            role: IdVec::new(),
            coefficients: IdVec::new(),
            row_lower: IdVec::new(),
            row_upper: IdVec::new(),
            leases: IdVec::new(),
            flows: Vec::new(),
            served: Vec::new(),
            place_rows: Vec::new(),
            lease_rows: Vec::new(),
            measure_terms: Vec::new(),
        }
    }

    /// The cost of an assignment, if it meets every row and limit.
    pub(crate) fn check(&self, values: &IdVec<Var, i64>) -> Option<i128> {
        let mut sums: IdVec<Row, i128> = self.row_lower.ids().map(|_| 0).collect();
        let mut cost = 0i128;
        for (var, &value) in values.iter() {
            if value < self.lower[var] || value > self.upper[var] {
                return None;
            }
            if value == 0 {
                continue;
            }
            cost += i128::from(value) * i128::from(self.cost[var]);
            for &(row, factor) in &self.coefficients[var] {
                sums[row] += i128::from(value) * i128::from(factor);
            }
        }
        let is_met = |row: Row| {
            self.row_lower[row].is_none_or(|lower| sums[row] >= lower.into())
                && self.row_upper[row].is_none_or(|upper| sums[row] <= upper.into())
        };
        self.row_lower.ids().all(is_met).then_some(cost)
    }

    pub(crate) fn add_var(&mut self, role: Role, cost: Cost, lower: i64, upper: i64) -> Var {
        self.cost.push(cost);
        self.lower.push(lower);
        self.upper.push(upper.max(lower));
        self.role.push(role);
        self.coefficients.push(Vec::new())
    }

    pub(crate) fn add_row(
        &mut self,
        lower: Option<i64>,
        upper: Option<i64>,
        terms: impl IntoIterator<Item = (Var, i64)>,
    ) -> Row {
        self.row_lower.push(lower);
        let row = self.row_upper.push(upper);
        for (var, factor) in terms {
            if factor == 0 {
                continue;
            }
            let coefficients = &mut self.coefficients[var];
            match coefficients.last_mut() {
                Some((last, sum)) if *last == row => *sum += factor,
                _ => coefficients.push((row, factor)),
            }
        }
        row
    }
}
