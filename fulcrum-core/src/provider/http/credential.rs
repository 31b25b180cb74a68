//! Where a secret comes from. Documents name the place; the secret itself is never in them.

use std::{fmt, path::Path, str::FromStr};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::HttpConfigError;

/// The largest file of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Where a secret is: `env:NAME` for an environment variable, `file:PATH` for a file that holds nothing else.
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
    /// [`HttpConfigError::Credential`]: it is not there, is empty, or cannot be read. Names the place, never the secret.
    pub fn read(&self, base: &Path) -> Result<SecretString, HttpConfigError> {
        let missing = |why: String| HttpConfigError::Credential(why);
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| {
                missing(format!("the environment variable {name} is not set, or is not text"))
            })?,
            Self::File(path) => {
                let path = base.join(path);
                let io = |error: std::io::Error| missing(format!("{}: {error}", path.display()));
                if std::fs::metadata(&path).map_err(io)?.len() > MAX_BYTES {
                    return Err(missing(format!("{} is too large to be a secret", path.display())));
                }
                std::fs::read_to_string(&path).map_err(io)?
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
