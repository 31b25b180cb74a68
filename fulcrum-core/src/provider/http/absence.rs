//! Whether a response proves that a resource does not exist.
//!
//! A proxy, a maintenance page or another service sends 404, too. If the library believed it, an order would end while its
//! machine runs. So absence needs three things: the API's status for it, a whole document of the API's type, and the API's
//! own error code in its field.

use serde_json::Value;

use super::{ErrorMapper, Response};
use crate::provider::ErrorKind;

/// A rule by which an error response proves absence: status, field and value.
#[derive(Debug, Clone, Copy)]
pub struct AbsenceRule {
    status: u16,
    path: &'static str,
    value: ValueMatch,
}

/// The value that the field must have.
#[derive(Debug, Clone, Copy)]
pub enum ValueMatch {
    /// This text.
    Exactly(&'static str),
    /// Text that ends so.
    EndsWith(&'static str),
    /// Text that contains this.
    Contains(&'static str),
    /// Any text.
    Text,
    /// Any object.
    Object,
}

impl AbsenceRule {
    /// Under a status, at a path of the error document: a JSON pointer, or the [`ErrorMapper`]'s own form of a path.
    pub const fn new(status: u16, path: &'static str, value: ValueMatch) -> Self {
        Self { status, path, value }
    }

    fn applies(&self, response: &Response, errors: &dyn ErrorMapper) -> bool {
        if response.status().as_u16() != self.status {
            return false;
        }
        let said = errors.error_field(response, self.path);
        match (self.value, said.as_ref()) {
            (ValueMatch::Object, Some(Value::Object(_))) => true,
            (ValueMatch::Text, Some(Value::String(said))) => !said.is_empty(),
            (ValueMatch::Exactly(word), Some(Value::String(said))) => said == word,
            (ValueMatch::EndsWith(end), Some(Value::String(said))) => said.ends_with(end),
            (ValueMatch::Contains(words), Some(Value::String(said))) => said.contains(words),
            _ => false,
        }
    }
}

/// The proof of absence in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// Nothing.
    Unproven,
    /// Absence, but a proxy could have sent it: another response of the API has to confirm it.
    Weak,
    /// Absence.
    Proven,
}

/// Decides whether a response proves absence. No other code does.
pub(super) fn absence_of(response: &Response, errors: &dyn ErrorMapper) -> Absence {
    let is_any = |rules: &[AbsenceRule]| rules.iter().any(|rule| rule.applies(response, errors));
    if is_any(errors.absence_rules()) {
        Absence::Proven
    } else if is_any(errors.weak_absence_rules()) {
        Absence::Weak
    } else {
        Absence::Unproven
    }
}

/// The value at a JSON pointer of an error document; none if the response is not JSON.
pub(super) fn in_json(response: &Response, at: &str) -> Option<Value> {
    if !response.is_of_type("json") {
        return None;
    }
    serde_json::from_slice::<Value>(response.error_body()?).ok()?.pointer(at).cloned()
}

/// The kind of an error response that looks like absence and is no proof: a proxy may have sent it, with the request passed on
/// or not.
pub(super) fn unproven(response: &Response) -> ErrorKind {
    let cause = format!(
        "the response has status {} without the API's own error code; a proxy may have sent it",
        response.status()
    );
    if response.mutates() { ErrorKind::Ambiguous } else { ErrorKind::unavailable(cause) }
}
