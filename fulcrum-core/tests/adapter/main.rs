//! The adapters: against real servers where scripts beside the project start them, and against recorded answers.

#[cfg(feature = "http")]
#[path = "../peers/mod.rs"]
mod peers;

#[cfg(feature = "adapters")]
mod absence;
#[cfg(all(feature = "adapters", feature = "sqlite", feature = "sandbox"))]
mod accepted;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod action_completion;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod ambiguous_purchase;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod clock_skew;
#[cfg(all(feature = "adapters", feature = "sandbox"))]
mod configuration_changes;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod dry_run;
mod dying;
#[cfg(feature = "ec2")]
mod ec2;
mod ec2_kinds;
#[cfg(all(feature = "adapters", feature = "sandbox"))]
mod exact;
#[cfg(feature = "exoscale")]
mod exoscale;
#[cfg(feature = "adapters")]
mod flows;
mod foreign_attachments;
#[cfg(feature = "hetzner")]
mod headline;
mod hetzner;
#[cfg(feature = "adapters")]
mod imitation;
#[cfg(feature = "adapters")]
mod malformed_responses;
#[cfg(feature = "adapters")]
mod matrix;
#[cfg(feature = "adapters")]
mod nova_cells;
#[cfg(feature = "openstack")]
mod openstack;
mod openstack_kinds;
#[cfg(feature = "adapters")]
mod orphaned_disks;
#[cfg(feature = "osb")]
mod osb;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod plan_parameters;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod portable;
#[cfg(feature = "adapters")]
mod price_dates;
#[cfg(feature = "proxmox")]
mod proxmox;
#[cfg(all(feature = "adapters", feature = "sqlite", unix))]
mod recording;
#[cfg(feature = "adapters")]
mod refusal_reasons;
#[cfg(feature = "adapters")]
mod registration;
#[cfg(all(feature = "adapters", feature = "sqlite"))]
mod reused_ids;
#[cfg(feature = "scaleway")]
mod scaleway;
#[cfg(all(feature = "adapters", feature = "sqlite", feature = "metrics"))]
mod secrets;
#[cfg(feature = "adapters")]
#[path = "../support/seed.rs"]
#[allow(unreachable_pub, reason = "as a module of its own")]
mod seed;
#[cfg(feature = "adapters")]
mod shipped_tables;
#[cfg(feature = "adapters")]
mod terraform;
mod unreadable_rows;
#[cfg(feature = "adapters")]
mod unretrievable_instances;
#[cfg(feature = "upcloud")]
mod upcloud;
