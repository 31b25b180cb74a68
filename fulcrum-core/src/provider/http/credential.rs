//! Secrets and their sources. Documents name the source; the secret itself is never in them.

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::HttpConfigError;
use crate::{
    files::read_regular_text,
    provider::{AccessDenied, Base},
};

/// Bytes of a file that holds a secret.
const MAX_SECRET_FILE_BYTES: u64 = 64 << 10;

/// A secret with its source. It is read again when an API refuses it, and sent only to hosts that may get it.
#[derive(Clone)]
pub struct Secret {
    /// None for a secret of the program.
    source: Option<(Credential, Base)>,
    /// The adapter's default source, which names the API that the secret is for.
    default_source: Option<&'static str>,
    value: SecretString,
}

impl Secret {
    /// The secret as it was read.
    pub fn value(&self) -> &SecretString {
        &self.value
    }

    /// The secret as its source has it now; none if it cannot be read.
    pub(super) fn now(&self) -> Option<SecretString> {
        match &self.source {
            None => Some(self.value.clone()),
            Some((source, base)) => source.value(base).ok(),
        }
    }

    /// Succeeds if the secret may be sent to a host.
    pub(super) fn check_destination(
        &self,
        host: &str,
        has_own_authorities: bool,
    ) -> Result<(), AccessDenied> {
        match &self.source {
            None => Ok(()),
            Some((source, base)) => {
                base.check_destination(&source.to_string(), self.default_source, host, has_own_authorities)
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.as_ref().map(|(source, _)| source.to_string());
        f.debug_tuple("Secret").field(&source).finish()
    }
}

/// A secret of the program. It is never read again.
impl From<SecretString> for Secret {
    fn from(value: SecretString) -> Self {
        Self { source: None, default_source: None, value }
    }
}

impl From<&SecretString> for Secret {
    fn from(value: &SecretString) -> Self {
        Self::from(value.clone())
    }
}

impl From<&Secret> for Secret {
    fn from(secret: &Secret) -> Self {
        secret.clone()
    }
}

/// Whether two secrets are equal.
pub(super) fn is_same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

/// The source of a secret: `env:NAME` for an environment variable, `file:PATH` for a file that holds nothing else.
///
/// ```
/// use fulcrum_core::provider::http::Credential;
/// let token: Credential = "env:CLOUD_TOKEN".parse()?;
/// assert_eq!(token.to_string(), "env:CLOUD_TOKEN");
/// assert!("s3cret".parse::<Credential>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The environment variable of this name.
    Env(String),
    /// The file at this path.
    File(String),
}

impl Credential {
    /// The variable of this name.
    pub fn env(name: &str) -> Self {
        Self::Env(name.to_owned())
    }

    /// Reads the secret; a file's path starts at `base`.
    ///
    /// # Errors
    /// [`HttpConfigError::Credential`]: the secret is missing, empty or unreadable. Names the source, never the secret.
    pub fn read(&self, base: impl Into<Base>) -> Result<Secret, HttpConfigError> {
        let base = base.into();
        Ok(Secret { value: self.value(&base)?, source: Some((self.clone(), base)), default_source: None })
    }

    /// The same for the one field of an adapter that takes it from `default_source`, such as `env:HCLOUD_TOKEN`, by default. What that
    /// holds, or a file in its stead, may be sent to the adapter's API; see [`Base::check_destination`].
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_as(
        &self,
        base: impl Into<Base>,
        default_source: &'static str,
    ) -> Result<Secret, HttpConfigError> {
        Ok(Secret { default_source: Some(default_source), ..self.read(base)? })
    }

    fn value(&self, base: &Base) -> Result<SecretString, HttpConfigError> {
        let missing = |why: String| HttpConfigError::Credential(why);
        let text = match self {
            Self::Env(name) => {
                base.check_source(&self.to_string())?;
                std::env::var(name).map_err(|_| {
                    missing(format!("the environment variable {name} is not set, or is not text"))
                })?
            }
            Self::File(path) => {
                let path = base.to_read(path.as_ref())?;
                let io = |error: std::io::Error| missing(format!("{}: {error}", path.display()));
                read_regular_text(&path, MAX_SECRET_FILE_BYTES).map_err(io)?
            }
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(missing(format!("{self} is empty")));
        }
        Ok(SecretString::from(text))
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl FromStr for Credential {
    type Err = String;
    // The text is not repeated: it may be the secret itself.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::env(name)),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err("a secret does not belong into a document; write env:NAME or file:PATH".to_owned()),
        }
    }
}

impl Serialize for Credential {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Credential {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Credential".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(env|file):.+$",
            "description": "Where a secret is: env:NAME for an environment variable, file:PATH for a file."
        })
    }
}
