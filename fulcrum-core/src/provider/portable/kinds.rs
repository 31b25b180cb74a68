//! Portable words of products that are no machines.

use crate::model::{DeclaredSetting, OfferKind, Relation, SettingType};

fn word(name: &str, value: SettingType, kinds: impl Into<Vec<OfferKind>>, about: &str) -> DeclaredSetting {
    DeclaredSetting::new(name, value).of(kinds).portable().about(about)
}

/// `attach` of volumes and addresses.
pub(in crate::provider) fn attach() -> DeclaredSetting {
    let kinds = [OfferKind::BlockStorage, OfferKind::PublicIp];
    word(Relation::Attach.word(), SettingType::Reference, kinds, "the machine to which it is attached")
}

/// `targets` of load balancers.
pub(in crate::provider) fn targets() -> DeclaredSetting {
    let about = "the machines to which it forwards";
    word(Relation::Targets.word(), SettingType::Reference, [OfferKind::LoadBalancer], about)
}

/// `network` of some kinds.
pub(in crate::provider) fn network_of(kinds: impl Into<Vec<OfferKind>>, about: &str) -> DeclaredSetting {
    word(Relation::Network.word(), SettingType::Reference, kinds, about)
}

/// `nodes_of` of machines.
pub(in crate::provider) fn nodes_of() -> DeclaredSetting {
    let about = "the Kubernetes cluster of which it is a node";
    word(Relation::NodesOf.word(), SettingType::Reference, [OfferKind::Machine], about)
}

/// `engine` of databases, of those that a provider has.
pub(in crate::provider) fn database_engine(value: SettingType) -> DeclaredSetting {
    word("engine", value, [OfferKind::Database], "the database's software, such as postgresql")
}

/// `version` of some kinds.
pub(in crate::provider) fn version(kinds: impl Into<Vec<OfferKind>>) -> DeclaredSetting {
    word("version", SettingType::Text, kinds, "the version of the software, such as 17 or 1.33")
}

/// `listen` of load balancers.
pub(in crate::provider) fn listen() -> DeclaredSetting {
    let about = format!("the port at which it listens; {DEFAULT_PORT} if it is left out");
    word("listen", SettingType::Number, [OfferKind::LoadBalancer], &about)
}

/// `target_port` of load balancers.
pub(in crate::provider) fn target_port() -> DeclaredSetting {
    let about = "the port of its targets; that of `listen` if it is left out";
    word("target_port", SettingType::Number, [OfferKind::LoadBalancer], about)
}

/// `protocol` of load balancers, of those that a provider has.
pub(in crate::provider) fn protocol(value: SettingType) -> DeclaredSetting {
    word("protocol", value, [OfferKind::LoadBalancer], "what it forwards; tcp if it is left out")
}

/// `check` of load balancers.
pub(in crate::provider) fn check() -> DeclaredSetting {
    let about = "the path that healthy targets answer by HTTP; without one, a target is healthy that takes connections";
    word("check", SettingType::Text, [OfferKind::LoadBalancer], about)
}

/// `cidr` of networks.
pub(in crate::provider) fn cidr(about: &str) -> DeclaredSetting {
    word("cidr", SettingType::Text, [OfferKind::Network], about)
}

/// `firewall` of networks.
pub(in crate::provider) fn firewall(about: &str) -> DeclaredSetting {
    word("firewall", SettingType::FirewallRules, [OfferKind::Network], about)
}

/// `bucket` of object storage.
pub(in crate::provider) fn bucket(about: &str) -> DeclaredSetting {
    word("bucket", SettingType::Text, [OfferKind::ObjectStorage], about)
}

/// `versioning` of object storage.
pub(in crate::provider) fn versioning() -> DeclaredSetting {
    let about = "whether older versions of objects are kept";
    word("versioning", SettingType::Boolean, [OfferKind::ObjectStorage], about)
}

/// Succeeds if `version` is left out, or a version in digits and dots.
///
/// # Errors
/// What to write.
pub(in crate::provider) fn check_version(setting: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    match setting("version") {
        Some(text) if text.is_empty() || text.split('.').any(|it| it.parse::<u32>().is_err()) => {
            Err(format!("`version` is {text}; write a version such as 17 or 17.2"))
        }
        _ => Ok(()),
    }
}

/// The port of a load balancer that does not say.
const DEFAULT_PORT: u16 = 80;

/// The front and the back of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Ports {
    pub(in crate::provider) listen: u16,
    pub(in crate::provider) target: u16,
    /// The path of a check by HTTP.
    pub(in crate::provider) check: Option<String>,
}

/// What a load balancer's settings say.
///
/// # Errors
/// Which setting is wrong, and what to write.
pub(in crate::provider) fn ports(setting: &dyn Fn(&str) -> Option<String>) -> Result<Ports, String> {
    let port = |name: &str| match setting(name) {
        None => Ok(None),
        Some(text) => match text.parse::<u16>() {
            Ok(port @ 1..) => Ok(Some(port)),
            _ => Err(format!("`{name}` is {text}; write a port from 1 to 65535")),
        },
    };
    let listen = port("listen")?.unwrap_or(DEFAULT_PORT);
    let target = port("target_port")?.unwrap_or(listen);
    let check = setting("check");
    if let Some(path) = &check
        && (!path.starts_with('/') || path.len() > 1024 || !path.chars().all(|c| c.is_ascii_graphic()))
    {
        return Err(format!("`check` is {path}; write a path such as /health"));
    }
    Ok(Ports { listen, target, check })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_load_balancer_says_where_it_listens_and_what_is_healthy() {
        let of = |all: &[(&str, &str)]| {
            let all: BTreeMap<String, String> =
                all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            ports(&|name| all.get(name).cloned())
        };
        assert_eq!(of(&[]), Ok(Ports { listen: 80, target: 80, check: None }));
        let told = of(&[("listen", "443"), ("target_port", "8443"), ("check", "/health?x=1")]);
        assert_eq!(told, Ok(Ports { listen: 443, target: 8443, check: Some("/health?x=1".to_owned()) }));
        assert_eq!(of(&[("listen", "443")]).map(|it| it.target), Ok(443));
        for (name, value) in [
            ("listen", "0"),
            ("listen", "70000"),
            ("target_port", "ssh"),
            ("check", "health"),
            ("check", "/a b"),
        ] {
            let why = of(&[(name, value)]).expect_err(value);
            assert!(why.contains(name) && why.contains(value), "{why}");
        }
    }
}
