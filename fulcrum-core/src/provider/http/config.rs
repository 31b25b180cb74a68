//! Configuration of the connection to an API.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::provider::{AccessDenied, Base};

/// The largest allowed value of `max_answer_bytes`.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Connection settings, equal for every adapter. All have defaults.
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
    /// The API's address; none for the provider's public one. Plain `http` is accepted on loopback only.
    pub base_url: Option<String>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time of one request with its response, in milliseconds.
    pub timeout_ms: u64,
    /// The largest response, in bytes, after decompression; at most 268,435,456.
    pub max_answer_bytes: usize,
    /// A file of certificate authorities in PEM that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy; none for that of the environment (`HTTPS_PROXY`, `NO_PROXY`). The environment's proxy is not used for an API
    /// on this machine, and a proxy set here only if it is on this machine, too.
    pub proxy: Option<String>,
    /// Whether connections are reused.
    pub keep_alive: bool,
    /// Prefix of the `User-Agent`, such as `panel/2.1`.
    pub user_agent: Option<String>,
    /// A file to which each request and response is appended, for bug reports. It holds fields of an allow-list, and of all
    /// others type and length. Only its owner may read it.
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
    /// A copy with paths made absolute from `base`.
    ///
    /// # Errors
    /// [`HttpConfigError::AccessDenied`]: a document that is not trusted names a file elsewhere, or a proxy.
    pub fn below(mut self, base: impl Into<Base>) -> Result<Self, HttpConfigError> {
        let base = base.into();
        if self.proxy.is_some() {
            base.check_setting("proxy")?;
        }
        if let Some(path) = &mut self.ca_file {
            *path = base.to_read(path)?;
        }
        if let Some(path) = &mut self.record {
            *path = base.to_write(path)?;
        }
        Ok(self)
    }

    /// The API's address: `base_url`, or `otherwise`.
    ///
    /// # Errors
    /// The address is not valid, holds a password, or would send credentials in the clear.
    pub(super) fn address(&self, otherwise: &str) -> Result<url::Url, HttpConfigError> {
        let text = self.base_url.as_deref().unwrap_or(otherwise);
        let bad = |why: &str| HttpConfigError::Address { address: text.to_owned(), why: why.to_owned() };
        let mut url = url::Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            let address = format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or_default());
            let why = "a password does not belong into an address; use the credential settings".to_owned();
            return Err(HttpConfigError::Address { address, why });
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(bad("credentials would be sent in the clear; write https")),
            _ => return Err(bad("write an address that begins with https")),
        }
        if is_loopback(&url) && self.proxy.as_deref().is_some_and(|proxy| !is_proxy_here(proxy)) {
            return Err(bad("the API is on this machine, and `proxy` is not; leave `proxy` out"));
        }
        // Path segments are appended to this address.
        url.path_segments_mut()
            .map_err(|()| bad("the address has no path; write https://host/path"))?
            .pop_if_empty();
        url.set_query(None);
        url.set_fragment(None);
        Ok(url)
    }

    /// `max_answer_bytes`, checked.
    ///
    /// # Errors
    /// The value is larger than any API's response, and would fill the memory.
    pub(super) fn checked_max_answer_bytes(&self) -> Result<usize, HttpConfigError> {
        if self.max_answer_bytes > MAX_ANSWER_BYTES {
            let bytes = self.max_answer_bytes;
            return Err(HttpConfigError::Setting(format!(
                "max_answer_bytes: {bytes} is more than {MAX_ANSWER_BYTES}; write less"
            )));
        }
        Ok(self.max_answer_bytes)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.max(1))
    }
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_local_name(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// `localhost` and the names below it, which are never resolved over the network (RFC 6761, section 6.3).
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a proxy is on this machine.
pub(super) fn is_proxy_here(proxy: &str) -> bool {
    let parsed = if proxy.contains("://") { proxy.parse() } else { format!("http://{proxy}").parse() };
    parsed.is_ok_and(|url: url::Url| match url.host_str().map(str::parse::<std::net::IpAddr>) {
        // The parser takes an IP address for a name if the scheme is not http or https.
        Some(Ok(address)) => address.to_canonical().is_loopback(),
        _ => is_loopback(&url),
    })
}

/// The connection settings of an API are not valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpConfigError {
    /// The address is not valid.
    #[error("{address:?} is not a valid API address: {why}")]
    Address {
        /// The configured address, without a password.
        address: String,
        /// Why it is not valid.
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
    /// A credential is missing.
    #[error("no credential: {0}")]
    Credential(String),
    /// The document may not access a path, host or setting.
    #[error(transparent)]
    AccessDenied(#[from] AccessDenied),
    /// A certificate file or another setting is not valid.
    #[error("{0}")]
    Setting(String),
}

/// A regional API address: the pattern with `{region}` replaced. The region's name comes from a price table, whose author must
/// not be able to choose another host.
///
/// # Errors
/// The region cannot be part of a host name.
#[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
pub(crate) fn regional_url(
    pattern: &str,
    region: &crate::model::RegionId,
) -> Result<String, HttpConfigError> {
    let name = region.as_str();
    if !pattern.contains("{region}") {
        return Ok(pattern.to_owned());
    }
    let bad = |why: &str| {
        HttpConfigError::Setting(format!("the region {name:?} {why}; write the provider's own name for it"))
    };
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&name.len()) && name.bytes().all(is_plain);
    if !is_label || name.starts_with('-') || name.ends_with('-') {
        return Err(bad("cannot be part of a host name (a-z, 0-9 and -)"));
    }
    let address = pattern.replace("{region}", name);
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    let meant = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_meant = |url: &url::Url| {
        let rest = url.host_str().and_then(|host| meant.strip_prefix(host));
        rest.is_some_and(|port| port.is_empty() || port.starts_with(':'))
    };
    if url::Url::parse(&address).ok().as_ref().is_none_or(|url| !is_meant(url)) {
        return Err(bad("leads to another host than the pattern"));
    }
    Ok(address)
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
        assert!(address("http://localhost:8080").is_ok() && address("http://a.localhost.:8080").is_ok());
        assert!(address("http://[::ffff:127.0.0.1]:8080").is_ok());
        assert!(address("http://127.0.0.1.cloud.example").is_err());
        assert!(address("http://localhost.cloud.example").is_err());
        assert!(address("http://notlocalhost").is_err());
        assert!(address("ftp://cloud.example").is_err());
    }

    #[test]
    fn an_api_on_this_machine_has_no_proxy_elsewhere() {
        let through = |proxy: &str| {
            let (base_url, proxy) = (Some("http://127.0.0.1:8080".to_owned()), Some(proxy.to_owned()));
            HttpConfig { base_url, proxy, ..HttpConfig::default() }.address("https://unused.example")
        };
        for here in ["http://127.0.0.1:3128", "localhost:3128", "http://[::1]:1", "socks5h://127.0.0.1:1080"]
        {
            assert!(through(here).is_ok(), "{here}");
        }
        for there in
            ["http://proxy.example:3128", "proxy.example", "http://10.0.0.1:3128", "socks5://10.0.0.1:1"]
        {
            let error = through(there).expect_err(there).to_string();
            assert!(error.contains("leave `proxy` out"), "{error}");
        }
    }

    #[test]
    fn a_region_chooses_no_host() {
        let pattern = "https://ec2.{region}.cloud.example/v2";
        let address = |name: &str| regional_url(pattern, &name.parse().expect("a region's name"));
        assert_eq!(address("eu-west-1").expect("a region"), "https://ec2.eu-west-1.cloud.example/v2");
        for odd in [
            "evil.example#",
            "evil.example?",
            "evil.example\\",
            "x.evil.example/",
            "a.b",
            "-a",
            "a-",
            "ä",
            "A",
            "a@b",
        ] {
            // Some are no names of regions at all.
            let Ok(region) = odd.parse() else { continue };
            assert!(regional_url(pattern, &region).is_err(), "{odd}");
        }
        let here = regional_url("http://127.0.0.1:80/{region}", &"a".parse().expect("a name"));
        assert_eq!(here.expect("here"), "http://127.0.0.1:80/a");
        let one = regional_url("https://cloud.example", &"Region.One".parse().expect("a name"));
        assert_eq!(one.expect("one for all"), "https://cloud.example");
    }

    #[test]
    fn no_document_makes_answers_unbounded() {
        let live = |max_answer_bytes| {
            crate::provider::http::NetworkTransport::new(&HttpConfig {
                max_answer_bytes,
                ..HttpConfig::default()
            })
        };
        assert!(live(MAX_ANSWER_BYTES).is_ok());
        for much in [MAX_ANSWER_BYTES + 1, usize::MAX] {
            let error = live(much).expect_err("too much").to_string();
            assert!(error.contains("max_answer_bytes") && error.contains("write less"), "{error}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let error = address("https://me:canary@cloud.example").expect_err("it has a password").to_string();
        assert!(!error.contains("canary"), "{error}");
    }
}
