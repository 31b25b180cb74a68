//! Access control for configuration documents: the program that opens a document decides what it may read, write and reach.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::model::{DocumentError, parse_json};

/// Default credentials of the adapters, and the API host that each may be sent to. `*` stands for a region's name.
const DEFAULT_CREDENTIALS: [(&str, &str); 18] = [
    ("env:AWS_ACCESS_KEY_ID", "ec2.*.amazonaws.com"),
    ("env:AWS_ACCESS_KEY_ID", "elasticloadbalancing.*.amazonaws.com"),
    ("env:AWS_ACCESS_KEY_ID", "rds.*.amazonaws.com"),
    ("env:AWS_ACCESS_KEY_ID", "s3.*.amazonaws.com"),
    ("env:AWS_SECRET_ACCESS_KEY", "ec2.*.amazonaws.com"),
    ("env:AWS_SECRET_ACCESS_KEY", "elasticloadbalancing.*.amazonaws.com"),
    ("env:AWS_SECRET_ACCESS_KEY", "rds.*.amazonaws.com"),
    ("env:AWS_SECRET_ACCESS_KEY", "s3.*.amazonaws.com"),
    ("env:AWS_SESSION_TOKEN", "ec2.*.amazonaws.com"),
    ("env:AWS_SESSION_TOKEN", "elasticloadbalancing.*.amazonaws.com"),
    ("env:AWS_SESSION_TOKEN", "rds.*.amazonaws.com"),
    ("env:AWS_SESSION_TOKEN", "s3.*.amazonaws.com"),
    ("env:FULCRUM_PASSWORD_SECRET", "rds.*.amazonaws.com"),
    ("env:EXOSCALE_API_KEY", "api-*.exoscale.com"),
    ("env:EXOSCALE_API_SECRET", "api-*.exoscale.com"),
    ("env:HCLOUD_TOKEN", "api.hetzner.cloud"),
    ("env:SCW_SECRET_KEY", "api.scaleway.com"),
    ("env:UPCLOUD_TOKEN", "api.upcloud.com"),
];

/// Grants for a confined document, beyond files below its own folder. Empty by default.
///
/// ```
/// use fulcrum_core::provider::AccessGrants;
/// let grants = AccessGrants::default()
///     .folder("/srv/catalogues")
///     .credential("env:OSB_PASSWORD", "broker.hoster.example");
/// # let _ = grants;
/// ```
#[derive(Debug, Clone, Default)]
pub struct AccessGrants {
    folders: Vec<PathBuf>,
    credentials: Vec<(String, String)>,
    ledgers: Vec<String>,
}

impl AccessGrants {
    /// Grants reading files below this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(absolute(folder.into()));
        self
    }

    /// Grants sending the secret of this source (`env:NAME` or `file:PATH`) to this host and its subdomains.
    #[must_use]
    pub fn credential(mut self, place: impl Into<String>, host: impl Into<String>) -> Self {
        self.credentials.push((place.into(), host.into()));
        self
    }

    /// Grants this ledger, as the document writes it: `env:NAME` or a database URL.
    #[must_use]
    pub fn ledger(mut self, name: impl Into<String>) -> Self {
        self.ledgers.push(name.into());
        self
    }
}

/// The absolute path of a folder; unchanged if the working directory does not exist.
fn absolute(folder: PathBuf) -> PathBuf {
    // An empty path is the working directory.
    std::path::absolute(Path::new(".").join(&folder)).unwrap_or(folder)
}

/// The base folder of a document's paths, with the document's access rights.
///
/// A relative folder is resolved at once against the working directory.
/// A document of the program's operator is [`trusted`](Self::trusted). Any other is [`confined`](Self::confined): it reads and
/// writes files below one folder, and sends each secret only to the hosts that may get it.
#[derive(Debug, Clone)]
pub struct Base {
    folder: PathBuf,
    /// None for a trusted document.
    grants: Option<Arc<AccessGrants>>,
}

