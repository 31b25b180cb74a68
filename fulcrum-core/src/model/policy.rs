//! The policy: what an order may do on its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    Blueprint, ComponentId, DocumentError, check_size, limits, money::check_percent, parse_json, parse_yaml,
};

/// What an order may do on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Policy {
    /// How much a price may have risen since the plan, in per cent, before the order refuses to buy. It applies to a month, to
    /// the start and to the horizon, each by itself.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub price_tolerance_percent: Decimal,
    /// The highest cost over the horizon, net of tax, in the plan's currency: services, traffic, fees and renewals. None for
    /// no limit.
    #[serde(with = "crate::model::decimal_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub max_total: Option<Decimal>,
    /// How old the row of a price table may be, in days, to be bought by.
    pub max_table_age_days: u32,
    /// Whether to buy what nobody can check: no quote, no listing, no table.
    #[serde(rename = "may_buy_unchecked")]
    pub allow_unchecked_prices: bool,
    /// The moment after which the plan's prices no longer hold; none for no limit.
    #[schemars(with = "Option<String>")]
    pub valid_until: Option<Timestamp>,
    /// How long one step may take before the order is compensated, in seconds.
    pub step_timeout_s: u32,
    /// How long a compensation is tried before the order is stuck, in seconds.
    pub compensation_timeout_s: u32,
    /// Calls under way at once, per order.
    pub concurrency: u32,
    /// How long the whole order may take from its acceptance until all is there, in seconds; what is not committed by
    /// then is undone. None for no limit.
    pub order_timeout_s: Option<u32>,
    /// Components that the order may do without: a service that only serves such may be missing in the end.
    #[serde(rename = "may_miss")]
    #[schemars(with = "BTreeSet<String>")]
    pub optional_components: BTreeSet<ComponentId>,
    /// Whether to buy from a provider that takes no key, label or name. Purchases there run one at a time. The account is
    /// listed before and after, and what is new counts as the order's own. Allow it only where nobody else buys.
    #[serde(rename = "may_buy_unkeyed")]
    pub allow_non_idempotent_purchase: bool,
    /// What to do when something cannot be had; none: everything is undone.
    pub fail_over: Option<Box<FailOver>>,
}

/// Another plan for what cannot be had: sold out, over quota, or at a provider that does not answer for longer than a
/// step may take. What is bought by then stays and is part of every plan; a sold-out offer, and a provider that has no
/// quota left or does not answer, are not asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FailOver {
    /// The blueprint that the plan was made for.
    pub blueprint: Blueprint,
    /// So many other plans at most.
    #[serde(default = "three")]
    pub rounds: u32,
    /// How much dearer than the first plan they may be over the horizon, in per cent. The blueprint's budget holds
    /// anyway, what was paid once for what stays included.
    #[serde(with = "crate::model::decimal", default)]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub max_rise_percent: Decimal,
    /// How long one search may take, in seconds; then the best plan so far is taken.
    #[serde(default = "half_a_minute")]
    pub search_timeout_s: u32,
}

impl Policy {
    /// Reads and checks a policy in YAML; JSON is read too.
    ///
    /// # Errors
    /// [`DocumentError`] with the path and line, and what to write instead.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_POLICY_BYTES)?;
        let policy: Self = parse_yaml(text)?;
        policy.check().map_err(|error| error.located(text))?;
        Ok(policy)
    }

    /// Reads and checks a policy in JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_POLICY_BYTES)?;
        let policy: Self = parse_json(text)?;
        policy.check().map_err(|error| error.located(text))?;
        Ok(policy)
    }

    /// Checks what the form alone does not: percentages are between 0 and 10000, and the blueprint of a fail-over is one.
    ///
    /// # Errors
    /// [`DocumentError`] with the path, and what to write instead.
    pub fn check(&self) -> Result<(), DocumentError> {
        let percent = |path, percent| check_percent(percent).map_err(|why| DocumentError::at(path, why));
        percent("price_tolerance_percent", self.price_tolerance_percent)?;
        let Some(fail_over) = &self.fail_over else { return Ok(()) };
        percent("fail_over.max_rise_percent", fail_over.max_rise_percent)?;
        fail_over.blueprint.check().map_err(|error| error.inside("fail_over.blueprint"))
    }
}

