//! Offers: the plans of a broker's catalogue and their costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{TryStreamExt, stream};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    Osb, parameters,
    wire::{Catalog, Cost},
};
use crate::{
    model::{DeclaredSettings, Offer, OfferKind, SettingType, SkuId},
    provider::{
        Call, ErrorKind, OfferFilter, OfferStream, Provider, RejectedRow, Result,
        adapters::common::CallErrors,
        http::{Request, bounded},
        portable,
        table::{Row, Table},
    },
};

/// Hours of a month, where a plan has costs by the hour and by the month.
const HOURS_PER_MONTH: u64 = crate::model::HOURS_PER_MONTH as u64;
/// The age at which the catalogue is read again.
pub(super) const CATALOG_FRESH_FOR: Duration = Duration::from_secs(60);

/// Tags of a service that are read.
const MAX_TAGS: usize = 16;

/// The sum of a plan's costs; at least one of the two is set.
struct Total {
    hourly: Option<Decimal>,
    monthly: Option<Decimal>,
}

/// A product's ids, and what it is made with.
pub(super) struct ProductIds {
    pub(super) service: String,
    pub(super) plan: String,
    pub(super) sku: SkuId,
    pub(super) kind: OfferKind,
    /// Whether its instances have bindings.
    pub(super) is_bindable: bool,
    /// The settings that it takes, as host or broker declare them; `None` for any.
    pub(super) declared: Option<DeclaredSettings>,
    /// Whether the plan itself says which `engine` it is. Then it is no parameter.
    pub(super) tells_engine: bool,
}

impl Osb {
    /// A row for each plan whose costs are understood; the others go to `rejected`.
    fn price_rows(&self, catalog: &Catalog) -> Vec<Row> {
        let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
        let currency = self.settings.currency.code();
        let (mut rows, mut rejected) = (Vec::new(), Vec::new());
        for service in &catalog.services {
            let kind = self.kind_of(&service.name);
            for plan in &service.plans {
                let name = format!("{}/{}", service.name, plan.name);
                let price = SkuId::new(&name).map_err(|error| error.to_string()).and_then(|sku| {
                    let costs = plan.metadata.costs()?;
                    Ok((sku, total(costs, currency, &self.settings.usage_units)?))
                });
                let (sku, Total { hourly, monthly }) = match price {
                    Ok(price) => price,
                    Err(why) => {
                        tracing::debug!(plan = name, why, "not offered");
                        rejected.push(RejectedRow::new(name, why));
                        continue;
                    }
                };
                rows.push(Row {
                    kind: kind.to_string(),
                    sku: Some(sku),
                    region: self.settings.region.to_string(),
                    hourly,
                    monthly,
                    currency: currency.to_owned(),
                    tax: "net".to_owned(),
                    observed: Some(today),
                    source: "GET /v2/catalog".to_owned(),
                    ..Row::default()
                });
            }
        }
        self.rejected.set(rejected);
        rows
    }
}

impl Osb {
    pub(super) async fn catalog(&self, call: Call, fresh_for: Duration) -> Result<Catalog> {
        let (response, _) =
            self.cache.fetch(&self.client, &Request::get(call, ["v2", "catalog"]), fresh_for).await?;
        response.json()
    }

    /// Each product with its ids, without those whose name is not a valid SKU.
    pub(super) async fn products(&self, call: Call) -> Result<Vec<ProductIds>> {
        Ok(self.products_of(self.catalog(call, CATALOG_FRESH_FOR).await?))
    }

    pub(super) fn products_of(&self, catalog: Catalog) -> Vec<ProductIds> {
        let is_unsaid = self.capabilities.settings.is_none();
        let products = catalog.services.into_iter().flat_map(|service| {
            let (id, name) = (service.id, service.name);
            let tags = service.tags.as_array().into_iter().flatten().filter_map(Value::as_str).take(MAX_TAGS);
            let engines: Vec<String> = [name.as_str()]
                .into_iter()
                .chain(tags.filter(|tag| *tag != name))
                .map(str::to_owned)
                .collect();
            service.plans.into_iter().filter_map(move |plan| {
                let sku = SkuId::new(format!("{name}/{}", plan.name)).ok()?;
                let (kind, declared) = (self.kind_of(&name), self.declared(&plan.schemas));
                // A database is of the engine that its service is named after, unless that is a parameter of it.
                let engines = declared
                    .as_ref()
                    .filter(|all| is_unsaid && kind == OfferKind::Database && !all.has("engine"))
                    .map(|_| engines.clone());
                let tells_engine = engines.is_some();
                let declared = match (declared, engines) {
                    (Some(all), Some(engines)) => {
                        let engine = portable::database_engine(SettingType::Choice(engines));
                        Some(all.iter().cloned().chain([engine]).collect())
                    }
                    (declared, _) => declared,
                };
                let is_bindable = plan.bindable.unwrap_or(service.bindable);
                Some(ProductIds {
                    service: id.clone(),
                    plan: plan.id,
                    sku,
                    kind,
                    is_bindable,
                    declared,
                    tells_engine,
                })
            })
        });
        products.collect()
    }

