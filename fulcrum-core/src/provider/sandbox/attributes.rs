//! What a sandbox tells of a service: addresses and names as real clouds have them, of networks for documentation (RFC 5737).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use crate::{
    model::{OfferKind, Relation, Service, ServiceId, setting_text},
    provider::{Access, ProvisionRequest},
};

/// The attributes of the service that a request makes, the `number`th of its cloud.
pub(super) fn of(request: &ProvisionRequest, id: &ServiceId, number: usize) -> BTreeMap<String, String> {
    // It says what it belongs to, as real services do.
    let belongs_to = |relation: Relation| {
        let text = setting_text(request.settings.get(relation.word())?)?;
        Some((relation.word().to_owned(), text))
    };
    // A machine that is asked for without an address has none, where a real cloud gives none.
    let is_refused =
        request.kind == OfferKind::Machine && request.setting("public_ipv4").as_deref() == Some("false");
    let own = own(request.kind, id.as_str(), number).into_iter();
    let own = own.filter(|(name, _)| !is_refused || *name != "public_ipv4");
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let name = ("name".to_owned(), request.name.clone());
    own.chain(Relation::ALL.into_iter().filter_map(belongs_to)).chain([name]).collect()
}

/// The attributes that a sandbox tells, by kind of product.
pub(super) fn declared() -> BTreeMap<OfferKind, BTreeSet<String>> {
    let of_kind = |kind: OfferKind| {
        let own = own(kind, "", 0).into_iter().map(|(name, _)| name);
        let relations = Relation::ALL.into_iter().filter(|relation| relation.is_of(kind)).map(Relation::word);
        own.chain(relations).chain(["name"]).map(str::to_owned).collect()
    };
    OfferKind::ALL.into_iter().map(|(kind, _)| (kind, of_kind(kind))).collect()
}

/// The secrets that a sandbox tells, by kind of product.
pub(super) fn secrets() -> BTreeMap<OfferKind, BTreeSet<String>> {
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    BTreeMap::from([(OfferKind::Database, one("password")), (OfferKind::Kubernetes, one("kubeconfig"))])
}

/// What opens a service: its attributes, and a secret that follows from its id; none for a kind without one.
pub(super) fn access(kind: OfferKind, service: &Service) -> Option<Access> {
    let secret = blake3::derive_key("fulcrum sandbox 2026-11 access", service.id.as_str().as_bytes());
    let secret = blake3::Hash::from(secret).to_hex()[..24].to_owned();
    let told = service.attributes.clone().into_iter();
    match kind {
        OfferKind::Database => {
            let is_told = |name: &str| ["host", "port", "database", "user"].contains(&name);
            let told = told.filter(|(name, _)| is_told(name));
            let access = told.fold(Access::default(), |access, (name, value)| access.with(name, value));
            Some(access.with("password", secret))
        }
        OfferKind::Kubernetes => {
            let endpoint = service.attributes.get("endpoint").map(String::as_str).unwrap_or_default();
            let config = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: main\nclusters: [{{ name: main, cluster: {{ server: '{endpoint}' }} }}]\n\
                 users: [{{ name: admin, user: {{ token: {secret} }} }}]\n\
                 contexts: [{{ name: main, context: {{ cluster: main, user: admin }} }}]\n"
            );
            Some(Access::default().with("kubeconfig", config))
        }
        _ => None,
    }
}

fn own(kind: OfferKind, id: &str, number: usize) -> Vec<(&'static str, String)> {
    let last = u32::try_from(number).unwrap_or_default();
    let public = || {
        let first = u32::from(Ipv4Addr::new(198, 51, 100, 0));
        ("public_ipv4", Ipv4Addr::from(first.saturating_add(last % 256)).to_string())
    };
    let private = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)).saturating_add(last % (1 << 24)));
    let host = format!("{id}.sandbox.example");
    match kind {
        OfferKind::Machine => vec![public(), ("private_ip", private.to_string())],
        OfferKind::LoadBalancer | OfferKind::PublicIp => vec![public()],
        OfferKind::Database => vec![
            ("host", host),
            ("port", "5432".to_owned()),
            ("database", "main".to_owned()),
            ("user", "admin".to_owned()),
        ],
        OfferKind::ObjectStorage => {
            vec![("endpoint", "https://objects.sandbox.example".to_owned()), ("bucket", id.to_owned())]
        }
        OfferKind::Kubernetes => vec![("endpoint", format!("https://{host}:6443"))],
        OfferKind::BlockStorage | OfferKind::Network | OfferKind::Other => Vec::new(),
    }
}
