//! A machine is cloned, sized, started, and marked as made: each step may be repeated, and whoever asks how far it is takes
//! the next one.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    Proxmox,
    cluster::{DISKS, KEY, MADE, Machine, SKU},
    errors::is_full,
    numbers::numbers_of,
    wire::{Handle, Resource, Task, TaskStatus},
};
use crate::{
    model::{IdempotencyKey, Offer, OfferKind, RegionId, Resources, Settings, Shortage, SkuId, setting_text},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProvisionRequest, Result,
        adapters::bought::{afterwards, answered},
        check_settings, find_exact,
        http::{Method, Request},
    },
};

pub(super) const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// The settings that are used after the clone.
const LATER: [&str; 3] = ["user", "ssh_key", "ip"];
/// Bytes of a handle; ledgers keep some more.
const MOST_HANDLE: usize = 12 << 10;
/// Bytes of a task's name.
const MOST_TASK: usize = 256;

pub(super) fn failed(reason: impl Into<String>) -> OperationStatus {
    let reason = reason.into();
    let shortage = is_full(&reason).then_some(Shortage::SoldOut);
    OperationStatus::Failed { reason, shortage }
}

/// The fields of a size. Of a part of a processor a whole one is given, and its time is limited.
pub(super) fn sizes(size: &Resources) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("cores", size.vcpu_milli.div_ceil(1000).max(1).to_string()),
        ("memory", size.memory_mib.to_string()),
    ];
    if !size.vcpu_milli.is_multiple_of(1000) {
        fields.push(("cpulimit", Decimal::new(size.vcpu_milli.into(), 3).normalize().to_string()));
    }
    fields
}

/// Whether a task's end is a good one.
fn is_ok(status: &str) -> bool {
    status == "OK" || status.starts_with("WARNINGS")
}

impl Proxmox {
    /// What is sold under a name in a region.
    pub(super) fn size_of(&self, call: Call, sku: &SkuId, region: &RegionId) -> Result<&Offer> {
        let is_it = |offer: &&Offer| {
            offer.kind == OfferKind::Machine && offer.sku == *sku && offer.place.region == *region
        };
        let missing = || self.error(call, ErrorKind::NotFound { what: format!("{sku} in {region}") });
        self.listed.iter().find(is_it).ok_or_else(missing)
    }

    /// How much memory, in bytes, each node of a region has left for machines; those that cannot be reached are left out.
    pub(super) fn room<'a>(&'a self, region: &RegionId, resources: &'a [Resource]) -> BTreeMap<&'a str, u64> {
        let names = self.config.nodes.get(region).map(Vec::as_slice).unwrap_or_default();
        let nodes = resources.iter().filter(|it| it.kind == "node" && it.status == "online");
        let room = nodes.filter(|it| names.contains(&it.node)).map(|node| {
            let all = u128::from(node.maxmem) * u128::from(self.config.memory_percent) / 100;
            let is_here = |it: &&Resource| {
                matches!(it.kind.as_str(), "qemu" | "lxc") && it.node == node.node && it.template == 0
            };
            let used = resources.iter().filter(is_here).map(|it| u128::from(it.maxmem)).sum::<u128>();
            (node.node.as_str(), u64::try_from(all.saturating_sub(used)).unwrap_or(u64::MAX))
        });
        room.collect()
    }

