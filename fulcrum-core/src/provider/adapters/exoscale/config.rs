//! The configuration of an Exoscale organisation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Exoscale;
use crate::{
    model::{ProviderId, RegionId},
    provider::{
        Accept, Base,
        adapters::common::list_lag_ms,
        http::{Credential, HttpConfig, HttpConfigError},
    },
};

/// An organisation at Exoscale.
///
/// ```yaml
/// providers:
///   - exoscale: { catalogue: exoscale.csv, zones: [ch-gva-2, de-fra-1], ssh_keys: [admin] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExoscaleConfig {
    /// Its name in the federation, and in the price table.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// A price table, as the API tells no prices: a file or folder as a catalogue file is.
    pub catalogue: PathBuf,
    /// The key of an API key.
    #[serde(default = "default_key")]
    pub key: Credential,
    /// The secret of the API key.
    #[serde(default = "default_secret")]
    pub secret: Credential,
    /// The zones that are offered and searched; empty for all of the table.
    #[serde(default)]
    pub zones: Vec<RegionId>,
    /// The default template of machines, unless a component's settings name another one: a name, or an id of one zone.
    #[serde(default = "default_image")]
    pub image: String,
    /// Whether machines get a public IPv4 address.
    #[serde(default = "default_true")]
    pub public_ip: bool,
    /// Names of keys that may log in.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// How long a new instance may be missing from the list, in milliseconds; the provider does not say.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached; a `base_url` holds for all zones.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_id() -> ProviderId {
    ProviderId::new("exoscale").expect("a plain word is a name")
}

fn default_key() -> Credential {
    Credential::env("EXOSCALE_API_KEY")
}

fn default_secret() -> Credential {
    Credential::env("EXOSCALE_API_SECRET")
}

fn default_image() -> String {
    "Linux Debian 12 (Bookworm) 64-bit".to_owned()
}

fn default_true() -> bool {
    true
}

impl ExoscaleConfig {
    /// Reads the key and the price table, and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Exoscale, HttpConfigError> {
        Exoscale::new(self, &base.into())
    }
}
