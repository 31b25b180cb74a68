//! How brokers say what is wrong.

use super::wire::Refusal;
use crate::provider::{
    ErrorKind,
    http::{Answer, Dialect, Says, Word},
};

#[derive(Debug)]
pub(super) struct Errors;

impl Dialect for Errors {
    fn kind_of(&self, answer: &Answer) -> Option<ErrorKind> {
        let refusal: Refusal = answer.try_json()?;
        // An object in which nothing stands is any proxy's.
        if refusal.error.is_empty() && refusal.description.is_empty() {
            return None;
        }
        let message = refusal.description;
        match (answer.status().as_u16(), refusal.error.as_str()) {
            (422, "ConcurrencyError") => Some(ErrorKind::Conflict { message }),
            (400 | 422, "MaintenanceInfoConflict") => Some(ErrorKind::Conflict { message }),
            (400 | 422, _) => Some(ErrorKind::InvalidRequest { message }),
            // The specification knows no word for a quota or for sold out: a 500 says nothing certain.
            _ => answer.kind_by_status(),
        }
    }

    /// The specification has no document for it: an object in which nothing stands is enough.
    fn thinly_absent(&self) -> &'static [Word] {
        const { &[Word::new(404, "", Says::Object), Word::new(410, "", Says::Object)] }
    }
}
