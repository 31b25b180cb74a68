//! What sorts of product there are.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What sort of product an offer is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OfferKind {
    /// A virtual or physical machine, on which components are packed.
    #[default]
    Machine,
    /// Disk for machines, by size.
    BlockStorage,
    /// Object storage, by size.
    ObjectStorage,
    /// A managed database.
    Database,
    /// A managed load balancer.
    LoadBalancer,
    /// A public IP address.
    PublicIp,
    /// A managed Kubernetes control plane.
    Kubernetes,
    /// A private network.
    Network,
    /// Anything else.
    Other,
}

impl OfferKind {
    /// All kinds, in a fixed order, with their names.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Machine, "machine"),
        (Self::BlockStorage, "block_storage"),
        (Self::ObjectStorage, "object_storage"),
        (Self::Database, "database"),
        (Self::LoadBalancer, "load_balancer"),
        (Self::PublicIp, "public_ip"),
        (Self::Kubernetes, "kubernetes"),
        (Self::Network, "network"),
        (Self::Other, "other"),
    ];
}

impl fmt::Display for OfferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for OfferKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("{text:?} is not a kind of offer; write one of {}", names.join(", "))
        })
    }
}
