//! Services by their key, by their id, and all of a region.

use std::collections::BTreeMap;

use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};

use super::{
    Api, Kit, Parts, Product, Resource, ResourceType, State,
    order::{Target, service_id},
};
use crate::{
    model::{IdempotencyKey, Place, RegionId, Service, ServiceId, ServiceStatus, SkuId},
    provider::{Access, Call, ErrorKind, Result},
};

/// Stands for the product of a resource that does not name it.
const UNKNOWN_SKU: &str = "unknown";
/// The attribute of a service whose first part is gone.
const LEFT: &str = "left";

impl<A: Api> Kit<A> {
    /// The parts of a key in a region.
    pub(super) async fn parts(
        &self,
        product: &dyn Product<A>,
        region: &RegionId,
        key: &IdempotencyKey,
        call: Call,
    ) -> Result<Parts> {
        let mut parts = self.lists(product, region, Some(key), call).await?;
        parts.0.iter_mut().for_each(|list| list.retain(|it| it.key.as_ref() == Some(key)));
        Ok(parts)
    }

    /// What the lists of all parts show. Parts that differ in their number alone share a list.
    async fn lists(
        &self,
        product: &dyn Product<A>,
        region: &RegionId,
        key: Option<&IdempotencyKey>,
        call: Call,
    ) -> Result<Parts> {
        let mut sorts: Vec<A::Type> = Vec::new();
        for sort in product.parts().iter().map(|sort| sort.without_number()) {
            if !sorts.contains(&sort) {
                sorts.push(sort);
            }
        }
        let lists = future::try_join_all(sorts.iter().map(|sort| self.api.list(*sort, region, key, call)));
        let lists: Vec<_> = sorts.iter().zip(lists.await?).collect();
        let of_part = |sort: &A::Type| {
            let all = lists.iter().filter(|(listed, _)| **listed == sort.without_number());
            let all = all.flat_map(|(_, list)| list);
            all.filter(|it| sort.number().is_none() || it.number == sort.number()).cloned().collect()
        };
        Ok(Parts(product.parts().iter().map(of_part).collect()))
    }

