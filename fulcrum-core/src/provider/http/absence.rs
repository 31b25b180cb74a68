//! Whether an answer proves that something does not exist.
//!
//! A proxy, a maintenance page or another service answers 404, too. What they say proves nothing: a purchase would be
//! closed as ended while its machine runs. So absence is believed only in the API's own words: under a status that the
//! API uses for it, in a whole document of the API's type, with the API's own code at its own place.

use serde_json::Value;

use super::{ErrorMapper, Response};
use crate::provider::ErrorKind;

/// A word by which an API says that what was asked for does not exist.
#[derive(Debug, Clone, Copy)]
pub struct AbsenceRule {
    status: u16,
    at: &'static str,
    says: ValueMatch,
}

/// What stands at a word's place.
#[derive(Debug, Clone, Copy)]
pub enum ValueMatch {
    /// This.
    Exactly(&'static str),
    /// What ends so.
    EndsWith(&'static str),
    /// What has this in it.
    Contains(&'static str),
    /// Some text.
    Text,
    /// An object, whatever is in it.
    Object,
}

impl AbsenceRule {
    /// Under a status, at a place of the error document: a JSON pointer, or what the [`ErrorMapper`] takes for one.
    pub const fn new(status: u16, at: &'static str, says: ValueMatch) -> Self {
        Self { status, at, says }
    }

    fn applies(&self, response: &Response, errors: &dyn ErrorMapper) -> bool {
        if response.status().as_u16() != self.status {
            return false;
        }
        let said = errors.error_field(response, self.at);
        match (self.says, said.as_ref()) {
            (ValueMatch::Object, Some(Value::Object(_))) => true,
            (ValueMatch::Text, Some(Value::String(said))) => !said.is_empty(),
            (ValueMatch::Exactly(word), Some(Value::String(said))) => said == word,
            (ValueMatch::EndsWith(end), Some(Value::String(said))) => said.ends_with(end),
            (ValueMatch::Contains(words), Some(Value::String(said))) => said.contains(words),
            _ => false,
        }
    }
}

/// What an answer says about absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// Nothing that would prove it.
    Unproven,
    /// What a proxy could have said as well: another answer of the API has to confirm it.
    Thin,
    /// That it does not exist.
    Proven,
}

/// The one place that decides whether an answer proves absence.
pub(super) fn absence_of(response: &Response, errors: &dyn ErrorMapper) -> Absence {
    let says = |words: &[AbsenceRule]| words.iter().any(|word| word.applies(response, errors));
    if says(errors.absence_rules()) {
        Absence::Proven
    } else if says(errors.weak_absence_rules()) {
        Absence::Thin
    } else {
        Absence::Unproven
    }
}

/// What stands at a place of a whole JSON document; none if the answer says that it is something else.
pub(super) fn in_json(response: &Response, at: &str) -> Option<Value> {
    if !response.is_of_type("json") {
        return None;
    }
    serde_json::from_slice::<Value>(response.error_body()?).ok()?.pointer(at).cloned()
}

/// The kind of an error answer that looks like absence and does not prove it: something in front of the API may have
/// answered, with the request passed on or not.
pub(super) fn unproven(response: &Response) -> ErrorKind {
    let cause = format!(
        "it answers {}, but not in the API's own words; something before it may have",
        response.status()
    );
    if response.mutates() { ErrorKind::Ambiguous } else { ErrorKind::unavailable(cause) }
}
