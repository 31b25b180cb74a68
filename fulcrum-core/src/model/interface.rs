//! The interface of a component to its services: what they are made with, and what is asked of them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{Blueprint, Component, ComponentId, Settings, template::may_hold_secrets};

/// What a component's services are made with, and which of their attributes other components refer to.
#[derive(Debug, Clone)]
pub(crate) struct Interface<'b> {
    /// Its settings and relations.
    pub(crate) settings: Cow<'b, Settings>,
    /// Attributes besides `id`, but those that `user_data` alone refers to.
    pub(crate) attributes: BTreeSet<&'b str>,
    /// Attributes that `user_data` of others refers to, where secrets may stand, too.
    pub(crate) in_user_data: BTreeSet<&'b str>,
    /// Attributes of others to which its own `user_data` refers.
    pub(crate) asks_in_user_data: BTreeSet<&'b str>,
}

impl Blueprint {
    /// The interface of each component, in their order.
    pub(crate) fn interfaces<'b>(&'b self) -> Vec<Interface<'b>> {
        let mut asked: [BTreeMap<&str, BTreeSet<&str>>; 2] = Default::default();
        for (setting, reference) in self.components.values().flat_map(Component::references_by_setting) {
            if reference.attribute != "id" {
                let by_component = &mut asked[usize::from(may_hold_secrets(setting))];
                by_component.entry(reference.component).or_default().insert(reference.attribute);
            }
        }
        let [mut elsewhere, mut in_user_data] = asked;
        let interface = |(name, component): (&ComponentId, &'b Component)| Interface {
            settings: component.lease_settings(),
            attributes: elsewhere.remove(name.as_str()).unwrap_or_default(),
            in_user_data: in_user_data.remove(name.as_str()).unwrap_or_default(),
            asks_in_user_data: {
                let own = component.references_by_setting().into_iter();
                own.filter(|(setting, _)| may_hold_secrets(setting)).map(|(_, it)| it.attribute).collect()
            },
        };
        self.components.iter().map(interface).collect()
    }
}
