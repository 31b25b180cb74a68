//! Error documents of Exoscale: a status and a sentence.

use super::wire::ErrorReply;
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
        let ErrorReply { message } =
            response.try_json().filter(|refusal: &ErrorReply| !refusal.message.is_empty())?;
        let status = response.status().as_u16();
        if !(400..500).contains(&status) || response.is_reason_phrase(&message) {
            return None;
        }
        let shortage = shortage_of(&message);
        Some(match status {
            _ if shortage == Some(Shortage::SoldOut) => response.sold_out(),
            _ if shortage == Some(Shortage::Quota) && status != 429 => {
                ErrorKind::QuotaExceeded { quota: message }
            }
            // Any gateway has a message: the API's own names the credentials.
            403 if names_credentials(&message) => ErrorKind::Forbidden,
            400 | 422 => ErrorKind::InvalidRequest { message },
            404 => ErrorKind::NotFound { what: message },
            409 | 412 | 423 => ErrorKind::Conflict { message },
            _ => return None,
        })
    }

    /// Many gateways use the same words.
    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "/message", ValueMatch::Text)] }
    }
}

fn names_credentials(message: &str) -> bool {
    let message = message.to_lowercase();
    ["credential", "signature", "api key", "role policy"].iter().any(|words| message.contains(words))
}

/// The shortage that a sentence means.
pub(super) fn shortage_of(message: &str) -> Option<Shortage> {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["capacity", "insufficient resources", "no host available"]) {
        Some(Shortage::SoldOut)
    } else {
        says(&["quota", "limit"]).then_some(Shortage::Quota)
    }
}
