//! Queries that find nothing: which condition is to blame, and what there is instead.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{Catalogue, OfferIx, Query, Sort};
use crate::model::{
    Dimension, Filter, PricingCategory, Resources, SovereigntyReport, from_micros, to_micros,
};

/// So many values are told in words.
const MAX_VALUES_IN_WORDS: usize = 8;

/// What a query that finds nothing misses. Displays as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NoMatch {
    /// How many offers come nearest: they fail the fewest conditions.
    pub nearest: usize,
    /// The conditions that these offers fail, in the query's order.
    pub conditions: Vec<UnmetCondition>,
    /// Why there is no offer at all; none if there are some.
    pub why_empty: Option<String>,
}

/// A condition that the nearest offers fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnmetCondition {
    /// Its name in the query, such as `where.attributes.gpu_model` or `at_least.vcpu`.
    pub condition: String,
    /// What it asks for.
    pub asked: String,
    /// What the nearest offers have, and how many of them: the largest amounts, the lowest prices, else the most frequent first.
    pub found: Vec<(String, usize)>,
}

impl fmt::Display for UnmetCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.found.iter().take(MAX_VALUES_IN_WORDS);
        let told: Vec<_> = told.map(|(value, offers)| format!("{value} ({offers})")).collect();
        write!(f, "`{}` asks for {}, and they have {}", self.condition, self.asked, told.join(", "))?;
        match self.found.len().saturating_sub(MAX_VALUES_IN_WORDS) {
            0 => Ok(()),
            more => write!(f, " and {more} other values"),
        }
    }
}

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.why_empty {
            return f.write_str(why);
        }
        let conditions: Vec<_> = self.conditions.iter().map(ToString::to_string).collect();
        let offers =
            if self.nearest == 1 { "1 offer comes" } else { &format!("{} offers come", self.nearest) };
        write!(f, "no offer matches; {offers} nearest: {}", conditions.join("; "))
    }
}

/// Where a value stands among others: amounts that are nearer first, words by their number alone.
type SortedValue = (i64, String);

/// One condition of a query.
struct Test<'a> {
    condition: String,
    asked: String,
    passes: Box<dyn Fn(OfferIx) -> bool + 'a>,
    value: Box<dyn Fn(OfferIx) -> SortedValue + 'a>,
}

fn words<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn category(category: &PricingCategory) -> &'static str {
    match category {
        PricingCategory::OnDemand => "on demand",
        PricingCategory::Committed => "committed",
        PricingCategory::Spot => "spot",
    }
}

fn allowed<T: ToString>(names: &crate::model::Allow<T>) -> String {
    match (names.allow.is_empty(), names.deny.is_empty()) {
        (false, true) => words(&names.allow),
        (false, false) => format!("{}, not {}", words(&names.allow), words(&names.deny)),
        (true, _) => format!("not {}", words(&names.deny)),
    }
}

impl Catalogue {
    /// Why a query finds nothing; `None` if it finds something. `first_per`, `offset` and `limit` do not count.
    /// Time: O(offers × conditions).
    pub fn why_no_match(&self, query: &Query) -> Option<NoMatch> {
        if let Some(why) = self.why_empty() {
            return Some(NoMatch { nearest: 0, conditions: Vec::new(), why_empty: Some(why) });
        }
        let tests = self.tests(query);
        let mut nearest: Vec<(OfferIx, Vec<usize>)> = Vec::new();
        for ix in self.ids().filter(|ix| self.is_shown(*ix, &query.filter)) {
            let failed: Vec<usize> = (0..tests.len()).filter(|at| !(tests[*at].passes)(ix)).collect();
            if failed.is_empty() {
                return None;
            }
            let best = nearest.first().map_or(usize::MAX, |(_, failed)| failed.len());
            if failed.len() < best {
                nearest.clear();
            }
            if failed.len() <= best {
                nearest.push((ix, failed));
            }
        }
        let mut found: BTreeMap<usize, BTreeMap<SortedValue, usize>> = BTreeMap::new();
        for (ix, failed) in &nearest {
            for at in failed {
                let value = (tests[*at].value)(*ix);
                let offers = found.entry(*at).or_default().entry(value).or_default();
                *offers = offers.saturating_add(1);
            }
        }
        let conditions = found.into_iter().map(|(at, values)| {
            let mut values: Vec<_> = values.into_iter().collect();
            values.sort_by(|((rank, name), offers), ((other_rank, other_name), others)| {
                rank.cmp(other_rank).then(others.cmp(offers)).then(name.cmp(other_name))
            });
            let found = values.into_iter().map(|((_, value), offers)| (value, offers)).collect();
            UnmetCondition { condition: tests[at].condition.clone(), asked: tests[at].asked.clone(), found }
        });
        Some(NoMatch { nearest: nearest.len(), conditions: conditions.collect(), why_empty: None })
    }

