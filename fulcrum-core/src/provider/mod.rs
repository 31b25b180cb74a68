//! What every cloud must offer to take part, and the layers that add one concern each.
//!
//! ```text
//! Trace ─ Retry ─ Concurrency ─ Deadline ─ adapter        (outermost first: the recommended stack)
//! ```

mod base;
mod bounds;
mod capability;
mod contract;
mod error;
mod exact;

pub mod adapters;
pub mod conformance;
pub mod host;
#[cfg(feature = "http")]
pub mod http;
pub mod layers;
#[cfg(feature = "sandbox")]
pub mod sandbox;
#[cfg(feature = "http")]
mod surcharges;
pub mod table;
pub(crate) mod words;

pub use crate::model::Action;
pub use base::{Base, Outside, Reach};
pub(crate) use bounds::Bounds;
pub(crate) use capability::unknown_setting;
pub use capability::{Capabilities, IdempotencyClass};
pub use contract::{
    OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider, ProvisionRequest, Quote,
    RejectedRow, ServiceStream, UsagePeriod, UsageStream,
};
pub use error::{BoxError, Call, ErrorKind, ProviderError, Result, Worded};
pub use exact::{Line, Priced, Sold, SoldSize, check_exact, check_settings, find_exact, find_exact_in_zones};
