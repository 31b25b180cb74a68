//! What is kept stays with what it belongs to: nothing is made anew for it, in a plan for what runs and in a fail-over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Signal, compose, verify::verify},
    ledger::SqliteLedger,
    model::{
        Blueprint, FailOver, Offer, Order, OrderState, Plan, Policy, Running, ServiceId, StepState,
        parse_json,
    },
    provider::{
        Call,
        sandbox::{Fault, FaultRule, Sandbox},
        table::Table,
    },
    purchase::Engine,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::support::{providers, seed::seed};

/// Two zones and two regions; disks for zones and for regions; two of each product.
fn offers() -> Vec<Offer> {
    let provider = r#"{"id": "alpha", "name": "alpha", "legal_name": "alpha GmbH", "country": "DE",
        "regions": [{"id": "north", "country": "DE", "zones": ["n1", "n2"]}, {"id": "south", "country": "DE"}]}"#;
    let mut csv = "kind,sku,region,zone,vcpu,memory_mib,disk_gib,monthly,unit,unit_price,currency,tax,observed,source\n"
        .to_owned();
    let mut row = |kind: &str, sku: &str, place: &str, shape: &str, price: &str| {
        csv += &format!("{kind},{sku},{place},{shape},{price},EUR,net,2026-11-01,a test\n");
    };
    for (number, place) in ["north,n1", "north,n2", "south,"].into_iter().enumerate() {
        for (sku, shape, price) in
            [("small", "2,4096,40", 10), ("mid", "2,4096,40", 11), ("big", "4,8192,40", 15)]
        {
            row("machine", sku, place, shape, &format!("{},,", price + number));
        }
        row("block_storage", "slow", place, ",,", &format!(",GiB-month,0.0{}", number + 1));
        row("block_storage", "fast", place, ",,", &format!(",GiB-month,0.0{}", number + 2));
    }
    for place in ["north,", "south,"] {
        for (kind, price) in [("load_balancer", 5), ("network", 0), ("public_ip", 3)] {
            row(kind, kind, place, ",,", &format!("{price},,"));
            row(kind, &format!("{kind}-2"), place, ",,", &format!("{},,", price + 1));
        }
        row("database", "database", place, ",,", "5,,");
    }
    let table = Table::from_csv(&parse_json(provider).expect("a provider"), &csv).expect("a table");
    assert!(table.rejected.is_empty() && table.quarantined.is_empty(), "{table:?}");
    table.offers
}

fn catalogue() -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers());
    builder.build()
}

fn blueprint(text: &str) -> Blueprint {
    Blueprint::from_yaml(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn composed(catalogue: &Catalogue, blueprint: &Blueprint) -> Option<Plan> {
    match compose(catalogue, blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue) {
        Ok(plan) => Some(plan),
        Err(ComposeError::Infeasible(_)) => None,
        Err(error) => panic!("{error}: {}", serde_json::to_string(blueprint).expect("JSON")),
    }
}

fn planned(text: &str) -> Plan {
    composed(&catalogue(), &blueprint(text)).expect("a plan")
}

async fn market(faults: &[FaultRule]) -> (Vec<Sandbox>, Engine) {
    let builder = Sandbox::builder("alpha".parse().expect("a name"), offers());
    let clouds = vec![faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone())).build()];
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    (clouds, engine)
}

fn sold_out(sku: &str, nth: u32) -> FaultRule {
    let sku = Some(sku.parse().expect("a name"));
    FaultRule { call: Call::Provision, sku, nth, times: 1000, fault: Fault::SoldOut }
}

