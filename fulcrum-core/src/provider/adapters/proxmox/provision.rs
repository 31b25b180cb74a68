//! The purchase of a machine: clone, size, start, and the tag `fulcrum-made`. Each step can be repeated, and `poll` takes the
//! next one.

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    Proxmox,
    errors::is_out_of_space,
    handle::Handle,
    services::{DISKS_LINE, KEY_LINE, MADE_TAG, Machine, SKU_LINE},
    vmid::vmids_of,
    wire::{Resource, Task},
};
use crate::{
    model::{IdempotencyKey, Offer, Resources, Settings, Shortage, SkuId, setting_text},
    provider::{
        Call, ErrorKind, Line, OperationHandle, OperationStatus, Priced, ProvisionRequest, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed_for},
            purchase_outcome::{after_purchase, purchase_response},
        },
        check_settings, find_exact,
        http::Request,
        portable::{FirstBoot, KeyWords},
    },
};

/// Settings that are used after the clone.
const CLOUD_INIT_SETTINGS: [&str; 4] = ["user", "ssh_key", "ssh_keys", "ip"];
/// Bytes of a handle. Ledgers keep some more.
const MAX_HANDLE_BYTES: usize = 12 << 10;
/// Bytes of a task's id.
const MAX_TASK_BYTES: usize = 256;

/// The price of each field of the requests that make a machine: clone, configuration, disk, start.
pub const FIELDS: &[(&str, Priced)] = &[
    ("ciuser", Priced::Free("names cost nothing")),
    ("cores", Priced::By(Line::Offer)),
    ("cpulimit", Priced::By(Line::Offer)),
    ("description", Priced::Free("notes cost nothing")),
    ("disk", Priced::Free("which disk is made as large as was bought")),
    ("full", Priced::Free("the copy's disk is its own, as large as was bought")),
    ("ipconfig0", Priced::Free("addresses are part of what the table sells")),
    ("memory", Priced::By(Line::Offer)),
    ("name", Priced::Free("names cost nothing")),
    ("newid", Priced::Free("numbers cost nothing")),
    ("size", Priced::By(Line::Disk)),
    ("sshkeys", Priced::Free("keys cost nothing")),
    ("storage", Priced::Free("where it is stored is the table's own matter")),
    ("tags", Priced::Free("tags cost nothing")),
];

/// A machine's first start.
#[derive(Debug, PartialEq, Eq)]
enum FirstStart {
    /// A task is under way.
    Busy,
    Done,
    Failed(String),
    Never,
}

