//! What can be had, priced in one currency at the size that was asked for: the rows of `fulcrum_market.Offers`.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, PricedOffer, Query, UnmetCondition},
    model::{Allow, Amount, Filter, OfferId, OfferKind, PriceAuthority, PricingCategory, Size, parse_yaml},
};
use jiff::civil::Date;
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyString},
};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    convert::{decimal, optional, written},
    error::raise,
};

/// One row. Its fields are those of `fulcrum_market.Offer`.
#[derive(Serialize)]
struct Row<'a> {
    id: OfferId,
    kind: OfferKind,
    provider: &'a str,
    region: &'a str,
    zone: Option<&'a str>,
    country: &'a str,
    sku: &'a str,
    vcpu: f64,
    memory_mib: u64,
    disk_gib: u64,
    gpu: u32,
    attributes: &'a BTreeMap<String, String>,
    pricing_category: PricingCategory,
    term_months: u32,
    monthly: Option<Amount>,
    once: Option<Amount>,
    currency: &'a str,
    observed: Date,
    valid_until: Option<Date>,
    age_days: i32,
    authority: PriceAuthority,
    source: &'a str,
    seller: &'a str,
    is_orderable: bool,
    stock: Option<u32>,
}

impl<'a> Row<'a> {
    fn new(catalogue: &'a Catalogue, found: PricedOffer, currency: &'a str) -> Self {
        let ix = found.ix;
        let (place, capacity, provenance) =
            (catalogue.place(ix), catalogue.capacity(ix), catalogue.provenance(ix));
        Self {
            id: catalogue.offer(ix).id(),
            kind: catalogue.kind(ix),
            provider: place.provider.as_str(),
            region: place.region.as_str(),
            zone: place.zone.as_ref().map(|zone| zone.as_str()),
            country: place.country.as_str(),
            sku: catalogue.sku(ix).as_str(),
            vcpu: f64::from(capacity.vcpu_milli) / 1000.0,
            memory_mib: capacity.memory_mib,
            disk_gib: capacity.disk_gib,
            gpu: capacity.gpu,
            attributes: catalogue.attributes(ix),
            pricing_category: catalogue.price(ix).purchase_option.pricing_category(),
            term_months: catalogue.price(ix).term_months,
            monthly: found.monthly.map(Amount),
            once: found.once.map(|once| Amount(once.round_dp(6).normalize())),
            currency,
            observed: provenance.observed,
            valid_until: provenance.valid_until,
            age_days: catalogue.age_days(ix),
            authority: provenance.authority,
            source: &provenance.source,
            seller: &catalogue.seller(ix).owner.name,
            is_orderable: catalogue.is_orderable(ix),
            stock: catalogue.stock(ix),
        }
    }
}

/// All that `fulcrum_market.Offers` is made of.
#[derive(Serialize)]
struct Table<'a> {
    currency: &'a str,
    day: Date,
    rows: Vec<Row<'a>>,
    no_match: Option<Missed<'a>>,
}

/// Why there are no rows.
#[derive(Serialize)]
struct Missed<'a> {
    text: String,
    nearest: usize,
    conditions: &'a [UnmetCondition],
}

/// The table of a query, as JSON.
pub(crate) fn table(catalogue: &Arc<Catalogue>, query: &Query) -> PyResult<String> {
    let currency = query.currency.code();
    let found = catalogue.query_priced(query);
    let rows: Vec<_> = found.into_iter().map(|found| Row::new(catalogue, found, currency)).collect();
    let why = if rows.is_empty() { catalogue.why_no_match(query) } else { None };
    let no_match = why.as_ref().map(|why| Missed {
        text: why.to_string(),
        nearest: why.nearest,
        conditions: &why.conditions,
    });
    written(&Table { currency, day: catalogue.day(), rows, no_match })
}

/// Keywords of `offers`, as they come; each may be missing.
pub(crate) struct Keywords<'a, 'py>(&'a Bound<'py, PyDict>);

impl<'a, 'py> Keywords<'a, 'py> {
    /// Of one call. The first that nobody knows is named, as Python does.
    pub(crate) fn new(given: &'a Bound<'py, PyDict>) -> PyResult<Self> {
        const NAMES: [&str; 18] = [
            "kind",
            "provider",
            "sku",
            "region",
            "country",
            "vcpu",
            "memory",
            "disk",
            "gpu",
            "attributes",
            "where",
            "currency",
            "max_monthly",
            "max_age",
            "sort",
            "first_per",
            "offset",
            "limit",
        ];
        for name in given.keys() {
            let name = name.cast::<PyString>()?.to_cow()?.into_owned();
            if !NAMES.contains(&name.as_str()) {
                let message = format!("offers() has no argument `{name}`; write one of {}", NAMES.join(", "));
                return Err(PyTypeError::new_err(message));
            }
        }
        Ok(Self(given))
    }

