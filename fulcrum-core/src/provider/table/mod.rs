//! Price tables: offers in CSV or JSON files. Pure parsing; no network.
//!
//! A provider has two files: `<id>.json` describes it and its regions, `<id>.csv` has a row for each price. One JSON file can
//! also hold both. See `examples/catalogue/README.md`.

mod document;
mod parts;
mod places;
mod quarantine;
mod rows_to_offers;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

pub use document::{CatalogueDocument, ProviderDocument, RegionDocument, Row};
pub use quarantine::{Quarantined, quarantine_reason};
use serde_json::Value;

use self::{
    parts::Completeness,
    rows_to_offers::{Origin, Reading},
};
use crate::{
    model::{
        DocumentError, Offer, ProviderId, bounded, from_cells, from_value, limits, nearest, parse_json,
        read_text,
    },
    provider::RejectedRow,
};

/// All offers of one provider's table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The provider.
    pub provider: ProviderId,
    /// Its display name.
    pub name: String,
    /// The usable offers.
    pub offers: Vec<Offer>,
    /// Quarantined offers, with reasons.
    pub quarantined: Vec<Quarantined>,
    /// The quarantined offers themselves, which a catalogue names.
    pub quarantined_offers: Vec<Offer>,
    /// Left out: products of which a part has no price, and unreadable rows of a program's list. In a person's document the
    /// latter are errors.
    pub rejected: Vec<RejectedRow>,
}

/// A price table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The text is not valid.
    #[error("{file}: {source}")]
    Document {
        /// The file.
        file: String,
        /// The place in the text, and what to write instead.
        source: DocumentError,
    },
}

impl Table {
    /// All offers of the table, also the quarantined ones.
    pub fn into_listed(self) -> Vec<Offer> {
        let mut offers = self.offers;
        offers.extend(self.quarantined_offers);
        offers
    }

    /// Reads a file or a folder: `.csv` with its `.json` beside it, a catalogue `.json`, or all of them in a
    /// folder, sorted by name.
    ///
    /// # Errors
    /// [`TableError`] names file, line and column, and what to write instead.
    pub fn load(path: &Path) -> Result<Vec<Self>, TableError> {
        Self::load_into(path, &mut Reading::whole())
    }

