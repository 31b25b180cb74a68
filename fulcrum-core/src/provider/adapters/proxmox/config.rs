//! The configuration of a Proxmox VE cluster.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Proxmox;
use crate::{
    model::{ProviderId, RegionId},
    provider::{
        Accept, Base,
        adapters::common::list_lag_ms,
        http::{Credential, HttpConfig, HttpConfigError},
    },
};

/// A Proxmox VE cluster.
///
/// ```yaml
/// providers:
///   - proxmox:
///       id: hoster
///       catalogue: hoster.csv
///       nodes: { de-fra: [pve1, pve2] }
///       image: debian-13
///       token_id: "fulcrum@pve!orders"
///       http: { base_url: "https://pve.hoster.example:8006/api2/json" }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxmoxConfig {
    /// Its name in the federation, and in the price table.
    pub id: ProviderId,
    /// The price table with the sizes: a file or folder as a catalogue file is.
    pub catalogue: PathBuf,
    /// The nodes of each region of the table.
    pub nodes: BTreeMap<RegionId, Vec<String>>,
    /// The name of the template that machines are cloned from unless a component's settings name another one. Each node that
    /// sells has one of that name.
    pub image: String,
    /// The API token, as `user@realm!name`.
    pub token_id: String,
    /// The secret of the API token.
    #[serde(default = "default_token")]
    pub token: Credential,
    /// The disk of the template that is grown to the bought size.
    #[serde(default = "default_disk")]
    pub disk: String,
    /// The storage of clones; the template's if it is not set.
    #[serde(default)]
    pub storage: Option<String>,
    /// Per cent of a node's memory that machines may have together.
    #[serde(default = "default_memory_percent")]
    pub memory_percent: u32,
    /// The numbers that machines get. Use this range for nothing else.
    #[serde(default)]
    pub vmids: VmidRange,
    /// How long a new machine may be missing from a look-up, in milliseconds: the longest time that a request may wait in front
    /// of the API after its caller has timed out.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached; `base_url` is needed.
    #[serde(default)]
    pub http: HttpConfig,
}

/// A range of numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmidRange {
    /// The least number of a machine.
    pub from: u64,
    /// The greatest number of a machine.
    pub to: u64,
}

impl Default for VmidRange {
    fn default() -> Self {
        Self { from: 1_000_000, to: 999_999_999 }
    }
}

fn default_token() -> Credential {
    Credential::env("PVE_TOKEN_SECRET")
}

fn default_disk() -> String {
    "scsi0".to_owned()
}

fn default_memory_percent() -> u32 {
    100
}

impl ProxmoxConfig {
    /// Reads the secret and the price table, and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting.
    pub fn build(&self, base: impl Into<Base>) -> Result<Proxmox, HttpConfigError> {
        Proxmox::new(self, &base.into())
    }
}
