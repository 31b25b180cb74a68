//! The interface of a component to its services: what they are made with, and what is asked of them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{Blueprint, Component, ComponentId, Settings};

/// What a component's services are made with, and which of their attributes other components refer to.
#[derive(Debug, Clone)]
pub(crate) struct Interface<'b> {
    /// Its settings and relations.
    pub(crate) settings: Cow<'b, Settings>,
    /// Attributes besides `id`.
    pub(crate) attributes: BTreeSet<&'b str>,
}

impl Blueprint {
    /// The interface of each component, in their order.
    pub(crate) fn interfaces<'b>(&'b self) -> Vec<Interface<'b>> {
        let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for reference in self.components.values().flat_map(|component| component.references()) {
            if reference.attribute != "id" {
                asked.entry(reference.component).or_default().insert(reference.attribute);
            }
        }
        let interface = |(name, component): (&ComponentId, &'b Component)| Interface {
            settings: component.lease_settings(),
            attributes: asked.remove(name.as_str()).unwrap_or_default(),
        };
        self.components.iter().map(interface).collect()
    }
}
