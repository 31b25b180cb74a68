//! The configuration of a Hetzner Cloud project.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Hetzner;
use crate::{
    model::ProviderId,
    provider::{
        Accept, Base,
        adapters::common::list_lag_ms,
        http::{Credential, HttpConfig, HttpConfigError},
    },
};

/// A project at Hetzner Cloud, or at a cloud with the same API.
///
/// ```yaml
/// providers:
///   - hetzner: { ssh_keys: [admin], public_ipv4: false }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HetznerConfig {
    /// Its name in the federation.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// The project's API token, which may write.
    #[serde(default = "default_token")]
    pub token: Credential,
    /// The default image of machines, unless a component's settings name another one: a name, or the id of a snapshot.
    #[serde(default = "default_image")]
    pub image: String,
    /// Whether machines get an IPv4 address, which is a line of its own.
    #[serde(default = "default_true")]
    pub public_ipv4: bool,
    /// Names or ids of keys that may log in.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// A price table for a cloud whose API tells no prices: a file or folder as a catalogue file is. Only types that the cloud
    /// has are offered.
    #[serde(default)]
    pub catalogue: Option<PathBuf>,
    /// How long a new machine may be missing from a look-up, in milliseconds: the longest time that a request may wait in front
    /// of the API after its caller has timed out.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_id() -> ProviderId {
    ProviderId::new("hetzner").expect("a plain word is a name")
}

fn default_token() -> Credential {
    Credential::env("HCLOUD_TOKEN")
}

fn default_image() -> String {
    "debian-13".to_owned()
}

fn default_true() -> bool {
    true
}

impl Default for HetznerConfig {
    fn default() -> Self {
        Self {
            id: default_id(),
            token: default_token(),
            image: default_image(),
            public_ipv4: true,
            ssh_keys: Vec::new(),
            catalogue: None,
            list_lag_ms: list_lag_ms(),
            accept: None,
            http: HttpConfig::default(),
        }
    }
}

impl HetznerConfig {
    /// Reads the token and the price table, and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Hetzner, HttpConfigError> {
        Hetzner::new(self, &base.into())
    }
}
