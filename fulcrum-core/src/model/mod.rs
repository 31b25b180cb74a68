//! Plain data: what a market is made of. No I/O, no behaviour beyond arithmetic and checks.

mod assumptions;
mod blueprint;
mod commitment;
mod component;
mod constraint;
mod constraint_check;
mod declared_setting;
mod dependencies;
mod document;
mod filter;
mod finding;
mod firewall_rule;
mod flow;
mod ids;
mod interface;
mod lease;
pub(crate) mod lenient;
pub(crate) mod limits;
mod link;
mod map;
mod money;
mod objective;
mod offer;
mod offer_kind;
pub(crate) mod offer_settings;
mod operator;
mod order;
mod order_event;
mod own_service;
mod place;
mod plan;
mod plan_check;
mod policy;
mod price;
mod public_key;
mod purchase_option;
mod recorded;
mod relation;
mod resources;
mod running;
mod seller;
mod service;
mod setting_type;
mod setting_value;
mod settings;
mod share;
mod sharing;
mod size;
mod sovereignty;
mod step;
mod template;
mod together;
mod tree;
mod usage;

pub use assumptions::{Assumptions, CarbonModel, EndPoint, LatencyModel, MeasuredLatency};
pub use blueprint::{Blueprint, ProviderFee, ProviderFees};
pub use commitment::{CommitmentCost, commitment_cost};
pub use component::{Component, Replicas};
pub use constraint::{
    Affinity, AntiAffinity, Constraint, Count, FailureDomain, FaultTolerance, FullDeployment, Limit, Linear,
    MaxDistinct, Ratio, Spread,
};
pub use declared_setting::{DeclaredSetting, DeclaredSettings};
pub(crate) use dependencies::anti_affine_pairs;
pub use document::{DocumentError, digest_of, parse_json, parse_yaml, read_text};
pub(crate) use document::{check_fields, check_size, from_cells, from_value, read_text_within};
#[cfg(feature = "http")]
pub(crate) use document::{read_foreign_json, read_foreign_value};
pub use filter::{Allow, Filter, GeoCircle};
pub use finding::{Finding, FindingKind, RepairAction};
#[cfg_attr(not(feature = "adapters"), allow(unused_imports, reason = "adapters use it"))]
pub(crate) use firewall_rule::{FirewallProtocol, FirewallRule};
pub use flow::{FeeLine, Flow, FlowTarget, TrafficLine};
pub(crate) use ids::is_hidden;
pub use ids::{
    ComponentId, IdempotencyKey, InvalidId, KeyNamespace, OfferId, OrderId, ProviderId, RegionId, ServiceId,
    SkuId, ZoneId,
};
pub(crate) use interface::Interface;
pub use lease::{Lease, LineKind, PriceLine};
pub use link::{Link, UserGroup};
pub(crate) use map::map_of;
pub use money::{MICROS_PER_UNIT, Micros, Money, MoneyError, checked_sum, from_micros, raised, to_micros};
pub use objective::{Measure, Objective};
pub(crate) use offer::weakest;
pub use offer::{ElasticDisk, Offer, PriceAuthority, Provenance, Surcharge};
pub use offer_kind::OfferKind;
pub use operator::{OperatorCommand, OperatorRequest};
pub use order::{Acceptance, Cancellation, FailOverRound, Order, OrderState};
pub use order_event::{Operator, OperatorAction, OrderEvent, OrderEventKind};
pub use own_service::{ForeignService, OwnService};
pub use place::{Coordinates, CountryCode, Jurisdiction, Place};
pub use plan::{Amount, Measures, OfferMode, Plan, Proof, Stage, Statistics, StopReason};
pub use policy::{FailOver, Policy};
pub(crate) use price::payments;
pub use price::{Charge, HOURS_PER_MONTH, Price, Tax, Tier, Unit};
#[cfg(any(feature = "http", feature = "sandbox"))]
pub(crate) use public_key::is_public_key;
pub use purchase_option::{PricingCategory, PurchaseOption};
pub use recorded::RecordedKind;
pub use relation::Relation;
pub use resources::{Dimension, Resources};
pub use running::{MoveLine, Running, RunningService};
pub use seller::{Certification, LegalEntity, Seller};
pub use service::{Action, Service, ServiceStatus};
pub use setting_type::SettingType;
pub(crate) use setting_value::settings_of_provider;
pub use setting_value::{Settings, setting_text};
pub(crate) use settings::SettingIndex;
pub use share::Share;
pub(crate) use sharing::Sharing;
pub use size::{Size, SizeError};
pub use sovereignty::{
    SealAssessment, SovereigntyFloor, SovereigntyLevel, SovereigntyObjective, SovereigntyReport,
};
pub use step::{
    Attempt, CallProgress, CheckedPrice, ClaimId, PriceCheck, RequestSent, Shortage, Step, StepState,
};
pub(crate) use template::{
    Reference, TemplatePart, check_substitution, may_hold_secrets, parse_template, references_in, text_values,
};
pub(crate) use together::Together;
pub(crate) use tree::{bounded, nearest};
pub use usage::UsageRecord;

pub(crate) use commitment::Payments;
pub(crate) use document::{AnyDecimal, decimal, decimal::option as decimal_option};
