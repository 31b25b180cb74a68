//! Settings of components: how large they may be, and where two components want different ones.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{Blueprint, ComponentId};

/// Settings of one component.
const MAX_SETTINGS: usize = 256;
const MAX_SETTING_NAME_CHARS: usize = 64;
/// Bytes of one value: a cloud-init document fits.
const MAX_SETTING_BYTES: usize = 64 << 10;
/// Bytes of all values of one component.
const MAX_SETTINGS_BYTES: usize = 256 << 10;

/// Bytes of a value: of text those that a person has written, of all else those of its JSON.
fn bytes_of(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

/// What a component gives a setting: a value, or another component's service.
#[derive(PartialEq, Eq, Hash)]
enum Wanted<'a> {
    Value(&'a serde_json::Value),
    Component(&'a ComponentId),
    /// Nothing, where others have settings for one provider: these may stand against the component's own.
    Nothing,
}

/// The settings and relations of all components as numbers: equal values have equal numbers, so that comparing two long values is cheap.
pub(crate) struct SettingIndex<'a> {
    names: Vec<&'a str>,
    /// Numbers of name and value, in order.
    of: BTreeMap<&'a ComponentId, Vec<(u32, u32)>>,
}

impl<'a> SettingIndex<'a> {
    pub(crate) fn of(blueprint: &'a Blueprint) -> Self {
        let (mut names, mut numbers, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut of = BTreeMap::new();
        let sections = || {
            let all = blueprint.components.values().flat_map(|component| &component.settings);
            all.filter(|(name, value)| value.is_object() && *name != "labels").map(|(name, _)| name.as_str())
        };
        let sections: BTreeSet<&str> = sections().collect();
        for (component, it) in &blueprint.components {
            let mut settings: Vec<(u32, u32)> = Vec::new();
            let own = it.settings.iter().map(|(name, value)| (name.as_str(), Wanted::Value(value)));
            let related = it.relations().map(|(relation, name)| (relation.word(), Wanted::Component(name)));
            let absent = sections.iter().filter(|name| !it.settings.contains_key(**name));
            let absent = absent.map(|name| (*name, Wanted::Nothing));
            for (name, value) in own.chain(related).chain(absent) {
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                let value = *values.entry(value).or_insert(count);
                let name = *numbers.entry(name).or_insert_with(|| {
                    names.push(name);
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
    pub(crate) fn setting_conflict(&self, one: &ComponentId, other: &ComponentId) -> Option<&'a str> {
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
    pub(super) fn setting_conflict_among<'b>(
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

/// Checks how many settings there are and how large they are, those of `components` together.
///
/// # Errors
/// The setting, or nothing for all of them, and the message.
pub(crate) fn check_settings<'a>(
    settings: impl Iterator<Item = (&'a String, &'a serde_json::Value)> + Clone,
    components: usize,
) -> Result<(), (String, String)> {
    let (most, most_bytes) =
        (MAX_SETTINGS.saturating_mul(components), MAX_SETTINGS_BYTES.saturating_mul(components));
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
        let is_name = (1..=MAX_SETTING_NAME_CHARS).contains(&setting.len())
            && setting.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !is_name {
            let shown: String = setting.chars().take(80).collect();
            let message = format!(
                "{shown:?} is not a valid setting name; write up to {MAX_SETTING_NAME_CHARS} letters, digits, _, - and ."
            );
            return Err((String::new(), message));
        }
        if value.is_null() {
            return Err((setting.clone(), "write a value, or leave the setting out".to_owned()));
        }
        let bytes = bytes_of(value);
        if bytes > MAX_SETTING_BYTES {
            let message = format!(
                "it has {bytes} bytes; write at most {MAX_SETTING_BYTES}, and let the machine fetch the rest"
            );
            return Err((setting.clone(), message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn values_are_compared_by_their_numbers() {
        let text = "{ name: n, components: { a: { settings: { x: 1, y: [2], z: q } }, b: { settings: { y: [2], z: r } },
            c: { settings: { w: 1 } } } }";
        let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
        let index = SettingIndex::of(&blueprint);
        let names: Vec<_> = blueprint.components.keys().cloned().collect();
        assert_eq!(index.setting_conflict(&names[0], &names[1]), Some("z"));
        assert_eq!(
            (index.setting_conflict(&names[0], &names[2]), index.setting_conflict(&names[2], &names[1])),
            (None, None)
        );
        assert_eq!(
            index.setting_conflict_among(&names).map(|(one, other, name)| format!("{one}{other}{name}")),
            Some("baz".into())
        );
        assert!(index.setting_conflict_among(&names[1..]).is_none());
    }
}
