//! The configuration of a Scaleway account.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Scaleway;
use crate::{
    model::{ProviderId, ZoneId},
    provider::{
        Accept, Base,
        http::{Credential, HttpConfig, HttpConfigError},
    },
};

/// An account at Scaleway.
///
/// ```yaml
/// providers:
///   - scaleway: { project: 11111111-2222-3333-4444-555555555555, zones: [fr-par-1, nl-ams-1] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalewayConfig {
    /// Its name in the federation.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// The project that machines are made in.
    pub project: String,
    /// The secret key of an API key.
    #[serde(default = "default_secret_key")]
    pub secret_key: Credential,
    /// The zones that are offered and searched; empty for all.
    #[serde(default)]
    pub zones: Vec<ZoneId>,
    /// The default image of machines, unless a component's settings name another one: an id, or a label of the marketplace.
    #[serde(default = "default_image")]
    pub image: String,
    /// Prices of block storage and public IPv4 addresses, which the API does not tell: rows of a price table. They replace the
    /// adapter's own dated rows.
    #[serde(default)]
    pub storage: Option<PathBuf>,
    /// Whether machines get a public IPv4 address, which is a line of its own.
    #[serde(default = "default_true")]
    pub public_ip: bool,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_id() -> ProviderId {
    ProviderId::new("scaleway").expect("a plain word is a name")
}

fn default_secret_key() -> Credential {
    Credential::env("SCW_SECRET_KEY")
}

fn default_image() -> String {
    "debian_bookworm".to_owned()
}

fn default_true() -> bool {
    true
}

impl ScalewayConfig {
    /// An account with all defaults.
    pub fn new(project: &str) -> Self {
        Self {
            id: default_id(),
            project: project.to_owned(),
            secret_key: default_secret_key(),
            zones: Vec::new(),
            image: default_image(),
            storage: None,
            public_ip: true,
            accept: None,
            http: HttpConfig::default(),
        }
    }

    /// Reads the secret key and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Scaleway, HttpConfigError> {
        Scaleway::new(self, &base.into())
    }
}
