//! The declared capabilities of a provider. The conformance suite tests them, also by losing replies on purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Call, ErrorKind};
use crate::model::Settings;

/// The idempotency of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum IdempotencyClass {
    /// The caller names the resource: a repeated call finds it again.
    Natural,
    /// The API takes an idempotency key and has no second effect for it.
    Key,
    /// The key is a label that a look-up finds after the list lag. A repeated call would have a second effect.
    Searchable {
        /// How long a new resource may be missing from the look-up, in milliseconds.
        list_lag_ms: u64,
    },
    /// None of these. Purchases there need a policy that allows them, and are serialised.
    None,
}

impl IdempotencyClass {
    /// The list lag of the class alone; see [`Capabilities::list_lag`].
    pub fn list_lag(self) -> Duration {
        match self {
            Self::Searchable { list_lag_ms } => Duration::from_millis(list_lag_ms),
            Self::Natural | Self::Key | Self::None => Duration::ZERO,
        }
    }

    /// Whether a call may be repeated with the same key without a look-up.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Natural | Self::Key => true,
            Self::Searchable { .. } | Self::None => false,
        }
    }
}

/// The calls of a provider, and how they behave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The supported calls; all others return `Unsupported`.
    pub calls: Vec<Call>,
    /// The idempotency class of each mutation; a missing one is `None`.
    pub idempotency: BTreeMap<Call, IdempotencyClass>,
    /// Concurrent calls, at most; none for no limit.
    pub concurrency: Option<u32>,
    /// Minimum time between two polls of an operation, in milliseconds.
    pub poll_interval_ms: u64,
    /// List lag in milliseconds: an upper bound on the time between a provision call and its service appearing in every look-up
    /// and list. It includes the time that a timed-out request may wait in front of the API. None for the default of the class:
    /// zero for `Natural` and `Key`, a minute for `None`.
    #[serde(default)]
    pub list_lag_ms: Option<u64>,
    /// The known settings; a component with another setting gets no offer of this provider. None if every setting is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeSet<String>>,
}

/// The message about an unknown setting, after the provider's name.
pub(crate) fn unknown_setting(known: &BTreeSet<String>, name: &str) -> String {
    let known = match known.is_empty() {
        true => "none".to_owned(),
        false => known.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    format!("does not know the setting `{name}`; it knows {known}")
}

/// The default list lag of a provider without keys.
const UNKEYED_LAG: Duration = Duration::from_secs(60);

impl Capabilities {
    /// Only `offers`: nothing can be bought.
    pub fn offers_only() -> Self {
        Self {
            calls: vec![Call::Offers],
            idempotency: BTreeMap::new(),
            concurrency: None,
            poll_interval_ms: 1000,
            list_lag_ms: None,
            settings: None,
        }
    }

    /// Whether a call is supported.
    pub fn can(&self, call: Call) -> bool {
        self.calls.contains(&call)
    }

    /// A set of known settings.
    pub fn takes(names: &[&str]) -> Option<BTreeSet<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Succeeds if all settings are known.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the unknown setting and the known ones.
    pub fn check_settings(&self, settings: &Settings) -> Result<(), ErrorKind> {
        let Some(known) = &self.settings else { return Ok(()) };
        match settings.keys().find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(ErrorKind::InvalidRequest {
                message: format!("the provider {}", unknown_setting(known, name)),
            }),
        }
    }

    /// The list lag: how long after a purchase its service may be missing from look-ups and lists.
    pub fn list_lag(&self) -> Duration {
        let said = self.list_lag_ms.map(Duration::from_millis);
        match self.idempotency_of(Call::Provision) {
            IdempotencyClass::None => said.unwrap_or(UNKEYED_LAG),
            class => class.list_lag().max(said.unwrap_or_default()),
        }
    }

    /// The idempotency class of a call.
    pub fn idempotency_of(&self, call: Call) -> IdempotencyClass {
        self.idempotency.get(&call).copied().unwrap_or(IdempotencyClass::None)
    }
}
