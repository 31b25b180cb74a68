//! The configuration of an OpenStack cloud.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{OpenStack, client::Cloud, errors::OpenStackErrors, session::Login};
use crate::{
    model::{OfferKind, ProviderId, RegionId},
    provider::{
        Accept, Base,
        http::{Client, Credential, HttpConfig, HttpConfigError},
        table::Table,
    },
};

/// An OpenStack cloud: its keystone, login and prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenStackConfig {
    /// Its name in the federation, and in the price table.
    #[serde(default = "default_id")]
    pub id: ProviderId,
    /// Keystone's URL with its version, such as `https://auth.cloud.ovh.net/v3`.
    pub auth_url: String,
    /// How the host logs in at Keystone.
    pub auth: Auth,
    /// The regions that are used; empty for all of the price table.
    #[serde(default)]
    pub regions: Vec<RegionId>,
    /// Keystone's name of a region, where the price table has another one, such as `GRA: GRA11`.
    #[serde(default)]
    pub region_names: BTreeMap<RegionId, String>,
    /// The kinds of product that are bought here; machines, and floating IPs with `floating_network`, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<BTreeSet<OfferKind>>,
    /// A price table, as OpenStack tells no prices: a file or folder as a catalogue file is.
    pub catalogue: PathBuf,
    /// The interface of each service's endpoints.
    #[serde(default = "default_interface")]
    pub interface: String,
    /// URLs by type of service (`compute`, `image`, `network`) that take precedence over the service catalogue; with one region
    /// only.
    #[serde(default)]
    pub endpoints: BTreeMap<String, String>,
    /// Hosts to which the token may be sent, each with its subdomains; empty for all that keystone names.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Name or identifier of the image that is booted, unless a request has the setting `image`.
    #[serde(default)]
    pub image: Option<String>,
    /// What portable names of images are called here, such as `debian-13: my-debian`.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// Name or identifier of the network, `auto` or `none`, unless a request has the setting `network`.
    #[serde(default = "default_network")]
    pub network: String,
    /// Name of the key pair, unless a request has the setting `key_name`.
    #[serde(default)]
    pub key_name: Option<String>,
    /// Names of security groups, separated by commas, unless a request has the setting `security_groups`.
    #[serde(default)]
    pub security_groups: Option<String>,
    /// Name or identifier of the network that floating IPs are taken from; none to offer none.
    #[serde(default)]
    pub floating_network: Option<String>,
    /// How long a new server may be missing from lists after the call that orders it was lost, in milliseconds. A request that
    /// nobody waits for any more is carried out all the same: by a cloud that is slow, this much later.
    #[serde(default = "default_list_lag_ms")]
    pub list_lag_ms: u64,
    /// How many things are asked for at a time when something is listed.
    #[serde(default = "default_page_size")]
    pub page_size: u32,
    /// `document`: also sells the kinds of product that were tried against the provider's documents alone.
    #[serde(default)]
    pub accept: Option<Accept>,
    /// How the API is reached.
    #[serde(default)]
    pub http: HttpConfig,
}

/// Who asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// A user of a project.
    Password(PasswordAuth),
    /// An application credential, which is for one project and can be withdrawn alone.
    ApplicationCredential(ApplicationCredentialAuth),
}

/// A user of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordAuth {
    /// The user's name.
    pub user: String,
    /// The name of the user's domain.
    #[serde(default = "default_domain")]
    pub user_domain: String,
    /// The project's name; or write `project_id`.
    #[serde(default)]
    pub project: Option<String>,
    /// The project's identifier.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The name of the project's domain.
    #[serde(default = "default_domain")]
    pub project_domain: String,
    /// Where the password is.
    #[serde(default = "default_password")]
    pub password: Credential,
}

/// An application credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationCredentialAuth {
    /// The identifier of the application credential.
    pub id: String,
    /// Where its secret is.
    #[serde(default = "default_secret")]
    pub secret: Credential,
}

fn default_id() -> ProviderId {
    ProviderId::new("openstack").expect("a plain word is a name")
}

fn default_interface() -> String {
    "public".to_owned()
}

fn default_network() -> String {
    "auto".to_owned()
}

fn default_domain() -> String {
    "Default".to_owned()
}

fn default_password() -> Credential {
    Credential::env("OS_PASSWORD")
}

fn default_secret() -> Credential {
    Credential::env("OS_APPLICATION_CREDENTIAL_SECRET")
}

fn default_list_lag_ms() -> u64 {
    30_000
}

fn default_page_size() -> u32 {
    1_000
}

impl OpenStackConfig {
    /// The kinds of product that are bought.
    pub(super) fn kinds(&self) -> BTreeSet<OfferKind> {
        self.kinds.clone().unwrap_or_else(|| {
            let address = self.floating_network.as_ref().map(|_| OfferKind::PublicIp);
            address.into_iter().chain([OfferKind::Machine]).collect()
        })
    }

    /// Reads the secret and the price table; paths start at `base`. Connects to nothing.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting that is wrong.
    pub fn build(&self, base: impl Into<Base>) -> Result<OpenStack, HttpConfigError> {
        let base = &base.into();
        let setting = |why: String| HttpConfigError::Setting(why);
        let path = base.to_read(&self.catalogue)?;
        let tables = Table::load_bare(&path).map_err(|error| setting(format!("catalogue: {error}")))?;
        let known: Vec<_> = tables.iter().map(|table| table.provider.to_string()).collect();
        let table = tables.into_iter().find(|table| table.provider == self.id).ok_or_else(|| {
            let known = known.join(", ");
            setting(format!(
                "{} has no prices of `{}`, only of {known}; set `id` to one of these",
                path.display(),
                self.id
            ))
        })?;
        let (secret, login) = match &self.auth {
            Auth::Password(auth) => {
                if auth.project.is_none() == auth.project_id.is_none() {
                    return Err(setting("write either `project` or `project_id`".to_owned()));
                }
                (auth.password.read(base)?, Login::Password(auth.clone()))
            }
            Auth::ApplicationCredential(auth) => {
                (auth.secret.read(base)?, Login::ApplicationCredential { id: auth.id.clone() })
            }
        };
        let keystone = Client::new(&self.id, &self.auth_url, &self.http.clone().below(base)?)?
            .with_error_mapper(OpenStackErrors);
        let keystone = keystone.signed([secret], move |secrets| login.with(secrets))?;
        for address in self.endpoints.values() {
            keystone.with_base_url(address)?;
        }
        let cloud = Cloud::new(self.clone(), table.into_listed(), keystone)?;
        Ok(OpenStack::new(cloud))
    }
}
