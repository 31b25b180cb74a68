//! How an adapter maps the error documents of an API to [`ErrorKind`]s.

use std::fmt;

use serde_json::Value;

use super::{AbsenceRule, Response, ValueMatch, absence};
use crate::provider::ErrorKind;

/// Maps the errors of one API, beyond the status.
pub trait ErrorMapper: fmt::Debug + Send + Sync {
    /// The kind of an error response in the API's own form; none for any other document. Called for every response that is not
    /// a success. A refusal of a mutation is certain only if the API's own form says so: a bare status may come from a proxy.
    /// Not found is believed only by the rules below.
    fn kind_of(&self, response: &Response) -> Option<ErrorKind>;

    /// Error codes that prove absence: only the API itself sends them.
    fn absence_rules(&self) -> &'static [AbsenceRule] {
        &[]
    }

    /// Error codes for absence that a proxy could send as well. Alone they prove nothing; see
    /// [`Client::get_optional_with`].
    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        &[]
    }

    /// The field of an error document at a path: a JSON pointer, unless the API has another format.
    fn error_field(&self, response: &Response, at: &str) -> Option<Value> {
        absence::in_json(response, at)
    }
}

/// Maps an API by the status alone, if the body is any JSON object. Absence then always needs a witness.
#[derive(Debug)]
pub struct StatusOnly;

impl ErrorMapper for StatusOnly {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        response.try_json::<serde_json::Map<String, Value>>().and_then(|_| response.kind_by_status())
    }

    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "", ValueMatch::Object), AbsenceRule::new(410, "", ValueMatch::Object)] }
    }
}
