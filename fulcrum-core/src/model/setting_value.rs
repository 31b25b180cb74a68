//! Settings by name, and a value as text.

use std::collections::BTreeMap;

/// What a service is made with, by name: text, numbers, lists and objects as JSON has them. No secrets.
pub type Settings = BTreeMap<String, serde_json::Value>;

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