/// A shop with all relations, of random sizes.
fn random_shop(chance: &mut StdRng) -> Blueprint {
    let (web, api) = (chance.random_range(1..4), chance.random_range(1..3));
    let per_machine = ["", ", per_machine: 2"].choose(chance).copied().unwrap_or_default();
    let spread = ["", "region", "zone"].choose(chance).copied().filter(|over| web > 1 && !over.is_empty());
    let spread = spread.map(|over| format!("spread: {{ components: [web], over: {over}, at_least: 2 }}"));
    let share = chance.random_bool(0.3).then(|| "share: all".to_owned());
    let network = ["", ", network: net"].choose(chance).copied().unwrap_or_default();
    let constraints: Vec<String> = spread.into_iter().chain(share).collect();
    blueprint(&format!(
        "{{ name: shop, constraints: [ {} ], components: {{
            net: {{ kind: network }},
            web: {{ vcpu: 1, replicas: {web}, network: net{per_machine} }},
            api: {{ vcpu: 1, replicas: {api}{network} }},
            web-disk: {{ kind: block_storage, disk_gib: 10, attach: web }},
            api-disk: {{ kind: block_storage, disk_gib: 10, attach: api }},
            address: {{ kind: public_ip, attach: web }},
            balancer: {{ kind: load_balancer, targets: web, network: net }},
            inner: {{ kind: load_balancer, targets: api }} }} }}",
        constraints.join(", ")
    ))
}

/// What is kept and attached is attached to what it was.
fn assert_attached_as_before(blueprint: &Blueprint, plan: &Plan, at: &str) {
    for lease in &plan.leases {
        let Some(service) = blueprint.running.services.iter().find(|it| lease.keeps.as_ref() == Some(&it.id))
        else {
            continue;
        };
        if let Some(to) = lease.partners.get("attach") {
            assert_eq!(plan.leases[to[0] as usize].keeps, service.attach, "{at}: {}", service.id);
        }
    }
}

#[test]
fn prop_a_plan_for_what_runs_moves_no_disk() {
    let (seed, catalogue) = (seed(), catalogue());
    let (mut kept, mut cases) = (0, 0);
    for case in 0..80 {
        let at = format!("FULCRUM_SEED={}", seed.wrapping_add(case));
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let Some(before) = composed(&catalogue, &random_shop(&mut chance)) else { continue };
        let mut again = random_shop(&mut chance);
        again.running = Running::of_plan(&before);
        again.running.move_cost = 3.into();
        again.running.services.retain(|_| chance.random_range(0..5) > 0);
        let Some(plan) = composed(&catalogue, &again) else { continue };
        assert_attached_as_before(&again, &plan, &at);
        cases += 1;
        kept +=
            plan.leases.iter().filter(|it| it.keeps.is_some() && it.partners.contains_key("attach")).count();
    }
    println!("{kept} disks and addresses are kept in {cases} plans");
    assert!(kept > 40, "{kept}");
}

/// The ids of the services that the leases of an order's last plan are.
fn services(order: &Order) -> Vec<String> {
    let bought = order.plan.leases.iter().filter(|lease| lease.keeps.is_none()).count();
    let mut made = order.steps[order.steps.len() - bought..].iter().map(|step| match &step.state {
        StepState::Committed { service } => service.id.to_string(),
        other => panic!("{other:?}"),
    });
    let mut id = |kept: &Option<ServiceId>| match kept {
        Some(kept) => kept.as_str().trim_start_matches("alpha/").to_owned(),
        None => made.next().expect("a step"),
    };
    order.plan.leases.iter().map(|lease| id(&lease.keeps)).collect()
}

