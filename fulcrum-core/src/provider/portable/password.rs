//! Passwords that are made from a secret of the host and the key of a purchase. They are the same after every crash, and stored
//! nowhere.

use std::fmt;

use ring::{hmac, rand::SystemRandom};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::model::IdempotencyKey;

/// What every provider accepts in a password.
const PASSWORD_CHARS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// Begins each password: some providers want a letter of each case and a digit.
const BEGINNING: &str = "Fu7";
/// Characters of a password: 6 bits of HMAC each, behind the beginning.
const DERIVED_CHARS: usize = 29;
/// Bytes of a secret, at least. Fingerprint and password permit to test a guess, so it must be a random one.
const MIN_SECRET_BYTES: usize = 32;

/// Makes passwords by HMAC-SHA-256 (RFC 2104) of a secret of the host.
#[derive(Clone)]
pub(in crate::provider) struct PasswordMaker(hmac::Key);

impl fmt::Debug for PasswordMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordMaker(…)")
    }
}

impl PasswordMaker {
    /// From a secret of the host.
    ///
    /// # Errors
    /// It is too short.
    pub(in crate::provider) fn new(secret: &SecretString) -> Result<Self, String> {
        let bytes = secret.expose_secret().as_bytes();
        match bytes.len() < MIN_SECRET_BYTES {
            true => Err(format!(
                "the secret for passwords has fewer than {MIN_SECRET_BYTES} characters; make one by `openssl rand -base64 32`"
            )),
            false => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))),
        }
    }

    /// From a secret that nobody knows, and that is gone with this value.
    pub(in crate::provider) fn random() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the operating system has random numbers"))
    }

    fn text(&self, about: &str, what: &str, chars: usize) -> Zeroizing<String> {
        // The word before the line's end says what it is for; a key has no line's end.
        let tag = hmac::sign(&self.0, format!("fulcrum {about}\n{what}").as_bytes());
        let chosen =
            tag.as_ref().iter().take(chars).map(|byte| char::from(PASSWORD_CHARS[usize::from(byte % 64)]));
        Zeroizing::new(chosen.collect())
    }

    /// The password of the service that this key bought.
    pub(in crate::provider) fn password(&self, key: &IdempotencyKey) -> SecretString {
        let derived = self.text("password", key.as_str(), DERIVED_CHARS);
        SecretString::from(format!("{BEGINNING}{}", derived.as_str()))
    }

    /// Tells whether a service's password was made from this secret. Of a random secret it tells nothing else.
    pub(in crate::provider) fn fingerprint(&self) -> String {
        self.text("fingerprint", "", 8).as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(secret: &str) -> PasswordMaker {
        PasswordMaker::new(&SecretString::from(secret)).expect("a secret")
    }

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::new(text).expect("a key")
    }

    #[test]
    fn a_password_depends_on_secret_and_key_alone() {
        let (one, other) =
            (maker("a random secret of the host, of 32"), maker("another random secret of it, of 32"));
        let password = |maker: &PasswordMaker, at: &str| maker.password(&key(at)).expose_secret().to_owned();
        let first = password(&one, "f-1");
        // Computed by `printf 'fulcrum password\nf-1' | openssl dgst -sha256 -hmac 'a random secret of the host, of 32'`, byte by byte
        // modulo 64 in the alphabet.
        assert_eq!(first, "Fu7Ftf69m83bsukcc6PIe9okbMtjAvp8");
        assert_eq!(first, password(&maker("a random secret of the host, of 32"), "f-1"));
        assert_ne!(first, password(&one, "f-2"));
        assert_ne!(first, password(&other, "f-1"));
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn providers_accept_it() {
        for number in 0..200 {
            let password = maker("a random secret of the host, of 32").password(&key(&format!("f-{number}")));
            let text = password.expose_secret();
            assert_eq!(text.len(), 32);
            assert!(text.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it)), "{text}");
            for sort in [char::is_uppercase, char::is_lowercase, char::is_numeric] {
                assert!(text.chars().any(sort), "{text}");
            }
        }
    }

    #[test]
    fn what_can_be_guessed_is_no_secret() {
        let why = PasswordMaker::new(&SecretString::from("hunter2")).expect_err("it is short");
        assert!(why.contains("32") && !why.contains("hunter2"), "{why}");
        assert!(!format!("{:?}", maker("a random secret of the host, of 32")).contains("secret"));
    }
}