    /// Begins a clone, or goes on with the machine that the key has already.
    pub(super) async fn clone_for(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.error(call, kind))?;
        let size = find_exact(request, self.listed.iter()).map_err(|kind| self.error(call, kind))?;
        let resources = self.resources(call).await?;
        let own = self.of_key(call, &resources, key).await?;
        if let Some(machine) = own {
            if machine.sku().is_some_and(|sku| sku != request.sku) {
                let message = format!("{key} is a machine of another size already");
                return Err(self.error(call, ErrorKind::Conflict { message }));
            }
            return self.make_handle(call, key, request, None);
        }
        // What cannot be kept in mind must not be begun.
        self.make_handle(call, key, request, Some(" ".repeat(MOST_TASK)))?;
        let (node, template) = self.choose(request, size, &resources)?;
        let is_taken = |vmid: &u64| {
            resources.iter().any(|it| matches!(it.kind.as_str(), "qemu" | "lxc") && it.vmid == *vmid)
        };
        let mut free = numbers_of(key, self.config.vmids).into_iter().filter(|vmid| !is_taken(vmid));
        let none = || {
            let message = "all numbers of this key are taken; give `vmids` a range of their own".to_owned();
            self.error(call, ErrorKind::Conflict { message })
        };
        let vmid = free.next().ok_or_else(none)?.to_string();
        let notes = format!("Made by Fulcrum for {}\n{KEY}{key}\n{SKU}{}\n", request.name, request.sku);
        let template = template.to_string();
        let mut fields =
            vec![("newid", vmid.as_str()), ("name", key.as_str()), ("full", "1"), ("description", &notes)];
        if let Some(storage) = &self.config.storage {
            fields.push(("storage", storage));
        }
        let ask = Request::post(call, ["nodes", &node, "qemu", &template, "clone"])
            .form(fields)
            .for_sku(&request.sku);
        let task: String = answered(self.get(&ask).await)?;
        afterwards(self.make_handle(call, key, request, Some(task)))
    }

    pub(super) fn make_handle(
        &self,
        call: Call,
        key: &IdempotencyKey,
        request: &ProvisionRequest,
        task: Option<String>,
    ) -> Result<OperationHandle> {
        // Only what is used after the clone: other settings may be long, and a handle may not.
        let used = request.settings.iter().filter(|(name, _)| LATER.contains(&name.as_str()));
        let settings = used.map(|(name, value)| (name.clone(), value.clone())).collect();
        let (key, sku, size_gib) = (key.clone(), request.sku.clone(), request.size_gib);
        let handle = self.handle(call, &Handle::Make { key, sku, task, settings, size_gib })?;
        if handle.as_str().len() > MOST_HANDLE {
            let message =
                format!("the settings {} have more than {MOST_HANDLE} bytes; shorten them", LATER.join(", "));
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        Ok(handle)
    }

    /// The node with the most room, and its template.
    fn choose(
        &self,
        request: &ProvisionRequest,
        size: &Offer,
        resources: &[Resource],
    ) -> Result<(String, u64)> {
        let call = Call::Provision;
        let image = request.setting("image").unwrap_or_else(|| self.config.image.clone());
        let room = self.room(&request.place.region, resources);
        let is_template = |it: &&Resource| it.kind == "qemu" && it.template == 1 && it.name == *image;
        let templates = resources.iter().filter(is_template);
        let mut nodes: Vec<_> = templates
            .filter_map(|it| Some((*room.get(it.node.as_str())?, it.node.clone(), it.vmid)))
            .collect();
        if nodes.is_empty() {
            let message = format!(
                "no node of {} that is online has a template {image}; set another `image`",
                request.place.region
            );
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        nodes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let wanted = size.capacity.memory_mib.saturating_mul(1 << 20);
        let fitting = nodes.into_iter().find(|(room, ..)| *room >= wanted);
        let full = || self.error(call, ErrorKind::CapacityExhausted { sku: request.sku.clone() });
        fitting.map(|(_, node, template)| (node, template)).ok_or_else(full)
    }

    /// One step further towards a machine that is made.
    pub(super) async fn poll_make(
        &self,
        key: &IdempotencyKey,
        sku: &SkuId,
        task: Option<&str>,
        settings: &Settings,
        size_gib: u64,
    ) -> Result<OperationStatus> {
        let call = Call::Poll;
        if let Some(task) = task
            && let Some(status) = self.unfinished_task(task).await?
        {
            return Ok(status);
        }
        let resources = self.resources(call).await?;
        let Some(machine) = self.of_key(call, &resources, key).await? else {
            return Ok(failed("the machine is gone"));
        };
        let Some(power) = self.power(call, &machine).await? else { return Ok(RUNNING) };
        if power.lock.is_some() || machine.config.lock.is_some() {
            return Ok(RUNNING);
        }
        if machine.is_made() || power.status == "running" {
            return self.mark(machine, &power, sku, size_gib).await;
        }
        match started(&self.tasks(call, &machine).await?) {
            Start::Busy => Ok(RUNNING),
            // It has run, and ended by itself.
            Start::Done => self.mark(machine, &power, sku, size_gib).await,
            Start::Failed(reason) => Ok(failed(reason)),
            Start::Never => match self.size_and_start(&machine, sku, settings, size_gib).await {
                Ok(()) => Ok(RUNNING),
                Err(error) => match error.kind {
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                    ErrorKind::InvalidRequest { message } => Ok(failed(message)),
                    _ => Err(error),
                },
            },
        }
    }

    async fn mark(
        &self,
        mut machine: Machine,
        power: &super::wire::PowerState,
        sku: &SkuId,
        size_gib: u64,
    ) -> Result<OperationStatus> {
        if !machine.is_made() {
            // It may have been started before it was given its size: by a hook, or as its template starts.
            let (size, disk_gib) = self.bought(&machine, sku, size_gib)?;
            if let Err(why) = machine.check_size(&size) {
                return Ok(failed(format!("the machine {} is not as it was bought: {why}", machine.vmid)));
            }
            if machine.has_less_than(&self.config.disk, disk_gib) {
                match self.grow(&machine, disk_gib).await {
                    Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => {
                        return Ok(RUNNING);
                    }
                    grown => grown?,
                }
            }
            let tags = machine.tags().chain([MADE]).collect::<Vec<_>>().join(";");
            // From here on it belongs to its customer: what is attached later is not among these.
            let disks = machine.disks().into_values().collect::<Vec<_>>().join(" ");
            let notes = format!("{}\n{DISKS}{disks}\n", machine.config.description.trim_end());
            self.configure(&machine, vec![("tags", tags.clone()), ("description", notes.clone())]).await?;
            (machine.config.tags, machine.config.description) = (tags, notes);
        }
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &machine, power)?)))
    }

    pub(super) async fn configure(&self, machine: &Machine, fields: Vec<(&str, String)>) -> Result<()> {
        let vmid = machine.vmid.to_string();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let ask = Request::new(Call::Act, Method::PUT, machine.path(&vmid, &["config"])).form(fields);
        self.get::<Value>(&ask).await.map(drop)
    }

    /// Makes a machine's disk so large; it must not be smaller than it is.
    pub(super) async fn grow(&self, machine: &Machine, gib: u64) -> Result<()> {
        let (vmid, size) = (machine.vmid.to_string(), format!("{gib}G"));
        let ask = Request::new(Call::Act, Method::PUT, machine.path(&vmid, &["resize"]))
            .form([("disk", self.config.disk.as_str()), ("size", &size)]);
        self.get::<Value>(&ask).await.map(drop)
    }

    pub(super) async fn power_to(
        &self,
        call: Call,
        machine: &Machine,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let vmid = machine.vmid.to_string();
        let ask = Request::post(call, machine.path(&vmid, &["status", action])).form(fields.iter().copied());
        self.get(&ask).await
    }

    /// The size that a machine was bought in, and the GiB of its disk with what was bought beyond.
    fn bought(&self, machine: &Machine, sku: &SkuId, size_gib: u64) -> Result<(Resources, u64)> {
        let region = self.places.iter().find(|place| {
            self.config.nodes.get(&place.region).is_some_and(|nodes| nodes.contains(&machine.node))
        });
        let gone = || self.error(Call::Poll, ErrorKind::NotFound { what: machine.node.clone() });
        let size = self.size_of(Call::Poll, sku, &region.ok_or_else(gone)?.region)?.capacity.clone();
        let disk_gib = size.disk_gib.saturating_add(size_gib);
        Ok((size, disk_gib))
    }

    async fn size_and_start(
        &self,
        machine: &Machine,
        sku: &SkuId,
        settings: &Settings,
        size_gib: u64,
    ) -> Result<()> {
        let (size, disk_gib) = self.bought(machine, sku, size_gib)?;
        let mut fields = sizes(&size);
        let setting = |name: &str| settings.get(name).and_then(setting_text);
        if let Some(user) = setting("user") {
            fields.push(("ciuser", user));
        }
        if let Some(key) = setting("ssh_key") {
            // The API wants it coded twice, and a blank is no plus.
            let coded = url::form_urlencoded::byte_serialize(key.trim().as_bytes()).collect::<String>();
            fields.push(("sshkeys", coded.replace('+', "%20")));
        }
        if let Some(ip) = setting("ip") {
            fields.push(("ipconfig0", format!("ip={ip}")));
        }
        self.configure(machine, fields).await?;
        if disk_gib > 0 {
            self.grow(machine, disk_gib).await?;
        }
        self.power_to(Call::Act, machine, "start", &[]).await.map(drop)
    }

    /// How a task ended; none if well, or if it is forgotten.
    pub(super) async fn unfinished_task(&self, task: &str) -> Result<Option<OperationStatus>> {
        let Some(node) = task.split(':').nth(1) else { return Ok(None) };
        let ask = Request::get(Call::Poll, ["nodes", node, "tasks", task, "status"]);
        let status: TaskStatus = match self.get(&ask).await {
            Ok(status) => status,
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(other) = status.upid.as_ref().filter(|told| *told != task) {
            return Err(
                self.protocol_error(Call::Poll, &format!("asked for the task {task}, it tells of {other}"))
            );
        }
        let ended = status.exitstatus.unwrap_or_default();
        Ok(match status.status.as_str() {
            "running" => Some(RUNNING),
            _ if is_ok(&ended) => None,
            _ => Some(failed(ended)),
        })
    }
}

