//! Error documents of UpCloud: a code, or problem details (RFC 9457) whose type ends in one.

use super::wire::{ErrorReply, Problem};
use crate::provider::{
    ErrorKind,
    http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        let (code, message) = match response.try_json::<ErrorReply>() {
            Some(ErrorReply { error }) => (error.error_code, error.error_message),
            None => {
                let problem: Problem = response.try_json()?;
                let code = problem.kind.rsplit_once("#ERROR_").map(|(_, code)| code.to_owned())?;
                let fields = problem.invalid_params.iter().map(|it| format!("{}: {}", it.name, it.reason));
                let fields: Vec<_> = fields.collect();
                let message = match fields.as_slice() {
                    [] => problem.title,
                    fields => format!("{} ({})", problem.title, fields.join("; ")),
                };
                (code, message)
            }
        };
        let ends = |word: &str| code.ends_with(word);
        Some(match code.as_str() {
            "AUTHENTICATION_FAILED" => ErrorKind::Unauthorised,
            "INSUFFICIENT_CREDITS" => ErrorKind::QuotaExceeded { quota: "credits".to_owned() },
            _ if ends("RESOURCES_UNAVAILABLE") => response.sold_out(),
            _ if code.contains("LIMIT_REACHED") || code.contains("LIMIT_EXCEEDED") => {
                ErrorKind::QuotaExceeded { quota: message }
            }
            _ if ends("NOT_FOUND") => ErrorKind::NotFound { what: message },
            _ if ends("FORBIDDEN") => ErrorKind::Forbidden,
            _ if ends("STATE_ILLEGAL") || ends("ALREADY_EXISTS") || ends("LOCKED") || ends("CONFLICT") => {
                ErrorKind::Conflict { message }
            }
            _ if ends("INVALID") || ends("MISSING") || ends("ILLEGAL") || ends("INVALID_REQUEST") => {
                ErrorKind::InvalidRequest { message }
            }
            "" => return None,
            _ => return response.kind_by_status(),
        })
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const {
            &[
                AbsenceRule::new(404, "/error/error_code", ValueMatch::EndsWith("_NOT_FOUND")),
                AbsenceRule::new(404, "/type", ValueMatch::EndsWith("_NOT_FOUND")),
            ]
        }
    }
}
