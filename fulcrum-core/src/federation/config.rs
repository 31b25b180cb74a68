//! A federation from a document: what hosts in C and Python pass in, and people write.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::AgeLimits,
    model::{DocumentError, check_size, limits, parse_yaml},
};

/// Providers, ledger and exchange rates. Relative paths start where the document is, or where the host says.
///
/// A file that is opened by its name ([`Federation::open`](super::Federation::open)) is the operator's own, and trusted. A text
/// may be anybody's: it reads and writes files below one folder, and sends each secret only to the public API that it is for,
/// unless the program lets it do more ([`open_within`](Self::open_within)).
///
/// ```yaml
/// ledger: orders.db
/// rates: eurofxref.csv
/// providers:
///   - sandbox: { catalogue: examples/catalogue, seed: 7, operation_ms: [50, 200] }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FederationConfig {
    /// The ledger's file, `:memory:` for one that is gone with the process, `postgresql://user@host/database` for one
    /// that many hosts share, or `env:NAME` for what that environment variable says.
    pub ledger: String,
    /// The European Central Bank's rates, as CSV or XML.
    #[serde(default)]
    pub rates: Option<PathBuf>,
    /// How old, in hours, the last list of a provider may be that does not answer; its older offers are in no plan.
    #[serde(default = "max_offer_age_hours")]
    pub max_offer_age_hours: u32,
    /// How old, in days, the rates may be; older ones convert nothing. The file is read again with each refresh.
    #[serde(default = "max_rates_age_days")]
    pub max_rates_age_days: u32,
    /// How old, in days, a price of a dated table may be; older ones are left out.
    #[serde(default = "max_table_age_days")]
    pub max_table_age_days: u32,
    /// Who sells.
    pub providers: Vec<ProviderConfig>,
}

fn max_offer_age_hours() -> u32 {
    AgeLimits::default().max_offer_age_hours
}

fn max_rates_age_days() -> u32 {
    AgeLimits::default().max_rates_age_days
}

fn max_table_age_days() -> u32 {
    AgeLimits::default().max_table_age_days
}

/// One provider, or several from one catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderConfig {
    /// Clouds in the process, for tests and demos.
    #[cfg(feature = "sandbox")]
    Sandbox(crate::provider::sandbox::SandboxConfig),
    /// Offers from a file or folder, to compare prices with.
    CatalogueFile(PathBuf),
    /// A cloud that speaks EC2's query API.
    #[cfg(feature = "ec2")]
    Ec2(crate::provider::adapters::ec2::Ec2Config),
    /// An organisation at Exoscale.
    #[cfg(feature = "exoscale")]
    Exoscale(crate::provider::adapters::exoscale::ExoscaleConfig),
    /// A project at Hetzner Cloud, or at a cloud with the same API.
    #[cfg(feature = "hetzner")]
    Hetzner(crate::provider::adapters::hetzner::HetznerConfig),
    /// An OpenStack cloud.
    #[cfg(feature = "openstack")]
    #[serde(rename = "openstack")]
    OpenStack(crate::provider::adapters::openstack::OpenStackConfig),
    /// An Open Service Broker.
    #[cfg(feature = "osb")]
    Osb(crate::provider::adapters::osb::OsbConfig),
    /// A Proxmox VE cluster.
    #[cfg(feature = "proxmox")]
    Proxmox(crate::provider::adapters::proxmox::ProxmoxConfig),
    /// An account at Scaleway.
    #[cfg(feature = "scaleway")]
    Scaleway(crate::provider::adapters::scaleway::ScalewayConfig),
    /// An account at UpCloud.
    #[cfg(feature = "upcloud")]
    #[serde(rename = "upcloud")]
    UpCloud(crate::provider::adapters::upcloud::UpCloudConfig),
}

impl FederationConfig {
    /// Reads a configuration in YAML or JSON.
    ///
    /// # Errors
    /// [`DocumentError`] with path and line.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_FEDERATION_BYTES)?;
        parse_yaml(text)
    }
}
