//! Resources of cinder, neutron and octavia: made, listed, read and deleted as JSON.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    client::Cloud,
    marks::{is_foreign, marked, resource},
    resources::{Rest, Sort},
    swift, wire,
};
use crate::{
    model::{IdempotencyKey, Place, RegionId},
    provider::{
        Call, ErrorKind, ProviderError, Result,
        adapters::{
            common::CallErrors,
            kit::{Api, Order, Resource, ResourceType},
        },
        http::{Client, LenientList, Page, Request, Response, paginate},
    },
};

/// A row of a list: an object with an id.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    id: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Row {
    fn into_value(mut self) -> Value {
        self.rest.insert("id".to_owned(), self.id.into());
        Value::Object(self.rest)
    }
}

/// A page: the list and its links, each under the name of its sort.
#[derive(Deserialize)]
struct ListReply(Map<String, Value>);

impl Cloud {
    /// A service and the path of a sort of resource there.
    pub(super) async fn at(
        &self,
        region: &RegionId,
        rest: &Rest,
        call: Call,
    ) -> Result<(Client, Vec<&'static str>)> {
        let mut missing = None;
        for kind in rest.service {
            let found = match rest.version {
                Some(version) => self.versioned(region, kind, version, call).await,
                None => self.service(region, kind, call).await.map(|client| (client, Vec::new())),
            };
            match found {
                Ok((client, mut path)) => {
                    path.extend(rest.path);
                    return Ok((client, path));
                }
                Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(missing.unwrap_or_else(|| self.invalid_request(call, "the cloud has no such service")))
    }

    async fn rows(
        &self,
        sort: Sort,
        rest: &'static Rest,
        region: &RegionId,
        call: Call,
    ) -> Result<Vec<Value>> {
        let (client, mut path) = self.at(region, rest, call).await?;
        path.extend(rest.detail);
        let first = Request::get(call, path).query("limit", self.config.page_size);
        let start = first.clone();
        let read = move |_: &Request, response: &Response| {
            let ListReply(mut fields) = response.json()?;
            let links = fields.remove(&format!("{}_links", rest.many)).unwrap_or_default();
            let rows = fields.remove(rest.many);
            let rows =
                rows.ok_or_else(|| response.protocol_error(format!("{}: the list is missing", rest.many)))?;
            let rows: LenientList<Row> = response
                .collecting_rejections(|| serde_json::from_value(rows))
                .map_err(|error| response.protocol_error(format!("{}: {error}", rest.many)))?;
            let links: Vec<wire::Link> = serde_json::from_value(links).unwrap_or_default();
            let last = rows.iter().last().map(|row| row.id.clone()).filter(|_| wire::has_next(&links));
            let next = last.map(|id| start.clone().query("marker", id));
            let rows = rows.conclusive(response, is_foreign)?;
            let rows = rows.into_iter().map(Row::into_value);
            Ok(Page { items: rows.filter(|row| !sort.is_gone(row)).collect(), next })
        };
        paginate(client, first, read).try_collect().await
    }
}

#[async_trait]
impl Api for Cloud {
    type Type = Sort;
    type Body = Map<String, Value>;

    fn regions(&self) -> Vec<RegionId> {
        Self::regions(self)
    }

    fn place(&self, region: &RegionId) -> Option<&Place> {
        Self::place(self, region)
    }

    fn list_lag(&self) -> Duration {
        Duration::from_millis(self.config.list_lag_ms)
    }

    async fn create(&self, sort: Sort, order: &Order, body: Self::Body) -> Result<String> {
        let call = Call::Provision;
        let Some(rest) = sort.rest() else { return swift::create(self, order, call).await };
        let (client, path) = self.at(&order.region, rest, call).await?;
        let body = json!({ (rest.one): marked(rest, order, body) });
        let response = client.send_ok(&Request::post(call, path).for_sku(&order.sku).json(&body)).await?;
        let made: Value = response.json()?;
        let made = made.get(rest.one).cloned().and_then(|row| resource(sort, row));
        let made = made.ok_or_else(|| response.protocol_error(format!("{}: it has no id", rest.one)))?;
        // A response without the order's key is about something else.
        if made.key.as_ref() != Some(&order.key) {
            let (word, id) = (sort.word(), &made.id);
            return Err(response.protocol_error(format!(
                "the response names the {word} {id}, which does not have this order's key"
            )));
        }
        Ok(made.id)
    }

    async fn list(
        &self,
        sort: Sort,
        region: &RegionId,
        key: Option<&IdempotencyKey>,
        call: Call,
    ) -> Result<Vec<Resource>> {
        // Without the service there is nothing, unless it was sold here.
        let is_sold = self.sells(sort.kind(), region);
        let is_missing = |error: &ProviderError| !is_sold && matches!(error.kind, ErrorKind::NotFound { .. });
        let Some(rest) = sort.rest() else {
            return match swift::list(self, region, key, call).await {
                Err(error) if is_missing(&error) => Ok(Vec::new()),
                listed => listed,
            };
        };
        let rows = match self.rows(sort, rest, region, call).await {
            Err(error) if is_missing(&error) => Vec::new(),
            listed => listed?,
        };
        let resources = rows.into_iter().filter_map(|row| resource(sort, row));
        Ok(resources
            .filter(|it| it.key.is_some() && key.is_none_or(|key| it.key.as_ref() == Some(key)))
            .collect())
    }

    async fn get(&self, sort: Sort, region: &RegionId, id: &str, call: Call) -> Result<Option<Resource>> {
        let Some(rest) = sort.rest() else { return swift::get(self, region, id, call).await };
        // An id of another form is none of these services'.
        if uuid::Uuid::parse_str(id).is_err() {
            return Ok(None);
        }
        let (client, mut path) = self.at(region, rest, call).await?;
        path.push(id);
        let reply: Option<Value> = client.get_optional(&Request::get(call, path)).await?;
        let Some(reply) = reply else { return Ok(None) };
        let row = reply.get(rest.one).cloned().filter(|row| !sort.is_gone(row));
        match row {
            None if reply.get(rest.one).is_some() => Ok(None),
            row => row
                .and_then(|row| resource(sort, row))
                .map(Some)
                .ok_or_else(|| self.protocol_error(call, &format!("{}: it has no id", rest.one))),
        }
    }

    async fn delete(&self, sort: Sort, region: &RegionId, resource: &Resource) -> Result<bool> {
        let call = Call::Release;
        let Some(rest) = sort.rest() else { return swift::delete(self, region, &resource.id, call).await };
        let (client, mut path) = self.at(region, rest, call).await?;
        path.push(&resource.id);
        let request = Request::delete(call, path);
        let request = match rest.delete_with {
            Some((name, value)) => request.query(name, value),
            None => request,
        };
        client.delete_if_exists(&request).await
    }
}
