//! The sorts of resource that a purchase makes beside servers, and how the services speak of each.

use serde_json::Value;

use crate::{
    model::OfferKind,
    provider::adapters::kit::{ResourceType, State},
};

/// A sort of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    FloatingIp,
    Volume,
    Network,
    Subnet,
    Router,
    SecurityGroup,
    LoadBalancer,
    Container,
}

impl ResourceType for Sort {
    fn word(self) -> &'static str {
        match self {
            Self::FloatingIp => "floating IP",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Subnet => "subnet",
            Self::Router => "router",
            Self::SecurityGroup => "security group",
            Self::LoadBalancer => "load balancer",
            Self::Container => "container",
        }
    }

    fn prefix(self) -> String {
        match self {
            // As they were called before there were others.
            Self::FloatingIp => "ip-".to_owned(),
            other => format!("{}/", other.word().replace(' ', "-")),
        }
    }
}

/// How a service speaks of a sort of resource.
#[derive(Debug)]
pub(super) struct Rest {
    /// The types of the service in the catalogue; the first that is there.
    pub service: &'static [&'static str],
    /// The version segment, where the catalogue's URL has none.
    pub version: Option<&'static str>,
    pub path: &'static [&'static str],
    /// What follows the path in a list with all fields.
    pub detail: Option<&'static str>,
    /// The field around one.
    pub one: &'static str,
    /// The field around several.
    pub many: &'static str,
    /// Whether the key stands in metadata; else in the description.
    pub has_metadata: bool,
    /// A parameter of the deletion.
    pub delete_with: Option<(&'static str, &'static str)>,
}

const FLOATING_IP: Rest = Rest {
    service: &["network"],
    version: Some("v2.0"),
    path: &["floatingips"],
    detail: None,
    one: "floatingip",
    many: "floatingips",
    has_metadata: false,
    delete_with: None,
};
const NETWORK: Rest = Rest { path: &["networks"], one: "network", many: "networks", ..FLOATING_IP };
const SUBNET: Rest = Rest { path: &["subnets"], one: "subnet", many: "subnets", ..FLOATING_IP };
const ROUTER: Rest = Rest { path: &["routers"], one: "router", many: "routers", ..FLOATING_IP };
const SECURITY_GROUP: Rest =
    Rest { path: &["security-groups"], one: "security_group", many: "security_groups", ..FLOATING_IP };
const VOLUME: Rest = Rest {
    service: &["volumev3", "block-storage"],
    // The URL has version and project.
    version: None,
    path: &["volumes"],
    detail: Some("detail"),
    one: "volume",
    many: "volumes",
    has_metadata: true,
    delete_with: None,
};
const LOAD_BALANCER: Rest = Rest {
    service: &["load-balancer"],
    version: Some("v2"),
    path: &["lbaas", "loadbalancers"],
    detail: None,
    one: "loadbalancer",
    many: "loadbalancers",
    has_metadata: false,
    delete_with: Some(("cascade", "true")),
};

impl Sort {
    /// The kind of product of which it is a part.
    pub(super) fn kind(self) -> OfferKind {
        match self {
            Self::FloatingIp => OfferKind::PublicIp,
            Self::Volume => OfferKind::BlockStorage,
            Self::Network | Self::Subnet | Self::Router | Self::SecurityGroup => OfferKind::Network,
            Self::LoadBalancer => OfferKind::LoadBalancer,
            Self::Container => OfferKind::ObjectStorage,
        }
    }

    /// How its service speaks of it; none for containers, which have no documents.
    pub(super) fn rest(self) -> Option<&'static Rest> {
        Some(match self {
            Self::FloatingIp => &FLOATING_IP,
            Self::Volume => &VOLUME,
            Self::Network => &NETWORK,
            Self::Subnet => &SUBNET,
            Self::Router => &ROUTER,
            Self::SecurityGroup => &SECURITY_GROUP,
            Self::LoadBalancer => &LOAD_BALANCER,
            Self::Container => return None,
        })
    }

    /// The state of a row.
    pub(super) fn state(self, row: &Value) -> State {
        let at = match self {
            Self::LoadBalancer => "/provisioning_status",
            // ACTIVE if it is attached, DOWN if not.
            Self::FloatingIp | Self::Volume | Self::Network | Self::Router => "/status",
            Self::Subnet | Self::SecurityGroup | Self::Container => return State::Ready,
        };
        let status = row.pointer(at).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        match status.as_str() {
            "creating" | "downloading" | "attaching" | "detaching" | "reserved" | "build"
            | "pending_create" | "pending_update" => State::Pending,
            "deleting" | "pending_delete" => State::Ending,
            status if status.starts_with("error") => {
                State::Failed(format!("the {} is {status}", self.word()))
            }
            _ => State::Ready,
        }
    }

    /// Whether a row is of something that has ended, and is shown for a while.
    pub(super) fn is_gone(self, row: &Value) -> bool {
        self == Self::LoadBalancer
            && row.get("provisioning_status").and_then(Value::as_str) == Some("DELETED")
    }
}