impl Base {
    /// For a document of the program's operator, with full access.
    pub fn trusted(folder: impl Into<PathBuf>) -> Self {
        Self { folder: absolute(folder.into()), grants: None }
    }

    /// For any other document.
    pub fn confined(folder: impl Into<PathBuf>, grants: AccessGrants) -> Self {
        Self { folder: absolute(folder.into()), grants: Some(Arc::new(grants)) }
    }

    /// Parses the access rights that C and Python programs pass: `{\"trusted\": true}`, or [`AccessGrants`]. Empty text grants
    /// nothing.
    ///
    /// ```
    /// use fulcrum_core::provider::Base;
    /// let reach = r#"{
    ///     "folders": ["/srv/catalogues"],
    ///     "credentials": {"env:OSB_PASSWORD": ["broker.hoster.example"]},
    ///     "ledgers": ["env:DATABASE_URL"]
    /// }"#;
    /// assert!(!Base::from_json("/srv/shop", reach)?.is_trusted());
    /// # Ok::<(), fulcrum_core::model::DocumentError>(())
    /// ```
    ///
    /// # Errors
    /// [`DocumentError`] with path and line.
    pub fn from_json(folder: impl Into<PathBuf>, grants: &str) -> Result<Self, DocumentError> {
        let told: AccessDocument =
            if grants.is_empty() { AccessDocument::default() } else { parse_json(grants)? };
        if told.trusted {
            return Ok(Self::trusted(folder));
        }
        let folders = told.folders.into_iter().map(absolute).collect();
        let mut grants = AccessGrants { folders, ledgers: told.ledgers, ..AccessGrants::default() };
        for (place, hosts) in told.credentials {
            grants = hosts.into_iter().fold(grants, |grants, host| grants.credential(&place, host));
        }
        Ok(Self::confined(folder, grants))
    }

    /// The base folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the document has full access.
    pub fn is_trusted(&self) -> bool {
        self.grants.is_none()
    }

    /// The path of a file or folder to read.
    ///
    /// # Errors
    /// [`AccessDenied`]: the document may not read it.
    pub fn to_read(&self, path: &Path) -> Result<PathBuf, AccessDenied> {
        let Some(grants) = &self.grants else { return Ok(self.folder.join(path)) };
        let folders = std::iter::once(&self.folder).chain(&grants.folders);
        self.confined_path(path, &folders.map(PathBuf::as_path).collect::<Vec<_>>())
    }

    /// The path of a file or folder to write, which need not exist.
    ///
    /// # Errors
    /// [`AccessDenied`]: it is not below the document's folder.
    pub fn to_write(&self, path: &Path) -> Result<PathBuf, AccessDenied> {
        if self.is_trusted() {
            Ok(self.folder.join(path))
        } else {
            self.confined_path(path, &[self.folder.as_path()])
        }
    }

