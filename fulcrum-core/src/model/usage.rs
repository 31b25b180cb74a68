//! Usage records: metered quantities before they have a price.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ProviderId, ServiceId, SkuId};

/// A metered quantity of one service over one period (FOCUS 1.2: `ConsumedQuantity`, `ConsumedUnit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
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

impl UsageRecord {
    /// A record of one service over one period.
    pub fn new(
        provider: ProviderId,
        service: ServiceId,
        sku: SkuId,
        charge_period: (Timestamp, Timestamp),
        consumed_quantity: Decimal,
        consumed_unit: impl Into<String>,
    ) -> Self {
        let (charge_period_start, charge_period_end) = charge_period;
        let consumed_unit = consumed_unit.into();
        Self {
            provider,
            service,
            sku,
            charge_period_start,
            charge_period_end,
            consumed_quantity,
            consumed_unit,
        }
    }
}
