//! The configuration of a cloud with EC2's query API.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Ec2, client::Cloud, endpoints::Urls, errors::Ec2Errors};
use crate::{
    model::{OfferKind, ProviderId, RegionId},
    provider::{
        Accept, Base,
        adapters::common::list_lag_ms,
        http::{Client, Credential, HttpConfig, HttpConfigError},
        table::Table,
    },
};

/// A cloud that speaks EC2's query API: its address, keys and prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ec2Config {
    /// Its name in the federation, and in the price table.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// Its URL, with `{region}` for the region's name: `https://fcu.{region}.outscale.com`.
    pub endpoint: String,
    /// The URLs of its other APIs, where they do not follow from `endpoint`: `elasticloadbalancing`, `rds`,
    /// `s3`.
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
    /// The kinds of product that are bought here. The keys need permission for the API of each.
    #[serde(default = "default_kinds")]
    pub kinds: BTreeSet<OfferKind>,
    /// The access key.
    #[serde(default = "default_access_key")]
    pub access_key: Credential,
    /// The secret key.
    #[serde(default = "default_secret_key")]
    pub secret_key: Credential,
    /// The token that goes with temporary keys.
    #[serde(default)]
    pub session_token: Option<Credential>,
    /// The secret from which passwords of databases are made, each with the key of its purchase: 16 characters at least. Without
    /// one, nobody can get into a database.
    #[serde(default)]
    pub password_secret: Option<Credential>,
    /// The regions that are used; empty for all of the price table.
    #[serde(default)]
    pub regions: Vec<RegionId>,
    /// A price table, as the API tells no prices: a file or folder as a catalogue file is.
    pub catalogue: PathBuf,
    /// Whether the cloud makes one machine of one `ClientToken`, however often it is sent. Some clouds ignore it: then a
    /// purchase searches the machine's tag before it sends the request again.
    pub client_token: ClientToken,
    /// How long a new machine may be missing from lists, in milliseconds.
    #[serde(default = "list_lag_ms")]
    pub list_lag_ms: u64,
    /// Identifier of the image that is booted, unless a request has the setting `image`.
    #[serde(default)]
    pub image: Option<String>,
    /// What portable names of images are here, such as `debian-13: ami-0123456789abcdef0`. At AWS they are found without.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// Name of the key pair, unless a request has the setting `key_name`.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Identifier of the subnet, unless a request has the setting `subnet`.
    #[serde(default)]
    pub subnet: Option<String>,
    /// Identifiers of security groups, separated by commas, unless a request has the setting `security_groups`.
    #[serde(default)]
    pub security_groups: Option<String>,
    /// Whether machines get a public IPv4 address. The order requests or forbids it, and its price is a line of its own.
    #[serde(default = "default_true")]
    pub public_ip: bool,
    /// GiB of the least system disk, where disks are bought by size: as much as images need.
    #[serde(default = "default_least_disk_gib")]
    pub least_disk_gib: u64,
    /// The type of system disks, where the price table's block storage has another name.
    #[serde(default = "default_volume_type")]
    pub volume_type: String,
    /// Rows of a page; 5 to 1000.
    #[serde(default = "default_page_size")]
    pub page_size: u32,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

/// How a cloud treats a `ClientToken`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientToken {
    /// The same token makes one machine.
    Honoured,
    /// The token has no effect.
    Ignored,
}

fn default_id() -> ProviderId {
    ProviderId::new("ec2").expect("a plain word is a name")
}

fn default_kinds() -> BTreeSet<OfferKind> {
    BTreeSet::from([OfferKind::Machine])
}

fn default_access_key() -> Credential {
    Credential::env("AWS_ACCESS_KEY_ID")
}

fn default_secret_key() -> Credential {
    Credential::env("AWS_SECRET_ACCESS_KEY")
}

fn default_true() -> bool {
    true
}

fn default_least_disk_gib() -> u64 {
    8
}

fn default_volume_type() -> String {
    "gp3".to_owned()
}

fn default_page_size() -> u32 {
    1_000
}

impl Ec2Config {
    /// The URLs of its APIs.
    pub(super) fn urls(&self) -> Urls<'_> {
        Urls { base: self.http.base_url.as_ref(), endpoint: &self.endpoint, endpoints: &self.endpoints }
    }

    /// Reads the keys and the price table, and builds the adapter. Does not connect yet. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting that is wrong.
    pub fn build(&self, base: impl Into<Base>) -> Result<Ec2, HttpConfigError> {
        let base = &base.into();
        let setting = |why: String| HttpConfigError::Setting(why);
        let path = base.to_read(&self.catalogue)?;
        let tables = Table::load_bare(&path).map_err(|error| setting(format!("catalogue: {error}")))?;
        let known: Vec<_> = tables.iter().map(|table| table.provider.to_string()).collect();
        let table = tables.into_iter().find(|table| table.provider == self.id).ok_or_else(|| {
            let (path, id, known) = (path.display(), &self.id, known.join(", "));
            setting(format!("{path} has no prices of `{id}`, only of {known}; set `id` to one of these"))
        })?;
        let session = self
            .session_token
            .as_ref()
            .map(|token| token.read_as(base, "env:AWS_SESSION_TOKEN"))
            .transpose()?;
        let keys = [
            self.access_key.read_as(base, "env:AWS_ACCESS_KEY_ID")?,
            self.secret_key.read_as(base, "env:AWS_SECRET_ACCESS_KEY")?,
        ]
        .into_iter()
        .chain(session)
        .collect();
        let first = self.endpoint.replace("{region}", "region");
        let client =
            Client::new(&self.id, &first, &self.http.clone().below(base)?)?.with_error_mapper(Ec2Errors);
        let cloud = Cloud::new(self.clone(), table.into_listed(), client, keys)?;
        Ok(Ec2::new(match &self.password_secret {
            None => cloud,
            Some(source) => cloud.with_passwords(&source.read_as(base, "env:FULCRUM_PASSWORD_SECRET")?)?,
        }))
    }
}