    fn tests<'a>(&'a self, query: &'a Query) -> Vec<Test<'a>> {
        let mut tests = Vec::new();
        if !query.kinds.is_empty() {
            tests.push(Test {
                condition: "kinds".to_owned(),
                asked: words(&query.kinds),
                passes: Box::new(|ix| query.kinds.contains(&self.kind(ix))),
                value: Box::new(|ix| (0, self.kind(ix).to_string())),
            });
        }
        self.filter_tests(&query.filter, &mut tests);
        for dimension in query.at_least.dimensions() {
            tests.push(self.capacity_test(query, dimension));
        }
        let is_priced = move |ix| self.month_as_asked(ix, query).is_some();
        if query.sort == Sort::Price || query.max_monthly.is_some() {
            tests.push(Test {
                condition: "currency".to_owned(),
                asked: query.currency.code().to_owned(),
                passes: Box::new(is_priced),
                value: Box::new(|ix| (0, format!("{} without a rate", self.price(ix).currency.code()))),
            });
        }
        if let Some(max) = query.max_monthly {
            let most = to_micros(max).ok();
            tests.push(Test {
                condition: "max_monthly".to_owned(),
                asked: format!("{max} {} at most", query.currency.code()),
                passes: Box::new(move |ix| {
                    self.month_as_asked(ix, query).is_none_or(|month| most.is_none_or(|most| month <= most))
                }),
                value: Box::new(|ix| {
                    let month = self.month_as_asked(ix, query).unwrap_or(i64::MAX);
                    (month, from_micros(month).round_dp(2).to_string())
                }),
            });
        }
        tests
    }

