//! A durable purchase: data only; what happens next is decided in `purchase::machine`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    Action, Finding, IdempotencyKey, KeyNamespace, Lease, Money, OfferId, OrderId, OwnService, Plan, Policy,
    PriceAuthority, PriceLine, ProviderId, RecordedKind, RepairAction, ServiceId, digest_of,
};

/// The durable purchase of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// UUID of version 7.
    pub id: OrderId,
    /// What is bought; after a fail-over the newest plan.
    pub plan: Plan,
    /// How it is bought.
    pub policy: Policy,
    /// How far it is.
    pub state: OrderState,
    /// When it was accepted.
    pub created: Timestamp,
    /// Why it does not go on as planned; for people.
    pub reason: Option<String>,
    /// The namespace of its steps' keys: that of the ledger which accepted it; none in orders from before plan format 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<KeyNamespace>,
    /// Of an order that is just accepted, whether the caller named the digest of plan and policy: somebody has approved
    /// them. Later the first event tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_approved: bool,
    /// That the customer wants it undone; none if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// Fail-overs so far.
    pub rounds: Vec<Round>,
    /// One for each lease of the first plan that is bought, in its order; then those of each fail-over.
    pub steps: Vec<Step>,
}

impl Order {
    /// The plan that was accepted.
    pub fn first_plan(&self) -> &Plan {
        self.rounds.first().map_or(&self.plan, |round| &round.plan)
    }

    /// Whether a host has something to do: the order is not final, or it is committed and the customer has cancelled it.
    pub fn is_unfinished(&self) -> bool {
        !self.state.is_final() || (self.state == OrderState::Committed && self.cancellation.is_some())
    }

    /// What a month costs at the prices that were last checked, net, without set-up fees: the plan's own figure, unless
    /// a price has moved within the tolerance, or a service is not there (any more). Zero once the order is over. `None` if
    /// the sum leaves the range of a decimal.
    pub fn monthly(&self) -> Option<Decimal> {
        if self.state.is_over() {
            return Some(Decimal::ZERO);
        }
        self.bought_now().try_fold(self.plan.monthly, |sum, step| {
            let planned = sum_of(&step.lease, |line| line.monthly)?;
            sum.checked_sub(planned)?.checked_add(step.now(planned, |check| check.monthly))
        })
    }

    /// What is paid at the start, at the prices that were last checked: also for what was given back since. Zero if nothing
    /// was asked of anybody.
    pub fn once(&self) -> Option<Decimal> {
        if self.state == OrderState::Refused {
            return Some(Decimal::ZERO);
        }
        let at_checked = self.bought_now().try_fold(self.plan.once, |sum, step| {
            sum.checked_sub(sum_of(&step.lease, |line| line.once)?)?.checked_add(step.lease.paid_once()?)
        });
        self.kept().try_fold(at_checked?, |sum, step| sum.checked_add(step.lease.paid_once()?))
    }

    /// Whether no fail-over has put other steps in the place of one.
    fn is_current(&self, step: &Step) -> bool {
        !self.rounds.iter().any(|round| round.replaced.contains(&step.index))
    }

    /// Whether the present plan keeps what a step bought before it.
    fn is_kept(&self, step: &Step) -> bool {
        let Some(service) = step.state.service_id() else { return false };
        let name = format!("{}/{service}", step.provider);
        self.plan.leases.iter().any(|lease| lease.keeps.as_ref().is_some_and(|id| id.as_str() == name))
    }

    /// Steps whose services a fail-over keeps: the present plan pays no start for them again.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.is_current(step) && self.is_kept(step))
    }

    /// Steps that buy what the present plan has a price for.
    pub(crate) fn bought_now(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| self.is_current(step) && !self.is_kept(step))
    }
}

fn sum_of(lease: &Lease, of: impl Fn(&PriceLine) -> Decimal) -> Option<Decimal> {
    lease.lines.iter().try_fold(Decimal::ZERO, |sum, line| sum.checked_add(of(line)))
}

/// A customer's wish that an order be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// When the ledger noted it; none if an older version did.
    pub at: Option<Timestamp>,
    /// Who cancelled, and why; none if nobody said.
    pub by: Option<Operator>,
}