    /// The path, if it leads into one of the folders when links are followed.
    fn confined_path(&self, path: &Path, folders: &[&Path]) -> Result<PathBuf, AccessDenied> {
        let outside = || AccessDenied::File { path: path.to_owned(), folder: self.folder.clone() };
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(outside());
        }
        let joined = or_current(&self.folder).join(path);
        let canonical = canonical(&joined).map_err(|_| outside())?;
        let roots: Vec<PathBuf> =
            folders.iter().filter_map(|folder| std::fs::canonicalize(or_current(folder)).ok()).collect();
        let is_within = |path: &Path| roots.iter().any(|root| path.starts_with(root));
        // Reading a folder reads its tables; reading a table reads the companion file of the same name.
        let beside = ["csv", "json"].map(|ending| joined.with_extension(ending));
        let entries = std::fs::read_dir(&joined).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_table = |file: &PathBuf| file.extension().is_some_and(|it| it == "csv" || it == "json");
        let lead_out = entries.filter(is_table).chain(beside).any(|file| {
            file.is_symlink() && !std::fs::canonicalize(&file).is_ok_and(|canonical| is_within(&canonical))
        });
        if !is_within(&canonical) || lead_out { Err(outside()) } else { Ok(joined) }
    }

    /// Succeeds if the secret of a source may be sent to a host. `default_source` is the adapter's default source of this secret:
    /// its value, or that of a file in its stead, may go to the adapter's own API. With certificate authorities of the
    /// document's own, only granted hosts count, as any host could present a matching certificate.
    ///
    /// # Errors
    /// [`AccessDenied`]: the secret is not for that host.
    pub fn check_destination(
        &self,
        place: &str,
        default_source: Option<&str>,
        host: &str,
        has_own_authorities: bool,
    ) -> Result<(), AccessDenied> {
        let Some(grants) = &self.grants else { return Ok(()) };
        let is_granted = grants.credentials.iter().any(|(it, at)| it == place && is_below(host, at));
        let is_usual = |(it, at): &(&str, &str)| {
            default_source == Some(it)
                && (*it == place || place.starts_with("file:"))
                && matches_host(host, at)
        };
        if is_granted || (!has_own_authorities && DEFAULT_CREDENTIALS.iter().any(is_usual)) {
            return Ok(());
        }
        Err(AccessDenied::Host { place: place.to_owned(), host: host.to_owned() })
    }

    /// Succeeds if the secret of a source may be sent to any host at all. Checked before the secret is read, so that a document
    /// cannot probe environment variables.
    ///
    /// # Errors
    /// [`AccessDenied`]: no grant names the source, and it is no adapter's default.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only APIs have secrets"))]
    pub(crate) fn check_source(&self, place: &str) -> Result<(), AccessDenied> {
        let Some(grants) = &self.grants else { return Ok(()) };
        if grants.credentials.iter().any(|(it, _)| it == place)
            || DEFAULT_CREDENTIALS.iter().any(|(it, _)| *it == place)
        {
            return Ok(());
        }
        Err(AccessDenied::Host { place: place.to_owned(), host: "any host".to_owned() })
    }

    /// Succeeds if the document may use a setting that redirects traffic.
    ///
    /// # Errors
    /// [`AccessDenied`]: only a trusted document may.
    pub fn check_setting(&self, setting: &'static str) -> Result<(), AccessDenied> {
        if self.is_trusted() { Ok(()) } else { Err(AccessDenied::Setting { setting }) }
    }

    /// Succeeds if the document may use this ledger, which is not a file.
    ///
    /// # Errors
    /// [`AccessDenied`]: the program does not grant it.
    pub fn check_ledger(&self, name: &str) -> Result<(), AccessDenied> {
        let is_granted = self.grants.as_ref().is_none_or(|grants| grants.ledgers.iter().any(|it| it == name));
        if is_granted { Ok(()) } else { Err(AccessDenied::Ledger { name: name.to_owned() }) }
    }
}

/// Access rights in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccessDocument {
    trusted: bool,
    folders: Vec<PathBuf>,
    credentials: BTreeMap<String, Vec<String>>,
    ledgers: Vec<String>,
}

/// A configuration that the program builds itself is trusted.
impl From<&Path> for Base {
    fn from(folder: &Path) -> Self {
        Self::trusted(folder)
    }
}

impl From<&PathBuf> for Base {
    fn from(folder: &PathBuf) -> Self {
        Self::trusted(folder)
    }
}

impl From<&Base> for Base {
    fn from(base: &Base) -> Self {
        base.clone()
    }
}

/// A document names something that it may not access.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessDenied {
    /// A file or folder.
    #[error(
        "{path} is not below {folder}, where this document may read and write; move it there, or open the document as trusted",
        path = .path.display(),
        folder = or_current(.folder).display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// The document's folder.
        folder: PathBuf,
    },
    /// A host.
    #[error(
        "the secret {place} may not be sent to {host}; the program that opens the document names the hosts of a secret \
         (`AccessGrants::credential`), or opens the document as trusted"
    )]
    Host {
        /// Where the secret is.
        place: String,
        /// Who would get it.
        host: String,
    },
    /// A setting.
    #[error(
        "`{setting}` may stand in a trusted document only; set it in the environment, or open the document as trusted"
    )]
    Setting {
        /// Which.
        setting: &'static str,
    },
    /// A ledger.
    #[error(
        "the ledger {name} may not be opened; the program that opens the document names it (`AccessGrants::ledger`), or opens the \
         document as trusted"
    )]
    Ledger {
        /// As the document writes it.
        name: String,
    },
}