    fn get(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.0.get_item(name)?.filter(|value| !value.is_none()))
    }

    /// The query that they ask. `where` is read as in blueprints, and the other keywords add to it.
    pub(crate) fn query(&self) -> PyResult<Query> {
        let filter = optional(self.get("where")?.as_ref())?;
        let filter: Filter =
            filter.map(|text| parse_yaml(&text)).transpose().map_err(raise)?.unwrap_or_default();
        let mut query = Query { filter, ..Query::default() };
        query.kinds = self.list("kind")?;
        self.allow("provider", "providers", &mut query.filter.providers)?;
        self.allow("sku", "skus", &mut query.filter.skus)?;
        self.allow("region", "regions", &mut query.filter.regions)?;
        self.allow("country", "countries", &mut query.filter.countries)?;
        if let Some(attributes) = self.get("attributes")? {
            let attributes: BTreeMap<String, String> = attributes.extract()?;
            query.filter.attributes.extend(attributes);
        }
        query.at_least.vcpu_milli = self.vcpu_milli()?;
        query.at_least.memory_mib = self.size("memory")?.map_or(0, Size::mib);
        query.at_least.disk_gib = self.size("disk")?.map_or(0, Size::gib);
        query.at_least.gpu = self.whole("gpu")?.unwrap_or(0);
        if let Some(days) = self.days("max_age")? {
            query.filter.max_age_days = Some(days);
        }
        if let Some(currency) = self.word("currency")? {
            query.currency = currency;
        }
        query.max_monthly = self.amount("max_monthly")?;
        if let Some(sort) = self.word("sort")? {
            query.sort = sort;
        }
        query.first_per = self.word("first_per")?;
        query.offset = self.whole("offset")?.unwrap_or(0);
        query.limit = self.whole("limit")?;
        Ok(query)
    }

    /// One text, or several.
    fn list<T: FromStr<Err: Display>>(&self, name: &str) -> PyResult<Vec<T>> {
        let Some(given) = self.get(name)? else { return Ok(Vec::new()) };
        let words: Vec<String> = match given.cast::<PyString>() {
            Ok(word) => vec![word.to_cow()?.into_owned()],
            Err(_) => given.extract().map_err(|_| {
                PyTypeError::new_err(format!("{name}: write one text, or a list of them, not {given:?}"))
            })?,
        };
        let read =
            |word: &String| word.parse().map_err(|error| PyValueError::new_err(format!("{name}: {error}")));
        words.iter().map(read).collect()
    }

    fn allow<T: FromStr<Err: Display>>(&self, name: &str, clause: &str, into: &mut Allow<T>) -> PyResult<()> {
        let list = self.list(name)?;
        if list.is_empty() {
            return Ok(());
        }
        if !into.allow.is_empty() {
            let message = format!("{name}: `where.{clause}.allow` says it too; write one of them");
            return Err(PyTypeError::new_err(message));
        }
        into.allow = list;
        Ok(())
    }

    /// A word of the documents.
    fn word<T: DeserializeOwned>(&self, name: &str) -> PyResult<Option<T>> {
        let Some(given) = self.get(name)? else { return Ok(None) };
        let word: String = given.str()?.to_cow()?.into_owned();
        let read = serde_json::from_value(serde_json::Value::String(word));
        read.map(Some).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
    }

    fn amount(&self, name: &str) -> PyResult<Option<Decimal>> {
        let Some(given) = self.get(name)? else { return Ok(None) };
        let amount = decimal(&given)?.filter(|amount| !amount.is_sign_negative());
        let refuse =
            || PyValueError::new_err(format!("{name}: write a number of zero or more, such as 12.5"));
        amount.map(Some).ok_or_else(refuse)
    }

    fn vcpu_milli(&self) -> PyResult<u32> {
        let milli = self.amount("vcpu")?.unwrap_or_default().checked_mul(Decimal::ONE_THOUSAND);
        let milli = milli.and_then(|milli| milli.ceil().to_u32());
        milli.ok_or_else(|| PyValueError::new_err("vcpu: write a number such as 4 or 0.5"))
    }

    fn size(&self, name: &str) -> PyResult<Option<Size>> {
        let Some(given) = self.get(name)? else { return Ok(None) };
        let Ok(text) = given.cast::<PyString>() else {
            let message = format!("{name}: write a number and a unit, such as \"16 GiB\", not {given}");
            return Err(PyTypeError::new_err(message));
        };
        let size = text.to_cow()?.parse();
        size.map(Some).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
    }

    fn whole<T: TryFrom<u64>>(&self, name: &str) -> PyResult<Option<T>> {
        let Some(given) = self.get(name)? else { return Ok(None) };
        let whole = given.extract::<u64>().ok().and_then(|whole| T::try_from(whole).ok());
        let refuse =
            || PyValueError::new_err(format!("{name}: write a whole number of zero or more, not {given}"));
        whole.map(Some).ok_or_else(refuse)
    }

    /// A `timedelta`, or days.
    fn days(&self, name: &str) -> PyResult<Option<u32>> {
        match self.get(name)? {
            Some(given) if given.hasattr("total_seconds")? => {
                let days: i64 = given.getattr("days")?.extract()?;
                let refuse = |_| PyValueError::new_err(format!("{name}: write zero days or more"));
                u32::try_from(days).map(Some).map_err(refuse)
            }
            _ => self.whole(name),
        }
    }
}
