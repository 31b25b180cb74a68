//! What a document may read, write and reach: decided by the program that opens it, never by the document.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

use crate::model::{DocumentError, parse_json};

/// Credentials that adapters take from the environment by default, and the host of the API that each is for. A `*` stands for
/// the name of a region: hosts beside those of the API may be anybody's.
const USUAL: [(&str, &str); 8] = [
    ("env:AWS_ACCESS_KEY_ID", "ec2.*.amazonaws.com"),
    ("env:AWS_SECRET_ACCESS_KEY", "ec2.*.amazonaws.com"),
    ("env:AWS_SESSION_TOKEN", "ec2.*.amazonaws.com"),
    ("env:EXOSCALE_API_KEY", "api-*.exoscale.com"),
    ("env:EXOSCALE_API_SECRET", "api-*.exoscale.com"),
    ("env:HCLOUD_TOKEN", "api.hetzner.cloud"),
    ("env:SCW_SECRET_KEY", "api.scaleway.com"),
    ("env:UPCLOUD_TOKEN", "api.upcloud.com"),
];

/// What a document may read and reach besides what lies below its own folder. Nothing, unless the program says so.
///
/// ```
/// use fulcrum_core::provider::Reach;
/// let reach = Reach::default()
///     .folder("/srv/catalogues")
///     .credential("env:OSB_PASSWORD", "broker.hoster.example");
/// # let _ = reach;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Reach {
    folders: Vec<PathBuf>,
    credentials: Vec<(String, String)>,
    ledgers: Vec<String>,
}

impl Reach {
    /// Files below this folder may be read, too.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(absolute(folder.into()));
        self
    }

    /// The secret of this place (`env:NAME` or `file:PATH`, as documents write it) may be sent to this host and to those below
    /// it.
    #[must_use]
    pub fn credential(mut self, place: impl Into<String>, host: impl Into<String>) -> Self {
        self.credentials.push((place.into(), host.into()));
        self
    }

    /// The ledger may be this one, as the document writes it: `env:NAME` or an address of a database.
    #[must_use]
    pub fn ledger(mut self, name: impl Into<String>) -> Self {
        self.ledgers.push(name.into());
        self
    }
}

/// The folder from the root on; as it is where the process's own folder is gone.
fn absolute(folder: PathBuf) -> PathBuf {
    // An empty path is the process's folder, too.
    std::path::absolute(Path::new(".").join(&folder)).unwrap_or(folder)
}

/// Where the paths of a document start, and what it may read, write and reach.
///
/// A relative folder is below the one that the process is in now: it stays the same if the process goes elsewhere.
/// A document of the program's operator is [`trusted`](Self::trusted). Any other is [`confined`](Self::confined): it reads and
/// writes files below one folder, and sends each secret only to the hosts that it is for.
#[derive(Debug, Clone)]
pub struct Base {
    folder: PathBuf,
    /// None for everything.
    reach: Option<Arc<Reach>>,
}

impl Base {
    /// For a document that the operator of the program has written: it reads, writes and reaches what it names.
    pub fn trusted(folder: impl Into<PathBuf>) -> Self {
        Self { folder: absolute(folder.into()), reach: None }
    }

    /// For a document of anybody.
    pub fn confined(folder: impl Into<PathBuf>, reach: Reach) -> Self {
        Self { folder: absolute(folder.into()), reach: Some(Arc::new(reach)) }
    }

    /// Reads what programs in C and Python say of a document: `{\"trusted\": true}`, or a [`Reach`]. No text is the default one.
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
    pub fn from_json(folder: impl Into<PathBuf>, reach: &str) -> Result<Self, DocumentError> {
        let told: Told = if reach.is_empty() { Told::default() } else { parse_json(reach)? };
        if told.trusted {
            return Ok(Self::trusted(folder));
        }
        let folders = told.folders.into_iter().map(absolute).collect();
        let mut reach = Reach { folders, ledgers: told.ledgers, ..Reach::default() };
        for (place, hosts) in told.credentials {
            reach = hosts.into_iter().fold(reach, |reach, host| reach.credential(&place, host));
        }
        Ok(Self::confined(folder, reach))
    }

