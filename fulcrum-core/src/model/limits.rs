//! All limits of documents in one table: how large a document may be, and how much may be built from it.
//!
//! A few bytes can ask for much. So the text is limited, and so are the rows, references, nodes and copies that it asks
//! for.

/// Bytes of a document that is none of those below: tables of a hundred thousand offers.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 << 20;
/// Bytes of a federation's document.
pub(crate) const MAX_FEDERATION_BYTES: usize = 4 << 20;
/// Bytes of a blueprint: cloud-init documents for all of its components fit.
pub(crate) const MAX_BLUEPRINT_BYTES: usize = 32 << 20;
/// Bytes of a policy, which can hold a blueprint.
pub(crate) const MAX_POLICY_BYTES: usize = MAX_BLUEPRINT_BYTES + (1 << 20);
/// Bytes of a plan: each lease has its settings.
pub(crate) const MAX_PLAN_BYTES: usize = 128 << 20;
/// Bytes of an archive: the plan, and all that happened.
pub(crate) const MAX_ARCHIVE_BYTES: usize = 192 << 20;
/// Bytes of a table of exchange rates: the European Central Bank's whole history fits.
pub(crate) const MAX_RATES_BYTES: usize = 16 << 20;
/// Bytes of a sandbox's state.
#[cfg_attr(not(feature = "sandbox"), allow(dead_code, reason = "only a sandbox has a state"))]
pub(crate) const MAX_SANDBOX_STATE_BYTES: usize = 256 << 20;

/// Values in a document, lists and fields included: tables of a hundred thousand offers.
pub(crate) const MAX_DOCUMENT_VALUES: usize = 5_000_000;
/// Values in one recorded event, lists and objects included.
pub(crate) const MAX_EVENT_VALUES: usize = 1_000_000;

/// Elements, attributes' names and texts of a table of exchange rates in XML.
pub(crate) const MAX_XML_NODES: u32 = 1_000_000;
/// Bytes from one tag of it to the next: each attribute is compared with all others of its tag.
pub(crate) const MAX_XML_TAG_BYTES: usize = 1 << 10;
/// Namespaces that it declares: each inner element has a copy of all outer ones.
pub(crate) const MAX_XML_NAMESPACES: usize = 64;
/// Columns of a table of exchange rates in CSV.
pub(crate) const MAX_RATE_COLUMNS: usize = 1_000;

/// Entries under `providers` of a federation's document.
#[cfg_attr(
    not(feature = "sqlite"),
    allow(dead_code, reason = "only what opens a ledger reads such a document")
)]
pub(crate) const MAX_PROVIDER_ENTRIES: usize = 1_000;
/// Providers of one catalogue.
pub(crate) const MAX_PROVIDERS: usize = 10_000;
/// Regions of one provider, and zones of one region.
pub(crate) const MAX_REGIONS: usize = 10_000;
/// Rows that the prices of one catalogue may have: a row takes half a KiB, of however few bytes it is made.
pub(crate) const MAX_PRICE_ROWS: usize = 500_000;
/// Offers that the rows of one catalogue may come to.
pub(crate) const MAX_OFFERS: usize = 500_000;
/// Places that the rows for traffic and for surcharges of one catalogue may come to.
pub(crate) const MAX_TABLE_PLACES: usize = 500_000;
/// Surcharges that are due in one zone, or in a region as a whole.
pub(crate) const MAX_SURCHARGES: usize = 32;
/// Attributes of products that a row's `with` names.
pub(crate) const MAX_WITH_ATTRIBUTES: usize = 8;
/// Tiers of one price.
pub(crate) const MAX_TIERS_PER_PRICE: usize = 100;
/// Tiers of all offers of one catalogue: each offer has its own.
pub(crate) const MAX_TIERS_PER_CATALOGUE: usize = 2_000_000;
/// Characters that say where a price was read.
pub(crate) const MAX_SOURCE_CHARS: usize = 1_000;
/// Names that an error gives to choose from.
pub(crate) const MAX_SUGGESTIONS: usize = 20;

/// Components of one blueprint.
pub(crate) const MAX_COMPONENTS: usize = 500;
/// Characters of its name.
pub(crate) const MAX_BLUEPRINT_NAME_CHARS: usize = 1_000;
/// Conditions of one blueprint.
pub(crate) const MAX_CONSTRAINTS: usize = 2_000;
/// Components that its conditions name, all together.
pub(crate) const MAX_CONSTRAINT_REFERENCES: usize = 100_000;
/// Links of one blueprint, and groups of users of all its components.
pub(crate) const MAX_LINKS: usize = 10_000;
/// Services that run already.
pub(crate) const MAX_RUNNING_SERVICES: usize = 20_000;
/// References to other components in one setting.
pub(crate) const MAX_REFERENCES_PER_SETTING: usize = 1_000;
/// References to other components in all settings of a blueprint.
pub(crate) const MAX_REFERENCES_PER_BLUEPRINT: usize = 20_000;
