//! Containers of swift. A container's name ends with a digest of its key and region, so that the key alone finds it; its metadata hold the
//! key itself.

use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;

use super::{client::Cloud, marks::resource, resources::Sort};
use crate::{
    model::{IdempotencyKey, RegionId},
    provider::{
        Call, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Resource, bucket},
        },
        http::{Client, Page, Request, Response, paginate},
    },
};

/// Bytes of the longest name that a customer gives.
const MAX_NAME_BYTES: usize = 100;
/// Begins a container's name where the customer has given none.
const DEFAULT_NAME: &str = "fulcrum";
const KEY_HEADER: &str = "x-container-meta-fulcrum-key";
const SKU_HEADER: &str = "x-container-meta-fulcrum-sku";
const VERSIONS_HEADER: &str = "x-versions-enabled";
const COUNT_HEADER: &str = "x-container-object-count";

#[derive(Deserialize)]
struct Container {
    name: String,
}

/// The name of an order's container.
///
/// # Errors
/// Why the customer's part of the name cannot begin one.
pub(super) fn container_name(order: &Order) -> std::result::Result<String, String> {
    let own = order.setting("bucket").unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !own.is_empty() && own.len() <= MAX_NAME_BYTES && own.chars().all(is_word) {
        true => Ok(bucket::bucket_name(&own, &order.key, &order.region)),
        false => Err(format!(
            "`bucket` begins the name of a container: up to {MAX_NAME_BYTES} small letters, digits and hyphens"
        )),
    }
}

async fn swift(cloud: &Cloud, region: &RegionId, call: Call) -> Result<Client> {
    cloud.service(region, "object-store", call).await
}

/// Makes a container with its metadata. The request may be repeated.
pub(super) async fn create(cloud: &Cloud, order: &Order, call: Call) -> Result<String> {
    let name = container_name(order).map_err(|why| cloud.invalid_request(call, why))?;
    let request = Request::put(call, [name.as_str()])
        .for_sku(&order.sku)
        .header(KEY_HEADER, order.key.as_str())
        .header(SKU_HEADER, order.sku.as_str());
    let request = match order.setting("versioning").as_deref() {
        Some("true") => request.header(VERSIONS_HEADER, "true"),
        _ => request,
    };
    swift(cloud, &order.region, call).await?.send_ok(&request).await?;
    Ok(name)
}

/// All containers with this beginning.
async fn names(cloud: &Cloud, region: &RegionId, prefix: Option<&str>, call: Call) -> Result<Vec<String>> {
    let client = swift(cloud, region, call).await?;
    let size = cloud.config.page_size;
    let first = Request::get(call, []).query("format", "json").query("limit", size);
    let first = match prefix {
        Some(prefix) => first.query("prefix", prefix),
        None => first,
    };
    let start = first.clone();
    let read = move |_: &Request, response: &Response| {
        let rows: Vec<Container> = response.json()?;
        // A page may be shorter than it was asked for; the last one is empty.
        let next = rows.last().map(|last| start.clone().query("marker", &last.name));
        Ok(Page { items: rows.into_iter().map(|row| row.name).collect(), next })
    };
    paginate(client, first, read).try_collect().await
}

/// A container that lists show.
async fn read(cloud: &Cloud, region: &RegionId, name: &str, call: Call) -> Result<Resource> {
    let client = swift(cloud, region, call).await?;
    // A list of no objects, as a response without a body tells less of who sent it.
    let response =
        client.send_ok(&Request::get(call, [name]).query("format", "json").query("limit", 1)).await?;
    let text = |header: &str| response.header(header).map(str::to_owned);
    let marks = [("fulcrum-key", KEY_HEADER), ("fulcrum-sku", SKU_HEADER)];
    let metadata: serde_json::Map<_, _> = marks
        .into_iter()
        .filter_map(|(name, header)| Some((name.to_owned(), text(header)?.into())))
        .collect();
    let row = json!({
        "id": name,
        "metadata": metadata,
        "objects": text(COUNT_HEADER),
        "versions": text(VERSIONS_HEADER),
        "endpoint": client.base_url().as_str().trim_end_matches('/'),
    });
    resource(Sort::Container, row).ok_or_else(|| response.protocol_error("a container has no name"))
}

/// The containers with this key, or with any.
pub(super) async fn list(
    cloud: &Cloud,
    region: &RegionId,
    key: Option<&IdempotencyKey>,
    call: Call,
) -> Result<Vec<Resource>> {
    let may_be_own = |name: &&String| match key {
        Some(key) => bucket::is_bucket_of(name, key, region),
        None => bucket::is_bucket_name(name),
    };
    let mut found = Vec::new();
    for name in names(cloud, region, None, call).await?.iter().filter(may_be_own) {
        found.push(read(cloud, region, name, call).await?);
    }
    let is_here =
        |it: &Resource| it.key.as_ref().is_some_and(|own| bucket::is_bucket_of(&it.id, own, region));
    found.retain(|it| is_here(it) && key.is_none_or(|key| it.key.as_ref() == Some(key)));
    Ok(found)
}

pub(super) async fn get(
    cloud: &Cloud,
    region: &RegionId,
    name: &str,
    call: Call,
) -> Result<Option<Resource>> {
    // Swift's 404 has no words of its own; its list has.
    match names(cloud, region, Some(name), call).await?.iter().any(|it| it == name) {
        true => read(cloud, region, name, call).await.map(Some),
        false => Ok(None),
    }
}

pub(super) async fn delete(cloud: &Cloud, region: &RegionId, name: &str, call: Call) -> Result<bool> {
    if get(cloud, region, name, call).await?.is_none() {
        return Ok(false);
    }
    swift(cloud, region, call).await?.send_ok(&Request::delete(call, [name])).await.map(|_| true)
}
