//! Statuses of the core's errors. Generated from their `code()` by `make header`; do not edit.

use std::ffi::CStr;

use crate::error::fulcrum_status;

/// The request can never succeed as it is.
pub const FULCRUM_PROVIDER_INVALID_REQUEST: fulcrum_status = 101;
/// The credentials are missing, wrong or expired.
pub const FULCRUM_PROVIDER_UNAUTHORISED: fulcrum_status = 102;
/// The credentials do not allow this.
pub const FULCRUM_PROVIDER_FORBIDDEN: fulcrum_status = 103;
/// The named resource does not exist.
pub const FULCRUM_PROVIDER_NOT_FOUND: fulcrum_status = 104;
/// The resource's state does not allow this now.
pub const FULCRUM_PROVIDER_CONFLICT: fulcrum_status = 105;
/// The account's quota is used up.
pub const FULCRUM_PROVIDER_QUOTA_EXCEEDED: fulcrum_status = 106;
/// The SKU is sold out.
pub const FULCRUM_PROVIDER_CAPACITY_EXHAUSTED: fulcrum_status = 107;
/// Too many calls.
pub const FULCRUM_PROVIDER_RATE_LIMITED: fulcrum_status = 108;
/// The provider cannot serve now; the call had no effect.
pub const FULCRUM_PROVIDER_UNAVAILABLE: fulcrum_status = 109;
/// Nothing was sent.
pub const FULCRUM_PROVIDER_NOT_SENT: fulcrum_status = 110;
/// The call may have had its effect.
pub const FULCRUM_PROVIDER_AMBIGUOUS: fulcrum_status = 111;
/// The response breaks the provider's API.
pub const FULCRUM_PROVIDER_PROTOCOL: fulcrum_status = 112;
/// The provider does not support the call.
pub const FULCRUM_PROVIDER_UNSUPPORTED: fulcrum_status = 113;
/// The plan buys from somebody who is not here.
pub const FULCRUM_PURCHASE_UNKNOWN_PROVIDER: fulcrum_status = 201;
/// Nothing can be bought there safely.
pub const FULCRUM_PURCHASE_NOT_BUYABLE: fulcrum_status = 202;
/// The id belongs to an order of another plan or policy, or to one that was purged.
pub const FULCRUM_PURCHASE_ID_TAKEN: fulcrum_status = 203;
/// A plan without leases, or with a damaged one.
pub const FULCRUM_PURCHASE_INVALID_PLAN: fulcrum_status = 204;
/// An operator's action on an order that needs none.
pub const FULCRUM_PURCHASE_NOT_STUCK: fulcrum_status = 205;
/// An operator's action without a name, a reason or evidence.
pub const FULCRUM_PURCHASE_OPERATOR_REQUIRED: fulcrum_status = 206;
/// The step has no service to act on, or another action is under way.
pub const FULCRUM_PURCHASE_NO_SERVICE: fulcrum_status = 207;
/// The provider supports no actions.
pub const FULCRUM_PURCHASE_ACTION_UNSUPPORTED: fulcrum_status = 208;
/// Plan or policy are not those that somebody has approved.
pub const FULCRUM_PURCHASE_NOT_APPROVED: fulcrum_status = 209;
/// The plan costs more than the policy allows.
pub const FULCRUM_PURCHASE_OVER_LIMIT: fulcrum_status = 210;
/// The driver of an order panicked: a fault of this library, or of a provider that is linked to it.
pub const FULCRUM_PURCHASE_PANICKED: fulcrum_status = 211;
/// The blueprint is not well formed.
pub const FULCRUM_COMPOSE_DOCUMENT: fulcrum_status = 301;
/// No plan meets all conditions.
pub const FULCRUM_COMPOSE_INFEASIBLE: fulcrum_status = 302;
/// Stopped before a plan was found.
pub const FULCRUM_COMPOSE_STOPPED: fulcrum_status = 303;
/// The problem exceeds a limit of the engine.
pub const FULCRUM_COMPOSE_TOO_LARGE: fulcrum_status = 304;
/// The verifier refused the plan. That is a fault of the library.
pub const FULCRUM_COMPOSE_VERIFICATION: fulcrum_status = 305;
/// The plan that was handed in does not belong to the blueprint and catalogue.
pub const FULCRUM_COMPOSE_PLAN_MISMATCH: fulcrum_status = 306;
/// A document is not well formed.
pub const FULCRUM_DOCUMENT: fulcrum_status = 401;
/// The federation cannot be set up like this.
pub const FULCRUM_CONFIG: fulcrum_status = 402;
/// Another host has claimed this order.
pub const FULCRUM_LEDGER_CLAIMED: fulcrum_status = 501;
/// Another host has taken the order over; this one must not write or call any more.
pub const FULCRUM_LEDGER_FENCED: fulcrum_status = 502;
/// There is no such order.
pub const FULCRUM_LEDGER_NO_SUCH_ORDER: fulcrum_status = 503;
/// An order of this id is there already.
pub const FULCRUM_LEDGER_EXISTS: fulcrum_status = 504;
/// Stored data cannot be read, or does not fit together.
pub const FULCRUM_LEDGER_DAMAGED: fulcrum_status = 505;
/// The store itself failed. The text ends with what to do about it.
pub const FULCRUM_LEDGER_STORE: fulcrum_status = 506;

