//! Fail-over: another plan for what cannot be had; what is bought stays.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{
    PurchaseError, accept::planned_step, driver::Driver, machine::to_compensate, plan_check::check_partners,
    price_check,
};
use crate::{
    catalogue::{Catalogue, IngestOptions},
    compose::{ComposeOptions, Signal, compose},
    ledger::OrderUpdate,
    model::{
        Blueprint, FailOver, FailOverRound, OfferId, OfferKind, OrderEventKind, Plan, ProviderId, Running,
        ServiceId, Shortage, Step, StepState,
    },
    threads,
};

/// The plan that a fail-over goes on with.
struct NextPlan {
    plan: Plan,
    /// Steps that are new, or carry something else.
    steps: Vec<Step>,
    events: Vec<OrderEventKind>,
}

impl Driver<'_> {
    /// Goes on with another plan for the failed steps, or begins to compensate the whole order.
    pub(super) async fn fail_over(&mut self) -> Result<(), PurchaseError> {
        let failed: Vec<String> = self
            .failed_steps()
            .map(|step| {
                let why = step.attempts.last().map_or("given up", |attempt| attempt.error.as_str());
                format!("{} at {}: {why}", step.lease.sku, step.provider)
            })
            .collect();
        let reason = failed.join("; ");
        let Some(policy) = self.policy.fail_over.clone() else { return self.undo(reason, Vec::new()).await };
        if !self.has_rounds_left() {
            let reason = format!("{reason}; {} other plans were tried", policy.rounds);
            return self.undo(reason, Vec::new()).await;
        }
        let (offers, providers) = self.unavailable();
        match self.next_plan(&policy, &offers, &providers).await {
            Ok(next) => {
                let unbought = self.unbought();
                let (at, plan) = (Timestamp::now(), self.order.plan.clone());
                let replaced = self.failed_steps().chain(&unbought).map(|step| step.index).collect();
                let round = FailOverRound { at, reason, offers, providers, replaced, plan };
                let steps = unbought.into_iter().chain(next.steps).collect();
                self.switch_to(NextPlan { steps, ..next }, round).await
            }
            Err(why) => self.undo(format!("{reason}; no other plan: {why}"), Vec::new()).await,
        }
    }

    async fn switch_to(&mut self, next: NextPlan, round: FailOverRound) -> Result<(), PurchaseError> {
        let NextPlan { plan, steps, mut events } = next;
        tracing::info!(order = %self.order.id, reason = round.reason, steps = steps.len(), "another plan");
        let mut rounds = self.order.rounds.clone();
        rounds.push(round.clone());
        events.push(OrderEventKind::FailedOver { round: Box::new(round), plan: Box::new(plan.clone()) });
        self.apply(OrderUpdate { steps, events, plan: Some((plan, rounds)), order: None }).await?;
        crate::telemetry::failed_over();
        Ok(())
    }

    /// The open steps of the old plan, abandoned: otherwise both plans could buy the same component.
    fn unbought(&self) -> Vec<Step> {
        let now = Timestamp::now();
        let given_up = |step: &Step| {
            let state = to_compensate(&step.state, now, self.is_new() || self.is_non_idempotent(step));
            Step { state, ..step.clone() }
        };
        self.order.steps.iter().filter(|step| step.state.is_open()).map(given_up).collect()
    }

    /// Sold-out offers, and providers without quota or reply, from all attempts so far.
    fn unavailable(&self) -> (BTreeSet<OfferId>, BTreeSet<ProviderId>) {
        let (mut offers, mut providers) = (BTreeSet::new(), BTreeSet::new());
        for step in &self.order.steps {
            for shortage in step.attempts.iter().filter_map(|attempt| attempt.shortage) {
                match shortage {
                    Shortage::SoldOut => drop(offers.insert(step.lease.offer.clone())),
                    Shortage::Quota | Shortage::Unavailable => drop(providers.insert(step.provider.clone())),
                }
            }
        }
        (offers, providers)
    }

    /// The best plan that keeps what is bought, at current prices; or why there is none.
    async fn next_plan(
        &self,
        policy: &FailOver,
        offers: &BTreeSet<OfferId>,
        providers: &BTreeSet<ProviderId>,
    ) -> Result<NextPlan, String> {
        let engine = self.engine;
        let all: Vec<_> = engine.providers.values().cloned().collect();
        let rates = (*engine.market.configured_rates()).clone();
        let catalogue = engine.market.refresh(&all, IngestOptions::new(Timestamp::now(), rates)).await;
        let options = ComposeOptions {
            exclude: offers.clone(),
            exclude_providers: providers.clone(),
            start: Some(Arc::new(self.order.plan.clone())),
            ..ComposeOptions::default()
        };
        let plan =
            compose_next(catalogue, self.with_bought(policy)?, options, policy.search_timeout_s).await?;
        self.check_rise(policy, &plan)?;
        check_partners(&plan)?;
        let mut steps = self.kept_steps(&plan)?;
        let first = u32::try_from(self.order.steps.len()).unwrap_or(u32::MAX);
        let bought = plan.leases.iter().filter(|lease| lease.keeps.is_none());
        let new: Vec<Step> = (first..)
            .zip(bought)
            .map(|(index, lease)| planned_step(self.order.namespace.as_ref(), &self.order.id, index, lease))
            .collect();
        for step in &new {
            engine
                .check_buyable(&self.policy, &step.provider, step.lease.kind)
                .map_err(|error| error.to_string())?;
        }
        let checked = price_check::check(engine, &self.policy, &plan, &new, self.paid_once()?).await?;
        steps.extend(checked.steps);
        Ok(NextPlan { plan, steps, events: checked.events })
    }

    /// The blueprint with what is bought as running and pinned. What was paid for it at the start is taken off the budget.
    fn with_bought(&self, policy: &FailOver) -> Result<Blueprint, String> {
        let mut blueprint = policy.blueprint.clone();
        self.name_what_is_other(&mut blueprint);
        // What a bought service was made with stays, too.
        let named = self.partners_of_bought();
        for service in blueprint.running.services.iter_mut().filter(|service| named.contains(&service.id)) {
            service.pinned = true;
        }
        for mut service in Running::of_order(&self.order).services {
            service.pinned = true;
            blueprint.running.services.push(service);
        }
        let share = self
            .paid_once()?
            .checked_div(Decimal::from(blueprint.horizon_months))
            .ok_or_else(out_of_range)?;
        let share = share.round_dp_with_strategy(6, RoundingStrategy::ToPositiveInfinity);
        let rest = |budget: Decimal| budget.checked_sub(share).map(|rest| rest.max(Decimal::ZERO));
        blueprint.budget =
            blueprint.budget.map(|budget| rest(budget).ok_or_else(out_of_range)).transpose()?;
        Ok(blueprint)
    }

    /// An order accepted by an older version may ask for a product of kind `other` and not say which: it is what was chosen then.
    fn name_what_is_other(&self, blueprint: &mut Blueprint) {
        let leases = || self.order.first_plan().leases.iter();
        for (name, component) in &mut blueprint.components {
            let filter = &component.filter;
            let is_named = !filter.skus.allow.is_empty() || !filter.attributes.is_empty();
            if component.kind == OfferKind::Other && !is_named {
                let theirs = leases().filter(|lease| lease.replicas.contains_key(name));
                let chosen: BTreeSet<_> = theirs.map(|lease| &lease.sku).collect();
                component.filter.skus.allow = chosen.into_iter().cloned().collect();
            }
        }
    }

    /// What was paid at the start for what is bought and stays.
    fn paid_once(&self) -> Result<Decimal, String> {
        let bought =
            self.order.steps.iter().filter(|step| matches!(step.state, StepState::Provisioned { .. }));
        bought
            .map(|step| step.lease.paid_once())
            .try_fold(Decimal::ZERO, |sum, once| sum.checked_add(once?))
            .ok_or_else(out_of_range)
    }

    fn check_rise(&self, policy: &FailOver, plan: &Plan) -> Result<(), String> {
        let months = policy.blueprint.horizon_months;
        // Plans of format 3 tell no horizon of their own.
        let first = Plan { horizon_months: Some(months), ..self.order.first_plan().clone() };
        let first = first.total().ok_or_else(out_of_range)?;
        let now = plan.total().ok_or_else(out_of_range)?;
        let now = now.checked_add(self.paid_once()?).ok_or_else(out_of_range)?;
        let rise = first
            .checked_mul(policy.max_rise_percent)
            .and_then(|rise| rise.checked_div(Decimal::ONE_HUNDRED));
        let limit = rise.and_then(|rise| first.checked_add(rise)).ok_or_else(out_of_range)?;
        if now <= limit {
            return Ok(());
        }
        Err(format!(
            "the next best costs {} {} over {months} months, the first plan {}; allow a higher max_rise_percent",
            now.round_dp(2),
            plan.currency.code(),
            first.round_dp(2)
        ))
    }

    /// The services with which bought ones were made.
    fn partners_of_bought(&self) -> BTreeSet<ServiceId> {
        let services = self.order.services_of_leases();
        let bought =
            self.order.steps.iter().filter(|step| matches!(step.state, StepState::Provisioned { .. }));
        let positions = bought.flat_map(|step| step.lease.partners.values().flatten());
        positions.filter_map(|at| services.get(usize::try_from(*at).ok()?)?.clone()).collect()
    }

    /// Bought steps that carry other replicas in the new plan. The plan must have all that is bought, as it is.
    fn kept_steps(&self, plan: &Plan) -> Result<Vec<Step>, String> {
        let mut changed = Vec::new();
        let services = self.order.services_of_leases();
        let before = |at: &u32| services.get(usize::try_from(*at).ok()?)?.clone();
        let then = |at: &u32| plan.leases.get(usize::try_from(*at).ok()?)?.keeps.clone();
        for step in &self.order.steps {
            let StepState::Provisioned { service } = &step.state else { continue };
            let name = format!("{}/{}", step.provider, service.id);
            let lease =
                plan.leases.iter().find(|lease| lease.keeps.as_ref().is_some_and(|id| id.as_str() == name));
            let lease = lease.filter(|lease| lease.size_gib == step.lease.size_gib);
            let lease = lease.ok_or_else(|| format!("the next best would change {name}, which is bought"))?;
            // It was made with certain services, whatever their positions.
            for (word, positions) in &step.lease.partners {
                let made_with: BTreeSet<_> = positions.iter().filter_map(before).collect();
                let now: BTreeSet<_> =
                    lease.partners.get(word).into_iter().flatten().filter_map(then).collect();
                if made_with != now {
                    return Err(format!("the next best would give {name} other `{word}`"));
                }
            }
            if (&lease.replicas, &lease.partners) != (&step.lease.replicas, &step.lease.partners) {
                // The service was made with its first settings.
                let was_made_so = |(name, value): (&String, &serde_json::Value)| {
                    step.lease.settings.get(name) == Some(value)
                };
                if !lease.settings.iter().all(was_made_so) {
                    return Err(format!("the next best would put on {name} what wants other settings"));
                }
                let mut step = step.clone();
                step.lease.replicas = lease.replicas.clone();
                (step.lease.after, step.lease.rank) = (lease.after.clone(), lease.rank);
                step.lease.partners = lease.partners.clone();
                changed.push(step);
            }
        }
        Ok(changed)
    }
}

fn out_of_range() -> String {
    "the amounts are outside the range of money".to_owned()
}

/// Composes on another thread; a dropped driver cancels the search.
async fn compose_next(
    catalogue: Arc<Catalogue>,
    blueprint: Blueprint,
    options: ComposeOptions,
    timeout_s: u32,
) -> Result<Plan, String> {
    struct Cancel(Arc<AtomicBool>);
    impl Drop for Cancel {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let cancel = Cancel(Arc::default());
    let is_cancelled = cancel.0.clone();
    let end = Instant::now() + Duration::from_secs(timeout_s.into());
    let search = threads::spawn_blocking(move || {
        compose(&catalogue, &blueprint, &options, &mut |_| match () {
            () if is_cancelled.load(Ordering::Relaxed) => Signal::Cancel,
            () if Instant::now() >= end => Signal::Limit,
            () => Signal::Continue,
        })
    });
    let outcome = search.await;
    drop(cancel);
    match outcome {
        Ok(plan) => plan.map_err(|error| error.to_string()),
        Err(error) => Err(format!("the search ended early: {error}")),
    }
}
