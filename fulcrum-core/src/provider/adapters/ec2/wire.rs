//! The API's documents in XML, as far as they are used.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Map, Value};

use super::tags::KEY_TAG;
use crate::{
    model::{SkuId, map_of},
    provider::{
        Result,
        http::{HTML_PAGE, Response, reject_row},
    },
};

/// An element. Names are compared without their namespace, which is the API's version.
#[derive(Clone, Copy)]
pub(super) struct Xml<'a, 'input>(pub Node<'a, 'input>);

impl<'a, 'input> Xml<'a, 'input> {
    fn child(self, name: &str) -> Option<Self> {
        self.0.children().find(|node| node.tag_name().name() == name).map(Self)
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        let text = self.child(name)?.0.text()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number<T: std::str::FromStr>(self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// The elements of a list; none if the list is missing, which is not an empty list.
    fn list(self, name: &str) -> Option<impl Iterator<Item = Self> + use<'a, 'input>> {
        let children = self.child(name)?.0.children();
        Some(children.filter(|node| node.tag_name().name() == "item").map(Self))
    }

    /// The elements of a list that may be left out when it is empty.
    fn items(self, name: &str) -> impl Iterator<Item = Self> + use<'a, 'input> {
        self.list(name).into_iter().flatten()
    }
}

/// Reads a response.
///
/// # Errors
/// A protocol error: the response is not XML, or lacks a field. The request may have had its effect.
pub(super) fn read<T>(response: &Response, parse: impl FnOnce(Xml<'_, '_>) -> Option<T>) -> Result<T> {
    if response.is_html_page() {
        return Err(response.unexpected_document(HTML_PAGE));
    }
    if !response.is_of_type("xml") {
        return Err(response.unexpected_document("its content type is not XML"));
    }
    let text = std::str::from_utf8(response.body()).map_err(|error| response.unexpected_document(error))?;
    let document =
        Document::parse_with_options(text, options()).map_err(|error| response.unexpected_document(error))?;
    let root = document.root_element();
    let name = root.tag_name().name();
    response.collecting_rejections(|| parse(Xml(root))).ok_or_else(|| match name.ends_with("Response") {
        true => response.protocol_error(format!("{name} lacks a field, or is about something else")),
        false => response.unexpected_document(format!("it is a document of `{name}`")),
    })
}

/// The names of a list's elements: EC2's, those of other query APIs, S3's, and RDS's. An element of RDS that stands alone is a list
/// of one.
const LIST_ELEMENTS: [&str; 6] = ["item", "member", "Bucket", "Tag", "DBInstance", "DBSubnetGroup"];

/// A response as data: an element with elements becomes an object, a list an array, and all else text.
pub(super) fn document(response: &Response) -> Result<Value> {
    read(response, |root| Some(value(root.0)))
}

fn value(node: Node<'_, '_>) -> Value {
    let children: Vec<_> = node.children().filter(Node::is_element).collect();
    if children.is_empty() {
        return match node.text().map(str::trim) {
            None | Some("") => Value::Null,
            Some(text) => Value::String(text.to_owned()),
        };
    }
    if children.iter().all(|child| LIST_ELEMENTS.contains(&child.tag_name().name())) {
        return children.into_iter().map(value).collect();
    }
    let mut fields = Map::new();
    for child in children {
        let (name, value) = (child.tag_name().name(), value(child));
        match fields.get_mut(name) {
            None => drop(fields.insert(name.to_owned(), value)),
            Some(Value::Array(several)) => several.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}

/// The most nodes of a document: each takes a hundred times its bytes in memory.
fn options<'input>() -> ParsingOptions<'input> {
    ParsingOptions { nodes_limit: 2 << 20, ..ParsingOptions::default() }
}

/// A page, and the token of the next one.
pub(super) struct ListPage<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// An instance type.
#[derive(Debug, Clone)]
pub(super) struct InstanceType {
    pub name: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub gpus: Option<u32>,
}

pub(super) fn instance_types(root: Xml<'_, '_>) -> Option<ListPage<InstanceType>> {
    let parse = |item: Xml<'_, '_>| {
        let gpus = item
            .child("gpuInfo")
            .map(|gpus| gpus.items("gpus").filter_map(|gpu| gpu.number::<u32>("count")).sum());
        Some(InstanceType {
            name: item.text("instanceType")?,
            vcpus: item.child("vCpuInfo")?.number("defaultVCpus")?,
            memory_mib: item.child("memoryInfo")?.number("sizeInMiB")?,
            gpus,
        })
    };
    let mut items = Vec::new();
    for (item, at) in root.list("instanceTypeSet")?.zip(1..) {
        match parse(item) {
            Some(item) => items.push(item),
            None => reject_row(
                item.text("instanceType").unwrap_or_else(|| format!("row {at}")),
                "it lacks a size",
            ),
        }
    }
    Some(ListPage { items, next: root.text("nextToken") })
}

/// The zones that can be used now.
pub(super) fn zones(root: Xml<'_, '_>) -> Option<Vec<String>> {
    let is_usable = |zone: &Xml<'_, '_>| {
        zone.text("zoneState").is_none_or(|state| state == "available")
            && zone.text("zoneType").is_none_or(|kind| kind == "availability-zone")
    };
    Some(
        root.list("availabilityZoneInfo")?
            .filter(is_usable)
            .filter_map(|zone| zone.text("zoneName"))
            .collect(),
    )
}

/// A machine.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub id: String,
    pub kind: SkuId,
    pub state: String,
    pub zone: Option<String>,
    pub public: Option<String>,
    pub private: Option<String>,
    /// The code of the reason for its state.
    pub reason: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Disks that are attached.
    pub volumes: Vec<Volume>,
    /// Network interfaces that are attached beside the first.
    pub interfaces: Vec<String>,
}

/// An attached disk.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub id: String,
    /// Whether it ends with the machine.
    pub ends: bool,
}

fn volume(item: Xml<'_, '_>) -> Option<Volume> {
    let disk = item.child("ebs")?;
    Some(Volume {
        id: disk.text("volumeId")?,
        ends: disk.text("deleteOnTermination").is_some_and(|ends| ends == "true"),
    })
}

/// A network interface beside the first, which is made with the machine.
fn further_interface(item: Xml<'_, '_>) -> Option<String> {
    let at: u32 = item.child("attachment")?.number("deviceIndex")?;
    item.text("networkInterfaceId").filter(|_| at > 0)
}

fn instance(item: Xml<'_, '_>) -> Option<Instance> {
    let tag = |tag: Xml<'_, '_>| Some((tag.text("key")?, tag.text("value").unwrap_or_default()));
    Some(Instance {
        id: item.text("instanceId")?,
        kind: SkuId::new(item.text("instanceType")?).ok()?,
        state: item.child("instanceState")?.text("name")?,
        zone: item.child("placement").and_then(|placement| placement.text("availabilityZone")),
        public: item.text("ipAddress"),
        private: item.text("privateIpAddress"),
        reason: item.child("stateReason").and_then(|reason| reason.text("code")),
        tags: map_of(item.items("tagSet").filter_map(tag)),
        volumes: item.items("blockDeviceMapping").filter_map(volume).collect(),
        interfaces: item.items("networkInterfaceSet").filter_map(further_interface).collect(),
    })
}

fn is_foreign(item: Xml<'_, '_>) -> bool {
    item.list("tagSet")
        .is_some_and(|mut tags| tags.all(|tag| tag.text("key").is_some_and(|key| key != KEY_TAG)))
}

/// `DescribeInstances`. Absence from a list is a proof, so it must be this list, and complete.
pub(super) fn instances(root: Xml<'_, '_>) -> Option<ListPage<Instance>> {
    let mut items = Vec::new();
    for reservation in root.list("reservationSet")? {
        for item in reservation.list("instancesSet")? {
            match instance(item) {
                Some(instance) => items.push(instance),
                // It is certainly not this library's: its tags are there, and none is a key.
                None if is_foreign(item) => {
                    reject_row(item.text("instanceId").unwrap_or_default(), "it lacks a field");
                }
                None => return None,
            }
        }
    }
    let is_it = root.0.tag_name().name() == "DescribeInstancesResponse";
    (is_it || !items.is_empty()).then(|| ListPage { items, next: root.text("nextToken") })
}

/// A disk by itself.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub id: String,
    pub kind: Option<String>,
    /// `available`, `in-use`, `deleting`, ….
    pub status: String,
    pub tags: BTreeMap<String, String>,
    /// The machines that it is attached to.
    pub machines: Vec<String>,
}

/// `DescribeVolumes`. Absence from a list is a proof, so it must be this list, and complete.
pub(super) fn volumes(root: Xml<'_, '_>) -> Option<ListPage<Disk>> {
    let tag = |tag: Xml<'_, '_>| Some((tag.text("key")?, tag.text("value").unwrap_or_default()));
    let disk = |item: Xml<'_, '_>| {
        let is_on = |at: &Xml<'_, '_>| {
            at.text("status").is_none_or(|it| !matches!(it.as_str(), "detaching" | "detached"))
        };
        let attached = item.items("attachmentSet").filter(is_on);
        Some(Disk {
            id: item.text("volumeId")?,
            kind: item.text("volumeType"),
            status: item.text("status")?,
            tags: map_of(item.items("tagSet").filter_map(tag)),
            machines: attached.map(|at| at.text("instanceId").unwrap_or_default()).collect(),
        })
    };
    let items = root.list("volumeSet")?.map(disk).collect::<Option<Vec<_>>>()?;
    let is_it = root.0.tag_name().name() == "DescribeVolumesResponse";
    (is_it || !items.is_empty()).then(|| ListPage { items, next: root.text("nextToken") })
}

/// An image: its disks, and its licence.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The device name of its system disk.
    pub root: Option<String>,
    /// The device names of all disks that are made with a machine, and their GiB.
    pub disks: Vec<(String, Option<u64>)>,
    /// The field that shows a paid licence.
    pub licence: Option<String>,
}

