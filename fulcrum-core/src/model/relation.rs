//! Relations: fields of a component that name another one.

use std::fmt;

use super::OfferKind;

/// A field of a component that names another component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// A disk or an address is attached to a machine.
    Attach,
    /// A load balancer forwards to machines.
    Targets,
    /// A product is in a private network.
    Network,
    /// A machine is a node of a Kubernetes cluster.
    NodesOf,
}

impl Relation {
    /// All, in the order in which a component has them.
    pub const ALL: [Self; 4] = [Self::Attach, Self::Targets, Self::Network, Self::NodesOf];

    /// The word in a blueprint, and the name of the setting that a provider is given.
    pub fn word(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Targets => "targets",
            Self::Network => "network",
            Self::NodesOf => "nodes_of",
        }
    }

    /// The relation that a word stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|relation| relation.word() == word)
    }

    /// Whether a component of this kind may have it.
    pub fn is_of(self, kind: OfferKind) -> bool {
        match self {
            Self::Attach => matches!(kind, OfferKind::BlockStorage | OfferKind::PublicIp),
            Self::Targets => kind == OfferKind::LoadBalancer,
            Self::Network => {
                !matches!(kind, OfferKind::Network | OfferKind::ObjectStorage | OfferKind::PublicIp)
            }
            Self::NodesOf => kind == OfferKind::Machine,
        }
    }

    /// The kind of component that it names.
    pub(super) fn names(self) -> OfferKind {
        match self {
            Self::Attach | Self::Targets => OfferKind::Machine,
            Self::Network => OfferKind::Network,
            Self::NodesOf => OfferKind::Kubernetes,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
