//! Buckets (S3).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::super::{client::Cloud, endpoints::ApiName, query_api::Fields, resources::Sort, s3};
use super::check_sold;
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
        &[Sort::Bucket]
    }

    async fn check(&self, cloud: &Cloud, request: &ProvisionRequest, call: Call) -> Result<()> {
        check_sold(cloud, request, call).await
    }

    async fn body(&self, cloud: &Cloud, _: usize, order: &Order, _: &Parts) -> Result<Option<Fields>> {
        s3::bucket_name(order).map_err(|why| cloud.invalid_request(Call::Provision, why))?;
        Ok(Some(Fields::new()))
    }

    async fn connect(&self, cloud: &Cloud, order: &Order, parts: &Parts) -> Result<Progress> {
        let Some(bucket) = parts.get(0).filter(|bucket| bucket.sku.is_none()) else {
            return Ok(Progress::Done);
        };
        if order.setting("versioning").as_deref() == Some("true") {
            s3::keep_versions(cloud, &order.region, &bucket.id, Call::Act).await?;
        }
        // The tags come last: they say that nothing else is missing.
        s3::tag(cloud, order, &bucket.id, Call::Act).await?;
        Ok(Progress::Running)
    }

    async fn foreign(
        &self,
        cloud: &Cloud,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<String>> {
        let Some(bucket) = parts.get(0) else { return Ok(Vec::new()) };
        let is_empty = s3::is_empty(cloud, region, &bucket.id, call).await?;
        Ok(if is_empty { Vec::new() } else { vec!["objects".to_owned()] })
    }

    fn attributes(&self, cloud: &Cloud, region: &RegionId, parts: &Parts) -> BTreeMap<String, String> {
        let Some(bucket) = parts.get(0) else { return BTreeMap::new() };
        let endpoint = cloud.client_of(ApiName::S3, region, Call::Describe).ok().map(|client| {
            ("endpoint".to_owned(), client.base_url().as_str().trim_end_matches('/').to_owned())
        });
        endpoint.into_iter().chain([("bucket".to_owned(), bucket.id.clone())]).collect()
    }
}
