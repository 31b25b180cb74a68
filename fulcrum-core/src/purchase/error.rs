//! Why a purchase could not be carried through.

use crate::{
    ledger::LedgerError,
    model::{Attempt, OfferId, Order, OrderId, ProviderId, Shortage, Step},
    provider::ProviderError,
};

/// A purchase call failed. An order that ended, failed or was refused is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurchaseError {
    /// The ledger failed, or another host has the order.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The plan buys from somebody who is not here.
    #[error("the plan buys from {0}, which is not in this federation; add it, or compose again")]
    UnknownProvider(ProviderId),
    /// Nothing can be bought there safely.
    #[error(
        "nothing can be bought from {provider}: {why}. To compose without it, deny it in the blueprint's `where`"
    )]
    NotBuyable {
        /// Where.
        provider: ProviderId,
        /// Why.
        why: String,
    },
    /// The id belongs to an order of another plan or policy, or to one that was purged.
    #[error(
        "order id {0} is taken by another plan or policy, or by an order that was purged; use a new id for a new purchase"
    )]
    IdTaken(OrderId),
    /// An operator's action on an order that needs none.
    #[error(
        "order {0}, or the named step of it, is not stuck; load the order, and look at its state and its steps"
    )]
    NotStuck(OrderId),
    /// An operator's action without a name, a reason or evidence.
    #[error("an operator's action needs {0}; it is recorded with the order")]
    OperatorRequired(&'static str),
    /// The step has no service to act on, or another action is under way.
    #[error(
        "step {step} of order {order} has no service, or an action on it is under way; load the order, and look at its steps"
    )]
    NoService {
        /// Which order.
        order: OrderId,
        /// Which step.
        step: u32,
    },
    /// The provider supports no actions.
    #[error("provider {0} supports no actions on services; use its own tools")]
    ActionUnsupported(ProviderId),
    /// A plan without leases, or with a damaged one.
    #[error("the plan cannot be bought: {0}")]
    InvalidPlan(String),
    /// Plan or policy are not those that somebody has approved.
    #[error(
        "{approved} was approved, and the digest of this plan and policy is {actual}; have it approved, or purchase \
         with the approved plan and policy"
    )]
    NotApproved {
        /// What the caller named.
        approved: String,
        /// What plan and policy come to.
        actual: String,
    },
    /// The plan costs more than the policy allows.
    #[error("the plan cannot be bought: {0}")]
    OverLimit(String),
    /// The driver of an order panicked: a fault of this library, or of a provider that is linked to it.
    #[error("the driver of order {order} panicked: {message}; report it with the order's timeline")]
    Panicked {
        /// Which order.
        order: OrderId,
        /// What it said.
        message: String,
    },
    /// A provider failed while it was asked for what it has.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl PurchaseError {
    /// A number that stays the same for ever.
    pub fn code(&self) -> i32 {
        match self {
            Self::Ledger(error) => error.code(),
            Self::UnknownProvider(_) => 201,
            Self::NotBuyable { .. } => 202,
            Self::IdTaken(_) => 203,
            Self::InvalidPlan(_) => 204,
            Self::NotStuck(_) => 205,
            Self::OperatorRequired(_) => 206,
            Self::NoService { .. } => 207,
            Self::ActionUnsupported(_) => 208,
            Self::NotApproved { .. } => 209,
            Self::OverLimit(_) => 210,
            Self::Panicked { .. } => 211,
            Self::Provider(error) => error.kind.code(),
        }
    }
}

/// The offers that an order could not get because they were sold out or over quota: exclude them and compose
/// again.
pub fn sold_out(order: &Order) -> Vec<OfferId> {
    let is_capacity =
        |attempt: &Attempt| matches!(attempt.shortage, Some(Shortage::SoldOut | Shortage::Quota));
    let has_run_out = |step: &&Step| step.attempts.iter().any(is_capacity);
    let mut offers: Vec<OfferId> =
        order.steps.iter().filter(has_run_out).map(|step| step.lease.offer.clone()).collect();
    offers.sort();
    offers.dedup();
    offers
}
