//! Immutable catalogue snapshots of the offers of many providers, in dictionary-encoded columns, with a digest.
//!
//! A snapshot keeps about 45 bytes of indices for each offer, and every distinct place, price, size and seller once. Plans and
//! quotes name their snapshot by its digest.

mod age_limits;
mod builder;
mod check;
mod currency;
mod declared;
mod ingest;
mod market_state;
mod no_match;
mod query;
mod snapshot;
mod source;
mod traffic;

pub use age_limits::AgeLimits;
pub use builder::CatalogueBuilder;
pub use check::{CatalogueCheck, TableCheck};
pub use currency::Rates;
pub use ingest::{IngestOptions, ingest};
pub(crate) use market_state::MarketState;
pub use no_match::{NoMatch, UnmetCondition};
pub use query::{PricedOffer, Query, Sort};
pub use snapshot::{Catalogue, OfferIx};
pub use source::{SourceReport, SourceState};
pub use traffic::TrafficTariff;
