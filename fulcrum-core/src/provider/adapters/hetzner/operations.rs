//! How far operations on a server are.

use serde_json::json;

use super::{
    Hetzner, RUNNING, failed,
    handle::Wanted,
    key_of,
    wire::{OneAction, Server},
};
use crate::{
    model::Shortage,
    provider::{
        Call, ErrorKind, OperationStatus, ProviderError, Result, adapters::whose::Whose, http::Request,
    },
};

impl Hetzner {
    /// How an action ended; none if it has succeeded, or is so old that it is forgotten.
    pub(super) async fn unfinished(&self, action: u64) -> Result<Option<OperationStatus>> {
        let ask = Request::get(Call::Poll, ["actions", &action.to_string()]);
        let Some(OneAction { action: told }) = self.client.get_optional(&ask).await? else { return Ok(None) };
        if told.id != action {
            let message = format!("asked for the action {action}, it tells of {}", told.id);
            return Err(self.protocol_error(Call::Poll, &message));
        }
        let action = told;
        Ok(match (action.status.as_str(), action.error) {
            ("running", _) => Some(OperationStatus::Running { percent: Some(action.progress.min(100)) }),
            ("success", _) => None,
            (_, Some(cause)) => {
                let reason = format!("{} ({})", cause.message, cause.code);
                Some(OperationStatus::Failed { reason, shortage: cause.shortage() })
            }
            (other, None) => Some(failed(&format!("the action ended as {other}"))),
        })
    }

    /// A server of ours after its actions are over; none while it is busy, or how the operation ended if the server is gone.
    async fn settled(&self, id: u64, whose: &Whose) -> Result<Result<Server, OperationStatus>> {
        let Some(server) = self.server(Call::Poll, id).await? else {
            return Ok(Err(failed("the server is gone")));
        };
        let key = key_of(&server);
        if key.is_none() {
            return Err(self.protocol_error(Call::Poll, &"the server has lost its name and its label"));
        }
        if !whose.is_of(key.as_ref()) {
            return Err(self.error(Call::Poll, Whose::forgotten(format!("the server {id}"))));
        }
        let is_busy = matches!(
            server.status.as_str(),
            "initializing" | "starting" | "stopping" | "migrating" | "rebuilding"
        );
        Ok(if server.locked || is_busy { Err(RUNNING) } else { Ok(server) })
    }

    /// Whether a server is what an action wants. That the action is over says only that it was passed on: a system need not
    /// heed the power button.
    pub(super) async fn reached(
        &self,
        server: u64,
        wanted: &Wanted,
        whose: &Whose,
    ) -> Result<OperationStatus> {
        let server = match self.settled(server, whose).await? {
            Ok(server) => server,
            Err(status) => return Ok(status),
        };
        let (status, kind) = (server.status.as_str(), server.server_type.name.as_str());
        let is_so = match wanted {
            Wanted::Anything => true,
            Wanted::On => status == "running",
            Wanted::Off => status == "off",
            Wanted::Type(sku) => kind == sku.as_str(),
        };
        if is_so {
            return Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &server)?)));
        }
        let may_come = *wanted == Wanted::Off || !whose.is_settled(self.capabilities.list_lag());
        Ok(match may_come {
            true => RUNNING,
            false => {
                failed(&format!("the action is over, and the server is {status} and of the type {kind}"))
            }
        })
    }

    /// Whether a server that was bought runs. One that is off is started: its own start may have failed, and nobody was told.
    pub(super) async fn made(&self, server: u64, whose: &Whose) -> Result<OperationStatus> {
        let server = match self.settled(server, whose).await? {
            Ok(server) => server,
            Err(status) => return Ok(status),
        };
        match server.status.as_str() {
            "running" => Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &server)?))),
            "off" => match self.action(server.id, "poweron", &json!({})).await {
                Ok(_) => Ok(RUNNING),
                Err(error) => match error.kind {
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                    ErrorKind::CapacityExhausted { .. } => Ok(OperationStatus::Failed {
                        reason: "none is left in this location".to_owned(),
                        shortage: Some(Shortage::SoldOut),
                    }),
                    _ => Err(ProviderError { call: Call::Poll, ..error }),
                },
            },
            "deleting" => Ok(failed("the server is being ended")),
            _ => Ok(RUNNING),
        }
    }
}
