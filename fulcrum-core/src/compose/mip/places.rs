//! Rows over places: spread, survival, distinct places, what stands together, provider fees.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    builder::{Builder, VarsByPlace},
    model::{Role, Var},
};
use crate::{
    compose::formulation::{ids::ComponentIx, place_classes::PartitionKey},
    model::{FailureDomain, Measure, Together, to_micros},
};

impl Builder<'_> {
    /// Replicas of a component in each place of the scope, in one partition.
    pub(super) fn replicas_at(&mut self, component: ComponentIx, key: PartitionKey) -> VarsByPlace<usize> {
        if let Some((_, _, vars)) = self.at.iter().find(|(c, who, _)| *c == key && *who == component) {
            return vars.clone();
        }
        let partition = self.problem.places.partition(key);
        let max = self.problem.components[component].max;
        let places = self.scope.places(self.problem, key);
        // Collects the carriers by place in one pass over the columns.
        let mut terms: Vec<Vec<(Var, i64)>> = vec![Vec::new(); partition.names.len()];
        for (id, column) in self.column_set.columns.iter() {
            if let Some((_, count)) = column.members.iter().find(|(c, _)| *c == component) {
                terms[partition.place_of[column.class]].push((self.mip.leases[id], i64::from(*count)));
            }
        }
        let mut vars = Vec::with_capacity(places.len());
        for place in places {
            let terms = std::mem::take(&mut terms[place]);
            if terms.is_empty() && self.scope.is_all() {
                continue;
            }
            // Columns to come may carry some here.
            self.mip.set_context((component, key, place));
            let most = if terms.is_empty() && !self.has_columns_to_come() { 0 } else { max };
            let var = self.mip.add_var(Role::ReplicasAt, 0, 0, most.into());
            let row = self.mip.add_row(Some(0), Some(0), terms.into_iter().chain([(var, -1)]));
            self.mip.place_rows.push((key, place, component, row));
            vars.push((place, var));
        }
        let vars = Rc::new(vars);
        self.at.push((key, component, vars.clone()));
        vars
    }

    /// Terms for a component's replicas outside the scope; empty if all places are in it.
    pub(super) fn outside_scope(&mut self, component: ComponentIx, key: PartitionKey) -> Vec<(Var, i64)> {
        if self.scope.is_all() {
            return Vec::new();
        }
        let total = self.replicas[component];
        let here = self.replicas_at(component, key);
        [(total, 1)].into_iter().chain(here.iter().map(|(_, var)| (*var, -1))).collect()
    }

    /// A number that a deployed component needs: the right side of a row, and the term to add on its left side.
    pub(super) fn if_deployed(&self, component: ComponentIx, number: i64) -> (i64, Option<(Var, i64)>) {
        match self.deployed[component] {
            None => (number, None),
            Some(deployed) => (0, Some((deployed, -number))),
        }
    }

    /// Replicas in at least `k` places. Each replica outside the scope counts as a place of its own.
    pub(super) fn at_least(&mut self, component: ComponentIx, over: FailureDomain, k: u32) {
        if k == 2 {
            // Then no place holds all, which needs no variable for each place.
            return self.survive(component, over, 1);
        }
        let (need, switch) = self.if_deployed(component, k.into());
        let mut terms: Vec<_> = switch.into_iter().collect();
        for (place, replicas) in self.replicas_at(component, PartitionKey::Domain(over)).iter() {
            self.mip.set_context(("at least", component, over, k, place));
            let is_used = self.mip.add_var(Role::Place, 0, 0, 1);
            self.mip.add_row(Some(0), None, [(*replicas, 1), (is_used, -1)]);
            terms.push((is_used, 1));
        }
        terms.extend(self.outside_scope(component, PartitionKey::Domain(over)));
        // A component needs at least as many replicas as places.
        let total = self.replicas[component];
        self.mip.add_row(Some(need), None, switch.into_iter().chain([(total, 1)]));
        self.mip.add_row(Some(need), None, terms);
    }

    /// `10000 · n(c, place) ≤ share · n(c)`.
    pub(super) fn max_share(&mut self, component: ComponentIx, over: FailureDomain, share: i64) {
        let total = self.replicas[component];
        for (_, replicas) in self.replicas_at(component, PartitionKey::Domain(over)).iter() {
            self.mip.add_row(None, Some(0), [(*replicas, 10_000), (total, -share)]);
        }
    }

    /// `n(c) - n(c, place) ≥ remaining` for each place.
    pub(super) fn survive(&mut self, component: ComponentIx, over: FailureDomain, remaining: u32) {
        let total = self.replicas[component];
        let (need, switch) = self.if_deployed(component, remaining.into());
        for (_, replicas) in self.replicas_at(component, PartitionKey::Domain(over)).iter() {
            self.mip.add_row(Some(need), None, [(total, 1), (*replicas, -1)].into_iter().chain(switch));
        }
        // The replicas that one place loses are spare, so there is one more than remains.
        let (need, switch) = self.if_deployed(component, i64::from(remaining) + 1);
        if remaining > 0 {
            self.mip.add_row(Some(need), None, [(total, 1)].into_iter().chain(switch));
        }
    }

    /// What must stand together because of relations between components.
    pub(super) fn together(&mut self) {
        for rule in self.problem.blueprint.together() {
            match rule {
                Together::OneEach { part, whole } => {
                    self.one_each(self.problem.component(part), self.problem.component(whole));
                }
                Together::SameRegions { hub, members, is_single } => {
                    let members: Vec<_> = members.iter().map(|name| self.problem.component(name)).collect();
                    self.same_regions(self.problem.component(hub), &members, is_single);
                }
            }
        }
    }

    /// `n(part, region) = n(whole, region)`, and `n(part, zone) ≤ n(whole, zone)` where the zone is no region as a whole.
    fn one_each(&mut self, part: ComponentIx, whole: ComponentIx) {
        let (parts, wholes) = (self.replicas[part], self.replicas[whole]);
        self.mip.add_row(Some(0), Some(0), [(parts, 1), (wholes, -1)]);
        for pair in self.both_at(part, whole, PartitionKey::Domain(FailureDomain::Region)) {
            let (_, part, whole) = pair;
            let terms = [part.map(|part| (part, 1)), whole.map(|whole| (whole, -1))];
            self.mip.add_row(Some(0), Some(0), terms.into_iter().flatten());
        }
        for (zone, part, whole) in self.both_at(part, whole, PartitionKey::Domain(FailureDomain::Zone)) {
            if let Some(part) = part.filter(|_| self.problem.places.is_zone[zone]) {
                let terms = [(part, 1)].into_iter().chain(whole.map(|whole| (whole, -1)));
                self.mip.add_row(None, Some(0), terms);
            }
        }
    }

    /// For each region: `n(member) ≤ max(member) · n(hub)`, and `n(hub) ≤ max(hub) · Σ n(member)`. All regions outside the scope
    /// count as one.
    fn same_regions(&mut self, hub: ComponentIx, members: &[ComponentIx], is_single: bool) {
        let key = PartitionKey::Domain(FailureDomain::Region);
        let max =
            |builder: &Self, component: ComponentIx| i64::from(builder.problem.components[component].max);
        let hub_max = max(self, hub);
        let mut needed: BTreeMap<usize, Vec<(Var, i64)>> = BTreeMap::new();
        for member in members {
            let most = max(self, *member);
            for (region, hub, member) in self.both_at(hub, *member, key) {
                if let Some(member) = member {
                    let terms = [(member, 1)].into_iter().chain(hub.map(|hub| (hub, -most)));
                    self.mip.add_row(None, Some(0), terms);
                    needed.entry(region).or_default().push((member, -hub_max));
                }
            }
            let hubs = self.outside_scope(hub, key).into_iter().map(|(var, factor)| (var, -most * factor));
            let terms: Vec<_> = self.outside_scope(*member, key).into_iter().chain(hubs).collect();
            if !terms.is_empty() {
                self.mip.add_row(None, Some(0), terms);
            }
        }
        for (region, hub) in self.replicas_at(hub, key).iter() {
            let members = needed.remove(region).unwrap_or_default();
            self.mip.add_row(None, Some(0), [(*hub, 1)].into_iter().chain(members));
            if is_single {
                self.mip.add_row(None, Some(1), [(*hub, 1)]);
            }
        }
        let members: Vec<_> = members.iter().flat_map(|member| self.outside_scope(*member, key)).collect();
        let members = members.into_iter().map(|(var, factor)| (var, -hub_max * factor));
        let terms: Vec<_> = self.outside_scope(hub, key).into_iter().chain(members).collect();
        if !terms.is_empty() {
            self.mip.add_row(None, Some(0), terms);
        }
    }

    /// The replicas of two components in each place where one of them may be.
    fn both_at(
        &mut self,
        one: ComponentIx,
        other: ComponentIx,
        key: PartitionKey,
    ) -> Vec<(usize, Option<Var>, Option<Var>)> {
        let (ones, others) = (self.replicas_at(one, key), self.replicas_at(other, key));
        let mut both: BTreeMap<usize, (Option<Var>, Option<Var>)> = BTreeMap::new();
        ones.iter().for_each(|(place, var)| both.entry(*place).or_default().0 = Some(*var));
        others.iter().for_each(|(place, var)| both.entry(*place).or_default().1 = Some(*var));
        both.into_iter().map(|(place, (one, other))| (place, one, other)).collect()
    }

    /// Whether each place of the scope is used; `None` stands for all places outside, which count as one.
    fn used(&mut self, over: FailureDomain) -> VarsByPlace<Option<usize>> {
        if let Some((_, vars)) = self.used.iter().find(|(o, _)| *o == over) {
            return vars.clone();
        }
        let key = PartitionKey::Domain(over);
        let outside = if self.scope.is_all() { None } else { Some(None) };
        let places = self.scope.places(self.problem, key).into_iter().map(Some).chain(outside);
        let var = |place: Option<usize>| {
            self.mip.set_context(("used", over, place));
            (place, self.mip.add_var(Role::Place, 0, 0, 1))
        };
        let vars: VarsByPlace<Option<usize>> = Rc::new(places.map(var).collect());
        for component in self.problem.components.ids() {
            let max = i64::from(self.problem.components[component].max);
            for (place, replicas) in self.replicas_at(component, key).iter() {
                let is_used = vars.iter().find(|(used, _)| *used == Some(*place)).map(|(_, var)| *var);
                if let Some(is_used) = is_used {
                    self.mip.add_row(None, Some(0), [(*replicas, 1), (is_used, -max)]);
                }
            }
            if let Some((None, is_used)) = vars.last() {
                let outside_scope = self.outside_scope(component, key);
                self.mip.add_row(None, Some(0), outside_scope.into_iter().chain([(*is_used, -max)]));
            }
        }
        self.used.push((over, vars.clone()));
        vars
    }

    pub(super) fn distinct(&mut self, over: FailureDomain, at_most: u32) {
        let used = self.used(over);
        self.mip.add_row(None, Some(at_most.into()), used.iter().map(|(_, var)| (*var, 1)));
    }

    /// Fees of the used providers, and their number.
    pub(super) fn fees(&mut self) {
        let fees = &self.problem.blueprint.provider_fees;
        let counts = self.problem.stage.tracks(Measure::Providers);
        if fees.is_none() && !counts {
            return;
        }
        let horizon = i64::from(self.problem.blueprint.horizon_months);
        for (place, var) in self.used(FailureDomain::Provider).iter() {
            if counts {
                self.count_measure(
                    *var,
                    Measure::Providers,
                    horizon * crate::compose::objective::MICROS_PER_UNIT,
                );
            }
            let Some(place) = place else { continue };
            let fee = fees.of(&self.problem.places.providers[*place]);
            // Blueprint::check keeps fees within a million.
            let micros = |amount| to_micros(amount).unwrap_or_default();
            self.count_measure(*var, Measure::Cost, micros(fee.monthly) * horizon + micros(fee.once));
        }
    }
}