/// The folder, or `.` for an empty path.
fn or_current(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The canonical path, also of a file that does not exist yet.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(canonical) => Ok(canonical),
        // A dangling link leads elsewhere once something is written.
        Err(error) if path.is_symlink() => Err(error),
        Err(error) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
            Ok(canonical(or_current(parent))?.join(name))
        }
    }
}

/// Whether a host is that of an API, or of one of its regions where the pattern has a `*`.
fn matches_host(host: &str, pattern: &str) -> bool {
    let host = host.trim_end_matches('.');
    match pattern.split_once('*') {
        None => host.eq_ignore_ascii_case(pattern),
        Some((head, tail)) => {
            let host = host.to_ascii_lowercase();
            host.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)).is_some_and(is_region)
        }
    }
}

/// `eu-central-1`, `us-gov-west-1`: letters of a country or a continent, words, and a number. A service's name, such as `s3`, is
/// none, and hosts below it may be anybody's.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let are = |part: &str, is: fn(&u8) -> bool| !part.is_empty() && part.bytes().all(|byte| is(&byte));
    matches!(parts.as_slice(), [place, words @ .., number] if place.len() == 2
        && !words.is_empty()
        && are(place, u8::is_ascii_lowercase)
        && words.iter().all(|word| are(word, u8::is_ascii_lowercase))
        && are(number, u8::is_ascii_digit))
}

