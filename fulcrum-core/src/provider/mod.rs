//! What every cloud must offer to take part, and the layers that add one concern each.
//!
//! ```text
//! Trace ─ Retry ─ Concurrency ─ Deadline ─ adapter        (outermost first: the recommended stack)
//! ```

mod bounds;
mod capability;
mod contract;
mod error;

pub mod adapters;
pub mod conformance;
pub mod host;
#[cfg(feature = "http")]
pub mod http;
pub mod layers;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod table;

pub use crate::model::Action;
pub(crate) use bounds::Bounds;
pub use capability::{Capabilities, IdempotencyClass};
pub use contract::{
    OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider, ProvisionRequest, Quote,
    RejectedRow, ServiceStream, UsagePeriod, UsageStream,
};
pub use error::{BoxError, Call, ErrorKind, ProviderError, Result};