    /// The folder that paths start from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the document may do whatever the program may.
    pub fn is_trusted(&self) -> bool {
        self.reach.is_none()
    }

    /// The path of a file or folder to read.
    ///
    /// # Errors
    /// [`Outside`]: it is none of those that the document may read.
    pub fn to_read(&self, path: &Path) -> Result<PathBuf, Outside> {
        let Some(reach) = &self.reach else { return Ok(self.folder.join(path)) };
        let folders = std::iter::once(&self.folder).chain(&reach.folders);
        self.within(path, &folders.map(PathBuf::as_path).collect::<Vec<_>>())
    }

    /// The path of a file or folder to write, which need not exist.
    ///
    /// # Errors
    /// [`Outside`]: it does not lie below the document's folder.
    pub fn to_write(&self, path: &Path) -> Result<PathBuf, Outside> {
        if self.is_trusted() {
            Ok(self.folder.join(path))
        } else {
            self.within(path, &[self.folder.as_path()])
        }
    }

    /// Where a path leads if that is within one of the folders, links followed.
    fn within(&self, path: &Path, folders: &[&Path]) -> Result<PathBuf, Outside> {
        let outside = || Outside::File { path: path.to_owned(), folder: self.folder.clone() };
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(outside());
        }
        let joined = here(&self.folder).join(path);
        let real = real(&joined).map_err(|_| outside())?;
        let roots: Vec<PathBuf> =
            folders.iter().filter_map(|folder| std::fs::canonicalize(here(folder)).ok()).collect();
        let is_within = |path: &Path| roots.iter().any(|root| path.starts_with(root));
        // A folder is read with what is in it, and a table with the file of the same name beside it.
        let beside = ["csv", "json"].map(|ending| joined.with_extension(ending));
        let entries = std::fs::read_dir(&joined).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_table = |file: &PathBuf| file.extension().is_some_and(|it| it == "csv" || it == "json");
        let lead_out = entries.filter(is_table).chain(beside).any(|file| {
            file.is_symlink() && !std::fs::canonicalize(&file).is_ok_and(|real| is_within(&real))
        });
        if !is_within(&real) || lead_out { Err(outside()) } else { Ok(joined) }
    }

    /// Whether the secret of a place may be sent to a host. `usual` is the place from which the adapter takes this very secret by
    /// default: what that holds goes to the adapter's own API, and so does a file in its stead. With authorities of the document's
    /// own, a secret goes only where the program says: else they could make anybody that host.
    ///
    /// # Errors
    /// [`Outside`]: the secret is not for that host.
    pub fn check_sent(
        &self,
        place: &str,
        usual: Option<&str>,
        host: &str,
        has_own_authorities: bool,
    ) -> Result<(), Outside> {
        let Some(reach) = &self.reach else { return Ok(()) };
        let is_told = reach.credentials.iter().any(|(it, at)| it == place && is_below(host, at));
        let is_usual = |(it, at): &(&str, &str)| {
            usual == Some(it) && (*it == place || place.starts_with("file:")) && is_api(host, at)
        };
        if is_told || (!has_own_authorities && USUAL.iter().any(is_usual)) {
            return Ok(());
        }
        Err(Outside::Host { place: place.to_owned(), host: host.to_owned() })
    }

    /// Whether a secret of this place may be sent anywhere at all. Asked before it is read: a document does not learn whether a
    /// variable is there that is none of its business.
    ///
    /// # Errors
    /// [`Outside`]: the program names no host for it, and no adapter takes it by default.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only APIs have secrets"))]
    pub(crate) fn check_named(&self, place: &str) -> Result<(), Outside> {
        let Some(reach) = &self.reach else { return Ok(()) };
        if reach.credentials.iter().any(|(it, _)| it == place) || USUAL.iter().any(|(it, _)| *it == place) {
            return Ok(());
        }
        Err(Outside::Host { place: place.to_owned(), host: "any host".to_owned() })
    }

    /// Whether a document may name a setting that decides whom this machine talks to.
    ///
    /// # Errors
    /// [`Outside`]: the program alone sets it.
    pub fn check_setting(&self, setting: &'static str) -> Result<(), Outside> {
        if self.is_trusted() { Ok(()) } else { Err(Outside::Setting { setting }) }
    }

    /// Whether the ledger may be one that is no file.
    ///
    /// # Errors
    /// [`Outside`]: the program does not say so.
    pub fn check_ledger(&self, name: &str) -> Result<(), Outside> {
        let is_told = self.reach.as_ref().is_none_or(|reach| reach.ledgers.iter().any(|it| it == name));
        if is_told { Ok(()) } else { Err(Outside::Ledger { name: name.to_owned() }) }
    }
}

