//! One answer, and the errors that it stands for.

use std::time::Duration;

use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Redactor, Request, WireAnswer,
    rows::{self, LeftOut},
    sieve::{Sieve, withheld},
};
use crate::{
    model::{ProviderId, SkuId},
    provider::{Call, ErrorKind, ProviderError, Result, Worded},
};

/// Where providers put their number for a request.
const REQUEST_IDS: [&str; 6] = [
    "x-request-id",
    "x-correlation-id",
    "x-openstack-request-id",
    "x-compute-request-id",
    "x-broker-api-request-identity",
    "x-amzn-requestid",
];

/// Begins what is said of an answer that is another document than the API's.
const OTHER: &str = "the answer is not the API's document";
/// What an answer is that somebody is meant to read.
pub(crate) const PAGE: &str = "it is a page for people";

/// Characters of a message that a provider has written.
const LONGEST: usize = 500;

/// A whole answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    provider: ProviderId,
    call: Call,
    changes: bool,
    about: Option<SkuId>,
    wire: WireAnswer,
    redactor: Redactor,
    /// The body of the request, and whether it was a form: an answer may repeat it.
    asked: Option<Bytes>,
    was_form: bool,
    list: ListAt,
}

/// Of which list it is a page.
#[derive(Debug, Clone, Default)]
pub(super) struct ListAt {
    pub(super) address: String,
    pub(super) is_first: bool,
    pub(super) left_out: LeftOut,
}

impl Answer {
    pub(super) fn new(
        provider: &ProviderId,
        request: &Request,
        wire: WireAnswer,
        redactor: &Redactor,
    ) -> Self {
        Self {
            provider: provider.clone(),
            call: request.call,
            changes: request.changes,
            about: request.about.clone(),
            wire,
            redactor: redactor.clone(),
            asked: request.body.clone(),
            was_form: request.is_form(),
            list: ListAt::default(),
        }
    }

    /// The same with the list that it is a page of.
    pub(super) fn of_list(self, list: ListAt) -> Self {
        Self { list, ..self }
    }

    /// Reads it, and remembers what was left out of a list of offers.
    pub(crate) fn reading<T>(&self, read: impl FnOnce() -> T) -> T {
        let (read, left_out) = rows::reading(read);
        if self.call == Call::Offers {
            self.list.left_out.note(&self.list.address, self.list.is_first, left_out);
        }
        read
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.wire.status
    }

    /// All that stands beside it.
    pub fn headers(&self) -> &HeaderMap {
        &self.wire.headers
    }

