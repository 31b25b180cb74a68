//! What a provider says of itself. The conformance suite tests it by losing replies on purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Call, ErrorKind};
use crate::model::Settings;

/// What repeating a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum IdempotencyClass {
    /// The caller names the resource: the same call finds it again.
    Natural,
    /// The API takes a key and does not repeat the effect of a key that it has seen.
    Key,
    /// The key is a label; a look-up finds it, at the latest after the lag. Repeating would do it twice.
    Searchable {
        /// How long a new resource may be missing from the look-up, in milliseconds.
        list_lag_ms: u64,
    },
    /// Neither. Such a provider takes part in catalogues, and in purchases only where their policy allows it, one call
    /// after the other.
    None,
}

impl IdempotencyClass {
    /// How long after a call its effect may still be hidden from a look-up, as far as the class says;
    /// [`Capabilities::list_lag`] says all.
    pub fn list_lag(self) -> Duration {
        match self {
            Self::Searchable { list_lag_ms } => Duration::from_millis(list_lag_ms),
            Self::Natural | Self::Key | Self::None => Duration::ZERO,
        }
    }

    /// Whether the same call with the same key may be sent again without looking first.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Natural | Self::Key => true,
            Self::Searchable { .. } | Self::None => false,
        }
    }
}

/// What a provider can do, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The calls that work; all others answer `Unsupported`.
    pub calls: Vec<Call>,
    /// For each call that changes state, what repeating it does; missing means none.
    pub idempotency: BTreeMap<Call, IdempotencyClass>,
    /// The most calls that may be under way at once; none for no limit.
    pub concurrency: Option<u32>,
    /// How often an operation may be polled, at most every so many milliseconds.
    pub poll_interval_ms: u64,
    /// How long after a call a new service may be missing from look-ups and lists, in milliseconds; none for what the
    /// class says, which is nothing for natural and key, and a minute where nothing is known by key. A call that its
    /// caller has given up may still wait in front of a provider's API, so it is seldom zero.
    #[serde(default)]
    pub list_lag_ms: Option<u64>,
    /// The settings that it takes: a component with another one is not sold to. None if it does not say, and takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeSet<String>>,
}

/// What is wrong with a setting that a provider does not know, after its name.
pub(crate) fn unknown_setting(known: &BTreeSet<String>, name: &str) -> String {
    let known = match known.is_empty() {
        true => "none".to_owned(),
        false => known.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    format!("does not know the setting `{name}`; it knows {known}")
}

/// How long lists are taken to lag where nothing is known by key and nothing is said.
const UNKEYED_LAG: Duration = Duration::from_secs(60);

impl Capabilities {
    /// Offers only: nothing can be bought.
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

    /// Whether a call works.
    pub fn can(&self, call: Call) -> bool {
        self.calls.contains(&call)
    }

    /// The settings of these names, and no others.
    pub fn takes(names: &[&str]) -> Option<BTreeSet<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Whether all settings are such as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the one that it does not know, and those that it does.
    pub fn check_settings(&self, settings: &Settings) -> Result<(), ErrorKind> {
        let Some(known) = &self.settings else { return Ok(()) };
        match settings.keys().find(|name| !known.contains(*name)) {
            None => Ok(()),
            Some(name) => {
                Err(ErrorKind::InvalidRequest { message: format!("it {}", unknown_setting(known, name)) })
            }
        }
    }

    /// How long after a purchase its service may still be hidden from a look-up or a list.
    pub fn list_lag(&self) -> Duration {
        let said = self.list_lag_ms.map(Duration::from_millis);
        match self.idempotency_of(Call::Provision) {
            IdempotencyClass::None => said.unwrap_or(UNKEYED_LAG),
            class => class.list_lag().max(said.unwrap_or_default()),
        }
    }

    /// What repeating a call does.
    pub fn idempotency_of(&self, call: Call) -> IdempotencyClass {
        self.idempotency.get(&call).copied().unwrap_or(IdempotencyClass::None)
    }
}
