//! One folder for each kind of API, and the table that registers them.

pub mod catalogue_file;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod common;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod dry_run;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod kit;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod operation_owner;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod purchase_outcome;

/// The adapters of this library: feature and word in documents, module, type, type of its configuration.
///
/// A line here makes the module, the variant of `ProviderConfig`, and the code that opens it. The guide `docs/adapters/README.md`
/// lists what else belongs to an adapter.
macro_rules! for_each_adapter {
    ($callback:ident) => {
        $callback! {
            /// A cloud that speaks EC2's query API.
            "ec2" => ec2::Ec2(Ec2Config);
            /// An organisation at Exoscale.
            "exoscale" => exoscale::Exoscale(ExoscaleConfig);
            /// A project at Hetzner Cloud, or at a cloud with the same API.
            "hetzner" => hetzner::Hetzner(HetznerConfig);
            /// An OpenStack cloud.
            "openstack" => openstack::OpenStack(OpenStackConfig);
            /// An Open Service Broker.
            "osb" => osb::Osb(OsbConfig);
            /// A Proxmox VE cluster.
            "proxmox" => proxmox::Proxmox(ProxmoxConfig);
            /// An account at Scaleway.
            "scaleway" => scaleway::Scaleway(ScalewayConfig);
            /// An account at UpCloud.
            "upcloud" => upcloud::UpCloud(UpCloudConfig);
        }
    };
}
pub(crate) use for_each_adapter;

macro_rules! modules {
    ($($(#[$doc:meta])* $feature:literal => $module:ident::$adapter:ident($config:ident);)*) => {
        $(#[cfg(feature = $feature)] pub mod $module;)*
    };
}
for_each_adapter!(modules);
