//! Error documents of Proxmox VE: sentences, mostly with status 500.

use serde_json::Value;

use super::wire::ErrorReply;
use crate::provider::{
    ErrorKind,
    http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        // Each document of the API has a field `data`.
        let ErrorReply { message, errors, data: Some(Value::Null) } = response.try_json()? else {
            return None;
        };
        let said = |word: &str| message.contains(word);
        // Many gateways have a `message` and an empty `data`.
        let is_front = errors.is_empty() && response.is_reason_phrase(&message);
        let fields: Vec<_> = errors.iter().map(|(name, why)| format!("{name}: {}", why.trim())).collect();
        let message = match fields.as_slice() {
            [] => message.trim().to_owned(),
            fields => format!("{} ({})", message.trim(), fields.join("; ")),
        };
        Some(match response.status().as_u16() {
            _ if is_front => return None,
            400 => ErrorKind::InvalidRequest { message },
            500 if is_out_of_space(&message) => response.sold_out(),
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
            // Without a quorum nothing can be written, so nothing was.
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

/// Whether a sentence says that there is no room left.
pub(super) fn is_out_of_space(message: &str) -> bool {
    ["No space left", "not enough space", "out of space", "Cannot allocate memory", "not enough memory"]
        .iter()
        .any(|words| message.contains(words))
}