/// One fail-over: what could not be had, and what was planned before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When the new plan was written down.
    pub at: Timestamp,
    /// For people.
    pub reason: String,
    /// Offers that are not asked for again.
    pub offers: BTreeSet<OfferId>,
    /// Providers that are not bought from again.
    pub providers: BTreeSet<ProviderId>,
    /// Steps that the new plan replaces.
    pub replaced: Vec<u32>,
    /// The plan before.
    pub plan: Plan,
}

/// How far an order is. In parentheses: the TM Forum 622 state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The purchase of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The same for ever; the provider knows it as key, label or name.
    pub key: IdempotencyKey,
    /// Who is asked.
    pub provider: ProviderId,
    /// What is asked for.
    pub lease: Lease,
    /// How far it is.
    pub state: StepState,
    /// Tries so far, newest last; at most the last ten.
    pub attempts: Vec<Attempt>,
}

/// One try that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// What came back; no secrets.
    pub error: String,
    /// Why it cannot be had there, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

/// Why something cannot be had at one provider, though perhaps elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shortage {
    /// None is left.
    SoldOut,
    /// The account may not have more.
    Quota,
    /// The provider has not answered, or not made it, for as long as a step may take.
    Unavailable,
}

/// A claim as steps remember it: its fencing token, as text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimId(String);

impl ClaimId {
    /// The claim with a fencing token.
    pub fn of_token(token: u64) -> Self {
        Self(token.to_string())
    }
}

/// No claim is stored as an empty text.
mod claim_or_empty {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::ClaimId;

    pub(super) fn serialize<S: Serializer>(
        claim: &Option<ClaimId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        claim.as_ref().map_or("", |claim| claim.0.as_str()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ClaimId>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok((!text.is_empty()).then_some(ClaimId(text)))
    }
}

/// How far one step is. Every state is written before the call that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StepState {
    /// Nothing was sent.
    Planned,
    /// The provider was asked to hold it, and may. Nothing exists, and nothing costs money.
    Reserving {
        /// When the intent was written.
        since: Timestamp,
    },
    /// The provider holds it.
    Reserved {
        /// Until when; it ends by itself.
        until: Timestamp,
    },
    /// The provider may have been asked.
    Provisioning {
        /// The claim under which the intent was written: a driver with another one must look before it asks again.
        claim: ClaimId,
        /// When the intent was written.
        since: Timestamp,
        /// What is known of the outcome.
        progress: CallProgress,
        /// The handle of an operation that its provider tells nothing of any more: asked once more before absence is
        /// believed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation: Option<String>,
    },
    /// The service exists.
    Provisioned {
        /// As the provider reported it.
        service: OwnService,
    },
    /// The service exists and the whole order is done.
    Committed {
        /// As the provider reported it.
        service: OwnService,
    },
    /// Something is done to the service of an order that is done.
    Acting {
        /// As the provider last reported it.
        service: OwnService,
        /// What.
        action: Action,
        /// The claim under which the intent was written: a driver with another one must look before it asks again. None until
        /// a driver takes the action up; stored as an empty text then.
        #[serde(with = "claim_or_empty")]
        claim: Option<ClaimId>,
        /// When it was wanted; with it the call's key is made.
        since: Timestamp,
        /// What is known of the outcome.
        progress: CallProgress,
    },
    /// What exists is being released.
    Compensating {
        /// What is known to exist; none if that must be found out first.
        service: Option<ServiceId>,
        /// The release under way, as the provider's operation handle. Where it must be found out first what exists, the
        /// operation that was to make it, if one began.
        operation: Option<String>,
        /// Whether the provider may have been asked to make what the compensation looks for.
        #[serde(default)]
        sent: RequestSent,
        /// When compensation began.
        since: Timestamp,
    },
    /// Proven: nothing exists.
    Compensated,
    /// A person must look.
    Stuck {
        /// At what, and why.
        reason: String,
        /// What was known to exist; none if not even that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
        /// The release that was under way; only it may lead to parts that outlive the service, such as disks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation: Option<String>,
    },
}

impl StepState {
    /// The service that the step has made and not yet begun to release, as its provider last reported it.
    pub fn service(&self) -> Option<&OwnService> {
        match self {
            Self::Provisioned { service } | Self::Committed { service } | Self::Acting { service, .. } => {
                Some(service)
            }
            Self::Planned
            | Self::Reserving { .. }
            | Self::Reserved { .. }
            | Self::Provisioning { .. }
            | Self::Compensating { .. }
            | Self::Compensated
            | Self::Stuck { .. } => None,
        }
    }

