//! Dependencies between components: the order that `after` asks for, references in settings, and the anti-affinity that
//! follows from a reference.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Blueprint, Component, ComponentId, Constraint, DocumentError, limits,
    settings::{SettingIndex, check_settings},
    template::{Reference, TemplatePart, parse_template, references_in, text_values},
};

impl Component {
    /// What its settings refer to.
    pub(crate) fn references(&self) -> Vec<Reference<'_>> {
        self.references_by_setting().into_iter().map(|(_, reference)| reference).collect()
    }

    /// What its settings refer to, each with the name of the setting.
    pub(crate) fn references_by_setting(&self) -> Vec<(&str, Reference<'_>)> {
        let before: BTreeSet<&str> = self.predecessors().map(ComponentId::as_str).collect();
        if before.is_empty() {
            return Vec::new();
        }
        let texts = self.settings.iter();
        let texts =
            texts.flat_map(|(name, value)| text_values(value).into_iter().map(move |text| (name, text)));
        let mut references = Vec::new();
        for (name, text) in texts {
            let pieces = parse_template(text, |name| before.contains(name)).unwrap_or_default();
            references.extend(references_in(pieces).into_iter().map(|reference| (name.as_str(), reference)));
        }
        references
    }

    /// The components to which its settings refer, and those that it names.
    pub(crate) fn referenced_components(&self) -> BTreeSet<&str> {
        let references = self.references().into_iter().map(|reference| reference.component);
        references.chain(self.relations().map(|(_, name)| name.as_str())).collect()
    }
}

/// Of each component that others refer to, the lowest rank of those: it must be there before.
fn rank_limits<'a>(
    blueprint: &'a Blueprint,
    ranks: &BTreeMap<&'a ComponentId, u32>,
) -> BTreeMap<&'a str, u32> {
    let mut limits: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, component) in &blueprint.components {
        for referenced in component.referenced_components() {
            let limit = limits.entry(referenced).or_insert(u32::MAX);
            *limit = ranks[name].min(*limit);
        }
    }
    limits
}

/// Pairs of components that cannot share a machine, because a setting refers to the first one. The first one must exist
/// before the component that refers to it. So everything on its machine must have a lower rank than that component.
pub(crate) fn anti_affine_pairs<'a>(
    blueprint: &'a Blueprint,
    ranks: &BTreeMap<&'a ComponentId, u32>,
) -> Vec<(&'a ComponentId, &'a ComponentId)> {
    // Of all that refer to a component the one of the lowest rank decides.
    let limits = rank_limits(blueprint, ranks);
    let mut pairs = Vec::new();
    for (name, limit) in
        blueprint.components.keys().filter_map(|name| Some((name, *limits.get(name.as_str())?)))
    {
        pairs.extend(ranks.iter().filter(|(_, rank)| **rank >= limit).map(|(other, _)| (name, *other)));
    }
    pairs
}

