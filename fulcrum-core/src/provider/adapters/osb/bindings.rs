//! Access to an instance: its bindings.

use secrecy::SecretString;
use serde_json::Value;

use super::{
    Osb,
    offers::ProductIds,
    services::{Evidence, UNKNOWN_SKU},
    wire::{BindingReply, InstanceRequest},
};
use crate::{
    model::{IdempotencyKey, ServiceId},
    provider::{Call, ErrorKind, Result, adapters::common::CallErrors, http::Request},
};

/// Access to an instance.
#[derive(Debug)]
pub struct Binding {
    /// The broker's JSON: addresses, names, passwords. The caller keeps it.
    pub credentials: SecretString,
}

impl Osb {
    /// Creates access to an instance. The same key returns the same access.
    ///
    /// # Errors
    /// Not found, a conflict while the instance is busy, or the broker's error.
    pub async fn bind(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<Binding> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let ids = self.product_of(call, service).await?.ok_or_else(missing)?;
        let wanted = InstanceRequest {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: None,
        };
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let bound: BindingReply = self.client.json(&Request::put(call, path).json(&wanted)).await?;
        let credentials = bound.credentials.unwrap_or(Value::Null).to_string();
        Ok(Binding { credentials: SecretString::from(credentials) })
    }

    /// Withdraws access. Access that is gone already is success.
    ///
    /// # Errors
    /// A conflict while the instance is busy, or the broker's error.
    pub async fn unbind(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<()> {
        let call = Call::Act;
        let Some(ids) = self.product_of(call, service).await? else { return Ok(()) };
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let ask = Request::delete(call, path).query("service_id", &ids.service).query("plan_id", &ids.plan);
        self.client.delete_if_exists_with(&ask, self.prove_route(call, false)).await.map(drop)
    }

    /// The ids of an instance's product; none if the instance is gone.
    async fn product_of(&self, call: Call, service: &ServiceId) -> Result<Option<ProductIds>> {
        let Ok(key) = IdempotencyKey::new(service.as_str()) else { return Ok(None) };
        let known = match self.look_up(call, &key).await? {
            Evidence::Absent => return Ok(None),
            Evidence::Retrieved(service) | Evidence::Inferred(service) => Some(service.sku),
            Evidence::Unknown => self.instance_cache.sku_of(&key),
        };
        match known.filter(|sku| sku.as_str() != UNKNOWN_SKU) {
            Some(sku) => self.ids_of(call, &sku).await.map(Some),
            None => {
                let message = format!(
                    "the broker does not tell the product of {service}; bind or unbind it at the broker"
                );
                Err(self.invalid_request(call, message))
            }
        }
    }
}
