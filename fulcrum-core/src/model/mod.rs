//! Plain data: what a market is made of. No I/O, no behaviour beyond arithmetic and checks.

mod assume;
mod blueprint;
mod component;
mod constraint;
mod constraint_check;
mod document;
mod filter;
mod finding;
mod flow;
mod ids;
pub(crate) mod lenient;
mod link;
mod locate;
mod money;
mod objective;
mod offer;
mod operator;
mod order;
mod place;
mod plan;
mod policy;
mod price;
mod recorded;
mod resources;
mod running;
mod seller;
mod service;
mod setup;
mod sovereignty;
mod usage;
mod words;

pub use assume::{Assume, CarbonModel, EndPoint, LatencyModel, MeasuredLatency};
pub use blueprint::{Blueprint, ProviderFee, ProviderFees};
pub use component::{Component, Replicas};
pub use constraint::{
    Colocate, Conflict, Constraint, Count, Distinct, Everywhere, Limit, Linear, Over, Serves, Spread, Survive,
};
pub use document::{DocumentError, digest_of, parse_json, parse_yaml};
pub use filter::{Allow, Filter, Within};
pub use finding::{Finding, FindingKind, RepairAction};
pub use flow::{FeeLine, Flow, FlowTarget, TrafficLine};
pub use ids::{
    ComponentId, IdempotencyKey, InvalidId, OfferId, OrderId, ProviderId, RegionId, ServiceId, SkuId, ZoneId,
};
pub use link::{Link, UserGroup};
pub use money::{MICROS_PER_UNIT, Micros, Money, MoneyError, from_micros, to_micros};
pub use objective::{Measure, Objective};
pub use offer::{ElasticDisk, Offer, OfferKind, Provenance};
pub use operator::{OperatorRequest, OperatorWish};
pub use order::{
    Attempt, Cancellation, Operator, OperatorAction, Order, OrderEvent, OrderEventKind, OrderState, Progress,
    Round, Shortage, Step, StepState,
};
pub use place::{Coordinates, CountryCode, Jurisdiction, Place};
pub use plan::{Amount, Lease, Measures, Plan, PriceLine, Stage, Statistics, StopReason};
pub use policy::{FailOver, Policy};
pub use price::{Charge, HOURS_PER_MONTH, Market, Price, Tax, Tier, Unit};
pub use recorded::RecordedKind;
pub use resources::{Dimension, Resources};
pub use running::{MoveLine, Running, RunningService};
pub use seller::{Certification, LegalEntity, Seller};
pub use service::{Action, Service, ServiceStatus};
pub(crate) use setup::{Piece, apart, clash, pieces};
pub use sovereignty::{Assessment, Sov, SovereigntyFloor, SovereigntyLevel, SovereigntyReport};
pub use usage::UsageRecord;

pub(crate) use document::{AnyDecimal, decimal, decimal::option as decimal_option};
pub(crate) use words::of_cells;
