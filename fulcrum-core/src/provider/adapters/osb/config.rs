//! The configuration of a broker.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

use super::Osb;
use crate::{
    model::{DeclaredSettings, OfferKind, ProviderId, RegionId},
    provider::{
        Accept, Base,
        adapters::common::list_lag_ms,
        http::{Credential, HttpConfig, HttpConfigError},
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
    /// The provider's file: who sells, and where its regions are, as beside a price table. Its id is the name in the
    /// federation.
    pub provider: PathBuf,
    /// The name in the federation, instead of the file's id.
    #[serde(default)]
    pub id: Option<ProviderId>,
    /// The region of the broker's services; not needed if the file has one region.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// The user name.
    pub username: String,
    /// The password of the user.
    #[serde(default = "default_password")]
    pub password: Credential,
    /// The currency of costs that are told in several.
    #[serde(default = "default_currency")]
    #[schemars(with = "String")]
    pub currency: Currency,
    /// The kinds of the broker's services; others are databases.
    #[serde(default)]
    pub kinds: BTreeMap<String, OfferKind>,
    /// The settings that its services take as parameters. Without it any setting is sent, and the broker checks it.
    #[serde(default)]
    pub settings: Option<DeclaredSettings>,
    /// The names in the credentials of its bindings, by kind of product, such as `database: [uri]`. Other components may refer to
    /// them in `user_data`.
    #[serde(default)]
    pub secrets: BTreeMap<OfferKind, BTreeSet<String>>,
    /// Units of costs that are billed by use, such as `1GB of traffic`, on top of a plan's price. A plan with a cost of another
    /// unit is left out and named.
    #[serde(default)]
    pub usage_units: BTreeSet<String>,
    /// The organisation that instances are made for.
    #[serde(default = "default_guid")]
    pub organization_guid: String,
    /// The space that instances are made in.
    #[serde(default = "default_guid")]
    pub space_guid: String,
    /// How long a new instance may be missing from a look-up, in milliseconds: the longest time that a request may wait in
    /// front of the API after its caller has timed out.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached; `base_url` is needed.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_password() -> Credential {
    Credential::env("OSB_PASSWORD")
}

fn default_currency() -> Currency {
    Currency::EUR
}

fn default_guid() -> String {
    "fulcrum".to_owned()
}

impl OsbConfig {
    /// Reads the password and the provider's file, and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Osb, HttpConfigError> {
        Osb::new(self, &base.into())
    }
}
