//! Exchange rates that the host supplies.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::model::{CommitmentCost, DocumentError, Payments, Price};

/// How much of each currency one unit of the base buys, on one day.
///
/// ```
/// use fulcrum_core::catalogue::Rates;
/// use iso_currency::Currency::{EUR, SEK, USD};
/// let rates = Rates::from_ecb_csv("Date, USD, SEK,\n20 November 2026, 1.25, 10,\n")?;
/// assert_eq!(rates.convert("5".parse().unwrap(), USD, EUR), Some("4".parse().unwrap()));
/// assert_eq!(rates.convert("5".parse().unwrap(), USD, SEK), Some("40".parse().unwrap()));
/// # Ok::<(), fulcrum_core::model::DocumentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// What the rates are quoted against.
    #[schemars(with = "String")]
    pub base: Currency,
    /// The day of the rates; none only if the table is empty.
    #[schemars(with = "Option<String>")]
    pub date: Option<Date>,
    /// Units of each currency for one unit of the base.
    #[schemars(with = "BTreeMap<String, String>")]
    rates: BTreeMap<String, Text>,
}

/// A decimal that travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Text(#[serde(with = "crate::model::decimal")] Decimal);

impl Default for Rates {
    fn default() -> Self {
        Self { base: Currency::EUR, date: None, rates: BTreeMap::new() }
    }
}

impl Rates {
    /// An empty table: amounts are converted only into their own currency.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same table without a rate.
    pub(super) fn emptied(&self) -> Self {
        Self { base: self.base, ..Self::default() }
    }

    /// Adds or replaces one rate: units of `currency` for one unit of the base.
    ///
    /// # Errors
    /// [`DocumentError`] if the rate is not above zero.
    pub fn set(&mut self, currency: Currency, rate: Decimal) -> Result<(), DocumentError> {
        if rate <= Decimal::ZERO {
            return Err(DocumentError::at(
                currency.code(),
                format!("{rate} is no exchange rate; write one above 0"),
            ));
        }
        self.rates.insert(currency.code().to_owned(), Text(rate));
        Ok(())
    }

    /// Reads the European Central Bank's daily reference rates in its CSV form (`eurofxref.csv`): a line of
    /// currency codes, a line of figures; or its history (`eurofxref-hist.csv`), of which the first line counts.
    ///
    /// # Errors
    /// [`DocumentError`] with the column that is wrong.
    pub fn from_ecb_csv(text: &str) -> Result<Self, DocumentError> {
        let mut reader =
            csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
        let unreadable = |error: csv::Error| DocumentError::at("", format!("no rate table: {error}"));
        let header = reader.headers().map_err(unreadable)?.clone();
        let row = reader.records().next().ok_or_else(|| {
            DocumentError::at("", "the rate table has no figures; write a line of codes and a line of rates")
        })?;
        let row = row.map_err(unreadable)?;
        if header.get(0).is_none_or(|first| !first.eq_ignore_ascii_case("date")) {
            return Err(DocumentError::at("", "the first column is not Date; pass the ECB's eurofxref.csv"));
        }
        let mut rates = Self { date: Some(ecb_date(row.get(0).unwrap_or_default())?), ..Self::default() };
        for (code, figure) in header.iter().zip(row.iter()).skip(1) {
            if !code.is_empty() && !figure.is_empty() && figure != "N/A" {
                rates.read(code, figure)?;
            }
        }
        Ok(rates)
    }

    /// Reads the European Central Bank's daily reference rates in its XML form (`eurofxref-daily.xml`).
    ///
    /// # Errors
    /// [`DocumentError`] with the currency that is wrong.
    pub fn from_ecb_xml(text: &str) -> Result<Self, DocumentError> {
        let document = roxmltree::Document::parse(text).map_err(|error| {
            DocumentError::at("", format!("no XML: {error}; pass the ECB's eurofxref-daily.xml"))
        })?;
        let mut rates = Self::default();
        for cube in document.descendants().filter(|node| node.has_tag_name_any("Cube")) {
            if let Some(time) = cube.attribute("time") {
                if rates.date.is_some() {
                    break; // a history: only its first day counts
                }
                rates.date = Some(ecb_date(time)?);
            }
            if let (Some(code), Some(figure)) = (cube.attribute("currency"), cube.attribute("rate")) {
                rates.read(code, figure)?;
            }
        }
        if rates.rates.is_empty() || rates.date.is_none() {
            return Err(DocumentError::at("", "no rates in it; pass the ECB's eurofxref-daily.xml"));
        }
        Ok(rates)
    }