/// Orders that add to what runs, and fail over: each service was made with what the last plan says.
#[tokio::test]
async fn prop_a_fail_over_leaves_everything_with_what_it_was_made_with() {
    let (seed, catalogue) = (seed(), catalogue());
    let (mut committed, mut rounds, mut refused) = (0, 0, 0);
    for case in 0..150 {
        let at = format!("FULCRUM_SEED={}", seed.wrapping_add(case));
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let mut shop = random_shop(&mut chance);
        // In one case of two something runs already.
        if chance.random_bool(0.5) {
            let Some(before) = composed(&catalogue, &random_shop(&mut chance)) else { continue };
            shop.running = Running::of_plan(&before);
            shop.running.move_cost = 1.into();
            shop.running.services.retain(|_| chance.random_bool(0.5));
        }
        let Some(plan) = composed(&catalogue, &shop) else { continue };
        let skus = ["small", "mid", "big", "slow", "fast", "load_balancer", "public_ip"];
        let faults: Vec<_> = (0..chance.random_range(1..4))
            .map(|_| sold_out(skus.choose(&mut chance).expect("one"), chance.random_range(1..4)))
            .collect();
        let (clouds, engine) = market(&faults).await;
        let policy =
            Policy::default().with_fail_over(FailOver::new(shop.clone()).with_max_rise_percent(500.into()));
        let Ok(order) = engine.accept(plan, policy, None).await else {
            refused += 1;
            continue;
        };
        let order = engine.drive(&order.id).await.expect("driven");
        rounds += order.rounds.len();
        engine
            .export(&order.id)
            .await
            .expect("an archive")
            .verify()
            .unwrap_or_else(|why| panic!("{at}: {why}"));
        if order.state != OrderState::Committed {
            continue;
        }
        committed += 1;
        assert_attached_as_before(&shop, &order.plan, &at);
        let ids = services(&order);
        let resources = clouds[0].resources().expect("state");
        let made: BTreeMap<_, _> =
            resources.iter().map(|it| (it.service.id.to_string(), &it.service.attributes)).collect();
        for (lease, id) in order.plan.leases.iter().zip(&ids) {
            let Some(attributes) = made.get(id) else { continue };
            for (word, to) in &lease.partners {
                let wanted: BTreeSet<&str> = to.iter().map(|to| ids[*to as usize].as_str()).collect();
                let real: BTreeSet<&str> = attributes[word].split(',').collect();
                assert_eq!(real, wanted, "{at}: {word} of {}", lease.sku);
            }
        }
    }
    println!("{committed} committed after {rounds} fail-overs, {refused} refused");
    assert!(committed > 40 && rounds > 20, "{committed} committed after {rounds} fail-overs");
}

/// One of two pairs is enough: the cheaper machine with the dearer disk, as they belong together.
#[test]
fn of_two_pairs_one_is_kept_whole() {
    let shop = blueprint(
        "{ name: shop, components: { db: { vcpu: 2, replicas: 1 }, disk: { kind: block_storage, disk_gib: 10, attach: db } },
           running: { move_cost: 100, services: [
             { id: m1, offer: alpha/south/big, replicas: { db: 1 } },
             { id: m2, offer: alpha/south/small, replicas: { db: 1 } },
             { id: d1, offer: alpha/south/slow, replicas: { disk: 1 }, size_gib: 10, attach: m1 },
             { id: d2, offer: alpha/south/fast, replicas: { disk: 1 }, size_gib: 10, attach: m2 } ] } }",
    );
    let plan = composed(&catalogue(), &shop).expect("a plan");
    let kept: BTreeSet<&str> =
        plan.leases.iter().filter_map(|lease| lease.keeps.as_ref()).map(|id| id.as_str()).collect();
    assert_eq!(kept, ["d2", "m2"].into());
    // A plan that mixes the pairs is found out.
    let mut lie = plan.clone();
    let disk = lie.leases.iter_mut().find(|lease| lease.sku.as_str() == "fast").expect("a disk");
    disk.keeps = Some("d1".parse().expect("a name"));
    assert!(verify(&catalogue(), &shop, &lie).is_err());
}

#[test]
fn a_disk_whose_machine_is_gone_is_not_kept() {
    let with = |attach: &str| {
        planned(&format!(
            "{{ name: shop, components: {{ db: {{ vcpu: 2, replicas: 1 }}, disk: {{ kind: block_storage, disk_gib: 10, attach: db }} }},
               running: {{ move_cost: 100, services: [
                 {{ id: m, offer: alpha/south/small, replicas: {{ db: 1 }} }},
                 {{ id: d, offer: alpha/south/slow, replicas: {{ disk: 1 }}, size_gib: 10{attach} }} ] }} }}"
        ))
    };
    let is_kept = |plan: &Plan, id: &str| {
        plan.leases.iter().any(|it| it.keeps.as_ref().is_some_and(|it| it.as_str() == id))
    };
    assert!(is_kept(&with(", attach: m"), "d"));
    for attach in ["", ", attach: gone"] {
        assert!(!is_kept(&with(attach), "d"), "{attach}");
    }
}

