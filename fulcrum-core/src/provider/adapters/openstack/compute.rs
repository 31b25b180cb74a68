//! Nova and its microversions.

use super::wire;
use crate::provider::{
    Call, ErrorKind, ProviderError, Result,
    http::{Client, Request},
};

/// The newest version that is used: since 2.61 flavors are listed with their extra specs.
const NEWEST_USED: Microversion = Microversion(2, 61);
/// Since this version the request that makes a server can set tags.
const TAGS_SINCE: Microversion = Microversion(2, 52);
/// Since this version a request must name networks.
const NETWORKS_SINCE: Microversion = Microversion(2, 37);
/// Since this version a list without a query names the servers of cells that are down, with part of their fields.
const DOWN_CELLS_SINCE: Microversion = Microversion(2, 69);

/// A version of nova's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(u32, u32);

impl Microversion {
    const OLDEST: Self = Self(2, 1);

    fn of(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Nova in one region, with the microversion of requests.
#[derive(Debug, Clone)]
pub(super) struct Compute {
    pub client: Client,
    /// The newest version that nova and this adapter know.
    version: Microversion,
    /// The newest version that nova knows.
    newest: Microversion,
}

impl Compute {
    pub(super) fn new(client: Client, newest: Microversion) -> Self {
        Self { client, version: newest.min(NEWEST_USED), newest }
    }

    pub(super) fn has_tags(&self) -> bool {
        self.version >= TAGS_SINCE
    }

    pub(super) fn needs_networks(&self) -> bool {
        self.version >= NETWORKS_SINCE
    }

    /// Whether a list names servers whose cell is down.
    pub(super) fn lists_down_cells(&self) -> bool {
        self.newest >= DOWN_CELLS_SINCE
    }

    /// A request with the version.
    pub(super) fn with_version(&self, request: Request) -> Request {
        Self::with_microversion(self.version, request)
    }

    /// A request for a list that names servers whose cell is down; see [`lists_down_cells`](Self::lists_down_cells).
    pub(super) fn with_cells_version(&self, request: Request) -> Request {
        Self::with_microversion(DOWN_CELLS_SINCE, request)
    }

    fn with_microversion(Microversion(major, minor): Microversion, request: Request) -> Request {
        // The second header is for versions before 2.27.
        request
            .header("openstack-api-version", &format!("compute {major}.{minor}"))
            .header("x-openstack-nova-api-version", &format!("{major}.{minor}"))
    }
}

/// The newest version that nova knows.
pub(super) async fn newest(client: &Client, call: Call) -> Result<Microversion> {
    // The URL may end in the project; the version document is above it.
    let mut address = client.base_url().clone();
    let kept = client.base_url().path().split('/').scan(false, |is_over, segment| {
        let keep = !*is_over;
        *is_over = *is_over || segment.starts_with("v2");
        keep.then_some(segment)
    });
    address.set_path(&kept.collect::<Vec<_>>().join("/"));
    let root = client.with_base_url(address.as_str());
    let root = root.map_err(|error| {
        let kind = ErrorKind::Protocol { message: error.to_string() };
        ProviderError::new(client.provider().clone(), call, kind)
    })?;
    match root.send_ok(&Request::get(call, [""])).await {
        Ok(response) => {
            let wire::VersionReply { version } = response.json()?;
            Ok(Microversion::of(&version.version).unwrap_or(Microversion::OLDEST))
        }
        // A gateway hides the version document.
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. } | ErrorKind::Forbidden) => {
            Ok(Microversion::OLDEST)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert!(Microversion::of("2.100") > Microversion::of("2.61"));
        assert_eq!(Microversion::of("2.9").map(|it| it.min(NEWEST_USED)), Some(Microversion(2, 9)));
        assert_eq!(Microversion::of(""), None);
    }
}
