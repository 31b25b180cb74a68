//! Error documents of Hetzner Cloud.

use super::wire::{Cause, ErrorReply};
use crate::{
    model::Shortage,
    provider::{
        ErrorKind,
        http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
    },
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        let ErrorReply { error } = response.try_json()?;
        let fields = error.details.iter().flat_map(|details| &details.fields);
        let fields: Vec<_> =
            fields.map(|field| format!("{}: {}", field.name, field.messages.join(", "))).collect();
        let message = match fields.as_slice() {
            [] => error.message.clone(),
            fields => format!("{} ({})", error.message, fields.join("; ")),
        };
        match error.shortage() {
            Some(Shortage::Quota) => return Some(ErrorKind::QuotaExceeded { quota: message }),
            Some(_) => return Some(response.sold_out()),
            None => {}
        }
        Some(match error.code.as_str() {
            "invalid_input"
            | "json_error"
            | "invalid_server_type"
            | "unsupported_error"
            | "networks_overlap" => ErrorKind::InvalidRequest { message },
            "unauthorized" => ErrorKind::Unauthorised,
            "forbidden" | "token_readonly" | "protected" => ErrorKind::Forbidden,
            "not_found" => ErrorKind::NotFound { what: message },
            "uniqueness_error" | "conflict" | "locked" | "resource_locked" | "server_not_stopped"
            | "resource_in_use" => ErrorKind::Conflict { message },
            "rate_limit_exceeded" => ErrorKind::RateLimited { retry_after: response.retry_after() },
            // Many gateways send an `error` with a `code`: only known words are the API's own.
            _ => return None,
        })
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "/error/code", ValueMatch::Exactly("not_found"))] }
    }
}

impl Cause {
    /// The shortage that a code means. A placement group that cannot be satisfied has the same code as a full location: there,
    /// too, another place helps.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        match self.code.as_str() {
            "resource_unavailable" | "placement_error" | "no_space_left_in_location" | "ip_not_available" => {
                Some(Shortage::SoldOut)
            }
            "resource_limit_exceeded" => Some(Shortage::Quota),
            _ => None,
        }
    }
}