/// The name of a status of the core's.
pub(crate) fn name(status: fulcrum_status) -> Option<&'static CStr> {
    match status {
        FULCRUM_PROVIDER_INVALID_REQUEST => Some(c"FULCRUM_PROVIDER_INVALID_REQUEST"),
        FULCRUM_PROVIDER_UNAUTHORISED => Some(c"FULCRUM_PROVIDER_UNAUTHORISED"),
        FULCRUM_PROVIDER_FORBIDDEN => Some(c"FULCRUM_PROVIDER_FORBIDDEN"),
        FULCRUM_PROVIDER_NOT_FOUND => Some(c"FULCRUM_PROVIDER_NOT_FOUND"),
        FULCRUM_PROVIDER_CONFLICT => Some(c"FULCRUM_PROVIDER_CONFLICT"),
        FULCRUM_PROVIDER_QUOTA_EXCEEDED => Some(c"FULCRUM_PROVIDER_QUOTA_EXCEEDED"),
        FULCRUM_PROVIDER_CAPACITY_EXHAUSTED => Some(c"FULCRUM_PROVIDER_CAPACITY_EXHAUSTED"),
        FULCRUM_PROVIDER_RATE_LIMITED => Some(c"FULCRUM_PROVIDER_RATE_LIMITED"),
        FULCRUM_PROVIDER_UNAVAILABLE => Some(c"FULCRUM_PROVIDER_UNAVAILABLE"),
        FULCRUM_PROVIDER_NOT_SENT => Some(c"FULCRUM_PROVIDER_NOT_SENT"),
        FULCRUM_PROVIDER_AMBIGUOUS => Some(c"FULCRUM_PROVIDER_AMBIGUOUS"),
        FULCRUM_PROVIDER_PROTOCOL => Some(c"FULCRUM_PROVIDER_PROTOCOL"),
        FULCRUM_PROVIDER_UNSUPPORTED => Some(c"FULCRUM_PROVIDER_UNSUPPORTED"),
        FULCRUM_PURCHASE_UNKNOWN_PROVIDER => Some(c"FULCRUM_PURCHASE_UNKNOWN_PROVIDER"),
        FULCRUM_PURCHASE_NOT_BUYABLE => Some(c"FULCRUM_PURCHASE_NOT_BUYABLE"),
        FULCRUM_PURCHASE_ID_TAKEN => Some(c"FULCRUM_PURCHASE_ID_TAKEN"),
        FULCRUM_PURCHASE_INVALID_PLAN => Some(c"FULCRUM_PURCHASE_INVALID_PLAN"),
        FULCRUM_PURCHASE_NOT_STUCK => Some(c"FULCRUM_PURCHASE_NOT_STUCK"),
        FULCRUM_PURCHASE_OPERATOR_REQUIRED => Some(c"FULCRUM_PURCHASE_OPERATOR_REQUIRED"),
        FULCRUM_PURCHASE_NO_SERVICE => Some(c"FULCRUM_PURCHASE_NO_SERVICE"),
        FULCRUM_PURCHASE_ACTION_UNSUPPORTED => Some(c"FULCRUM_PURCHASE_ACTION_UNSUPPORTED"),
        FULCRUM_PURCHASE_NOT_APPROVED => Some(c"FULCRUM_PURCHASE_NOT_APPROVED"),
        FULCRUM_PURCHASE_OVER_LIMIT => Some(c"FULCRUM_PURCHASE_OVER_LIMIT"),
        FULCRUM_PURCHASE_PANICKED => Some(c"FULCRUM_PURCHASE_PANICKED"),
        FULCRUM_COMPOSE_DOCUMENT => Some(c"FULCRUM_COMPOSE_DOCUMENT"),
        FULCRUM_COMPOSE_INFEASIBLE => Some(c"FULCRUM_COMPOSE_INFEASIBLE"),
        FULCRUM_COMPOSE_STOPPED => Some(c"FULCRUM_COMPOSE_STOPPED"),
        FULCRUM_COMPOSE_TOO_LARGE => Some(c"FULCRUM_COMPOSE_TOO_LARGE"),
        FULCRUM_COMPOSE_VERIFICATION => Some(c"FULCRUM_COMPOSE_VERIFICATION"),
        FULCRUM_COMPOSE_PLAN_MISMATCH => Some(c"FULCRUM_COMPOSE_PLAN_MISMATCH"),
        FULCRUM_DOCUMENT => Some(c"FULCRUM_DOCUMENT"),
        FULCRUM_CONFIG => Some(c"FULCRUM_CONFIG"),
        FULCRUM_LEDGER_CLAIMED => Some(c"FULCRUM_LEDGER_CLAIMED"),
        FULCRUM_LEDGER_FENCED => Some(c"FULCRUM_LEDGER_FENCED"),
        FULCRUM_LEDGER_NO_SUCH_ORDER => Some(c"FULCRUM_LEDGER_NO_SUCH_ORDER"),
        FULCRUM_LEDGER_EXISTS => Some(c"FULCRUM_LEDGER_EXISTS"),
        FULCRUM_LEDGER_DAMAGED => Some(c"FULCRUM_LEDGER_DAMAGED"),
        FULCRUM_LEDGER_STORE => Some(c"FULCRUM_LEDGER_STORE"),
        _ => None,
    }
}
