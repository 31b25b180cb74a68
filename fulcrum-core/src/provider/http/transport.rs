//! The transport below a client: the network, a recorder, a replayed cassette, or a test double.

use std::fmt;

use ::http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use async_trait::async_trait;
use bytes::Bytes;

use crate::provider::BoxError;

/// Bytes of an error response that are read.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 64 << 10;

/// A request as it is sent, with credentials.
#[derive(Clone)]
pub struct RawRequest {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: url::Url,
    /// The headers, credentials included.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<Bytes>,
}

// Headers and bodies hold credentials.
impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.path())
    }
}

/// A complete response as it was received.
#[derive(Clone)]
pub struct RawResponse {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl RawResponse {
    /// Whether `Content-Type` names this subtype, such as `json` or `xml`, or is missing.
    pub(crate) fn is_of_type(&self, wanted: &str) -> bool {
        let Some(said) = self.headers.get(CONTENT_TYPE) else { return true };
        let said = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let (_, kind) = said.split_once('/').unwrap_or_default();
        kind.rsplit('+').next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
            && !kind.to_ascii_lowercase().starts_with("xhtml")
    }

    /// The body of an error response; none if it is longer than any API's error document.
    pub(crate) fn error_body(&self) -> Option<&[u8]> {
        (self.body.len() <= MAX_ERROR_BODY_BYTES).then_some(&*self.body)
    }
}

// A response may hold a token or a password.
impl fmt::Debug for RawResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

/// The transport received no complete response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The request had no effect: there was no connection, or no byte of the body was sent.
    #[error("the request was not sent")]
    NotSent(#[source] BoxError),
    /// The request may have had its effect.
    #[error("the response is missing or incomplete; the request may have had its effect")]
    OutcomeUnknown(#[source] BoxError),
    /// The response exceeds the size limit. The request may have had its effect.
    #[error("the response has more than {limit} bytes; raise `max_answer_bytes` if the API sends that much")]
    TooLarge {
        /// Bytes that are read at most.
        limit: usize,
    },
}

/// Sends requests. Dropping the future leaves the outcome unknown.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request once and reads the whole response. Follows no redirect.
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError>;
}
