//! One answer, and the errors that it stands for.

use std::time::Duration;

use ::http::{
    StatusCode,
    header::{AGE, CONTENT_TYPE, HeaderMap, WARNING},
};
use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    RawResponse, Redactor, Request,
    lenient::{self, RejectedRows},
    sieve::{Sieve, withheld},
};
use crate::{
    model::{ProviderId, SkuId},
    provider::{Call, ErrorKind, ProviderError, RejectedRow, Result, Worded, words},
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
pub(crate) const HTML_PAGE: &str = "it is a page for people";

/// The oldest answer that may be the API's own: on the way it is counted in whole seconds.
const FRESH_S: u64 = 2;

/// Values in one answer, by its commas and brackets: the longest lists of the APIs have a tenth of it.
const MAX_VALUES: usize = 1 << 20;

/// A whole answer to one request.
#[derive(Debug, Clone)]
pub struct Response {
    provider: ProviderId,
    call: Call,
    mutates: bool,
    sku: Option<SkuId>,
    wire: RawResponse,
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
    pub(super) rejected: RejectedRows,
}

impl Response {
    pub(super) fn new(
        provider: &ProviderId,
        request: &Request,
        wire: RawResponse,
        redactor: &Redactor,
    ) -> Self {
        Self {
            provider: provider.clone(),
            call: request.call,
            mutates: request.mutates,
            sku: request.sku.clone(),
            wire,
            redactor: redactor.clone(),
            asked: request.body.clone(),
            was_form: request.is_form(),
            list: ListAt::default(),
        }
    }

    /// A success that says this.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        let wire =
            RawResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: text.to_owned().into() };
        let provider = ProviderId::new("acme").expect("a name");
        Self::new(&provider, &Request::get(Call::Describe, ["servers"]), wire, &Redactor::default())
    }

    /// The same with the list that it is a page of.
    pub(super) fn of_list(self, list: ListAt) -> Self {
        Self { list, ..self }
    }

    /// Reads it, and remembers what was left out of a list of offers.
    pub(crate) fn collecting_rejections<T>(&self, read: impl FnOnce() -> T) -> T {
        let (read, rejected) = lenient::reading(read);
        if self.call == Call::Offers {
            let shown =
                |row: RejectedRow| RejectedRow::new(self.sanitised(&row.row), self.sanitised(&row.reason));
            let rejected = rejected.into_iter().map(shown).collect();
            self.list.rejected.note(&self.list.address, self.list.is_first, rejected);
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
    pub fn mutates(&self) -> bool {
        self.mutates
    }

    /// Whether it may be of a type, such as `json` or `xml`: by what it says of itself, or if it says nothing.
    pub fn is_of_type(&self, wanted: &str) -> bool {
        self.wire.is_of_type(wanted)
    }

    /// What it says, if that may be the document of a refusal; none if it is too large for one.
    pub(crate) fn error_body(&self) -> Option<&[u8]> {
        self.wire.error_body()
    }

    /// Whether it is a page for people, by what it says of itself or by how it begins.
    pub(crate) fn is_html_page(&self) -> bool {
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

    /// Why it is not the API's answer to this request, by what it says of its age: a cache gave one that it had kept. What has
    /// happened since is not in it.
    pub(super) fn staleness(&self) -> Option<String> {
        let all = |name| self.wire.headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
        let ages = all(AGE).flat_map(|text| text.split(',')).filter_map(seconds_in);
        if let Some(age) = ages.max().filter(|age| *age > FRESH_S) {
            return Some(format!("an answer from a cache, {age} s old"));
        }
        // 110: it is stale; 111: it could not be compared with the API's.
        let is_stale = |text: &str| {
            text.split(',').any(|it| it.trim().starts_with("110 ") || it.trim().starts_with("111 "))
        };
        if all(WARNING).any(is_stale) {
            return Some("an answer from a cache, which says itself that it is old".to_owned());
        }
        None
    }

    /// The product that the request was about.
    pub fn sku(&self) -> Option<&SkuId> {
        self.sku.as_ref()
    }

    /// What it says, as JSON. Fields that are not known are passed over; the depth is bounded.
    ///
    /// # Errors
    /// A protocol error that names the place in the answer. It may have had its effect.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.is_html_page() {
            return Err(self.unexpected_document(HTML_PAGE));
        }
        // What is made of a value takes a hundred times its bytes.
        if values_in(&self.wire.body) > MAX_VALUES {
            return Err(self.protocol_error(format!("it has more than {MAX_VALUES} values")));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(&self.wire.body);
        let value = self.collecting_rejections(|| serde_path_to_error::deserialize(&mut deserializer));
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
        value.map_err(|message| self.protocol_error(message))
    }

    /// What it says, as JSON, or nothing if it is not that, by what it says of itself or by its form: for answers that say why
    /// something is refused.
    pub fn try_json<T: DeserializeOwned>(&self) -> Option<T> {
        if self.is_html_page() || !self.is_of_type("json") {
            return None;
        }
        serde_json::from_slice(self.error_body()?).ok()
    }

    /// An error of a kind, with this answer's circumstances.
    pub fn error(&self, kind: ErrorKind) -> ProviderError {
        let kind = match kind {
            ErrorKind::InvalidRequest { message } => {
                ErrorKind::InvalidRequest { message: self.sanitised(&message) }
            }
            ErrorKind::Conflict { message } => ErrorKind::Conflict { message: self.sanitised(&message) },
            ErrorKind::Protocol { message } => ErrorKind::Protocol { message: self.sanitised(&message) },
            ErrorKind::QuotaExceeded { quota } => ErrorKind::QuotaExceeded { quota: self.sanitised(&quota) },
            ErrorKind::NotFound { what } => ErrorKind::NotFound { what: self.sanitised(&what) },
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
        let request_id = request_id.and_then(|id| id.split_whitespace().next()).map(|id| self.sanitised(id));
        ProviderError { request_id, ..error }
    }

    /// The words with which a request is refused, where a document has some at one of the usual places.
    fn said(&self) -> Option<String> {
        if self.status().is_success() || self.is_html_page() {
            return None;
        }
        let body = self.error_body()?;
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(document) => words_in(&document)?,
            Err(_) => {
                let text = std::str::from_utf8(body).ok()?;
                text.split_once("<Message>")?.1.split_once("</Message>")?.0.to_owned()
            }
        };
        Some(self.sanitised(&text)).filter(|text| !text.trim().is_empty())
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

    /// What the provider says, without secrets, short, and on a line that one can read.
    fn sanitised(&self, text: &str) -> String {
        self.redactor().short(text, words::LONGEST)
    }

    /// The error of an answer that breaks the API. It may have had its effect.
    pub fn protocol_error(&self, message: impl Into<String>) -> ProviderError {
        self.error(ErrorKind::Protocol { message: message.into() })
    }

    /// The error of an answer that is not the API's document at all, such as a page of what is in front of it.
    pub(crate) fn unexpected_document(&self, what: impl std::fmt::Display) -> ProviderError {
        self.protocol_error(format!("{OTHER}: {what}"))
    }

    /// Whether words say no more than the status does: any gateway has them.
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn is_reason_phrase(&self, words: &str) -> bool {
        let words = words.trim().trim_end_matches(['.', '!']);
        let reason = self.status().canonical_reason().unwrap_or_default();
        words.is_empty() || words.eq_ignore_ascii_case(reason)
    }

    /// The kind of a refusal because none is left of what the request was about.
    pub fn sold_out(&self) -> ErrorKind {
        match &self.sku {
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
                ErrorKind::NotFound { what: self.sku.as_ref().map_or("it".to_owned(), SkuId::to_string) }
            }
            409 | 412 | 423 => ErrorKind::Conflict { message: said() },
            429 => ErrorKind::RateLimited { retry_after: self.retry_after() },
            501 => ErrorKind::Unsupported,
            // Also 503: gateways answer it when the server behind them went away in the middle of a request.
            408 | 500..=599 if self.mutates => ErrorKind::Ambiguous,
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

/// At least how many values a JSON document has: each but the first of a list or object follows a comma, and the first a bracket.
fn values_in(body: &[u8]) -> usize {
    let (mut count, mut is_text, mut at) = (0, false, 0);
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => is_text = !is_text,
            b'\\' if is_text => at += 1,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
        at += 1;
    }
    count
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
    let wait = match seconds_in(text) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let date = rfc2822::parse(text.trim()).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(ErrorKind::MAX_RETRY_AFTER))
}

/// A header's number of seconds; digits that do not fit are many.
fn seconds_in(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use ::http::header::HeaderValue;

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

    fn response(status: u16, content_type: Option<&str>, body: &str) -> Response {
        let request = Request::get(Call::Describe, ["servers", "7"]);
        let mut headers = HeaderMap::new();
        if let Some(kind) = content_type {
            headers.insert(CONTENT_TYPE, kind.parse().expect("a header"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let wire = RawResponse { status, headers, body: body.to_owned().into() };
        Response::new(&ProviderId::new("acme").expect("a name"), &request, wire, &Redactor::default())
    }

    #[test]
    fn an_answer_that_was_kept_is_known_by_what_stands_beside_it() {
        let kept = |headers: &[(&'static str, &'static str)]| {
            let mut response = response(200, None, "{}");
            for (name, value) in headers {
                response.wire.headers.append(*name, HeaderValue::from_static(value));
            }
            response.staleness()
        };
        for fresh in [
            &[][..],
            &[("age", "0")],
            &[("age", "2")],
            // An API's clock may be wrong by years.
            &[("date", "Thu, 01 Jan 1970 00:00:00 GMT")],
            &[("warning", "199 - \"110 reasons\"")],
        ] {
            assert_eq!(kept(fresh), None, "{fresh:?}");
        }
        for old in [
            &[("age", "3")][..],
            &[("age", "0"), ("age", "86400")],
            &[("age", "0, 9")],
            &[("age", "99999999999999999999999")],
            &[("warning", "110 squid \"Response is stale\"")],
            &[("warning", "199 - x, 111 - \"Revalidation failed\"")],
        ] {
            let why = kept(old);
            assert!(
                why.as_ref().is_some_and(|why| why.starts_with("an answer from a cache")),
                "{old:?} {why:?}"
            );
        }
    }

    #[test]
    fn values_are_counted_without_reading_them() {
        for (text, count) in
            [("7", 0), ("[]", 1), (r#"{"a": [1, 2, {"b\\\",,[": "x,\"[,"}]}"#, 5), ("[0,0,0", 3)]
        {
            assert_eq!(values_in(text.as_bytes()), count, "{text}");
        }
        let list = format!("[{}0]", "0,".repeat(15_000_000));
        let error = response(200, None, &list).json::<Vec<u8>>().expect_err("too many").to_string();
        assert!(error.contains("more than 1048576 values"), "{error}");
    }

    #[test]
    fn a_refusal_is_read_only_where_it_is_short_and_of_the_apis_type() {
        let refusal = |kind, much| {
            let body = format!(r#"{{"message": "no", "rest": "{}"}}"#, "x".repeat(much));
            response(404, kind, &body)
        };
        let is_read = |response: Response| {
            let said = super::super::absence::in_json(&response, "/message").is_some();
            assert_eq!(said, response.try_json::<Value>().is_some());
            assert_eq!(said, response.said().is_some());
            said
        };
        assert!(is_read(refusal(Some("application/json"), 60_000)) && is_read(refusal(None, 0)));
        assert!(!is_read(refusal(Some("application/json"), 70_000)));
        let text = refusal(Some("text/plain"), 0);
        assert!(text.try_json::<Value>().is_none());
        let tree = format!("[{}0]", r#"{"":0},"#.repeat(600_000));
        assert!(response(403, None, &tree).error(ErrorKind::Forbidden).to_string().len() < 2_000);
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        let error = response(200, None, r#"{"id": "canary \", expected"}"#)
            .json::<std::collections::BTreeMap<String, u64>>();
        let error = error.expect_err("no number").to_string();
        assert!(error.contains("id: invalid type: string") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_page_for_people_is_no_json_whatever_it_holds() {
        for kind in [None, Some("application/json"), Some("application/problem+json; charset=utf-8")] {
            let response = response(200, kind, "{}");
            assert!(response.is_of_type("json") && response.json::<Value>().is_ok(), "{kind:?}");
        }
        for kind in ["text/html", "application/xhtml+xml", "Text/HTML; charset=utf-8"] {
            let response = response(200, Some(kind), "{}");
            assert!(!response.is_of_type("json") && !response.is_of_type("xml"), "{kind}");
            assert!(response.json::<Value>().is_err(), "{kind}");
        }
        assert!(!response(404, Some("text/plain"), "{}").is_of_type("json"));
        assert!(response(404, Some("text/xml;charset=UTF-8"), "<r/>").is_of_type("xml"));
    }
}
