//! A durable purchase: data only. `purchase::machine` decides what happens next.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    KeyNamespace, Lease, OfferId, Operator, OrderId, Plan, Policy, PriceLine, ProviderId, ServiceId, Step,
    digest_of,
};

/// The durable purchase of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Order {
    /// UUID of version 7.
    pub id: OrderId,
    /// The plan that is bought; after a fail-over the newest one.
    pub plan: Plan,
    /// The policy under which the plan is bought.
    pub policy: Policy,
    /// The state of the purchase.
    pub state: OrderState,
    /// When the order was accepted.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// Why the order does not go on as planned; for people.
    pub reason: Option<String>,
    /// The namespace of the steps' idempotency keys, which is that of the accepting ledger. None in orders from before plan
    /// format 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<KeyNamespace>,
    /// In an order that was just accepted: whether the caller named the approved digest of plan and policy. Later the first
    /// event tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_approved: bool,
    /// The customer's cancellation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// Fail-overs so far.
    pub rounds: Vec<FailOverRound>,
    /// One step for each lease of the first plan that is bought, in the plan's order; then the steps of each fail-over.
    pub steps: Vec<Step>,
}

impl Order {
    /// The service that each lease of the present plan is, by position: what it keeps, or what its step has made.
    pub(crate) fn services_of_leases(&self) -> Vec<Option<ServiceId>> {
        let made: BTreeMap<u32, ServiceId> =
            self.steps.iter().filter_map(|step| Some((step.index, step.named_service()?))).collect();
        let leases = self.plan.leases.iter().zip(self.plan.steps_of_leases(self.steps.len()));
        leases.map(|(lease, index)| lease.keeps.clone().or_else(|| made.get(&index?).cloned())).collect()
    }

    /// The plan that was accepted.
    pub fn first_plan(&self) -> &Plan {
        self.rounds.first().map_or(&self.plan, |round| &round.plan)
    }

    /// Whether a host must drive the order: it is not final, or it is committed and cancelled.
    pub fn is_unfinished(&self) -> bool {
        !self.state.is_final() || (self.state == OrderState::Committed && self.cancellation.is_some())
    }

    /// The net cost of a month at the prices that were last checked, without set-up fees. It differs from the plan's figure
    /// where a price moved within the tolerance, or where a service does not exist. Zero once the order is over. `None` if
    /// the sum leaves the range of a decimal.
    pub fn monthly(&self) -> Option<Decimal> {
        if self.state.is_over() {
            return Some(Decimal::ZERO);
        }
        self.current_steps().try_fold(self.plan.monthly, |sum, step| {
            let planned = sum_of(&step.lease, |line| line.monthly)?;
            sum.checked_sub(planned)?.checked_add(step.current_cost(planned, |check| check.monthly))
        })
    }

    /// The net cost at the start, at the prices that were last checked, including services that were released since. Zero if
    /// the order was refused.
    pub fn once(&self) -> Option<Decimal> {
        if self.state == OrderState::Refused {
            return Some(Decimal::ZERO);
        }
        let at_checked = self.current_steps().try_fold(self.plan.once, |sum, step| {
            sum.checked_sub(sum_of(&step.lease, |line| line.once)?)?.checked_add(step.lease.paid_once()?)
        });
        self.retained_steps().try_fold(at_checked?, |sum, step| sum.checked_add(step.lease.paid_once()?))
    }

    /// Whether no fail-over has replaced the step.
    fn is_current(&self, step: &Step) -> bool {
        !self.rounds.iter().any(|round| round.replaced.contains(&step.index))
    }

    /// Whether the present plan keeps the service of a step from before it.
    fn is_retained(&self, step: &Step) -> bool {
        let Some(service) = step.state.service_id() else { return false };
        let name = format!("{}/{service}", step.provider);
        self.plan.leases.iter().any(|lease| lease.keeps.as_ref().is_some_and(|id| id.as_str() == name))
    }

    /// Steps whose services the last fail-over keeps: the present plan has no set-up fee for them.
    pub(crate) fn retained_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.is_current(step) && self.is_retained(step))
    }

    /// Steps that buy leases of the present plan.
    pub(crate) fn current_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.is_current(step) && !self.is_retained(step))
    }
}

fn sum_of(lease: &Lease, of: impl Fn(&PriceLine) -> Decimal) -> Option<Decimal> {
    lease.lines.iter().try_fold(Decimal::ZERO, |sum, line| sum.checked_add(of(line)))
}

