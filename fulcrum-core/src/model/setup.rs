//! What a component's services are made with, and what must be there before.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{
    Blueprint, Component, ComponentId, Constraint, DocumentError, limits,
    reference::{Piece, pieces, texts},
};

/// Settings of one component.
const MAX_SETTINGS: usize = 256;
const MAX_NAME: usize = 64;
/// Bytes of one value: a cloud-init document fits.
const MAX_VALUE: usize = 64 << 10;
/// Bytes of all values of one component.
const MAX_VALUES: usize = 256 << 10;

/// Bytes of a value: of text those that a person has written, of all else those of its JSON.
fn bytes_of(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

/// What the components of a blueprint are made with, as numbers: two values are compared by their numbers, however long they
/// are.
pub(crate) struct Ways<'a> {
    names: Vec<&'a str>,
    /// Numbers of name and value, in order.
    of: BTreeMap<&'a ComponentId, Vec<(u32, u32)>>,
}

impl<'a> Ways<'a> {
    pub(crate) fn of(blueprint: &'a Blueprint) -> Self {
        let (mut names, mut numbers, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut of = BTreeMap::new();
        for (component, it) in &blueprint.components {
            let mut settings: Vec<(u32, u32)> = Vec::new();
            for (name, value) in &it.settings {
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                let value = *values.entry(value).or_insert(count);
                let name = *numbers.entry(name.as_str()).or_insert_with(|| {
                    names.push(name.as_str());
                    u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
                });
                settings.push((name, value));
            }
            settings.sort_unstable();
            of.insert(component, settings);
        }
        Self { names, of }
    }

    fn settings(&self, component: &ComponentId) -> &[(u32, u32)] {
        self.of.get(component).map(Vec::as_slice).unwrap_or_default()
    }

    /// A setting to which two components give different values.
    pub(crate) fn clash(&self, one: &ComponentId, other: &ComponentId) -> Option<&'a str> {
        let (mut one, mut other) =
            (self.settings(one).iter().peekable(), self.settings(other).iter().peekable());
        while let (Some(&&(name, value)), Some(&&(other_name, other_value))) = (one.peek(), other.peek()) {
            match name.cmp(&other_name) {
                Ordering::Less => drop(one.next()),
                Ordering::Greater => drop(other.next()),
                Ordering::Equal if value != other_value => return self.names.get(name as usize).copied(),
                Ordering::Equal => {
                    one.next();
                    other.next();
                }
            }
        }
        None
    }

    /// Two of some components that give different values to a setting, and which.
    fn clash_among<'b>(
        &self,
        components: &'b [ComponentId],
    ) -> Option<(&'b ComponentId, &'b ComponentId, &'a str)> {
        let mut wanted: HashMap<u32, (u32, &ComponentId)> = HashMap::new();
        for component in components {
            for (name, value) in self.settings(component) {
                let (before, by) = *wanted.entry(*name).or_insert((*value, component));
                if before != *value {
                    return Some((component, by, self.names.get(*name as usize).copied()?));
                }
            }
        }
        None
    }
}

impl Component {
    /// The components to which its settings refer.
    pub(crate) fn referred(&self) -> BTreeSet<&str> {
        let before: BTreeSet<&str> = self.after.iter().map(ComponentId::as_str).collect();
        if before.is_empty() {
            return BTreeSet::new();
        }
        let all = self.settings.values().flat_map(texts);
        let all = all.flat_map(|text| pieces(text, |name| before.contains(name)).unwrap_or_default());
        all.filter_map(|piece| match piece {
            Piece::Of(reference) => Some(reference.component),
            Piece::Text(_) => None,
        })
        .collect()
    }
}

/// Of each component that others refer to, the lowest rank of those: it must be there before.
fn limits_of<'a>(blueprint: &'a Blueprint, ranks: &BTreeMap<&'a ComponentId, u32>) -> BTreeMap<&'a str, u32> {
    let mut limits: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, component) in &blueprint.components {
        for referred in component.referred() {
            let limit = limits.entry(referred).or_insert(u32::MAX);
            *limit = ranks[name].min(*limit);
        }
    }
    limits
}

