//! Plain data: what a market is made of. No I/O, no behaviour beyond arithmetic and checks.

mod blueprint;
mod constraint;
mod document;
mod filter;
mod ids;
mod money;
mod offer;
mod order;
mod place;
mod plan;
mod price;
mod resources;
mod seller;
mod service;
mod usage;

pub use blueprint::{Blueprint, Component, Objective, Replicas};
pub use constraint::{
    Colocate, Conflict, Constraint, Count, Distinct, Everywhere, Linear, Over, Serves, Spread, Survive,
};
pub use document::{DocumentError, digest_of, parse_json, parse_yaml};
pub use filter::{Allow, Filter};
pub use ids::{
    ComponentId, IdempotencyKey, InvalidId, OfferId, OrderId, ProviderId, RegionId, ServiceId, SkuId, ZoneId,
};
pub use money::{MICROS_PER_UNIT, Micros, Money, MoneyError, from_micros, to_micros};
pub use offer::{ElasticDisk, Offer, OfferKind, Provenance};
pub use order::{Attempt, Order, OrderEvent, OrderEventKind, OrderState, Policy, Progress, Step, StepState};
pub use place::{Coordinates, CountryCode, Jurisdiction, Place};
pub use plan::{Lease, Plan, PriceLine, Statistics, StopReason};
pub use price::{Charge, HOURS_PER_MONTH, Market, Price, Tax, Tier, Unit};
pub use resources::{Dimension, Resources};
pub use seller::{Certification, LegalEntity, Seller};
pub use service::{Service, ServiceStatus};
pub use usage::UsageRecord;

pub(crate) use document::{decimal, decimal::option as decimal_option};
