//! Servers: looked for, and read as services.

use futures::{TryStreamExt, stream::BoxStream};

use super::{
    PAGE_SIZE, UpCloud,
    wire::{self, Server, ServerReply, Servers},
};
use crate::{
    model::{IdempotencyKey, Place, Service, ServiceId, ServiceStatus, SkuId, map_of},
    provider::{
        Call, Result,
        adapters::common::{CallErrors, KEY_LABEL},
        http::{Page, Request, paginate},
        table::RegionDocument,
    },
};

impl UpCloud {
    pub(super) async fn server(&self, call: Call, id: &str) -> Result<Option<Server>> {
        let found: Option<ServerReply> =
            self.client.get_optional(&Request::get(call, ["server", id])).await?;
        match found {
            Some(ServerReply { server }) if server.uuid != id => Err(self.protocol_error(
                call,
                &format!("the response to a request about the server {id} is about {}", server.uuid),
            )),
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers with a label, page by page.
    pub(super) fn list(&self, call: Call, label: String) -> BoxStream<'static, Result<Service>> {
        let first =
            Request::get(call, ["server"]).query("label", label).query("limit", PAGE_SIZE).query("offset", 0);
        let this = self.clone();
        paginate(self.client.clone(), first, move |request, response| {
            let page: Servers = response.json()?;
            let count = page.servers.server.count();
            let servers = page.servers.server.conclusive(response, wire::is_foreign)?;
            let next = (count == PAGE_SIZE).then(|| request.clone().next_offset("offset", PAGE_SIZE));
            let ours = servers.iter().filter(|server| key_of(server).is_some());
            Ok(Page { items: ours.map(|server| this.service(call, server)).collect::<Result<_>>()?, next })
        })
    }

    /// A server as a service, without a key if this library did not make it. The server exists, so a field that cannot be read
    /// is an error.
    pub(super) fn service(&self, call: Call, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.uuid));
        let region = self.facts.regions.iter().find(|region| region.id.as_str() == server.zone);
        let region = region.ok_or_else(|| odd(&format!("the zone {}, which is not known", server.zone)))?;
        let addresses = |access: &str, family: &str| {
            let all = server.ip_addresses.ip_address.iter();
            let some = all.filter(|ip| ip.access == access && ip.family == family);
            some.map(|ip| ip.address.as_str()).collect::<Vec<_>>().join(" ")
        };
        let attributes = [
            ("public_ipv4", addresses("public", "IPv4")),
            ("public_ipv6", addresses("public", "IPv6")),
            ("private_ip", addresses("utility", "IPv4")),
        ];
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Service {
            id: ServiceId::new(&server.uuid).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.plan).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region),
            status: status(&server.state),
            attributes: map_of(attributes.map(|(name, value)| (name.to_owned(), value))),
        })
    }

    pub(super) fn place_of(&self, region: &RegionDocument) -> Place {
        Place {
            provider: self.id.clone(),
            region: region.id.clone(),
            zone: None,
            country: region.country,
            coordinates: None,
        }
    }

    /// The service with a key; none after proof of absence.
    pub(super) async fn find_service(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut all = self.list(Call::FindByKey, format!("{KEY_LABEL}={key}"));
        let mut found = None;
        // The list is read to its end: an error on a later page is not absence.
        while let Some(service) = all.try_next().await? {
            if service.key.as_ref() == Some(key) {
                found = found.or(Some(service));
            }
        }
        match found {
            // If somebody ended the server alone, its disk remains and costs money.
            None => self.orphaned_disk(Call::FindByKey, key).await,
            Some(found) if found.status == ServiceStatus::Stopped => {
                Ok(Some(Service { status: ServiceStatus::Starting, ..found }))
            }
            found => Ok(found),
        }
    }
}

/// The key that a server was made with; none if this library did not make it.
pub(super) fn key_of(server: &Server) -> Option<IdempotencyKey> {
    IdempotencyKey::new(&server.labels.label.iter().find(|label| label.key == KEY_LABEL)?.value).ok()
}

pub(super) fn status(state: &str) -> ServiceStatus {
    match state {
        "started" => ServiceStatus::Running,
        "maintenance" => ServiceStatus::Starting,
        "stopped" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
    }
}