/// Pairs of components that share no machine because a third one, or one of them, refers to what the first has become: it
/// must be there before whoever refers to it, and so has a lower rank, and all that it shares a machine with.
pub(crate) fn apart<'a>(
    blueprint: &'a Blueprint,
    ranks: &BTreeMap<&'a ComponentId, u32>,
) -> Vec<(&'a ComponentId, &'a ComponentId)> {
    // Of all that refer to a component the one of the lowest rank decides.
    let limits = limits_of(blueprint, ranks);
    let mut pairs = Vec::new();
    for (name, limit) in
        blueprint.components.keys().filter_map(|name| Some((name, *limits.get(name.as_str())?)))
    {
        pairs.extend(ranks.iter().filter(|(_, rank)| **rank >= limit).map(|(other, _)| (name, *other)));
    }
    pairs
}

/// Checks how many settings there are and how large they are, those of `components` together.
///
/// # Errors
/// The setting, or nothing for all of them, and the message.
pub(crate) fn check_settings<'a>(
    settings: impl Iterator<Item = (&'a String, &'a serde_json::Value)> + Clone,
    components: usize,
) -> Result<(), (String, String)> {
    let (most, most_bytes) = (MAX_SETTINGS.saturating_mul(components), MAX_VALUES.saturating_mul(components));
    let count = settings.clone().count();
    if count > most {
        return Err((String::new(), format!("these are {count} settings; write at most {most}")));
    }
    let bytes = settings.clone().map(|(_, value)| bytes_of(value)).sum::<usize>();
    if bytes > most_bytes {
        let message = format!(
            "these have {bytes} bytes; write at most {most_bytes}, and let the machine fetch the rest"
        );
        return Err((String::new(), message));
    }
    for (setting, value) in settings {
        let is_name = (1..=MAX_NAME).contains(&setting.len())
            && setting.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !is_name {
            let shown: String = setting.chars().take(80).collect();
            let message = format!("{shown:?} is no name; write up to {MAX_NAME} letters, digits, _, - and .");
            return Err((String::new(), message));
        }
        if value.is_null() {
            return Err((setting.clone(), "write a value, or leave the setting out".to_owned()));
        }
        let bytes = bytes_of(value);
        if bytes > MAX_VALUE {
            let message = format!(
                "it has {bytes} bytes; write at most {MAX_VALUE}, and let the machine fetch the rest"
            );
            return Err((setting.clone(), message));
        }
    }
    Ok(())
}

