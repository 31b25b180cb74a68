//! Conditions on places: spread, survival, number of places, fees of providers.

use std::rc::Rc;

use super::{
    builder::{Builder, Shared},
    model::{Role, Var},
};
use crate::{
    compose::formulation::{ids::CompId, place_classes::Cut},
    model::{Measure, Over, to_micros},
};

impl Builder<'_> {
    /// Replicas of a component in each place of the scope at one level.
    pub(super) fn replicas_at(&mut self, component: CompId, cut: Cut) -> Shared<usize> {
        if let Some((_, _, vars)) = self.at.iter().find(|(c, who, _)| *c == cut && *who == component) {
            return vars.clone();
        }
        let level = self.problem.sites.level(cut);
        let max = self.problem.components[component].max;
        let places = self.scope.places(self.problem, cut);
        // Carriers by place in one pass over the columns.
        let mut terms: Vec<Vec<(Var, i64)>> = vec![Vec::new(); level.names.len()];
        for (id, column) in self.reduced.columns.iter() {
            if let Some((_, count)) = column.members.iter().find(|(c, _)| *c == component) {
                terms[level.place_of[column.class]].push((self.program.leases[id], i64::from(*count)));
            }
        }
        let mut vars = Vec::with_capacity(places.len());
        for place in places {
            let terms = std::mem::take(&mut terms[place]);
            if terms.is_empty() && self.scope.is_all() {
                continue;
            }
            // Columns that are still to come may have some here.
            let most = if terms.is_empty() && !self.has_columns_to_come() { 0 } else { max };
            let var = self.program.var(Role::ReplicasAt, 0, 0, most.into());
            let row = self.program.row(Some(0), Some(0), terms.into_iter().chain([(var, -1)]));
            self.program.at_rows.push((cut, place, component, row));
            vars.push((place, var));
        }
        let vars = Rc::new(vars);
        self.at.push((cut, component, vars.clone()));
        vars
    }

    /// The terms of a component's replicas outside the scope; none if all places are in it.
    pub(super) fn elsewhere(&mut self, component: CompId, cut: Cut) -> Vec<(Var, i64)> {
        if self.scope.is_all() {
            return Vec::new();
        }
        let total = self.replicas[component];
        let here = self.replicas_at(component, cut);
        [(total, 1)].into_iter().chain(here.iter().map(|(_, var)| (*var, -1))).collect()
    }

    /// A number that a deployed component needs: the bound of a row whose left side gets the returned terms.
    pub(super) fn if_deployed(&self, component: CompId, number: i64) -> (i64, Option<(Var, i64)>) {
        match self.deployed[component] {
            None => (number, None),
            Some(deployed) => (0, Some((deployed, -number))),
        }
    }

    /// Replicas in at least `k` places. Each one outside the scope counts as a place of its own.
    pub(super) fn at_least(&mut self, component: CompId, over: Over, k: u32) {
        let (need, switch) = self.if_deployed(component, k.into());
        let mut terms: Vec<_> = switch.into_iter().collect();
        for (_, replicas) in self.replicas_at(component, Cut::Over(over)).iter() {
            let is_used = self.program.var(Role::Place, 0, 0, 1);
            self.program.row(Some(0), None, [(*replicas, 1), (is_used, -1)]);
            terms.push((is_used, 1));
        }
        terms.extend(self.elsewhere(component, Cut::Over(over)));
        // Fewer replicas than places would not do.
        let total = self.replicas[component];
        self.program.row(Some(need), None, switch.into_iter().chain([(total, 1)]));
        self.program.row(Some(need), None, terms);
    }

    /// `10000 · n(c, place) ≤ share · n(c)`.
    pub(super) fn max_share(&mut self, component: CompId, over: Over, share: i64) {
        let total = self.replicas[component];
        for (_, replicas) in self.replicas_at(component, Cut::Over(over)).iter() {
            self.program.row(None, Some(0), [(*replicas, 10_000), (total, -share)]);
        }
    }

    /// `n(c) - n(c, place) ≥ remaining` for each place.
    pub(super) fn survive(&mut self, component: CompId, over: Over, remaining: u32) {
        let total = self.replicas[component];
        let (need, switch) = self.if_deployed(component, remaining.into());
        for (_, replicas) in self.replicas_at(component, Cut::Over(over)).iter() {
            self.program.row(Some(need), None, [(total, 1), (*replicas, -1)].into_iter().chain(switch));
        }
        // What one place may lose, the others must hold: one more than remains, wherever they are.
        let (need, switch) = self.if_deployed(component, i64::from(remaining) + 1);
        if remaining > 0 {
            self.program.row(Some(need), None, [(total, 1)].into_iter().chain(switch));
        }
    }

    /// Whether each place of the scope is used; `None` stands for all outside, which count as one.
    fn used(&mut self, over: Over) -> Shared<Option<usize>> {
        if let Some((_, vars)) = self.used.iter().find(|(o, _)| *o == over) {
            return vars.clone();
        }
        let cut = Cut::Over(over);
        let outside = if self.scope.is_all() { None } else { Some(None) };
        let places = self.scope.places(self.problem, cut).into_iter().map(Some).chain(outside);
        let vars: Shared<Option<usize>> =
            Rc::new(places.map(|place| (place, self.program.var(Role::Place, 0, 0, 1))).collect());
        for component in self.problem.components.ids() {
            let max = i64::from(self.problem.components[component].max);
            for (place, replicas) in self.replicas_at(component, cut).iter() {
                let is_used = vars.iter().find(|(used, _)| *used == Some(*place)).map(|(_, var)| *var);
                if let Some(is_used) = is_used {
                    self.program.row(None, Some(0), [(*replicas, 1), (is_used, -max)]);
                }
            }
            if let Some((None, is_used)) = vars.last() {
                let elsewhere = self.elsewhere(component, cut);
                self.program.row(None, Some(0), elsewhere.into_iter().chain([(*is_used, -max)]));
            }
        }
        self.used.push((over, vars.clone()));
        vars
    }

    pub(super) fn distinct(&mut self, over: Over, at_most: u32) {
        let used = self.used(over);
        self.program.row(None, Some(at_most.into()), used.iter().map(|(_, var)| (*var, 1)));
    }

    /// Fees of the providers that are used, and their number.
    pub(super) fn fees(&mut self) {
        let fees = &self.problem.blueprint.provider_fees;
        let counts = self.problem.aim.knows(Measure::Providers);
        if fees.is_none() && !counts {
            return;
        }
        let horizon = i64::from(self.problem.blueprint.horizon_months);
        for (place, var) in self.used(Over::Provider).iter() {
            if counts {
                self.figure(*var, Measure::Providers, horizon * crate::compose::objective::MICRO);
            }
            let Some(place) = place else { continue };
            let fee = fees.of(&self.problem.sites.providers[*place]);
            // Blueprint::check keeps fees within a million.
            let micros = |amount| to_micros(amount).unwrap_or_default();
            self.figure(*var, Measure::Cost, micros(fee.monthly) * horizon + micros(fee.once));
        }
    }
}
