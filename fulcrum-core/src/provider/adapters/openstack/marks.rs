//! What is written on the resources of a purchase: key, product, zone, and the server they are for.
//!
//! Where a service has metadata, each has a field of its own. Elsewhere they stand in the description:
//! `fulcrum-key=<key> sku=<sku> zone=<zone> attach=<service>`.

use serde_json::{Map, Value, json};

use super::resources::{Rest, Sort};
use crate::{
    model::{IdempotencyKey, SkuId, ZoneId},
    provider::{
        adapters::kit::{Order, Resource},
        portable,
    },
};

/// The field with the key; it begins a description.
const KEY: &str = "fulcrum-key";
const SKU: &str = "fulcrum-sku";
const ZONE: &str = "fulcrum-zone";
const ATTACH: &str = "fulcrum-attach";
const SKU_IN_WORDS: &str = " sku=";
const ZONE_IN_WORDS: &str = " zone=";
const ATTACH_IN_WORDS: &str = " attach=";
/// Characters of the longest name.
const MAX_NAME_CHARS: usize = 255;

/// What a resource says of its purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub key: Option<IdempotencyKey>,
    pub sku: Option<SkuId>,
    pub zone: Option<ZoneId>,
    /// The service to which it was bought.
    pub attach: Option<String>,
}

/// The fields of a new resource beside its own: name, and marks.
pub(super) fn marked(rest: &Rest, order: &Order, mut body: Map<String, Value>) -> Map<String, Value> {
    let name: String = order.name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    let attach = order.setting("attach");
    let zone = order.zone.as_ref().map(ToString::to_string);
    if rest.has_metadata {
        let labels =
            portable::labels_of(&order.settings).into_iter().map(|(name, value)| (name, value.into()));
        let own = [
            (KEY, Some(order.key.to_string())),
            (SKU, Some(order.sku.to_string())),
            (ZONE, zone),
            (ATTACH, attach),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        body.insert("metadata".to_owned(), Value::Object(labels.chain(own).collect()));
    } else {
        let part =
            |prefix: &str, value: Option<String>| value.map(|it| format!("{prefix}{it}")).unwrap_or_default();
        let words = [
            format!("{KEY}={}{SKU_IN_WORDS}{}", order.key, order.sku),
            part(ZONE_IN_WORDS, zone),
            part(ATTACH_IN_WORDS, attach),
        ];
        body.insert("description".to_owned(), json!(words.concat()));
    }
    // A floating IP has no name.
    if rest.one != "floatingip" {
        body.insert("name".to_owned(), json!(name));
    }
    body
}

/// The marks of a row.
pub(super) fn marks_of(row: &Value) -> Marks {
    match row.get("metadata").and_then(Value::as_object) {
        Some(metadata) => {
            let text = |name: &str| metadata.get(name).and_then(Value::as_str);
            Marks {
                key: text(KEY).and_then(|key| IdempotencyKey::new(key).ok()),
                sku: text(SKU).and_then(|sku| SkuId::new(sku).ok()),
                zone: text(ZONE).and_then(|zone| ZoneId::new(zone).ok()),
                attach: text(ATTACH).map(str::to_owned),
            }
        }
        None => row.get("description").and_then(Value::as_str).and_then(in_words).unwrap_or_default(),
    }
}

fn in_words(description: &str) -> Option<Marks> {
    let rest = description.strip_prefix(KEY)?.strip_prefix('=')?;
    let (key, rest) = rest.split_once(SKU_IN_WORDS)?;
    let (rest, attach) = rest.split_once(ATTACH_IN_WORDS).map_or((rest, None), |(rest, it)| (rest, Some(it)));
    let (sku, zone) = rest.split_once(ZONE_IN_WORDS).map_or((rest, None), |(rest, it)| (rest, Some(it)));
    Some(Marks {
        key: IdempotencyKey::new(key).ok(),
        sku: SkuId::new(sku).ok(),
        zone: zone.and_then(|zone| ZoneId::new(zone).ok()),
        attach: attach.map(str::to_owned),
    })
}

/// Whether a row that cannot be read is certainly not this library's: its marks are there, and hold no key.
pub(super) fn is_foreign(row: &Value) -> bool {
    let metadata = row.get("metadata").and_then(Value::as_object);
    let description = row.get("description").and_then(Value::as_str);
    metadata.is_some_and(|it| !it.contains_key(KEY)) || description.is_some_and(|it| !it.starts_with(KEY))
}

/// A row as a resource; none if it has no id.
pub(super) fn resource(sort: Sort, row: Value) -> Option<Resource> {
    let marks = marks_of(&row);
    Some(Resource {
        id: row.get("id")?.as_str()?.to_owned(),
        key: marks.key,
        sku: marks.sku,
        zone: marks.zone,
        number: None,
        state: sort.state(&row),
        value: row,
    })
}

/// The server to which a resource was bought.
pub(super) fn attached_server(resource: &Resource) -> Option<String> {
    let service = marks_of(&resource.value).attach?;
    service.split_once('/').map(|(_, id)| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_a_resource_is_read() {
        let key = IdempotencyKey::new("f-1").expect("a key");
        let order: Order = serde_json::from_value(json!({
            "key": key, "kind": "public_ip", "sku": "ip v4", "region": "r", "zone": "z-1", "name": "a\nb",
            "settings": { "attach": "r/5", "labels": { "team": "shop" } },
        }))
        .expect("an order");
        for sort in [Sort::FloatingIp, Sort::Volume, Sort::Router] {
            let rest = sort.rest().expect("it has documents");
            let row = Value::Object(marked(rest, &order, Map::new()));
            let marks = marks_of(&row);
            assert_eq!((marks.key.as_ref(), marks.sku.as_ref()), (Some(&key), Some(&order.sku)), "{row}");
            assert_eq!((marks.zone.as_ref(), marks.attach.as_deref()), (order.zone.as_ref(), Some("r/5")));
            assert!(!is_foreign(&row), "{row}");
        }
        let old = json!({ "description": "fulcrum-key=f-1 sku=floating ip" });
        assert_eq!(marks_of(&old).sku.map(|sku| sku.to_string()).as_deref(), Some("floating ip"));
        for foreign in
            [json!({ "description": "" }), json!({ "metadata": {} }), json!({ "description": "x" })]
        {
            assert_eq!(marks_of(&foreign), Marks::default());
            assert!(is_foreign(&foreign));
        }
        assert!(!is_foreign(&json!({})), "nobody knows");
    }
}
