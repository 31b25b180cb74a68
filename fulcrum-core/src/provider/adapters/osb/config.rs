//! How a broker is reached, and what its services are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

use super::Osb;
use crate::{
    model::{OfferKind, ProviderId, RegionId},
    provider::{
        Base,
        http::{Credential, HttpConfig, HttpConfigError, list_lag_ms},
    },
};

/// One broker.
///
/// ```yaml
/// providers:
///   - osb:
///       provider: hoster.json
///       username: broker
///       http: { base_url: "https://broker.hoster.example" }
///       kinds: { redis: other }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OsbConfig {
    /// Who sells and where its regions are: a file as that beside a price table. Its id is the name in the federation.
    pub provider: PathBuf,
    /// The name in the federation; none for the file's.
    #[serde(default)]
    pub id: Option<ProviderId>,
    /// Where the broker's services run; none for the only region of the file.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// The name that is logged in with.
    pub username: String,
    /// Its password.
    #[serde(default = "password")]
    pub password: Credential,
    /// In which currency costs are read where they are told in several.
    #[serde(default = "euro")]
    #[schemars(with = "String")]
    pub currency: Currency,
    /// What each of the broker's services is; a database if it is not here.
    #[serde(default)]
    pub kinds: BTreeMap<String, OfferKind>,
    /// The settings that its services take as parameters; none if any may be sent, as the broker looks at them itself.
    #[serde(default)]
    pub settings: Option<BTreeSet<String>>,
    /// Units of costs that are billed by use, such as `1GB of traffic`: whatever they come to, it is on top of what a plan
    /// commits to. A plan with a cost of another unit is left out, and named.
    #[serde(default)]
    pub usage_units: BTreeSet<String>,
    /// For whom instances are made, as the broker knows them.
    #[serde(default = "fulcrum")]
    pub organization_guid: String,
    /// And in which space.
    #[serde(default = "fulcrum")]
    pub space_guid: String,
    /// How long a new instance may be missing from a look-up, in milliseconds: the longest that a call may wait in front of
    /// the API after its caller has given it up.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// How the API is reached; `base_url` is needed.
    #[serde(default)]
    pub http: HttpConfig,
}

fn password() -> Credential {
    Credential::env("OSB_PASSWORD")
}

fn euro() -> Currency {
    Currency::EUR
}

fn fulcrum() -> String {
    "fulcrum".to_owned()
}

impl OsbConfig {
    /// What it is called as long as its file is not read: its `id`, or `osb`.
    pub fn name(&self) -> ProviderId {
        self.id.clone().unwrap_or_else(|| ProviderId::new("osb").expect("a plain word is a name"))
    }

    /// Reads the password and the provider's file, and sets the adapter up. Does not connect yet. Paths are relative to
    /// `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Osb, HttpConfigError> {
        Osb::new(self, &base.into())
    }
}
