//! How an API is reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// How an API is reached: the same settings for every adapter. All have defaults.
///
/// ```
/// use fulcrum_core::provider::http::HttpConfig;
/// let config: HttpConfig = serde_json::from_str(r#"{"base_url": "https://cloud.example/api", "timeout_ms": 5000}"#)?;
/// assert_eq!(config.timeout_ms, 5000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where the API is; none for the provider's public address. Plain `http` is accepted on loopback only.
    pub base_url: Option<String>,
    /// The longest time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The longest time of one request with its answer, in milliseconds.
    pub timeout_ms: u64,
    /// The largest answer, in bytes, after decompression.
    pub max_answer_bytes: usize,
    /// A file of certificate authorities in PEM that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Through which proxy; none for what the environment says (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<String>,
    /// Whether connections are kept for the next request.
    pub keep_alive: bool,
    /// Stands before ours in `User-Agent`, such as `panel/2.1`.
    pub user_agent: Option<String>,
    /// A file that each request and answer is appended to, without secrets, for bug reports.
    pub record: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            connect_timeout_ms: 5_000,
            timeout_ms: 25_000,
            max_answer_bytes: 32 << 20,
            ca_file: None,
            proxy: None,
            keep_alive: true,
            user_agent: None,
            record: None,
        }
    }
}

impl HttpConfig {
    /// The same with the paths made absolute from `base`.
    #[must_use]
    pub fn below(mut self, base: &Path) -> Self {
        for path in [&mut self.ca_file, &mut self.record].into_iter().flatten() {
            *path = base.join(&*path);
        }
        self
    }

    /// The address of the API, `otherwise` unless it is set.
    ///
    /// # Errors
    /// It is no address, carries a password, or would send credentials in the clear.
    pub(super) fn address(&self, otherwise: &str) -> Result<url::Url, HttpConfigError> {
        let text = self.base_url.as_deref().unwrap_or(otherwise);
        let bad = |why: &str| HttpConfigError::Address { address: text.to_owned(), why: why.to_owned() };
        let mut url = url::Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            let address = format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or_default());
            let why = "a password does not belong into an address".to_owned();
            return Err(HttpConfigError::Address { address, why });
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(bad("credentials would be sent in the clear; write https")),
            _ => return Err(bad("write an address that begins with https")),
        }
        // Segments are appended to it.
        url.path_segments_mut().map_err(|()| bad("it has no path"))?.pop_if_empty();
        url.set_query(None);
        url.set_fragment(None);
        Ok(url)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.max(1))
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An API cannot be reached like this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpConfigError {
    /// The address is wrong.
    #[error("{address:?} is no address of an API: {why}")]
    Address {
        /// As it was written, without a password.
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A credential is not there.
    #[error("no credential: {0}")]
    Credential(String),
    /// A file of certificates, or another setting, is wrong.
    #[error("{0}")]
    Setting(String),
}

/// How long a new service may be missing from look-ups, in milliseconds, where a configuration does not say.
#[cfg(any(feature = "ec2", feature = "exoscale", feature = "hetzner", feature = "osb", feature = "proxmox"))]
pub(crate) fn list_lag_ms() -> u64 {
    10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<url::Url, HttpConfigError> {
        HttpConfig { base_url: Some(text.to_owned()), ..HttpConfig::default() }
            .address("https://unused.example")
    }

    #[test]
    fn credentials_are_sent_in_the_clear_to_this_machine_only() {
        assert!(address("http://127.0.0.1:8080/v1").is_ok());
        assert!(address("http://[::1]:8080").is_ok());
        assert!(address("http://cloud.example").is_err());
        assert!(address("http://127.0.0.1.cloud.example").is_err());
        assert!(address("ftp://cloud.example").is_err());
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let error = address("https://me:canary@cloud.example").expect_err("it has a password").to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}
