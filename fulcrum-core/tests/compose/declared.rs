//! What a provider cannot give is never planned there: random declarations of settings and random offers that decide some of them,
//! against a catalogue whose offers say by an attribute for each component what a second reading of the declarations admits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::ComposeError,
    model::{Blueprint, DeclaredSettings, Offer, OfferKind},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::{
    brute::brute_force,
    random::{blueprint_with, catalogue, random_offers, seed, solve},
};

const NAMES: [&str; 5] = ["image", "ports", "disk", "public_ipv4", "public"];

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
                3..6 => json!({ "name": name, "type": type_of(name), "portable": true }),
                _ => json!({ "name": name, "type": type_of(name), "kinds": ["machine", "kubernetes"] }),
            });
        }
    }
    all
}

/// A value of the type that such a setting has, or of another one.
fn value(chance: &mut StdRng, name: &str) -> Value {
    let right = [
        json!("x"),
        json!([22]),
        json!(["ssd", "hdd"].choose(chance).expect("one")),
        json!(chance.random_bool(0.5)),
        json!(true),
    ];
    let at = NAMES.iter().position(|it| *it == name).unwrap_or_default();
    if chance.random_bool(0.95) { right[at].clone() } else { odd() }
}

/// A value of none of these types. An object would be settings for one provider, which stand against those who have none.
fn odd() -> Value {
    json!([["odd"]])
}

/// An offer that may tell of its disk and of its address.
fn marked(chance: &mut StdRng, offer: Offer) -> Offer {
    let mut attributes = (*offer.attributes).clone();
    for (name, values) in
        [("media", &["ssd", "nvme", "hdd"][..]), ("public_ipv4", &["none", "extra", "included"])]
    {
        if chance.random_bool(0.6) {
            attributes.insert(name.to_owned(), (*values.choose(chance).expect("one")).to_owned());
        }
    }
    Offer { attributes: attributes.into(), ..offer }
}

/// What an offer decides by its attributes, read once more.
fn is_decided_so(declared: &[Value], offer: &Offer, settings: &serde_json::Map<String, Value>) -> bool {
    let is_portable =
        |name: &str| declared.iter().any(|it| it["name"] == json!(name) && it["portable"] == json!(true));
    let told = |name: &str| offer.attributes.get(name).map_or("", String::as_str);
    let disk = match (settings.get("disk").and_then(Value::as_str), told("media")) {
        (Some("ssd"), media) => media == "ssd" || media == "nvme",
        (Some("hdd"), media) => media == "hdd",
        _ => true,
    };
    let address = match (settings.get("public_ipv4"), told("public_ipv4")) {
        (_, "") => true,
        (Some(Value::Bool(false)), told) => told == "none",
        (_, told) => told != "none",
    };
    (disk || !is_portable("disk")) && (address || !is_portable("public_ipv4"))
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
        .all(|(name, value)| known.get(name).is_some_and(|it| it.is_string() || *value != odd()));
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
        let offers: Vec<Offer> =
            random_offers(&mut chance).into_iter().map(|offer| marked(&mut chance, offer)).collect();
        let mut by_hand: Vec<Offer> = offers.clone();
        let declared: BTreeMap<&str, Vec<Value>> =
            ["acme", "umbra"].into_iter().map(|provider| (provider, declared(&mut chance))).collect();
        let kinds = *[&["share_all"][..], &["unshared"]].choose(&mut chance).expect("one");
        let mut blueprint = blueprint_with(&mut chance, kinds, &mut BTreeMap::new());
        let mut twin = blueprint.clone();
        for (name, component) in &mut blueprint.components {
            for setting in NAMES {
                if chance.random_bool(0.3) {
                    component.settings.insert(setting.to_owned(), value(&mut chance, setting));
                }
            }
            let settings: serde_json::Map<String, Value> =
                component.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let component_twin = twin.components.get_mut(name).expect("the same");
            component_twin.settings = component.settings.clone();
            component_twin.filter.attributes.insert(format!("fits {name}"), "yes".to_owned());
            for offer in &mut by_hand {
                let declared = declared.get(offer.place.provider.as_str());
                let fits = declared.is_none_or(|declared| {
                    is_taken(declared, &settings) && is_decided_so(declared, offer, &settings)
                });
                denied += usize::from(!fits);
                let mut attributes = (*offer.attributes).clone();
                attributes.insert(format!("fits {name}"), if fits { "yes" } else { "no" }.to_owned());
                offer.attributes = attributes.into();
            }
        }
        // The other catalogue knows by these attributes alone.
        for offer in &mut by_hand {
            let attributes = offer.attributes.iter().filter(|(name, _)| name.starts_with("fits "));
            offer.attributes =
                Arc::new(attributes.map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        let context = || {
            format!(
                "FULCRUM_SEED={} {declared:?} {}",
                seed.wrapping_add(case),
                serde_json::to_string(&blueprint).expect("JSON")
            )
        };
        let expected = brute_force(&catalogue(by_hand.clone()), &twin);
        match solve(&market(&offers, &declared), &blueprint) {
            Ok(plan) => {
                planned += 1;
                assert_eq!(Some(vec![plan.objective]), expected, "{}", context());
                for lease in &plan.leases {
                    let offer = by_hand.iter().find(|offer| offer.id() == lease.offer).expect("it is sold");
                    for name in lease.replicas.keys() {
                        assert_eq!(offer.attributes[&format!("fits {name}")], "yes", "{}", context());
                    }
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
