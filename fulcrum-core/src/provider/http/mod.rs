//! The HTTP client of all adapters.
//!
//! ```text
//! adapter ─ Client ─ Transport (NetworkTransport, Recorder, Replay)
//! ```
//!
//! An adapter builds a [`Request`] and reads a [`Response`]. In between, the [`Client`] adds base address, credentials
//! and throttle, bounds time and size, and maps failures to the closed set of [`ErrorKind`](super::ErrorKind)s.
//! Repeating, the limit of calls at once and the deadline of a whole call are [`layers`](super::layers): they
//! are the same for every provider, also for one that does not speak HTTP.

mod absence;
mod allowlist;
mod cache;
mod cassette;
mod client;
mod config;
mod credential;
mod diagnosis;
mod dry_run;
mod error_mapper;
mod identity;
mod lenient;
mod network;
mod pagination;
mod redact;
mod request;
mod response;
mod response_error;
mod retry_after;
mod sanitiser;
mod throttle;
mod transport;

pub use ::http::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
pub use absence::{AbsenceRule, ValueMatch};
pub use cache::Cache;
pub use cassette::{CassetteError, Recorder, Replay};
pub use client::Client;
pub use config::{HttpConfig, HttpConfigError};
pub use credential::{Credential, Secret};
pub use error_mapper::{ErrorMapper, StatusOnly};
pub use identity::Signer;
pub use network::NetworkTransport;
pub use pagination::{Page, bounded, paginate};
pub use redact::Redactor;
pub use request::Request;
pub use response::Response;
pub use transport::{RawRequest, RawResponse, Transport, TransportError};
#[allow(unused_imports, reason = "each adapter uses its own part")]
pub(crate) use {
    config::regional_url,
    dry_run::{WithoutEffect, is_dry_run, without_effect},
    lenient::{LenientList, LenientMap, reject_row},
    response::HTML_PAGE,
};
