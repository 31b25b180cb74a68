//! What runs already: what must stay, what moves, and what that costs.

use super::{Role, builder::Builder};
use crate::{
    compose::problem::CompId,
    model::{Measure, RunningService, to_micros},
};

fn kept_of(members: &[(CompId, u32)], component: CompId) -> u32 {
    members.iter().find(|(c, _)| *c == component).map_or(0, |(_, count)| *count)
}

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
            let holds = |members: &[(CompId, u32)]| {
                alike.members.iter().all(|(component, count)| kept_of(members, *component) >= *count)
            };
            let columns = self.reduced.columns.iter();
            let terms: Vec<_> = columns
                .filter(|(_, column)| column.keeps == Some(at) && holds(&column.members))
                .map(|(id, _)| (self.program.leases[id], 1))
                .collect();
            self.program.row(Some(alike.services.len() as i64), None, terms);
        }
    }

    /// `moves(c) = min(n(c), now) - kept(c)`: from below, which is enough as moves cost and are limited.
    fn moves(&mut self, component: CompId, now: i64) -> super::Var {
        let problem = self.problem;
        let moves = self.program.var(Role::Figure, 0, 0, now);
        let cost = problem.blueprint.running.cost_of(problem.name(component));
        // Blueprint::check keeps costs within a million.
        self.figure(moves, Measure::Cost, to_micros(cost).unwrap_or_default());
        let kept: Vec<_> = self
            .reduced
            .columns
            .iter()
            .filter_map(|(id, column)| {
                let alike = &problem.running[column.keeps?];
                let count = kept_of(&column.members, component).min(kept_of(&alike.members, component));
                (count > 0).then_some((self.program.leases[id], i64::from(count)))
            })
            .collect();
        let replicas = self.replicas[component];
        let (least, most) = (self.program.low[replicas], self.program.high[replicas]);
        let terms = || kept.iter().copied().chain([(moves, 1)]);
        if least >= now {
            self.program.row(Some(now), None, terms());
        } else if most <= now {
            self.program.row(Some(0), None, terms().chain([(replicas, -1)]));
        } else {
            // The lower of both counts: which one is for the search to choose.
            let is_now = self.program.var(Role::Place, 0, 0, 1);
            self.program.row(Some(0), None, terms().chain([(is_now, -now)]));
            self.program.row(Some(0), None, terms().chain([(replicas, -1), (is_now, most)]));
        }
        moves
    }
}
