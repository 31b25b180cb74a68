//! Sums, measures, caps, bound.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{Check, Checked, Violation, ensure, violation};
use crate::model::{
    Constraint, FlowTarget, Limit, Measure, Objective, ProviderId, SovereigntyReport, StopReason,
};

impl Check<'_> {
    pub(super) fn totals(&self) -> Result<(), Violation> {
        let plan = self.plan;
        let lines = || plan.leases.iter().flat_map(|lease| &lease.lines);
        let add = |amounts: &mut dyn Iterator<Item = Decimal>| amounts.sum::<Decimal>();
        let monthly = add(&mut lines().map(|line| line.monthly))
            + add(&mut plan.traffic.iter().map(|line| line.monthly))
            + add(&mut plan.fees.iter().map(|line| line.monthly));
        let once = add(&mut lines().map(|line| line.once))
            + add(&mut plan.fees.iter().map(|line| line.once))
            + add(&mut plan.moves.iter().map(|line| line.once));
        if monthly != plan.monthly || once != plan.once {
            return violation("monthly", format!("the lines add up to {monthly} a month and {once} once"));
        }
        let mut needed: BTreeSet<Measure> = match &self.blueprint.objective {
            // A stage that the search did not come to need not be told.
            Objective::InTurn(measures) => measures.iter().copied().take(1 + plan.then.len()).collect(),
            Objective::Weighted(weights) => weights.keys().copied().collect(),
        };
        let limited = self.blueprint.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::Limit(limit) => limit.measure,
            _ => None,
        });
        needed.extend(limited.chain([Measure::Cost]));
        needed.extend(plan.measures.0.keys());
        for measure in needed {
            let value =
                self.measure(measure).map_err(|message| Violation { place: measure.to_string(), message })?;
            let said = plan.measures.get(measure);
            if said.is_none_or(|said| (said - value).abs() > Decimal::new(1, 6)) {
                return violation("measures", format!("{measure} is {value}, not {said:?}"));
            }
        }
        let cost = self.cost_over_horizon();
        let months = Decimal::from(self.blueprint.horizon_months);
        if self.blueprint.budget.is_some_and(|budget| cost > budget * months) {
            return violation("budget", "is exceeded");
        }
        self.objective()
    }

    /// Renewals, traffic and fees included.
    fn cost_over_horizon(&self) -> Decimal {
        let months = Decimal::from(self.blueprint.horizon_months);
        let lines = self.plan.leases.iter().flat_map(|lease| &lease.lines).map(|line| line.total);
        let traffic = self.plan.traffic.iter().map(|line| line.monthly * months);
        let fees = self.plan.fees.iter().map(|line| line.monthly * months + line.once);
        let moves = self.plan.moves.iter().map(|line| line.once);
        lines.sum::<Decimal>() + traffic.sum::<Decimal>() + fees.sum::<Decimal>() + moves.sum::<Decimal>()
    }

    /// A month's figure in the measure's unit.
    pub(super) fn measure(&self, measure: Measure) -> Result<Decimal, String> {
        let plan = self.plan;
        Ok(match measure {
            Measure::Cost => self.cost_over_horizon() / Decimal::from(self.blueprint.horizon_months),
            Measure::Carbon => {
                let model = self.blueprint.assume.carbon.as_ref().ok_or("nothing is assumed of it")?;
                let mut mg = Decimal::ZERO;
                for (lease, ix) in plan.leases.iter().zip(&self.offers) {
                    let month =
                        model.month_mg(lease.place.country, self.catalogue.capacity(*ix), lease.size_gib);
                    mg +=
                        Decimal::from(month.ok_or_else(|| format!("{} has no figure", lease.place.country))?);
                }
                mg / Decimal::from(1_000_000)
            }
            Measure::Sovereignty => {
                let points = plan.leases.iter().zip(&self.offers).map(|(lease, ix)| {
                    let seller = self.catalogue.seller(*ix);
                    let score = SovereigntyReport::new(seller, &lease.place, self.catalogue.day()).score();
                    let replicas: u32 = lease.replicas.values().sum();
                    Decimal::new(i64::from(10_000 - score), 2) * Decimal::from(replicas)
                });
                points.sum()
            }
            Measure::Latency => {
                let mut sum = Decimal::ZERO;
                for flow in &plan.flows {
                    let us = flow.round_trip_us.ok_or("a round trip is not known")?;
                    let traffic = match &flow.to {
                        FlowTarget::Link { link, .. } => self.blueprint.links[*link].traffic_gib,
                        FlowTarget::Users(name) => {
                            let mut users = self.blueprint.components[&flow.from].users.iter();
                            users.find(|group| group.name == *name).map_or(0, |group| group.traffic_gib)
                        }
                    };
                    let ms = Decimal::new(us.into(), 3);
                    sum += ms * Decimal::from(traffic.max(1)) * Decimal::from(flow.replicas);
                }
                sum
            }
            Measure::WorstLatency => {
                let mut worst = 0;
                for flow in &plan.flows {
                    worst = worst.max(flow.round_trip_us.ok_or("a round trip is not known")?);
                }
                Decimal::new(worst.into(), 3)
            }
            Measure::Providers => {
                let providers: BTreeSet<&ProviderId> =
                    plan.leases.iter().map(|lease| &lease.place.provider).collect();
                Decimal::from(providers.len())
            }
        })
    }

    pub(super) fn limit(&self, limit: &Limit) -> Checked {
        if let Some(measure) = limit.measure {
            let value = self.measure(measure)?;
            // Rounding to millionths, as measures are told, may lift a value to the limit but not over it.
            return ensure(value <= limit.max + Decimal::new(5, 7), || format!("{measure} is {value}"));
        }
        let name = limit.resource.as_deref().unwrap_or_default();
        let mut used = 0u128;
        for (lease, ix) in self.plan.leases.iter().zip(&self.offers) {
            if limit.components.is_empty() || limit.components.iter().any(|c| lease.replicas.contains_key(c))
            {
                used += u128::from(self.catalogue.capacity(*ix).named.get(name).copied().unwrap_or(0));
            }
        }
        let is_within =
            i128::try_from(used).is_ok_and(|used| Decimal::from_i128_with_scale(used, 0) <= limit.max);
        ensure(is_within, || format!("{used} of {name} are used"))
    }

    /// Between what the gap may be told to be: objective and bound are rounded to millionths, the gap up to two
    /// decimals.
    fn gap_percent(&self) -> Option<(Decimal, Decimal)> {
        let plan = self.plan;
        let off = plan.objective.checked_sub(plan.bound)?;
        if plan.objective <= Decimal::ZERO {
            return Some((Decimal::ZERO, Decimal::ZERO));
        }
        let percent = |off: Decimal| off.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(plan.objective);
        let (least, most) = (off - Decimal::new(2, 6), off + Decimal::new(2, 6));
        Some((percent(least)?, percent(most)?.checked_add(Decimal::new(1, 2))?))
    }

    /// What the blueprint minimises, re-computed, and that no proof claims too much.
    fn objective(&self) -> Result<(), Violation> {
        let plan = self.plan;
        let measured = |measure: Measure| plan.measures.get(measure).unwrap_or_default();
        let (value, stages) = match &self.blueprint.objective {
            Objective::InTurn(measures) => (measured(measures[0]), &measures[1..]),
            Objective::Weighted(weights) => {
                let sum = weights.iter().map(|(measure, weight)| *weight * measured(*measure)).sum();
                (sum, [].as_slice())
            }
        };
        let slack = match &self.blueprint.objective {
            Objective::InTurn(_) => Decimal::new(1, 6),
            Objective::Weighted(weights) => {
                Decimal::new(1, 6) * (Decimal::ONE + weights.values().sum::<Decimal>())
            }
        };
        let off = (plan.objective - value).abs();
        if off > slack {
            return violation("objective", format!("is off by {off}"));
        }
        let is_optimal = plan.stop == StopReason::Optimal;
        if plan.bound > plan.objective || (is_optimal && plan.bound != plan.objective) {
            let message = format!("{} does not fit the objective {}", plan.bound, plan.objective);
            return violation("bound", message);
        }
        let gap = self.gap_percent();
        let is_told = gap.is_some_and(|(low, high)| (low..=high).contains(&plan.gap_percent));
        if !is_told || (is_optimal && !plan.gap_percent.is_zero()) {
            return violation(
                "gap_percent",
                format!("{} does not fit the bound {}", plan.gap_percent, plan.bound),
            );
        }
        if plan.then.len() > stages.len() || (is_optimal && plan.then.len() < stages.len()) {
            return violation("then", format!("{} stages are needed", stages.len()));
        }
        for (stage, measure) in plan.then.iter().zip(stages) {
            let is_right = stage.measure == *measure
                && (stage.value - measured(*measure)).abs() <= Decimal::new(1, 6)
                && stage.bound <= stage.value;
            if !is_right {
                return violation("then", format!("{measure} is {}", measured(*measure)));
            }
        }
        Ok(())
    }
}
