//! Places, as far as the blueprint tells them apart.

use std::mem;

use iso_currency::Currency;
use rustc_hash::FxHashMap;

use super::ids::ClassId;
use crate::{
    catalogue::{Catalogue, OfferIx, TrafficTariff},
    compose::{
        deferred_drop::drop_aside,
        id_vec::{Id, IdVec},
        objective::Aim,
    },
    model::{Blueprint, Constraint, EndPoint, Measure, Over, ProviderId},
};

/// What a set of places is cut up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cut {
    /// As a constraint counts them.
    Over(Over),
    /// A region, under one egress tariff: where traffic starts.
    Site,
}

/// One way to cut up places.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) cut: Cut,
    /// Place of each class at this level, numbered from 0.
    pub(crate) place_of: IdVec<ClassId, usize>,
    /// Name of each place.
    pub(crate) names: Vec<String>,
    numbers: FxHashMap<String, usize>,
}

/// A region under one egress tariff.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Its number at the level of regions.
    pub(crate) region: usize,
    pub(crate) provider: ProviderId,
    /// None if its price is not known.
    pub(crate) tariff: Option<TrafficTariff>,
}

/// All classes and levels.
#[derive(Debug)]
pub(crate) struct Sites {
    pub(crate) levels: Vec<Level>,
    /// Of the level [`Cut::Site`].
    pub(crate) sites: Vec<Site>,
    /// The end of a round trip of each region.
    pub(crate) ends: Vec<EndPoint>,
    /// An offer's provider, by place at the level of providers.
    pub(crate) providers: Vec<ProviderId>,
    currency: Currency,
    is_by_country: bool,
    class_of: FxHashMap<(u32, u32), ClassId>,
    class_of_key: FxHashMap<Vec<usize>, ClassId>,
    countries: Vec<String>,
}

/// Classes whose memory is not given back within a moment.
const MANY: usize = 500;

impl Drop for Sites {
    fn drop(&mut self) {
        if self.class_of.len() >= MANY {
            let names = (mem::take(&mut self.levels), mem::take(&mut self.countries));
            let keys = (mem::take(&mut self.class_of), mem::take(&mut self.class_of_key));
            drop_aside((names, keys, mem::take(&mut self.sites), mem::take(&mut self.ends)));
        }
    }
}

impl Sites {
    pub(crate) fn new(blueprint: &Blueprint, aim: &Aim) -> Self {
        let mut cuts: Vec<Cut> = blueprint.constraints.iter().filter_map(level_of).map(Cut::Over).collect();
        let has_users = blueprint.components.values().any(|component| !component.users.is_empty());
        if has_users || !blueprint.links.is_empty() {
            cuts.extend([Cut::Over(Over::Region), Cut::Site]);
        }
        if !blueprint.provider_fees.is_none() || aim.knows(Measure::Providers) {
            cuts.push(Cut::Over(Over::Provider));
        }
        cuts.sort_unstable();
        cuts.dedup();
        let level =
            |cut| Level { cut, place_of: IdVec::new(), names: Vec::new(), numbers: FxHashMap::default() };
        Self {
            levels: cuts.into_iter().map(level).collect(),
            sites: Vec::new(),
            ends: Vec::new(),
            providers: Vec::new(),
            currency: blueprint.currency,
            is_by_country: aim.knows(Measure::Carbon),
            class_of: FxHashMap::default(),
            class_of_key: FxHashMap::default(),
            countries: Vec::new(),
        }
    }

    pub(crate) fn classes(&self) -> usize {
        self.class_of_key.len()
    }

    /// The level of a cut; the problem has one for all that the blueprint asks for.
    pub(crate) fn level(&self, cut: Cut) -> &Level {
        self.levels.iter().find(|level| level.cut == cut).expect("a level for each cut in use")
    }

    /// The class of an offer's place; new ones are made as they come.
    pub(crate) fn class(&mut self, catalogue: &Catalogue, ix: OfferIx) -> ClassId {
        let positions = catalogue.positions(ix);
        let by_tariff = self.levels.iter().any(|level| level.cut == Cut::Site);
        let short = (positions.place, if by_tariff { positions.egress } else { 0 });
        if let Some(class) = self.class_of.get(&short) {
            return *class;
        }
        let key = self.key(catalogue, ix);
        let class = match self.class_of_key.get(&key) {
            Some(class) => *class,
            None => {
                let class = ClassId::from_index(self.class_of_key.len());
                for (level, place) in self.levels.iter_mut().zip(&key) {
                    level.place_of.push(*place);
                }
                self.class_of_key.insert(key, class);
                class
            }
        };
        self.class_of.insert(short, class);
        class
    }

    /// Numbers of the offer's place at each level.
    fn key(&mut self, catalogue: &Catalogue, ix: OfferIx) -> Vec<usize> {
        let place = catalogue.place(ix);
        let mut key = Vec::with_capacity(self.levels.len() + 1);
        let mut region = 0;
        for level in &mut self.levels {
            let name = match level.cut {
                Cut::Over(over) => catalogue.place_key(ix, over),
                Cut::Site => {
                    format!("{}/{}#{}", place.provider, place.region, catalogue.positions(ix).egress)
                }
            };
            let next = level.names.len();
            let number = *level.numbers.entry(name.clone()).or_insert(next);
            if number == next {
                level.names.push(name);
                match level.cut {
                    Cut::Over(Over::Region) => self.ends.push(EndPoint::of(place)),
                    Cut::Over(Over::Provider) => self.providers.push(place.provider.clone()),
                    Cut::Site => self.sites.push(Site {
                        region,
                        provider: place.provider.clone(),
                        tariff: catalogue
                            .egress(ix)
                            .and_then(|price| TrafficTariff::new(price, catalogue.rates(), self.currency)),
                    }),
                    Cut::Over(Over::Zone | Over::Country) => {}
                }
            }
            if level.cut == Cut::Over(Over::Region) {
                region = number;
            }
            key.push(number);
        }
        if self.is_by_country {
            let country = place.country.to_string();
            let number = self.countries.iter().position(|known| *known == country);
            key.push(number.unwrap_or_else(|| {
                self.countries.push(country);
                self.countries.len() - 1
            }));
        }
        key
    }
}

fn level_of(constraint: &Constraint) -> Option<Over> {
    match constraint {
        Constraint::Spread(spread) => Some(spread.over),
        Constraint::Survive(survive) => Some(survive.loss_of),
        Constraint::Distinct(distinct) => Some(distinct.over),
        Constraint::Count(_)
        | Constraint::Serves(_)
        | Constraint::Linear(_)
        | Constraint::OneOf(_)
        | Constraint::Conflict(_)
        | Constraint::Colocate(_)
        | Constraint::Everywhere(_)
        | Constraint::Limit(_) => None,
    }
}
