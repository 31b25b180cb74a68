//! Columns that are always at hand, whatever they are worth: one replica alone in the best way, and what has a worth of
//! its own.

use super::{duals::axes, knapsack::column, master::Relaxation};
use crate::{
    compose::{
        formulation::ids::{ClassId, CompId},
        presolve::columns::{Column, unbeaten},
    },
    model::OfferKind,
};

impl Relaxation<'_> {
    /// First columns of machines that have a worth of their own: what runs as it is, and any one
    /// replica on an offer that must be used.
    pub(crate) fn apart(&self) -> Vec<Column> {
        let problem = self.problem;
        let mut columns = Vec::new();
        for at in self.pool.apart.iter().map(|at| *at as usize) {
            let kept = problem.candidates[at].keeps().map(|alike| problem.running[alike].members.clone());
            let kept = kept.filter(|members| self.fits(at, members));
            columns.extend(kept.and_then(|members| column(problem, at, members)));
            if problem.candidates[at].keeps().is_none() {
                columns.extend(problem.components.ids().flat_map(|component| self.alone(component, &[at])));
            }
        }
        columns
    }

    /// The cheapest ways to run one replica alone in a class.
    pub(crate) fn cheapest(&self, component: CompId, class: ClassId, machines: &[usize]) -> Vec<Column> {
        match self.problem.components[component].kind {
            OfferKind::Machine => self.alone(component, machines),
            _ => self.least_of(self.pool.products(component, class)),
        }
    }

    /// Of some columns with one replica the best in what is minimised, and in each limited figure; and those that have
    /// a worth of their own.
    pub(crate) fn least_of<'c>(&self, columns: impl IntoIterator<Item = &'c Column>) -> Vec<Column> {
        let must_use = self.problem.aim.must_use;
        let (apart, others): (Vec<Column>, Vec<Column>) = unbeaten(self.problem, columns)
            .into_iter()
            .partition(|column| column.keeps.is_some() || must_use == Some(column.offer));
        let first = others.iter().take(1).cloned();
        let capped =
            self.problem.aim.caps.iter().filter_map(|(measure, _)| {
                others.iter().min_by_key(|column| column.measure(*measure)).cloned()
            });
        let limited = (0..self.problem.limited.len())
            .filter_map(|at| others.iter().min_by_key(|column| column.uses[at]).cloned());
        first.chain(capped).chain(limited).chain(apart).collect()
    }

    /// The best of some machines to carry one replica alone, in what is minimised and in each limited figure.
    pub(crate) fn alone(&self, component: CompId, machines: &[usize]) -> Vec<Column> {
        let problem = self.problem;
        let members = vec![(component, 1)];
        let able = || machines.iter().copied().filter(|at| self.fits(*at, &members));
        let best = |axis: usize| able().min_by_key(|at| axes(problem, &problem.candidates[*at])[axis]);
        let count = machines.first().map_or(0, |at| axes(problem, &problem.candidates[*at]).len());
        (0..count).filter_map(best).filter_map(|at| column(problem, at, members.clone())).collect()
    }

    /// Whether a machine can carry just this.
    fn fits(&self, at: usize, members: &[(CompId, u32)]) -> bool {
        let problem = self.problem;
        let candidate = &problem.candidates[at];
        let sum = |of: &dyn Fn(CompId) -> u64| -> u64 {
            members
                .iter()
                .fold(0, |sum, (c, count)| sum.saturating_add(of(*c).saturating_mul((*count).into())))
        };
        let holds = |(d, size): (usize, &u64)| *size >= sum(&|c| problem.components[c].demand[d]);
        let clash = |(one, _): &(CompId, u32)| {
            members.iter().any(|(two, _)| one != two && self.rules.conflict(*one, *two))
        };
        let may = |(c, count): &(CompId, u32)| {
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
