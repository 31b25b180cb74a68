//! The services' documents, as far as they are used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::services::KEY_FIELD;
use crate::provider::http::LenientList;

/// Keystone: `POST /auth/tokens`.
#[derive(Deserialize)]
pub(super) struct TokenReply {
    pub token: TokenBody,
}

#[derive(Deserialize)]
pub(super) struct TokenBody {
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub project: Option<Owner>,
    #[serde(default)]
    pub user: Option<Owner>,
    #[serde(default)]
    pub catalog: LenientList<CatalogueEntry>,
}

/// A project or a user, as far as a token tells.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Owner {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    domain: Option<Domain>,
}

#[derive(Debug, Clone, Deserialize)]
struct Domain {
    #[serde(default)]
    name: Option<String>,
}

impl Owner {
    /// The name of its domain.
    pub(super) fn domain(&self) -> Option<&str> {
        self.domain.as_ref()?.name.as_deref()
    }
}

/// One type of service, and its endpoints.
#[derive(Debug, Deserialize)]
pub(super) struct CatalogueEntry {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub endpoints: LenientList<Endpoint>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    pub interface: String,
    #[serde(default)]
    pub region_id: Option<String>,
    #[serde(default)]
    pub region: Option<String>,
    pub url: String,
}

/// A resource with an id.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Named {
    pub id: String,
}

/// Nova: the version document at its address.
#[derive(Deserialize)]
pub(super) struct VersionReply {
    pub version: Version,
}

#[derive(Deserialize)]
pub(super) struct Version {
    #[serde(default)]
    pub version: String,
}

/// Another page follows if a link has this relation.
#[derive(Deserialize)]
pub(super) struct Link {
    pub rel: String,
}

pub(super) fn has_next(links: &[Link]) -> bool {
    links.iter().any(|link| link.rel == "next")
}

