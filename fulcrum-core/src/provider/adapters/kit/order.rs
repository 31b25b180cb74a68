//! What a purchase asks for, the ids of services, and operation handles: text that survives a restart.

use serde::{Deserialize, Serialize};

use super::{Api, Kit, Product, ResourceType};
use crate::{
    model::{IdempotencyKey, OfferKind, RegionId, ServiceId, Settings, SkuId, ZoneId, setting_text},
    provider::{OperationHandle, ProvisionRequest, adapters::operation_owner::OperationOwner},
};

/// Bytes of the settings that a handle may hold.
pub(super) const MAX_ORDER_BYTES: usize = 8 << 10;

/// A purchase of one service. It stands in the operation's handle, as later parts need it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::provider::adapters) struct Order {
    pub key: IdempotencyKey,
    pub kind: OfferKind,
    pub sku: SkuId,
    pub region: RegionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneId>,
    /// GiB, of what is sold by size.
    #[serde(default)]
    pub size_gib: u64,
    pub name: String,
    #[serde(default)]
    pub settings: Settings,
}

impl Order {
    pub(super) fn new(request: &ProvisionRequest, key: &IdempotencyKey) -> Self {
        Self {
            key: key.clone(),
            kind: request.kind,
            sku: request.sku.clone(),
            region: request.place.region.clone(),
            zone: request.place.zone.clone(),
            size_gib: request.size_gib,
            name: request.name.clone(),
            settings: request.settings.clone(),
        }
    }

    /// A setting as text.
    pub(in crate::provider::adapters) fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).and_then(setting_text)
    }

    /// The id of the service in a setting, such as `attach`.
    pub(in crate::provider::adapters) fn service(&self, name: &str) -> Option<String> {
        self.services(name).into_iter().next()
    }

    /// The ids of services in a setting, such as `targets`.
    pub(in crate::provider::adapters) fn services(&self, name: &str) -> Vec<String> {
        let all = self.setting(name).unwrap_or_default();
        all.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }
}

/// One resource of a service: its product, its position among the parts, region and id.
pub(super) struct Target<'a, A: Api> {
    pub product: &'a dyn Product<A>,
    pub at: usize,
    pub region: RegionId,
    pub id: String,
}

impl<A: Api> Target<'_, A> {
    pub(super) fn sort(&self) -> Option<A::Type> {
        self.product.parts().get(self.at).copied()
    }

    pub(super) fn text(&self) -> String {
        id_text(self.sort(), &self.region, &self.id)
    }
}

fn id_text<T: ResourceType>(sort: Option<T>, region: &RegionId, id: &str) -> String {
    format!("{region}/{}{id}", sort.map(T::prefix).unwrap_or_default())
}

/// The id of a service whose first part this is. None if the API's id is too long, or has control characters.
pub(super) fn service_id<T: ResourceType>(sort: Option<T>, region: &RegionId, id: &str) -> Option<ServiceId> {
    ServiceId::new(id_text(sort, region, id)).ok()
}

/// An operation of the kit.
pub(super) enum Operation<'a, A: Api> {
    Purchase(Order),
    Release(Target<'a, A>),
}

const PURCHASE: &str = "make ";
const RELEASE: &str = "end ";

/// The handle of a purchase; none if it would be too long.
pub(super) fn purchase_handle(order: &Order) -> Option<OperationHandle> {
    let text = serde_json::to_string(order).ok().filter(|text| text.len() <= MAX_ORDER_BYTES)?;
    Some(OperationOwner::new(Some(&order.key)).handle(&format!("{PURCHASE}{text}")))
}

impl<A: Api> Kit<A> {
    /// The resource that the id of a service names; none for an id of other code.
    pub(super) fn target(&self, service: &str) -> Option<Target<'_, A>> {
        let (region, rest) = service.split_once('/')?;
        let region = RegionId::new(region).ok()?;
        let named = self.products.iter().flat_map(|product| {
            product.parts().iter().enumerate().map(move |(at, sort)| (&**product, at, sort.prefix()))
        });
        let mut named = named.filter_map(|(product, at, prefix)| {
            let id = rest.strip_prefix(&prefix).filter(|id| !id.is_empty())?;
            Some(Target { product, at, region: region.clone(), id: id.to_owned() })
        });
        named.next()
    }

    /// The API's own id of a service of this kind.
    pub(in crate::provider::adapters) fn resource_id(
        &self,
        kind: OfferKind,
        service: &str,
    ) -> Option<(RegionId, String)> {
        let target = self.target(service).filter(|target| target.at == 0 && target.product.kind() == kind)?;
        Some((target.region, target.id))
    }

    pub(super) fn release_handle(&self, target: &Target<'_, A>, key: &IdempotencyKey) -> OperationHandle {
        OperationOwner::new(Some(key)).handle(&format!("{RELEASE}{}", target.text()))
    }

    /// The operation of a handle, and its owner; none for a handle of other code.
    pub(super) fn operation(&self, handle: &OperationHandle) -> Option<(Operation<'_, A>, OperationOwner)> {
        let (text, owner) = OperationOwner::parse(handle);
        if let Some(order) = text.strip_prefix(PURCHASE) {
            let order: Order = serde_json::from_str(order).ok()?;
            // The owner behind it is the one that counts.
            let is_own = owner.key() == Some(&order.key);
            return is_own.then_some((Operation::Purchase(order), owner));
        }
        let target = self.target(text.strip_prefix(RELEASE)?)?;
        Some((Operation::Release(target), owner))
    }
}
