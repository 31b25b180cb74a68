//! Events of an order: what happened, to which step, and by whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Acceptance, Action, CheckedPrice, FailOverRound, Finding, Money, OrderId, OrderState, Plan, ProviderId,
    RecordedKind, RepairAction, StepState,
};

/// Something that happened to an order, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OrderEvent {
    /// Rises within a ledger; some numbers may be missing.
    pub sequence: u64,
    /// Counts the order's events from 1; none is missing.
    pub number: u64,
    /// Whose.
    pub order: OrderId,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What.
    #[schemars(with = "OrderEventKind")]
    pub kind: RecordedKind,
    /// Over this event and the one before it, in hexadecimal: `ledger::verify_events`.
    pub hash: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
        accepted: Option<Box<Acceptance>>,
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
        round: Box<FailOverRound>,
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

/// A person who does something about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Operator {
    /// A name by which others find that person.
    pub who: String,
    /// The reason, in a sentence.
    pub why: String,
}

/// What a person has done about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