impl Proxmox {
    /// Begins a clone, or continues the machine that the key has already.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.error(call, kind))?;
        let size = find_exact(request, self.listed.iter()).map_err(|kind| self.error(call, kind))?;
        FirstBoot::of(request, &[], KeyWords::Keys).map_err(|kind| self.error(call, kind))?;
        let resources = self.resources(call).await?;
        let own = self.machine_of_key(call, &resources, key).await?;
        if let Some(machine) = own {
            if machine.sku().is_some_and(|sku| sku != request.sku) {
                let message = format!("{key} is a machine of another size already");
                return Err(self.error(call, ErrorKind::Conflict { message }));
            }
            return self.provision_handle(call, key, request, None);
        }
        // A purchase whose handle is too long must not begin.
        self.provision_handle(call, key, request, Some(" ".repeat(MAX_TASK_BYTES)))?;
        let (node, template) = self.choose_node(request, size, &resources)?;
        let is_taken = |vmid: &u64| {
            resources.iter().any(|it| matches!(it.kind.as_str(), "qemu" | "lxc") && it.vmid == *vmid)
        };
        let mut free = vmids_of(key, self.config.vmids).into_iter().filter(|vmid| !is_taken(vmid));
        let none = || {
            let message = "all numbers of this key are taken; give `vmids` a range of their own".to_owned();
            self.error(call, ErrorKind::Conflict { message })
        };
        let vmid = free.next().ok_or_else(none)?.to_string();
        let notes =
            format!("Made by Fulcrum for {}\n{KEY_LINE}{key}\n{SKU_LINE}{}\n", request.name, request.sku);
        let template = template.to_string();
        let mut fields =
            vec![("newid", vmid.as_str()), ("name", key.as_str()), ("full", "1"), ("description", &notes)];
        if let Some(storage) = &self.config.storage {
            fields.push(("storage", storage));
        }
        let ask = Request::post(call, ["nodes", &node, "qemu", &template, "clone"])
            .form(fields)
            .for_sku(&request.sku);
        let task: String = purchase_response(self.send_data(&ask).await)?;
        after_purchase(self.provision_handle(call, key, request, Some(task)))
    }

    pub(super) fn provision_handle(
        &self,
        call: Call,
        key: &IdempotencyKey,
        request: &ProvisionRequest,
        task: Option<String>,
    ) -> Result<OperationHandle> {
        // Only settings for after the clone: others may be long, and a handle may not.
        let used = request.settings.iter().filter(|(name, _)| CLOUD_INIT_SETTINGS.contains(&name.as_str()));
        let settings = used.map(|(name, value)| (name.clone(), value.clone())).collect();
        let (key, sku, size_gib) = (key.clone(), request.sku.clone(), request.size_gib);
        let handle = self.handle(call, &Handle::Provision { key, sku, task, settings, size_gib })?;
        if handle.as_str().len() > MAX_HANDLE_BYTES {
            let message = format!(
                "the settings {} have more than {MAX_HANDLE_BYTES} bytes; shorten them",
                CLOUD_INIT_SETTINGS.join(", ")
            );
            return Err(self.invalid_request(call, message));
        }
        Ok(handle)
    }

    /// The node with the most free memory, and its template.
    fn choose_node(
        &self,
        request: &ProvisionRequest,
        size: &Offer,
        resources: &[Resource],
    ) -> Result<(String, u64)> {
        let call = Call::Provision;
        let image = request.setting("image").unwrap_or_else(|| self.config.image.clone());
        let room = self.free_memory(&request.place.region, resources);
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
            return Err(self.invalid_request(call, message));
        }
        nodes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let wanted = size.capacity.memory_mib.saturating_mul(1 << 20);
        let fitting = nodes.into_iter().find(|(room, ..)| *room >= wanted);
        let full = || self.error(call, ErrorKind::CapacityExhausted { sku: request.sku.clone() });
        fitting.map(|(_, node, template)| (node, template)).ok_or_else(full)
    }

    /// The next step of a purchase.
    pub(super) async fn poll_provision(
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
        let Some(machine) = self.machine_of_key(call, &resources, key).await? else {
            return Ok(failed("the machine is gone"));
        };
        let Some(power) = self.power_state(call, &machine).await? else { return Ok(RUNNING) };
        if power.lock.is_some() || machine.config.lock.is_some() {
            return Ok(RUNNING);
        }
        if machine.is_made() || power.status == "running" {
            return self.mark_made(machine, &power, sku, size_gib).await;
        }
        match first_start(&self.tasks(call, &machine).await?) {
            FirstStart::Busy => Ok(RUNNING),
            // The machine has run, and stopped by itself.
            FirstStart::Done => self.mark_made(machine, &power, sku, size_gib).await,
            FirstStart::Failed(reason) => Ok(failed(reason)),
            FirstStart::Never => match self.size_and_start(&machine, sku, settings, size_gib).await {
                Ok(()) => Ok(RUNNING),
                Err(error) => match error.kind {
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                    ErrorKind::InvalidRequest { message } => Ok(failed(message)),
                    _ => Err(error),
                },
            },
        }
    }

    async fn mark_made(
        &self,
        mut machine: Machine,
        power: &super::wire::PowerState,
        sku: &SkuId,
        size_gib: u64,
    ) -> Result<OperationStatus> {
        if !machine.is_made() {
            // A hook or the template's own settings may have started the machine before it had its size.
            let (size, disk_gib) = self.ordered_size(&machine, sku, size_gib)?;
            if let Err(why) = machine.check_size(&size) {
                return Ok(failed(format!("the machine {} is not as it was bought: {why}", machine.vmid)));
            }
            if machine.has_smaller_disk(&self.config.disk, disk_gib) {
                match self.grow(&machine, disk_gib).await {
                    Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => {
                        return Ok(RUNNING);
                    }
                    grown => grown?,
                }
            }
            let tags = machine.tags().chain([MADE_TAG]).collect::<Vec<_>>().join(";");
            // From here on the machine belongs to its customer: disks that are attached later are not its own.
            let disks = machine.disks().into_values().collect::<Vec<_>>().join(" ");
            let notes = format!("{}\n{DISKS_LINE}{disks}\n", machine.config.description.trim_end());
            self.configure(&machine, vec![("tags", tags.clone()), ("description", notes.clone())]).await?;
            (machine.config.tags, machine.config.description) = (tags, notes);
        }
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &machine, power)?)))
    }

    /// The size that was bought, and the GiB of the disk with the size that was bought beyond.
    fn ordered_size(&self, machine: &Machine, sku: &SkuId, size_gib: u64) -> Result<(Resources, u64)> {
        let region = self.places.iter().find(|place| {
            self.config.nodes.get(&place.region).is_some_and(|nodes| nodes.contains(&machine.node))
        });
        let gone = || self.error(Call::Poll, ErrorKind::NotFound { what: machine.node.clone() });
        let size = self.offer_of(Call::Poll, sku, &region.ok_or_else(gone)?.region)?.capacity.clone();
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
        let (size, disk_gib) = self.ordered_size(machine, sku, size_gib)?;
        let mut fields = size_fields(&size);
        let setting = |name: &str| settings.get(name).and_then(setting_text);
        if let Some(user) = setting("user") {
            fields.push(("ciuser", user));
        }
        let keys: Vec<String> = match settings.get("ssh_keys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(setting_text).collect(),
            Some(text) => setting_text(text).into_iter().collect(),
            None => setting("ssh_key").into_iter().collect(),
        };
        if !keys.is_empty() {
            let key = keys.join("\n");
            // The API wants the key encoded twice, with a blank as `%20`.
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
        self.set_power(Call::Act, machine, "start", &[]).await.map(drop)
    }
}

