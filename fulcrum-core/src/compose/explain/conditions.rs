//! The conditions of a blueprint, one by one: how to switch them off, and how to write them.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::options::ComposeOptions,
    model::{
        Blueprint, Charge, Component, ComponentId, Constraint, Filter, OfferKind, OfferMode, ProviderId,
        Relation, Replicas, Share, Sharing, text_values,
    },
};

/// One condition of a blueprint that can be switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Budget,
    /// A constraint, by its number in the blueprint.
    Constraint(usize),
    /// A clause of the blueprint's own filter, or of a component's.
    Clause(Option<ComponentId>, Clause),
    Need(ComponentId, Need),
    /// A setting that can cause a clash: another component gives it another value, it refers to another component, or
    /// some provider does not know it.
    Setting(ComponentId, String),
    /// A field that names another component.
    Relation(ComponentId, Relation),
    Replicas(ComponentId),
    /// A link, by its number.
    Link(usize),
    /// A component's users, by number.
    Users(ComponentId, usize),
    /// A running service that must stay, by number.
    Pinned(usize),
    MaxMoves,
    /// Components that nothing permits to share a machine.
    Unshared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Providers,
    Skus,
    Regions,
    Zones,
    Countries,
    Jurisdiction,
    Certifications,
    Attributes,
    MaxAge,
    Sovereignty,
    Within,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Vcpu,
    Memory,
    Disk,
    Gpu,
    Named,
}

const CLAUSES: [Clause; 11] = [
    Clause::Providers,
    Clause::Skus,
    Clause::Regions,
    Clause::Zones,
    Clause::Countries,
    Clause::Jurisdiction,
    Clause::Certifications,
    Clause::Attributes,
    Clause::MaxAge,
    Clause::Sovereignty,
    Clause::Within,
];
const NEEDS: [Need; 5] = [Need::Vcpu, Need::Memory, Need::Disk, Need::Gpu, Need::Named];

/// All conditions. Those that people give up last come first, so that the infeasible set avoids them if it can.
pub(super) fn all(catalogue: &Catalogue, blueprint: &Blueprint) -> Vec<Condition> {
    let components = || blueprint.components.iter();
    let needs = components().flat_map(|(name, component)| {
        NEEDS
            .into_iter()
            .filter(|need| need.is_set(component))
            .map(|need| Condition::Need(name.clone(), need))
    });
    let replicas = components()
        .filter(|(_, component)| component.replicas != Replicas::default())
        .map(|(name, _)| Condition::Replicas(name.clone()));
    let own = components().flat_map(|(name, component)| {
        let is_set = |clause: &Clause| clause.is_set(&component.filter);
        CLAUSES.into_iter().filter(is_set).map(|clause| Condition::Clause(Some(name.clone()), clause))
    });
    let global = CLAUSES
        .into_iter()
        .filter(|clause| clause.is_set(&blueprint.filter))
        .map(|clause| Condition::Clause(None, clause));
    let constraints = (0..blueprint.constraints.len())
        // Without its one_of a component is no longer optional, and a share permits something: the blueprint would be stricter.
        .filter(|at| !matches!(blueprint.constraints[*at], Constraint::OneOf(_) | Constraint::Share(_)))
        .map(Condition::Constraint);
    let settings = components().flat_map(|(name, component)| {
        let clashes = move |setting: &&String| {
            let value = &component.settings[*setting];
            let mut others = blueprint.components.values().filter_map(|other| other.settings.get(*setting));
            text_values(value).iter().any(|text| text.contains("${"))
                || others.any(|other| other != value)
                || catalogue
                    .declared_settings()
                    .any(|declared| !declared.admits(component.kind, setting, value))
        };
        // Without a setting that somebody needs the blueprint would be stricter.
        let is_needed =
            |setting: &&String| catalogue.declared_settings().any(|declared| declared.needs(setting));
        component
            .settings
            .keys()
            .filter(clashes)
            .filter(move |setting| !is_needed(setting))
            .map(|setting| Condition::Setting(name.clone(), setting.clone()))
    });
    let relations = components().flat_map(|(name, component)| {
        let is_needed = |relation: Relation| {
            catalogue.declared_settings().any(|declared| declared.needs(relation.word()))
        };
        let relations = component.relations().filter(move |(relation, _)| !is_needed(*relation));
        relations.map(|(relation, _)| Condition::Relation(name.clone(), relation))
    });
    let links = (0..blueprint.links.len()).map(Condition::Link);
    let users = components().flat_map(|(name, component)| {
        (0..component.users.len()).map(|at| Condition::Users(name.clone(), at))
    });
    let budget = blueprint.budget.map(|_| Condition::Budget);
    let running = &blueprint.running;
    let pinned = (0..running.services.len()).filter(|at| running.services[*at].pinned).map(Condition::Pinned);
    let moves = running.max_moves.map(|_| Condition::MaxMoves);
    let unshared = Sharing::of(blueprint).is_restricted().then_some(Condition::Unshared);
    needs
        .chain(replicas)
        .chain(own)
        .chain(global)
        .chain(constraints)
        .chain(settings)
        .chain(relations)
        .chain(links)
        .chain(users)
        .chain(pinned)
        .chain(moves)
        .chain(unshared)
        .chain(budget)
        .collect()
}

