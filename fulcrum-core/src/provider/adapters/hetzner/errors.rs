//! How Hetzner Cloud says what is wrong.

use super::wire::{Cause, Refusal};
use crate::provider::{
    ErrorKind,
    http::{Answer, Dialect},
};

#[derive(Debug)]
pub(super) struct Errors;

impl Dialect for Errors {
    fn kind_of(&self, answer: &Answer) -> Option<ErrorKind> {
        let Refusal { error } = answer.try_json()?;
        let fields = error.details.iter().flat_map(|details| &details.fields);
        let fields: Vec<_> =
            fields.map(|field| format!("{}: {}", field.name, field.messages.join(", "))).collect();
        let message = match fields.as_slice() {
            [] => error.message.clone(),
            fields => format!("{} ({})", error.message, fields.join("; ")),
        };
        if error.is_capacity() {
            return Some(answer.sold_out());
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
            "resource_limit_exceeded" => ErrorKind::QuotaExceeded { quota: message },
            "uniqueness_error" | "conflict" | "locked" | "resource_locked" | "server_not_stopped"
            | "resource_in_use" => ErrorKind::Conflict { message },
            "rate_limit_exceeded" => ErrorKind::RateLimited { retry_after: answer.retry_after() },
            _ => return None,
        })
    }
}

impl Cause {
    /// Whether it says that there is none left. A placement group that cannot be kept is told by the same code as a full
    /// location: there, too, another place helps.
    pub(super) fn is_capacity(&self) -> bool {
        matches!(
            self.code.as_str(),
            "resource_unavailable" | "placement_error" | "no_space_left_in_location" | "ip_not_available"
        )
    }
}
