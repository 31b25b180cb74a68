//! Running services: rows for pinned services and for moves.

use std::collections::BTreeMap;

use super::{
    builder::Builder,
    model::{Role, Var},
    row_terms::RowTerm,
};
use crate::{
    compose::formulation::{ids::ComponentIx, problem::AttachedTo},
    model::{Measure, RunningService, to_micros},
};

impl Builder<'_> {
    /// Adds rows for pinned services, and a variable for the moves of each running component.
    pub(super) fn running(&mut self) {
        let running = &self.problem.blueprint.running;
        if running.services.is_empty() {
            return;
        }
        self.pinned();
        self.attached();
        let mut moves = Vec::new();
        for component in self.problem.components.ids() {
            let of = |service: &RunningService| service.replicas.get(self.problem.name(component)).copied();
            let now: i64 = running.services.iter().filter_map(of).map(i64::from).sum();
            if now > 0 {
                moves.push((self.moves(component, now), 1));
            }
        }
        if let Some(most) = running.max_moves {
            self.mip.add_row(None, Some(most.into()), moves);
        }
    }

    /// All pinned services stay, with at least their replicas. If one cannot stay, it has no column and the program is
    /// infeasible.
    fn pinned(&mut self) {
        let problem = self.problem;
        for (at, service) in problem.blueprint.running.services.iter().enumerate() {
            let is_known = problem.running.iter().any(|group| group.services.contains(&at));
            if service.pinned && !is_known {
                self.mip.add_row(Some(1), None, []);
            }
        }
        for (at, group) in problem.running.iter().enumerate().filter(|(_, group)| group.is_pinned) {
            let all = group.services.len() as i64;
            let artificial = self.artificial(all);
            self.lease_row((Some(all), None), RowTerm::Pinned(at), artificial);
        }
    }

    /// What is attached stays only with what it is attached to: of each part no more than replicas stay there.
    fn attached(&mut self) {
        let problem = self.problem;
        // By the service to which they are attached, and by component.
        let mut parts: BTreeMap<(Option<usize>, ComponentIx, ComponentIx), Vec<usize>> = BTreeMap::new();
        for (at, group) in problem.running.iter().enumerate() {
            let Some(AttachedTo { group: to, whole }) = group.attached_to else { continue };
            for (part, _) in &group.members {
                parts.entry((to, whole, *part)).or_default().push(at);
            }
        }
        for ((to, whole, _), parts) in parts {
            self.lease_row((None, Some(0)), RowTerm::Attached(parts, to, whole), None);
        }
    }

    /// `moves(c) = min(n(c), now) - kept(c)`. A lower bound is enough, as moves cost and are limited.
    fn moves(&mut self, component: ComponentIx, now: i64) -> Var {
        let problem = self.problem;
        self.mip.set_context(("moves", component));
        let moves = self.mip.add_var(Role::Auxiliary, 0, 0, now);
        let cost = problem.blueprint.running.cost_of(problem.name(component));
        // Blueprint::check keeps costs within a million.
        self.count_measure(moves, Measure::Cost, to_micros(cost).unwrap_or_default());
        let replicas = self.replicas[component];
        let (least, most) = (self.mip.lower[replicas], self.mip.upper[replicas]);
        if least >= now {
            self.stays(component, now, [(moves, 1)]);
        } else if most <= now {
            self.stays(component, 0, [(moves, 1), (replicas, -1)]);
        } else {
            // The lower of both counts; a binary variable chooses it.
            let is_now = self.mip.add_var(Role::Place, 0, 0, 1);
            self.stays(component, 0, [(moves, 1), (is_now, -now)]);
            self.stays(component, 0, [(moves, 1), (replicas, -1), (is_now, most)]);
        }
        moves
    }

    /// A row from below over the retained replicas of a component and other terms.
    fn stays<const N: usize>(&mut self, component: ComponentIx, low: i64, others: [(Var, i64); N]) {
        let artificial = self.artificial(self.problem.components[component].max.into());
        self.lease_row((Some(low), None), RowTerm::Retained(component), others.into_iter().chain(artificial));
    }
}
