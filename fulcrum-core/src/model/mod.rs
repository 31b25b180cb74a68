//! Plain data: what a market is made of. No I/O, no behaviour beyond arithmetic and checks.

mod assume;
mod blueprint;
mod commitment;
mod component;
mod constraint;
mod constraint_check;
mod document;
mod filter;
mod finding;
mod flow;
mod ids;
mod lease;
pub(crate) mod lenient;
pub(crate) mod limits;
mod link;
mod locate;
mod money;
mod objective;
mod offer;
mod operator;
mod order;
mod own_service;
mod place;
mod plan;
mod plan_check;
mod policy;
mod price;
mod purchase_option;
mod recorded;
mod reference;
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
pub use commitment::{CommitmentCost, commitment_cost};
pub use component::{Component, Replicas};
pub use constraint::{
    Colocate, Conflict, Constraint, Count, Distinct, Everywhere, Limit, Linear, Over, Serves, Spread, Survive,
};
pub use document::{DocumentError, digest_of, parse_json, parse_yaml, read_text};
pub(crate) use document::{check_fields, check_size, from_value, read_text_within};
pub use filter::{Allow, Filter, Within};
pub use finding::{Finding, FindingKind, RepairAction};
pub use flow::{FeeLine, Flow, FlowTarget, TrafficLine};
pub(crate) use ids::is_hidden;
pub use ids::{
    ComponentId, IdempotencyKey, InvalidId, KeyNamespace, OfferId, OrderId, ProviderId, RegionId, ServiceId,
    SkuId, ZoneId,
};
pub use lease::{Lease, LineKind, PriceLine, Settings, setting_text};
pub use link::{Link, UserGroup};
pub use money::{MICROS_PER_UNIT, Micros, Money, MoneyError, checked_sum, from_micros, raised, to_micros};
pub use objective::{Measure, Objective};
pub(crate) use offer::weakest;
pub use offer::{ElasticDisk, Offer, OfferKind, PriceAuthority, Provenance, Surcharge};
pub use operator::{OperatorRequest, OperatorWish};
pub use order::{
    Accepted, Attempt, Cancellation, CheckedPrice, ClaimId, Operator, OperatorAction, Order, OrderEvent,
    OrderEventKind, OrderState, PriceCheck, Progress, RequestSent, Round, Shortage, Step, StepState,
};
pub use own_service::{ForeignService, OwnService};
pub use place::{Coordinates, CountryCode, Jurisdiction, Place};
pub use plan::{Amount, Measures, OfferMode, Plan, Proof, Stage, Statistics, StopReason};
pub use policy::{FailOver, Policy};
pub(crate) use price::payments;
pub use price::{Charge, HOURS_PER_MONTH, Price, Tax, Tier, Unit};
pub use purchase_option::{Market, PurchaseOption};
pub use recorded::RecordedKind;
pub(crate) use reference::{Piece, Reference, pieces, plain, texts};
pub use resources::{Dimension, Resources};
pub use running::{MoveLine, Running, RunningService};
pub use seller::{Certification, LegalEntity, Seller};
pub use service::{Action, Service, ServiceStatus};
pub(crate) use setup::{Ways, apart};
pub use sovereignty::{Assessment, Sov, SovereigntyFloor, SovereigntyLevel, SovereigntyReport};
pub use usage::UsageRecord;

pub(crate) use commitment::Payments;
pub(crate) use document::{AnyDecimal, decimal, decimal::option as decimal_option};
pub(crate) use words::of_cells;
