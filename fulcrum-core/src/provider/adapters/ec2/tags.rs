//! The tags that the cloud's resources carry.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resources::Sort;
use crate::{
    model::{IdempotencyKey, SkuId, ZoneId},
    provider::{
        adapters::kit::{Order, Resource, ResourceType},
        portable,
    },
};

/// The key of the purchase that made it.
pub(super) const KEY_TAG: &str = "fulcrum-key";
/// The bought product, of what is bought by itself. Parts of machines do not have it.
pub(super) const SKU_TAG: &str = "fulcrum-sku";
/// The bought zone; a machine without it may be in any.
pub(super) const ZONE_TAG: &str = "fulcrum-zone";
/// Which of a service's parts of one sort it is.
const NUMBER_TAG: &str = "fulcrum-part";
/// The machine to which a volume or an address was bought.
const ATTACH_TAG: &str = "fulcrum-attach";
/// Tells of which secret the password of a database was made.
pub(super) const PASSWORD_TAG: &str = "fulcrum-password";
/// Characters of the longest tag.
const MAX_TAG_CHARS: usize = 255;

/// The tags of a part.
pub(super) fn tags_of(sort: Sort, order: &Order) -> BTreeMap<String, String> {
    let name: String = order.name.chars().filter(|c| !c.is_control()).take(MAX_TAG_CHARS).collect();
    let labels = portable::labels_of(&order.settings);
    let own = [
        (KEY_TAG, Some(order.key.to_string())),
        (SKU_TAG, Some(order.sku.to_string())),
        (ZONE_TAG, order.zone.as_ref().map(ToString::to_string)),
        (NUMBER_TAG, sort.number().map(|number| number.to_string())),
        (ATTACH_TAG, order.setting("attach")),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    // A customer's own `Name` stands in the place of ours.
    let named = [("Name".to_owned(), name)].into_iter().filter(|(_, name)| !name.is_empty());
    named.chain(labels).chain(own).collect()
}

/// Tags in a row: `tagSet` of EC2, `TagList` of RDS, `Tags` of others.
pub(super) fn tags_in(row: &Value) -> BTreeMap<String, String> {
    let all = ["/tagSet", "/Tags", "/TagList"].iter().find_map(|at| row.pointer(at)?.as_array());
    let text = |tag: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| Some(tag.get(name)?.as_str().unwrap_or_default().to_owned()))
    };
    let tag =
        |tag: &Value| Some((text(tag, ["key", "Key"])?, text(tag, ["value", "Value"]).unwrap_or_default()));
    all.into_iter().flatten().filter_map(tag).collect()
}

/// A row as a resource.
pub(super) fn resource(sort: Sort, id: String, tags: &BTreeMap<String, String>, value: Value) -> Resource {
    Resource {
        id,
        key: tags
            .get(KEY_TAG)
            .filter(|_| tags.contains_key(SKU_TAG))
            .and_then(|key| IdempotencyKey::new(key).ok()),
        sku: tags.get(SKU_TAG).and_then(|sku| SkuId::new(sku).ok()),
        zone: tags.get(ZONE_TAG).and_then(|zone| ZoneId::new(zone).ok()),
        number: tags.get(NUMBER_TAG).and_then(|number| number.parse().ok()),
        state: sort.state(&value),
        value,
    }
}

/// The machine to which a volume or an address was bought.
pub(super) fn attached_machine(resource: &Resource) -> Option<String> {
    let service = tags_in(&resource.value).remove(ATTACH_TAG)?;
    service.rsplit_once('/').map(|(_, id)| id.to_owned())
}
