//! The allow-list: names of harmless fields and headers in the APIs of all adapters.

/// Objects that hold further fields of the API.
const NESTED_OBJECTS: &[&str] = &[
    "action",
    "actions",
    "addressesset",
    "amount",
    "associationset",
    "attachment",
    "attachments",
    "attachmentset",
    "availabilityzoneinfo",
    "blockdevicemapping",
    "blockstoragevolumes",
    "catalog",
    "costs",
    "currentstate",
    "data",
    "datacenter",
    "datacenters",
    "defaultpool",
    "deprecation",
    "details",
    "domain",
    "ebs",
    "elasticips",
    "endpoints",
    "error",
    "errors",
    "externalgatewayinfo",
    "fault",
    "fixedips",
    "flavor",
    "flavors",
    "flavorslinks",
    "floatingip",
    "floatingips",
    "floatingipslinks",
    "gpuinfo",
    "gpus",
    "healthmonitor",
    "image",
    "images",
    "imagesset",
    "instance",
    "instances",
    "instancesset",
    "instancestate",
    "instancetype",
    "instancetypes",
    "instancetypeset",
    "internetgatewayset",
    "ipaddress",
    "ipaddresses",
    "ipv4",
    "ipv6",
    "item",
    "label",
    "links",
    "listeners",
    "loadbalancer",
    "loadbalancers",
    "loadbalancerslinks",
    "localimages",
    "location",
    "locations",
    "members",
    "memoryinfo",
    "meta",
    "network",
    "networkinterfaceset",
    "networks",
    "nextactions",
    "pagination",
    "placement",
    "plan",
    "plans",
    "pool",
    "pools",
    "ports",
    "previousstate",
    "pricehourly",
    "pricemonthly",
    "prices",
    "pricing",
    "primaryips",
    "privatenet",
    "productcodes",
    "project",
    "publicip",
    "publicips",
    "publicnet",
    "reference",
    "reservationset",
    "resources",
    "router",
    "routers",
    "routerslinks",
    "routes",
    "routeset",
    "routetableset",
    "securitygroupinfo",
    "server",
    "servers",
    "serverslinks",
    "servertype",
    "servertypes",
    "serverusages",
    "services",
    "statereason",
    "storage",
    "storagedevice",
    "storagedevices",
    "storages",
    "subnet",
    "subnets",
    "subnetset",
    "subnetslinks",
    "task",
    "template",
    "templates",
    "tenantusage",
    "tenantusagelinks",
    "token",
    "vcpuinfo",
    "version",
    "versions",
    "volume",
    "volumeattachment",
    "volumes",
    "volumesattached",
    "volumeset",
    "volumeslinks",
    "vpc",
    "vpcset",
    "zones",
    "zonestate",
];

/// Objects whose field names somebody has chosen, such as products by name.
const OBJECTS_KEYED_BY_NAME: &[&str] = &["addresses", "extravolumes", "servers", "volumes", "zone"];

/// Names that APIs give to secrets and nobody gives to a product or network.
const SECRET_NAMES: &[&str] =
    &["auth", "console", "credential", "key", "pass", "rescue", "secret", "token", "user"];

/// Objects that hold the customer's own labels.
const CUSTOMER_LABELS: &[&str] = &["labels", "metadata", "tags", "tagset"];

