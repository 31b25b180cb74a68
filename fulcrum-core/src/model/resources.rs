//! Resources that a component needs and an offer has, in integers.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// One axis of size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Thousandths of a virtual CPU.
    MilliVcpu,
    /// MiB of main memory.
    MemoryMib,
    /// GiB of disk.
    DiskGib,
    /// The number of graphics processors.
    Gpu,
    /// Any other, by the name that blueprint and offer share.
    Named(String),
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MilliVcpu => "vcpu",
            Self::MemoryMib => "memory_mib",
            Self::DiskGib => "disk_gib",
            Self::Gpu => "gpu",
            Self::Named(name) => name,
        })
    }
}

/// An amount on every axis. Absent axes are zero.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Thousandths of a virtual CPU.
    pub vcpu_milli: u32,
    /// MiB of main memory.
    pub memory_mib: u64,
    /// GiB of disk.
    pub disk_gib: u64,
    /// The number of graphics processors.
    pub gpu: u32,
    /// Other axes by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, u64>,
}

impl Resources {
    /// The amount on one axis.
    pub fn along(&self, dimension: &Dimension) -> u64 {
        match dimension {
            Dimension::MilliVcpu => self.vcpu_milli.into(),
            Dimension::MemoryMib => self.memory_mib,
            Dimension::DiskGib => self.disk_gib,
            Dimension::Gpu => self.gpu.into(),
            Dimension::Named(name) => self.named.get(name).copied().unwrap_or(0),
        }
    }

    /// All axes on which this amount is not zero, in a fixed order.
    pub fn dimensions(&self) -> impl Iterator<Item = Dimension> + '_ {
        [Dimension::MilliVcpu, Dimension::MemoryMib, Dimension::DiskGib, Dimension::Gpu]
            .into_iter()
            .chain(self.named.keys().cloned().map(Dimension::Named))
            .filter(|dimension| self.along(dimension) > 0)
    }
}
