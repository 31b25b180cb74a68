//! Servers: looked for in all zones, and read as services.

use std::net::Ipv4Addr;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{
    KEY_TAG, PAGE_SIZE, Scaleway,
    handle::ServerRef,
    offers,
    wire::{self, Server, ServerReply, Servers},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, SkuId, ZoneId, map_of},
    provider::{
        Call, Result, ServiceStream,
        adapters::common::CallErrors,
        http::{Page, Request, Response, bounded, paginate},
        table::RegionDocument,
    },
};

impl Scaleway {
    /// The resource of a service. None if the id is not one of this adapter's.
    ///
    /// # Errors
    /// The service is in a zone that is not configured any more: its state is unknown.
    pub(super) fn server_ref(&self, call: Call, service: &ServiceId) -> Result<Option<ServerRef>> {
        let Some(place) = ServerRef::parse(service) else { return Ok(None) };
        self.check_zone(call, &place.zone, service)?;
        Ok(Some(place))
    }

    pub(super) fn check_zone(&self, call: Call, zone: &str, what: impl std::fmt::Display) -> Result<()> {
        if self.zones.iter().any(|it| it.as_str() == zone) {
            return Ok(());
        }
        Err(self.invalid_request(
            call,
            format!("{what} is in {zone}, which is not configured; add it to `zones`"),
        ))
    }

    pub(super) async fn server(&self, call: Call, place: &ServerRef) -> Result<Option<Server>> {
        let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
        let found: Option<ServerReply> = self.client.get_optional(&Request::get(call, path)).await?;
        match found {
            Some(ServerReply { server }) if server.id != place.server => {
                let (asked, told) = (&place.server, &server.id);
                Err(self.protocol_error(
                    call,
                    &format!("the response to a request about the server {asked} is about {told}"),
                ))
            }
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers of a zone, all or with a tag.
    fn list_zone(&self, call: Call, zone: &ZoneId, tag: Option<&str>) -> BoxStream<'static, Result<Service>> {
        let mut first = Request::get(call, ["instance", "v1", "zones", zone.as_str(), "servers"])
            .query("project", &self.settings.project)
            .query("per_page", PAGE_SIZE)
            .query("page", 1);
        if let Some(tag) = tag {
            first = first.query("tags", tag);
        }
        let (this, zone) = (self.clone(), zone.clone());
        paginate(self.client.clone(), first, move |request, response| {
            let page: Servers = response.json()?;
            let count = page.servers.count();
            let next = next_server_page(request, response, count)?;
            let servers = page.servers.conclusive(response, wire::is_foreign)?;
            let ours = servers.iter().filter(|server| key_of(server).is_some());
            let items = ours.map(|server| this.service(call, &zone, server)).collect::<Result<_>>()?;
            Ok(Page { items, next })
        })
    }

    /// This library's servers in all zones, which are read in parallel.
    pub(super) fn list_zones(&self, call: Call, tag: Option<String>) -> ServiceStream {
        let this = self.clone();
        let lists = self.zones.clone().into_iter().map(move |zone| {
            let list = this.list_zone(call, &zone, tag.as_deref());
            async move { list.try_collect::<Vec<_>>().await }
        });
        let all = stream::iter(lists)
            .buffered(8)
            .map_ok(|services| stream::iter(services.into_iter().map(Ok)))
            .try_flatten();
        bounded(&self.id, call, all)
    }

    /// A server as a service, without a key if this library did not make it. The server exists, so a field that cannot be read
    /// is an error.
    pub(super) fn service(&self, call: Call, zone: &ZoneId, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the server {} has {what}", server.id));
        let id = ServerRef { zone: zone.to_string(), server: server.id.clone() }.service();
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        let region = region.ok_or_else(|| odd(&format!("the zone {zone}, which is not known")))?;
        let all = || server.public_ips.iter().map(|ip| ip.address.as_str());
        let public_ipv4 = all().filter(|ip| ip.parse::<Ipv4Addr>().is_ok()).collect::<Vec<_>>().join(" ");
        let private = server.private_ip.clone().unwrap_or_default();
        // `public_ip` is what it was called until 0.2.
        let addresses = all().collect::<Vec<_>>().join(" ");
        let attributes = [("public_ipv4", public_ipv4), ("public_ip", addresses), ("private_ip", private)];
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Service {
            id: id.ok_or_else(|| odd("an id that is not valid"))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.commercial_type).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region, zone),
            status: status(&server.state),
            attributes: map_of(attributes.map(|(name, value)| (name.to_owned(), value))),
        })
    }

    pub(super) fn place_of(&self, region: &RegionDocument, zone: &ZoneId) -> crate::model::Place {
        crate::model::Place {
            provider: self.id.clone(),
            region: region.id.clone(),
            zone: Some(zone.clone()),
            country: region.country,
            coordinates: None,
        }
    }

    fn sells_disks(&self, zone: &ZoneId) -> bool {
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        region.is_some_and(|region| offers::disk_of(&self.storage, &self.place_of(region, zone)).is_some())
    }

    /// The service with a key; none after proof of absence.
    pub(super) async fn find_service(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut all = self.list_zones(Call::FindByKey, Some(format!("{KEY_TAG}{key}")));
        let mut found = None;
        // All zones are read: an error in one of them is not absence.
        while let Some(service) = all.try_next().await? {
            if service.key.as_ref() == Some(key) {
                found = found.or(Some(service));
            }
        }
        if found.is_none() {
            // If somebody ended the server alone, its volumes remain and cost money. In a zone whose disks no row prices
            // nothing is made; it may have no block storage at all.
            let zones = self.zones.iter().filter(|zone| self.sells_disks(zone));
            let lists = zones.map(|zone| self.orphaned_volume(Call::FindByKey, zone, key));
            found = futures::future::try_join_all(lists).await?.into_iter().flatten().next();
        }
        Ok(found.map(|service| match service.status {
            ServiceStatus::Stopped => Service { status: ServiceStatus::Starting, ..service },
            _ => service,
        }))
    }
}

/// The key that a server was made with; none if this library did not make it.
pub(super) fn key_of(server: &Server) -> Option<IdempotencyKey> {
    key_in(&server.tags)
}

pub(super) fn key_in(tags: &[String]) -> Option<IdempotencyKey> {
    IdempotencyKey::new(tags.iter().find_map(|tag| tag.strip_prefix(KEY_TAG))?).ok()
}

/// The next page of servers. A list with fewer servers than its total is incomplete.
fn next_server_page(request: &Request, response: &Response, count: usize) -> Result<Option<Request>> {
    let next = match response.header("link") {
        Some(_) => offers::next_page(request, response),
        // Without a header, a full page may not be the last one.
        None => (count >= PAGE_SIZE as usize).then(|| request.clone().next_page("page")),
    };
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<usize>().ok());
    let before = number(request.parameter("page")).unwrap_or(1).saturating_sub(1) * PAGE_SIZE as usize;
    match number(response.header("x-total-count")) {
        Some(total) if next.is_none() && before.saturating_add(count) < total => {
            Err(response.protocol_error(format!("the list ends before its total of {total} servers")))
        }
        _ => Ok(next),
    }
}

pub(super) fn status(state: &str) -> ServiceStatus {
    match state {
        "running" => ServiceStatus::Running,
        "starting" => ServiceStatus::Starting,
        "stopped" | "stopped in place" | "stopping" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
    }
}
