//! The order of a server, with its key in metadata and tag.

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{
    client::Cloud,
    handle::{Handle, ResourceRef, network_id},
    services::KEY_FIELD,
    wire,
};
use crate::{
    model::IdempotencyKey,
    provider::{
        Call, Line, OperationHandle, Priced, ProvisionRequest, Result,
        adapters::{
            common::CallErrors, operation_owner::OperationOwner, purchase_outcome::purchase_response,
        },
        http::Request,
        portable::{self, FirstBoot, KeyWords},
    },
};

/// The price of each field of the bodies that order a server or an address.
pub const FIELDS: &[(&str, Priced)] = &[
    ("floatingip.description", Priced::Free("words cost nothing")),
    ("floatingip.floating_network_id", Priced::By(Line::Offer)),
    ("server.availability_zone", Priced::By(Line::Offer)),
    ("server.flavorRef", Priced::By(Line::Offer)),
    (
        "server.imageRef",
        Priced::Free("an image that brings volumes is refused, and a licence is part of a flavor's price"),
    ),
    ("server.key_name", Priced::Free("keys cost nothing")),
    ("server.metadata.*", Priced::Free("metadata cost nothing")),
    ("server.name", Priced::Free("names cost nothing")),
    ("server.networks", Priced::Free("addresses of a network are part of a flavor")),
    ("server.networks[].uuid", Priced::Free("addresses of a network are part of a flavor")),
    ("server.security_groups[].name", Priced::Free("security groups cost nothing")),
    ("server.tags[]", Priced::Free("tags cost nothing")),
    ("server.user_data", Priced::Free("data for the first boot cost nothing")),
];

/// The field with the bought flavor.
pub(super) const SKU_FIELD: &str = "fulcrum-sku";
/// The field with the bought zone; a server without it may be in any.
pub(super) const ZONE_FIELD: &str = "fulcrum-zone";
/// The field that records the volumes of a server's purchase.
pub(super) const DISKS_FIELD: &str = "fulcrum-disks";
/// The tag of all servers of this library.
const LIBRARY_TAG: &str = "fulcrum";
/// Characters of the longest value of nova's metadata.
const MAX_METADATA_CHARS: usize = 255;
/// Bytes of a server's user data: nova takes 65,535 characters of base64.
const MAX_USER_DATA_BYTES: usize = 49_149;
/// Characters of nova's longest tag.
const MAX_TAG_CHARS: usize = 60;
/// Characters of nova's longest name.
const MAX_NAME_CHARS: usize = 255;

