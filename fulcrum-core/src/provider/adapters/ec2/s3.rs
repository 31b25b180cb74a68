//! Buckets, by S3's API. A bucket's name ends with a digest of its key and region, so that the key alone finds it; its tags hold
//! the key itself.

use std::collections::BTreeMap;

use base64::Engine;
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::{
    client::Cloud,
    endpoints::ApiName,
    errors::NO_TAGS,
    resources::Sort,
    tags::{KEY_TAG, resource, tags_in, tags_of},
    wire,
};
use crate::{
    model::{IdempotencyKey, RegionId},
    provider::{
        Call, ErrorKind, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Resource, bucket},
        },
        http::{Page, Request, Response, paginate},
    },
};

/// Characters of the longest name.
const MAX_NAME_CHARS: usize = 63;
/// Begins a bucket's name where the customer has given none.
const DEFAULT_NAME: &str = "fulcrum";
/// Buckets of a page.
const PAGE_ROWS: u32 = 1_000;

/// The name of an order's bucket.
///
/// # Errors
/// Why the customer's part of the name cannot begin one.
pub(super) fn bucket_name(order: &Order) -> std::result::Result<String, String> {
    let own = order.setting("bucket").unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let longest = MAX_NAME_CHARS - bucket::BUCKET_SUFFIX_CHARS;
    let is_name = own.len() <= longest
        && own.chars().all(is_word)
        && own.starts_with(|c: char| c.is_ascii_alphanumeric());
    match is_name {
        true => Ok(bucket::bucket_name(&own, &order.key, &order.region)),
        false => Err(format!(
            "`bucket` begins the name of a bucket: up to {longest} small letters, digits and hyphens"
        )),
    }
}

/// A request with a document in XML, and the checksum of it that S3 wants with some.
fn with_document(request: Request, document: String) -> Request {
    let digest = ring::digest::digest(&ring::digest::SHA256, document.as_bytes());
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    request
        .header("x-amz-sdk-checksum-algorithm", "SHA256")
        .header("x-amz-checksum-sha256", &digest)
        .xml(document)
}

/// Makes a bucket. Its tags are a request of their own.
pub(super) async fn create(cloud: &Cloud, order: &Order, call: Call) -> Result<String> {
    let name = bucket_name(order).map_err(|why| cloud.invalid_request(call, why))?;
    let region = &order.region;
    let body = format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    );
    let client = cloud.client_of(ApiName::S3, region, call)?;
    // AWS's first region is the one that is not named.
    let request = Request::put(call, [name.as_str()]).for_sku(&order.sku);
    let request = if region.as_str() == "us-east-1" { request } else { with_document(request, body) };
    client.send_ok(&request).await?;
    Ok(name)
}

/// Writes the tags of an order's bucket.
pub(super) async fn tag(cloud: &Cloud, order: &Order, name: &str, call: Call) -> Result<()> {
    write_tags(cloud, &order.region, name, &tags_of(Sort::Bucket, order), call).await
}

async fn write_tags(
    cloud: &Cloud,
    region: &RegionId,
    name: &str,
    tags: &BTreeMap<String, String>,
    call: Call,
) -> Result<()> {
    let tags: String = tags
        .iter()
        .map(|(name, value)| {
            let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escaped(name), escaped(value))
        })
        .collect();
    let body = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let request = with_document(Request::put(call, [name]).query("tagging", ""), body);
    cloud.client_of(ApiName::S3, region, call)?.send_ok(&request).await.map(drop)
}

/// Keeps older versions of objects.
pub(super) async fn keep_versions(cloud: &Cloud, region: &RegionId, name: &str, call: Call) -> Result<()> {
    let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>".to_owned();
    let request = with_document(Request::put(call, [name]).query("versioning", ""), body);
    cloud.client_of(ApiName::S3, region, call)?.send_ok(&request).await.map(drop)
}

/// Whether anything is in a bucket, older versions included.
pub(super) async fn is_empty(cloud: &Cloud, region: &RegionId, name: &str, call: Call) -> Result<bool> {
    let request = Request::get(call, [name]).query("versions", "").query("max-keys", 1);
    let response = match cloud.client_of(ApiName::S3, region, call)?.send_ok(&request).await {
        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(true),
        response => response?,
    };
    let document = wire::document(&response)?;
    Ok(["Version", "DeleteMarker", "Contents"].iter().all(|name| document.get(name).is_none()))
}