    /// A header as text; none if it is not there, or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.wire.headers.get(name)?.to_str().ok()
    }

    /// What it says.
    pub fn body(&self) -> &[u8] {
        &self.wire.body
    }

    /// Whether the request was one that changes something.
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// Whether it may be of a type, such as `json` or `xml`: by what it says of itself, or if it says nothing.
    pub fn is_of_type(&self, wanted: &str) -> bool {
        let Some(said) = self.wire.headers.get(CONTENT_TYPE) else { return true };
        let said = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let (_, kind) = said.split_once('/').unwrap_or_default();
        kind.rsplit('+').next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
            && !kind.to_ascii_lowercase().starts_with("xhtml")
    }

    /// Whether it is a page for people, by what it says of itself or by how it begins.
    pub(crate) fn is_page(&self) -> bool {
        let said = self.header(CONTENT_TYPE.as_str()).unwrap_or_default().to_ascii_lowercase();
        let begins = |with: &str| {
            let body = self.wire.body.trim_ascii_start();
            body.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
        };
        said.starts_with("text/html")
            || said.starts_with("application/xhtml")
            || begins("<!doctype html")
            || begins("<html")
    }

    /// The product that the request was about.
    pub fn about(&self) -> Option<&SkuId> {
        self.about.as_ref()
    }

    /// What it says, as JSON. Fields that are not known are passed over; the depth is bounded.
    ///
    /// # Errors
    /// A protocol error that names the place in the answer. It may have had its effect.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.is_page() {
            return Err(self.other_document(PAGE));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(&self.wire.body);
        let value = self.reading(|| serde_path_to_error::deserialize(&mut deserializer));
        let value: Result<T, String> =
            value.map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
                let path = error.path().to_string();
                let error = without_values(&error.into_inner().to_string());
                // What is wrong from the root on is another document.
                if path == "." { format!("{OTHER}: {error}") } else { format!("{path}: {error}") }
            });
        let value = value.and_then(|value| match deserializer.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(format!("{OTHER}: {error}")),
        });
        value.map_err(|message| self.nonsense(message))
    }

    /// What it says, as JSON, or nothing if it is not that: for answers that say why something is refused.
    pub fn try_json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.wire.body).ok().filter(|_| !self.is_page())
    }

    /// An error of a kind, with this answer's circumstances.
    pub fn error(&self, kind: ErrorKind) -> ProviderError {
        let kind = match kind {
            ErrorKind::InvalidRequest { message } => {
                ErrorKind::InvalidRequest { message: self.shown(&message) }
            }
            ErrorKind::Conflict { message } => ErrorKind::Conflict { message: self.shown(&message) },
            ErrorKind::Protocol { message } => ErrorKind::Protocol { message: self.shown(&message) },
            ErrorKind::QuotaExceeded { quota } => ErrorKind::QuotaExceeded { quota: self.shown(&quota) },
            ErrorKind::NotFound { what } => ErrorKind::NotFound { what: self.shown(&what) },
            other => other,
        };
        let excerpt = format!("{}: {}", self.status(), self.excerpt());
        let said = if kind.has_words() { None } else { self.said() };
        let error = ProviderError::new(self.provider.clone(), self.call, kind);
        let error = match said {
            Some(said) => error.with_source(Worded::above(said, excerpt)),
            None => error.with_source(excerpt),
        };
        let request_id = REQUEST_IDS.iter().find_map(|name| self.header(name));
        // A number has no blanks; what follows one is something else.
        let request_id = request_id.and_then(|id| id.split_whitespace().next()).map(|id| self.shown(id));
        ProviderError { request_id, ..error }
    }

    /// The words with which a request is refused, where a document has some at one of the usual places.
    fn said(&self) -> Option<String> {
        if self.status().is_success() || self.is_page() {
            return None;
        }
        let text = match serde_json::from_slice::<Value>(self.body()) {
            Ok(document) => words_in(&document)?,
            Err(_) => {
                let text = std::str::from_utf8(self.body()).ok()?;
                text.split_once("<Message>")?.1.split_once("</Message>")?.0.to_owned()
            }
        };
        Some(self.shown(&text)).filter(|text| !text.trim().is_empty())
    }

    /// Takes out secrets, and what the request has told.
    fn redactor(&self) -> Redactor {
        match &self.asked {
            Some(body) => self.redactor.with(withheld(body, self.was_form)),
            None => self.redactor.clone(),
        }
    }

    /// The first characters of what it says, without what is not known to be harmless.
    fn excerpt(&self) -> String {
        Sieve::with_words(&self.redactor()).excerpt(self.body())
    }

    /// What the provider says, without secrets and on a line that one can read.
    fn shown(&self, text: &str) -> String {
        self.redactor().text(text).chars().filter(|c| !c.is_control()).take(LONGEST).collect()
    }

    /// The error of an answer that breaks the API. It may have had its effect.
    pub fn nonsense(&self, message: impl Into<String>) -> ProviderError {
        self.error(ErrorKind::Protocol { message: message.into() })
    }

    /// The error of an answer that is not the API's document at all, such as a page of what is in front of it.
    pub(crate) fn other_document(&self, what: impl std::fmt::Display) -> ProviderError {
        self.nonsense(format!("{OTHER}: {what}"))
    }

    /// Whether words say no more than the status does: any gateway has them.
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn says_its_status(&self, words: &str) -> bool {
        let words = words.trim().trim_end_matches(['.', '!']);
        let reason = self.status().canonical_reason().unwrap_or_default();
        words.is_empty() || words.eq_ignore_ascii_case(reason)
    }

    /// The kind of a refusal because none is left of what the request was about.
    pub fn sold_out(&self) -> ErrorKind {
        match &self.about {
            Some(sku) => ErrorKind::CapacityExhausted { sku: sku.clone() },
            None => ErrorKind::Conflict { message: "no capacity is left".to_owned() },
        }
    }

    /// What its status alone says; none for success.
    pub fn kind_by_status(&self) -> Option<ErrorKind> {
        let status = self.status();
        if status.is_success() {
            return None;
        }
        let said = || self.excerpt();
        Some(match status.as_u16() {
            401 => ErrorKind::Unauthorised,
            402 | 403 => ErrorKind::Forbidden,
            404 | 410 => {
                ErrorKind::NotFound { what: self.about.as_ref().map_or("it".to_owned(), SkuId::to_string) }
            }
            409 | 412 | 423 => ErrorKind::Conflict { message: said() },
            429 => ErrorKind::RateLimited { retry_after: self.retry_after() },
            501 => ErrorKind::Unsupported,
            // Also 503: gateways answer it when the server behind them went away in the middle of a request.
            408 | 500..=599 if self.changes => ErrorKind::Ambiguous,
            408 | 500..=599 => ErrorKind::Unavailable {
                retry_after: self.retry_after(),
                cause: format!("it answers {status}"),
            },
            400..=499 => ErrorKind::InvalidRequest { message: said() },
            300..=399 => ErrorKind::Protocol { message: format!("{status} leads elsewhere") },
            _ => ErrorKind::Protocol { message: format!("unexpected status {status}") },
        })
    }

    /// How long the provider asks to wait, at most [`ErrorKind::MAX_RETRY_AFTER`].
    pub fn retry_after(&self) -> Option<Duration> {
        wait_of(self.header("retry-after")?, Timestamp::now())
    }
}

