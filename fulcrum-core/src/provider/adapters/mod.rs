//! One folder for each kind of API.

#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod bought;
pub mod catalogue_file;
#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "exoscale")]
pub mod exoscale;
#[cfg(feature = "hetzner")]
pub mod hetzner;
#[cfg(feature = "openstack")]
pub mod openstack;
#[cfg(feature = "osb")]
pub mod osb;
#[cfg(feature = "proxmox")]
pub mod proxmox;
#[cfg(feature = "scaleway")]
pub mod scaleway;
#[cfg(feature = "upcloud")]
pub mod upcloud;
#[cfg(feature = "http")]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod whose;
