//! Settings by name, those of one provider, and a value as text.

use std::{borrow::Cow, collections::BTreeMap};

use super::ProviderId;

/// What a service is made with, by name: text, numbers, lists and objects as JSON has them. No secrets.
pub type Settings = BTreeMap<String, serde_json::Value>;

/// What one provider is given of a component's settings: those for all, and those under its own name. An object under the name of
/// another provider is left out; `is_provider` says what is the name of one.
pub(crate) fn settings_of_provider<'a>(
    settings: Cow<'a, Settings>,
    provider: &ProviderId,
    is_provider: impl Fn(&str) -> bool,
) -> Cow<'a, Settings> {
    let is_section = |(name, value): (&String, &serde_json::Value)| {
        value.is_object() && (name == provider.as_str() || is_provider(name))
    };
    if !settings.iter().any(is_section) {
        return settings;
    }
    let mut kept = Settings::new();
    let mut own = Settings::new();
    for (name, value) in settings.iter() {
        match value.as_object().filter(|_| is_section((name, value))) {
            None => drop(kept.insert(name.clone(), value.clone())),
            Some(section) if name == provider.as_str() => {
                own.extend(section.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            Some(_) => {}
        }
    }
    // What is said for this provider alone is the more exact word.
    kept.extend(own);
    Cow::Owned(kept)
}

/// A setting's value as the text that an API takes in one field: text as it is, numbers and yes or no in digits and
/// words, lists joined by commas; `None` for what has no such form.
pub fn setting_text(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match value {
        String(text) => Some(text.clone()),
        Number(number) => Some(number.to_string()),
        Bool(is_true) => Some(is_true.to_string()),
        Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(setting_text).collect();
            Some(texts?.join(","))
        }
        Null | Object(_) => None,
    }
}