/// What a reader says of a value, without the value: `invalid type: string "hunter2", expected a map`.
fn without_values(words: &str) -> String {
    for (begins, ends) in
        [("string \"", "\", expected"), ("variant `", "`, expected"), ("field `", "`, expected")]
    {
        if let Some((head, rest)) = words.split_once(begins)
            && let Some((_, tail)) = rest.rsplit_once(ends)
        {
            return format!("{head}{begins}…{ends}{tail}");
        }
    }
    words.to_owned()
}

/// Fields in which APIs tell people what is wrong, the plainest first.
const WORDS: [&str; 5] = ["message", "error_message", "description", "detail", "title"];

fn words_in(document: &Value) -> Option<String> {
    match document {
        Value::Object(fields) => {
            let text = |name: &&str| fields.get(*name)?.as_str().filter(|text| !text.trim().is_empty());
            let told = WORDS.iter().find_map(text).map(str::to_owned);
            told.or_else(|| fields.values().find_map(words_in))
        }
        Value::Array(items) => items.iter().find_map(words_in),
        _ => None,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). No provider makes its customers wait for longer than a few
/// minutes by it: a greater number is a mistake, or meant ill.
fn wait_of(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are many.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(ErrorKind::MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        assert_eq!(wait_of("7", now), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("Wed, 25 Nov 2026 08:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(wait_of("Wed, 25 Nov 2026 07:00:30 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait_of("soon", now), None);
        assert_eq!(wait_of("", now), None);
        assert_eq!(wait_of("-1", now), None);
    }

    #[test]
    fn nobody_is_made_to_wait_for_years() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        let most = Some(ErrorKind::MAX_RETRY_AFTER);
        for text in ["100000000", "18446744073709551615", &"9".repeat(40), "Wed, 25 Nov 2099 08:00:30 GMT"] {
            assert_eq!(wait_of(text, now), most, "{text}");
        }
        let told = Some(Duration::from_secs(100_000_000));
        for kind in [
            ErrorKind::RateLimited { retry_after: told },
            ErrorKind::Unavailable { retry_after: told, cause: String::new() },
        ] {
            assert_eq!(kind.retry_after(), most);
        }
    }

    fn answer(status: u16, content_type: Option<&str>, body: &str) -> Answer {
        let request = Request::get(Call::Describe, ["servers", "7"]);
        let mut headers = HeaderMap::new();
        if let Some(kind) = content_type {
            headers.insert(CONTENT_TYPE, kind.parse().expect("a header"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let wire = WireAnswer { status, headers, body: body.to_owned().into() };
        Answer::new(&ProviderId::new("acme").expect("a name"), &request, wire, &Redactor::default())
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let error = answer(200, None, r#"{"id": "canary \", expected"}"#)
            .json::<std::collections::BTreeMap<String, u64>>();
        let error = error.expect_err("no number").to_string();
        assert!(error.contains("id: invalid type: string") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_page_for_people_is_no_json_whatever_it_holds() {
        for kind in [None, Some("application/json"), Some("application/problem+json; charset=utf-8")] {
            let answer = answer(200, kind, "{}");
            assert!(answer.is_of_type("json") && answer.json::<Value>().is_ok(), "{kind:?}");
        }
        for kind in ["text/html", "application/xhtml+xml", "Text/HTML; charset=utf-8"] {
            let answer = answer(200, Some(kind), "{}");
            assert!(!answer.is_of_type("json") && !answer.is_of_type("xml"), "{kind}");
            assert!(answer.json::<Value>().is_err(), "{kind}");
        }
        assert!(!answer(404, Some("text/plain"), "{}").is_of_type("json"));
        assert!(answer(404, Some("text/xml;charset=UTF-8"), "<r/>").is_of_type("xml"));
    }
}
