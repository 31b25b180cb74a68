//! Portable words: settings that mean the same at each provider, and how adapters make them.
//!
//! | word | an adapter gives the provider |
//! |---|---|
//! | `image` | the newest official image of an operating system ([`System`]), or what it is called there |
//! | `ssh_keys`, `hostname`, `user_data` | the API's own fields, else one cloud-init document ([`FirstBoot`]) |
//! | `labels` | labels, tags or metadata |
//! | `public_ipv4`, `disk` | the product that has it: an offer with or without an address, with an SSD or not |
//! | `attach`, `targets`, `network` | the provider's own ids of the services that a component names |
//! | `listen`, `cidr`, `firewall`, `bucket`, … | the fields of load balancers, networks and buckets (`kinds.rs`) |

mod cidr;
mod first_boot;
mod kinds;
mod offer_attributes;
#[cfg(feature = "ec2")]
mod password;
mod system;

use std::collections::BTreeMap;

#[cfg(feature = "ec2")]
pub(in crate::provider) use self::password::PasswordMaker;
#[allow(unused_imports, reason = "each adapter uses its own part")]
pub(in crate::provider) use self::{
    cidr::Cidr,
    first_boot::{FirstBoot, KeyWords},
    kinds::{
        attach, bucket, check, check_version, cidr, database_engine, firewall, listen, network_of, nodes_of,
        ports, protocol, target_port, targets, version, versioning,
    },
    offer_attributes::{
        NO_ADDRESS_LABEL, check_same_address, has_address, machine_type, sku_without_address,
        with_and_without_address, with_media, without_word_of_address,
    },
    system::System,
};
#[cfg(feature = "ec2")]
pub(in crate::provider) use crate::model::offer_settings::is_without_address;
use crate::model::{
    DeclaredSetting, DeclaredSettings, OfferKind, Relation, SettingType, Settings,
    offer_settings::{DISK, PUBLIC_IPV4},
    setting_text,
};

/// `image` of machines, and what an adapter makes of it.
pub(in crate::provider) fn image(about: &str) -> DeclaredSetting {
    word("image", SettingType::Text, about)
}

/// `ssh_keys` of machines: public keys, and names of keys at the provider where `of` is text.
pub(in crate::provider) fn ssh_keys(of: SettingType, about: &str) -> DeclaredSetting {
    word("ssh_keys", SettingType::List(Box::new(of)), about)
}

/// `user_data` of machines.
pub(in crate::provider) fn user_data(about: &str) -> DeclaredSetting {
    word("user_data", SettingType::Text, about)
}

/// `hostname` of machines.
pub(in crate::provider) fn hostname(about: &str) -> DeclaredSetting {
    word("hostname", SettingType::Hostname, about)
}

/// `labels` of machines.
pub(in crate::provider) fn labels(about: &str) -> DeclaredSetting {
    word("labels", SettingType::Labels, about)
}

/// `labels` of some kinds.
pub(in crate::provider) fn labels_of_kinds(kinds: impl Into<Vec<OfferKind>>, about: &str) -> DeclaredSetting {
    DeclaredSetting::new("labels", SettingType::Labels).of(kinds).portable().about(about)
}

/// `public_ipv4` of machines.
pub(in crate::provider) fn public_ipv4(value: SettingType, about: &str) -> DeclaredSetting {
    word(PUBLIC_IPV4, value, about)
}

/// `disk` of some kinds: what it is made of, which the offers tell.
pub(in crate::provider) fn disk(kinds: impl Into<Vec<OfferKind>>) -> DeclaredSetting {
    let media = SettingType::Choice(["ssd", "hdd"].map(str::to_owned).to_vec());
    DeclaredSetting::new(DISK, media)
        .of(kinds)
        .portable()
        .about("what the disk is made of, as the offer tells")
}

fn word(name: &str, value: SettingType, about: &str) -> DeclaredSetting {
    DeclaredSetting::new(name, value).of([OfferKind::Machine]).portable().about(about)
}

/// A setting of this provider's own, of machines.
pub(in crate::provider) fn own(name: &str, value: SettingType, about: &str) -> DeclaredSetting {
    DeclaredSetting::new(name, value).of([OfferKind::Machine]).about(about)
}

/// All portable words, of every kind of product: what a sandbox takes that stands for any real cloud.
///
/// ```
/// use fulcrum_core::{model::OfferKind, provider::portable_settings};
/// let settings = serde_json::from_str(r#"{ "listen": 443, "check": "/health" }"#)?;
/// assert_eq!(portable_settings().fault(OfferKind::LoadBalancer, &settings), None);
/// assert!(portable_settings().fault(OfferKind::Machine, &settings).is_some());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn portable_settings() -> DeclaredSettings {
    let text = |words: &[&str]| SettingType::Choice(words.iter().map(|word| (*word).to_owned()).collect());
    let all = OfferKind::ALL.map(|(kind, _)| kind);
    let of_machines = [
        hostname("the name of the host"),
        image("an operating system, such as debian-13"),
        ssh_keys(SettingType::PublicKey, "who may log in"),
        user_data("a document for cloud-init"),
        public_ipv4(SettingType::Boolean, "whether it has a public IPv4 address"),
        nodes_of(),
    ];
    let of_others = [
        attach(),
        bucket("the name of the bucket, or its beginning"),
        check(),
        cidr("the network's range of addresses"),
        database_engine(SettingType::Text),
        disk([OfferKind::Machine, OfferKind::BlockStorage, OfferKind::Database]),
        firewall("what may come in from outside"),
        labels_of_kinds(all, "the customer's own words"),
        listen(),
        network_of(
            all.into_iter().filter(|kind| Relation::Network.is_of(*kind)).collect::<Vec<_>>(),
            "the private network in which it stands",
        ),
        protocol(text(&["tcp", "http"])),
        target_port(),
        targets(),
        version([OfferKind::Database, OfferKind::Kubernetes]),
        versioning(),
    ];
    of_machines.into_iter().chain(of_others).collect()
}

/// The customer's labels among some settings.
pub(in crate::provider) fn labels_of(settings: &Settings) -> BTreeMap<String, String> {
    let labels = settings.get("labels").and_then(|labels| labels.as_object());
    let text = |(name, value): (&String, &serde_json::Value)| Some((name.clone(), setting_text(value)?));
    labels.into_iter().flatten().filter_map(text).collect()
}
