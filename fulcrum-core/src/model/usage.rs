//! Metered quantities, before they are priced.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ProviderId, ServiceId, SkuId};

/// A metered quantity of one service over one period (FOCUS 1.2: `ConsumedQuantity`, `ConsumedUnit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Who metered it.
    pub provider: ProviderId,
    /// FOCUS `ResourceId`.
    pub service: ServiceId,
    /// FOCUS `SkuId`.
    pub sku: SkuId,
    /// FOCUS `ChargePeriodStart`, inclusive.
    pub charge_period_start: Timestamp,
    /// FOCUS `ChargePeriodEnd`, exclusive.
    pub charge_period_end: Timestamp,
    /// FOCUS `ConsumedQuantity`.
    #[serde(with = "crate::model::decimal")]
    pub consumed_quantity: Decimal,
    /// FOCUS `ConsumedUnit`, such as `Hours`.
    pub consumed_unit: String,
}
