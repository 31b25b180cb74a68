//! What runs already: what must stay, what moves, and what that costs.

use super::{
    builder::Builder,
    model::{Role, Var},
    row_terms::Term,
};
use crate::{
    compose::formulation::ids::CompId,
    model::{Measure, RunningService, to_micros},
};

impl Builder<'_> {
    /// Rows for pinned services, and an unknown for the moves of each component that runs.
    pub(super) fn running(&mut self) {
        let running = &self.problem.blueprint.running;
        if running.services.is_empty() {
            return;
        }
        self.pinned();
        let mut moves = Vec::new();
        for component in self.problem.components.ids() {
            let of = |service: &RunningService| service.replicas.get(self.problem.name(component)).copied();
            let now: i64 = running.services.iter().filter_map(of).map(i64::from).sum();
            if now > 0 {
                moves.push((self.moves(component, now), 1));
            }
        }
        if let Some(most) = running.max_moves {
            self.program.row(None, Some(most.into()), moves);
        }
    }

    /// Pinned services stay, all of them, with at least what is on them. One that cannot stay has no column, and
    /// then there is no plan.
    fn pinned(&mut self) {
        let problem = self.problem;
        for (at, service) in problem.blueprint.running.services.iter().enumerate() {
            let is_known = problem.running.iter().any(|alike| alike.services.contains(&at));
            if service.pinned && !is_known {
                self.program.row(Some(1), None, []);
            }
        }
        for (at, alike) in problem.running.iter().enumerate().filter(|(_, alike)| alike.is_pinned) {
            let all = alike.services.len() as i64;
            let missing = self.missing(all);
            self.lease_row((Some(all), None), Term::Pinned(at), missing);
        }
    }

    /// `moves(c) = min(n(c), now) - kept(c)`: from below, which is enough as moves cost and are limited.
    fn moves(&mut self, component: CompId, now: i64) -> Var {
        let problem = self.problem;
        let moves = self.program.var(Role::Figure, 0, 0, now);
        let cost = problem.blueprint.running.cost_of(problem.name(component));
        // Blueprint::check keeps costs within a million.
        self.figure(moves, Measure::Cost, to_micros(cost).unwrap_or_default());
        let replicas = self.replicas[component];
        let (least, most) = (self.program.low[replicas], self.program.high[replicas]);
        if least >= now {
            self.stays(component, now, [(moves, 1)]);
        } else if most <= now {
            self.stays(component, 0, [(moves, 1), (replicas, -1)]);
        } else {
            // The lower of both counts: which one is for the search to choose.
            let is_now = self.program.var(Role::Place, 0, 0, 1);
            self.stays(component, 0, [(moves, 1), (is_now, -now)]);
            self.stays(component, 0, [(moves, 1), (replicas, -1), (is_now, most)]);
        }
        moves
    }

    /// A row from below over the replicas of a component that stay, and others.
    fn stays<const N: usize>(&mut self, component: CompId, low: i64, others: [(Var, i64); N]) {
        let missing = self.missing(self.problem.components[component].max.into());
        self.lease_row((Some(low), None), Term::Stays(component), others.into_iter().chain(missing));
    }
}
