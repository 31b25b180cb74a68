//! Place classes: two places are equivalent if no condition, fee or tariff tells them apart. Merging them removes
//! symmetry.

use std::mem;

use iso_currency::Currency;
use rustc_hash::FxHashMap;

use super::ids::ClassId;
use crate::{
    catalogue::{Catalogue, OfferIx, TrafficTariff},
    compose::{
        deferred_drop::drop_in_background,
        id_vec::{Id, IdVec},
        objective::ObjectiveStage,
    },
    model::{Blueprint, Constraint, EndPoint, FailureDomain, Measure, ProviderId, Together},
};

/// A key by which places are partitioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PartitionKey {
    /// The failure domain of a constraint.
    Domain(FailureDomain),
    /// A region under one egress tariff: where traffic starts.
    Site,
}

/// One partition of all places.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) key: PartitionKey,
    /// The place of each class in this partition, numbered from 0.
    pub(crate) place_of: IdVec<ClassId, usize>,
    /// The name of each place.
    pub(crate) names: Vec<String>,
    numbers: FxHashMap<String, usize>,
}

/// A region under one egress tariff.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Its number in the partition by regions.
    pub(crate) region: usize,
    pub(crate) provider: ProviderId,
    /// `None` if its price is not known.
    pub(crate) tariff: Option<TrafficTariff>,
}

/// All place classes and partitions.
#[derive(Debug)]
pub(crate) struct PlaceClasses {
    pub(crate) partitions: Vec<Partition>,
    /// Of the partition by [`PartitionKey::Site`].
    pub(crate) sites: Vec<Site>,
    /// The end point of round trips of each region.
    pub(crate) ends: Vec<EndPoint>,
    /// The provider of each place in the partition by providers.
    pub(crate) providers: Vec<ProviderId>,
    /// Whether each place in the partition by zones is one; else it is a region as a whole.
    pub(crate) is_zone: Vec<bool>,
    currency: Currency,
    is_by_country: bool,
    class_of: FxHashMap<(u32, u32), ClassId>,
    class_of_key: FxHashMap<Vec<usize>, ClassId>,
    countries: Vec<String>,
}

/// Classes beyond which the memory is returned in the background.
const DEFER_CLASSES: usize = 500;

impl Drop for PlaceClasses {
    fn drop(&mut self) {
        if self.class_of.len() >= DEFER_CLASSES {
            let names = (mem::take(&mut self.partitions), mem::take(&mut self.countries));
            let keys = (mem::take(&mut self.class_of), mem::take(&mut self.class_of_key));
            drop_in_background((names, keys, mem::take(&mut self.sites), mem::take(&mut self.ends)));
        }
    }
}

impl PlaceClasses {
    pub(crate) fn new(blueprint: &Blueprint, stage: &ObjectiveStage) -> Self {
        let mut keys: Vec<PartitionKey> =
            blueprint.constraints.iter().filter_map(partition_of).map(PartitionKey::Domain).collect();
        let has_users = blueprint.components.values().any(|component| !component.users.is_empty());
        if has_users || !blueprint.links.is_empty() {
            keys.extend([PartitionKey::Domain(FailureDomain::Region), PartitionKey::Site]);
        }
        let together = blueprint.together();
        if !together.is_empty() {
            keys.push(PartitionKey::Domain(FailureDomain::Region));
        }
        if together.iter().any(|rule| matches!(rule, Together::OneEach { .. })) {
            keys.push(PartitionKey::Domain(FailureDomain::Zone));
        }
        if !blueprint.provider_fees.is_none() || stage.tracks(Measure::Providers) {
            keys.push(PartitionKey::Domain(FailureDomain::Provider));
        }
        keys.sort_unstable();
        keys.dedup();
        let partition =
            |key| Partition { key, place_of: IdVec::new(), names: Vec::new(), numbers: FxHashMap::default() };
        Self {
            partitions: keys.into_iter().map(partition).collect(),
            sites: Vec::new(),
            ends: Vec::new(),
            providers: Vec::new(),
            is_zone: Vec::new(),
            currency: blueprint.currency,
            is_by_country: stage.tracks(Measure::Carbon),
            class_of: FxHashMap::default(),
            class_of_key: FxHashMap::default(),
            countries: Vec::new(),
        }
    }

    pub(crate) fn classes(&self) -> usize {
        self.class_of_key.len()
    }

    /// The partition by a key; there is one for each key that the blueprint uses.
    pub(crate) fn partition(&self, key: PartitionKey) -> &Partition {
        self.partitions
            .iter()
            .find(|partition| partition.key == key)
            .expect("a partition for each key in use")
    }

    /// The class of an offer's place; a new class is made when needed.
    pub(crate) fn class(&mut self, catalogue: &Catalogue, ix: OfferIx) -> ClassId {
        let positions = catalogue.positions(ix);
        let by_tariff = self.partitions.iter().any(|partition| partition.key == PartitionKey::Site);
        let short = (positions.place, if by_tariff { positions.egress } else { 0 });
        if let Some(class) = self.class_of.get(&short) {
            return *class;
        }
        let key = self.key(catalogue, ix);
        let class = match self.class_of_key.get(&key) {
            Some(class) => *class,
            None => {
                let class = ClassId::from_index(self.class_of_key.len());
                for (partition, place) in self.partitions.iter_mut().zip(&key) {
                    partition.place_of.push(*place);
                }
                self.class_of_key.insert(key, class);
                class
            }
        };
        self.class_of.insert(short, class);
        class
    }

    /// The number of the offer's place in each partition.
    fn key(&mut self, catalogue: &Catalogue, ix: OfferIx) -> Vec<usize> {
        let place = catalogue.place(ix);
        let mut key = Vec::with_capacity(self.partitions.len() + 1);
        let mut region = 0;
        for partition in &mut self.partitions {
            let name = match partition.key {
                PartitionKey::Domain(over) => catalogue.place_key(ix, over),
                PartitionKey::Site => {
                    format!("{}/{}#{}", place.provider, place.region, catalogue.positions(ix).egress)
                }
            };
            let next = partition.names.len();
            let number = *partition.numbers.entry(name.clone()).or_insert(next);
            if number == next {
                partition.names.push(name);
                match partition.key {
                    PartitionKey::Domain(FailureDomain::Region) => self.ends.push(EndPoint::of(place)),
                    PartitionKey::Domain(FailureDomain::Provider) => {
                        self.providers.push(place.provider.clone())
                    }
                    PartitionKey::Site => self.sites.push(Site {
                        region,
                        provider: place.provider.clone(),
                        tariff: catalogue
                            .egress(ix)
                            .and_then(|price| TrafficTariff::new(price, catalogue.rates(), self.currency)),
                    }),
                    PartitionKey::Domain(FailureDomain::Zone) => self.is_zone.push(place.zone.is_some()),
                    PartitionKey::Domain(FailureDomain::Country) => {}
                }
            }
            if partition.key == PartitionKey::Domain(FailureDomain::Region) {
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

fn partition_of(constraint: &Constraint) -> Option<FailureDomain> {
    match constraint {
        Constraint::Spread(spread) => Some(spread.over),
        Constraint::FaultTolerance(survive) => Some(survive.loss_of),
        Constraint::MaxDistinct(distinct) => Some(distinct.over),
        Constraint::Count(_)
        | Constraint::Ratio(_)
        | Constraint::Linear(_)
        | Constraint::OneOf(_)
        | Constraint::Share(_)
        | Constraint::AntiAffinity(_)
        | Constraint::Affinity(_)
        | Constraint::FullDeployment(_)
        | Constraint::Limit(_) => None,
    }
}
