//! What providers declare of all their offers: which settings they take, what they tell of a service, whether they sell.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{DeclaredSettings, OfferKind, ProviderId};

/// The attributes that a provider tells of a service, by kind of product.
pub(super) type DeclaredAttributes = BTreeMap<OfferKind, BTreeSet<String>>;

/// The declarations of all providers.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    pub(super) settings: BTreeMap<ProviderId, DeclaredSettings>,
    pub(super) attributes: BTreeMap<ProviderId, DeclaredAttributes>,
    /// The secrets that a provider tells beside attributes, of those that tell any.
    pub(super) secrets: BTreeMap<ProviderId, DeclaredAttributes>,
    /// The configured providers that sell; empty if none does, or if nobody has said so.
    pub(super) sellers: BTreeSet<ProviderId>,
    /// Kinds that a seller does not sell, as its adapter was tried against documents alone.
    pub(super) not_accepted: BTreeMap<ProviderId, BTreeSet<OfferKind>>,
}

impl Declared {
    /// A message about the first attribute to which user data refers, and which some provider calls a secret, if this provider takes
    /// no secrets.
    pub(super) fn secret_fault(&self, provider: &ProviderId, asked: &BTreeSet<&str>) -> Option<String> {
        let is_secret =
            |name: &&&str| self.secrets.values().flat_map(BTreeMap::values).any(|all| all.contains(**name));
        let secret = asked.iter().find(is_secret)?;
        match self.settings.get(provider).is_some_and(DeclaredSettings::take_secrets) {
            true => None,
            false => Some(format!("takes no secrets in `user_data`, such as `{secret}`")),
        }
    }

    /// A message about the first of some attributes that a provider does not tell of a product; none if it tells all, or has not
    /// said what it tells. Some are asked for in user data, where secrets may stand, too.
    pub(super) fn attribute_fault(
        &self,
        provider: &ProviderId,
        kind: OfferKind,
        asked: &BTreeSet<&str>,
        asked_in_user_data: &BTreeSet<&str>,
    ) -> Option<String> {
        let secrets = self.secrets.get(provider).and_then(|all| all.get(&kind));
        let Some(told) = self.attributes.get(provider) else {
            // What else it tells, nobody knows.
            let secret = asked.iter().find(|name| secrets.is_some_and(|all| all.contains(**name)))?;
            return Some(secret_elsewhere(secret, kind));
        };
        let told = told.get(&kind);
        let has =
            |names: Option<&BTreeSet<String>>, name: &str| names.is_some_and(|names| names.contains(name));
        let missing = asked.iter().find(|name| !has(told, name));
        if let Some(secret) = missing.filter(|name| has(secrets, name)) {
            return Some(secret_elsewhere(secret, kind));
        }
        let in_user_data = || asked_in_user_data.iter().find(|name| !has(told, name) && !has(secrets, name));
        let missing = missing.or_else(in_user_data)?;
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        let told = if told.is_empty() { "its id".to_owned() } else { format!("id, {}", told.join(", ")) };
        Some(format!("does not tell `{missing}` of a {kind}; it tells {told}"))
    }
}

fn secret_elsewhere(secret: &str, kind: OfferKind) -> String {
    format!("tells `{secret}` of a {kind} for `user_data` alone, as it is a secret")
}
