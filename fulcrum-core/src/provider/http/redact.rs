//! Secrets out of what is shown or kept.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

const BLANK: &str = "REDACTED";
/// Words in the name of a header or field whose value is not kept.
const TELLING: [&str; 11] = [
    "auth",
    "token",
    "secret",
    // Also `adminPass`, `passwd`, `passphrase`.
    "pass",
    "cookie",
    "credential",
    "signature",
    "private",
    "api_key",
    "apikey",
    "user_data",
];
/// Shorter secrets would take ordinary words out of texts.
const SHORTEST: usize = 4;

/// So many characters tell that a secret begins.
const HEAD: usize = 8;
/// Tokens that an API hands out come and go; so many of the newest are known.
const MOST: usize = 64;

/// Knows the secrets of one client, and takes them out of texts. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    secrets: Arc<RwLock<Vec<SecretString>>>,
}

impl Redactor {
    /// Of these secrets.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let redactor = Self::default();
        secrets.into_iter().for_each(|secret| redactor.add(secret));
        redactor
    }

    /// One more, such as a token that the API has handed out.
    pub fn add(&self, secret: SecretString) {
        if secret.expose_secret().len() < SHORTEST {
            return;
        }
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if secrets.iter().any(|known| known.expose_secret() == secret.expose_secret()) {
            return;
        }
        secrets.push(secret);
        if secrets.len() > MOST {
            secrets.remove(0);
        }
    }

    /// A text without the secrets.
    pub fn text(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text.to_owned(), |text, secret| without(&text, secret.expose_secret()))
    }

    /// The value of a header, or nothing of it if its name tells that it is secret.
    pub fn header(&self, name: &str, value: &str) -> String {
        if is_telling(name) { BLANK.to_owned() } else { self.text(value) }
    }

    /// A body without secrets: as JSON where it is that, else as text.
    pub fn body(&self, body: &[u8]) -> Value {
        match serde_json::from_slice(body) {
            Ok(value) => self.value(value),
            Err(_) => Value::String(self.text(&String::from_utf8_lossy(body))),
        }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let field = |(name, value): (String, Value)| {
                    let value = match value {
                        Value::String(_) | Value::Number(_) if is_telling(&name) => BLANK.into(),
                        other => self.value(other),
                    };
                    (name, value)
                };
                Value::Object(fields.into_iter().map(field).collect())
            }
            other => other,
        }
    }

    /// The first characters of a body, on one line, for an error.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        let text = match self.body(&body[..body.len().min(4096)]) {
            Value::String(text) => text,
            json => json.to_string(),
        };
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// A text without a secret, and without what is left of one that was cut off behind its first characters.
fn without(text: &str, secret: &str) -> String {
    let head = secret.char_indices().nth(HEAD).map_or(secret, |(end, _)| &secret[..end]);
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(head) {
        let shown = rest[at..].chars().zip(secret.chars()).take_while(|(a, b)| a == b);
        let length: usize = shown.map(|(c, _)| c.len_utf8()).sum();
        kept += &rest[..at];
        kept += BLANK;
        rest = &rest[at + length..];
    }
    kept + rest
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    TELLING.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_known_secrets_nor_telling_fields_are_kept() {
        let redactor = Redactor::new([SecretString::from("canary")]);
        let body = br#"{"a": ["x canary y"], "admin_password": "hunter2", "adminPass": "hunter2", "auth": {"name": "n"}, "n": 1}"#;
        let kept = redactor.body(body).to_string();
        assert!(!kept.contains("canary") && !kept.contains("hunter2"), "{kept}");
        assert!(kept.contains("\"n\":1") && kept.contains("\"name\":\"n\""), "{kept}");
        assert_eq!(redactor.header("X-Auth-Token", "abc"), BLANK);
        assert_eq!(redactor.header("ETag", "canary"), BLANK);
        assert_eq!(redactor.text("canary, canary"), "REDACTED, REDACTED");
        assert!(!redactor.excerpt(b"<html>canary").contains("canary"));
        let long = Redactor::new([SecretString::from("canary-0123456789")]);
        assert_eq!(long.text("canary-0123456789! canary-01234"), "REDACTED! REDACTED");
        assert_eq!(long.text("canary"), "canary");
    }
}
