//! Instances: looked for in all zones, and read as services.

use serde_json::Value;

use super::{
    Exoscale, Zone,
    handle::InstanceRef,
    offers::{TYPES_FRESH_FOR, sku_of},
    wire::{self, Instance, InstanceType, Instances},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, SkuId, map_of},
    provider::{
        Call, ErrorKind, Result,
        adapters::common::{CallErrors, KEY_LABEL},
        http::Request,
    },
};

impl Exoscale {
    pub(super) async fn instance(&self, call: Call, at: &InstanceRef) -> Result<Option<Instance>> {
        let zone = self.zone(call, &at.zone)?;
        let ask = Request::get(call, ["instance", &at.instance]);
        let found: Option<Instance> =
            zone.client.get_optional_with(&ask, self.check_not_listed(call, zone, at)).await?;
        match found {
            Some(other) if other.id != at.instance => {
                let (asked, told) = (&at.instance, &other.id);
                Err(self.protocol_error(
                    call,
                    &format!("the response to a request about the instance {asked} is about {told}"),
                ))
            }
            found => Ok(found),
        }
    }

    /// Checks that the complete list of a zone does not have an instance either.
    async fn check_not_listed(&self, call: Call, zone: &Zone, at: &InstanceRef) -> Result<()> {
        let list: Instances = zone.client.json(&Request::get(call, ["instance"])).await?;
        let names_it = |row: &Value| row.to_string().contains(&at.instance);
        let is_odd = list.instances.unreadable().iter().any(|odd| odd.may_match(names_it));
        if is_odd || list.instances.iter().any(|it| it.id == at.instance) {
            tracing::warn!(
                instance = at.instance,
                "the instance is said to be absent, and is in the list; not believed"
            );
            let cause = format!("{} is said to be absent, and is in the list", at.instance);
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        Ok(())
    }

    /// This library's instances in a zone. The list has one page.
    async fn list_zone(&self, call: Call, zone: &Zone) -> Result<Vec<Service>> {
        let response = zone.client.send_ok(&Request::get(call, ["instance"])).await?;
        let instances = response.json::<Instances>()?.instances.conclusive(&response, wire::is_foreign)?;
        let ours: Vec<_> = instances.iter().filter(|it| key_of(it).is_some()).collect();
        if ours.is_empty() {
            return Ok(Vec::new());
        }
        let types = self.instance_types(call, zone, TYPES_FRESH_FOR).await?;
        ours.into_iter().map(|instance| self.service(call, zone, instance, &types)).collect()
    }

    pub(super) async fn list_zones(&self, call: Call) -> Result<Vec<Service>> {
        let lists = self.zones.values().map(|zone| self.list_zone(call, zone));
        Ok(futures::future::try_join_all(lists).await?.into_iter().flatten().collect())
    }

    /// An instance as a service, without a key if this library did not make it. The instance exists, so a field that cannot be
    /// read is an error.
    pub(super) fn service(
        &self,
        call: Call,
        zone: &Zone,
        instance: &Instance,
        types: &[InstanceType],
    ) -> Result<Service> {
        let odd = |what: &dyn std::fmt::Display| {
            self.protocol_error(call, &format!("the instance {} has an odd name: {what}", instance.id))
        };
        let kind = types.iter().find(|kind| kind.id == instance.instance_type.id);
        let sku = kind.map_or_else(|| instance.instance_type.id.clone(), sku_of);
        let addresses = [("public_ipv4", &instance.public_ip), ("public_ipv6", &instance.ipv6_address)];
        let attributes =
            addresses.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        Ok(Service {
            id: ServiceId::new(format!("{}/{}", zone.place.region, instance.id))
                .map_err(|error| odd(&error))?,
            provider: self.id.clone(),
            key: key_of(instance),
            sku: SkuId::new(sku).map_err(|error| odd(&error))?,
            place: zone.place.clone(),
            status: status(&instance.state),
            attributes: map_of(attributes.filter(|(_, value)| !value.is_empty())),
        })
    }

    pub(super) async fn describe_instance(
        &self,
        call: Call,
        at: &InstanceRef,
    ) -> Result<Option<(Instance, Service)>> {
        let Some(instance) = self.instance(call, at).await? else { return Ok(None) };
        let zone = self.zone(call, &at.zone)?;
        let types = self.instance_types(call, zone, TYPES_FRESH_FOR).await?;
        let service = self.service(call, zone, &instance, &types)?;
        Ok(Some((instance, service)))
    }

    /// The resource of a service. None if the id is not one of this adapter's.
    ///
    /// # Errors
    /// The service is in a zone that is not configured any more: its state is unknown.
    pub(super) fn instance_ref(&self, call: Call, service: &ServiceId) -> Result<Option<InstanceRef>> {
        let Some((zone, instance)) = service.as_str().split_once('/') else { return Ok(None) };
        if !uuid::Uuid::parse_str(instance).is_ok_and(|id| id.to_string() == instance) {
            return Ok(None);
        }
        self.zone(call, zone)?;
        Ok(Some(InstanceRef { zone: zone.to_owned(), instance: instance.to_owned() }))
    }
}

/// The key that an instance was made with; none if this library did not make it.
pub(super) fn key_of(instance: &Instance) -> Option<IdempotencyKey> {
    IdempotencyKey::new(instance.labels.get(KEY_LABEL)?).ok()
}

pub(super) fn status(state: &str) -> ServiceStatus {
    match state {
        "running" => ServiceStatus::Running,
        "starting" | "migrating" => ServiceStatus::Starting,
        "stopped" | "stopping" => ServiceStatus::Stopped,
        "expunging" | "destroying" => ServiceStatus::Releasing,
        _ => ServiceStatus::Failed,
    }
}
