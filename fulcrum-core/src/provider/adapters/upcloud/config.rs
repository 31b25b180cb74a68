//! The configuration of an UpCloud account.

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

use super::UpCloud;
use crate::{
    model::ProviderId,
    provider::{
        Accept, Base,
        http::{Credential, HttpConfig, HttpConfigError},
    },
};

/// An account at UpCloud.
///
/// ```yaml
/// providers:
///   - upcloud: { image: 01000000-0000-4000-8000-000020060100, ssh_keys: ["ssh-ed25519 AAAA… admin"] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpCloudConfig {
    /// Its name in the federation.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// The default template of machines, unless a component's settings name another one: the id of a storage.
    pub image: String,
    /// An API token; with a `username` that account's password.
    #[serde(default = "default_token")]
    pub token: Credential,
    /// The user name, to log in with a password instead of a token.
    #[serde(default)]
    pub username: Option<String>,
    /// Keys that may log in, as they stand in `authorized_keys`.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// The currency of the account: the price list does not tell it.
    #[serde(default = "default_currency")]
    #[schemars(with = "String")]
    pub currency: Currency,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

fn default_id() -> ProviderId {
    ProviderId::new("upcloud").expect("a plain word is a name")
}

fn default_token() -> Credential {
    Credential::env("UPCLOUD_TOKEN")
}

fn default_currency() -> Currency {
    Currency::EUR
}

impl UpCloudConfig {
    /// An account with all defaults.
    pub fn new(image: &str) -> Self {
        Self {
            id: default_id(),
            image: image.to_owned(),
            token: default_token(),
            username: None,
            ssh_keys: Vec::new(),
            currency: default_currency(),
            accept: None,
            http: HttpConfig::default(),
        }
    }

    /// Reads the token and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<UpCloud, HttpConfigError> {
        UpCloud::new(self, &base.into())
    }
}
