//! The adapters: against real servers where scripts beside the project start them, and against recorded answers.

#[cfg(feature = "http")]
#[path = "../peers/mod.rs"]
mod peers;

#[cfg(feature = "adapters")]
mod absence;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod acted;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod afterwards;
#[cfg(feature = "adapters")]
mod attached;
#[cfg(feature = "adapters")]
mod cells;
#[cfg(all(feature = "adapters", feature = "sandbox"))]
mod changed;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod clocks;
#[cfg(feature = "adapters")]
mod dated;
#[cfg(feature = "ec2")]
mod ec2;
#[cfg(all(feature = "adapters", feature = "sandbox"))]
mod exact;
#[cfg(feature = "exoscale")]
mod exoscale;
#[cfg(feature = "adapters")]
mod garbled;
#[cfg(feature = "hetzner")]
mod hetzner;
#[cfg(feature = "adapters")]
mod imitation;
#[cfg(feature = "adapters")]
mod matrix;
#[cfg(feature = "adapters")]
mod odd_rows;
#[cfg(feature = "openstack")]
mod openstack;
#[cfg(feature = "osb")]
mod osb;
#[cfg(feature = "adapters")]
mod outlives;
#[cfg(feature = "proxmox")]
mod proxmox;
#[cfg(all(feature = "adapters", feature = "sqlite", unix))]
mod recording;
#[cfg(feature = "adapters")]
mod refused;
#[cfg(feature = "adapters")]
mod registration;
#[cfg(feature = "scaleway")]
mod scaleway;
#[cfg(all(feature = "adapters", feature = "sqlite", feature = "metrics"))]
mod secrets;
#[cfg(feature = "adapters")]
#[path = "../support/seed.rs"]
#[allow(unreachable_pub, reason = "as a module of its own")]
mod seed;
#[cfg(feature = "adapters")]
mod untold;
#[cfg(feature = "upcloud")]
mod upcloud;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod whose;
