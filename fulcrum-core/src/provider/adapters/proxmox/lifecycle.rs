//! Actions on a machine, its end, and how far operations are.

use serde_json::Value;

use super::{
    Proxmox,
    handle::Handle,
    provision::{self, failed, is_ok},
    services::{Machine, SKU_LINE, vmid_of},
    wire::TaskStatus,
};
use crate::{
    model::{Action, IdempotencyKey, ServiceId, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, Goal, RUNNING},
            operation_owner::OperationOwner,
        },
        http::{Method, Request},
    },
};

impl Proxmox {
    /// Begins an action. Sends nothing if the state is reached already.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let machine = self.own_machine(call, service).await?.ok_or_else(missing)?;
        let is_running =
            self.power_state(call, &machine).await?.is_some_and(|power| power.status == "running");
        let start = || async { self.set_power(call, &machine, "start", &[]).await.map(Some) };
        // What does not shut down within a minute is switched off.
        let gently = [("timeout", "60"), ("forceStop", "1")];
        let stop = || async { self.set_power(call, &machine, "shutdown", &gently).await.map(Some) };
        let (task, goal) = match action {
            Action::Start if is_running => (None, Goal::Running),
            Action::Start => (start().await?, Goal::Running),
            Action::Stop if is_running => (stop().await?, Goal::Stopped),
            Action::Stop => (None, Goal::Stopped),
            Action::Resize { sku } => {
                if machine.sku().as_ref() != Some(sku) {
                    self.resize(&machine, sku).await?;
                }
                (None, Goal::Sku(sku.clone()))
            }
            Action::Other { name } if matches!(name.as_str(), "reboot" | "reset") => {
                (Some(self.set_power(call, &machine, name, &[]).await?), Goal::Any)
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        let text = self.handle(call, &Handle::Act { vmid: machine.vmid, task, goal })?;
        Ok(OperationOwner::new(self.key(&machine).as_ref()).handle(text.as_str()))
    }

    /// Begins to end a service.
    pub(super) async fn begin_release(&self, service: &ServiceId) -> Result<OperationHandle> {
        let call = Call::Release;
        let vmid = vmid_of(service).unwrap_or(0);
        let machine = if vmid > 0 { self.machine(call, vmid).await? } else { None };
        let Some(machine) = machine else { return self.handle(call, &Handle::Release { vmid, key: None }) };
        let key = self.key(&machine);
        if key.is_none() {
            let message = "its clone has just begun; try again".to_owned();
            let kind = if machine.is_clone_starting() {
                ErrorKind::Conflict { message }
            } else {
                ErrorKind::Forbidden
            };
            return Err(self.error(call, kind));
        }
        self.check_attached(call, &machine)?;
        self.handle(call, &Handle::Release { vmid, key })
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let unknown = || self.error(call, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, owner) = OperationOwner::parse(operation);
        match Handle::parse(text).ok_or_else(unknown)? {
            Handle::Provision { key, sku, task, settings, size_gib } => {
                self.poll_provision(&key, &sku, task.as_deref(), &settings, size_gib).await
            }
            Handle::Release { vmid, key } => self.poll_release(vmid, key.as_ref()).await,
            Handle::Act { vmid, task, goal } => {
                if let Some(task) = task
                    && let Some(status) = self.unfinished_task(&task).await?
                {
                    return Ok(status);
                }
                self.poll_action(vmid, &goal, &owner).await
            }
        }
    }

    pub(super) fn handle(&self, call: Call, handle: &Handle) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle).map_err(|error| self.protocol_error(call, &error))?;
        Ok(OperationHandle::new(text))
    }

    /// Gives a machine that is off another size. A disk only grows.
    pub(super) async fn resize(&self, machine: &Machine, sku: &SkuId) -> Result<()> {
        let call = Call::Act;
        let running = || {
            let message = "the machine runs; stop it before a resize".to_owned();
            self.error(call, ErrorKind::Conflict { message })
        };
        let power = self.power_state(call, machine).await?;
        power.filter(|power| power.status == "stopped").ok_or_else(running)?;
        let service = self.describe_machine(call, machine).await?;
        let size = self.offer_of(call, sku, &service.place.region)?.capacity.clone();
        let before =
            self.offer_of(call, &service.sku, &service.place.region).map(|offer| offer.capacity.disk_gib);
        if before.is_ok_and(|before| size.disk_gib > before) {
            self.grow(machine, size.disk_gib).await?;
        }
        let other = machine.config.description.lines().filter(|line| !line.trim().starts_with(SKU_LINE));
        let notes =
            other.map(str::to_owned).chain([format!("{SKU_LINE}{sku}\n")]).collect::<Vec<_>>().join("\n");
        let mut fields = provision::size_fields(&size);
        fields.push(("description", notes));
        self.configure(machine, fields).await
    }

    /// How far an action is, by the machine's state. The end of its task is not enough.
    async fn poll_action(&self, vmid: u64, goal: &Goal, owner: &OperationOwner) -> Result<OperationStatus> {
        let call = Call::Poll;
        let Some(machine) = self.machine(call, vmid).await? else {
            return Ok(failed("the machine is gone"));
        };
        let service = self.describe_machine(call, &machine).await?;
        if service.key.is_none() {
            return Err(self.protocol_error(
                call,
                &"the machine has lost its name and its notes; write the key into its notes again",
            ));
        }
        if !owner.owns(service.key.as_ref()) {
            return Err(self.error(call, OperationOwner::stale_operation(format!("the machine {vmid}"))));
        }
        let why = match goal {
            Goal::Running if service.status != ServiceStatus::Running => {
                Err("the machine does not run".to_owned())
            }
            Goal::Stopped if service.status != ServiceStatus::Stopped => {
                Err("the machine is not off".to_owned())
            }
            Goal::Sku(sku) if service.sku != *sku => Err(format!("the machine is still a {}", service.sku)),
            Goal::Sku(sku) => {
                let size = self.offer_of(call, sku, &service.place.region)?;
                machine.check_size(&size.capacity)
            }
            Goal::Any | Goal::Running | Goal::Stopped => Ok(()),
        };
        Ok(match why {
            Ok(()) => OperationStatus::Succeeded(Some(service)),
            Err(_) if !owner.is_past_lag(self.capabilities.list_lag()) => RUNNING,
            Err(why) => failed(format!("the task is over, and {why}")),
        })
    }

    /// Checks that a machine has no disks that its purchase did not make: all its disks end with it.
    fn check_attached(&self, call: Call, machine: &Machine) -> Result<()> {
        let others = machine.foreign_disks(&self.config.disk);
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(machine.vmid, &others))),
        }
    }

    /// The next step of a release: stop the machine, delete it.
    async fn poll_release(&self, vmid: u64, key: Option<&IdempotencyKey>) -> Result<OperationStatus> {
        let call = Call::Poll;
        let gone = Ok(OperationStatus::Succeeded(None));
        let Some(key) = key else { return gone };
        let machine = self.machine(call, vmid).await?.filter(|machine| !machine.is_container);
        let Some(machine) = machine else { return gone };
        match self.key(&machine) {
            Some(its) if its == *key => {}
            // Another order's machine has this number by now.
            Some(_) => return gone,
            None if machine.is_clone_starting() => return Ok(RUNNING),
            // The machine exists, and its name and notes do not tell its key any more.
            None => return Err(self.lost_key(call, &machine)),
        }
        let Some(power) = self.power_state(call, &machine).await? else { return Ok(RUNNING) };
        let is_busy = self.tasks(call, &machine).await?.iter().any(|task| task.endtime.is_none());
        if is_busy || power.lock.is_some() {
            return Ok(RUNNING);
        }
        self.check_attached(call, &machine)?;
        let outcome = match power.status.as_str() {
            "running" => self.set_power(Call::Release, &machine, "stop", &[]).await.map(drop),
            _ => {
                let vmid = vmid.to_string();
                let ask = Request::delete(Call::Release, machine.path(&vmid, &[]))
                    .query("purge", 1)
                    .query("destroy-unreferenced-disks", 0);
                self.client.send_ok(&ask).await.map(drop)
            }
        };
        match outcome {
            Ok(()) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::NotFound { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                ErrorKind::Forbidden => Ok(failed("the machine is protected, or the token may not end it")),
                _ => Err(error),
            },
        }
    }

    pub(super) async fn configure(&self, machine: &Machine, fields: Vec<(&str, String)>) -> Result<()> {
        let vmid = machine.vmid.to_string();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let ask = Request::new(Call::Act, Method::PUT, machine.path(&vmid, &["config"])).form(fields);
        self.send_data::<Value>(&ask).await.map(drop)
    }

    /// Grows a machine's disk to a size, which must not be smaller than the disk.
    pub(super) async fn grow(&self, machine: &Machine, gib: u64) -> Result<()> {
        let (vmid, size) = (machine.vmid.to_string(), format!("{gib}G"));
        let ask = Request::new(Call::Act, Method::PUT, machine.path(&vmid, &["resize"]))
            .form([("disk", self.config.disk.as_str()), ("size", &size)]);
        self.send_data::<Value>(&ask).await.map(drop)
    }

    pub(super) async fn set_power(
        &self,
        call: Call,
        machine: &Machine,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let vmid = machine.vmid.to_string();
        let ask = Request::post(call, machine.path(&vmid, &["status", action])).form(fields.iter().copied());
        self.send_data(&ask).await
    }

    /// The status of a task; none if it has succeeded, or if the cluster has forgotten it.
    pub(super) async fn unfinished_task(&self, task: &str) -> Result<Option<OperationStatus>> {
        let Some(node) = task.split(':').nth(1) else { return Ok(None) };
        let ask = Request::get(Call::Poll, ["nodes", node, "tasks", task, "status"]);
        let status: TaskStatus = match self.send_data(&ask).await {
            Ok(status) => status,
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(other) = status.upid.as_ref().filter(|told| *told != task) {
            return Err(self.protocol_error(
                Call::Poll,
                &format!("the response to a request about the task {task} is about {other}"),
            ));
        }
        let ended = status.exitstatus.unwrap_or_default();
        Ok(match status.status.as_str() {
            "running" => Some(RUNNING),
            _ if is_ok(&ended) => None,
            _ => Some(failed(ended)),
        })
    }
}