    /// The settings that a plan takes: those that the host has written, otherwise those of the broker.
    fn declared(&self, schemas: &Value) -> Option<DeclaredSettings> {
        self.capabilities.settings.clone().or_else(|| parameters::declared(schemas))
    }

    pub(super) async fn ids_of(&self, call: Call, sku: &SkuId) -> Result<ProductIds> {
        let found = self.products(call).await?.into_iter().find(|ids| ids.sku == *sku);
        found.ok_or_else(|| self.error(call, ErrorKind::NotFound { what: sku.to_string() }))
    }

    /// The kind of one of the broker's services.
    pub(super) fn kind_of(&self, service: &str) -> OfferKind {
        self.settings.kinds.get(service).copied().unwrap_or(OfferKind::Database)
    }

    /// All offers that pass the filter.
    pub(super) fn list_offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            let catalog = this.catalog(Call::Offers, Duration::ZERO).await?;
            let protocol_error =
                |error: crate::model::DocumentError| this.protocol_error(Call::Offers, &error);
            let table =
                Table::from_rows(&this.settings.facts, this.price_rows(&catalog)).map_err(protocol_error)?;
            this.rejected.add(table.rejected.iter().cloned());
            // What the host has written holds for all, and stands in the capabilities.
            let is_said = this.capabilities.settings.is_some();
            let own: BTreeMap<SkuId, Arc<DeclaredSettings>> = this
                .products_of(catalog)
                .into_iter()
                .filter(|_| !is_said)
                .filter_map(|ids| Some((ids.sku, Arc::new(ids.declared?))))
                .collect();
            let listed = table.into_listed().into_iter().filter(|offer| filter.admits(offer));
            Ok(listed
                .map(|offer| Offer { settings: own.get(&offer.sku).cloned(), ..offer })
                .collect::<Vec<_>>())
        };
        let offers =
            stream::once(list).map_ok(|offers| stream::iter(offers.into_iter().map(Ok))).try_flatten();
        bounded(self.id(), Call::Offers, offers)
    }
}

/// A cost in a currency, whatever the case of its code; none if it is not a valid amount.
///
/// # Errors
/// In words: the cost is not told in that currency, or twice and differently.
fn amount_in(cost: &Cost, currency: &str) -> Result<Option<Decimal>, String> {
    let told = cost.amount.iter().filter(|(code, _)| code.eq_ignore_ascii_case(currency));
    // The price has few digits, so the shortest text of the float is the exact price.
    let mut amounts = told.map(|(_, amount)| Decimal::from_str_exact(&amount.to_string()).ok());
    let first =
        amounts.next().ok_or_else(|| format!("a cost per {} is not told in {currency}", cost.unit))?;
    match amounts.all(|other| other == first) {
        true => Ok(first.filter(|amount| !amount.is_sign_negative())),
        false => Err(format!("a cost per {} is told twice in {currency}, and differs", cost.unit)),
    }
}

/// The sum of a plan's costs, without those by use. Hourly and monthly costs together give a monthly sum.
///
/// # Errors
/// In words: a cost that is not understood, so that the plan has no known price.
fn total<'a>(
    costs: impl IntoIterator<Item = &'a Cost>,
    currency: &str,
    by_use: &BTreeSet<String>,
) -> Result<Total, String> {
    let (mut hourly, mut monthly) = (None, None);
    for cost in costs.into_iter().filter(|cost| !by_use.contains(&cost.unit)) {
        let unit = cost.unit.to_ascii_lowercase();
        let sum = match unit.as_str() {
            "hourly" => &mut hourly,
            "monthly" => &mut monthly,
            _ => {
                return Err(format!(
                    "a cost per {:?} is not understood; if it is billed by use, name it in `usage_units`",
                    cost.unit
                ));
            }
        };
        let amount = amount_in(cost, currency)?;
        let before = sum.unwrap_or(Decimal::ZERO);
        let after = amount.and_then(|amount| before.checked_add(amount));
        *sum = Some(after.ok_or_else(|| format!("a cost per {} is not a valid amount", cost.unit))?);
    }
    if let (Some(hour), Some(month)) = (hourly, monthly) {
        let both = hour.checked_mul(HOURS_PER_MONTH.into()).and_then(|hours| hours.checked_add(month));
        (hourly, monthly) = (None, Some(both.ok_or("its costs are not a valid amount")?));
    }
    match (hourly, monthly) {
        (None, None) => Err(format!("no price is told in {currency}")),
        _ => Ok(Total { hourly, monthly }),
    }
}
