//! What a provider cannot give is never planned there: random declarations of settings, against a catalogue and a blueprint that
//! deny by hand what a second reading of the declarations refuses.

use std::collections::{BTreeMap, BTreeSet};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::ComposeError,
    model::{Blueprint, DeclaredSettings, Offer, OfferKind, ProviderId},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::{
    brute::brute_force,
    random::{blueprint_with, catalogue, random_offers, seed, solve},
};

const NAMES: [&str; 4] = ["image", "ports", "disk", "public"];

fn type_of(name: &str) -> Value {
    match name {
        "image" => json!("text"),
        "ports" => json!({ "list": "number" }),
        "disk" => json!({ "choice": ["ssd", "hdd"] }),
        _ => json!("boolean"),
    }
}

/// A declaration of some settings, some of them of no machine, some of them needed.
fn declared(chance: &mut StdRng) -> Vec<Value> {
    let mut all = Vec::new();
    for name in NAMES {
        if chance.random_bool(0.85) {
            all.push(match chance.random_range(0..9) {
                0 => json!(name),
                1 => json!({ "name": name, "type": type_of(name), "kinds": ["database"] }),
                2 => json!({ "name": name, "type": type_of(name), "required": true }),
                _ => json!({ "name": name, "type": type_of(name), "kinds": ["machine", "kubernetes"] }),
            });
        }
    }
    all
}

/// A value of the type that such a setting has, or of another one.
fn value(chance: &mut StdRng, name: &str) -> Value {
    let right = [json!("x"), json!([22]), json!("ssd"), json!(true)];
    let at = NAMES.iter().position(|it| *it == name).unwrap_or_default();
    if chance.random_bool(0.95) { right[at].clone() } else { json!({ "odd": 1 }) }
}

/// The same by another way: whether a machine with these settings can be had.
fn is_taken(declared: &[Value], settings: &serde_json::Map<String, Value>) -> bool {
    let of_machine = |it: &&Value| {
        it.is_string()
            || it
                .get("kinds")
                .is_none_or(|kinds| kinds.as_array().expect("kinds").contains(&json!("machine")))
    };
    let name = |it: &Value| it.as_str().or(it["name"].as_str()).expect("a name").to_owned();
    let known: BTreeMap<String, &Value> =
        declared.iter().filter(of_machine).map(|it| (name(it), it)).collect();
    let all_known = settings
        .iter()
        .all(|(name, value)| known.get(name).is_some_and(|it| it.is_string() || !value.is_object()));
    let has_needed =
        known.iter().all(|(name, it)| it["required"] != json!(true) || settings.contains_key(name));
    all_known && has_needed
}

fn market(offers: &[Offer], declared: &BTreeMap<&str, Vec<Value>>) -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers.iter().cloned());
    for (provider, declared) in declared {
        let settings: DeclaredSettings = serde_json::from_value(json!(declared)).expect("declarations");
        builder.declare_settings(provider.parse().expect("a name"), settings);
    }
    builder.build()
}

#[test]
fn prop_what_a_provider_cannot_give_is_never_planned_there() {
    let seed = seed();
    let (mut planned, mut refused, mut denied) = (0, 0, 0);
    for case in 0..120u64 {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let offers = random_offers(&mut chance);
        let declared: BTreeMap<&str, Vec<Value>> =
            ["acme", "umbra"].into_iter().map(|provider| (provider, declared(&mut chance))).collect();
        let kinds = *[&["share_all"][..], &["unshared"]].choose(&mut chance).expect("one");
        let mut blueprint = blueprint_with(&mut chance, kinds, &mut BTreeMap::new());
        let mut by_hand = blueprint.clone();
        for (name, component) in &mut blueprint.components {
            for setting in NAMES {
                if chance.random_bool(0.3) {
                    component.settings.insert(setting.to_owned(), value(&mut chance, setting));
                }
            }
            let settings: serde_json::Map<String, Value> =
                component.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let twin = by_hand.components.get_mut(name).expect("the same");
            twin.settings = component.settings.clone();
            for (provider, declared) in &declared {
                if !is_taken(declared, &settings) {
                    twin.filter.providers.deny.push(provider.parse().expect("a name"));
                    denied += 1;
                }
            }
        }
        let context = || {
            format!(
                "FULCRUM_SEED={} {declared:?} {}",
                seed.wrapping_add(case),
                serde_json::to_string(&blueprint).expect("JSON")
            )
        };
        let expected = brute_force(&catalogue(offers.clone()), &by_hand);
        match solve(&market(&offers, &declared), &blueprint) {
            Ok(plan) => {
                planned += 1;
                assert_eq!(Some(vec![plan.objective]), expected, "{}", context());
                for lease in &plan.leases {
                    let is_denied = |provider: &ProviderId| {
                        lease
                            .replicas
                            .keys()
                            .any(|name| by_hand.components[name].filter.providers.deny.contains(provider))
                    };
                    assert!(!is_denied(&lease.place.provider), "{}", context());
                }
            }
            Err(ComposeError::Infeasible(set)) => {
                refused += 1;
                assert_eq!(expected, None, "{set}; {}", context());
            }
            Err(error) => panic!("{error}; {}", context()),
        }
    }
    println!("figure: {planned} planned, {refused} refused, {denied} times a provider could not give it");
    assert!(planned > 10 && refused > 10 && denied > 30, "{planned} {refused} {denied}");
}

#[test]
fn a_value_of_another_type_is_said_in_the_users_words() {
    let offers = random_offers(&mut StdRng::seed_from_u64(3));
    let sold: BTreeSet<&str> = offers.iter().map(|offer| offer.place.provider.as_str()).collect();
    let only = json!({ "name": "ports", "type": { "list": "number" }, "kinds": ["machine"] });
    let declared = sold.into_iter().map(|provider| (provider, vec![only.clone()])).collect();
    let catalogue = market(&offers, &declared);
    let blueprint = Blueprint::from_yaml(
        "{ name: x, components: { web: { vcpu: 1, replicas: 1, settings: { ports: ssh } } } }",
    )
    .expect("a blueprint");
    let why = solve(&catalogue, &blueprint).expect_err("no list of numbers").to_string();
    assert!(why.contains("takes the setting `ports` as a list of whole numbers"), "{why}");
    let schema =
        catalogue.settings_of(&"acme".parse().expect("a name")).expect("declared").schema(OfferKind::Machine);
    assert_eq!(schema["properties"]["ports"]["type"], "array");
}
