//! The kinds of product beside machines, each on the kit.

mod block_storage;
mod database;
mod load_balancer;
mod network;
mod object_storage;
mod public_ip;

use std::collections::{BTreeMap, BTreeSet};

use super::{client::Cloud, query_api::Fields};
use crate::{
    model::{DeclaredSetting, OfferKind, RegionId, SettingType},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{common::CallErrors, kit::Product},
        portable,
    },
};

/// All products.
pub(super) fn products() -> Vec<Box<dyn Product<Cloud>>> {
    vec![
        Box::new(block_storage::BlockStorage),
        Box::new(public_ip::PublicIp),
        Box::new(network::Network),
        Box::new(load_balancer::LoadBalancer),
        Box::new(object_storage::ObjectStorage),
        Box::new(database::Database),
    ]
}

/// The kinds of all products, beside machines.
pub(super) const KINDS: [OfferKind; 6] = [
    OfferKind::BlockStorage,
    OfferKind::PublicIp,
    OfferKind::Network,
    OfferKind::LoadBalancer,
    OfferKind::ObjectStorage,
    OfferKind::Database,
];

/// What is told of each kind of product.
pub(super) fn attributes() -> BTreeMap<OfferKind, BTreeSet<String>> {
    let machine: &[&str] = &["public_ipv4", "private_ip", "address", "private_address", "zone", "name"];
    let all = [
        (OfferKind::Machine, machine),
        (OfferKind::BlockStorage, &["device", "zone"]),
        (OfferKind::PublicIp, &["public_ipv4"]),
        (OfferKind::Network, &["cidr", "subnets"]),
        (OfferKind::LoadBalancer, &["host"]),
        (OfferKind::ObjectStorage, &["bucket", "endpoint"]),
        (OfferKind::Database, &["host", "port", "database", "user"]),
    ];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    all.into_iter().map(|(kind, names)| (kind, owned(names))).collect()
}

/// What `access` tells beside attributes.
pub(super) fn secrets(cloud: &Cloud) -> BTreeMap<OfferKind, BTreeSet<String>> {
    let of_databases = cloud.passwords.is_some().then(|| BTreeSet::from(["password".to_owned()]));
    of_databases.into_iter().map(|names| (OfferKind::Database, names)).collect()
}

/// All kinds of product that the adapter can buy.
pub fn all_kinds() -> BTreeSet<OfferKind> {
    KINDS.into_iter().chain([OfferKind::Machine]).collect()
}

/// The settings of machines and of these kinds.
pub(super) fn settings() -> Vec<DeclaredSetting> {
    vec![
        portable::hostname("by cloud-init"),
        portable::image(
            "what the configuration's `images` says; at AWS, the newest image of the system's own publisher; or the id of an image",
        ),
        portable::own("key_name", SettingType::Text, "the name of a key pair"),
        portable::disk([OfferKind::Machine, OfferKind::BlockStorage]),
        portable::labels("tags of the machine"),
        portable::public_ipv4(
            SettingType::Boolean,
            "the machine's address; without one it is a product of its own",
        ),
        portable::own(
            "security_groups",
            SettingType::List(Box::new(SettingType::Text)),
            "ids of security groups",
        ),
        portable::network_of([OfferKind::Machine], "the machine's subnet is that of its zone there"),
        portable::ssh_keys(SettingType::PublicKey, "by cloud-init"),
        portable::own("subnet", SettingType::Text, "the id of a subnet"),
        portable::user_data("as it is, up to 16 KiB"),
        portable::attach(),
        portable::bucket("begins the bucket's name, which ends with a digest of the purchase"),
        portable::check(),
        portable::cidr("the network's; a sixteenth to an eighth of it for each zone"),
        portable::database_engine(SettingType::Choice(vec![database::ENGINE.to_owned()])),
        portable::firewall("rules of the network's default security group"),
        portable::labels_of_kinds(KINDS, "tags of each part"),
        portable::listen(),
        portable::network_of(
            [OfferKind::Database, OfferKind::LoadBalancer],
            "it stands in the network's subnets",
        ),
        portable::protocol(SettingType::Choice(vec!["tcp".to_owned()])),
        portable::target_port(),
        portable::targets(),
        portable::version([OfferKind::Database]),
        portable::versioning(),
    ]
}

/// Checks that exactly this is sold.
async fn check_sold(cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
    cloud.offer_of(request, call).await.map(drop)
}

/// The machine in this region that the id of a service names.
fn machine_id(cloud: &Cloud, region: &RegionId, service: &str, call: Call) -> Result<String> {
    let machine = super::handle::ResourceRef::parse(service).filter(|machine| machine.region == *region);
    machine
        .map(|machine| machine.id)
        .ok_or_else(|| cloud.invalid_request(call, format!("{service} is not a machine in {region}")))
}

/// Fields that name the members of a list, from 1.
fn numbered(prefix: &str, suffix: &str, values: impl IntoIterator<Item = String>) -> Fields {
    let named = values.into_iter().zip(1..).map(|(value, at)| (format!("{prefix}.{at}{suffix}"), value));
    named.collect()
}
