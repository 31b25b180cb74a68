//! Servers: looked for, and read as services.

use futures::{TryStreamExt, stream::BoxStream};

use super::{
    Hetzner, PAGE_SIZE,
    handle::number,
    wire::{self, Meta, Server, ServerReply, Servers},
};
use crate::{
    model::{IdempotencyKey, InvalidId, Place, ProviderId, Service, ServiceId, ServiceStatus, SkuId, map_of},
    provider::{
        Call, Result,
        adapters::common::{CallErrors, KEY_LABEL},
        http::{Page, Request, paginate},
        portable::{NO_ADDRESS_LABEL, sku_without_address},
        table::RegionDocument,
    },
};

impl Hetzner {
    pub(super) async fn server(&self, call: Call, id: u64) -> Result<Option<Server>> {
        let found: Option<ServerReply> =
            self.client.get_optional(&Request::get(call, ["servers", &id.to_string()])).await?;
        match found {
            Some(ServerReply { server }) if server.id != id => Err(self.protocol_error(
                call,
                &format!("the response to a request about the server {id} is about {}", server.id),
            )),
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers that pass a filter, page by page.
    pub(super) fn servers(
        &self,
        call: Call,
        filter: &str,
        value: impl ToString,
    ) -> BoxStream<'static, Result<Server>> {
        let first = Request::get(call, ["servers"])
            .query(filter, value)
            .query("per_page", PAGE_SIZE)
            .query("sort", "id:asc")
            .query("page", 1);
        paginate(self.client.clone(), first, |request, response| {
            let Servers { servers, meta } = response.json()?;
            let items = servers.conclusive(response, wire::is_foreign)?;
            Ok(Page { items, next: next_page(request, &meta) })
        })
    }

    /// The server whose name is a key, whoever made it.
    pub(super) async fn server_by_name(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Server>> {
        let servers: Vec<_> = self.servers(call, "name", key).try_collect().await?;
        Ok(servers.into_iter().find(|server| server.name == key.as_str()))
    }

    /// The server whose label is a key: a person may have renamed it.
    pub(super) async fn server_by_label(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Server>> {
        let selector = format!("{KEY_LABEL}=={key}");
        let servers: Vec<_> = self.servers(call, "label_selector", selector).try_collect().await?;
        Ok(servers.into_iter().find(|server| key_of(server).as_ref() == Some(key)))
    }

    /// A server of this library by its service's id, which is a number.
    pub(super) async fn own_server(
        &self,
        call: Call,
        service: &ServiceId,
    ) -> Result<Option<(Server, Service)>> {
        let Some(id) = number(service.as_str()) else { return Ok(None) };
        let Some(server) = self.server(call, id).await?.filter(|server| key_of(server).is_some()) else {
            return Ok(None);
        };
        let service = self.service(call, &server)?;
        Ok(Some((server, service)))
    }

    /// A server as a service, without a key if this library did not make it. The server exists, so a field that cannot be read
    /// is an error.
    pub(super) fn service(&self, call: Call, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.id));
        let location = server.location.as_ref().or(server.datacenter.as_ref().map(|it| &it.location));
        let location = location.ok_or_else(|| odd("no location"))?;
        let place = self.places.iter().find(|place| place.region.as_str() == location.name);
        let ip = |address: &wire::Address| address.ip.clone();
        let private = server.private_net.iter().map(ip).collect::<Vec<_>>().join(" ");
        let attributes = [
            ("public_ipv4", server.public_net.ipv4.as_ref().map(ip)),
            ("public_ipv6", server.public_net.ipv6.as_ref().map(ip)),
            ("private_ip", Some(private).filter(|text| !text.is_empty())),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Service {
            id: ServiceId::new(server.id.to_string()).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: self.sku_of(server).map_err(|error| odd(&error.to_string()))?,
            place: place
                .ok_or_else(|| odd(&format!("the location {}, which is not known", location.name)))?
                .clone(),
            status: status(&server.status),
            attributes: map_of(attributes),
        })
    }

    /// The product code of a server.
    pub(super) fn sku_of(&self, server: &Server) -> Result<SkuId, InvalidId> {
        let name = &server.server_type.name;
        let is_without = server.labels.contains_key(NO_ADDRESS_LABEL);
        match sku_without_address(name).filter(|_| is_without) {
            Some(sku) => Ok(sku),
            None => SkuId::new(name),
        }
    }

    /// The service with a key; none after proof of absence.
    pub(super) async fn find_service(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let call = Call::FindByKey;
        let named =
            self.server_by_name(call, key).await?.filter(|server| key_of(server).as_ref() == Some(key));
        let server = match named {
            None => self.server_by_label(call, key).await?,
            named => named,
        };
        let service = server.map(|server| self.service(call, &server)).transpose()?;
        Ok(service.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }
}

/// The key that a server was made with; none if this library did not make it. Where a cloud keeps no labels, the name alone
/// decides.
pub(super) fn key_of(server: &Server) -> Option<IdempotencyKey> {
    match server.labels.get(KEY_LABEL) {
        Some(label) => IdempotencyKey::new(label).ok(),
        None => IdempotencyKey::new(&server.name).ok().filter(|name| name.step().is_some()),
    }
}

pub(super) fn place(provider: &ProviderId, region: &RegionDocument) -> Place {
    Place {
        provider: provider.clone(),
        region: region.id.clone(),
        zone: None,
        country: region.country,
        coordinates: None,
    }
}

/// The next page, if this one names one.
pub(super) fn next_page(request: &Request, meta: &Meta) -> Option<Request> {
    meta.pagination.next_page.map(|_| request.clone().next_page("page"))
}

pub(super) fn status(word: &str) -> ServiceStatus {
    match word {
        "running" => ServiceStatus::Running,
        "initializing" | "starting" | "migrating" | "rebuilding" => ServiceStatus::Starting,
        "off" | "stopping" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
    }
}
