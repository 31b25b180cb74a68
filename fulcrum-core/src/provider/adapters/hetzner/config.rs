//! How Hetzner Cloud is reached, and what a machine is made with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Hetzner;
use crate::{
    model::ProviderId,
    provider::{
        Base,
        http::{Credential, HttpConfig, HttpConfigError, list_lag_ms},
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
    #[serde(default = "hetzner")]
    pub id: ProviderId,
    /// The project's API token, which may write.
    #[serde(default = "token")]
    pub token: Credential,
    /// What machines boot unless a component's settings name another one: a name, or the id of a snapshot.
    #[serde(default = "debian")]
    pub image: String,
    /// Whether machines get an IPv4 address, which is then a line of its own.
    #[serde(default = "yes")]
    pub public_ipv4: bool,
    /// Names or ids of keys that may log in.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// A price table for a cloud whose API tells no prices: a file or folder as a catalogue file is. Only what the cloud has
    /// is offered.
    #[serde(default)]
    pub catalogue: Option<PathBuf>,
    /// How long a new machine may be missing from a look-up, in milliseconds: the longest that a call may wait in front of
    /// the API after its caller has given it up.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

fn hetzner() -> ProviderId {
    ProviderId::new("hetzner").expect("a plain word is a name")
}

fn token() -> Credential {
    Credential::env("HCLOUD_TOKEN")
}

fn debian() -> String {
    "debian-13".to_owned()
}

fn yes() -> bool {
    true
}

impl Default for HetznerConfig {
    fn default() -> Self {
        Self {
            id: hetzner(),
            token: token(),
            image: debian(),
            public_ipv4: true,
            ssh_keys: Vec::new(),
            catalogue: None,
            list_lag_ms: list_lag_ms(),
            http: HttpConfig::default(),
        }
    }
}

impl HetznerConfig {
    /// Reads the token and the price table, and sets the adapter up. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Hetzner, HttpConfigError> {
        Hetzner::new(self, &base.into())
    }
}
