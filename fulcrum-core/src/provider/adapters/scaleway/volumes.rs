//! Volumes: those that are made with a server and may outlive it, and those that an image brings.

use futures::TryStreamExt;
use serde_json::{Value, json};

use super::{
    PAGE_SIZE, Scaleway, TAG,
    handle::{Disk, Left, Place},
    is_passing, key_in, key_of,
    wire::{self, Block, Blocks, Holder, OneImage, OneVolume},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceStatus, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, OperationStatus, ProviderError, Result,
        adapters::whose::Whose,
        http::{Method, Page, Request, Response, paginate},
    },
};

/// What holds a volume that hangs on a server.
const SERVER: &str = "instance_server";
const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// A volume's path, by the API that it belongs to.
fn path<'a>(zone: &'a str, disk: &'a Disk) -> Vec<&'a str> {
    let api: &[&str] = if disk.is_block { &["block", "v1alpha1"] } else { &["instance", "v1"] };
    api.iter().copied().chain(["zones", zone, "volumes", &disk.id]).collect()
}

impl Scaleway {
    async fn block(&self, call: Call, zone: &str, id: &str) -> Result<Option<Block>> {
        let ask = Request::get(call, ["block", "v1alpha1", "zones", zone, "volumes", id]);
        match self.client.get_optional::<Block>(&ask).await? {
            Some(block) if block.id != id => {
                Err(self
                    .protocol_error(call, &format!("asked for the volume {id}, it tells of {}", block.id)))
            }
            found => Ok(found),
        }
    }

    /// Marks the volumes of block storage that were made with a server, so that they are found without it.
    ///
    /// # Errors
    /// Asking again may help. What is refused for good is only told in the log.
    pub(super) async fn mark(&self, zone: &str, key: &IdempotencyKey, made: &[Disk]) -> Result<()> {
        for disk in made.iter().filter(|disk| disk.is_block) {
            let tags = json!({ "tags": [format!("{TAG}{key}")] });
            let mark = Request::new(Call::Act, Method::PATCH, path(zone, disk)).json(&tags);
            match self.client.send_ok(&mark).await {
                Ok(_) => {}
                // It is being made: a moment later it is not.
                Err(error)
                    if error.is_retryable()
                        || error.kind.may_have_happened()
                        || matches!(error.kind, ErrorKind::Conflict { .. }) =>
                {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(volume = disk.id, %error, "it is not marked whose it is, and not found without its server");
                }
            }
        }
        Ok(())
    }