    /// The id of the service that the step has, or is about to release.
    pub fn service_id(&self) -> Option<&ServiceId> {
        match self {
            Self::Compensating { service, .. } => service.as_ref(),
            other => other.service().map(|service| &service.id),
        }
    }

    /// Whether the step is still to be provisioned.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Planned | Self::Reserving { .. } | Self::Reserved { .. } | Self::Provisioning { .. } => {
                true
            }
            Self::Provisioned { .. }
            | Self::Committed { .. }
            | Self::Acting { .. }
            | Self::Compensating { .. }
            | Self::Compensated
            | Self::Stuck { .. } => false,
        }
    }

    /// Whether no call of the step has an unknown outcome: all that it has made is known, or a person looks for it.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Provisioned { .. }
            | Self::Committed { .. }
            | Self::Acting { .. }
            | Self::Compensating { service: Some(_), .. }
            | Self::Compensated
            | Self::Stuck { .. } => true,
            Self::Planned
            | Self::Reserving { .. }
            | Self::Reserved { .. }
            | Self::Provisioning { .. }
            | Self::Compensating { service: None, .. } => false,
        }
    }

    /// The state in words, for people.
    pub fn description(&self) -> String {
        match self {
            Self::Planned => "planned".to_owned(),
            Self::Reserving { .. } => "asking to hold it".to_owned(),
            Self::Reserved { until } => format!("held until {until:.0}"),
            Self::Provisioning { progress, .. } => match progress {
                CallProgress::IntentOnly => "intent written, asking".to_owned(),
                CallProgress::OutcomeUnknown => "no answer; looking for the key before anything else".to_owned(),
                CallProgress::Running(_) => "the cloud works on it".to_owned(),
            },
            Self::Provisioned { service } => format!("provisioned {}", service.id),
            Self::Committed { service } => format!("committed {}", service.id),
            Self::Compensating { service: None, .. } => "to be undone: finding out what exists".to_owned(),
            Self::Compensating { service: Some(id), operation: None, .. } => format!("releasing {id}"),
            Self::Compensating { service: Some(id), operation: Some(_), .. } => {
                format!("releasing {id}, the cloud works on it")
            }
            Self::Acting { service, action, .. } => format!("{} of {}", action.word(), service.id),
            Self::Compensated => "compensated, nothing exists".to_owned(),
            Self::Stuck { reason, .. } => format!("stuck: {reason}"),
        }
    }
}

impl Step {
    /// What it costs now: nothing once it is not there, else what was last checked, or planned.
    pub(crate) fn now(&self, planned: Decimal, of_check: impl Fn(&PriceCheck) -> Decimal) -> Decimal {
        match (&self.state, &self.lease.checked) {
            (StepState::Compensated, _) => Decimal::ZERO,
            (_, Some(check)) => of_check(check),
            (_, None) => planned,
        }
    }
}

/// Whether a provider may have been asked to make a step's service. Stored as a time, as ever: none if the service was known
/// when compensation began, the Unix epoch if nothing was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Timestamp>", into = "Option<Timestamp>")]
pub enum RequestSent {
    /// Nothing was sent, so there is nothing to wait for.
    Never,
    /// A request may have been sent, the last one before this moment.
    Maybe {
        /// When compensation began to look for the service.
        at: Timestamp,
    },
    /// It was sent: the service was known when compensation began.
    #[default]
    Known,
}

impl From<Option<Timestamp>> for RequestSent {
    fn from(stored: Option<Timestamp>) -> Self {
        match stored {
            None => Self::Known,
            Some(at) if at == Timestamp::UNIX_EPOCH => Self::Never,
            Some(at) => Self::Maybe { at },
        }
    }
}

impl From<RequestSent> for Option<Timestamp> {
    fn from(sent: RequestSent) -> Self {
        match sent {
            RequestSent::Known => None,
            RequestSent::Never => Some(Timestamp::UNIX_EPOCH),
            RequestSent::Maybe { at } => Some(at),
        }
    }
}

/// What is known of a call that makes or changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The intent is written; the call may or may not have been sent.
    IntentOnly,
    /// It was sent and no answer came.
    OutcomeUnknown,
    /// The provider works on it; the handle survives a restart.
    Running(String),
}