impl Blueprint {
    /// How many components must be there one after the other before each: the longest way through `after`.
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
            component.after.iter().for_each(|other| followers.entry(other).or_default().push(name));
            missing.insert(name, component.after.len());
            if component.after.is_empty() {
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
            let message = format!("these wait for one another: {}; leave one `after` out", names.join(", "));
            return Err(DocumentError::at(path, message));
        }
        Ok(ranks)
    }

    pub(super) fn check_setup(&self) -> Result<(), DocumentError> {
        let ranks = self.ranks()?;
        let mut references = 0_usize;
        for (name, component) in &self.components {
            let before: BTreeSet<&str> = component.after.iter().map(ComponentId::as_str).collect();
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
                for text in texts(value) {
                    match pieces(text, |name| self.components.contains_key(name)) {
                        Ok(pieces) => all.extend(pieces),
                        Err(message) => return fail(setting, message),
                    }
                }
                for piece in all {
                    let Piece::Of(reference) = piece else { continue };
                    let other = reference.component;
                    references += 1;
                    let most = limits::REFERENCES[1];
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
        self.check_shared(&ranks)
    }

    /// Whether components that must share a machine can be made with one set of settings. Each name in a condition is looked at
    /// once.
    fn check_shared(&self, ranks: &BTreeMap<&ComponentId, u32>) -> Result<(), DocumentError> {
        let is_shared = |constraint: &Constraint| {
            matches!(constraint, Constraint::Colocate(_) | Constraint::Everywhere(_))
        };
        if !self.constraints.iter().any(is_shared) {
            return Ok(());
        }
        let (ways, limits) = (Ways::of(self), limits_of(self, ranks));
        let limit = |name: &ComponentId| limits.get(name.as_str()).copied().unwrap_or(u32::MAX);
        let rank = |name: &ComponentId| ranks.get(name).copied().unwrap_or_default();
        let mut agree = BTreeSet::new();
        for (at, constraint) in self.constraints.iter().enumerate() {
            let path = || format!("constraints[{at}].{}", constraint.word());
            let (apart, clash) = match constraint {
                Constraint::Colocate(colocate) => {
                    let names = &colocate.components;
                    // The one that must be there first, and the one that comes last.
                    let (first, last) = (
                        names.iter().min_by_key(|name| limit(name)),
                        names.iter().max_by_key(|name| rank(name)),
                    );
                    let apart = first.zip(last).filter(|(first, last)| rank(last) >= limit(first));
                    (apart, ways.clash_among(names))
                }
                Constraint::Everywhere(everywhere) => {
                    let one = &everywhere.component;
                    let unless: BTreeSet<_> = everywhere.unless.iter().collect();
                    let machines = self.components.iter().filter(|(name, component)| {
                        *name != one && component.kind == super::OfferKind::Machine && !unless.contains(name)
                    });
                    let others: Vec<_> = machines.map(|(name, _)| name).collect();
                    let is_apart =
                        |other: &&&ComponentId| rank(other) >= limit(one) || rank(one) >= limit(other);
                    let apart = others.iter().find(is_apart).map(|other| (one, *other));
                    let mut clash = None;
                    for other in others.iter().copied().filter(|other| agree.insert((one, *other))) {
                        clash = clash.or_else(|| Some((one, other, ways.clash(one, other)?)));
                    }
                    (apart, clash)
                }
                _ => continue,
            };
            if let Some((one, other)) = apart {
                let message = format!(
                    "`{one}` and `{other}` must share a machine, and a setting refers to what only one of them can be by then; leave the reference out"
                );
                return Err(DocumentError::at(path(), message));
            }
            if let Some((one, other, setting)) = clash {
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
        assert_eq!(blueprint.components.values().flat_map(Component::referred).count(), 0);
        let text = refusal("{ name: n, components: { a: { settings: { network: \"${b.id}\" } }, b: {} } }");
        assert!(text.contains("components.a.settings.network") && text.contains("under `after`"), "{text}");
    }

    #[test]
    fn settings_have_room_for_cloud_init_and_an_end() {
        let with = |settings: serde_json::Value| {
            let text = serde_json::json!({ "name": "n", "components": { "a": { "settings": settings } } });
            Blueprint::from_json(&text.to_string()).map(drop).map_err(|error| error.to_string())
        };
        let many = |count: usize, bytes: usize| {
            let named = |at| (format!("s{at}"), serde_json::json!("\n".repeat(bytes)));
            serde_json::Value::Object((0..count).map(named).collect())
        };
        assert_eq!(with(many(1, 65_536)), Ok(()), "line ends count once");
        assert_eq!(with(many(256, 1024)), Ok(()));
        for (settings, path, words) in [
            (many(1, 65_537), "components.a.settings.s0", "it has 65537 bytes; write at most 65536"),
            (many(257, 1), "components.a.settings", "these are 257 settings; write at most 256"),
            (many(5, 60_000), "components.a.settings", "these have 300000 bytes; write at most 262144"),
        ] {
            let refusal = with(settings).expect_err(words);
            assert!(refusal.starts_with(path) && refusal.contains(words), "{refusal}");
        }
    }

    #[test]
    fn what_is_referred_to_shares_no_machine_with_what_comes_later() {
        let text = "{ name: n, components: { a: { after: [b], settings: { net: \"${b.id}\" } }, b: {},
            c: { after: [a] }, d: { after: [b] }, e: {} } }";
        let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
        let ranks = blueprint.ranks().expect("no circle");
        let pairs: Vec<_> =
            apart(&blueprint, &ranks).iter().map(|(one, other)| format!("{one}{other}")).collect();
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
            blueprint.check_setup().ok();
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
            assert_eq!((once.check_setup(), twice.check_setup()), (Ok(()), Ok(())), "{what}");
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

    #[test]
    fn values_are_compared_by_their_numbers() {
        let text = "{ name: n, components: { a: { settings: { x: 1, y: [2], z: q } }, b: { settings: { y: [2], z: r } },
            c: { settings: { w: 1 } } } }";
        let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
        let ways = Ways::of(&blueprint);
        let names: Vec<_> = blueprint.components.keys().cloned().collect();
        assert_eq!(ways.clash(&names[0], &names[1]), Some("z"));
        assert_eq!((ways.clash(&names[0], &names[2]), ways.clash(&names[2], &names[1])), (None, None));
        assert_eq!(
            ways.clash_among(&names).map(|(one, other, name)| format!("{one}{other}{name}")),
            Some("baz".into())
        );
        assert!(ways.clash_among(&names[1..]).is_none());
    }
}