/// The field that shows a paid image: a licensed system, the code of a billed usage, or a marketplace product.
fn licence(item: Xml<'_, '_>) -> Option<String> {
    let platform = item.text("platform").filter(|platform| !platform.eq_ignore_ascii_case("linux"));
    let usage = item.text("usageOperation").filter(|usage| usage != "RunInstances");
    let product = item.items("productCodes").find_map(|code| code.text("productCode"));
    let told = [("platform", platform), ("usage operation", usage), ("product code", product)];
    told.into_iter().find_map(|(name, value)| Some(format!("{name} {}", value?)))
}

/// `DescribeImages`: of each the day of its creation, and its id.
pub(super) fn dated_images(root: Xml<'_, '_>) -> Option<Vec<(String, String)>> {
    root.child("imagesSet")?;
    let dated = |item: Xml<'_, '_>| Some((item.text("creationDate")?, item.text("imageId")?));
    Some(root.items("imagesSet").filter_map(dated).collect())
}

/// `DescribeImages`: the first one.
pub(super) fn image(root: Xml<'_, '_>) -> Option<Option<Image>> {
    root.child("imagesSet")?;
    let image = |item: Xml<'_, '_>| {
        let disk = |disk: Xml<'_, '_>| {
            let ebs = disk.child("ebs")?;
            Some((disk.text("deviceName")?, ebs.number("volumeSize")))
        };
        Image {
            root: item.text("rootDeviceName"),
            disks: item.items("blockDeviceMapping").filter_map(disk).collect(),
            licence: licence(item),
        }
    };
    Some(root.items("imagesSet").next().map(image))
}