    /// As [`load`](Self::load), for an adapter, which adds what it orders with a product: of the parts that other rows price,
    /// offers have only rows of kind `surcharge` and disk by size.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn load_bare(path: &Path) -> Result<Vec<Self>, TableError> {
        Self::load_into(path, &mut Reading::new(Completeness::Bare))
    }

    fn load_into(path: &Path, reading: &mut Reading) -> Result<Vec<Self>, TableError> {
        let io = |source| TableError::Io { path: path.to_owned(), source };
        if path.is_dir() {
            let mut files: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(io)?
                .take(2 * limits::MAX_PROVIDERS + 1)
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<_, _>>()
                .map_err(io)?;
            if files.len() > 2 * limits::MAX_PROVIDERS {
                let source = too_many("files", 2 * limits::MAX_PROVIDERS);
                return Err(TableError::Document { file: path.display().to_string(), source });
            }
            files.sort();
            // A provider's JSON is read with its CSV.
            let is_start = |file: &&PathBuf| match extension(file) {
                "csv" => true,
                "json" => !file.with_extension("csv").exists(),
                _ => false,
            };
            let tables: Vec<Vec<Self>> = files
                .iter()
                .filter(is_start)
                .map(|file| Self::load_into(file, reading))
                .collect::<Result<_, _>>()?;
            return Ok(tables.into_iter().flatten().collect());
        }
        if extension(path) != "csv" && path.with_extension("csv").exists() {
            return Self::load_into(&path.with_extension("csv"), reading);
        }
        let text = read(path)?;
        let named = |file: &Path, source| TableError::Document { file: file.display().to_string(), source };
        if extension(path) == "csv" {
            let companion = path.with_extension("json");
            let provider: ProviderDocument =
                Self::provider(&read(&companion)?).map_err(|error| named(&companion, error))?;
            let table = Self::of_csv(&provider, &text, reading).map_err(|error| named(path, error))?;
            return Ok(vec![table]);
        }
        Self::of_json(&text, reading).map_err(|error| named(path, error))
    }

    /// The provider's description, from the JSON file beside the CSV.
    fn provider(json: &str) -> Result<ProviderDocument, DocumentError> {
        check_rows(json)?;
        let provider: ProviderDocument = parse_json(json)?;
        let check = || {
            provider.check()?;
            has_no_offers(&provider)
        };
        check().map_err(|error| error.located(json))?;
        Ok(provider)
    }

    /// Offers from rows that an adapter has made of an API's list, with the same checks as a file. An invalid row is left out:
    /// see [`rejected`](Self::rejected).
    ///
    /// # Errors
    /// [`DocumentError`]: the provider's description is not valid.
    pub fn from_rows(provider: &ProviderDocument, rows: Vec<Row>) -> Result<Self, DocumentError> {
        let origin = Origin::Listing { dated: 0 };
        rows_to_offers::convert(
            provider,
            rows.into_iter().enumerate().collect(),
            origin,
            &mut Reading::whole(),
        )
    }

    /// As [`from_rows`](Self::from_rows), with rows of a dated table for what the API does not list, such as prices of disks.
    /// The adapter adds what it orders, as with [`load_bare`](Self::load_bare).
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn from_dated_and(
        provider: &ProviderDocument,
        dated: Vec<Row>,
        rows: Vec<Row>,
    ) -> Result<Self, DocumentError> {
        let origin = Origin::Listing { dated: dated.len() };
        let rows = dated.into_iter().chain(rows).enumerate().collect();
        rows_to_offers::convert(provider, rows, origin, &mut Reading::new(Completeness::Bare))
    }

    /// As [`from_rows`](Self::from_rows), for rows in JSON. A text instead of a row is the reason why the row is missing.
    ///
    /// # Errors
    /// [`DocumentError`]: the provider's description is not valid.
    pub fn from_values(provider: &ProviderDocument, values: Vec<Value>) -> Result<Self, DocumentError> {
        let (mut rows, mut rejected) = (Vec::with_capacity(values.len()), Vec::new());
        for (position, value) in values.into_iter().enumerate() {
            let text = |field| value.get(field).and_then(Value::as_str).map(str::to_owned);
            let (sku, region) = (text("sku"), text("region").unwrap_or_default());
            // A text instead of a row is the reason why it is missing.
            let words = value.as_str().map(str::to_owned);
            match from_value(&value) {
                Ok(row) => rows.push((position, row)),
                Err(error) => {
                    let name = rows_to_offers::row_name(position, sku.as_deref(), &region);
                    rejected.push(RejectedRow::new(name, words.as_deref().unwrap_or(&error.to_string())));
                }
            }
        }
        let origin = Origin::Listing { dated: 0 };
        let mut table = rows_to_offers::convert(provider, rows, origin, &mut Reading::whole())?;
        table.rejected.splice(..0, rejected);
        Ok(table)
    }

    /// Reads the rows of one provider.
    ///
    /// # Errors
    /// [`DocumentError`] with the line and column of the mistake.
    pub fn from_csv(provider: &ProviderDocument, csv: &str) -> Result<Self, DocumentError> {
        Self::of_csv(provider, csv, &mut Reading::whole())
    }

    fn of_csv(provider: &ProviderDocument, csv: &str, reading: &mut Reading) -> Result<Self, DocumentError> {
        has_no_offers(provider)?;
        rows_to_offers::convert(provider, Self::rows(csv)?, Origin::Document, reading)
    }

    /// Parses rows with their line numbers, to combine them with rows of an API.
    ///
    /// # Errors
    /// [`DocumentError`] with the line and column of the mistake.
    pub fn rows(csv: &str) -> Result<Vec<(usize, Row)>, DocumentError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv.as_bytes());
        let header = reader.headers().map_err(|error| csv_error(&error))?.clone();
        if header.is_empty() {
            let message = format!("the file is empty; write the line {}", Row::COLUMNS.join(","));
            return Err(DocumentError { path: String::new(), line: 1, column: 0, message });
        }
        if let [whole] = header.iter().collect::<Vec<_>>().as_slice()
            && let Some(separator) = separator_in(whole)
        {
            let message = format!("the columns are separated by {separator}; {USE_COMMAS}");
            return Err(DocumentError { path: String::new(), line: 1, column: 0, message });
        }
        if let Some(unknown) = header.iter().find(|name| !Row::COLUMNS.contains(name)) {
            let message = match nearest(unknown, &Row::COLUMNS) {
                Some((_, near)) => format!("unknown column `{unknown}`; did you mean `{near}`?"),
                None => format!("unknown column `{}`; write those of the table", bounded(unknown)),
            };
            return Err(DocumentError { path: String::new(), line: 1, column: 1, message });
        }
        let twice =
            header.iter().enumerate().find(|(at, name)| header.iter().take(*at).any(|other| other == *name));
        if let Some((_, name)) = twice {
            let message = format!("two columns are called `{name}`; keep one of them");
            return Err(DocumentError { path: String::new(), line: 1, column: 0, message });
        }
        let mut rows = Vec::new();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| with_separator(csv_error(&error), csv))? {
            let line = record.position().map_or(0, |position| position.line() as usize);
            let row = row(&header, &record).map_err(|error| DocumentError { line, ..error })?;
            if rows.len() == limits::MAX_PRICE_ROWS {
                return Err(too_many("rows", limits::MAX_PRICE_ROWS));
            }
            rows.push((line, row));
        }
        Ok(rows)
    }

    /// Parses a catalogue in one JSON document.
    ///
    /// # Errors
    /// [`DocumentError`] with the path, line and column of the mistake.
    pub fn from_json(json: &str) -> Result<Vec<Self>, DocumentError> {
        Self::of_json(json, &mut Reading::whole())
    }

    fn of_json(json: &str, reading: &mut Reading) -> Result<Vec<Self>, DocumentError> {
        Self::all_from_json(json, reading).map_err(|error| error.located(json))
    }

    fn all_from_json(json: &str, reading: &mut Reading) -> Result<Vec<Self>, DocumentError> {
        check_rows(json)?;
        let document: CatalogueDocument = parse_json(json)?;
        if document.format != CatalogueDocument::FORMAT {
            return Err(DocumentError::at("format", format!("write {:?}", CatalogueDocument::FORMAT)));
        }
        if document.providers.len() > limits::MAX_PROVIDERS {
            return Err(too_many("providers", limits::MAX_PROVIDERS).inside("providers"));
        }
        let mut known = BTreeSet::new();
        for (at, provider) in document.providers.iter().enumerate() {
            if !known.insert(&provider.id) {
                let message = format!("two providers are called `{}`; keep one of them", provider.id);
                return Err(DocumentError::at(format!("providers[{at}].id"), message));
            }
        }
        document
            .providers
            .into_iter()
            .enumerate()
            .map(|(at, provider)| {
                Self::from_document(provider, reading)
                    .map_err(|error| error.inside(&format!("providers[{at}]")))
            })
            .collect()
    }

    /// The table of a provider's JSON document that holds its prices.
    fn from_document(mut provider: ProviderDocument, reading: &mut Reading) -> Result<Self, DocumentError> {
        let rows = std::mem::take(&mut provider.offers);
        rows_to_offers::convert(
            &provider,
            rows.into_iter().map(|row| (0, row)).collect(),
            Origin::Document,
            reading,
        )
    }
}

