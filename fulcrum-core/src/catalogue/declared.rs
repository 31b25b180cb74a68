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
    /// The configured providers that sell; empty if none does, or if nobody has said so.
    pub(super) sellers: BTreeSet<ProviderId>,
    /// Kinds that a seller does not sell, as its adapter was tried against documents alone.
    pub(super) not_accepted: BTreeMap<ProviderId, BTreeSet<OfferKind>>,
}

impl Declared {
    /// A message about the first of some attributes that a provider does not tell of a product; none if it tells all, or has not
    /// said what it tells.
    pub(super) fn attribute_fault(
        &self,
        provider: &ProviderId,
        kind: OfferKind,
        asked: &BTreeSet<&str>,
    ) -> Option<String> {
        let told = self.attributes.get(provider)?.get(&kind);
        let is_told = |attribute: &str| told.is_some_and(|told| told.contains(attribute));
        let missing = asked.iter().find(|attribute| !is_told(attribute))?;
        let told: Vec<&str> = told.into_iter().flatten().map(String::as_str).collect();
        let told = if told.is_empty() { "its id".to_owned() } else { format!("id, {}", told.join(", ")) };
        Some(format!("does not tell `{missing}` of a {kind}; it tells {told}"))
    }
}
