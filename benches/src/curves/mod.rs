//! Time, gap and memory against the size of a generated market and of an application: measured, kept as CSV, shown as
//! tables and pictures.

pub mod document;
pub mod figures;
pub mod measure;
pub mod picture;
pub mod table;

use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::published::Error;

/// An application composed in a market; of several runs the median of each figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Who sells.
    pub providers: usize,
    /// Of each provider.
    pub regions: usize,
    /// In all.
    pub offers: usize,
    /// Of the application.
    pub components: usize,
    /// Of both generators.
    pub seed: u64,
    /// Until the problem is reduced and the search begins.
    pub reduced_ms: f64,
    /// Until there is a plan; none if time was up before.
    pub first_ms: Option<f64>,
    /// Until a plan is proven to be within 1 % of the best.
    pub one_percent_ms: Option<f64>,
    /// Of the plan at the end.
    pub gap_percent: Option<f64>,
    /// Of the whole call.
    pub total_ms: f64,
    /// What the catalogue takes.
    pub catalogue_bytes: usize,
    /// What the call has allocated and kept by the time that the search begins: the compiled problem.
    pub problem_bytes: usize,
    /// The most that the call holds at a time.
    pub peak_bytes: usize,
}

impl Point {
    /// Bytes for each offer of the market.
    pub fn an_offer(&self, bytes: usize) -> f64 {
        bytes as f64 / self.offers as f64
    }
}

/// The same application after a small change of the market: composed anew, and beginning with the plan from before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recomposed {
    /// In all.
    pub offers: usize,
    /// Of the application.
    pub components: usize,
    /// Until a plan is proven to be within 1 % of the best, anew.
    pub anew_ms: Option<f64>,
    /// The same with the earlier plan.
    pub again_ms: Option<f64>,
    /// At the end, anew.
    pub anew_gap_percent: f64,
    /// The same with the earlier plan.
    pub again_gap_percent: f64,
}

/// Writes rows as CSV with a heading.
///
/// # Errors
/// The file cannot be written.
pub fn write<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), Error> {
    let mut writer = csv::Writer::from_path(path)?;
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.flush()?)
}

/// Reads rows that [`write`] has written.
///
/// # Errors
/// The file cannot be read, or has other columns.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    Ok(csv::Reader::from_path(path)?.deserialize().collect::<Result<_, _>>()?)
}
