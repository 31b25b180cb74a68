//! The errors that a response stands for.

use serde_json::Value;

use super::{
    Redactor, Response,
    sanitiser::{Sanitiser, request_texts},
};
use crate::{
    model::SkuId,
    provider::{ErrorContext, ErrorKind, ProviderError, sanitise},
};

/// Headers in which providers send the id of a request.
const REQUEST_ID_HEADERS: [&str; 6] = [
    "x-request-id",
    "x-correlation-id",
    "x-openstack-request-id",
    "x-compute-request-id",
    "x-broker-api-request-identity",
    "x-amzn-requestid",
];

/// Begins the message about a document that is not the API's.
pub(super) const UNEXPECTED_DOCUMENT: &str = "the response is not the API's document";
/// Fields of error documents that hold a message for people, the best first.
const MESSAGE_FIELDS: [&str; 5] = ["message", "error_message", "description", "detail", "title"];

fn message_in(document: &Value) -> Option<String> {
    match document {
        Value::Object(fields) => {
            let text = |name: &&str| fields.get(*name)?.as_str().filter(|text| !text.trim().is_empty());
            let message = MESSAGE_FIELDS.iter().find_map(text).map(str::to_owned);
            message.or_else(|| fields.values().find_map(message_in))
        }
        Value::Array(items) => items.iter().find_map(message_in),
        _ => None,
    }
}

impl Response {
    /// An error of a kind, with request id and excerpt of this response.
    pub fn error(&self, kind: ErrorKind) -> ProviderError {
        let kind = kind.with_texts(&|text: String| self.sanitised(&text));
        let excerpt = format!("{}: {}", self.status(), self.excerpt());
        let message = if kind.has_message() { None } else { self.error_message() };
        let error = ProviderError::new(self.provider.clone(), self.call, kind);
        let error = match message {
            Some(message) => error.with_source(ErrorContext::wrap(message, excerpt)),
            None => error.with_source(excerpt),
        };
        let request_id = REQUEST_ID_HEADERS.iter().find_map(|name| self.header(name));
        // An id has no blanks.
        let request_id = request_id.and_then(|id| id.split_whitespace().next()).map(|id| self.sanitised(id));
        ProviderError { request_id, ..error }
    }

    /// The message of an error document, if a usual field has one.
    pub(super) fn error_message(&self) -> Option<String> {
        if self.status().is_success() || self.is_html_page() {
            return None;
        }
        let body = self.error_body()?;
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(document) => message_in(&document)?,
            Err(_) => {
                let text = std::str::from_utf8(body).ok()?;
                text.split_once("<Message>")?.1.split_once("</Message>")?.0.to_owned()
            }
        };
        Some(self.sanitised(&text)).filter(|text| !text.trim().is_empty())
    }

    /// Redacts secrets, and texts of the request.
    fn redactor(&self) -> Redactor {
        match &self.asked {
            Some(body) => self.redactor.with(request_texts(body, self.was_form)),
            None => self.redactor.clone(),
        }
    }

    /// The first characters of the body, as far as the allow-list permits.
    fn excerpt(&self) -> String {
        Sanitiser::with_words(&self.redactor()).excerpt(self.body())
    }

    /// A text of the provider without secrets, on one short line.
    pub(super) fn sanitised(&self, text: &str) -> String {
        self.redactor().short(text, sanitise::MAX_TEXT_CHARS)
    }

    /// The error of a response that breaks the API. The request may have had its effect.
    pub fn protocol_error(&self, message: impl Into<String>) -> ProviderError {
        self.error(ErrorKind::Protocol { message: message.into() })
    }

    /// The error of a response that is not the API's document, such as a proxy's page.
    pub(crate) fn unexpected_document(&self, what: impl std::fmt::Display) -> ProviderError {
        self.protocol_error(format!("{UNEXPECTED_DOCUMENT}: {what}"))
    }

    /// Whether a message only repeats the status's reason phrase, as any gateway does.
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn is_reason_phrase(&self, words: &str) -> bool {
        let words = words.trim().trim_end_matches(['.', '!']);
        let reason = self.status().canonical_reason().unwrap_or_default();
        words.is_empty() || words.eq_ignore_ascii_case(reason)
    }

    /// The kind of a refusal for lack of capacity.
    pub fn sold_out(&self) -> ErrorKind {
        match &self.sku {
            Some(sku) => ErrorKind::CapacityExhausted { sku: sku.clone() },
            None => ErrorKind::Conflict { message: "no capacity is left; compose again".to_owned() },
        }
    }

    /// The kind that the status alone stands for; none for success.
    pub fn kind_by_status(&self) -> Option<ErrorKind> {
        let status = self.status();
        if status.is_success() {
            return None;
        }
        let excerpt = || self.excerpt();
        Some(match status.as_u16() {
            401 => ErrorKind::Unauthorised,
            402 | 403 => ErrorKind::Forbidden,
            404 | 410 => ErrorKind::NotFound {
                what: self.sku.as_ref().map_or("the requested resource".to_owned(), SkuId::to_string),
            },
            409 | 412 | 423 => ErrorKind::Conflict { message: excerpt() },
            429 => ErrorKind::RateLimited { retry_after: self.retry_after() },
            501 => ErrorKind::Unsupported,
            // Also 503: a gateway sends it when its server disappears in the middle of a request.
            408 | 500..=599 if self.mutates => ErrorKind::Ambiguous,
            408 | 500..=599 => ErrorKind::Unavailable {
                retry_after: self.retry_after(),
                cause: format!("the API answered {status}"),
            },
            400..=499 => ErrorKind::InvalidRequest { message: excerpt() },
            300..=399 => {
                ErrorKind::Protocol { message: format!("the API redirects with {status}; check `base_url`") }
            }
            _ => ErrorKind::Protocol {
                message: format!("the status {status} is not one of HTTP's final ones"),
            },
        })
    }
}
