//! Sharing: which components may stand on one machine.

use std::collections::BTreeSet;

use super::{Blueprint, ComponentId, Constraint, OfferKind, Share};

/// The pairs of components that may share a machine. `share` says so; `colocate`, `everywhere` and a running service with
/// several components imply it for theirs.
#[derive(Debug)]
pub(crate) struct Sharing<'b> {
    is_open: bool,
    /// The lesser name first.
    pairs: BTreeSet<(&'b ComponentId, &'b ComponentId)>,
}

impl<'b> Sharing<'b> {
    pub(crate) fn of(blueprint: &'b Blueprint) -> Self {
        let mut sharing = Self { is_open: false, pairs: BTreeSet::new() };
        for constraint in &blueprint.constraints {
            match constraint {
                Constraint::Share(Share::All) => sharing.is_open = true,
                Constraint::Share(Share::Among(components)) => sharing.permit(components.iter()),
                Constraint::Affinity(affinity) => sharing.permit(affinity.components.iter()),
                Constraint::FullDeployment(everywhere) => {
                    for other in blueprint.machines().filter(|name| !everywhere.unless.contains(name)) {
                        sharing.permit([&everywhere.component, other].into_iter());
                    }
                }
                _ => {}
            }
        }
        for service in &blueprint.running.services {
            sharing.permit(service.replicas.keys());
        }
        sharing
    }

    fn permit(&mut self, components: impl Iterator<Item = &'b ComponentId> + Clone) {
        if self.is_open {
            return;
        }
        for (at, one) in components.clone().enumerate() {
            for other in components.clone().skip(at + 1).filter(|other| *other != one) {
                self.pairs.insert((one.min(other), one.max(other)));
            }
        }
    }

    pub(crate) fn is_permitted(&self, one: &'b ComponentId, other: &'b ComponentId) -> bool {
        self.is_open || one == other || self.pairs.contains(&(one.min(other), one.max(other)))
    }

    /// Whether there are components that may not share a machine.
    pub(crate) fn is_restricted(&self, blueprint: &'b Blueprint) -> bool {
        let count = blueprint.machines().count();
        // Each pair is in the set once.
        !self.is_open && self.pairs.len() < count * count.saturating_sub(1) / 2
    }
}

impl Blueprint {
    /// The components that run on machines.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &ComponentId> {
        let is_machine =
            |(_, component): &(&ComponentId, &super::Component)| component.kind == OfferKind::Machine;
        self.components.iter().filter(is_machine).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(constraints: &str) -> Vec<String> {
        let text = format!(
            "{{ name: n, components: {{ a: {{}}, b: {{}}, c: {{}}, d: {{ kind: database }} }}, constraints: [{constraints}] }}"
        );
        let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
        let sharing = Sharing::of(&blueprint);
        let names: Vec<_> = blueprint.machines().collect();
        let pairs = names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other)));
        let pairs = pairs.filter(|(one, other)| one < other && sharing.is_permitted(one, other));
        let pairs: Vec<String> = pairs.map(|(one, other)| format!("{one}{other}")).collect();
        assert_eq!(sharing.is_restricted(&blueprint), pairs.len() < 3, "{constraints}");
        pairs
    }

    #[test]
    fn components_share_machines_only_where_it_is_permitted() {
        assert_eq!(permitted(""), [""; 0]);
        assert_eq!(permitted("share: [a, c]"), ["ac"]);
        assert_eq!(permitted("share: [a, b], share: [b, c]"), ["ab", "bc"]);
        assert_eq!(permitted("share: all"), ["ab", "ac", "bc"]);
        assert_eq!(permitted("colocate: { components: [b, c] }"), ["bc"]);
        assert_eq!(permitted("everywhere: { component: b, unless: [c] }"), ["ab"]);
    }

    #[test]
    fn a_share_that_says_nothing_is_refused() {
        for (share, words) in [
            ("[a]", "at least two"),
            ("[a, a]", "named twice"),
            ("[a, x]", "`x`"),
            ("[a, d]", "not a machine"),
            ("none", "all, or a list"),
        ] {
            let text = format!(
                "{{ name: n, components: {{ a: {{}}, d: {{ kind: database }} }}, constraints: [share: {share}] }}"
            );
            let why = Blueprint::from_yaml(&text).expect_err(share).to_string();
            assert!(why.contains(words), "{share}: {why}");
        }
    }
}