    fn read(&mut self, code: &str, figure: &str) -> Result<(), DocumentError> {
        let rate = figure.parse().map_err(|_| {
            DocumentError::at(code, format!("{figure:?} is no exchange rate; write a decimal number"))
        })?;
        // The table may carry currencies that this version does not know; they are no mistake.
        Currency::from_code(&code.to_ascii_uppercase()).map_or(Ok(()), |currency| self.set(currency, rate))
    }

    pub(super) fn rate(&self, currency: Currency) -> Option<Decimal> {
        if currency == self.base {
            Some(Decimal::ONE)
        } else {
            self.rates.get(currency.code()).map(|text| text.0)
        }
    }

    /// An amount in another currency, unrounded; `None` if a rate is missing or the arithmetic overflows.
    pub fn convert(&self, amount: Decimal, from: Currency, to: Currency) -> Option<Decimal> {
        if from == to {
            return Some(amount);
        }
        amount.checked_mul(self.rate(to)?)?.checked_div(self.rate(from)?)
    }

    /// What a price comes to over a horizon in a currency; see [`commitment_cost`]. `None` if a rate is missing or the
    /// arithmetic leaves the range of money.
    ///
    /// [`commitment_cost`]: crate::model::commitment_cost
    pub fn commitment_cost(
        &self,
        price: &Price,
        size_gib: u64,
        horizon_months: u32,
        currency: Currency,
    ) -> Option<CommitmentCost> {
        self.payments(price, size_gib, horizon_months, currency)?.cost(false)
    }

    pub(crate) fn payments(
        &self,
        price: &Price,
        size_gib: u64,
        horizon_months: u32,
        currency: Currency,
    ) -> Option<Payments> {
        Payments::of(price, size_gib, horizon_months, |amount| self.convert(amount, price.currency, currency))
    }
}

/// Both forms that the ECB writes: `20 November 2026` and `2026-11-20`.
fn ecb_date(text: &str) -> Result<Date, DocumentError> {
    Date::strptime("%d %B %Y", text).or_else(|_| text.parse()).map_err(|_| {
        DocumentError::at("Date", format!("{text:?} is no date; write 2026-11-20 or 20 November 2026"))
    })
}

/// Tag names without their namespace, which the ECB's file sets on every element.
trait LocalName {
    fn has_tag_name_any(&self, name: &str) -> bool;
}

impl LocalName for roxmltree::Node<'_, '_> {
    fn has_tag_name_any(&self, name: &str) -> bool {
        self.tag_name().name() == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
<Cube><Cube time='2026-11-20'><Cube currency='USD' rate='1.25'/><Cube currency='CHF' rate='0.95'/></Cube></Cube>
</gesmes:Envelope>"#;

    #[test]
    fn both_forms_of_the_ecb_read_alike() {
        let xml = Rates::from_ecb_xml(XML).expect("xml");
        let csv = Rates::from_ecb_csv("Date, USD, CHF, \n20 November 2026, 1.25, 0.95, \n").expect("csv");
        assert_eq!(xml, csv);
        assert_eq!(xml.date, Some(jiff::civil::date(2026, 11, 20)));
    }

    #[test]
    fn a_missing_rate_is_none_and_not_one() {
        assert_eq!(Rates::none().convert(Decimal::ONE, Currency::USD, Currency::EUR), None);
        assert_eq!(Rates::none().convert(Decimal::ONE, Currency::USD, Currency::USD), Some(Decimal::ONE));
    }

    #[test]
    fn broken_tables_are_errors() {
        for text in [
            "",
            "Date, USD\n",
            "Date, USD\n20 November 2026, x\n",
            "Date, USD\nsoon, 1\n",
            "USD\n1\n",
            "Date, USD\n20 November 2026, 0\n",
            "Date, USD\n20 November 2026, -1\n",
        ] {
            assert!(Rates::from_ecb_csv(text).is_err(), "{text:?} was read");
        }
        for text in ["", "<a/>", "<a", "<Cube time='x'/>", &XML.replace("1.25", "-1")] {
            assert!(Rates::from_ecb_xml(text).is_err(), "{text:?} was read");
        }
    }
}
