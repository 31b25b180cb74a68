//! A step of an order: the purchase of one lease, and how far it is.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Action, IdempotencyKey, Lease, OwnService, PriceAuthority, ProviderId, ServiceId};

/// The purchase of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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
        /// The driver that wrote the intent; another one must look before it asks again.
        claim: String,
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
        /// The driver that wrote the intent; another one must look before it asks again.
        claim: String,
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
        /// When the provider was first asked to make it: how long a look-up may lag.
        sent: Option<Timestamp>,
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
    /// The service that a step has, or is about to end.
    pub(crate) fn service_id(&self) -> Option<&ServiceId> {
        match self {
            Self::Provisioned { service } | Self::Committed { service } | Self::Acting { service, .. } => {
                Some(&service.id)
            }
            Self::Compensating { service, .. } => service.as_ref(),
            Self::Planned
            | Self::Reserving { .. }
            | Self::Reserved { .. }
            | Self::Provisioning { .. }
            | Self::Compensated
            | Self::Stuck { .. } => None,
        }
    }
}

impl Step {
    /// What it costs now: nothing once it is not there, else what was last checked, or planned.
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

/// What is known of a call that makes or changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallProgress {
    /// The intent is written; the call may or may not have been sent.
    IntentOnly,
    /// It was sent and no answer came.
    OutcomeUnknown,
    /// The provider works on it; the handle survives a restart.
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
    /// FailureDomain the horizon, renewals included.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub total: Decimal,
}

/// A step's price check, in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