    /// A filter's clauses, each alone; of attributes and certificates each name.
    fn filter_tests<'a>(&'a self, filter: &'a Filter, tests: &mut Vec<Test<'a>>) {
        use PricingCategory::{Committed, OnDemand, Spot};
        let any = || Filter { pricing_categories: vec![OnDemand, Committed, Spot], ..Filter::default() };
        let mut add = |clause: &'static str, name: String, asked: String, alone: Filter, value: Value<'a>| {
            let passes = Box::new(move |ix| self.failed_clause(ix, &alone) != Some(clause));
            tests.push(Test { condition: format!("where.{name}"), asked, passes, value });
        };
        type Value<'a> = Box<dyn Fn(OfferIx) -> SortedValue + 'a>;
        macro_rules! names {
            ($clause:ident, $value:expr) => {
                if !filter.$clause.is_open() {
                    let alone = Filter { $clause: filter.$clause.clone(), ..any() };
                    let name = stringify!($clause);
                    add(name, name.to_owned(), allowed(&filter.$clause), alone, Box::new($value));
                }
            };
        }
        names!(providers, |ix| (0, self.place(ix).provider.to_string()));
        names!(skus, |ix| (0, self.sku(ix).to_string()));
        names!(regions, |ix| (0, self.place(ix).region.to_string()));
        names!(zones, |ix| (
            0,
            self.place(ix).zone.as_ref().map_or("no zone".to_owned(), ToString::to_string)
        ));
        names!(countries, |ix| (0, self.place(ix).country.to_string()));
        if let Some(area) = filter.jurisdiction {
            let outside = move |ix| {
                let seller = self.seller(ix);
                let entities = [&seller.owner].into_iter().chain(&seller.control_chain);
                let mut countries = [self.place(ix).country].into_iter().chain(entities.map(|it| it.country));
                (
                    0,
                    countries
                        .find(|country| !area.has(*country))
                        .map_or("none".to_owned(), |it| it.to_string()),
                )
            };
            let alone = Filter { jurisdiction: Some(area), ..any() };
            add("jurisdiction", "jurisdiction".to_owned(), area.to_string(), alone, Box::new(outside));
        }
        for name in &filter.certifications {
            let alone = Filter { certifications: vec![name.clone()], ..any() };
            let held = move |ix| {
                let names: Vec<_> =
                    self.seller(ix).certifications.iter().map(|it| it.name.as_str()).collect();
                (0, if names.is_empty() { "no certificate".to_owned() } else { names.join(" and ") })
            };
            add("certifications", "certifications".to_owned(), name.clone(), alone, Box::new(held));
        }
        if let Some(floor) = &filter.sovereignty {
            let alone = Filter { sovereignty: Some(floor.clone()), ..any() };
            let level = move |ix| {
                let report = SovereigntyReport::new(self.seller(ix), self.place(ix), self.day());
                let seal = report.levels.iter().map(|level| level.seal).min().unwrap_or(0);
                (
                    i64::from(report.score()).saturating_neg(),
                    format!("seal {seal} with score {}", report.score() / 100),
                )
            };
            let asked = serde_json::to_string(floor).unwrap_or_default();
            add("sovereignty", "sovereignty".to_owned(), asked, alone, Box::new(level));
        }
        if let Some(within) = filter.within {
            let away = move |ix| {
                let km = self.place(ix).coordinates.and_then(|at| at.distance_km(&within.of));
                km.map_or((i64::MAX, "no known place".to_owned()), |km| (i64::from(km), format!("{km} km")))
            };
            let alone = Filter { within: Some(within), ..any() };
            add("within", "within".to_owned(), format!("{} km at most", within.km), alone, Box::new(away));
        }
        for (name, value) in &filter.attributes {
            let alone = Filter { attributes: [(name.clone(), value.clone())].into(), ..any() };
            let own = move |ix| {
                let own = self.attributes(ix).get(name);
                (0, own.map_or_else(|| format!("no {name}"), Clone::clone))
            };
            add("attributes", format!("attributes.{name}"), value.clone(), alone, Box::new(own));
        }
        let categories = match filter.pricing_categories.as_slice() {
            [] => "on demand".to_owned(),
            some => some.iter().map(category).collect::<Vec<_>>().join(" or "),
        };
        let alone = Filter { pricing_categories: filter.pricing_categories.clone(), ..Filter::default() };
        let sold = |ix: OfferIx| (0, self.price(ix).purchase_option.to_string());
        add("markets", "markets".to_owned(), categories, alone, Box::new(sold));
        if let Some(days) = filter.max_age_days {
            let alone = Filter { max_age_days: Some(days), ..any() };
            let age = move |ix| {
                let days = i64::from(self.age_days(ix));
                (days, format!("{days} days"))
            };
            add(
                "max_age_days",
                "max_age_days".to_owned(),
                format!("{days} days at most"),
                alone,
                Box::new(age),
            );
        }
        let ended = |ix: OfferIx| {
            let end = self.provenance(ix).valid_until;
            (0, end.map_or("no end".to_owned(), |end| format!("a price until {end}")))
        };
        add(
            "validity",
            "validity".to_owned(),
            format!("prices that hold on {}", self.day()),
            any(),
            Box::new(ended),
        );
    }

    fn capacity_test<'a>(&'a self, query: &'a Query, dimension: Dimension) -> Test<'a> {
        let shown = |amount: u64, dimension: &Dimension| match dimension {
            Dimension::MilliVcpu => {
                rust_decimal::Decimal::new(amount.try_into().unwrap_or(i64::MAX), 3).normalize().to_string()
            }
            _ => amount.to_string(),
        };
        let wanted = query.at_least.along(&dimension);
        let alone = match &dimension {
            Dimension::MilliVcpu => {
                Resources { vcpu_milli: query.at_least.vcpu_milli, ..Resources::default() }
            }
            Dimension::MemoryMib => Resources { memory_mib: wanted, ..Resources::default() },
            Dimension::DiskGib => Resources { disk_gib: wanted, ..Resources::default() },
            Dimension::Gpu => Resources { gpu: query.at_least.gpu, ..Resources::default() },
            Dimension::Named(name) => {
                Resources { named: [(name.clone(), wanted)].into(), ..Resources::default() }
            }
        };
        Test {
            condition: format!("at_least.{dimension}"),
            asked: format!("{} or more", shown(wanted, &dimension)),
            passes: Box::new(move |ix| self.has_capacity(ix, &alone)),
            value: Box::new(move |ix| {
                let own = self.capacity(ix).along(&dimension);
                (i64::try_from(own).unwrap_or(i64::MAX).saturating_neg(), shown(own, &dimension))
            }),
        }
    }
}