/// The tags of a bucket; none if it does not exist in this region.
async fn tags(
    cloud: &Cloud,
    region: &RegionId,
    name: &str,
    call: Call,
) -> Result<Option<BTreeMap<String, String>>> {
    let request = Request::get(call, [name]).query("tagging", "");
    match cloud.client_of(ApiName::S3, region, call)?.send_ok(&request).await {
        Ok(response) => {
            let document = wire::document(&response)?;
            Ok(Some(tags_in(&json!({ "Tags": document.get("TagSet").cloned().unwrap_or_default() }))))
        }
        Err(error) => match &error.kind {
            ErrorKind::NotFound { what } if what == NO_TAGS => Ok(Some(BTreeMap::new())),
            ErrorKind::NotFound { .. } => Ok(None),
            _ => Err(error),
        },
    }
}

fn bucket(name: &str, tags: &BTreeMap<String, String>, key: Option<&IdempotencyKey>) -> Resource {
    let found = resource(Sort::Bucket, name.to_owned(), tags, json!({ "tags": tags, "name": name }));
    let told = tags.get(KEY_TAG).and_then(|key| IdempotencyKey::new(key).ok());
    Resource { key: told.or_else(|| key.cloned()), ..found }
}

/// The buckets of a region with this key, or with any.
pub(super) async fn list(
    cloud: &Cloud,
    region: &RegionId,
    key: Option<&IdempotencyKey>,
    call: Call,
) -> Result<Vec<Resource>> {
    let first = Request::get(call, []).query("bucket-region", region).query("max-buckets", PAGE_ROWS);
    let start = first.clone();
    let read = move |_: &Request, response: &Response| {
        let document = wire::document(response)?;
        let rows = match document.pointer("/Buckets") {
            Some(Value::Array(rows)) => rows.clone(),
            Some(Value::Null) => Vec::new(),
            _ => return Err(response.protocol_error("the response has no list of buckets")),
        };
        let names = rows.iter().map(|row| row.get("Name").and_then(Value::as_str).map(str::to_owned));
        let names: Option<Vec<String>> = names.collect();
        let items = names.ok_or_else(|| response.protocol_error("a bucket has no name"))?;
        let next = document.get("ContinuationToken").and_then(Value::as_str);
        Ok(Page { items, next: next.map(|token| start.clone().query("continuation-token", token)) })
    };
    let client = cloud.client_of(ApiName::S3, region, call)?.clone();
    let names: Vec<String> = paginate(client, first, read).try_collect().await?;
    let may_be_own = |name: &&String| match key {
        Some(key) => bucket::is_bucket_of(name, key, region),
        None => bucket::is_bucket_name(name),
    };
    let mut found = Vec::new();
    for name in names.iter().filter(may_be_own) {
        let tags = match (tags(cloud, region, name, call).await, key) {
            (Ok(None), _) => continue,
            (Ok(Some(tags)), _) => tags,
            // Without a key in hand it may be anybody's, and in any region.
            (Err(error), None) if !error.is_retryable() => {
                tracing::debug!(%error, name, "a bucket that looks like one of this library's cannot be read");
                continue;
            }
            (Err(error), _) => return Err(error),
        };
        // Its maker died before it wrote the tags. The name proves whose it is.
        if let Some(key) = key.filter(|_| !tags.contains_key(KEY_TAG)) {
            let own = BTreeMap::from([(KEY_TAG.to_owned(), key.to_string())]);
            write_tags(cloud, region, name, &own, Call::Act).await?;
        }
        let own = bucket(name, &tags, key);
        // Buckets of all regions are listed.
        if own.key.as_ref().is_some_and(|key| bucket::is_bucket_of(name, key, region)) {
            found.push(own);
        }
    }
    Ok(found)
}

pub(super) async fn get(
    cloud: &Cloud,
    region: &RegionId,
    name: &str,
    call: Call,
) -> Result<Option<Resource>> {
    let tags = tags(cloud, region, name, call).await?;
    Ok(tags.map(|tags| bucket(name, &tags, None)))
}

pub(super) async fn delete(cloud: &Cloud, region: &RegionId, name: &str, call: Call) -> Result<bool> {
    let request = Request::delete(call, [name]);
    cloud.client_of(ApiName::S3, region, call)?.delete_if_exists(&request).await
}
