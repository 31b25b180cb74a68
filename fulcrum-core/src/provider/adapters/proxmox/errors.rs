//! How Proxmox VE says what is wrong: in sentences, mostly under 500.

use serde_json::Value;

use super::wire::Refusal;
use crate::provider::{
    ErrorKind,
    http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        // Whatever the API answers stands beside `data`.
        let Refusal { message, errors, data: Some(Value::Null) } = response.try_json()? else { return None };
        let said = |word: &str| message.contains(word);
        // Many gateways have a `message` beside an empty `data`.
        let is_front = errors.is_empty() && response.is_reason_phrase(&message);
        let fields: Vec<_> = errors.iter().map(|(name, why)| format!("{name}: {}", why.trim())).collect();
        let message = match fields.as_slice() {
            [] => message.trim().to_owned(),
            fields => format!("{} ({})", message.trim(), fields.join("; ")),
        };
        Some(match response.status().as_u16() {
            _ if is_front => return None,
            400 => ErrorKind::InvalidRequest { message },
            500 if is_full(&message) => response.sold_out(),
            500 if said("already exists") || said("is locked") || said("got timeout") => {
                ErrorKind::Conflict { message }
            }
            500 if said("already running") || said("not running") || said("is running") => {
                ErrorKind::Conflict { message }
            }
            500 if said("does not exist") || said("no such") || said("unable to parse worker upid") => {
                ErrorKind::NotFound { what: message }
            }
            500 if said("protection mode enabled") => ErrorKind::Forbidden,
            // Nothing can be written, so nothing was.
            500 if said("no quorum") => ErrorKind::unavailable("the cluster has no quorum"),
            403 if said("Permission check failed") => ErrorKind::Forbidden,
            501 => ErrorKind::Unsupported,
            _ => return None,
        })
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const {
            &[
                AbsenceRule::new(500, "/message", ValueMatch::Contains("does not exist")),
                AbsenceRule::new(500, "/message", ValueMatch::Contains("no such")),
                AbsenceRule::new(500, "/message", ValueMatch::Contains("unable to parse worker upid")),
            ]
        }
    }
}

/// Whether a sentence says that there is no room.
pub(super) fn is_full(message: &str) -> bool {
    ["No space left", "not enough space", "out of space", "Cannot allocate memory", "not enough memory"]
        .iter()
        .any(|words| message.contains(words))
}