    /// What a key has made in a zone and its list of servers does not have: a volume that has outlived its server, or the server
    /// that such a volume names.
    pub(super) async fn left_of(
        &self,
        call: Call,
        zone: &ZoneId,
        key: &IdempotencyKey,
    ) -> Result<Option<Service>> {
        let first = Request::get(call, ["block", "v1alpha1", "zones", zone.as_str(), "volumes"])
            .query("project_id", &self.settings.project)
            .query("tags", format!("{TAG}{key}"))
            .query("page_size", PAGE_SIZE)
            .query("page", 1);
        let listed = paginate(self.client.clone(), first, |request, response| {
            let page: Blocks = response.json()?;
            let count = page.volumes.count();
            let next = next_blocks(request, response, count, page.total_count)?;
            Ok(Page { items: page.volumes.conclusive(response, wire::is_foreign)?, next })
        });
        let listed: Vec<Block> = match listed.try_collect().await {
            Ok(listed) => listed,
            // By the API's own words this zone has no block storage.
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(block) = listed.into_iter().find(|block| key_in(&block.tags).as_ref() == Some(key)) else {
            return Ok(None);
        };
        for holder in block.references.iter().filter(|holder| holder.kind == SERVER) {
            let place = Place { zone: zone.to_string(), server: holder.id.clone() };
            let server = self.server(call, &place).await?;
            if let Some(server) = server.filter(|server| key_of(server).as_ref() == Some(key)) {
                return self.service(call, zone, &server).map(Some);
            }
        }
        self.left(call, zone, &block).map(Some)
    }

    /// A volume whose server is gone, as what is left of a service. It exists: what cannot be read of it is an error.
    fn left(&self, call: Call, zone: &ZoneId, block: &Block) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the volume {} has {what}", block.id));
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        let region = region.ok_or_else(|| odd(&format!("the zone {zone}, which is not known")))?;
        let id = Left { zone: zone.to_string(), volume: block.id.clone() }.service();
        let sku = if block.kind.is_empty() { "volume" } else { &block.kind };
        Ok(Service {
            id: id.ok_or_else(|| odd("an id that is none"))?,
            provider: self.id.clone(),
            key: key_in(&block.tags),
            sku: SkuId::new(sku).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region, zone),
            status: ServiceStatus::Failed,
            attributes: [("left".to_owned(), "a volume without its server".to_owned())].into(),
        })
    }

    pub(super) async fn describe_left(&self, call: Call, left: &Left) -> Result<Option<Service>> {
        let zone = ZoneId::new(&left.zone).map_err(|error| self.protocol_error(call, &error))?;
        self.check_zone(call, &left.zone, &left.volume)?;
        let block = self.block(call, &left.zone, &left.volume).await?;
        block.map(|block| self.left(call, &zone, &block)).transpose()
    }

    /// That what is left may be ended: it carries a key, which is answered, and hangs on nothing. None if it is gone.
    pub(super) async fn check_left(&self, call: Call, left: &Left) -> Result<Option<IdempotencyKey>> {
        self.check_zone(call, &left.zone, &left.volume)?;
        let Some(block) = self.block(call, &left.zone, &left.volume).await? else { return Ok(None) };
        let key = key_in(&block.tags).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
        self.check_held(call, &block.id, &block.references, None)?;
        Ok(Some(key))
    }

    /// That a volume hangs on nothing but the server that it was made with.
    fn check_held(&self, call: Call, volume: &str, holders: &[Holder], server: Option<&str>) -> Result<()> {
        let others = holders.iter().filter(|it| Some(it.id.as_str()) != server && it.status != "detaching");
        let others: Vec<_> = others
            .map(|it| match it.kind.as_str() {
                SERVER | "" => format!("the server {}", it.id),
                kind => format!("the {kind} {}", it.id),
            })
            .collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::held(format!("the volume {volume}"), &others))),
        }
    }

    /// On what a volume hangs, and with which key it is marked; none if it is gone.
    async fn holders(
        &self,
        call: Call,
        zone: &str,
        disk: &Disk,
    ) -> Result<Option<(Vec<Holder>, Option<IdempotencyKey>)>> {
        if disk.is_block {
            let block = self.block(call, zone, &disk.id).await?;
            return Ok(block.map(|block| (block.references, key_in(&block.tags))));
        }
        let found: Option<OneVolume> =
            self.client.get_optional(&Request::get(call, path(zone, disk))).await?;
        if let Some(other) = found.as_ref().and_then(|it| it.volume.id.as_ref()).filter(|id| **id != disk.id)
        {
            return Err(
                self.protocol_error(call, &format!("asked for the volume {}, it tells of {other}", disk.id))
            );
        }
        Ok(found.map(|found| {
            let holder =
                |it: wire::Named| Holder { kind: SERVER.to_owned(), id: it.id, status: String::new() };
            (found.volume.server.map(holder).into_iter().collect(), None)
        }))
    }

    /// Ends volumes whose server is gone, each if it hangs on nothing else by now.
    pub(super) async fn end_volumes(
        &self,
        zone: &str,
        disks: &[Disk],
        server: Option<&str>,
        whose: &Whose,
    ) -> Result<OperationStatus> {
        for disk in disks {
            let of_disk = |error: ProviderError| error.of_part(format!("the volume {}", disk.id));
            let holders = self.holders(Call::Poll, zone, disk).await.map_err(of_disk)?;
            let Some((holders, marked)) = holders else { continue };
            // Another order's volume has got its name since.
            if marked.is_some_and(|key| whose.key().is_some_and(|own| *own != key)) {
                continue;
            }
            self.check_held(Call::Poll, &disk.id, &holders, server)?;
            match self.client.delete_if_exists(&Request::delete(Call::Release, path(zone, disk))).await {
                // Accepted is not gone.
                Ok(true) => {
                    let ask = Request::get(Call::Poll, path(zone, disk));
                    let left: Option<Value> = self.client.get_optional(&ask).await.map_err(of_disk)?;
                    if left.is_some() {
                        return Ok(RUNNING);
                    }
                }
                Ok(false) => {}
                // Still held by the server that is going.
                Err(error) if is_passing(&error.kind) => return Ok(RUNNING),
                Err(error) => return Err(of_disk(ProviderError { call: Call::Poll, ..error })),
            }
        }
        Ok(OperationStatus::Succeeded(None))
    }

    /// That an image brings no volumes of its own: each would be made, and paid.
    pub(super) async fn check_image(&self, zone: &ZoneId, image: &str) -> Result<()> {
        let call = Call::Provision;
        let ask = Request::get(call, ["instance", "v1", "zones", zone.as_str(), "images", image]);
        let found: Option<OneImage> = self.client.get_optional(&ask).await?;
        let missing = || self.invalid(call, format!("no image {image} is in {zone}; set another `image`"));
        let found = found.ok_or_else(missing)?.image;
        if found.id != image {
            let message = format!("asked for the image {image}, it tells of {}", found.id);
            return Err(self.protocol_error(call, &message));
        }
        let extra = found.extra_volumes.unwrap_or_default();
        if extra.is_empty() {
            return Ok(());
        }
        let places: Vec<_> = extra.into_keys().collect();
        let message = format!(
            "the image {image} brings volumes of its own (at {}), which no line has a price for; set another `image`",
            places.join(", ")
        );
        Err(self.invalid(call, message))
    }
}

/// The next page of volumes. A list that has fewer of them than it says is no whole one.
fn next_blocks(request: &Request, response: &Response, count: usize, total: u64) -> Result<Option<Request>> {
    let page = request.parameter("page").and_then(|page| page.parse::<u64>().ok()).unwrap_or(1);
    let seen = page.saturating_sub(1).saturating_mul(PAGE_SIZE.into()).saturating_add(count as u64);
    match (seen < total, count) {
        (false, _) => Ok(None),
        (true, 0) => {
            Err(response.protocol_error(format!("{total} volumes are there, and the list ends before")))
        }
        (true, _) => Ok(Some(request.clone().next_page("page"))),
    }
}
