//! One request, as data.

use std::fmt;

use ::http::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::{model::SkuId, provider::Call};

const FORM: &str = "application/x-www-form-urlencoded";

/// One request to an API, not yet tied to its address and credentials.
///
/// A path is given in segments, each of which is escaped: what a provider or a customer calls a thing cannot lead to
/// another resource.
#[derive(Clone)]
pub struct Request {
    pub(super) call: Call,
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) mutates: bool,
    pub(super) sku: Option<SkuId>,
}

// A body may hold a password.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} /{}", self.call, self.method, self.path.join("/"))
    }
}

impl Request {
    /// A request with a method. All methods but GET and HEAD count as mutations.
    pub fn new<'a>(call: Call, method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        let mutates = method != Method::GET && method != Method::HEAD;
        let path = path.into_iter().map(str::to_owned).collect();
        let (query, headers) = (Vec::new(), HeaderMap::new());
        Self { call, method, path, query, headers, body: None, mutates, sku: None }
    }

    /// A GET request.
    pub fn get<'a>(call: Call, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(call, Method::GET, path)
    }

    /// A POST request.
    pub fn post<'a>(call: Call, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(call, Method::POST, path)
    }

    /// A PUT request.
    pub fn put<'a>(call: Call, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(call, Method::PUT, path)
    }

    /// A DELETE request.
    pub fn delete<'a>(call: Call, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(call, Method::DELETE, path)
    }

    /// Declares a request without effect in spite of its method, such as a POST that only reads. Its failure is never ambiguous.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.mutates = false;
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// The value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }

    /// A copy whose offset parameter is greater by `by`.
    #[must_use]
    pub fn next_offset(mut self, name: &str, by: usize) -> Self {
        for (parameter, value) in &mut self.query {
            if parameter == name {
                *value = value.parse::<usize>().unwrap_or(0).saturating_add(by).to_string();
            }
        }
        self
    }

    /// A copy whose page parameter, which must exist, is greater by one.
    #[must_use]
    pub fn next_page(mut self, name: &str) -> Self {
        for (parameter, value) in &mut self.query {
            if parameter == name {
                *value = value.parse::<u64>().unwrap_or(1).saturating_add(1).to_string();
            }
        }
        self
    }

    /// Adds a header; an invalid value is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Adds a secret header, which is never shown.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: &SecretString) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value.expose_secret()) {
            value.set_sensitive(true);
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Names the SKU that an error is about.
    #[must_use]
    pub fn for_sku(mut self, sku: &SkuId) -> Self {
        self.sku = Some(sku.clone());
        self
    }

    /// Adds a body in JSON.
    #[must_use]
    pub fn json(mut self, body: &impl Serialize) -> Self {
        // Plain data always serialises; else the adapter is wrong, and the API refuses the empty body.
        self.body = Some(serde_json::to_vec(body).unwrap_or_default().into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Adds a body in XML.
    #[must_use]
    pub fn xml(mut self, document: String) -> Self {
        self.body = Some(document.into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        self
    }

    /// Adds a form body.
    #[must_use]
    pub fn form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = Some(body.into());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        self
    }

    pub(super) fn is_form(&self) -> bool {
        is_form(&self.headers)
    }

    /// The call of the contract that sends it.
    pub fn call(&self) -> Call {
        self.call
    }

    /// Whether the request may have an effect. Then a lost response is ambiguous.
    pub fn mutates(&self) -> bool {
        self.mutates
    }

    /// Its address below a base URL.
    pub(super) fn url(&self, base: &url::Url) -> url::Url {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // A URL parser resolves `.` and `..`, even escaped.
            let is_step = |segment: &&String| matches!(segment.as_str(), "." | "..");
            segments.extend(self.path.iter().map(|segment| if is_step(&segment) { "%2E" } else { segment }));
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// Whether the headers announce a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let base = url::Url::parse("https://cloud.example/v1").expect("an address");
        let url = |id: &str| Request::delete(Call::Release, ["servers", id]).url(&base).to_string();
        assert_eq!(url("a/../../x?y#z"), "https://cloud.example/v1/servers/a%2F..%2F..%2Fx%3Fy%23z");
        assert_eq!(url(".."), "https://cloud.example/v1/servers/%252E");
        let query = Request::get(Call::Services, ["servers"]).query("q", "a&b=c");
        assert_eq!(query.url(&base).as_str(), "https://cloud.example/v1/servers?q=a%26b%3Dc");
    }
}