/// A policy from the usual one, setting by setting: `Policy::default().with_concurrency(2)`.
impl Policy {
    /// Sets [`price_tolerance_percent`](Self::price_tolerance_percent).
    #[must_use]
    pub fn with_price_tolerance_percent(self, price_tolerance_percent: Decimal) -> Self {
        Self { price_tolerance_percent, ..self }
    }

    /// Sets [`max_total`](Self::max_total).
    #[must_use]
    pub fn with_max_total(self, max_total: impl Into<Option<Decimal>>) -> Self {
        Self { max_total: max_total.into(), ..self }
    }

    /// Sets [`max_table_age_days`](Self::max_table_age_days).
    #[must_use]
    pub fn with_max_table_age_days(self, max_table_age_days: u32) -> Self {
        Self { max_table_age_days, ..self }
    }

    /// Sets [`allow_unchecked_prices`](Self::allow_unchecked_prices).
    #[must_use]
    pub fn with_allow_unchecked_prices(self, allow_unchecked_prices: bool) -> Self {
        Self { allow_unchecked_prices, ..self }
    }

    /// Sets [`valid_until`](Self::valid_until).
    #[must_use]
    pub fn with_valid_until(self, valid_until: impl Into<Option<Timestamp>>) -> Self {
        Self { valid_until: valid_until.into(), ..self }
    }

    /// Sets [`step_timeout_s`](Self::step_timeout_s).
    #[must_use]
    pub fn with_step_timeout_s(self, step_timeout_s: u32) -> Self {
        Self { step_timeout_s, ..self }
    }

    /// Sets [`compensation_timeout_s`](Self::compensation_timeout_s).
    #[must_use]
    pub fn with_compensation_timeout_s(self, compensation_timeout_s: u32) -> Self {
        Self { compensation_timeout_s, ..self }
    }

    /// Sets [`concurrency`](Self::concurrency).
    #[must_use]
    pub fn with_concurrency(self, concurrency: u32) -> Self {
        Self { concurrency, ..self }
    }

    /// Sets [`order_timeout_s`](Self::order_timeout_s).
    #[must_use]
    pub fn with_order_timeout_s(self, order_timeout_s: impl Into<Option<u32>>) -> Self {
        Self { order_timeout_s: order_timeout_s.into(), ..self }
    }

    /// Sets [`optional_components`](Self::optional_components).
    #[must_use]
    pub fn with_optional_components(self, optional_components: BTreeSet<ComponentId>) -> Self {
        Self { optional_components, ..self }
    }

    /// Sets [`allow_non_idempotent_purchase`](Self::allow_non_idempotent_purchase).
    #[must_use]
    pub fn with_allow_non_idempotent_purchase(self, allow_non_idempotent_purchase: bool) -> Self {
        Self { allow_non_idempotent_purchase, ..self }
    }

    /// Sets [`fail_over`](Self::fail_over).
    #[must_use]
    pub fn with_fail_over(self, fail_over: impl Into<Box<FailOver>>) -> Self {
        Self { fail_over: Some(fail_over.into()), ..self }
    }
}

fn three() -> u32 {
    3
}

fn half_a_minute() -> u32 {
    30
}

impl FailOver {
    /// Three rounds at no rise of cost, half a minute each.
    pub fn new(blueprint: Blueprint) -> Self {
        Self {
            blueprint,
            rounds: three(),
            max_rise_percent: Decimal::ZERO,
            search_timeout_s: half_a_minute(),
        }
    }

    /// Sets [`rounds`](Self::rounds).
    #[must_use]
    pub fn with_rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    /// Sets [`max_rise_percent`](Self::max_rise_percent).
    #[must_use]
    pub fn with_max_rise_percent(self, max_rise_percent: Decimal) -> Self {
        Self { max_rise_percent, ..self }
    }

    /// Sets [`search_timeout_s`](Self::search_timeout_s).
    #[must_use]
    pub fn with_search_timeout_s(self, search_timeout_s: u32) -> Self {
        Self { search_timeout_s, ..self }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            price_tolerance_percent: Decimal::ZERO,
            max_total: None,
            max_table_age_days: 90,
            allow_unchecked_prices: false,
            valid_until: None,
            step_timeout_s: 900,
            compensation_timeout_s: 3600,
            concurrency: 8,
            order_timeout_s: None,
            optional_components: BTreeSet::new(),
            allow_non_idempotent_purchase: false,
            fail_over: None,
        }
    }
}
