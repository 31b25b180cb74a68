//! How brokers say what is wrong.

use serde_json::{Map, Value};

use super::wire::Refusal;
use crate::provider::{
    ErrorKind,
    http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
};

#[derive(Debug)]
pub(super) struct Errors;

impl ErrorMapper for Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        let refusal: Refusal = response.try_json()?;
        // An object in which nothing stands is any proxy's.
        if refusal.error.is_empty() && refusal.description.is_empty() {
            return None;
        }
        let message = refusal.description;
        match (response.status().as_u16(), refusal.error.as_str()) {
            (422, "ConcurrencyError") => Some(ErrorKind::Conflict { message }),
            (400 | 422, "MaintenanceInfoConflict") => Some(ErrorKind::Conflict { message }),
            (400 | 422, _) => Some(ErrorKind::InvalidRequest { message }),
            // The specification knows no word for a quota or for sold out: a 500 says nothing certain.
            _ => response.kind_by_status(),
        }
    }

    /// The specification has no document for it: an empty object is enough, or a broker's own error.
    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "", ValueMatch::Object), AbsenceRule::new(410, "", ValueMatch::Object)] }
    }

    fn error_field(&self, response: &Response, at: &str) -> Option<Value> {
        form(response).filter(|_| at.is_empty()).map(Value::Object)
    }
}

/// An answer's object if it is one that a broker gives: empty, or with what the specification has for errors, and nothing else. A
/// gateway that has lost the way to the broker answers in another form.
fn form(response: &Response) -> Option<Map<String, Value>> {
    if !response.is_of_type("json") {
        return None;
    }
    let fields: Map<String, Value> = response.try_json()?;
    let is_own = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        // A code is one word.
        ("error", Value::String(code)) => !code.contains(char::is_whitespace),
        // Of the last operation.
        ("state", Value::String(state)) => is_state(state),
        ("description", Value::String(_)) | ("instance_usable" | "update_repeatable", Value::Bool(_)) => true,
        _ => false,
    };
    fields.iter().all(is_own).then_some(fields)
}

fn is_state(word: &str) -> bool {
    matches!(word, "in progress" | "succeeded" | "failed")
}

/// Whether an answer tells how an operation ended: only a broker does.
pub(super) fn tells_state(response: &Response) -> bool {
    form(response).is_some_and(|fields| fields.get("state").and_then(Value::as_str).is_some_and(is_state))
}

/// Whether an answer says by the word for it that there is no such instance.
pub(super) fn says_gone(response: &Response) -> bool {
    matches!(response.status().as_u16(), 404 | 410) && form(response).is_some()
}

/// Whether an answer refuses in a broker's own words: only who has been reached has some.
pub(super) fn is_own_refusal(response: &Response) -> bool {
    let is_refusal = matches!(response.status().as_u16(), 400 | 412 | 422);
    let says = |fields: Map<String, Value>| {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).is_some_and(|it| !it.is_empty());
        text("description")
    };
    is_refusal && form(response).is_some_and(says)
}
