//! What opens a service: user names, passwords and other secrets.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};

/// What opens a service, by name: `user`, `password`, `kubeconfig`, and whatever else the provider tells.
///
/// It is given to the host that asks, and is in no plan, ledger, event, log or recording. `Debug` shows the names alone, and the
/// memory of the values is overwritten when they are dropped.
///
/// ```
/// use fulcrum_core::provider::Access;
/// use secrecy::ExposeSecret;
/// let access = Access::default().with("user", "fulcrum".to_owned()).with("password", "s3cret".to_owned());
/// assert_eq!(access.get("password").map(|it| it.expose_secret()), Some("s3cret"));
/// assert_eq!(format!("{access:?}"), r#"Access({"password", "user"})"#);
/// ```
#[derive(Clone, Default)]
pub struct Access(BTreeMap<String, SecretString>);

impl Access {
    /// With a further value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All names with their values, which the caller must keep from logs and files.
    pub fn exposed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: std::collections::BTreeSet<&str> = self.names().collect();
        f.debug_tuple("Access").field(&names).finish()
    }
}
