//! A provider's places, indexed by name and shared between offers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{ProviderDocument, RegionDocument, Row, document::CellResult};
use crate::model::{Coordinates, Place, ZoneId, limits};

/// An index of a provider's regions and zones by name.
pub(super) struct PlaceIndex<'a> {
    /// In the document's order.
    regions: Vec<&'a RegionDocument>,
    by_name: BTreeMap<&'a str, usize>,
    /// The place of each region as a whole.
    whole: Vec<Arc<Place>>,
    zones: BTreeMap<(usize, &'a str), Arc<Place>>,
}

impl<'a> PlaceIndex<'a> {
    pub(super) fn new(provider: &'a ProviderDocument) -> Self {
        let place = |region: &RegionDocument, zone: Option<ZoneId>| {
            Arc::new(Place {
                provider: provider.id.clone(),
                region: region.id.clone(),
                zone,
                country: region.country,
                coordinates: match (region.latitude, region.longitude) {
                    (Some(latitude), Some(longitude)) => Some(Coordinates { latitude, longitude }),
                    _ => None,
                },
            })
        };
        let all = || provider.regions.iter().enumerate();
        Self {
            regions: provider.regions.iter().collect(),
            by_name: all().map(|(at, region)| (region.id.as_str(), at)).collect(),
            whole: provider.regions.iter().map(|region| place(region, None)).collect(),
            zones: all()
                .flat_map(|(at, region)| region.zones.iter().map(move |zone| (at, region, zone)))
                .map(|(at, region, zone)| ((at, zone.as_str()), place(region, Some(zone.clone()))))
                .collect(),
        }
    }

    fn region(&self, name: &str) -> CellResult<usize> {
        self.by_name.get(name).copied().ok_or_else(|| {
            let mut known: Vec<_> =
                self.regions.iter().map(|region| region.id.as_str()).take(limits::MAX_SUGGESTIONS).collect();
            if self.regions.len() > known.len() {
                known.push("another of the provider's JSON file");
            }
            ("region", format!("no region is called {name:?}; write one of {}, or *", known.join(", ")))
        })
    }

    /// The places of a row.
    pub(super) fn places(&self, row: &Row) -> CellResult<Vec<Arc<Place>>> {
        let names: Vec<&str> = row.region.split_whitespace().collect();
        check_once("region", &names)?;
        let regions: Vec<usize> = match row.region.as_str() {
            "*" => (0..self.regions.len()).collect(),
            _ => names.into_iter().map(|name| self.region(name)).collect::<Result<_, _>>()?,
        };
        if row.zone.is_empty() {
            return Ok(regions.into_iter().map(|at| self.whole[at].clone()).collect());
        }
        let [at] = regions[..] else {
            return Err(("zone", "zones go with one region; write a row for each region".to_owned()));
        };
        let names: Vec<&str> = row.zone.split_whitespace().collect();
        check_once("zone", &names)?;
        let zone = |name: &str| {
            self.zones.get(&(at, name)).cloned().ok_or_else(|| {
                let region = &self.regions[at].id;
                ("zone", format!("{region} has no zone {name:?}; add it to the provider's JSON file"))
            })
        };
        names.into_iter().map(zone).collect()
    }
}

fn check_once(column: &'static str, names: &[&str]) -> CellResult<()> {
    let mut known = BTreeSet::new();
    match names.iter().find(|name| !known.insert(**name)) {
        Some(name) => Err((column, format!("{name:?} is named twice; name it once"))),
        None => Ok(()),
    }
}
