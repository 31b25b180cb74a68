//! Secrets out of what is shown or kept.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

use super::sieve::BLANK;

/// Shorter secrets would take ordinary words out of texts.
const SHORTEST: usize = 4;

/// So many characters tell that a secret begins.
const HEAD: usize = 8;
/// Tokens that an API hands out come and go, and secrets are rotated; so many of the newest of each are known.
const MOST: usize = 64;

/// Knows the secrets of one client, and takes them out of texts. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    /// Those that come and go.
    secrets: Arc<RwLock<Vec<SecretString>>>,
    /// Those of the configuration, which no number of tokens drives out.
    own: Arc<RwLock<Vec<SecretString>>>,
    /// Those of one request.
    further: Arc<Vec<SecretString>>,
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
        Self::add_to(&self.secrets, secret);
    }

    /// One more of the configuration.
    pub(super) fn add_own(&self, secret: SecretString) {
        Self::add_to(&self.own, secret);
    }

    /// The same, with what one request alone has told.
    pub(super) fn with(&self, further: Vec<SecretString>) -> Self {
        Self { further: Arc::new(further), ..self.clone() }
    }

    fn add_to(secrets: &RwLock<Vec<SecretString>>, secret: SecretString) {
        if secret.expose_secret().len() < SHORTEST {
            return;
        }
        let mut secrets = secrets.write().unwrap_or_else(PoisonError::into_inner);
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
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let all = own.iter().chain(&*secrets).chain(&*self.further);
        without(text, &all.map(|secret| secret.expose_secret()).collect::<Vec<_>>())
    }
}

/// A text without secrets, and without what is left of one that was cut off behind its first characters. What begins like a
/// secret goes to the end of its word: tokens of one issuer begin alike, and this one may be no longer known.
fn without(text: &str, secrets: &[&str]) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    // The first one in the text, and at its place the longest.
    while let Some((at, length)) = secrets
        .iter()
        .filter_map(|secret| found(rest, secret))
        .min_by_key(|(at, length)| (*at, usize::MAX - length))
    {
        kept += &rest[..at];
        kept += BLANK;
        rest = &rest[at + length..];
    }
    kept + rest
}

/// Where a text has a secret or its beginning, and how much of it to leave out.
fn found(text: &str, secret: &str) -> Option<(usize, usize)> {
    let is_long = secret.chars().nth(HEAD).is_some();
    let head = secret.char_indices().nth(HEAD).map_or(secret, |(end, _)| &secret[..end]);
    let at = text.find(head)?;
    let shown = text[at..].chars().zip(secret.chars()).take_while(|(a, b)| a == b);
    let length: usize = shown.map(|(c, _)| c.len_utf8()).sum();
    let is_of_word = |c: &char| c.is_alphanumeric() || "-._~+/=".contains(*c);
    let word = text[at + length..].chars().take_while(is_of_word).map(char::len_utf8).sum::<usize>();
    Some((at, if is_long { length + word } else { length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_also_where_it_was_cut_off() {
        let redactor = Redactor::new([SecretString::from("canary")]);
        assert_eq!(redactor.text("canary, canary"), "REDACTED, REDACTED");
        let long = Redactor::new([SecretString::from("canary-0123456789")]);
        assert_eq!(long.text("canary-0123456789! canary-01234"), "REDACTED! REDACTED");
        assert_eq!(long.text("canary"), "canary");
    }

    #[test]
    fn no_number_of_tokens_drives_a_password_out() {
        let redactor = Redactor::default();
        redactor.add_own(SecretString::from("canary-password"));
        (0..1_000).for_each(|at| redactor.add(SecretString::from(format!("token-{at:06}"))));
        assert_eq!(redactor.text("canary-password token-000999"), "REDACTED REDACTED");
    }

    #[test]
    fn of_tokens_that_begin_alike_nothing_is_left() {
        let tokens = ["eyJhbGciOiJI.aaaa-1", "eyJhbGciOiJI.bbbb_2", "eyJhbGciOiJI.bbbb_2.cc"];
        for known in [&tokens[..1], &tokens[1..2], &tokens[..]] {
            let redactor = Redactor::new(known.iter().map(|token| SecretString::from(*token)));
            for token in tokens {
                let text = format!("a {token}, \"{token}\" and ={token}&b");
                assert_eq!(redactor.text(&text), "a REDACTED, \"REDACTED\" and =REDACTED&b", "{known:?}");
            }
        }
        assert_eq!(
            Redactor::new([SecretString::from("four")]).text("fourteen four"),
            "REDACTEDteen REDACTED"
        );
    }
}