/// The cancellation of an order by its customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cancellation {
    /// When the ledger recorded it; none if an older version did.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Who cancelled, and why; none if nobody said.
    pub by: Option<Operator>,
}

/// One fail-over: what could not be bought, and the plan before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct FailOverRound {
    /// When the new plan was written down.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// For people.
    pub reason: String,
    /// Offers that are excluded from now on.
    pub offers: BTreeSet<OfferId>,
    /// Providers that are excluded from now on.
    pub providers: BTreeSet<ProviderId>,
    /// Steps that the new plan replaces.
    pub replaced: Vec<u32>,
    /// The plan before.
    pub plan: Plan,
}

/// The state of an order. In parentheses: the TM Forum 622 state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Written down, prices not yet checked (acknowledged).
    Accepted,
    /// Prices checked; services are being made (inProgress).
    Provisioning,
    /// All services exist (completed).
    Committed,
    /// Services are being released again (assessingCancellation).
    Compensating,
    /// It was committed once, and all of its services were ended since (cancelled).
    Ended,
    /// It could not be bought; whatever had been made was released again (failed).
    Failed,
    /// Nothing was ever asked of a provider (rejected).
    Refused,
    /// Ended, failed or refused, in the events of ledgers from before plan format 4; no order is in it any more.
    Compensated,
    /// A person must look (held).
    Stuck,
    /// All services exist, and something is done to one of them (pending).
    Changing,
    /// A person has given up; something may be left at a provider (partial).
    Abandoned,
}

impl OrderState {
    /// The states in which a host has something to do, whether or not the customer has cancelled. Ledgers look for them.
    pub const UNFINISHED: [Self; 4] =
        [Self::Accepted, Self::Provisioning, Self::Changing, Self::Compensating];

    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Provisioning,
        Self::Committed,
        Self::Compensating,
        Self::Ended,
        Self::Failed,
        Self::Refused,
        Self::Compensated,
        Self::Stuck,
        Self::Changing,
        Self::Abandoned,
    ];

    /// Whether nothing more happens by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Committed
            | Self::Ended
            | Self::Failed
            | Self::Refused
            | Self::Compensated
            | Self::Stuck
            | Self::Abandoned => true,
            Self::Accepted | Self::Provisioning | Self::Compensating | Self::Changing => false,
        }
    }

    /// Whether it is proven that no service of the order exists.
    pub fn is_over(self) -> bool {
        match self {
            Self::Ended | Self::Failed | Self::Refused | Self::Compensated => true,
            Self::Accepted
            | Self::Provisioning
            | Self::Committed
            | Self::Compensating
            | Self::Changing
            | Self::Stuck
            | Self::Abandoned => false,
        }
    }

    /// The word in ledgers and events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Provisioning => "provisioning",
            Self::Committed => "committed",
            Self::Compensating => "compensating",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
            Self::Changing => "changing",
            Self::Abandoned => "abandoned",
        }
    }
}

impl FromStr for OrderState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.word() == text).ok_or_else(|| {
            format!(
                "{text:?} is not a state of an order; write one of {}",
                Self::ALL.map(Self::word).join(", ")
            )
        })
    }
}

/// Digests of an accepted order, in its first event: the chain of events proves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Acceptance {
    /// Of plan and policy: [`Plan::approval_digest`].
    pub approval: String,
    /// Whether the caller named that digest: somebody has approved it.
    #[serde(default)]
    pub is_approved: bool,
    /// Of the steps: their keys, providers and leases.
    pub steps: String,
    /// When.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

impl Acceptance {
    /// What an order that was just accepted is.
    pub fn of(order: &Order, is_approved: bool) -> Self {
        Self {
            approval: order.plan.approval_digest(&order.policy),
            is_approved,
            steps: Self::digest_of_steps(&order.steps),
            created: order.created,
        }
    }

    /// As [`steps`](Self::steps); what a step has come to since counts for nothing.
    pub fn digest_of_steps(steps: &[Step]) -> String {
        let fixed = |step: &Step| {
            let lease = Lease { checked: None, ..step.lease.clone() };
            (step.index, step.key.clone(), step.provider.clone(), lease)
        };
        digest_of(&steps.iter().map(fixed).collect::<Vec<_>>())
    }
}