impl Blueprint {
    /// How many components must be there one after the other before each: the longest way through `after` and relations.
    ///
    /// # Errors
    /// The path and message of a name that is not known, or of a circle.
    pub(crate) fn ranks(&self) -> Result<BTreeMap<&ComponentId, u32>, DocumentError> {
        for (name, component) in &self.components {
            let mut known = BTreeSet::new();
            for (at, other) in component.after.iter().enumerate() {
                let fail = |message: String| {
                    Err(DocumentError::at(format!("components.{name}.after[{at}]"), message))
                };
                if !self.components.contains_key(other) {
                    return fail(self.unknown(other));
                }
                if !known.insert(other) {
                    return fail(format!("`{other}` is named twice; name it once"));
                }
            }
        }
        // Each is settled when the last of its predecessors is; a circle settles nobody. O(components + after).
        let mut followers: BTreeMap<&ComponentId, Vec<&ComponentId>> = BTreeMap::new();
        let mut missing: BTreeMap<&ComponentId, usize> = BTreeMap::new();
        let (mut ranks, mut ready) = (BTreeMap::new(), Vec::new());
        for (name, component) in &self.components {
            // Each once: two relations may name one component.
            let before: BTreeSet<&ComponentId> = component.predecessors().collect();
            before.iter().for_each(|other| followers.entry(other).or_default().push(name));
            missing.insert(name, before.len());
            if before.is_empty() {
                ready.push((name, 0));
            }
        }
        let mut reached: BTreeMap<&ComponentId, u32> = BTreeMap::new();
        while let Some((name, rank)) = ready.pop() {
            ranks.insert(name, rank);
            for follower in followers.remove(name).unwrap_or_default() {
                let longest = reached.entry(follower).or_default();
                *longest = (*longest).max(rank + 1);
                if let Some(count) = missing.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push((follower, *longest));
                    }
                }
            }
        }
        if ranks.len() < self.components.len() {
            let circle = self.components.keys().filter(|name| !ranks.contains_key(name));
            let names: Vec<_> = circle.map(ComponentId::as_str).collect();
            let path = format!("components.{}.after", names[0]);
            let message = format!(
                "these wait for one another: {}; leave one `after`, or one of the fields that name another, out",
                names.join(", ")
            );
            return Err(DocumentError::at(path, message));
        }
        Ok(ranks)
    }

    pub(super) fn check_dependencies(&self) -> Result<(), DocumentError> {
        let ranks = self.ranks()?;
        let mut references = 0_usize;
        for (name, component) in &self.components {
            let before: BTreeSet<&str> = component.predecessors().map(ComponentId::as_str).collect();
            let fail = |setting: &str, message: String| {
                let path = match setting {
                    "" => format!("components.{name}.settings"),
                    setting => format!("components.{name}.settings.{setting}"),
                };
                Err(DocumentError::at(path, message))
            };
            check_settings(component.settings.iter(), 1)
                .or_else(|(setting, message)| fail(&setting, message))?;
            for (setting, value) in &component.settings {
                // A reference to a component that need not be there is rather forgotten than meant as text.
                let mut all = Vec::new();
                for text in text_values(value) {
                    match parse_template(text, |name| self.components.contains_key(name)) {
                        Ok(pieces) => all.extend(pieces),
                        Err(message) => return fail(setting, message),
                    }
                }
                for piece in all {
                    let TemplatePart::Reference(reference) = piece else { continue };
                    let other = reference.component;
                    references += 1;
                    let most = limits::MAX_REFERENCES_PER_BLUEPRINT;
                    if references > most {
                        let message =
                            format!("the settings refer to components more than {most} times; write less");
                        return fail(setting, message);
                    }
                    if !before.contains(other) {
                        let message = format!(
                            "`{other}` need not be there yet; name it under `after`, too, or write $${{ for the text ${{"
                        );
                        return fail(setting, message);
                    }
                }
            }
        }
        self.check_affinity(&ranks)
    }

    /// Whether components that must share a machine can be made with one set of settings. Each name in a condition is looked at
    /// once.
    fn check_affinity(&self, ranks: &BTreeMap<&ComponentId, u32>) -> Result<(), DocumentError> {
        let is_shared = |constraint: &Constraint| {
            matches!(constraint, Constraint::Affinity(_) | Constraint::FullDeployment(_))
        };
        if !self.constraints.iter().any(is_shared) {
            return Ok(());
        }
        let (index, limits) = (SettingIndex::of(self), rank_limits(self, ranks));
        let limit = |name: &ComponentId| limits.get(name.as_str()).copied().unwrap_or(u32::MAX);
        let rank = |name: &ComponentId| ranks.get(name).copied().unwrap_or_default();
        let mut agree = BTreeSet::new();
        for (at, constraint) in self.constraints.iter().enumerate() {
            let path = || format!("constraints[{at}].{}", constraint.word());
            let (unshareable, conflict) = match constraint {
                Constraint::Affinity(colocate) => {
                    let names = &colocate.components;
                    // The one that must be there first, and the one that comes last.
                    let (first, last) = (
                        names.iter().min_by_key(|name| limit(name)),
                        names.iter().max_by_key(|name| rank(name)),
                    );
                    let unshareable = first.zip(last).filter(|(first, last)| rank(last) >= limit(first));
                    (unshareable, index.setting_conflict_among(names))
                }
                Constraint::FullDeployment(everywhere) => {
                    let one = &everywhere.component;
                    let unless: BTreeSet<_> = everywhere.unless.iter().collect();
                    let machines = self.components.iter().filter(|(name, component)| {
                        *name != one && component.kind == super::OfferKind::Machine && !unless.contains(name)
                    });
                    let others: Vec<_> = machines.map(|(name, _)| name).collect();
                    let is_unshareable =
                        |other: &&&ComponentId| rank(other) >= limit(one) || rank(one) >= limit(other);
                    let unshareable = others.iter().find(is_unshareable).map(|other| (one, *other));
                    let mut conflict = None;
                    for other in others.iter().copied().filter(|other| agree.insert((one, *other))) {
                        conflict =
                            conflict.or_else(|| Some((one, other, index.setting_conflict(one, other)?)));
                    }
                    (unshareable, conflict)
                }
                _ => continue,
            };
            if let Some((one, other)) = unshareable {
                let message = format!(
                    "`{one}` and `{other}` must share a machine, and a setting refers to what only one of them can be by then; write the same `after` for both, or leave the reference out"
                );
                return Err(DocumentError::at(path(), message));
            }
            if let Some((one, other, setting)) = conflict {
                let message = format!(
                    "`{one}` and `{other}` must share a machine, and want another `{setting}` each; give both the same"
                );
                return Err(DocumentError::at(path(), message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Blueprint::from_yaml(text).expect_err("it is wrong").to_string()
    }

    fn ranks(text: &str) -> Vec<u32> {
        let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
        let ranks = blueprint.ranks().expect("no circle");
        blueprint.components.keys().map(|name| ranks[name]).collect()
    }

    #[test]
    fn a_rank_is_the_longest_way() {
        let text = "{ name: n, components: { a: { after: [b, c] }, b: { after: [c] }, c: {}, d: {} } }";
        assert_eq!(ranks(text), [2, 1, 0, 0]);
    }

    #[test]
    fn circles_and_strangers_are_named() {
        let text = refusal("{ name: n, components: { a: { after: [b] }, b: { after: [a] }, c: {} } }");
        assert!(text.contains("wait for one another: a, b"), "{text}");
        let text = refusal("{ name: n, components: { a: { after: [a] } } }");
        assert!(text.contains("wait for one another: a"), "{text}");
        let text = refusal("{ name: n, components: { a: { after: [x] } } }");
        assert!(
            text.contains("components.a.after[0]") && text.contains("no component is called `x`"),
            "{text}"
        );
    }

    #[test]
    fn a_value_refers_to_what_is_there_before() {
        let text =
            "{ name: n, components: { a: { settings: { script: \"cd ${HOME}; $${b.id} ${b}\" } }, b: {} } }";
        let blueprint = Blueprint::from_yaml(text).expect("only text");
        assert_eq!(blueprint.components.values().flat_map(Component::referenced_components).count(), 0);
        let text = refusal("{ name: n, components: { a: { settings: { network: \"${b.id}\" } }, b: {} } }");
        assert!(text.contains("components.a.settings.network") && text.contains("under `after`"), "{text}");
    }

    #[test]
    fn what_is_referred_to_shares_no_machine_with_what_comes_later() {
        let text = "{ name: n, components: { a: { after: [b], settings: { net: \"${b.id}\" } }, b: {},
            c: { after: [a] }, d: { after: [b] }, e: {} } }";
        let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
        let ranks = blueprint.ranks().expect("no circle");
        let pairs: Vec<_> = anti_affine_pairs(&blueprint, &ranks)
            .iter()
            .map(|(one, other)| format!("{one}{other}"))
            .collect();
        assert_eq!(pairs, ["ba", "bc", "bd"]);
        let text = refusal(
            "{ name: n, components: { a: { after: [b], settings: { net: \"${b.id}\" } }, b: {} },
               constraints: [ colocate: { components: [a, b] } ] }",
        );
        assert!(text.contains("leave the reference out"), "{text}");
    }

    #[test]
    fn what_shares_a_machine_is_made_in_one_way() {
        let text = refusal(
            "{ name: n, components: { a: { settings: { image: x } }, b: { settings: { image: y } } },
               constraints: [ colocate: { components: [a, b] } ] }",
        );
        assert!(text.contains("another `image` each"), "{text}");
    }

    /// Components `c0`, `c1`, …, each after the one before and with a reference to it, and all with one setting alike.
    fn many(components: usize, constraints: &[serde_json::Value]) -> Blueprint {
        let component = |at: usize| {
            let after: Vec<_> = at.checked_sub(1).map(|at| format!("c{at}")).into_iter().collect();
            (format!("c{at}"), serde_json::json!({ "after": after, "settings": { "image": "x", "own": at } }))
        };
        let components: serde_json::Map<_, _> = (0..components).map(component).collect();
        let all = serde_json::json!({ "name": "n", "components": components, "constraints": constraints });
        serde_json::from_value(all).expect("a blueprint")
    }

    fn seconds(blueprint: &Blueprint) -> f64 {
        let once = || {
            let start = std::time::Instant::now();
            blueprint.check_dependencies().ok();
            start.elapsed().as_secs_f64()
        };
        (0..3).map(|_| once()).fold(f64::MAX, f64::min)
    }

    #[test]
    fn checks_grow_with_the_blueprint_alone() {
        let everywhere =
            |component: usize| serde_json::json!({ "everywhere": { "component": format!("c{component}") } });
        let colocate = |count: usize| {
            let names: Vec<_> = (0..count).map(|at| format!("c{}", at / 2 * 2)).collect();
            serde_json::json!({ "colocate": { "components": names } })
        };
        // Once all differ, the first condition is an error; so the settings are alike here.
        let alike = |mut blueprint: Blueprint| {
            for component in blueprint.components.values_mut() {
                component.settings.retain(|name, _| name == "image");
            }
            blueprint
        };
        for (what, once, twice) in [
            (
                "everywhere",
                alike(many(400, &vec![everywhere(0); 500])),
                alike(many(400, &vec![everywhere(0); 1000])),
            ),
            (
                "everywhere another",
                alike(many(200, &(0..200).map(everywhere).collect::<Vec<_>>())),
                alike(many(200, &(0..200).chain(0..200).map(everywhere).collect::<Vec<_>>())),
            ),
            (
                "colocate",
                alike(many(400, &vec![colocate(200); 100])),
                alike(many(400, &vec![colocate(400); 100])),
            ),
            ("after", many(250, &[]), many(500, &[])),
        ] {
            assert_eq!((once.check_dependencies(), twice.check_dependencies()), (Ok(()), Ok(())), "{what}");
            // A busy machine may hold one of the two up.
            let tries = || (0..20).map(|_| (seconds(&once), seconds(&twice)));
            let is_in_step = tries().any(|(once, twice)| twice < 3.5 * once + 0.02);
            assert!(is_in_step, "{what}: {:?}", (seconds(&once), seconds(&twice)));
        }
    }

    #[test]
    fn settings_of_a_blueprint_have_so_many_references() {
        let of = |count: usize| {
            let settings: serde_json::Map<_, _> =
                (0..20).map(|at| (format!("s{at}"), "${b.id}".repeat(count).into())).collect();
            let component = serde_json::json!({ "after": ["b"], "settings": settings });
            let text =
                serde_json::json!({ "name": "n", "components": { "a": component, "b": {}, "c": component } });
            Blueprint::from_json(&text.to_string()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(of(500), Ok(()));
        let why = of(501).expect_err("too many");
        assert!(why.contains("components.c.settings.s9") && why.contains("more than 20000 times"), "{why}");
        assert!(of(1_001).expect_err("too many").contains("more than 1000 times"));
    }
}