pub(super) fn failed(reason: impl Into<String>) -> OperationStatus {
    let reason = reason.into();
    let shortage = is_out_of_space(&reason).then_some(Shortage::SoldOut);
    failed_for(reason, shortage)
}

/// The fields of a size. Part of a processor is a whole one with limited time.
pub(super) fn size_fields(size: &Resources) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("cores", size.vcpu_milli.div_ceil(1000).max(1).to_string()),
        ("memory", size.memory_mib.to_string()),
    ];
    if !size.vcpu_milli.is_multiple_of(1000) {
        fields.push(("cpulimit", Decimal::new(size.vcpu_milli.into(), 3).normalize().to_string()));
    }
    fields
}

/// Whether a task has succeeded.
pub(super) fn is_ok(status: &str) -> bool {
    status == "OK" || status.starts_with("WARNINGS")
}

/// The first start by a machine's tasks, the newest first. Tasks before a deletion are those of an earlier machine with this
/// number.
fn first_start(tasks: &[Task]) -> FirstStart {
    if tasks.iter().any(|task| task.endtime.is_none()) {
        return FirstStart::Busy;
    }
    let last = tasks.iter().find(|task| matches!(task.kind.as_str(), "qmstart" | "qmdestroy"));
    match last {
        Some(task) if task.kind == "qmstart" => match task.status.as_deref() {
            Some(status) if is_ok(status) => FirstStart::Done,
            status => FirstStart::Failed(format!(
                "the machine does not start: {}",
                status.unwrap_or("the task tells no reason")
            )),
        },
        _ => FirstStart::Never,
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
        assert_eq!(first_start(&[]), FirstStart::Never);
        assert_eq!(first_start(&[task("resize", 6, Some("OK")), clone()]), FirstStart::Never);
        assert_eq!(first_start(&[task("qmstart", 7, None), clone()]), FirstStart::Busy);
        assert_eq!(first_start(&[task("qmstart", 7, Some("OK")), clone()]), FirstStart::Done);
        assert_eq!(first_start(&[task("qmstart", 7, Some("WARNINGS: 1")), clone()]), FirstStart::Done);
        let destroyed = task("qmdestroy", 4, Some("OK"));
        assert_eq!(first_start(&[clone(), destroyed, task("qmstart", 3, Some("OK"))]), FirstStart::Never);
        let FirstStart::Failed(reason) = first_start(&[task("qmstart", 7, Some("Cannot allocate memory"))])
        else {
            panic!("it failed")
        };
        assert!(matches!(failed(reason), OperationStatus::Failed { shortage: Some(Shortage::SoldOut), .. }));
    }
}
