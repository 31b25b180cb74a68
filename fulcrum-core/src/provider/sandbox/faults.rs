//! Fault injection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Shortage, SkuId},
    provider::{Call, ErrorKind},
};

/// Injects a fault into matching calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The call that goes wrong, such as `provision`.
    pub call: Call,
    /// Only for this SKU; for `provision` and `quote`.
    #[serde(default)]
    pub sku: Option<SkuId>,
    /// The first matching call that fails, counted from 1.
    #[serde(default = "one")]
    pub nth: u32,
    /// The number of matching calls in a row that fail.
    #[serde(default = "one")]
    pub times: u32,
    /// What goes wrong with it.
    pub fault: Fault,
}

fn one() -> u32 {
    1
}

/// An injected fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request is refused as invalid.
    Refused,
    /// The credentials are refused.
    Unauthorised,
    /// The right is refused.
    Forbidden,
    /// The account has no quota.
    Quota,
    /// The product is sold out.
    SoldOut,
    /// Too many calls.
    RateLimited {
        /// How long to wait.
        #[serde(deserialize_with = "super::duration_limits::time")]
        retry_after_ms: u64,
    },
    /// Out of service, without effect.
    Unavailable,
    /// Time-out before anything was sent.
    NotSent,
    /// The call has its effect, and its result is lost.
    AmbiguousHappened,
    /// The call has no effect, and its result is lost.
    AmbiguousLost,
    /// The call has its effect, and its operation takes longer.
    Late {
        /// By how much.
        #[serde(deserialize_with = "super::duration_limits::time")]
        ms: u64,
    },
    /// The call is accepted, and its operation fails.
    OperationFails {
        /// Whether a broken resource stays and costs money.
        leaves_resource: bool,
        /// The shortage that the failure names.
        #[serde(default)]
        shortage: Option<Shortage>,
    },
    /// The caller dies before the effect.
    CrashBefore,
    /// The caller dies after the effect.
    CrashAfter,
}

impl Fault {
    /// The error of a fault without effect.
    pub(super) fn error_kind(&self, sku: Option<&SkuId>) -> Option<ErrorKind> {
        let what = || sku.map_or_else(|| "the requested resource".to_owned(), SkuId::to_string);
        match self {
            Self::Refused => Some(ErrorKind::InvalidRequest { message: "refused on request".to_owned() }),
            Self::Unauthorised => Some(ErrorKind::Unauthorised),
            Self::Forbidden => Some(ErrorKind::Forbidden),
            Self::Quota => Some(ErrorKind::QuotaExceeded { quota: "services".to_owned() }),
            Self::SoldOut => Some(match sku {
                Some(sku) => ErrorKind::CapacityExhausted { sku: sku.clone() },
                None => ErrorKind::NotFound { what: what() },
            }),
            Self::RateLimited { retry_after_ms } => {
                Some(ErrorKind::RateLimited { retry_after: Some(Duration::from_millis(*retry_after_ms)) })
            }
            Self::Unavailable => Some(ErrorKind::unavailable("")),
            Self::NotSent => Some(ErrorKind::not_sent("")),
            Self::AmbiguousLost => Some(ErrorKind::Ambiguous),
            Self::AmbiguousHappened
            | Self::Late { .. }
            | Self::OperationFails { .. }
            | Self::CrashBefore
            | Self::CrashAfter => None,
        }
    }
}