/// Fields whose values pass.
const ALLOWED_FIELDS: &[&str] = &[
    "access",
    "action",
    "addr",
    "address",
    "allocationid",
    "allowreassociation",
    "amount",
    "arch",
    "architecture",
    "associationid",
    "authorized",
    "availability",
    "availabilityzone",
    "availabilityzones",
    "available",
    "bindable",
    "boottype",
    "bucket",
    "chf",
    "cidr",
    "cidrblock",
    "code",
    "commercialtype",
    "compatiblecommercialtypes",
    "corenumber",
    "cores",
    "count",
    "cpus",
    "cputype",
    "currency",
    "datacenter",
    "defaultvcpus",
    "deleteontermination",
    "destinationcidrblock",
    "device",
    "deviceid",
    "deviceindex",
    "devicename",
    "deviceowner",
    "disabled",
    "disk",
    "dnsname",
    "domain",
    "dynamiciprequired",
    "endofservice",
    "endtime",
    "errorcode",
    "eur",
    "exitstatus",
    "expiresat",
    "externalgatewayinfo",
    "family",
    "filter",
    "flavor",
    "flavorref",
    "floatingipaddress",
    "floatingnetworkid",
    "free",
    "gatewayid",
    "gbp",
    "gpu",
    "gpuamount",
    "gpus",
    "gross",
    "healthcheckprotocol",
    "hourlyprice",
    "hours",
    "href",
    "id",
    "image",
    "imageid",
    "instance",
    "instanceid",
    "instancesretrievable",
    "instancetype",
    "interface",
    "internetgatewayid",
    "ip",
    "ipaddress",
    "ipv6address",
    "ipversion",
    "issuedat",
    "kind",
    "labelselector",
    "lastpage",
    "lbalgorithm",
    "license",
    "limit",
    "listenerarn",
    "loadbalancerarn",
    "loadbalancername",
    "location",
    "lock",
    "locked",
    "marker",
    "maxcount",
    "maxmem",
    "maxresults",
    "memory",
    "memoryamount",
    "mincount",
    "minversion",
    "monthlyprice",
    "name",
    "ncpus",
    "net",
    "network",
    "networkid",
    "networkinterfaceid",
    "networks",
    "newid",
    "nextpage",
    "node",
    "operatingstatus",
    "operation",
    "originalname",
    "page",
    "perpage",
    "plan",
    "planid",
    "platform",
    "port",
    "portid",
    "price",
    "privateip",
    "privateipaddress",
    "productcode",
    "progress",
    "project",
    "protocol",
    "protocolport",
    "provisioningstatus",
    "publicip",
    "ram",
    "region",
    "regionid",
    "rel",
    "requestid",
    "resource",
    "resourceid",
    "resourcetype",
    "return",
    "rootdevicename",
    "routerid",
    "routetableid",
    "scheme",
    "serverid",
    "serviceid",
    "size",
    "sizeinmib",
    "sort",
    "sortdir",
    "sortkey",
    "startaftercreate",
    "starttime",
    "state",
    "statedetail",
    "status",
    "storage",
    "storagesize",
    "storagetier",
    "storagetitle",
    "subnetid",
    "subnets",
    "targetgrouparn",
    "targetgroupname",
    "targettype",
    "taskstate",
    "template",
    "tier",
    "title",
    "totalcount",
    "totalentries",
    "type",
    "unavailableafter",
    "unit",
    "url",
    "usageoperation",
    "usd",
    "uuid",
    "vcpus",
    "version",
    "vipaddress",
    "vipnetworkid",
    "vipsubnetid",
    "vmid",
    "volumeid",
    "volumes",
    "volumesize",
    "volumetype",
    "vpcid",
    "zone",
    "zonename",
    "zones",
    "zonestate",
    "zonetype",
];

/// Messages for people, which may hold anything.
const MESSAGE_FIELDS: &[&str] = &[
    "argumentname",
    "description",
    "detail",
    "details",
    "errormessage",
    "errors",
    "exitstatus",
    "fields",
    "helpmessage",
    "message",
    "messages",
    "reason",
    "statereason",
    "title",
];

/// Headers whose values pass.
const ALLOWED_HEADERS: &[&str] = &[
    "age",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "openstack-api-version",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "server",
    "transfer-encoding",
    "vary",
    "x-openstack-nova-api-version",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-total-count",
];

/// The longest text that can be an API's keyword.
const MAX_KEYWORD_BYTES: usize = 128;
/// A longer run of letters and digits is more likely random than a name.
const MAX_ALPHANUMERIC_RUN: usize = 32;

/// `task_state`, `taskState` and `OS-EXT-STS:task_state` are one name.
fn plain(name: &str) -> String {
    let name = name.rsplit(':').next().unwrap_or(name);
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_in(names: &[&str], name: &str) -> bool {
    names.contains(&plain(name).as_str())
}

pub(super) fn is_holder(name: &str) -> bool {
    is_in(NESTED_OBJECTS, name)
}

pub(super) fn has_names_for_fields(name: &str) -> bool {
    is_in(OBJECTS_KEYED_BY_NAME, name)
}

pub(super) fn is_telling(name: &str) -> bool {
    let name = plain(name);
    SECRET_NAMES.iter().any(|word| name.contains(word))
}

pub(super) fn is_free(name: &str) -> bool {
    is_in(CUSTOMER_LABELS, name)
}

pub(super) fn is_harmless(name: &str) -> bool {
    is_in(ALLOWED_FIELDS, name)
}

pub(super) fn is_worded(name: &str) -> bool {
    is_in(MESSAGE_FIELDS, name)
}

pub(super) fn is_header(name: &str) -> bool {
    ALLOWED_HEADERS.contains(&name)
}

/// Whether a text looks like a name, number, date or state, and not like a sentence or token.
pub(super) fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/+-@%".contains(c);
    text.len() <= MAX_KEYWORD_BYTES
        && text.chars().all(is_plain)
        && text.split(|c: char| !c.is_ascii_alphanumeric()).all(|run| run.len() <= MAX_ALPHANUMERIC_RUN)
}

/// Whether this library writes the text: a step's key, or a label's name.
pub(super) fn is_ours(text: &str) -> bool {
    let is_key = text.strip_prefix("f-").is_some_and(|rest| {
        rest.len() >= 38
            && rest.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
            && rest.matches('-').count() >= 5
    });
    // Proxmox has no field for what a task is called.
    let is_task = text.starts_with("UPID:") && text.len() <= 200 && !text.contains(char::is_whitespace);
    let is_label = text.strip_prefix("fulcrum").is_some_and(|rest| {
        rest.split('=').count() <= 2
            && rest.split('=').all(is_word)
            && rest.starts_with(|c: char| !c.is_ascii_alphanumeric())
    });
    is_key || is_task || is_label || text == "fulcrum"
}