/// What is known of a machine's first start.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// Something is under way.
    Busy,
    Done,
    Failed(String),
    Never,
}

/// By its tasks, the newest first. What was before a machine of this number was ended is another one's.
fn started(tasks: &[Task]) -> Start {
    if tasks.iter().any(|task| task.endtime.is_none()) {
        return Start::Busy;
    }
    let last = tasks.iter().find(|task| matches!(task.kind.as_str(), "qmstart" | "qmdestroy"));
    match last {
        Some(task) if task.kind == "qmstart" => match task.status.as_deref() {
            Some(status) if is_ok(status) => Start::Done,
            status => Start::Failed(format!("it does not start: {}", status.unwrap_or("no reason is told"))),
        },
        _ => Start::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_tell_whether_it_was_started() {
        let task = |kind: &str, starttime: u64, status: Option<&str>| Task {
            kind: kind.to_owned(),
            starttime,
            endtime: status.map(|_| starttime + 1),
            status: status.map(str::to_owned),
        };
        let clone = || task("qmclone", 5, Some("OK"));
        assert_eq!(started(&[]), Start::Never);
        assert_eq!(started(&[task("resize", 6, Some("OK")), clone()]), Start::Never);
        assert_eq!(started(&[task("qmstart", 7, None), clone()]), Start::Busy);
        assert_eq!(started(&[task("qmstart", 7, Some("OK")), clone()]), Start::Done);
        assert_eq!(started(&[task("qmstart", 7, Some("WARNINGS: 1")), clone()]), Start::Done);
        let destroyed = task("qmdestroy", 4, Some("OK"));
        assert_eq!(started(&[clone(), destroyed, task("qmstart", 3, Some("OK"))]), Start::Never);
        let Start::Failed(reason) = started(&[task("qmstart", 7, Some("Cannot allocate memory"))]) else {
            panic!("it failed")
        };
        assert!(matches!(failed(reason), OperationStatus::Failed { shortage: Some(Shortage::SoldOut), .. }));
    }
}