/// The same blueprint with some conditions switched off. Their numbers are those of `blueprint`.
pub(super) fn without<'c>(blueprint: &Blueprint, off: impl IntoIterator<Item = &'c Condition>) -> Blueprint {
    let mut rest = blueprint.clone();
    let mut is_off = vec![false; blueprint.constraints.len()];
    for condition in off {
        match condition {
            Condition::Constraint(at) => is_off[*at] = true,
            _ => condition.switch_off(&mut rest),
        }
    }
    // What implies a permission to share leaves the permission behind.
    let implies = |constraint: &Constraint| {
        matches!(constraint, Constraint::Affinity(_) | Constraint::FullDeployment(_))
    };
    let is_implied = blueprint.constraints.iter().zip(&is_off).any(|(one, is_off)| *is_off && implies(one));
    let implied = if is_implied { Sharing::of(blueprint).lists() } else { Vec::new() };
    let mut is_off = is_off.into_iter();
    rest.constraints.retain(|_| is_off.next() != Some(true));
    rest.constraints.extend(implied.into_iter().map(|list| Constraint::Share(Share::Among(list))));
    rest
}

impl Condition {
    /// Switches the condition off in a copy of the blueprint. Constraints keep their numbers; [`without`] removes
    /// them.
    fn switch_off(&self, blueprint: &mut Blueprint) {
        match self {
            Self::Constraint(_) => {}
            Self::Budget => blueprint.budget = None,
            Self::Pinned(at) => blueprint.running.services[*at].pinned = false,
            Self::MaxMoves => blueprint.running.max_moves = None,
            Self::Unshared => blueprint.constraints.push(Constraint::Share(Share::All)),
            Self::Clause(None, clause) => clause.clear(&mut blueprint.filter),
            Self::Clause(Some(name), clause) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    clause.clear(&mut component.filter);
                }
            }
            Self::Need(name, need) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    need.clear(component);
                }
            }
            Self::Setting(name, setting) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    component.settings.remove(setting);
                }
            }
            Self::Relation(name, relation) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    // What waits for the other one, or refers to it, does so still.
                    let other = component.related(*relation).cloned();
                    component.after.extend(other.filter(|other| !component.after.contains(other)));
                    component.clear_relation(*relation);
                }
            }
            Self::Replicas(name) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    component.replicas = Replicas::default();
                }
            }
            Self::Link(at) => (blueprint.links[*at].traffic_gib, blueprint.links[*at].max_ms) = (0, None),
            Self::Users(name, at) => {
                if let Some(component) = blueprint.components.get_mut(name) {
                    (component.users[*at].traffic_gib, component.users[*at].max_ms) = (0, None);
                }
            }
        }
    }

    /// The condition's place in the blueprint, and its text there.
    pub(super) fn text(&self, blueprint: &Blueprint) -> String {
        let shown = |value: serde_json::Value| value.to_string().replace('"', "");
        match self {
            Self::Budget => format!("budget: {}", blueprint.budget.unwrap_or_default()),
            Self::Pinned(at) => {
                format!("running.services[{at}].pinned: {}", blueprint.running.services[*at].id)
            }
            Self::Unshared => {
                "constraints: no `share: all`, so components have machines of their own".to_owned()
            }
            Self::MaxMoves => {
                format!("running.max_moves: {}", blueprint.running.max_moves.unwrap_or_default())
            }
            Self::Constraint(at) => {
                let json = serde_json::to_value(&blueprint.constraints[*at]).unwrap_or_default();
                format!("constraints[{at}]: {}", shown(json))
            }
            Self::Clause(component, clause) => {
                let (path, filter) = match component {
                    None => ("where".to_owned(), &blueprint.filter),
                    Some(name) => (format!("components.{name}.where"), &blueprint.components[name].filter),
                };
                let json = serde_json::to_value(filter).unwrap_or_default();
                format!("{path}.{}: {}", clause.word(), shown(json[clause.word()].clone()))
            }
            Self::Need(name, need) => format!("components.{name}.{}", need.text(&blueprint.components[name])),
            Self::Setting(name, setting) => {
                let value = &blueprint.components[name].settings[setting];
                let is_private = text_values(value).iter().any(|text| text.contains("PRIVATE KEY"));
                let value = if is_private { "a private key".to_owned() } else { shown(value.clone()) };
                format!("components.{name}.settings.{setting}: {value}")
            }
            Self::Relation(name, relation) => {
                let other = blueprint.components[name].related(*relation);
                let other = other.map(ComponentId::as_str).unwrap_or_default();
                format!("components.{name}.{relation}: {other}")
            }
            Self::Link(at) => {
                let json = serde_json::to_value(&blueprint.links[*at]).unwrap_or_default();
                format!("links[{at}]: {}", shown(json))
            }
            Self::Users(name, at) => {
                let json = serde_json::to_value(&blueprint.components[name].users[*at]).unwrap_or_default();
                format!("components.{name}.users[{at}]: {}", shown(json))
            }
            Self::Replicas(name) => {
                let Replicas { min, max } = blueprint.components[name].replicas;
                match max {
                    Some(max) if max == min => format!("components.{name}.replicas: {min}"),
                    Some(max) => format!("components.{name}.replicas: {min} to {max}"),
                    None => format!("components.{name}.replicas: at least {min}"),
                }
            }
        }
    }
}

