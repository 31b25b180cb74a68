//! Access to an instance: its bindings.

use secrecy::SecretString;
use serde_json::Value;

use super::{
    Osb,
    errors::is_absence_word,
    offers::ProductIds,
    services::{Evidence, UNKNOWN_SKU},
    wire::{BindingReply, InstanceRequest},
};
use crate::{
    model::{IdempotencyKey, ServiceId},
    provider::{Access, Call, ErrorKind, Result, adapters::common::CallErrors, http::Request, single_line},
};

/// Characters of the name of a credential.
const MAX_NAME_CHARS: usize = 100;

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
        let credentials = self.credentials_of(Call::Act, service, key).await?.to_string();
        Ok(Binding { credentials: SecretString::from(credentials) })
    }

    /// What opens an instance: the credentials of the binding with the instance's own key. A broker gives the same ones each time.
    pub(super) async fn credentials(&self, service: &ServiceId) -> Result<Access> {
        let call = Call::Access;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let key = IdempotencyKey::new(service.as_str()).map_err(|_| missing())?;
        let Value::Object(values) = self.credentials_of(call, service, &key).await? else {
            return Err(self.error(call, ErrorKind::Unsupported));
        };
        // What is no text is one as JSON, such as a port or a list of hosts.
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let all = values.into_iter().map(|(name, value)| (single_line(&name, MAX_NAME_CHARS), text(value)));
        Ok(all.fold(Access::default(), |access, (name, value)| access.with(name, value)))
    }

    async fn credentials_of(&self, call: Call, service: &ServiceId, key: &IdempotencyKey) -> Result<Value> {
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let ids = self.product_of(call, service).await?.ok_or_else(missing)?;
        if !ids.is_bindable {
            // No release would end the binding.
            return Err(self.error(call, ErrorKind::Unsupported));
        }
        let wanted = InstanceRequest {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: None,
        };
        let path = ["v2", "service_instances", service.as_str(), "service_bindings", key.as_str()];
        let bound: Result<BindingReply> = self.client.json(&Request::put(call, path).json(&wanted)).await;
        let bound = match bound {
            // The binding is there, made for the plan before a resize.
            Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => {
                let told = self.client.get_optional(&Request::get(call, path)).await;
                told.ok().flatten().ok_or(error)?
            }
            bound => bound?,
        };
        Ok(bound.credentials.unwrap_or(Value::Null))
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

    /// Ends the binding by which [`credentials`](Self::credentials) opened an instance, which comes before the instance's own end.
    /// Most instances have none. False if it may still exist: ask again.
    pub(super) async fn end_access(&self, call: Call, instance: &str, ids: &ProductIds) -> Result<bool> {
        let path = ["v2", "service_instances", instance, "service_bindings", instance];
        let ask = Request::delete(call, path)
            .query("service_id", &ids.service)
            .query("plan_id", &ids.plan)
            .query("accepts_incomplete", true);
        let response = self.client.send(&ask).await?;
        let status = response.status().as_u16();
        match self.client.check(&response) {
            Ok(()) => Ok(status != 202),
            // It has none.
            Err(_) if is_absence_word(&response) || matches!(status, 404 | 410) => Ok(true),
            Err(error) if error.is_retryable() => Err(error),
            Err(error) => Ok(!matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous)),
        }
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