/// What a program says of a document, in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Told {
    trusted: bool,
    folders: Vec<PathBuf>,
    credentials: BTreeMap<String, Vec<String>>,
    ledgers: Vec<String>,
}

/// A configuration that a program builds itself is the program's own.
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

/// A document names what it may not read, write or reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Outside {
    /// A file or folder.
    #[error(
        "{path} is not below {folder}, where this document may read and write; move it there, or open the document as trusted",
        path = .path.display(),
        folder = here(.folder).display()
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
         (`Reach::credential`), or opens the document as trusted"
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
        "the ledger {name} may not be opened; the program that opens the document names it (`Reach::ledger`), or opens the \
         document as trusted"
    )]
    Ledger {
        /// As the document writes it.
        name: String,
    },
}

/// A folder as the system takes it: no text is the working folder.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// A path without links, also of what does not exist yet.
fn real(path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(real) => Ok(real),
        // A link that leads nowhere leads there once something is written.
        Err(error) if path.is_symlink() => Err(error),
        Err(error) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
            Ok(real(here(parent))?.join(name))
        }
    }
}

/// Whether a host is that of an API, or of one of its regions where the pattern has a `*`.
fn is_api(host: &str, pattern: &str) -> bool {
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
            let bases = [Base::trusted(folder), Base::confined(folder, Reach::default().folder("y"))];
            for base in bases {
                assert!(base.folder().is_absolute(), "{folder:?}: {base:?}");
                let folders = base.reach.iter().flat_map(|reach| &reach.folders);
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
            assert_eq!(base.check_sent(place, None, host, false).is_ok(), may, "{place} {host}");
        }
        assert_eq!(base.check_ledger("env:L"), Ok(()));
        assert!(base.check_ledger("env:M").is_err() && base.to_read(Path::new("/etc")).is_ok());
        assert!(Base::from_json("x", r#"{"trusted": true}"#).is_ok_and(|base| base.is_trusted()));
        for reach in ["", "{}"] {
            let base = Base::from_json("x", reach).expect("the default");
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
        let reach = Reach::default().credential("env:OSB_PASSWORD", "broker.example");
        let base = Base::confined("x", reach);
        let hetzner = Some("env:HCLOUD_TOKEN");
        let (aws, exoscale) = (Some("env:AWS_SECRET_ACCESS_KEY"), Some("env:EXOSCALE_API_KEY"));
        for (place, usual, host) in [
            ("env:HCLOUD_TOKEN", hetzner, "api.hetzner.cloud"),
            ("env:HCLOUD_TOKEN", hetzner, "API.hetzner.cloud."),
            ("file:token", hetzner, "api.hetzner.cloud"),
            ("env:EXOSCALE_API_KEY", exoscale, "api-ch-gva-2.exoscale.com"),
            ("env:AWS_SECRET_ACCESS_KEY", aws, "ec2.eu-central-1.amazonaws.com"),
            ("file:token", aws, "ec2.us-gov-west-1.amazonaws.com"),
            ("env:OSB_PASSWORD", None, "broker.example"),
            ("env:OSB_PASSWORD", hetzner, "a.broker.example"),
        ] {
            assert_eq!(base.check_sent(place, usual, host, false), Ok(()), "{place} {host}");
        }
        for (place, usual, host) in [
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
            assert!(base.check_sent(place, usual, host, false).is_err(), "{place} {host}");
            assert_eq!(Base::trusted("x").check_sent(place, usual, host, true), Ok(()));
        }
        assert!(base.check_sent("env:HCLOUD_TOKEN", hetzner, "api.hetzner.cloud", true).is_err());
        assert!(base.check_sent("env:OSB_PASSWORD", None, "broker.example", true).is_ok());
    }
}
