//! What relations of components ask for: what stands together, what comes first, what a service is made with.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::Value;

use super::{
    Blueprint, Component, ComponentId, Constraint, OfferKind, Relation, Settings,
    template::{TemplatePart, parse_template},
};

/// Components that must stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Together<'b> {
    /// For each replica of `whole` one of `part`: in its zone, or in its region if `part` is sold for a region as a whole.
    OneEach { part: &'b ComponentId, whole: &'b ComponentId },
    /// The hub is in each region in which one of the members is, and in no other.
    SameRegions {
        hub: &'b ComponentId,
        members: Vec<&'b ComponentId>,
        /// Whether no region has two of it.
        is_single: bool,
    },
}

fn reference(name: &ComponentId) -> String {
    format!("${{{name}.id}}")
}

impl Component {
    /// The components that it names, each with the field.
    pub fn relations(&self) -> impl Iterator<Item = (Relation, &ComponentId)> {
        Relation::ALL.into_iter().filter_map(|relation| Some((relation, self.related(relation)?)))
    }

    /// The component that one of its fields names.
    pub fn related(&self, relation: Relation) -> Option<&ComponentId> {
        match relation {
            Relation::Attach => self.attach.as_ref(),
            Relation::Targets => self.targets.as_ref(),
            Relation::Network => self.network.as_ref(),
            Relation::NodesOf => self.nodes_of.as_ref(),
        }
    }

    /// Leaves a relation out.
    pub(crate) fn clear_relation(&mut self, relation: Relation) {
        match relation {
            Relation::Attach => self.attach = None,
            Relation::Targets => self.targets = None,
            Relation::Network => self.network = None,
            Relation::NodesOf => self.nodes_of = None,
        }
    }

    /// The components that must be there before it is bought: those under `after`, and those that it names.
    pub fn predecessors(&self) -> impl Iterator<Item = &ComponentId> {
        let related = self.relations().map(|(_, name)| name).filter(|name| !self.after.contains(name));
        self.after.iter().chain(related)
    }

    /// What its services are made with: its settings, and its relations as references, such as `attach: "${db.id}"`.
    pub fn lease_settings(&self) -> Cow<'_, Settings> {
        let mut settings = Cow::Borrowed(&self.settings);
        for (relation, name) in self.relations() {
            settings.to_mut().insert(relation.word().to_owned(), Value::String(reference(name)));
        }
        settings
    }
}

impl Blueprint {
    /// What must stand together because of relations.
    pub(crate) fn together(&self) -> Vec<Together<'_>> {
        let mut hubs: BTreeMap<&ComponentId, Vec<&ComponentId>> = BTreeMap::new();
        let mut together = Vec::new();
        for (name, component) in &self.components {
            for (relation, other) in component.relations() {
                match relation {
                    Relation::Attach => together.push(Together::OneEach { part: name, whole: other }),
                    Relation::Targets => hubs.entry(name).or_default().push(other),
                    Relation::Network | Relation::NodesOf => hubs.entry(other).or_default().push(name),
                }
            }
        }
        together.extend(hubs.into_iter().map(|(hub, members)| {
            let is_single = self.components.get(hub).is_some_and(|hub| hub.kind != OfferKind::LoadBalancer);
            Together::SameRegions { hub, members, is_single }
        }));
        together
    }

    /// The components that name others, or are named.
    pub(crate) fn related(&self) -> BTreeSet<&ComponentId> {
        let naming = self.components.iter();
        naming
            .flat_map(|(name, component)| component.relations().flat_map(move |(_, other)| [name, other]))
            .collect()
    }

    /// Components that need not be there: those of a `one_of`; parts of such ones; and what serves such ones alone.
    pub(crate) fn optional(&self) -> BTreeSet<&ComponentId> {
        let one_of = self.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::OneOf(names) => Some(names),
            _ => None,
        });
        let mut optional: BTreeSet<&ComponentId> = one_of.flatten().collect();
        if optional.is_empty() {
            return optional;
        }
        let together = self.together();
        loop {
            let more: Vec<&ComponentId> = together
                .iter()
                .filter_map(|rule| match rule {
                    Together::OneEach { part, whole } => optional.contains(whole).then_some(*part),
                    Together::SameRegions { hub, members, .. } => {
                        members.iter().all(|member| optional.contains(member)).then_some(*hub)
                    }
                })
                .filter(|name| !optional.contains(name))
                .collect();
            if more.is_empty() {
                return optional;
            }
            optional.extend(more);
        }
    }

    /// Checks that relations name components, of kinds that they can have.
    ///
    /// # Errors
    /// The field and the message.
    pub(super) fn check_relations(&self, component: &Component) -> Result<(), (&'static str, String)> {
        for (relation, name) in component.relations() {
            let fail = |message: String| Err((relation.word(), message));
            let Some(other) = self.components.get(name) else { return fail(self.unknown(name)) };
            if !relation.is_of(component.kind) {
                return fail(format!("a {} has no `{relation}`; leave it out", component.kind));
            }
            if other.kind != relation.names() {
                let wanted = relation.names();
                return fail(format!("`{name}` is a {}; name a {wanted}", other.kind));
            }
            let template = reference(name);
            let is_reference = |pieces: Vec<TemplatePart<'_>>| matches!(&*pieces, [TemplatePart::Reference(found)] if found.component == name.as_str());
            if !parse_template(&template, |known| known == name.as_str()).is_ok_and(is_reference) {
                return fail(format!(
                    "`{name}` has characters that no reference can have; give it another name"
                ));
            }
            if component.settings.contains_key(relation.word()) {
                return fail(format!("`settings` have `{relation}` too; write it in one place"));
            }
        }
        Ok(())
    }
}
