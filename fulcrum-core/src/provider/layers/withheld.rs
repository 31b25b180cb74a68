//! Secrets that a provider was given and may repeat.

use std::{
    collections::VecDeque,
    fmt,
    sync::{PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

use crate::provider::single_line;

/// Newest secrets that are remembered.
const MAX_SECRETS: usize = 256;
/// A shorter value is no secret in a message: ordinary words would go with it.
const MIN_SECRET_BYTES: usize = 6;
/// The same in an attribute, which other components refer to: addresses and short names stay.
const MIN_SECRET_BYTES_IN_ATTRIBUTES: usize = 16;
/// Stands for a secret.
const HIDDEN: &str = "(secret)";

/// One secret: as it is, and as JSON and JSON within JSON have it, each on one line.
struct Forms {
    secret: SecretString,
    forms: Vec<SecretString>,
}

impl Forms {
    fn of(secret: &SecretString) -> Self {
        let (mut form, mut forms) = (secret.expose_secret().to_owned(), Vec::new());
        for _ in 0..3 {
            forms.push(SecretString::from(single_line(&form, usize::MAX)));
            let quoted = serde_json::to_string(&form).unwrap_or_default();
            let inner = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
            if inner == form {
                break;
            }
            form = inner.to_owned();
        }
        Self { secret: secret.clone(), forms }
    }
}

/// What requests have carried. `Debug` shows nothing of it.
#[derive(Default)]
pub(super) struct Withheld(RwLock<VecDeque<Forms>>);

impl fmt::Debug for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Withheld(…)")
    }
}

impl Withheld {
    pub(super) fn add(&self, secrets: &[SecretString]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            let is_new = !known.iter().any(|it| it.secret.expose_secret() == secret.expose_secret());
            if is_new && secret.expose_secret().len() >= MIN_SECRET_BYTES {
                known.push_back(Forms::of(secret));
            }
        }
        let too_many = known.len().saturating_sub(MAX_SECRETS);
        known.drain(..too_many);
    }

    /// A message on one line, without secrets, also those that are cut off at its end.
    pub(super) fn hidden(&self, text: String) -> String {
        self.without(text, MIN_SECRET_BYTES)
    }

    /// An attribute on one line, without long secrets.
    pub(super) fn hidden_attribute(&self, text: String) -> String {
        self.without(text, MIN_SECRET_BYTES_IN_ATTRIBUTES)
    }

    fn without(&self, mut text: String, min_bytes: usize) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let long = known.iter().filter(|it| it.secret.expose_secret().len() >= min_bytes);
        for form in long.flat_map(|it| &it.forms) {
            text = without_form(text, form.expose_secret());
        }
        text
    }
}

/// A text without a secret, and without its beginning at the end of the text.
fn without_form(text: String, form: &str) -> String {
    let text = if text.contains(form) { text.replace(form, HIDDEN) } else { text };
    let end = text.trim_end_matches('…');
    let is_cut = |bytes: &usize| form.get(..*bytes).is_some_and(|head| end.ends_with(head));
    // A head that is longer than the text is not at its end.
    let longest = form.len().min(end.len().saturating_add(1));
    match (MIN_SECRET_BYTES..longest).rev().find(is_cut) {
        Some(bytes) => format!("{}{HIDDEN}", &end[..end.len() - bytes]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_each_form() {
        let withheld = Withheld::default();
        withheld.add(&["s3cret\"word".into(), "a longer secret\nof two lines".into(), "short".into()]);
        for (text, shown) in [
            ("it is s3cret\"word, twice s3cret\"word", "it is (secret), twice (secret)"),
            (r#"{"x":"s3cret\"word"}"#, r#"{"x":"(secret)"}"#),
            (r#"{"x":"{\"y\":\"s3cret\\\"word\"}"}"#, r#"{"x":"{\"y\":\"(secret)\"}"}"#),
            ("was a longer secret of two lines", "was (secret)"),
            ("cut off: a longer sec", "cut off: (secret)"),
            ("cut off: a longer sec…", "cut off: (secret)"),
            ("a short text", "a short text"),
        ] {
            assert_eq!(withheld.hidden(text.to_owned()), shown);
        }
        assert_eq!(withheld.hidden_attribute("s3cret\"word".to_owned()), "s3cret\"word", "it is short");
        assert_eq!(withheld.hidden_attribute("a longer secret of two lines".to_owned()), "(secret)");
    }
}
