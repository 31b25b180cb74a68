//! What a component's services are made with, and what must be there before.

use std::collections::BTreeMap;

use super::{
    Blueprint, Component, ComponentId, Constraint, DocumentError,
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

/// A setting to which two components give different values.
pub(crate) fn clash<'a>(one: &'a Component, other: &Component) -> Option<&'a str> {
    let differs = |(name, value): &(&String, &serde_json::Value)| {
        other.settings.get(name.as_str()).is_some_and(|there| there != *value)
    };
    one.settings.iter().find(differs).map(|(name, _)| name.as_str())
}

impl Component {
    /// The components to which its settings refer.
    pub(crate) fn referred(&self) -> impl Iterator<Item = &str> {
        let is_before = |name: &str| self.after.iter().any(|before| before.as_str() == name);
        let all = self.settings.values().flat_map(texts);
        let all = all.flat_map(move |text| pieces(text, is_before).unwrap_or_default());
        all.filter_map(|piece| match piece {
            Piece::Of(reference) => Some(reference.component),
            Piece::Text(_) => None,
        })
    }
}

/// Pairs of components that share no machine because a third one, or one of them, refers to what the first has become: it
/// must be there before whoever refers to it, and so has a lower rank, and all that it shares a machine with.
pub(crate) fn apart<'a>(
    blueprint: &'a Blueprint,
    ranks: &BTreeMap<&'a ComponentId, u32>,
) -> Vec<(&'a ComponentId, &'a ComponentId)> {
    // Of all that refer to a component the one of the lowest rank decides.
    let mut limits: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, component) in &blueprint.components {
        for referred in component.referred() {
            let limit = limits.entry(referred).or_insert(u32::MAX);
            *limit = ranks[name].min(*limit);
        }
    }
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
            for (at, other) in component.after.iter().enumerate() {
                let fail = |message: String| {
                    Err(DocumentError::at(format!("components.{name}.after[{at}]"), message))
                };
                if !self.components.contains_key(other) {
                    return fail(self.unknown(other));
                }
                if component.after[..at].contains(other) {
                    return fail(format!("`{other}` is named twice; name it once"));
                }
            }
        }
        // Each round settles all whose predecessors are settled; a circle settles nobody. O(components² × after).
        let mut ranks: BTreeMap<&ComponentId, u32> = BTreeMap::new();
        while ranks.len() < self.components.len() {
            let ready: Vec<_> = self
                .components
                .iter()
                .filter(|(name, _)| !ranks.contains_key(name))
                .filter_map(|(name, component)| {
                    let before: Option<Vec<u32>> =
                        component.after.iter().map(|other| ranks.get(other).copied()).collect();
                    Some((name, before?.into_iter().max().map_or(0, |rank| rank + 1)))
                })
                .collect();
            if ready.is_empty() {
                let circle = self.components.keys().filter(|name| !ranks.contains_key(name));
                let names: Vec<_> = circle.map(ComponentId::as_str).collect();
                let path = format!("components.{}.after", names[0]);
                let message =
                    format!("these wait for one another: {}; leave one `after` out", names.join(", "));
                return Err(DocumentError::at(path, message));
            }
            ranks.extend(ready);
        }
        Ok(ranks)
    }

    pub(super) fn check_setup(&self) -> Result<(), DocumentError> {
        let ranks = self.ranks()?;
        for (name, component) in &self.components {
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
                    if !component.after.iter().any(|before| before.as_str() == other) {
                        let message = format!(
                            "`{other}` need not be there yet; name it under `after`, too, or write $${{ for the text ${{"
                        );
                        return fail(setting, message);
                    }
                }
            }
        }
        self.check_shared(&apart(self, &ranks))
    }

    /// Whether components that must share a machine can be made with one set of settings.
    fn check_shared(&self, apart: &[(&ComponentId, &ComponentId)]) -> Result<(), DocumentError> {
        for (at, constraint) in self.constraints.iter().enumerate() {
            let pairs: Vec<(&ComponentId, &ComponentId)> = match constraint {
                Constraint::Colocate(colocate) => {
                    let names = &colocate.components;
                    names
                        .iter()
                        .enumerate()
                        .flat_map(|(at, one)| names[..at].iter().map(move |other| (one, other)))
                        .collect()
                }
                Constraint::Everywhere(everywhere) => {
                    let one = &everywhere.component;
                    let others = self
                        .components
                        .keys()
                        .filter(|name| *name != one && !everywhere.unless.contains(name));
                    let machines =
                        others.filter(|name| self.components[*name].kind == super::OfferKind::Machine);
                    machines.map(|other| (one, other)).collect()
                }
                _ => continue,
            };
            for (one, other) in pairs {
                let (Some(left), Some(right)) = (self.components.get(one), self.components.get(other)) else {
                    continue;
                };
                let path = format!("constraints[{at}].{}", constraint.word());
                if apart.contains(&(one, other)) || apart.contains(&(other, one)) {
                    let message = format!(
                        "`{one}` and `{other}` must share a machine, and a setting refers to what only one of them can be by then; leave the reference out"
                    );
                    return Err(DocumentError::at(path, message));
                }
                if let Some(setting) = clash(left, right) {
                    let message = format!(
                        "`{one}` and `{other}` must share a machine, and want another `{setting}` each; give both the same"
                    );
                    return Err(DocumentError::at(path, message));
                }
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
}
