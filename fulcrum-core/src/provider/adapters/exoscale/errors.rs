//! How Exoscale says what is wrong: by a status and a sentence.

use super::wire::Refusal;
use crate::provider::{
    ErrorKind,
    http::{Answer, Dialect},
};

#[derive(Debug)]
pub(super) struct Errors;

impl Dialect for Errors {
    fn kind_of(&self, answer: &Answer) -> Option<ErrorKind> {
        let Refusal { message } = answer.try_json()?;
        let status = answer.status().as_u16();
        if !(400..500).contains(&status) {
            return None;
        }
        Some(match status {
            _ if is_full(&message) => answer.sold_out(),
            _ if says(&message, &["quota", "limit"]) && status != 429 => {
                ErrorKind::QuotaExceeded { quota: message }
            }
            400 | 422 => ErrorKind::InvalidRequest { message },
            404 => ErrorKind::NotFound { what: message },
            409 | 412 | 423 => ErrorKind::Conflict { message },
            _ => return None,
        })
    }
}

/// Whether a sentence says that there is no room.
pub(super) fn is_full(message: &str) -> bool {
    says(message, &["capacity", "insufficient resources", "no host available"])
}

fn says(message: &str, words: &[&str]) -> bool {
    let message = message.to_lowercase();
    words.iter().any(|word| message.contains(word))
}
