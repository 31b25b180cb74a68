//! What adapters to HTTP APIs share.
//!
//! ```text
//! adapter ─ Client ─ Transport (Live, Recorder, Replay)
//! ```
//!
//! An adapter builds a [`Request`] and reads an [`Answer`]. In between, the [`Client`] adds base address, credentials
//! and pace, bounds time and size, and turns what goes wrong into the closed set of [`ErrorKind`](super::ErrorKind)s.
//! Repeating, the limit of calls at once and the deadline of a whole call are [`layers`](super::layers): they
//! are the same for every provider, also for one that does not speak HTTP.

mod absence;
mod answer;
mod cache;
mod cause;
mod client;
mod config;
mod credential;
mod fields;
mod identity;
mod live;
mod pace;
mod pages;
mod redact;
mod request;
mod rows;
mod sieve;
mod tape;
mod transport;

pub use absence::{Says, Word};
pub use answer::Answer;
#[cfg(any(feature = "ec2", feature = "openstack"))]
pub(crate) use answer::PAGE;
pub use cache::Cache;
pub use client::{Client, Dialect, Plain, Signer};
#[cfg(any(feature = "ec2", feature = "exoscale"))]
pub(crate) use config::address_in;
#[cfg(any(
    feature = "ec2",
    feature = "exoscale",
    feature = "hetzner",
    feature = "osb",
    feature = "proxmox"
))]
pub(crate) use config::list_lag_ms;
pub use config::{HttpConfig, HttpConfigError};
pub use credential::{Credential, Secret};
pub use live::Live;
pub use pages::{Page, bounded, pages};
pub use redact::Redactor;
pub use request::Request;
pub use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
#[cfg(any(
    feature = "ec2",
    feature = "exoscale",
    feature = "hetzner",
    feature = "openstack",
    feature = "osb",
    feature = "proxmox",
    feature = "scaleway",
    feature = "upcloud"
))]
#[allow(unused_imports, reason = "each adapter uses its own part")]
pub(crate) use rows::{NamedRows, Rows, leave_out};
pub use tape::{Recorder, Replay, TapeError};
pub use transport::{Lost, Transport, WireAnswer, WireRequest};