/// Something that happened to an order, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// Rises within a ledger; some numbers may be missing.
    pub sequence: u64,
    /// Counts the order's events from 1; none is missing.
    pub number: u64,
    /// Whose.
    pub order: OrderId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: RecordedKind,
    /// Over this event and the one before it, in hexadecimal: `ledger::verify_events`.
    pub hash: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum OrderEventKind {
    /// The order changed its state.
    Order {
        /// The new state.
        state: OrderState,
        /// Why, if not as planned.
        reason: Option<String>,
        /// What was accepted; in the first event of orders since plan format 4.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted: Option<Box<Accepted>>,
    },
    /// A step changed its state.
    Step {
        /// Which.
        index: u32,
        /// Who is asked.
        provider: ProviderId,
        /// The new state.
        step: StepState,
    },
    /// A call failed and is tried again or given up.
    Attempt {
        /// Which step.
        index: u32,
        /// Who was asked.
        provider: ProviderId,
        /// What came back.
        error: String,
    },
    /// Another plan was made for what cannot be had.
    FailedOver {
        /// What could not be had, and the plan before.
        round: Box<Round>,
        /// The plan from now on.
        plan: Box<Plan>,
    },
    /// A person has done something about the order.
    Operator {
        /// Who, and why.
        by: Operator,
        /// What.
        action: OperatorAction,
    },
    /// A scan of the providers found something that does not fit, and something was done about it.
    Reconciled {
        /// What was found.
        finding: Finding,
        /// What was done.
        action: RepairAction,
    },
    /// The customer wants the order undone.
    CancellationRequested {
        /// Who cancelled, and why; none if nobody said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Operator>,
    },
    /// A host could not drive the order; the order waits before a host tries again.
    DriveFailed {
        /// What went wrong.
        reason: String,
        /// How often in a row, this time included.
        count: u32,
    },
    /// Prices were compared with the plan's, over the horizon. Steps whose price nobody could check are not in it.
    PricesChecked {
        /// At the plan's prices.
        planned: Money,
        /// At the prices now.
        current: Money,
        /// Who said so, of each step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckedPrice>,
    },
    /// The price of a step could be checked nowhere, and the policy allows to buy it all the same.
    PriceUnchecked {
        /// Which step.
        index: u32,
        /// At whom.
        provider: ProviderId,
        /// What the plan says that it costs over the horizon.
        planned: Money,
    },
    /// Something that only a later version knows; its text is in [`RecordedKind::text`].
    #[serde(other)]
    Unknown,
}

/// The price of a step as it was last checked, net, in the plan's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PriceCheck {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who says so; none: nobody, and the plan's own price stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PriceAuthority>,
    /// The day of the table's row, or of the listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub day: Option<jiff::civil::Date>,
    /// Until when a quote holds, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub valid_until: Option<Timestamp>,
    /// A month.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// At the start.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
    /// Over the horizon, renewals included.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub total: Decimal,
}

/// A step's price check, in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedPrice {
    /// Which step.
    pub index: u32,
    /// What was found.
    #[serde(flatten)]
    pub check: PriceCheck,
}

impl CheckedPrice {
    /// By whom, in words: `quote`, `listing`, `table of 2026-11-20`.
    pub fn authority(&self) -> String {
        match (&self.check.authority, self.check.day) {
            (Some(PriceAuthority::Table), Some(day)) => format!("table of {day}"),
            (Some(authority), _) => authority.to_string(),
            (None, _) => "nobody".to_owned(),
        }
    }
}

/// What was accepted, as digests: the chain of events proves it from its first link on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Of plan and policy: [`Plan::approval_digest`].
    pub approval: String,
    /// Whether the caller named that digest: somebody has approved it.
    #[serde(default)]
    pub is_approved: bool,
    /// Of the steps: their keys, providers and leases.
    pub steps: String,
    /// When.
    pub created: Timestamp,
}

impl Accepted {
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

/// A person who does something about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// A name by which others find that person.
    pub who: String,
    /// The reason, in a sentence.
    pub why: String,
}

/// What a person has done about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
#[non_exhaustive]
pub enum OperatorAction {
    /// Let it be undone once more.
    Retry,
    /// Wanted something done to one service.
    Act {
        /// Of which step.
        index: u32,
        /// What; none: ended.
        wanted: Option<Action>,
    },
    /// Gave up: nobody will look for what may be left.
    Abandon,
    /// Said that nothing of a step is left at its provider.
    Settle {
        /// Which step.
        index: u32,
        /// How that is known.
        evidence: String,
    },
}
