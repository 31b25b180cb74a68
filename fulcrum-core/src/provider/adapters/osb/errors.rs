//! Error documents of brokers.

use serde_json::{Map, Value};

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
        // Any proxy could send an empty object.
        if refusal.error.is_empty() && refusal.description.is_empty() {
            return None;
        }
        let message = refusal.description;
        match (response.status().as_u16(), refusal.error.as_str()) {
            (422, "ConcurrencyError") => Some(ErrorKind::Conflict { message }),
            (400 | 422, "MaintenanceInfoConflict") => Some(ErrorKind::Conflict { message }),
            (400 | 422, _) => Some(ErrorKind::InvalidRequest { message }),
            // The specification has no word for a quota or for sold out: a 500 proves nothing.
            _ => response.kind_by_status(),
        }
    }

    /// The specification has no document for absence: an empty object is enough, or a broker's own error.
    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "", ValueMatch::Object), AbsenceRule::new(410, "", ValueMatch::Object)] }
    }

    fn error_field(&self, response: &Response, at: &str) -> Option<Value> {
        broker_document(response).filter(|_| at.is_empty()).map(Value::Object)
    }
}

/// A response's object in a broker's form: empty, or with the specification's fields for errors alone. A gateway without a path
/// to the broker has another form.
fn broker_document(response: &Response) -> Option<Map<String, Value>> {
    if !response.is_of_type("json") {
        return None;
    }
    let fields: Map<String, Value> = response.try_json()?;
    let is_own = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        // A code is one word.
        ("error", Value::String(code)) => !code.contains(char::is_whitespace),
        // A field of the last operation.
        ("state", Value::String(state)) => is_state(state),
        ("description", Value::String(_)) | ("instance_usable" | "update_repeatable", Value::Bool(_)) => true,
        _ => false,
    };
    fields.iter().all(is_own).then_some(fields)
}

fn is_state(word: &str) -> bool {
    matches!(word, "in progress" | "succeeded" | "failed")
}

/// Whether a response tells an operation's state: only a broker does.
pub(super) fn has_operation_state(response: &Response) -> bool {
    broker_document(response)
        .is_some_and(|fields| fields.get("state").and_then(Value::as_str).is_some_and(is_state))
}

/// Whether a response is a word for absence.
pub(super) fn is_absence_word(response: &Response) -> bool {
    matches!(response.status().as_u16(), 404 | 410) && broker_document(response).is_some()
}

/// Whether a response is a refusal in a broker's own words.
pub(super) fn is_broker_refusal(response: &Response) -> bool {
    let is_refusal = matches!(response.status().as_u16(), 400 | 412 | 422);
    let says = |fields: Map<String, Value>| {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).is_some_and(|it| !it.is_empty());
        text("description")
    };
    is_refusal && broker_document(response).is_some_and(says)
}