fn is_below(host: &str, allowed: &str) -> bool {
    let (host, allowed) = (host.trim_end_matches('.'), allowed.trim_end_matches('.'));
    host.len().checked_sub(allowed.len()).is_some_and(|at| {
        host.is_char_boundary(at)
            && host[at..].eq_ignore_ascii_case(allowed)
            && (at == 0 || (host[..at].ends_with('.') && !allowed.is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_where_it_was_when_the_process_goes_elsewhere() {
        for folder in ["", ".", "x", "/x"] {
            let bases = [Base::trusted(folder), Base::confined(folder, AccessGrants::default().folder("y"))];
            for base in bases {
                assert!(base.folder().is_absolute(), "{folder:?}: {base:?}");
                let folders = base.grants.iter().flat_map(|grants| &grants.folders);
                assert!(folders.into_iter().all(|folder| folder.is_absolute()), "{base:?}");
            }
        }
        assert_eq!(Base::trusted("x").folder(), std::env::current_dir().expect("a folder").join("x"));
    }

    #[test]
    fn what_a_program_says_in_json_is_what_it_says_in_rust() {
        let told = r#"{"folders": ["/"], "credentials": {"env:A": ["a.example", "b.example"]}, "ledgers": ["env:L"]}"#;
        let base = Base::from_json("x", told).expect("a reach");
        assert!(!base.is_trusted());
        for (place, host, may) in
            [("env:A", "a.example", true), ("env:A", "b.example", true), ("env:B", "a.example", false)]
        {
            assert_eq!(base.check_destination(place, None, host, false).is_ok(), may, "{place} {host}");
        }
        assert_eq!(base.check_ledger("env:L"), Ok(()));
        assert!(base.check_ledger("env:M").is_err() && base.to_read(Path::new("/etc")).is_ok());
        assert!(Base::from_json("x", r#"{"trusted": true}"#).is_ok_and(|base| base.is_trusted()));
        for grants in ["", "{}"] {
            let base = Base::from_json("x", grants).expect("the default");
            assert!(!base.is_trusted() && base.to_read(Path::new("/etc")).is_err());
        }
        for wrong in [
            "trusted",
            r#"{"trust": true}"#,
            r#"{"trusted": 1}"#,
            r#"{"credentials": {"env:A": "a.example"}}"#,
        ] {
            assert!(Base::from_json("x", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_goes_to_the_hosts_that_it_is_for() {
        let grants = AccessGrants::default().credential("env:OSB_PASSWORD", "broker.example");
        let base = Base::confined("x", grants);
        let hetzner = Some("env:HCLOUD_TOKEN");
        let (aws, exoscale) = (Some("env:AWS_SECRET_ACCESS_KEY"), Some("env:EXOSCALE_API_KEY"));
        for (place, default_source, host) in [
            ("env:HCLOUD_TOKEN", hetzner, "api.hetzner.cloud"),
            ("env:HCLOUD_TOKEN", hetzner, "API.hetzner.cloud."),
            ("file:token", hetzner, "api.hetzner.cloud"),
            ("env:EXOSCALE_API_KEY", exoscale, "api-ch-gva-2.exoscale.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2.eu-central-1.amazonaws.com"),
            ("file:token", aws, "ec2.us-gov-west-1.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "s3.eu-west-3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "elasticloadbalancing.eu-west-3.amazonaws.com"),
            ("env:OSB_PASSWORD", None, "broker.example"),
            ("env:OSB_PASSWORD", hetzner, "a.broker.example"),
        ] {
            assert_eq!(base.check_destination(place, default_source, host, false), Ok(()), "{place} {host}");
        }
        for (place, default_source, host) in [
            ("env:HCLOUD_TOKEN", hetzner, "evil.example"),
            ("env:HCLOUD_TOKEN", hetzner, "a.api.hetzner.cloud"),
            ("env:HCLOUD_TOKEN", hetzner, "api.hetzner.cloud.evil.example"),
            ("env:HCLOUD_TOKEN", hetzner, "evilapi.hetzner.cloud.evil"),
            ("env:HCLOUD_TOKEN", hetzner, "127.0.0.1"),
            // Another adapter's variable, or another field's.
            ("env:HCLOUD_TOKEN", None, "api.hetzner.cloud"),
            ("env:HCLOUD_TOKEN", exoscale, "api.hetzner.cloud"),
            ("env:EXOSCALE_API_SECRET", exoscale, "api-ch-gva-2.exoscale.com"),
            ("env:AWS_SECRET_ACCESS_KEY", hetzner, "api.hetzner.cloud"),
            ("env:AWS_SECRET_ACCESS_KEY", hetzner, "ec2.eu-central-1.amazonaws.com"),
            // What anybody can rent there.
            ("env:AWS_SECRET_ACCESS_KEY", aws, "abc123.execute-api.eu-central-1.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2.s3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2.s3-eu-west-1.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "s3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "s3.s3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "evil.s3.eu-west-3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "elasticloadbalancing.s3.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2.a.eu-central-1.amazonaws.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2..amazonaws.com"),
            ("env:EXOSCALE_API_KEY", exoscale, "evil.exoscale.com"),
            ("env:EXOSCALE_API_KEY", exoscale, "api-evil.exoscale.com"),
            ("file:token", hetzner, "evil.example"),
            ("file:token", hetzner, "ec2.eu-central-1.amazonaws.com"),
            ("file:token", None, "api.hetzner.cloud"),
            ("env:OSB_PASSWORD", None, "otherbroker.example"),
            ("env:OSB_PASSWORD", None, "api.hetzner.cloud"),
            ("env:DATABASE_PASSWORD", hetzner, "api.hetzner.cloud"),
        ] {
            assert!(base.check_destination(place, default_source, host, false).is_err(), "{place} {host}");
            assert_eq!(Base::trusted("x").check_destination(place, default_source, host, true), Ok(()));
        }
        assert!(base.check_destination("env:HCLOUD_TOKEN", hetzner, "api.hetzner.cloud", true).is_err());
        assert!(base.check_destination("env:OSB_PASSWORD", None, "broker.example", true).is_ok());
    }
}