impl Clause {
    fn word(self) -> &'static str {
        match self {
            Self::Providers => "providers",
            Self::Skus => "skus",
            Self::Regions => "regions",
            Self::Zones => "zones",
            Self::Countries => "countries",
            Self::Jurisdiction => "jurisdiction",
            Self::Certifications => "certifications",
            Self::Attributes => "attributes",
            Self::MaxAge => "max_age_days",
            Self::Sovereignty => "sovereignty",
            Self::Within => "within",
        }
    }

    fn is_set(self, filter: &Filter) -> bool {
        let mut without = filter.clone();
        self.clear(&mut without);
        without != *filter
    }

    fn clear(self, filter: &mut Filter) {
        match self {
            Self::Providers => filter.providers = Default::default(),
            Self::Skus => filter.skus = Default::default(),
            Self::Regions => filter.regions = Default::default(),
            Self::Zones => filter.zones = Default::default(),
            Self::Countries => filter.countries = Default::default(),
            Self::Jurisdiction => filter.jurisdiction = None,
            Self::Certifications => filter.certifications.clear(),
            Self::Attributes => filter.attributes.clear(),
            Self::MaxAge => filter.max_age_days = None,
            Self::Sovereignty => filter.sovereignty = None,
            Self::Within => filter.within = None,
        }
    }
}

impl Need {
    fn is_set(self, component: &Component) -> bool {
        let mut without = component.clone();
        self.clear(&mut without);
        without != *component
    }

    fn clear(self, component: &mut Component) {
        match self {
            Self::Vcpu => component.vcpu = Decimal::ZERO,
            Self::Memory => component.memory_mib = 0,
            // Of what is sold by the GiB some is needed.
            Self::Disk if component.kind != OfferKind::Machine => {
                component.disk_gib = component.disk_gib.min(1)
            }
            Self::Disk => component.disk_gib = 0,
            Self::Gpu => component.gpu = 0,
            Self::Named => component.resources.clear(),
        }
    }

    fn text(self, component: &Component) -> String {
        match self {
            Self::Vcpu => format!("vcpu: {}", component.vcpu),
            Self::Memory => format!("memory_mib: {}", component.memory_mib),
            Self::Disk => format!("disk_gib: {}", component.disk_gib),
            Self::Gpu => format!("gpu: {}", component.gpu),
            Self::Named => {
                let names: Vec<_> =
                    component.resources.iter().map(|(name, size)| format!("{name}: {size}")).collect();
                format!("resources: {}", names.join(", "))
            }
        }
    }
}

/// Names the offers without an exchange rate to the blueprint's currency.
fn unpriced(catalogue: &Catalogue, blueprint: &Blueprint) -> Option<String> {
    let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
    for ix in catalogue.ids() {
        let price = catalogue.price(ix);
        if catalogue.rates().convert(Decimal::ONE, price.currency, blueprint.currency).is_none() {
            *missing.entry(price.currency.code()).or_default() += 1;
        }
    }
    let (currency, count) = missing.into_iter().max_by_key(|(_, count)| *count)?;
    let own = blueprint.currency.code();
    let more = catalogue.refused_rates().unwrap_or("give the catalogue rates");
    Some(format!("{count} offers in {currency} have no exchange rate to {own} and are left out; {more}"))
}

/// The offers of a kind that the caller lets a plan lease.
fn admitted(
    catalogue: &Catalogue,
    kind: OfferKind,
    options: &ComposeOptions,
) -> impl Iterator<Item = OfferIx> {
    catalogue.ids().filter(move |ix| catalogue.kind(*ix) == kind && options.admits(catalogue, *ix))
}

