//! Sums, measures, caps, bound.

use std::collections::BTreeSet;

use rust_decimal::{Decimal, prelude::FromPrimitive};

use super::{Check, Checked, Violation, ensure, violation};
use crate::model::{
    Constraint, FlowTarget, Limit, Measure, Objective, ProviderId, SovereigntyReport, StopReason,
    checked_sum, from_micros,
};

/// The message for amounts beyond the range of a decimal.
pub(super) const FAR: &str = "its amounts are beyond the range of money";

fn far(place: &str) -> Violation {
    Violation { place: place.to_owned(), message: FAR.to_owned() }
}

fn distance(one: Decimal, other: Decimal) -> Decimal {
    one.saturating_sub(other).abs()
}

impl Check<'_> {
    pub(super) fn totals(&self) -> Result<(), Violation> {
        let plan = self.plan;
        let (monthly, once) = plan.sums().ok_or_else(|| far("monthly"))?;
        if monthly != plan.monthly || once != plan.once {
            return violation("monthly", format!("the lines add up to {monthly} a month and {once} once"));
        }
        // A stage that the search did not reach may be absent.
        let reached = self.blueprint.objective.tie_breakers().into_iter().take(plan.later_stages.len());
        let mut needed: BTreeSet<Measure> = match &self.blueprint.objective {
            Objective::InTurn(measures) => measures.iter().copied().take(1).collect(),
            Objective::Weighted(weights) => weights.keys().copied().collect(),
        };
        needed.extend(reached);
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
            if said.is_none_or(|said| distance(said, value) > Decimal::new(1, 6)) {
                return violation("measures", format!("{measure} is {value}, not {said:?}"));
            }
        }
        let cost = self.cost_over_horizon().ok_or_else(|| far("leases"))?;
        let months = Decimal::from(self.blueprint.horizon_months);
        if self.blueprint.budget.is_some_and(|budget| cost > budget.saturating_mul(months)) {
            return violation("budget", "is exceeded");
        }
        self.objective()
    }

    /// The date of the exchange rates is present if a line was converted.
    pub(super) fn rates(&self) -> Result<(), Violation> {
        let own = self.plan.currency;
        let mut is_used = false;
        for (at, (lease, ix)) in self.plan.leases.iter().zip(&self.offers).enumerate() {
            let disk = self.catalogue.elastic_disk(*ix).filter(|_| lease.disk_sku.is_some());
            let surcharges = self.catalogue.surcharges(*ix).iter().map(|surcharge| &surcharge.price);
            is_used |= self.catalogue.price(*ix).currency != own;
            is_used |= disk.is_some_and(|disk| disk.price.currency != own);
            is_used |= surcharges.into_iter().any(|price| price.currency != own);
            let text = self.tariff(at).map(|tariff| tariff.text());
            let mut lines = self.plan.traffic.iter().filter(|line| line.provider == lease.place.provider);
            let is_charged = lines.any(|line| Some(&line.tariff) == text.as_ref());
            is_used |= is_charged && self.catalogue.egress(*ix).is_some_and(|price| price.currency != own);
        }
        let day = if is_used { self.catalogue.rates().date } else { None };
        if self.plan.rates_date != day {
            let words =
                |day: Option<_>| day.map_or("none".to_owned(), |day: jiff::civil::Date| day.to_string());
            let message = format!("is {}, not {}", words(self.plan.rates_date), words(day));
            return violation("rates_date", message);
        }
        Ok(())
    }

    /// Including renewals, traffic and fees. `None` beyond the range of a decimal.
    fn cost_over_horizon(&self) -> Option<Decimal> {
        let months = Decimal::from(self.blueprint.horizon_months);
        let over = |monthly: Decimal, once| monthly.checked_mul(months)?.checked_add(once);
        let lines = self.plan.leases.iter().flat_map(|lease| &lease.lines).map(|line| Some(line.total));
        let traffic = self.plan.traffic.iter().map(|line| over(line.monthly, Decimal::ZERO));
        let fees = self.plan.fees.iter().map(|line| over(line.monthly, line.once));
        let moves = self.plan.moves.iter().map(|line| Some(line.once));
        let parts: Option<Vec<_>> = lines.chain(traffic).chain(fees).chain(moves).collect();
        checked_sum(parts?)
    }

    /// A value per month in the measure's unit.
    pub(super) fn measure(&self, measure: Measure) -> Result<Decimal, String> {
        let plan = self.plan;
        Ok(match measure {
            Measure::Cost => {
                let cost = self.cost_over_horizon();
                let months = Decimal::from(self.blueprint.horizon_months);
                cost.and_then(|cost| cost.checked_div(months)).ok_or(FAR)?
            }
            Measure::Carbon => {
                let model = self.blueprint.assumptions.carbon.as_ref().ok_or("nothing is assumed of it")?;
                let mut kg = Decimal::ZERO;
                for (lease, ix) in plan.leases.iter().zip(&self.offers) {
                    let month =
                        model.month_mg(lease.place.country, self.catalogue.capacity(*ix), lease.size_gib);
                    let mg = month.ok_or_else(|| format!("{} has no figure", lease.place.country))?;
                    kg = kg.checked_add(from_micros(mg)).ok_or(FAR)?;
                }
                kg
            }
            Measure::Sovereignty => {
                let points = plan.leases.iter().zip(&self.offers).map(|(lease, ix)| {
                    let seller = self.catalogue.seller(*ix);
                    let score = SovereigntyReport::new(seller, &lease.place, self.catalogue.day()).score();
                    let replicas = lease
                        .replicas
                        .values()
                        .fold(0, |sum: u64, count| sum.saturating_add((*count).into()));
                    Decimal::new(i64::from(10_000u32.saturating_sub(score)), 2)
                        .saturating_mul(replicas.into())
                });
                checked_sum(points).ok_or(FAR)?
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
                    let weighted =
                        ms.saturating_mul(traffic.max(1).into()).saturating_mul(flow.replicas.into());
                    sum = sum.checked_add(weighted).ok_or(FAR)?;
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
            // Measures are rounded to millionths, which may lift a value to the limit but not over it.
            return ensure(value <= limit.max.saturating_add(Decimal::new(5, 7)), || {
                format!("{measure} is {value}")
            });
        }
        let name = limit.resource.as_deref().unwrap_or_default();
        let mut used = 0u128;
        for (lease, ix) in self.plan.leases.iter().zip(&self.offers) {
            if limit.components.is_empty() || limit.components.iter().any(|c| lease.replicas.contains_key(c))
            {
                let more = self.catalogue.capacity(*ix).named.get(name).copied().unwrap_or(0);
                used = used.saturating_add(more.into());
            }
        }
        let is_within = Decimal::from_u128(used).is_some_and(|used| used <= limit.max);
        ensure(is_within, || format!("{used} of {name} are used"))
    }

    /// The range of gaps that rounding allows: objective and bound are rounded to millionths, the gap up to two
    /// decimals.
    fn gap_percent(&self) -> Option<(Decimal, Decimal)> {
        let plan = self.plan;
        let off = plan.objective.checked_sub(plan.bound)?;
        if plan.objective <= Decimal::ZERO {
            return Some((Decimal::ZERO, Decimal::ZERO));
        }
        let percent = |off: Decimal| off.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(plan.objective);
        let (least, most) = (off.checked_sub(Decimal::new(2, 6))?, off.checked_add(Decimal::new(2, 6))?);
        Some((percent(least)?, percent(most)?.checked_add(Decimal::new(1, 2))?))
    }

    /// Computes the objective again, and checks that no proof claims too much.
    fn objective(&self) -> Result<(), Violation> {
        let plan = self.plan;
        let measured = |measure: Measure| plan.measures.get(measure).unwrap_or_default();
        let value = match &self.blueprint.objective {
            Objective::InTurn(measures) => measured(measures[0]),
            Objective::Weighted(weights) => {
                let parts = weights.iter().map(|(measure, weight)| weight.checked_mul(measured(*measure)));
                let sum = parts.collect::<Option<Vec<_>>>().and_then(checked_sum);
                sum.ok_or_else(|| far("objective"))?
            }
        };
        let stages = self.blueprint.objective.tie_breakers();
        let slack = match &self.blueprint.objective {
            Objective::InTurn(_) => Decimal::new(1, 6),
            Objective::Weighted(weights) => {
                let sum = checked_sum(weights.values().copied().chain([Decimal::ONE]));
                sum.unwrap_or(Decimal::ONE).saturating_mul(Decimal::new(1, 6))
            }
        };
        let off = distance(plan.objective, value);
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
        if plan.later_stages.len() > stages.len() || (is_optimal && plan.later_stages.len() < stages.len()) {
            return violation("then", format!("{} stages are needed", stages.len()));
        }
        for (stage, measure) in plan.later_stages.iter().zip(stages) {
            let is_right = stage.measure == measure
                && distance(stage.value, measured(measure)) <= Decimal::new(1, 6)
                && stage.bound <= stage.value;
            if !is_right {
                return violation("then", format!("{measure} is {}", measured(measure)));
            }
        }
        Ok(())
    }
}
