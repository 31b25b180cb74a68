//! A check of price tables, for whoever writes them: what a federation would refuse or leave out, before it does.

use std::{fmt, path::Path};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{AgeLimits, CatalogueBuilder, Rates};
use crate::{
    model::ProviderId,
    provider::{
        RejectedRow,
        table::{Table, TableError},
    },
};

/// What a check of a file or folder of price tables has found. [`Display`](fmt::Display) writes it for people.
///
/// ```
/// use fulcrum_core::catalogue::CatalogueCheck;
///
/// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/catalogue");
/// let check = CatalogueCheck::of(folder.as_ref(), jiff::Timestamp::now())?;
/// assert!(check.is_right(), "{check}");
/// # Ok::<(), fulcrum_core::provider::table::TableError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct CatalogueCheck {
    /// Each table, in the order of the files.
    pub tables: Vec<TableCheck>,
    /// The mistakes of all tables.
    pub mistakes: usize,
}

/// What a check of one provider's table has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct TableCheck {
    /// The provider.
    pub provider: ProviderId,
    /// Its display name.
    pub name: String,
    /// Offers that can be used, of all ages.
    pub offers: usize,
    /// The earliest day of a price; none if there are no offers.
    #[schemars(with = "Option<String>")]
    pub first_day: Option<Date>,
    /// The latest day of a price; none if there are no offers.
    #[schemars(with = "Option<String>")]
    pub last_day: Option<Date>,
    /// Offers with prices that a federation leaves out for their age, unless its `max_table_age_days` is greater.
    pub too_old: usize,
    /// Products that are right and wait for the price of a part: no mistakes, and not offered.
    pub waiting: Vec<RejectedRow>,
    /// What is wrong, each with what to do about it.
    pub mistakes: Vec<String>,
}

impl CatalogueCheck {
    /// Checks a file or a folder, as [`Table::load`] reads it. `now` decides which day is still to come and which price too old.
    ///
    /// # Errors
    /// [`TableError`] names file, line and column of what cannot be read, and what to write instead.
    pub fn of(path: &Path, now: Timestamp) -> Result<Self, TableError> {
        let tables: Vec<_> = Table::load(path)?.into_iter().map(|table| TableCheck::of(table, now)).collect();
        if tables.is_empty() {
            let words = "no tables; write <provider>.json and <provider>.csv";
            let source = crate::model::DocumentError::at("", words);
            return Err(TableError::Document { file: path.display().to_string(), source });
        }
        let mistakes = tables.iter().map(|table| table.mistakes.len()).sum();
        Ok(Self { tables, mistakes })
    }

    /// Whether there is no mistake.
    pub fn is_right(&self) -> bool {
        self.mistakes == 0
    }
}

impl TableCheck {
    fn of(table: Table, now: Timestamp) -> Self {
        let days = || table.offers.iter().map(|offer| offer.provenance.observed);
        let mut mistakes = Vec::new();
        if table.offers.is_empty() {
            mistakes.push("no offers; write a row for each price".to_owned());
        }
        for left_out in &table.quarantined {
            mistakes.push(format!("left out: {} at {}: {}", left_out.sku, left_out.place, left_out.reason));
        }
        let (ages, mut too_old) = (AgeLimits::default(), 0);
        for offer in &table.offers {
            if let Some(why) = offer.provenance.day_to_come(now) {
                mistakes.push(format!("left out: {}: {why}", offer.id()));
            } else if ages.price_too_old(&offer.provenance, now).is_some() {
                too_old += 1;
            }
        }
        let (first_day, last_day, offers) = (days().min(), days().max(), table.offers.len());
        // Whatever a catalogue would leave out besides.
        let mut catalogue = CatalogueBuilder::new(now, Rates::default());
        catalogue.extend(table.offers);
        for left_out in catalogue.build().quarantined() {
            mistakes.push(format!("left out: {} at {}: {}", left_out.sku, left_out.place, left_out.reason));
        }
        Self {
            provider: table.provider,
            name: table.name,
            offers,
            first_day,
            last_day,
            too_old,
            waiting: table.rejected,
            mistakes,
        }
    }
}

impl fmt::Display for CatalogueCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            write!(f, "{}: {} offers", table.name, table.offers)?;
            if let Some((first, last)) = table.first_day.zip(table.last_day) {
                write!(f, ", {first} to {last}")?;
            }
            if table.too_old > 0 {
                let days = AgeLimits::default().max_table_age_days;
                write!(f, "; {} are older than {days} days", table.too_old)?;
            }
            writeln!(f)?;
            if let Some(RejectedRow { row, reason }) = table.waiting.first() {
                writeln!(f, "  {} not offered, such as {row}: {reason}", table.waiting.len())?;
            }
            for mistake in &table.mistakes {
                writeln!(f, "  {mistake}")?;
            }
        }
        write!(f, "{} providers read, {} mistakes", self.tables.len(), self.mistakes)
    }
}
