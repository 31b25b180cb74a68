//! Error documents of Scaleway.

use super::wire::ErrorReply;
use crate::provider::{
    ErrorKind,
    http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        let refusal: ErrorReply = response.try_json()?;
        let details = refusal.details.iter().map(|detail| {
            let what = if detail.argument_name.is_empty() { &detail.resource } else { &detail.argument_name };
            format!("{what}: {}", detail.help_message)
        });
        let details: Vec<_> = details.collect();
        let message = if details.is_empty() {
            refusal.message.clone()
        } else {
            format!("{} ({})", refusal.message, details.join("; "))
        };
        Some(match refusal.kind.as_str() {
            "invalid_arguments" | "invalid_request_error" => ErrorKind::InvalidRequest { message },
            "denied_authentication" | "invalid_auth" => ErrorKind::Unauthorised,
            "permissions_denied" => ErrorKind::Forbidden,
            "not_found" | "unknown_resource" => ErrorKind::NotFound {
                what: if refusal.resource.is_empty() { "it".to_owned() } else { refusal.resource },
            },
            "quotas_exceeded" | "quota_exceeded" => ErrorKind::QuotaExceeded {
                quota: refusal.details.first().map_or(refusal.message, |detail| detail.resource.clone()),
            },
            "out_of_stock" => response.sold_out(),
            "conflict"
            | "transient_state"
            | "resource_locked"
            | "resource_still_in_use"
            | "precondition_failed" => ErrorKind::Conflict { message },
            "too_many_requests" => ErrorKind::RateLimited { retry_after: response.retry_after() },
            // A gateway may send a problem of some `type` (RFC 9457): only known words are the API's own.
            _ => return None,
        })
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const {
            &[
                AbsenceRule::new(404, "/type", ValueMatch::Exactly("not_found")),
                AbsenceRule::new(404, "/type", ValueMatch::Exactly("unknown_resource")),
            ]
        }
    }
}
