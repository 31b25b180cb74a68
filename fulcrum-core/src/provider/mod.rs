//! The contract of a provider, the layers that wrap one, and what adapters share.
//!
//! ```text
//! Trace ─ Retry ─ Concurrency ─ Deadline ─ Redact ─ adapter        (outermost first: the recommended stack)
//! ```

mod access;
mod capability;
mod contract;
mod document_access;
mod error;
mod exact_match;
mod sanitise;
mod stream_limits;

pub mod adapters;
pub mod callback;
pub mod conformance;
#[cfg(feature = "http")]
pub mod http;
pub mod layers;
#[cfg(any(feature = "http", feature = "sandbox"))]
#[allow(dead_code, reason = "each adapter uses its own part")]
mod portable;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod surcharges;
pub mod table;

pub use crate::model::Action;
pub use access::Access;
pub use capability::{Accept, Capabilities, IdempotencyClass, TestedAgainst};
pub use contract::{
    OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider, ProvisionRequest, Quote, Refusal,
    RejectedRow, ServiceStream, UsagePeriod, UsageStream,
};
pub use document_access::{AccessDenied, AccessGrants, Base};
pub use error::{BoxError, Call, ErrorContext, ErrorKind, ProviderError, Result};
pub use exact_match::{
    Line, Priced, Sold, SoldSize, check_exact, check_settings, find_exact, find_exact_in_zones,
};
#[cfg(any(feature = "http", feature = "sandbox"))]
pub use portable::portable_settings;
pub(crate) use sanitise::{foreign_text, single_line};
pub(crate) use stream_limits::StreamLimits;
