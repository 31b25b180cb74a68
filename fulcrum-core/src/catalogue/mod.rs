//! Immutable snapshots of all offers, in columns, with a digest; built from many providers at once.
//!
//! A snapshot keeps one row of small integers an offer (about 45 bytes) and every distinct place, price,
//! size and seller once. Plans and quotes name the snapshot that they were made from by its digest.

mod ages;
mod currency;
mod ingest;
mod present;
mod query;
mod snapshot;
mod source;
mod traffic;

pub use ages::AgeLimits;
pub use currency::Rates;
pub use ingest::{IngestOptions, ingest};
pub(crate) use present::PresentMarket;
pub use query::{Query, Sort};
pub use snapshot::{Catalogue, CatalogueBuilder, OfferIx};
pub use source::{SourceReport, SourceState};
pub use traffic::TrafficTariff;
