//! The seam between a client and the network: where calls are recorded, replayed, or broken by tests.

use std::fmt;

use ::http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use async_trait::async_trait;
use bytes::Bytes;

use crate::provider::BoxError;

/// Of an answer that refuses something, no more is read.
pub(super) const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// A request as it goes out, credentials included.
#[derive(Clone)]
pub struct RawRequest {
    /// How.
    pub method: Method,
    /// Where.
    pub url: url::Url,
    /// With what beside.
    pub headers: HeaderMap,
    /// With what.
    pub body: Option<Bytes>,
}

// Headers and bodies hold credentials.
impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.path())
    }
}

/// An answer as it came in, whole.
#[derive(Clone)]
pub struct RawResponse {
    /// Its status.
    pub status: StatusCode,
    /// Beside it.
    pub headers: HeaderMap,
    /// What it says.
    pub body: Bytes,
}

impl RawResponse {
    /// Whether it may be of a type, such as `json` or `xml`: by what it says of itself, or if it says nothing.
    pub(crate) fn is_of_type(&self, wanted: &str) -> bool {
        let Some(said) = self.headers.get(CONTENT_TYPE) else { return true };
        let said = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let (_, kind) = said.split_once('/').unwrap_or_default();
        kind.rsplit('+').next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
            && !kind.to_ascii_lowercase().starts_with("xhtml")
    }

    /// What it says, if that may be the document of a refusal: in so few bytes each API says why.
    pub(crate) fn error_body(&self) -> Option<&[u8]> {
        (self.body.len() <= MAX_REFUSAL_BYTES).then_some(&*self.body)
    }
}

// An answer may hand out a token or a password.
impl fmt::Debug for RawResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

/// No whole answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The request cannot have had an effect: nobody was connected to, or none of the body went out.
    #[error("not sent")]
    NotSent(#[source] BoxError),
    /// The request may have had its effect.
    #[error("no whole answer")]
    OutcomeUnknown(#[source] BoxError),
    /// An answer came that is too large to be one. The request may have had its effect.
    #[error("the answer has more than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}

/// Carries requests out. Dropping the future leaves the outcome unknown.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request, once, and reads the whole answer. Follows no redirect.
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError>;
}