/// Bounds the rows of a JSON document before it is parsed, by counting braces.
fn check_rows(json: &str) -> Result<(), DocumentError> {
    // Regions and companies have braces, too.
    let most = limits::MAX_PRICE_ROWS.saturating_add(limits::MAX_REGIONS);
    if json.bytes().filter(|byte| *byte == b'{').count() > most {
        return Err(too_many("rows", limits::MAX_PRICE_ROWS));
    }
    Ok(())
}

fn too_many(what: &str, most: usize) -> DocumentError {
    DocumentError::at("", format!("more than {most} {what}; split the catalogue"))
}

fn has_no_offers(provider: &ProviderDocument) -> Result<(), DocumentError> {
    if provider.offers.is_empty() {
        return Ok(());
    }
    Err(DocumentError::at("offers", "the prices are in the CSV file; remove these"))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, TableError> {
    read_text(path).map_err(|source| TableError::Io { path: path.to_owned(), source })
}

/// Parses the cells as text: the CSV reader's own deserialisation guesses types, and takes 0012 for 12.
fn row(header: &csv::StringRecord, record: &csv::StringRecord) -> Result<Row, DocumentError> {
    from_cells(header.iter().zip(record))
}

const USE_COMMAS: &str = "separate them by commas: save the file as CSV with commas";

/// The separator of a line that has no commas, in words.
fn separator_in(line: &str) -> Option<&'static str> {
    [(';', "`;`"), ('\t', "tabs"), ('|', "`|`")]
        .into_iter()
        .find(|(sign, _)| line.contains(*sign))
        .map(|it| it.1)
}

/// Explains too few cells by another separator.
fn with_separator(error: DocumentError, csv: &str) -> DocumentError {
    let line = error.line.checked_sub(1).and_then(|at| csv.lines().nth(at)).unwrap_or_default();
    match separator_in(line) {
        Some(separator) if !line.contains(',') => {
            let message = format!("the columns of this row are separated by {separator}; {USE_COMMAS}");
            DocumentError { message, ..error }
        }
        _ => error,
    }
}

fn csv_error(error: &csv::Error) -> DocumentError {
    let line = error.position().map_or(0, |position| position.line() as usize);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} columns where {expected_len} are needed; fill or remove some, or quote a comma")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8; save the file as UTF-8".to_owned(),
        _ => error.to_string(),
    };
    DocumentError { path: String::new(), line, column: 0, message }
}