/// Orders a server, in the security group of its network if that has one.
pub(super) async fn provision(
    cloud: &Cloud,
    request: &ProvisionRequest,
    key: &IdempotencyKey,
    own_group: Option<String>,
) -> Result<OperationHandle> {
    let call = Call::Provision;
    cloud.check_sold(request, call).await?;
    let region = &request.place.region;
    let compute = cloud.compute(region, call).await?;
    let config = &cloud.config;
    let setting =
        |name: &str, otherwise: Option<&str>| request.setting(name).or_else(|| otherwise.map(str::to_owned));
    let flavor = cloud.flavor(region, &request.sku, call).await?;
    let image = setting("image", config.image.as_deref()).ok_or_else(|| {
        cloud.invalid_request(
            call,
            "no image is set; set `image`, in the component's settings or in the provider's configuration",
        )
    })?;
    let image = config.images.get(&image).cloned().unwrap_or(image);
    let image = cloud.image(region, &image, call).await?;
    let invalid = |kind| cloud.error(call, kind);
    let boot = FirstBoot::of(request, &[], KeyWords::Keys).map_err(invalid)?;
    let network = setting("network", Some(&config.network)).unwrap_or_default();

    let mut metadata: Map<String, Value> = portable::labels_of(&request.settings)
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    metadata.insert(KEY_FIELD.to_owned(), key.to_string().into());
    metadata.insert(SKU_FIELD.to_owned(), request.sku.to_string().into());
    let mut server = Map::new();
    if let Some(zone) = &request.place.zone {
        metadata.insert(ZONE_FIELD.to_owned(), zone.to_string().into());
        server.insert("availability_zone".to_owned(), zone.to_string().into());
    }
    let name: String = request.name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    let name = if name.trim().is_empty() { key.to_string() } else { name };
    server.insert("name".to_owned(), name.into());
    server.insert("flavorRef".to_owned(), flavor.id.into());
    server.insert("imageRef".to_owned(), image.into());
    server.insert("metadata".to_owned(), Value::Object(metadata));
    if compute.has_tags() {
        server.insert("tags".to_owned(), json!([LIBRARY_TAG, tag_of(key)]));
    }
    let mut groups: Vec<Value> = own_group.map(|id| json!({ "name": id })).into_iter().collect();
    match network.as_str() {
        word @ ("auto" | "none") if compute.needs_networks() => {
            server.insert("networks".to_owned(), word.into());
        }
        // Older versions do this by default.
        "auto" => {}
        name => {
            let id = match network_id(region, name) {
                Some(id) => id.to_owned(),
                None => cloud.network(region, name, call).await?,
            };
            server.insert("networks".to_owned(), json!([{ "uuid": id }]));
        }
    }
    if let Some(name) = setting("key_name", config.key_name.as_deref()) {
        server.insert("key_name".to_owned(), name.into());
    }
    if let Some(named) = setting("security_groups", config.security_groups.as_deref()) {
        groups.extend(named.split(',').map(|name| json!({ "name": name.trim() })));
    }
    if !groups.is_empty() {
        server.insert("security_groups".to_owned(), groups.into());
    }
    if let Some(text) = boot.document(MAX_USER_DATA_BYTES).map_err(invalid)? {
        let coded = base64::engine::general_purpose::STANDARD.encode(text);
        server.insert("user_data".to_owned(), coded.into());
    }
    let request = Request::post(call, ["servers"]).for_sku(&request.sku).json(&json!({ "server": server }));
    let wire::CreatedReply { server } =
        purchase_response(compute.client.json(&compute.with_version(request)).await)?;
    let operation = Handle::Provision(ResourceRef::server(region, &server.id));
    Ok(OperationOwner::new(Some(key)).handle(&operation.text()))
}

/// The volumes of a server's purchase, if they are not recorded.
pub(super) fn unrecorded_volumes(server: &wire::Server) -> Option<String> {
    let made = server.volumes.iter().map(|volume| volume.id.as_str()).collect::<Vec<_>>().join(" ");
    let is_noted =
        made.is_empty() || made.len() > MAX_METADATA_CHARS || server.metadata.contains_key(DISKS_FIELD);
    (!is_noted).then_some(made)
}

/// Records the volumes of a server's purchase as metadata, once: its image may bring some.
pub(super) async fn record_volumes(cloud: &Cloud, target: &ResourceRef, server: &wire::Server) -> Result<()> {
    let Some(made) = unrecorded_volumes(server) else { return Ok(()) };
    let compute = cloud.compute(&target.region, Call::Poll).await?;
    let body = json!({ "metadata": { (DISKS_FIELD): made } });
    let request = Request::post(Call::Act, ["servers", &target.id, "metadata"]).json(&body);
    match compute.client.send_ok(&compute.with_version(request)).await {
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::warn!(server = target.id, %error, "the volumes of the purchase could not be recorded");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// A key as a tag: the key itself, or its beginning with a digest.
pub(super) fn tag_of(key: &IdempotencyKey) -> String {
    let text = key.to_string();
    if text.len() <= MAX_TAG_CHARS {
        return text;
    }
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{}-{}", &text[..text.floor_char_boundary(27)], &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fits_and_differs_where_its_key_does() {
        let key = |text: &str| IdempotencyKey::new(text).expect("a key");
        assert_eq!(tag_of(&key("f-1")), "f-1");
        let (one, two) =
            (tag_of(&key(&format!("{}1", "a".repeat(62)))), tag_of(&key(&format!("{}2", "a".repeat(62)))));
        assert!(one != two && one.len() == MAX_TAG_CHARS, "{one} {two}");
        let foreign = tag_of(&key(&"é".repeat(60)));
        assert!(foreign.len() <= MAX_TAG_CHARS, "{foreign}");
    }
}