    /// The service of a key in a region. A product that is made by several requests is still starting: whoever found it by its key
    /// continues the purchase.
    pub(in crate::provider::adapters) async fn find_in_region(
        &self,
        region: &RegionId,
        key: &IdempotencyKey,
    ) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        let look = |product| async move { Ok((product, self.parts(product, region, key, call).await?)) };
        let all = self.configured().map(look);
        let found = future::try_join_all(all).await?;
        let Some((product, parts)) = found.into_iter().find(|(_, parts)| !parts.is_empty()) else {
            return Ok(None);
        };
        let service = self.service(product, region, &parts, call)?;
        // Parts and connections that are missing are still to be made.
        let is_begun = parts.get(0).is_some() && !product.is_whole(&parts);
        let is_starting = is_begun || service.status == ServiceStatus::Running;
        let status = if is_starting { ServiceStatus::Starting } else { service.status };
        Ok(Some(Service { status, ..service }))
    }

    /// All services of all regions with a key.
    pub(in crate::provider::adapters) fn services(&self) -> BoxStream<'static, Result<Service>> {
        let kit = self.clone();
        let each = stream::iter(self.api.regions()).then(move |region| {
            let kit = kit.clone();
            async move { kit.list(&region, Call::Services).await }
        });
        each.map_ok(|services| stream::iter(services.into_iter().map(Ok))).try_flatten().boxed()
    }

    async fn list(&self, region: &RegionId, call: Call) -> Result<Vec<Service>> {
        let mut services = Vec::new();
        for product in self.configured() {
            let lists = self.lists(product, region, None, call).await?.0;
            let mut by_key: BTreeMap<IdempotencyKey, Parts> = BTreeMap::new();
            for (at, resource) in
                lists.into_iter().enumerate().flat_map(|(at, list)| list.into_iter().map(move |it| (at, it)))
            {
                let Some(key) = resource.key.clone() else { continue };
                let parts =
                    by_key.entry(key).or_insert_with(|| Parts(vec![Vec::new(); product.parts().len()]));
                parts.0.get_mut(at).into_iter().for_each(|list| list.push(resource.clone()));
            }
            for parts in by_key.values() {
                services.extend(self.each_service(product, region, parts, call)?);
            }
        }
        Ok(services)
    }

    /// The service of some parts. If the first part was made twice, each of the two is one, as each may cost.
    fn each_service(
        &self,
        product: &dyn Product<A>,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Vec<Service>> {
        let first = parts.0.first().map(Vec::as_slice).unwrap_or_default();
        if first.len() < 2 {
            return self.service(product, region, parts, call).map(|service| vec![service]);
        }
        let alone = |resource: &Resource| {
            let mut one = parts.clone();
            one.0.first_mut().into_iter().for_each(|list| *list = vec![resource.clone()]);
            self.service(product, region, &one, call)
        };
        first.iter().map(alone).collect()
    }

    /// A service by its id; `None` for an id of other code.
    pub(in crate::provider::adapters) async fn describe(
        &self,
        service: &ServiceId,
    ) -> Result<Option<Option<Service>>> {
        let call = Call::Describe;
        let Some(target) = self.target(service.as_str()) else { return Ok(None) };
        self.check_configured(&target, call)?;
        let Some(parts) = self.parts_of(&target, call).await? else { return Ok(Some(None)) };
        let described = self.service(target.product, &target.region, &parts, call)?;
        Ok(Some(Some(Service { id: service.clone(), ..described })))
    }

    /// What opens a service; `None` for an id of other code.
    pub(in crate::provider::adapters) async fn access(&self, service: &ServiceId) -> Result<Option<Access>> {
        let call = Call::Access;
        let Some(target) = self.target(service.as_str()) else { return Ok(None) };
        self.check_configured(&target, call)?;
        let missing = || self.api.error(call, ErrorKind::NotFound { what: service.to_string() });
        let parts = self.parts_of(&target, call).await?.ok_or_else(missing)?;
        target.product.access(&self.api, &target.region, &parts).await.map(Some)
    }

    /// All parts of the service whose first part a target names; none if that one does not exist.
    async fn parts_of(&self, target: &Target<'_, A>, call: Call) -> Result<Option<Parts>> {
        let Some(resource) = self.get(target, call).await? else { return Ok(None) };
        let mut parts = match &resource.key {
            Some(key) if target.product.parts().len() > 1 => {
                self.parts(target.product, &target.region, key, call).await?
            }
            _ => Parts(vec![Vec::new(); target.product.parts().len()]),
        };
        // What was read by its id is newer than any list, and is the one that was asked for.
        parts.0.get_mut(target.at).into_iter().for_each(|list| *list = vec![resource.clone()]);
        Ok(Some(parts))
    }

    pub(super) async fn get(&self, target: &Target<'_, A>, call: Call) -> Result<Option<Resource>> {
        let Some(sort) = target.sort() else { return Ok(None) };
        let got = self.api.get(sort, &target.region, &target.id, call).await?;
        if let Some(other) = got.as_ref().filter(|it| it.id != target.id) {
            let (word, id) = (sort.word(), &target.id);
            let message = format!("the response to a request about the {word} {id} is about {}", other.id);
            return Err(self.api.protocol_error(call, &message));
        }
        Ok(got)
    }

    /// Checks that a resource's kind and region are configured. What nobody looks for is not gone.
    pub(super) fn check_configured(&self, target: &Target<'_, A>, call: Call) -> Result<()> {
        self.check_region(&target.region, call)?;
        let kind = target.product.kind();
        match self.kinds.contains(&kind) {
            true => Ok(()),
            false => {
                Err(self.api.invalid_request(call, format!("{kind} is not configured; add it to `kinds`")))
            }
        }
    }

    /// Checks that a region is configured. A resource in another region is not gone.
    pub(super) fn check_region(&self, region: &RegionId, call: Call) -> Result<()> {
        match self.api.place(region) {
            Some(_) => Ok(()),
            None => {
                let message = format!("{region} is not configured; add it to `regions`");
                Err(self.api.invalid_request(call, message))
            }
        }
    }

    /// Parts as a service. They exist, so what cannot be read is an error.
    pub(super) fn service(
        &self,
        product: &dyn Product<A>,
        region: &RegionId,
        parts: &Parts,
        call: Call,
    ) -> Result<Service> {
        let odd = |what: &str| self.api.protocol_error(call, &format!("a {} {what}", product.kind()));
        let (at, first) = parts.first().ok_or_else(|| odd("has no part"))?;
        let sort = product.parts().get(at).copied();
        let id = service_id(sort, region, &first.id).ok_or_else(|| odd("has an id that is not valid"))?;
        let sku = first.sku.clone().map_or_else(|| SkuId::new(UNKNOWN_SKU), Ok);
        let place = self.api.place(region).ok_or_else(|| odd("is in a region that is not configured"))?;
        let mut attributes = product.attributes(&self.api, region, parts);
        if at > 0 {
            let word = sort.map_or("part", ResourceType::word);
            attributes.insert(LEFT.to_owned(), format!("a {word} without what it was made for"));
        }
        Ok(Service {
            id,
            provider: self.api.provider_id().clone(),
            key: parts.key().cloned(),
            sku: sku.map_err(|error| odd(&error.to_string()))?,
            place: Place { zone: first.zone.clone(), ..place.clone() },
            status: match at > 0 || !product.is_whole(parts) {
                true => ServiceStatus::Failed,
                false => status(first, parts),
            },
            attributes,
        })
    }
}

fn status(first: &Resource, parts: &Parts) -> ServiceStatus {
    if first.state == State::Ending {
        return ServiceStatus::Releasing;
    }
    let is_any = |wanted: &dyn Fn(&State) -> bool| parts.all().any(|part| wanted(&part.state));
    if is_any(&|state| matches!(state, State::Failed(_) | State::SoldOut)) {
        ServiceStatus::Failed
    } else if is_any(&|state| *state == State::Pending) {
        ServiceStatus::Starting
    } else {
        ServiceStatus::Running
    }
}
