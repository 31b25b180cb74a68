//! What can be made to go wrong.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    model::{Shortage, SkuId},
    provider::{Call, ErrorKind},
};

/// Makes some calls go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Which call.
    pub call: Call,
    /// Only for this product; for `provision` and `quote`.
    #[serde(default)]
    pub sku: Option<SkuId>,
    /// The first of the matching calls that goes wrong, counted from 1.
    #[serde(default = "one")]
    pub nth: u32,
    /// So many calls in a row go wrong.
    #[serde(default = "one")]
    pub times: u32,
    /// In which way.
    pub fault: Fault,
}

fn one() -> u32 {
    1
}

/// How a call goes wrong.
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
        #[serde(deserialize_with = "super::bounded::time")]
        retry_after_ms: u64,
    },
    /// Out of service; nothing happened.
    Unavailable,
    /// Time-out before anything was sent.
    NotSent,
    /// It happened, and the answer is lost.
    AmbiguousHappened,
    /// It did not happen, and the answer is lost.
    AmbiguousLost,
    /// It happens, and success is reported so much later.
    Late {
        /// How much.
        #[serde(deserialize_with = "super::bounded::time")]
        ms: u64,
    },
    /// It is accepted and fails later.
    OperationFails {
        /// Something broken stays and costs money.
        leaves_resource: bool,
        /// What the failure says about whether it can be had at all.
        #[serde(default)]
        shortage: Option<Shortage>,
    },
    /// The caller dies before the effect.
    CrashBefore,
    /// The caller dies after the effect.
    CrashAfter,
}

impl Fault {
    /// The error of a fault that keeps the call from having an effect.
    pub(super) fn refusal(&self, sku: Option<&SkuId>) -> Option<ErrorKind> {
        let what = || sku.map_or_else(|| "it".to_owned(), SkuId::to_string);
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
