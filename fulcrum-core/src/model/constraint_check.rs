//! Checks a constraint against its blueprint.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use super::{Blueprint, ComponentId, Constraint, OfferKind};

const NO_COMPONENT: &str = "write at least one component";
const MAX_FACTOR: u64 = 1_000_000;

impl Constraint {
    pub(super) fn check(&self, blueprint: &Blueprint) -> Result<(), String> {
        for name in self.components() {
            if !blueprint.components.contains_key(name) {
                return Err(blueprint.unknown(name));
            }
        }
        let machines_only = |names: &[&ComponentId]| {
            let other =
                names.iter().find(|name| blueprint.components[name.as_str()].kind != OfferKind::Machine);
            other.map_or(Ok(()), |name| {
                Err(format!(
                    "`{name}` is not a machine, and only machines are shared; leave it out of this constraint"
                ))
            })
        };
        match self {
            Self::Count(count) => match (count.min, count.max, count.exactly) {
                (None, None, None) => Err("write min, max or exactly".to_owned()),
                (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                    Err("write exactly, or min and max".to_owned())
                }
                _ if count.components.is_empty() => Err(NO_COMPONENT.to_owned()),
                _ => Ok(()),
            },
            Self::Ratio(serves) => {
                let is_sane = |n: u32| n >= 1 && u64::from(n) <= MAX_FACTOR;
                if is_sane(serves.servers) && is_sane(serves.clients) {
                    Ok(())
                } else {
                    Err(format!("write servers and clients from 1 to {MAX_FACTOR}"))
                }
            }
            Self::Linear(linear) => {
                if linear.min.is_none() && linear.max.is_none() {
                    Err("write min or max".to_owned())
                } else if linear.terms.values().any(|factor| factor.unsigned_abs() > MAX_FACTOR)
                    || [linear.min, linear.max]
                        .into_iter()
                        .flatten()
                        .any(|n| n.unsigned_abs() > MAX_FACTOR * 1000)
                {
                    Err(format!("write factors up to {MAX_FACTOR} and bounds up to {}", MAX_FACTOR * 1000))
                } else {
                    Ok(())
                }
            }
            Self::OneOf(components) if components.len() < 2 => {
                Err("write at least two components".to_owned())
            }
            Self::OneOf(components) => {
                let mut known = BTreeSet::new();
                let twice = components.iter().find(|name| !known.insert(*name));
                twice.map_or(Ok(()), |name| Err(format!("`{name}` is named twice; name it once")))
            }
            Self::Share(share) => share.check().and_then(|()| machines_only(&self.components())),
            Self::AntiAffinity(conflict) if conflict.with.contains(&conflict.component) => {
                Err("a component cannot conflict with itself; write per_machine: 1 on it instead".to_owned())
            }
            Self::Affinity(colocate) if colocate.components.is_empty() => Err(NO_COMPONENT.to_owned()),
            Self::AntiAffinity(_) | Self::Affinity(_) | Self::FullDeployment(_) => {
                machines_only(&self.components())
            }
            Self::Spread(spread) if spread.components.is_empty() => Err(NO_COMPONENT.to_owned()),
            Self::Spread(spread) if spread.at_least == Some(0) => {
                Err("write at_least of 1 or more".to_owned())
            }
            Self::Spread(spread) => {
                let percent = spread.max_percent;
                if spread.at_least.is_none() && percent.is_none() {
                    Err("write at_least or max_percent".to_owned())
                } else if percent
                    .is_some_and(|p| p <= Decimal::ZERO || p > Decimal::ONE_HUNDRED || p.scale() > 2)
                {
                    Err("write max_percent above 0, up to 100, with at most two decimals".to_owned())
                } else {
                    Ok(())
                }
            }
            Self::FaultTolerance(survive) if survive.components.is_empty() => Err(NO_COMPONENT.to_owned()),
            Self::FaultTolerance(survive) if survive.remaining == 0 => {
                Err("write remaining of 1 or more".to_owned())
            }
            Self::FaultTolerance(_) => Ok(()),
            Self::MaxDistinct(distinct) if distinct.at_most == 0 => {
                Err("write at_most of 1 or more".to_owned())
            }
            Self::MaxDistinct(_) => Ok(()),
            Self::Limit(limit) if limit.measure.is_some() == limit.resource.is_some() => {
                Err("write either a measure or a resource".to_owned())
            }
            Self::Limit(limit) if !(Decimal::ZERO..=Decimal::from(1_000_000_000)).contains(&limit.max) => {
                Err("write a max from 0 to 1000000000".to_owned())
            }
            Self::Limit(limit) if limit.measure.is_some() && !limit.components.is_empty() => {
                Err("a measure is of the whole plan; leave the components out".to_owned())
            }
            Self::Limit(_) => Ok(()),
        }
    }
}