#[tokio::test]
async fn a_load_balancer_does_without_a_machine_that_may_miss() {
    let plan = planned(
        "{ name: shop, components: { web: { vcpu: 2, replicas: 3, where: { regions: { allow: [south] } } },
             lb: { kind: load_balancer, targets: web } } }",
    );
    let (clouds, engine) = market(&[sold_out("small", 3)]).await;
    let policy = Policy::default().with_optional_components(["web".parse().expect("a name")].into());
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let resources = clouds[0].resources().expect("state");
    let targets = resources.iter().find_map(|it| it.service.attributes.get("targets")).expect("a balancer");
    assert_eq!(targets.split(',').count(), 2, "{targets}");
}

/// Without a blueprint at hand, too.
#[tokio::test]
async fn a_disk_is_attached_to_one_machine_and_a_machine_has_one() {
    let plan = planned(
        "{ name: shop, components: { db: { vcpu: 2, replicas: 2, where: { regions: { allow: [south] } } },
             disk: { kind: block_storage, disk_gib: 10, attach: db } } }",
    );
    let machines: Vec<u32> =
        (0..).zip(&plan.leases).filter(|(_, lease)| lease.partners.is_empty()).map(|(at, _)| at).collect();
    let (_clouds, engine) = market(&[]).await;
    for lie in [machines.clone(), vec![machines[0]; 2], vec![machines[0]], vec![machines[0]; 100_000]] {
        let mut plan = plan.clone();
        let disks = plan.leases.iter_mut().filter_map(|lease| lease.partners.get_mut("attach"));
        disks.for_each(|positions| positions.clone_from(&lie));
        let why = engine.accept(plan, Policy::default(), None).await.expect_err("refused").to_string();
        assert!(why.contains("partners.attach"), "{why}");
    }
}

#[test]
fn what_belongs_to_what_is_left_out_is_left_out() {
    let plan = planned(
        "{ name: shop, components: { a: { vcpu: 2, replicas: 2 }, b: { vcpu: 1, replicas: 1 },
             disk: { kind: block_storage, disk_gib: 10, attach: a }, lb: { kind: load_balancer, targets: a },
             other: { kind: block_storage, disk_gib: 10, attach: b } }, constraints: [ one_of: [a, b] ] }",
    );
    let names: BTreeSet<&str> =
        plan.leases.iter().flat_map(|lease| lease.replicas.keys()).map(|name| name.as_str()).collect();
    assert_eq!(names, ["b", "other"].into());
}

#[test]
fn a_part_without_a_number_follows_its_whole() {
    let plan = planned(
        "{ name: shop, components: { web: { vcpu: 2, replicas: 300 }, address: { kind: public_ip, attach: web } } }",
    );
    let addresses = plan.leases.iter().filter(|lease| lease.sku.as_str() == "public_ip").count();
    assert_eq!(addresses, 300);
}

/// Of a service that ran before only the id is known: that is said before anything is bought.
#[tokio::test]
async fn an_attribute_of_what_is_kept_is_refused() {
    let plan = planned(
        "{ name: shop, components: { db: { kind: database, replicas: 1 },
             web: { vcpu: 2, after: [db], settings: { user_data: \"${db.host}\" } } },
           running: { move_cost: 100, services: [ { id: pg, offer: alpha/south/database, replicas: { db: 1 } } ] } }",
    );
    let (_clouds, engine) = market(&[]).await;
    let why = engine.accept(plan, Policy::default(), None).await.expect_err("refused").to_string();
    assert!(why.contains("refers to `host` of db, which it keeps"), "{why}");
}
