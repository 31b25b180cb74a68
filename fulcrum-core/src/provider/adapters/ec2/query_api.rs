//! Resources of the query APIs: made with tags that hold key and product, listed by them, read and deleted.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use serde_json::Value;

use super::{
    client::{Cloud, mutation_of, query_of},
    endpoints::ApiName,
    resources::{Calls, Sort, Tags},
    s3,
    tags::{KEY_TAG, PASSWORD_TAG, resource, tags_in, tags_of},
    wire,
};
use crate::{
    model::{IdempotencyKey, Place, RegionId},
    provider::{
        Call, ErrorKind, Result,
        adapters::{
            common::CallErrors,
            kit::{Api, Order, Resource, ResourceType},
        },
        http::{Page, Request, Response, paginate},
    },
};

/// Load balancers whose tags one request can list.
const MAX_TAGGED: usize = 20;

/// Fields of a creating request beside the tags.
pub(super) type Fields = Vec<(String, String)>;

/// Fields of a request.
pub(super) fn fields<const N: usize>(all: [(&str, String); N]) -> Fields {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn tag_fields(calls: &Calls, tags: BTreeMap<String, String>) -> Fields {
    let mut fields = Vec::new();
    if let Tags::Filtered(sort) = calls.tags {
        fields.push(("TagSpecification.1.ResourceType".to_owned(), sort.to_owned()));
    }
    let prefix = calls.tags.prefix();
    for ((name, value), at) in tags.into_iter().zip(1..) {
        fields.push((format!("{prefix}.{at}.Key"), name));
        fields.push((format!("{prefix}.{at}.Value"), value));
    }
    fields
}

/// The name of what is made by name, such as a load balancer or a database, which is unique in a region: 32 characters of letters,
/// digits and hyphens.
pub(super) fn name_of(key: &IdempotencyKey) -> String {
    format!("f-{}", &blake3::hash(key.as_str().as_bytes()).to_hex()[..24])
}

/// The value of a tag as RDS takes it: other characters become hyphens. Keys, products and zones have none.
fn rds_tag_value(text: &str) -> String {
    let is_taken = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    text.chars().map(|c| if is_taken(c) { c } else { '-' }).collect()
}

impl Cloud {
    /// All rows of a list, of all its pages.
    pub(super) async fn rows(
        &self,
        api: ApiName,
        region: &RegionId,
        first: Request,
        at: &'static str,
    ) -> Result<Vec<Value>> {
        let client = self.client_of(api, region, first.call())?.clone();
        let start = first.clone();
        let read = move |_: &Request, response: &Response| {
            let document = wire::document(response)?;
            let rows = match document.pointer(at) {
                Some(Value::Array(rows)) => rows.clone(),
                // An empty list has no members.
                Some(Value::Null) => Vec::new(),
                // A list that is missing is not an empty one.
                _ => return Err(response.protocol_error(format!("the response has no list at {at}"))),
            };
            // EC2 tells the next page at the root, other APIs in their result.
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let of_ec2 = document.get("nextToken").and_then(text).map(|token| ("NextToken", token));
            let marker =
                |result: &Value| ["NextMarker", "Marker"].iter().find_map(|it| text(result.get(it)?));
            let in_result = || document.as_object()?.values().find_map(marker);
            let next = of_ec2.or_else(|| in_result().map(|marker| ("Marker", marker)));
            let next = next.map(|(name, token)| start.clone().query(name, token));
            Ok(Page { items: rows, next })
        };
        paginate(client, first, read).try_collect().await
    }

    /// Sends a request with an effect, and reads its response.
    pub(super) async fn change(&self, api: ApiName, region: &RegionId, request: &Request) -> Result<Value> {
        let response = self.client_of(api, region, request.call())?.send_ok(request).await?;
        wire::document(&response)
    }

    fn rows_with_ids(
        &self,
        sort: Sort,
        calls: &Calls,
        rows: Vec<Value>,
        call: Call,
    ) -> Result<Vec<(String, Value)>> {
        let with_id = |row: Value| match row.pointer(calls.id).and_then(Value::as_str) {
            Some(id) => Ok((id.to_owned(), row)),
            // It may be one of ours.
            None => Err(self.protocol_error(call, &format!("a {} has no id", sort.word()))),
        };
        rows.into_iter().filter(|row| !sort.is_gone(row)).map(with_id).collect()
    }

    /// Rows with their tags, which lists of load balancers and target groups do not have.
    async fn with_described_tags(
        &self,
        calls: &Calls,
        region: &RegionId,
        rows: Vec<(String, Value)>,
        call: Call,
    ) -> Result<Vec<(String, Value)>> {
        let mut tagged = Vec::new();
        for some in rows.chunks(MAX_TAGGED) {
            let arn = |row: &Value| row.pointer(calls.delete_by.1).and_then(Value::as_str).map(str::to_owned);
            let mut request = query_of(calls.api, call, "DescribeTags");
            for (arn, at) in some.iter().filter_map(|(_, row)| arn(row)).zip(1..) {
                request = request.query(&format!("ResourceArns.member.{at}"), arn);
            }
            let described =
                self.rows(calls.api, region, request, "/DescribeTagsResult/TagDescriptions").await?;
            for (id, row) in some {
                let own = described
                    .iter()
                    .find(|it| it.get("ResourceArn").and_then(Value::as_str) == arn(row).as_deref());
                let tags = own.and_then(|it| it.get("Tags")).cloned().unwrap_or_default();
                let mut row = row.clone();
                row.as_object_mut()
                    .into_iter()
                    .for_each(|row| drop(row.insert("Tags".to_owned(), tags.clone())));
                tagged.push((id.clone(), row));
            }
        }
        Ok(tagged)
    }

    /// Rows with their tags.
    async fn with_tags(
        &self,
        calls: &Calls,
        region: &RegionId,
        rows: Vec<(String, Value)>,
        call: Call,
    ) -> Result<Vec<(String, Value)>> {
        match calls.tags {
            Tags::Filtered(_) | Tags::InRows => Ok(rows),
            Tags::Described => self.with_described_tags(calls, region, rows, call).await,
            Tags::Listed => {
                let mut tagged = Vec::new();
                for (id, mut row) in rows {
                    let arn = row.get("DBSubnetGroupArn").and_then(Value::as_str).unwrap_or_default();
                    let request = query_of(calls.api, call, "ListTagsForResource").query("ResourceName", arn);
                    let tags = self.rows(calls.api, region, request, "/ListTagsForResourceResult/TagList");
                    match tags.await {
                        Ok(tags) => row["TagList"] = Value::Array(tags),
                        // It has ended since the list was read.
                        Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => continue,
                        Err(error) => return Err(error),
                    }
                    tagged.push((id, row));
                }
                Ok(tagged)
            }
        }
    }

    async fn list_of(
        &self,
        sort: Sort,
        calls: &'static Calls,
        region: &RegionId,
        wanted: Wanted<'_>,
        call: Call,
    ) -> Result<Vec<Resource>> {
        let mut request = query_of(calls.api, call, calls.list);
        let is_tagged = calls.tags.is_filtered();
        request = match wanted {
            Wanted::Id(id) if is_tagged => {
                request.query("Filter.1.Name", calls.by_id).query("Filter.1.Value.1", id)
            }
            Wanted::Id(id) => request.query(calls.by_id, id),
            Wanted::Key(key) if is_tagged => {
                request.query("Filter.1.Name", format!("tag:{KEY_TAG}")).query("Filter.1.Value.1", key)
            }
            Wanted::Key(key) => request.query(calls.by_id, name_of(key)),
            Wanted::All if is_tagged => {
                request.query("Filter.1.Name", "tag-key").query("Filter.1.Value.1", KEY_TAG)
            }
            Wanted::All => request,
        };
        let is_one = matches!(wanted, Wanted::Id(_)) || (!is_tagged && matches!(wanted, Wanted::Key(_)));
        if let Some((name, rows)) = calls.page_size.as_ref().filter(|_| !is_one) {
            request = request.query(name, self.config.page_size.clamp(*rows.start(), *rows.end()));
        }
        let rows = match self.rows(calls.api, region, request, calls.rows).await {
            Ok(rows) => rows,
            Err(error)
                if matches!(error.kind, ErrorKind::NotFound { .. }) && !matches!(wanted, Wanted::All) =>
            {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let mut rows = self.rows_with_ids(sort, calls, rows, call)?;
        if !is_tagged {
            rows.retain(|(name, _)| name.starts_with("f-"));
            rows = self.with_tags(calls, region, rows, call).await?;
        }
        Ok(rows.into_iter().map(|(id, row)| resource(sort, id, &tags_in(&row), row)).collect())
    }
}

/// What a list is of.
#[derive(Debug, Clone, Copy)]
enum Wanted<'a> {
    All,
    Key(&'a IdempotencyKey),
    Id(&'a str),
}

#[async_trait]
impl Api for Cloud {
    type Type = Sort;
    type Body = Fields;

    fn regions(&self) -> Vec<RegionId> {
        Self::regions(self)
    }

    fn place(&self, region: &RegionId) -> Option<&Place> {
        Self::place(self, region)
    }

    fn list_lag(&self) -> Duration {
        Duration::from_millis(self.config.list_lag_ms)
    }

    async fn create(&self, sort: Sort, order: &Order, body: Fields) -> Result<String> {
        let call = Call::Provision;
        let mut tags = tags_of(sort, order);
        if sort.calls().is_some_and(|calls| calls.api == ApiName::Rds) {
            tags.values_mut().for_each(|value| *value = rds_tag_value(value));
        }
        if let (Sort::Database, Some(maker)) = (sort, &self.passwords) {
            tags.insert(PASSWORD_TAG.to_owned(), maker.fingerprint());
        }
        let Some(calls) = sort.calls() else { return s3::create(self, order, call).await };
        let fields: Fields = body.into_iter().chain(tag_fields(calls, tags)).collect();
        let request = mutation_of(calls.api, call, calls.create, &fields).for_sku(&order.sku);
        let response = self.client_of(calls.api, &order.region, call)?.send_ok(&request).await?;
        let made = wire::document(&response)?;
        let id = made.pointer(calls.made).and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| response.protocol_error(format!("the response has no text at {}", calls.made)))
    }

    async fn list(
        &self,
        sort: Sort,
        region: &RegionId,
        key: Option<&IdempotencyKey>,
        call: Call,
    ) -> Result<Vec<Resource>> {
        match sort.calls() {
            Some(calls) => {
                self.list_of(sort, calls, region, key.map_or(Wanted::All, Wanted::Key), call).await
            }
            None => s3::list(self, region, key, call).await,
        }
    }

    async fn get(&self, sort: Sort, region: &RegionId, id: &str, call: Call) -> Result<Option<Resource>> {
        match sort.calls() {
            Some(calls) => {
                Ok(self.list_of(sort, calls, region, Wanted::Id(id), call).await?.into_iter().next())
            }
            None => s3::get(self, region, id, call).await,
        }
    }

    async fn delete(&self, sort: Sort, region: &RegionId, resource: &Resource) -> Result<bool> {
        let call = Call::Release;
        let Some(calls) = sort.calls() else { return s3::delete(self, region, &resource.id, call).await };
        let (name, at) = calls.delete_by;
        let id = resource.text(at).unwrap_or(&resource.id).to_owned();
        let fixed = calls.delete_with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let fields: Fields = fields([(name, id)]).into_iter().chain(fixed).collect();
        let request = mutation_of(calls.api, call, calls.delete, &fields);
        self.client_of(calls.api, region, call)?.delete_if_exists(&request).await
    }
}