/// Names a component with a setting that no seller of its kind knows, or of which none tells what others ask.
fn unmade(catalogue: &Catalogue, blueprint: &Blueprint, options: &ComposeOptions) -> Option<String> {
    blueprint.components.iter().zip(blueprint.interfaces()).find_map(|((name, component), interface)| {
        let mut first = None;
        for ix in admitted(catalogue, component.kind, options) {
            let unknown = catalogue.interface_fault(ix, &interface)?;
            first.get_or_insert(unknown);
        }
        Some(format!("nobody can make `{name}`: {}", first?))
    })
}

/// Names a component without a size, of a kind that is sold by size only.
fn unsized_volume(catalogue: &Catalogue, blueprint: &Blueprint, options: &ComposeOptions) -> Option<String> {
    let is_by_size = |ix| matches!(catalogue.price(ix).charge, Charge::PerUnit { .. });
    blueprint.components.iter().find_map(|(name, component)| {
        let is_unsized = component.kind != OfferKind::Machine && component.disk_gib == 0;
        (is_unsized && admitted(catalogue, component.kind, options).all(is_by_size))
            .then(|| format!("each {} for `{name}` is sold by the GiB; write its `disk_gib`", component.kind))
    })
}

/// How comparison tables take part in a plan.
pub(super) const ALLOW_ALL: &str = "a plan to compare, not to buy, may use it with the option `offers: all`";

/// Why a kind of product that a provider offers is not in a plan.
pub(super) fn not_accepted(provider: &ProviderId, kind: OfferKind) -> String {
    format!(
        "{provider}'s adapter was tried for a {kind} against documents alone; `accept: document` in the provider's configuration \
         sells it"
    )
}

/// A component whose kind only providers list that sell nothing here.
fn listed_only(catalogue: &Catalogue, blueprint: &Blueprint) -> Option<String> {
    blueprint.components.iter().find_map(|(name, component)| {
        let of_kind = || catalogue.ids().filter(|ix| catalogue.kind(*ix) == component.kind);
        if of_kind().any(|ix| catalogue.is_orderable(ix)) {
            return None;
        }
        if let Some(ix) = of_kind().find(|ix| catalogue.is_not_accepted(*ix)) {
            let why = not_accepted(&catalogue.place(ix).provider, component.kind);
            return Some(format!("no configured provider sells a {} for `{name}`: {why}", component.kind));
        }
        let lists: BTreeSet<&str> = of_kind().map(|ix| catalogue.place(ix).provider.as_str()).collect();
        let sellers: Vec<&str> = catalogue.sellers().iter().map(|seller| seller.as_str()).collect();
        let lists: Vec<&str> = lists.into_iter().collect();
        let incomplete = catalogue.incomplete_sources().map(|why| format!("; {why}")).unwrap_or_default();
        Some(format!(
            "no configured provider that sells ({}) offers a {} for `{name}`; {} only in a table, and {ALLOW_ALL}{incomplete}",
            sellers.join(", "),
            component.kind,
            match &*lists {
                [one] => format!("{one} lists one"),
                several => format!("{} list some", several.join(", ")),
            },
        ))
    })
}

/// Names an obvious cause: a kind that nobody sells, or the largest size in the catalogue.
pub(super) fn hint(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    kept: &[Condition],
) -> Option<String> {
    let unsold = blueprint
        .components
        .iter()
        .find(|(_, component)| !catalogue.ids().any(|ix| catalogue.kind(ix) == component.kind));
    if let Some((name, component)) = unsold {
        let more =
            catalogue.incomplete_sources().unwrap_or_else(|| "add a provider that sells it".to_owned());
        return Some(format!("the catalogue has no {} for `{name}`; {more}", component.kind));
    }
    if options.offer_mode(catalogue) == OfferMode::Orderable
        && let Some(hint) = listed_only(catalogue, blueprint)
    {
        return Some(hint);
    }
    let [Condition::Need(name, need)] = kept else {
        if let Some(hint) = unsized_volume(catalogue, blueprint, options) {
            return Some(hint);
        }
        return unmade(catalogue, blueprint, options).or_else(|| unpriced(catalogue, blueprint));
    };
    let component = &blueprint.components[name];
    let offers = || admitted(catalogue, component.kind, options).map(|ix| catalogue.capacity(ix));
    let largest = match need {
        Need::Vcpu => offers().map(|capacity| u64::from(capacity.vcpu_milli) / 1000).max(),
        Need::Memory => offers().map(|capacity| capacity.memory_mib).max(),
        Need::Disk => offers().map(|capacity| capacity.disk_gib).max(),
        Need::Gpu => offers().map(|capacity| u64::from(capacity.gpu)).max(),
        Need::Named => None,
    };
    largest.map(|largest| format!("the largest {} in the catalogue has {largest}", component.kind))
}