#[derive(Deserialize)]
pub(super) struct FlavorPage {
    pub flavors: LenientList<Flavor>,
    #[serde(default)]
    pub flavors_links: Vec<Link>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Flavor {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub vcpus: u32,
    /// MiB.
    #[serde(default)]
    pub ram: u64,
    /// GiB.
    #[serde(default)]
    pub disk: u64,
    #[serde(default, rename = "OS-FLV-DISABLED:disabled")]
    pub is_disabled: bool,
    #[serde(default)]
    pub extra_specs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct ZonePage {
    #[serde(rename = "availabilityZoneInfo")]
    pub zones: LenientList<Zone>,
}

#[derive(Deserialize)]
pub(super) struct Zone {
    #[serde(rename = "zoneName")]
    pub name: String,
    #[serde(rename = "zoneState")]
    pub state: ZoneState,
}

#[derive(Deserialize)]
pub(super) struct ZoneState {
    pub available: bool,
}

#[derive(Deserialize)]
pub(super) struct ServerReply<T = Server> {
    pub server: T,
}

/// Nova's response to an order.
#[derive(Deserialize)]
pub(super) struct CreatedReply {
    pub server: Named,
}

#[derive(Deserialize)]
pub(super) struct ServerPage {
    pub servers: LenientList<Server>,
    #[serde(default)]
    pub servers_links: Vec<Link>,
}

/// Whether an unreadable server is certainly not this library's: its metadata holds no key.
pub(super) fn is_foreign(row: &Value) -> bool {
    row.get("metadata").and_then(Value::as_object).is_some_and(|metadata| !metadata.contains_key(KEY_FIELD))
}

/// Whether a server is told in part only: its cell is down.
pub(super) fn is_of_down_cell(row: &Value) -> bool {
    row.get("status").is_some_and(|status| status == "UNKNOWN") && row.get("metadata").is_none()
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub status: String,
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub flavor: FlavorRef,
    #[serde(default)]
    pub addresses: BTreeMap<String, Vec<Address>>,
    #[serde(default, rename = "OS-EXT-STS:task_state")]
    pub task: Option<String>,
    #[serde(default, rename = "OS-EXT-AZ:availability_zone")]
    pub zone: Option<String>,
    #[serde(default)]
    pub fault: Option<Fault>,
    #[serde(default, rename = "os-extended-volumes:volumes_attached")]
    pub volumes: Vec<Volume>,
}

/// A volume that is attached to a server.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Volume {
    pub id: String,
    /// Whether it ends with the server; not told before microversion 2.3. A volume that is attached later stays, unless its
    /// owner sets it to end.
    #[serde(default, rename = "delete_on_termination")]
    pub ends: bool,
}

/// An id before microversion 2.47, a name since.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct FlavorRef {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub original_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    pub addr: String,
    #[serde(default, rename = "OS-EXT-IPS:type")]
    pub kind: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Fault {
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
pub(super) struct ImagePage {
    pub images: Vec<Image>,
}

#[derive(Deserialize)]
pub(super) struct Image {
    pub id: String,
    /// The volumes that are made with each server, as JSON text.
    #[serde(default)]
    block_device_mapping: Value,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    image_type: Option<String>,
}

impl Image {
    /// Whether it is no snapshot, and of the usual architecture, as far as it says.
    pub(super) fn is_usual(&self) -> bool {
        self.image_type.as_deref() != Some("snapshot")
            && self.architecture.as_deref().is_none_or(|it| it == "x86_64")
    }

    /// Whether a server of this image gets volumes.
    pub(super) fn brings_volumes(&self) -> bool {
        match &self.block_device_mapping {
            Value::Null => false,
            Value::Array(volumes) => !volumes.is_empty(),
            Value::String(text) => !matches!(text.trim(), "" | "null" | "[]"),
            _ => true,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NetworkPage {
    pub networks: Vec<Named>,
}

#[derive(Deserialize)]
pub(super) struct UsageReply {
    /// An empty object if nothing was used.
    pub tenant_usage: TenantUsage,
    #[serde(default)]
    pub tenant_usage_links: Vec<Link>,
}

#[derive(Deserialize)]
pub(super) struct TenantUsage {
    #[serde(default)]
    pub server_usages: Vec<ServerUsage>,
}

#[derive(Deserialize)]
pub(super) struct ServerUsage {
    pub instance_id: String,
    pub flavor: String,
    #[serde(with = "crate::model::decimal")]
    pub hours: Decimal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::read_foreign_json;

    #[test]
    fn the_hours_of_a_server_have_all_their_digits() {
        for (written, hours) in [
            ("0.3602777777777778", "0.3602777777777778"),
            ("12", "12"),
            ("2.5e-05", "0.000025"),
            ("744.0", "744"),
        ] {
            let text = format!(
                r#"{{ "server_usages": [{{ "instance_id": "i", "flavor": "f", "hours": {written} }}] }}"#
            );
            let read: TenantUsage =
                read_foreign_json(text.as_bytes(), 100).unwrap_or_else(|_| panic!("{written}"));
            assert_eq!(read.server_usages[0].hours.normalize().to_string(), hours);
        }
    }

    /// The examples of nova's own reference, read with the types that read real responses.
    fn sample<T: serde::de::DeserializeOwned>(name: &str) -> Option<T> {
        #[derive(Deserialize)]
        struct Sample<T> {
            body: T,
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/recordings/openstack/nova");
        if !std::path::Path::new(folder).is_dir() {
            println!("SKIPPED: no samples at {folder}");
            return None;
        }
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("a sample");
        Some(serde_json::from_str::<Sample<T>>(&text).expect(name).body)
    }

    #[test]
    fn flavors_of_the_reference_are_read() {
        for name in ["flavors__flavors-detail-resp", "flavors__v2.61__flavors-detail-resp"] {
            let Some(page) = sample::<FlavorPage>(name) else { return };
            let sizes: Vec<_> =
                page.flavors.iter().map(|it| (it.name.as_str(), it.vcpus, it.ram, it.disk)).collect();
            let known = [
                ("m1.tiny", 1, 512, 1),
                ("m1.small", 1, 2048, 20),
                ("m1.medium", 2, 4096, 40),
                ("m1.large", 4, 8192, 80),
                ("m1.xlarge", 8, 16384, 160),
                ("m1.tiny.specs", 1, 512, 1),
            ];
            assert!(known.iter().all(|size| sizes.contains(size)), "{name}: {sizes:?}");
            assert!(
                page.flavors.iter().all(|it| !it.is_disabled) && !has_next(&page.flavors_links),
                "{name}"
            );
        }
        let Some(page) = sample::<FlavorPage>("flavors__v2.61__flavors-detail-resp") else { return };
        let specs = page.flavors.iter().find(|it| it.name == "m1.tiny.specs").map(|it| &it.extra_specs);
        assert_eq!(specs.map(BTreeMap::len), Some(1));
    }

    #[test]
    fn servers_of_the_reference_are_read() {
        let Some(ServerPage { servers, .. }) = sample("servers__v2.63__servers-details-resp") else { return };
        let Some(ServerReply { server: old }) = sample("servers__server-get-resp") else { return };
        let Some(ServerReply { server }) = sample("servers__v2.63__server-get-resp") else { return };
        for server in [&servers[0], &server, &old] {
            assert_eq!((server.status.as_str(), server.zone.as_deref()), ("ACTIVE", Some("us-west")));
            assert_eq!(server.addresses["private"][0].addr, "192.168.1.30");
            assert_eq!(server.metadata.get("My Server Name").map(String::as_str), Some("Apache1"));
            assert!(server.task.is_none() && server.fault.is_none());
        }
        // An id before microversion 2.47, a name since.
        assert_eq!(old.flavor.id.as_deref(), Some("1"));
        assert_eq!(server.flavor.original_name.as_deref(), Some("m1.tiny.specs"));
        let Some(CreatedReply { server }) = sample("servers__v2.63__server-create-resp") else { return };
        assert!(!server.id.is_empty());
        let Some(ZonePage { zones }) = sample("os-availability-zone__availability-zone-list-resp") else {
            return;
        };
        assert!(zones.len() == 1 && zones[0].name == "nova" && zones[0].state.available);
    }
}
