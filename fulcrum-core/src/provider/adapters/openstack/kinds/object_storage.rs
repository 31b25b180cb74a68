//! Containers of swift.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::super::{client::Cloud, resources::Sort, swift};
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ProvisionRequest, Result,
        adapters::{
            common::CallErrors,
            kit::{Order, Parts, Product, Progress},
        },
    },
};

#[derive(Debug)]
pub(in super::super) struct ObjectStorage;

#[async_trait]
impl Product<Cloud> for ObjectStorage {
    fn kind(&self) -> OfferKind {
        OfferKind::ObjectStorage
    }

    fn parts(&self) -> &[Sort] {
        &[Sort::Container]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        cloud.check_sold(request, call).await
    }

    async fn body(
        &self,
        cloud: &Cloud,
        _: usize,
        order: &Order,
        _: &Parts,
    ) -> Result<Option<Map<String, Value>>> {
        swift::container_name(order).map_err(|why| cloud.invalid_request(Call::Provision, why))?;
        Ok(Some(Map::new()))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let is_wanted = order.setting("versioning").as_deref() == Some("true");
        let is_kept = parts
            .get(0)
            .and_then(|it| it.text("/versions"))
            .is_some_and(|it| it.eq_ignore_ascii_case("true"));
        match is_wanted && !is_kept {
            true => Err(cloud
                .invalid_request(Call::Poll, "this cloud keeps no older versions; leave `versioning` out")),
            false => Ok(Progress::Done),
        }
    }

    async fn foreign(&self, _: &Cloud, _: &RegionId, parts: &Parts, _: Call) -> Result<Vec<String>> {
        let count = parts.get(0).and_then(|it| it.text("/objects")).filter(|count| *count != "0");
        Ok(count.map(|_| "objects".to_owned()).into_iter().collect())
    }

    fn attributes(&self, _: &Cloud, _: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let Some(container) = parts.get(0) else { return BTreeMap::new() };
        let endpoint = container.text("/endpoint").map(|it| ("endpoint".to_owned(), it.to_owned()));
        endpoint.into_iter().chain([("bucket".to_owned(), container.id.clone())]).collect()
    }
}
