//! Initial columns: the cheapest columns with one replica, and columns with a value of their own.

use super::{duals::axes, knapsack::column, master::RestrictedMaster};
use crate::{
    compose::{
        formulation::ids::{ClassId, ComponentIx},
        presolve::columns::{Column, nondominated},
    },
    model::OfferKind,
};

impl RestrictedMaster<'_> {
    /// Columns of special machines: running services with their replicas, and single replicas on an offer that must be
    /// used.
    pub(crate) fn special_columns(&self) -> Vec<Column> {
        let problem = self.problem;
        let mut columns = Vec::new();
        for at in self.index.special_machines.iter().map(|at| *at as usize) {
            let kept = problem.candidates[at].retained().map(|alike| problem.running[alike].members.clone());
            let kept = kept.filter(|members| self.fits(at, members));
            columns.extend(kept.and_then(|members| column(problem, at, members)));
            if problem.candidates[at].retained().is_none() {
                columns.extend(problem.components.ids().flat_map(|component| self.alone(component, &[at])));
            }
        }
        columns
    }

    /// The cheapest columns with one replica in a place class.
    pub(crate) fn cheapest(&self, component: ComponentIx, class: ClassId, machines: &[usize]) -> Vec<Column> {
        match self.problem.components[component].kind {
            OfferKind::Machine => self.alone(component, machines),
            _ => self.least_of(self.index.products(component, class)),
        }
    }

    /// Of columns with one replica the best in the objective and in each limited metric, and those with a value of
    /// their own.
    pub(crate) fn least_of<'c>(&self, columns: impl IntoIterator<Item = &'c Column>) -> Vec<Column> {
        let must_use = self.problem.stage.must_use;
        let (special, others): (Vec<Column>, Vec<Column>) = nondominated(self.problem, columns)
            .into_iter()
            .partition(|column| column.retained.is_some() || must_use == Some(column.offer));
        let first = others.iter().take(1).cloned();
        let capped = self
            .problem
            .stage
            .capped()
            .filter_map(|measure| others.iter().min_by_key(|column| column.measure(measure)).cloned());
        let limited = (0..self.problem.limited.len())
            .filter_map(|at| others.iter().min_by_key(|column| column.uses[at]).cloned());
        first.chain(capped).chain(limited).chain(special).collect()
    }

    /// The best machines for one replica alone, in the objective and in each limited metric.
    pub(crate) fn alone(&self, component: ComponentIx, machines: &[usize]) -> Vec<Column> {
        let problem = self.problem;
        let members = vec![(component, 1)];
        let able = || machines.iter().copied().filter(|at| self.fits(*at, &members));
        let best = |axis: usize| able().min_by_key(|at| axes(problem, &problem.candidates[*at])[axis]);
        let count = machines.first().map_or(0, |at| axes(problem, &problem.candidates[*at]).len());
        (0..count).filter_map(best).filter_map(|at| column(problem, at, members.clone())).collect()
    }

    /// Whether a machine can carry exactly these replicas.
    fn fits(&self, at: usize, members: &[(ComponentIx, u32)]) -> bool {
        let problem = self.problem;
        let candidate = &problem.candidates[at];
        let sum = |of: &dyn Fn(ComponentIx) -> u64| -> u64 {
            members
                .iter()
                .fold(0, |sum, (c, count)| sum.saturating_add(of(*c).saturating_mul((*count).into())))
        };
        let holds = |(d, size): (usize, &u64)| *size >= sum(&|c| problem.components[c].demand[d]);
        let clash = |(one, _): &(ComponentIx, u32)| {
            members.iter().any(|(two, _)| one != two && self.rules.are_anti_affine(*one, *two))
        };
        let may = |(c, count): &(ComponentIx, u32)| {
            problem.may_carry(candidate, *c) && *count <= problem.components[*c].per_machine
        };
        members.iter().all(may)
            && !members.iter().any(clash)
            && self.rules.is_complete(members)
            && (problem.disk_gib(candidate) >= sum(&|c| problem.components[c].disk_gib)
                || problem.catalogue.elastic_disk(candidate.offer).is_some())
            && problem.size(candidate).iter().enumerate().all(holds)
    }
}
