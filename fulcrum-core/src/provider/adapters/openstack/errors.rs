//! Error documents of the services.

use std::collections::BTreeMap;

use ::http::header::WWW_AUTHENTICATE;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    model::Shortage,
    provider::{
        ErrorKind,
        http::{
            AbsenceRule, ErrorMapper, HeaderMap, HeaderValue, RawResponse, Response, StatusCode, ValueMatch,
        },
    },
};

/// Nova wraps `code` and `message` in a field of its own, keystone in `error`, neutron in `NeutronError`. Glance sends HTML, of
/// which the status is enough.
#[derive(Debug)]
pub(super) struct OpenStackErrors;

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    /// Neutron's.
    #[serde(default, rename = "type")]
    kind: String,
    /// The status once more, by nova and keystone.
    #[serde(default)]
    code: Value,
    /// Keystone's.
    #[serde(default)]
    title: String,
}

impl Said {
    /// Whether a document has the services' form: many gateways send an object with a message, too.
    fn is_own(&self, name: &str, status: u16) -> bool {
        let is_coded = self.code.as_u64() == Some(status.into());
        match name {
            "NeutronError" => !self.kind.is_empty(),
            "error" => is_coded && !self.title.is_empty(),
            _ => is_coded,
        }
    }
}

/// The services' own words in a document.
fn own(document: BTreeMap<String, Value>, status: u16) -> Option<Said> {
    // Octavia's fields stand by themselves.
    if let (Some(Value::String(message)), Some(Value::String(kind))) =
        (document.get("faultstring"), document.get("faultcode"))
    {
        let (message, kind) = (message.clone(), kind.clone());
        return Some(Said { message, kind, code: Value::Null, title: String::new() });
    }
    let (name, said) = document.into_iter().find(|(_, said)| said.is_object())?;
    let is_own = |said: &Said| !said.message.is_empty() && said.is_own(&name, status);
    serde_json::from_value(said).ok().filter(is_own)
}

/// Whether a service itself refuses a token: in its own words, or by the challenge of keystone's middleware, which each service
/// has and which sends no document.
pub(super) fn refuses_token(response: &RawResponse) -> bool {
    let document = || {
        let document = response.error_body().filter(|_| response.is_of_type("json"))?;
        own(serde_json::from_slice(document).ok()?, response.status.as_u16())
    };
    let mut challenges = response.headers.get_all(WWW_AUTHENTICATE).into_iter();
    let is_keystones = |challenge: &HeaderValue| challenge.as_bytes().starts_with(b"Keystone uri=");
    response.status == StatusCode::UNAUTHORIZED && (challenges.any(is_keystones) || document().is_some())
}

/// The response to a request that was not sent for lack of a token, in a service's own form.
pub(super) fn unauthorised_reply() -> RawResponse {
    let said = serde_json::json!({ "error": {
        "code": 401, "title": "Unauthorized", "message": "the login was refused, and nothing was sent",
    } });
    let (status, body) = (StatusCode::UNAUTHORIZED, said.to_string().into());
    RawResponse { status, headers: HeaderMap::new(), body }
}

impl ErrorMapper for OpenStackErrors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        let status = response.status().as_u16();
        let said = own(response.try_json()?, status)?;
        let by_status = response.kind_by_status()?;
        Some(kind_of(status, &said.kind, &said.message, by_status))
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const {
            &[
                AbsenceRule::new(404, "/itemNotFound/message", ValueMatch::Text),
                AbsenceRule::new(404, "/NeutronError/type", ValueMatch::EndsWith("NotFound")),
                AbsenceRule::new(404, "/faultstring", ValueMatch::EndsWith("not found.")),
            ]
        }
    }
}

fn kind_of(status: u16, kind: &str, message: &str, by_status: ErrorKind) -> ErrorKind {
    let is_quota = kind == "OverQuota" || NO_QUOTA_WORDS.iter().any(|words| message.contains(words));
    match status {
        403 | 409 | 413 if is_quota => ErrorKind::QuotaExceeded { quota: quota_of(message) },
        413 | 429 => match by_status {
            limited @ ErrorKind::RateLimited { .. } => limited,
            _ => ErrorKind::RateLimited { retry_after: None },
        },
        // The last row of the previous page was deleted meanwhile: the list must be read again.
        400 if message.contains("marker") && message.contains("not found") => {
            ErrorKind::unavailable("the list changed while it was read; read it again")
        }
        400 => ErrorKind::InvalidRequest { message: message.to_owned() },
        409 => ErrorKind::Conflict { message: message.to_owned() },
        // A login with a withdrawn credential, in the API's own words.
        404 if message.contains("Could not find Application Credential") => ErrorKind::Unauthorised,
        _ => by_status,
    }
}

/// `Quota exceeded for cores, ram: Requested …`, `Maximum number of ports exceeded`, `Quota exceeded for resources:
/// ['floatingip'].`
fn quota_of(message: &str) -> String {
    let after = |words: &str| message.split_once(words).map(|(_, rest)| rest);
    let words = after("Quota exceeded for resources:")
        .or_else(|| after("Quota exceeded for "))
        .and_then(|rest| rest.split([':', '.']).next())
        .or_else(|| after("Maximum number of ").and_then(|rest| rest.split(" exceeded").next()));
    let words = words.unwrap_or(message).trim().replace(['[', ']', '\''], "");
    words.chars().take(200).collect()
}

const NO_HOST_WORDS: [&str; 4] =
    ["No valid host was found", "Insufficient compute resources", "not enough hosts", "No more IP addresses"];
const NO_QUOTA_WORDS: [&str; 3] = ["Quota exceeded", "Maximum number of", "Quota has been met"];

/// The shortage that a server's fault means: no host, or no quota, which nova checks once more after it has made the record.
pub(super) fn shortage_of(fault: &str) -> Option<Shortage> {
    let says = |words: &[&str]| words.iter().any(|words| fault.contains(words));
    if says(&NO_HOST_WORDS) {
        Some(Shortage::SoldOut)
    } else {
        says(&NO_QUOTA_WORDS).then_some(Shortage::Quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_named() {
        let kind = |status, message| kind_of(status, "", message, ErrorKind::Forbidden);
        let quota = |quota: &str| ErrorKind::QuotaExceeded { quota: quota.to_owned() };
        let said = "Quota exceeded for cores, ram: Requested 16, 32768, but already used 8, 0 of 20, 51200 cores, ram";
        assert_eq!(kind(403, said), quota("cores, ram"));
        assert_eq!(kind(403, "Maximum number of ports exceeded"), quota("ports"));
        assert_eq!(kind(409, "Quota exceeded for resources: ['floatingip']."), quota("floatingip"));
        assert_eq!(kind(403, "Policy doesn't allow it"), ErrorKind::Forbidden);
    }

    #[test]
    fn a_page_that_lost_its_marker_is_read_again() {
        let kind = kind_of(400, "", "marker [abc] not found", ErrorKind::Forbidden);
        assert!(matches!(kind, ErrorKind::Unavailable { .. }), "{kind:?}");
    }

    #[test]
    fn sold_out_is_told_from_broken() {
        let full = "No valid host was found. There are not enough hosts available.";
        assert_eq!(shortage_of(full), Some(Shortage::SoldOut));
        let much = "Quota exceeded for cores: Requested 1, but already used 20 of 20 cores";
        assert_eq!(shortage_of(much), Some(Shortage::Quota));
        assert_eq!(shortage_of("Build of instance 1 aborted: the disk is broken"), None);
    }
}