/// `RunInstances`: the id of the new machine.
pub(super) fn new_instance_id(root: Xml<'_, '_>) -> Option<String> {
    root.items("instancesSet").next()?.text("instanceId")
}

/// The machines that the response to an action names, if any.
pub(super) fn acted_instances(root: Xml<'_, '_>) -> Option<Vec<String>> {
    // A bare `Response` is an error's document.
    let is_answer = root.0.tag_name().name().strip_suffix("Response").is_some_and(|it| !it.is_empty());
    let is_refused = root.text("return").is_some_and(|said| said != "true");
    let named = root.items("instancesSet").filter_map(|it| it.text("instanceId"));
    (is_answer && !is_refused).then(|| named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_list_itself_proves_that_nothing_is_in_it() {
        let read = |text: &str| {
            let document = Document::parse(text).expect("xml");
            instances(Xml(document.root_element())).map(|page| page.items.len())
        };
        let empty = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
        assert_eq!(read(empty), Some(0));
        for other in [
            "<html><head><title>Maintenance</title></head><body/></html>",
            "<DescribeInstancesResponse><requestId>1</requestId></DescribeInstancesResponse>",
            "<DescribeInstancesResponse><reservationSet><item/></reservationSet></DescribeInstancesResponse>",
            "<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>",
            "<r><reservationSet/></r>",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn instances_are_read_by_their_names_whatever_the_version() {
        let text = "<R xmlns='urn:x'><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceType>t</instanceType>
            <instanceState><code>16</code><name>running</name></instanceState><placement><availabilityZone>a</availabilityZone></placement>
            <tagSet><item><key>k</key><value>v</value></item><item><key>empty</key><value/></item></tagSet>
            </item></instancesSet></item></reservationSet><nextToken>n</nextToken></R>";
        let document = Document::parse(text).expect("xml");
        let page = instances(Xml(document.root_element())).expect("a page");
        assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("n")));
        let Instance { id, state, zone, tags, .. } = &page.items[0];
        assert_eq!((id.as_str(), state.as_str(), zone.as_deref()), ("i-1", "running", Some("a")));
        assert_eq!((tags["k"].as_str(), tags["empty"].as_str()), ("v", ""));
    }
}
