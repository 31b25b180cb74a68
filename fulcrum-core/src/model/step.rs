//! A step of an order: the purchase of one lease, and its state.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Action, IdempotencyKey, Lease, OwnService, PriceAuthority, ProviderId, ServiceId};

/// The purchase of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Step {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The idempotency key, which never changes; the provider has it as key, label or name.
    pub key: IdempotencyKey,
    /// The provider that sells the lease.
    pub provider: ProviderId,
    /// The lease that is bought.
    pub lease: Lease,
    /// The state of the purchase.
    pub state: StepState,
    /// Failed attempts, newest last; at most the last ten.
    pub attempts: Vec<Attempt>,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Attempt {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The error, without secrets.
    pub error: String,
    /// Why the lease cannot be bought at this provider, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

/// Why a lease cannot be bought at one provider, though perhaps at another one.
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StepState {
    /// Nothing was sent.
    Planned,
    /// A reservation was requested and may exist. No service exists, and nothing costs money.
    Reserving {
        /// When the intent was written.
        #[schemars(with = "String")]
        since: Timestamp,
    },
    /// The provider has reserved the capacity.
    Reserved {
        /// When the reservation ends by itself.
        #[schemars(with = "String")]
        until: Timestamp,
    },
    /// The provider may have been asked to make the service.
    Provisioning {
        /// The claim under which the intent was written: a driver with another one must look before it asks again.
        claim: ClaimId,
        /// When the intent was written.
        #[schemars(with = "String")]
        since: Timestamp,
        /// What is known of the outcome.
        progress: CallProgress,
        /// The handle of an operation that its provider no longer knows. It is polled once more before absence is
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
    /// An action runs on the service of a committed order.
    Acting {
        /// As the provider last reported it.
        service: OwnService,
        /// What.
        action: Action,
        /// The claim under which the intent was written: a driver with another one must look before it asks again. None until
        /// a driver takes the action up; stored as an empty text then.
        #[serde(with = "claim_or_empty")]
        #[schemars(with = "String")]
        claim: Option<ClaimId>,
        /// When it was wanted; with it the call's key is made.
        #[schemars(with = "String")]
        since: Timestamp,
        /// What is known of the outcome.
        progress: CallProgress,
    },
    /// The service, if there is one, is being released.
    Compensating {
        /// The service that is known to exist; none if a look-up must find it first.
        service: Option<ServiceId>,
        /// The operation handle of the release under way. Before the service is known: that of the operation that was to
        /// make it, if one began.
        operation: Option<String>,
        /// Whether the provider may have been asked to make what the compensation looks for.
        #[serde(default)]
        sent: RequestSent,
        /// When compensation began.
        #[schemars(with = "String")]
        since: Timestamp,
    },
    /// It is proven that no service exists.
    Compensated,
    /// A person must look.
    Stuck {
        /// What to look at, and why.
        reason: String,
        /// The service that was known to exist, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
        /// The operation handle of the release that was under way. It may be the only way to parts that outlive the service,
        /// such as disks.
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
            Self::Reserving { .. } => "asking to reserve it".to_owned(),
            Self::Reserved { until } => format!("reserved until {until:.0}"),
            Self::Provisioning { progress, .. } => match progress {
                CallProgress::IntentOnly => "intent written, asking".to_owned(),
                CallProgress::OutcomeUnknown => {
                    "no answer; looking for the key before anything else".to_owned()
                }
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
    /// The name of its service in a plan that keeps it: `provider/service`.
    pub(crate) fn named_service(&self) -> Option<ServiceId> {
        let service = self.state.service()?;
        Some(format!("{}/{}", self.provider, service.id).parse().unwrap_or_else(|_| service.id.clone()))
    }

    /// The current cost: zero once the step is compensated, otherwise the price that was last checked, otherwise the plan's.
    pub(crate) fn current_cost(
        &self,
        planned: Decimal,
        of_check: impl Fn(&PriceCheck) -> Decimal,
    ) -> Decimal {
        match (&self.state, &self.lease.checked) {
            (StepState::Compensated, _) => Decimal::ZERO,
            (_, Some(check)) => of_check(check),
            (_, None) => planned,
        }
    }
}

/// Whether a provider may have been asked to make a step's service. Stored as a time, as ever: none if the service was known
/// when compensation began, the Unix epoch if nothing was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Option<Timestamp>", into = "Option<Timestamp>")]
#[schemars(from = "Option<String>", into = "Option<String>")]
pub enum RequestSent {
    /// Nothing was sent, so there is nothing to wait for.
    Never,
    /// A request may have been sent, the last one before this moment.
    Maybe {
        /// When compensation began to look for the service.
        #[schemars(with = "String")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallProgress {
    /// The intent is recorded; the call may or may not have been sent.
    IntentOnly,
    /// The call was sent and no response came.
    OutcomeUnknown,
    /// The provider is working on it; the operation handle survives a restart.
    Running(String),
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
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
