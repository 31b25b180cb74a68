//! One response: its parts, its JSON, and how old it is.

use std::time::Duration;

use ::http::{
    StatusCode,
    header::{AGE, CONTENT_TYPE, HeaderMap, WARNING},
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{
    RawResponse, Redactor, Request,
    lenient::{self, RejectedRows},
    response_error::UNEXPECTED_DOCUMENT,
    retry_after::{seconds_in, wait_of},
};
use crate::{
    model::{self, ProviderId, SkuId},
    provider::{Call, RejectedRow, Result},
};

/// Names a response that is a web page.
pub(crate) const HTML_PAGE: &str = "an HTML page";

/// The highest `Age` of a response that no cache has kept: proxies count whole seconds.
const MAX_AGE_S: u64 = 2;

/// Values of one JSON document, at most: ten times the longest lists of the APIs.
const MAX_VALUES: usize = 1 << 20;

/// A complete response to one request.
#[derive(Debug, Clone)]
pub struct Response {
    pub(super) provider: ProviderId,
    pub(super) call: Call,
    pub(super) mutates: bool,
    pub(super) sku: Option<SkuId>,
    pub(super) wire: RawResponse,
    pub(super) redactor: Redactor,
    /// The body of the request, which the response may repeat, and whether it was a form.
    pub(super) asked: Option<Bytes>,
    pub(super) was_form: bool,
    list: ListPage,
}

/// The list that a response is a page of.
#[derive(Debug, Clone, Default)]
pub(super) struct ListPage {
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
            list: ListPage::default(),
        }
    }

    /// A success with this body.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        let wire =
            RawResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: text.to_owned().into() };
        let provider = ProviderId::new("acme").expect("a name");
        Self::new(&provider, &Request::get(Call::Describe, ["servers"]), wire, &Redactor::default())
    }

    /// A copy that knows its list.
    pub(super) fn of_list(self, list: ListPage) -> Self {
        Self { list, ..self }
    }

    /// Parses the body, and remembers unreadable rows of a list of offers.
    pub(crate) fn collecting_rejections<T>(&self, read: impl FnOnce() -> T) -> T {
        let (read, rejected) = lenient::with_rejections(read);
        if self.call == Call::Offers {
            let shown =
                |row: RejectedRow| RejectedRow::new(self.sanitised(&row.row), self.sanitised(&row.reason));
            let rejected = rejected.into_iter().map(shown).collect();
            self.list.rejected.record(&self.list.address, self.list.is_first, rejected);
        }
        read
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.wire.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.wire.headers
    }

    /// A header as text; none if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.wire.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.wire.body
    }

    /// Whether the request was a mutation.
    pub fn mutates(&self) -> bool {
        self.mutates
    }

    /// Whether `Content-Type` names this subtype, such as `json` or `xml`, or is missing.
    pub fn is_of_type(&self, wanted: &str) -> bool {
        self.wire.is_of_type(wanted)
    }

    /// The body, if it is short enough for an error document.
    pub(crate) fn error_body(&self) -> Option<&[u8]> {
        self.wire.error_body()
    }

    /// Whether the response is a web page, by `Content-Type` or by its first bytes.
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

    /// Why the response is stale: a cache sent an old one, by `Age` or `Warning`.
    pub(super) fn staleness(&self) -> Option<String> {
        let all = |name| self.wire.headers.get_all(name).into_iter().filter_map(|it| it.to_str().ok());
        let ages = all(AGE).flat_map(|text| text.split(',')).filter_map(seconds_in);
        if let Some(age) = ages.max().filter(|age| *age > MAX_AGE_S) {
            return Some(format!("the response is {age} s old and comes from a cache"));
        }
        // 110: response is stale; 111: revalidation failed.
        let is_stale = |text: &str| {
            text.split(',').any(|it| it.trim().starts_with("110 ") || it.trim().starts_with("111 "))
        };
        if all(WARNING).any(is_stale) {
            return Some("the response comes from a cache that calls it stale".to_owned());
        }
        None
    }

    /// The SKU that the request named.
    pub fn sku(&self) -> Option<&SkuId> {
        self.sku.as_ref()
    }

    /// Parses the body as JSON. Unknown fields are ignored; the depth is bounded.
    ///
    /// # Errors
    /// A protocol error that names the place in the document. The request may have had its effect.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.is_html_page() {
            return Err(self.unexpected_document(HTML_PAGE));
        }
        // A parsed value takes a hundred times its bytes.
        if values_in(&self.wire.body) > MAX_VALUES {
            return Err(self.protocol_error(format!("the document has more than {MAX_VALUES} values")));
        }
        let body = &self.wire.body;
        let value = self.collecting_rejections(|| model::read_foreign_json(body, MAX_VALUES));
        value.map_err(|fault| {
            let (path, finding) = (fault.path(), fault.finding());
            // An error at the root means another document.
            let place = if path.is_empty() { UNEXPECTED_DOCUMENT } else { &*path };
            self.protocol_error(format!("{place}: {finding}"))
        })
    }

    /// Parses an error document as JSON; none if the response is another document.
    pub fn try_json<T: DeserializeOwned>(&self) -> Option<T> {
        if self.is_html_page() || !self.is_of_type("json") {
            return None;
        }
        model::read_foreign_json(self.error_body()?, MAX_VALUES).ok()
    }

    /// How long the provider asks to wait, at most [`ErrorKind::MAX_RETRY_AFTER`].
    pub fn retry_after(&self) -> Option<Duration> {
        wait_of(self.header("retry-after")?, Timestamp::now())
    }
}

/// A lower bound on the values of a JSON document: the count of its commas and opening brackets.
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

#[cfg(test)]
mod tests {
    use ::http::header::HeaderValue;
    use serde_json::Value;

    use super::*;
    use crate::provider::ErrorKind;

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
            assert!(why.as_ref().is_some_and(|why| why.contains("from a cache")), "{old:?} {why:?}");
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
            assert_eq!(said, response.error_message().is_some());
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
