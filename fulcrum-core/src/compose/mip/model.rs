//! The integer program: the number of leases of each column, under the blueprint's conditions as rows.
//!
//! Rows define two counts: the replicas of a component in all, and in one place. Columns enter the program through
//! these rows, and most conditions are rows over these counts. A condition on a place outside the scope leaves rows
//! out and never adds any. So a program with a smaller scope is a relaxation.

use std::hash::{BuildHasher, Hash};

use rustc_hash::FxBuildHasher;

use super::row_terms::RowTerm;
use crate::compose::{
    formulation::{ids::ComponentIx, place_classes::PartitionKey},
    heuristics::splitmix::splitmix64,
    id_vec::{IdVec, id_type},
    objective::Cost,
    presolve::columns::ColumnId,
};

id_type!(
    /// An integer variable.
    Var
);
id_type!(
    /// A linear row.
    Row
);

/// What a variable stands for, in the order in which branching decides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Whether an optional component is deployed.
    Deployed,
    /// Whether a place is used, or holds a component.
    Place,
    /// Whether a price tier is reached.
    Tier,
    /// Which site serves a group of users.
    ServedVar,
    /// Replicas of a component.
    Replicas,
    /// Replicas of a component in one place.
    ReplicasAt,
    /// Replicas that send to a place.
    FlowVar,
    /// Leases of one column.
    Leases,
    /// A value that follows from the others, such as GiB in a price tier.
    Auxiliary,
    /// An artificial variable: what columns to come must give.
    Artificial,
}

/// Where replicas send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To some other region that holds the receiver.
    Elsewhere,
    /// To this region.
    Region(usize),
}

/// The variable for replicas of one site that send along one link.
#[derive(Debug, Clone)]
pub(crate) struct FlowVar {
    /// Position in the blueprint's links.
    pub(crate) link: usize,
    pub(crate) site: usize,
    pub(crate) target: Target,
    /// The number of replicas.
    pub(crate) var: Var,
}

/// The variable for a group of users and a site that may serve it.
#[derive(Debug, Clone)]
pub(crate) struct ServedVar {
    pub(crate) component: ComponentIx,
    /// Position in the component's users.
    pub(crate) group: usize,
    pub(crate) site: usize,
    /// Whether the site serves the group.
    pub(crate) var: Var,
}

/// Minimise `cost · x` with `lower ≤ x ≤ upper` and `row_lower ≤ A x ≤ row_upper`, all integers.
#[derive(Debug, Clone)]
pub(crate) struct Mip {
    pub(crate) cost: IdVec<Var, Cost>,
    pub(crate) lower: IdVec<Var, i64>,
    pub(crate) upper: IdVec<Var, i64>,
    pub(crate) role: IdVec<Var, Role>,
    /// Coefficients of each column of `A`, at most one per row.
    pub(crate) coefficients: IdVec<Var, Vec<(Row, i64)>>,
    pub(crate) row_lower: IdVec<Row, Option<i64>>,
    pub(crate) row_upper: IdVec<Row, Option<i64>>,
    /// The variable that counts the leases of each column.
    pub(crate) leases: IdVec<ColumnId, Var>,
    /// Variables for replicas that send.
    pub(crate) flows: Vec<FlowVar>,
    /// Variables for users that are served.
    pub(crate) served: Vec<ServedVar>,
    /// The row that defines the replicas of a component in a place.
    pub(crate) place_rows: Vec<(PartitionKey, usize, ComponentIx, Row)>,
    /// Rows over leases themselves.
    pub(crate) lease_rows: Vec<(RowTerm, Row)>,
    /// Amounts of measures that variables other than leases add; see `measures`.
    pub(super) measure_terms: Vec<(Var, crate::model::Measure, i64)>,
    /// A name of each variable that it has in the programs of all scopes, if there are several.
    pub(crate) names: IdVec<Var, u64>,
    pub(super) is_named: bool,
    context: u64,
    named_in_context: u64,
}

impl Mip {
    /// Entries of a dense tableau.
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
            names: IdVec::new(),
            is_named: false,
            context: 0,
            named_in_context: 0,
        }
    }

    /// Begins a group of variables: their names follow from it and from their order in it.
    pub(super) fn set_context(&mut self, of: impl Hash) {
        if self.is_named {
            self.context = FxBuildHasher.hash_one(of);
            self.named_in_context = 0;
        }
    }

    /// The cost of an assignment, if it meets every row and bound.
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
        if self.is_named {
            self.names.push(splitmix64(self.context, self.named_in_context));
            self.named_in_context += 1;
        }
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
