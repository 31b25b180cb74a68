//! Exchange rates of the host.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::model::{CommitmentCost, DocumentError, Payments, Price, check_size, limits};

/// Exchange rates of one day: units of each currency for one unit of the base.
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
    /// The base currency.
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

    /// The same base without rates.
    pub(super) fn cleared(&self) -> Self {
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
                format!("{rate} is not a valid exchange rate; write one above 0"),
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
        let unreadable =
            |error: csv::Error| DocumentError::at("", format!("the text is not a CSV rate table: {error}"));
        check_size(text, limits::MAX_RATES_BYTES)?;
        let header = reader.headers().map_err(unreadable)?.clone();
        if header.len() > limits::MAX_RATE_COLUMNS {
            return Err(DocumentError::at("", format!("write at most {} columns", limits::MAX_RATE_COLUMNS)));
        }
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
        check_xml(text)?;
        let options = roxmltree::ParsingOptions {
            nodes_limit: limits::MAX_XML_NODES,
            ..roxmltree::ParsingOptions::default()
        };
        let document = roxmltree::Document::parse_with_options(text, options).map_err(|error| {
            DocumentError::at("", format!("the text is not XML: {error}; pass the ECB's eurofxref-daily.xml"))
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
            return Err(DocumentError::at(
                "",
                "the document has no rates; pass the ECB's eurofxref-daily.xml",
            ));
        }
        Ok(rates)
    }

    fn read(&mut self, code: &str, figure: &str) -> Result<(), DocumentError> {
        let rate = figure.parse().map_err(|_| {
            DocumentError::at(
                code,
                format!("{figure:?} is not a valid exchange rate; write a decimal number"),
            )
        })?;
        // The table may carry currencies that this version does not know; they are no mistake.
        let Some(currency) = Currency::from_code(&code.to_ascii_uppercase()) else { return Ok(()) };
        self.set(currency, rate)?;
        let (least, most) = plausible(currency);
        if !(least..=most).contains(&rate) {
            let message = format!("{rate} for one euro is beyond {least} to {most}; mend the table");
            return Err(DocumentError::at(code, message));
        }
        Ok(())
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

    /// The cost of a price over a horizon in a currency; see [`commitment_cost`]. `None` if a rate is missing or the
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

/// Rough units of each currency for one euro, in hundredths, to recognise a mistaken rate.
const PLAUSIBLE_RATES: [(Currency, i64); 30] = [
    (Currency::AUD, 170),
    (Currency::BGN, 196),
    (Currency::BRL, 600),
    (Currency::CAD, 160),
    (Currency::CHF, 95),
    (Currency::CNY, 800),
    (Currency::CZK, 2_500),
    (Currency::DKK, 746),
    (Currency::GBP, 86),
    (Currency::HKD, 900),
    (Currency::HUF, 40_000),
    (Currency::IDR, 1_800_000),
    (Currency::ILS, 400),
    (Currency::INR, 9_500),
    (Currency::ISK, 14_500),
    (Currency::JPY, 16_500),
    (Currency::KRW, 155_000),
    (Currency::MXN, 2_100),
    (Currency::MYR, 490),
    (Currency::NOK, 1_170),
    (Currency::NZD, 190),
    (Currency::PHP, 6_500),
    (Currency::PLN, 430),
    (Currency::RON, 500),
    (Currency::SEK, 1_100),
    (Currency::SGD, 150),
    (Currency::THB, 3_800),
    (Currency::TRY, 4_500),
    (Currency::USD, 115),
    (Currency::ZAR, 2_000),
];

/// From where to where a table's rate is believed: within a factor of ten of what is known; of other currencies up to what
/// the worst money has come to. A wrong decimal point makes what costs 40 dollars cost 4 euros, and a budget means nothing.
fn plausible(currency: Currency) -> (Decimal, Decimal) {
    match PLAUSIBLE_RATES.iter().find(|(known, _)| *known == currency) {
        Some((_, hundredths)) => (Decimal::new(*hundredths, 3), Decimal::new(*hundredths, 1)),
        None => (Decimal::new(1, 2), Decimal::from(100_000_000)),
    }
}

/// Whether a table in XML can be read with little work: see [`limits`].
fn check_xml(text: &str) -> Result<(), DocumentError> {
    check_size(text, limits::MAX_RATES_BYTES)?;
    let refuse = |what: String| Err(DocumentError::at("", what + "; pass the ECB's eurofxref-daily.xml"));
    if text.split('<').any(|part| part.len() >= limits::MAX_XML_TAG_BYTES) {
        return refuse(format!("a tag or text has more than {} bytes", limits::MAX_XML_TAG_BYTES));
    }
    if text.matches("xmlns").nth(limits::MAX_XML_NAMESPACES).is_some() {
        return refuse(format!("it declares more than {} namespaces", limits::MAX_XML_NAMESPACES));
    }
    Ok(())
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
    fn a_rate_that_nobody_believes_is_named() {
        for (code, figure) in [
            ("USD", "1000000"),
            ("USD", "0.0001"),
            ("SEK", "1"),
            ("JPY", "1.6"),
            ("KWD", "0.0003"),
            ("LBP", "1000000000"),
        ] {
            let why = Rates::from_ecb_csv(&format!("Date, {code}\n20 November 2026, {figure}\n"));
            let why = why.expect_err(figure).to_string();
            assert!(why.starts_with(&format!("{code}: {figure} for one euro is beyond ")), "{why}");
        }
        let far = "Date, USD, TRY, KWD, IRR, LBP, HUF\n20 November 2026, 2, 12, 0.33, 1100000, 104000, 390\n";
        Rates::from_ecb_csv(far).expect("they can be so");
    }

    #[test]
    fn little_work_is_in_any_table() {
        let around = |inner: &str| XML.replace("<Cube><Cube", &format!("{inner}<Cube><Cube"));
        for (text, words) in [
            (around(&"<a/>".repeat(1_000_001)), "nodes limit"),
            (
                around(&format!(
                    "<a {}/>",
                    (0..200).map(|at| format!("a{at}=''")).collect::<Vec<_>>().join(" ")
                )),
                "tag",
            ),
            (around(&"<a xmlns='b'/>".repeat(70)), "namespaces"),
            (" ".repeat(17 << 20) + "<a/>", "bytes"),
        ] {
            let why = Rates::from_ecb_xml(&text).expect_err(words).to_string();
            assert!(why.contains(words), "{why}");
        }
        let text = "Date".to_owned() + &", USD".repeat(1_000) + "\n20 November 2026, 1.2\n";
        assert!(
            Rates::from_ecb_csv(&text).expect_err("columns").to_string().contains("at most 1000 columns")
        );
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
