//! What belongs together is bought together: each service is made with the services that stand beside it, and with no others.

use std::{collections::BTreeMap, sync::Arc};

use crate::support::{providers, seed::seed};
use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose, verify::verify},
    ledger::SqliteLedger,
    model::{Blueprint, FailOver, Offer, OrderState, Plan, Policy, Running, Service, digest_of, parse_json},
    provider::{
        Call,
        sandbox::{Fault, FaultRule, Sandbox},
        table::Table,
    },
    purchase::{Engine, PurchaseError},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;

/// All kinds in two regions; machines and disks in two zones of the first.
fn offers() -> Vec<Offer> {
    let provider = r#"{"id": "alpha", "name": "alpha", "legal_name": "alpha GmbH", "country": "DE",
        "regions": [{"id": "north", "country": "DE", "zones": ["n1", "n2"]}, {"id": "south", "country": "DE"}]}"#;
    let csv = "kind,sku,region,zone,vcpu,memory_mib,disk_gib,monthly,unit,unit_price,currency,tax,stock,observed,source\n\
        machine,small,north,n1,2,4096,40,10,,,EUR,net,1,2026-11-01,a test\n\
        machine,small,north,n2,2,4096,40,11,,,EUR,net,,2026-11-01,a test\n\
        machine,small,south,,2,4096,40,12,,,EUR,net,,2026-11-01,a test\n\
        block_storage,slow,north,n1,,,,,GiB-month,0.01,EUR,net,,2026-11-01,a test\n\
        block_storage,slow,north,n2,,,,,GiB-month,0.01,EUR,net,,2026-11-01,a test\n\
        block_storage,fast,north,n1,,,,,GiB-month,0.02,EUR,net,,2026-11-01,a test\n\
        block_storage,fast,north,n2,,,,,GiB-month,0.02,EUR,net,,2026-11-01,a test\n\
        block_storage,slow,south,,,,,,GiB-month,0.03,EUR,net,,2026-11-01,a test\n\
        load_balancer,lb,north,,,,,5,,,EUR,net,,2026-11-01,a test\n\
        load_balancer,lb,south,,,,,1,,,EUR,net,,2026-11-01,a test\n\
        network,net,north,,,,,0,,,EUR,net,,2026-11-01,a test\n\
        network,net,south,,,,,0,,,EUR,net,,2026-11-01,a test\n\
        public_ip,ip,north,,,,,3,,,EUR,net,,2026-11-01,a test\n\
        public_ip,ip,south,,,,,3,,,EUR,net,,2026-11-01,a test\n\
        kubernetes,k8s,north,,,,,4,,,EUR,net,,2026-11-01,a test\n\
        kubernetes,k8s,south,,,,,9,,,EUR,net,,2026-11-01,a test\n";
    let table = Table::from_csv(&parse_json(provider).expect("a provider"), csv).expect("a table");
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

fn planned(blueprint: &Blueprint) -> Plan {
    let plan = compose(&catalogue(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    plan.expect("a plan")
}

/// Two of each in the north, and one in the south.
const SHOP: &str = "{ name: shop, components: {
    net: { kind: network },
    web: { vcpu: 2, replicas: 3, network: net, nodes_of: cluster },
    cluster: { kind: kubernetes, network: net },
    disk: { kind: block_storage, disk_gib: 10, attach: web },
    address: { kind: public_ip, attach: web },
    lb: { kind: load_balancer, targets: web, network: net } },
  constraints: [ spread: { components: [web], over: region, at_least: 2 } ] }";

struct Bought {
    clouds: Vec<Sandbox>,
    engine: Engine,
}

async fn market(faults: &[FaultRule]) -> Bought {
    let builder = Sandbox::builder("alpha".parse().expect("a name"), offers());
    let clouds = vec![faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone())).build()];
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    Bought { clouds, engine }
}

impl Bought {
    /// What exists, by id.
    fn services(&self) -> BTreeMap<String, Service> {
        let now = jiff::Timestamp::now();
        let all = self.clouds[0].resources().expect("state").into_iter();
        let alive = all.filter(|resource| resource.exists(now)).map(|resource| resource.service);
        alive.map(|service| (service.id.to_string(), service)).collect()
    }

    /// The services with which each of a product was made: its place, and theirs.
    fn partners(&self, sku: &str, relation: &str) -> Vec<(Service, Vec<Service>)> {
        let services = self.services();
        let of_sku = services.values().filter(|service| service.sku.as_str() == sku);
        of_sku
            .map(|service| {
                let ids = service.attributes.get(relation).unwrap_or_else(|| panic!("{service:?}"));
                (service.clone(), ids.split(',').map(|id| services[id].clone()).collect())
            })
            .collect()
    }
}

#[tokio::test]
async fn each_service_is_made_with_those_that_stand_beside_it() {
    let (shop, bought) = (blueprint(SHOP), market(&[]).await);
    let plan = planned(&shop);
    let order = bought.engine.accept(plan, Policy::default(), None).await.expect("accepted");
    let order = bought.engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let mut attached = Vec::new();
    for (sku, relation, to) in [
        ("slow", "attach", "small"),
        ("ip", "attach", "small"),
        ("lb", "targets", "small"),
        ("lb", "network", "net"),
        ("small", "network", "net"),
        ("k8s", "network", "net"),
        ("small", "nodes_of", "k8s"),
    ] {
        for (service, partners) in bought.partners(sku, relation) {
            for partner in &partners {
                assert_eq!(
                    (&partner.place.region, partner.sku.as_str()),
                    (&service.place.region, to),
                    "{sku}"
                );
            }
            let is_north = service.place.region.as_str() == "north";
            let count = if relation == "targets" && is_north { 2 } else { 1 };
            assert_eq!(partners.len(), count, "{sku} in {}", service.place);
            if sku == "slow" {
                assert_eq!(partners[0].place.zone, service.place.zone);
                attached.push(partners[0].id.clone());
            }
        }
    }
    attached.sort();
    attached.dedup();
    assert_eq!(attached.len(), 3, "each machine has a disk of its own");
    assert_eq!(bought.partners("lb", "targets").len(), 2);
}

/// The second disk cannot be had as planned; another one is attached to the machine that has none.
#[tokio::test]
async fn after_a_fail_over_each_machine_has_its_disk() {
    let shop = blueprint(
        "{ name: shop, components: { db: { vcpu: 2, replicas: 2, where: { regions: { allow: [north] } } },
             disk: { kind: block_storage, disk_gib: 10, attach: db } } }",
    );
    for nth in [1, 2] {
        let sku = Some("slow".parse().expect("a name"));
        let rule = FaultRule { call: Call::Provision, sku, nth, times: 1000, fault: Fault::SoldOut };
        let bought = market(&[rule]).await;
        let fail_over = FailOver::new(shop.clone()).with_max_rise_percent(Decimal::from(500));
        let policy = Policy::default().with_fail_over(fail_over);
        let order = bought.engine.accept(planned(&shop), policy, None).await.expect("accepted");
        let order = bought.engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        assert!(!order.rounds.is_empty());
        let mut of_disk: Vec<_> = ["slow", "fast"]
            .iter()
            .flat_map(|sku| bought.partners(sku, "attach"))
            .map(|(disk, to)| {
                assert_eq!(disk.place.zone, to[0].place.zone);
                to[0].id.clone()
            })
            .collect();
        of_disk.sort();
        of_disk.dedup();
        assert_eq!(of_disk.len(), 2, "each machine has a disk of its own");
        // What runs says so, and a plan for it changes nothing.
        let mut again = shop.clone();
        again.running = Running::of_order(&order);
        again.running.services.iter_mut().for_each(|service| service.pinned = true);
        assert_eq!(again.running.services.iter().filter(|service| service.attach.is_some()).count(), 2);
        let plan = planned(&again);
        assert!(plan.leases.iter().all(|lease| lease.keeps.is_some()), "{:?}", plan.leases);
        for lease in &plan.leases {
            let running = again.running.services.iter().find(|it| lease.keeps.as_ref() == Some(&it.id));
            let to = lease.partners.get("attach").map(|to| &plan.leases[to[0] as usize]);
            assert_eq!(to.and_then(|to| to.keeps.as_ref()), running.expect("it runs").attach.as_ref());
        }
        let archive = bought.engine.export(&order.id).await.expect("an archive");
        archive.verify().expect("it is whole");
    }
}

/// Two machines of one zone ran before; the plan keeps what is attached to which.
#[test]
fn a_plan_keeps_what_is_attached_to_which() {
    let shop = |attach: [&str; 2]| {
        let [first, second] = attach;
        blueprint(&format!(
            "{{ name: shop, components: {{ db: {{ vcpu: 2, replicas: 3 }},
                 disk: {{ kind: block_storage, disk_gib: 10, attach: db }} }},
               running: {{ services: [
                 {{ id: m1, offer: alpha/north/n2/small, replicas: {{ db: 1 }}, pinned: true }},
                 {{ id: m2, offer: alpha/north/n2/small, replicas: {{ db: 1 }}, pinned: true }},
                 {{ id: d1, offer: alpha/north/n2/slow, replicas: {{ disk: 1 }}, size_gib: 10, pinned: true, attach: {first} }},
                 {{ id: d2, offer: alpha/north/n2/slow, replicas: {{ disk: 1 }}, size_gib: 10, pinned: true, attach: {second} }} ] }} }}"
        ))
    };
    for attach in [["m1", "m2"], ["m2", "m1"]] {
        let plan = planned(&shop(attach));
        let kept = |id: &str| {
            let lease =
                plan.leases.iter().find(|lease| lease.keeps.as_ref().is_some_and(|it| it.as_str() == id));
            let to = lease.expect("it is kept").partners["attach"][0] as usize;
            plan.leases[to].keeps.as_ref().expect("it ran").to_string()
        };
        assert_eq!([kept("d1"), kept("d2")], attach);
    }
}

/// A stranger's plan is refused where it says what cannot be, also by an engine that knows no blueprint.
#[tokio::test]
async fn a_plan_that_names_other_partners_is_refused() {
    let seed = seed();
    let shop = blueprint(SHOP);
    let plan = planned(&shop);
    let bought = market(&[]).await;
    let is_north = |at: usize| plan.leases[at].place.region.as_str() == "north";
    let (mut refused, mut found) = (0, 0);
    for case in 0..300 {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let mut lie = plan.clone();
        let at = chance.random_range(0..lie.leases.len());
        let Some((word, positions)) = lie.leases[at].partners.iter_mut().nth(chance.random_range(0..2))
        else {
            continue;
        };
        let word = word.clone();
        let before = positions.clone();
        match chance.random_range(0..5) {
            0 => positions.clear(),
            1 => positions[0] = chance.random_range(0..plan.leases.len() as u32 + 2),
            2 => positions.push(chance.random_range(0..plan.leases.len() as u32)),
            3 => drop(positions.pop()),
            _ => drop(lie.leases[at].partners.remove(&word)),
        }
        if lie == plan {
            continue;
        }
        // The verifier knows the blueprint, and refuses each, but for a network or machine that is as good.
        let now = lie.leases[at].partners.get(&word).cloned().unwrap_or_default();
        let is_as_good = now.len() == 1 && before.len() == 1 && {
            let [one, other] = [before[0], now[0]].map(|at| plan.leases.get(at as usize));
            one.zip(other).is_some_and(|(one, other)| (&one.place, &one.sku) == (&other.place, &other.sku))
        };
        let verdict = verify(&catalogue(), &shop, &lie);
        assert!(verdict.is_err() || is_as_good, "seed {seed}, case {case}: {word} {before:?} {now:?}");
        found += usize::from(verdict.is_err());
        let outcome = bought.engine.accept(lie, Policy::default(), None).await;
        match outcome {
            Err(PurchaseError::InvalidPlan(why)) => {
                assert!(why.contains("partners") || why.contains("keeps"), "{why}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
            // Nobody can tell here: another one of the same region, or none.
            Ok(_) => {
                let is_beside = |to: &u32| is_north(*to as usize) == is_north(at);
                assert!(now.iter().all(is_beside), "seed {seed}, case {case}: {word} {now:?}");
            }
        }
    }
    println!("{refused} of {found} wrong plans are refused without a blueprint");
    assert!(refused > 20 && found > 100, "{refused} of {found}");
}

/// A load balancer that is kept cannot learn of a new machine: the purchase says so, and buys nothing.
#[tokio::test]
async fn what_is_kept_is_not_made_anew() {
    let text =
        "{ name: shop, components: { web: { vcpu: 2, replicas: 2, where: { regions: { allow: [south] } } },
        lb: { kind: load_balancer, targets: web } },
      running: { services: [
        { id: w, offer: alpha/south/small, replicas: { web: 1 }, pinned: true },
        { id: l, offer: alpha/south/lb, replicas: { lb: 1 }, pinned: true } ] } }";
    let plan = planned(&blueprint(text));
    let bought = market(&[]).await;
    let why = bought.engine.accept(plan, Policy::default(), None).await.expect_err("refused").to_string();
    assert!(why.contains("it keeps l, whose `targets` would be a new service"), "{why}");
    assert!(bought.services().is_empty());
}

#[test]
fn relations_are_checked_where_they_are_written() {
    let text = |fields: &str| {
        format!(
            "{{ name: x, components: {{ web: {{ vcpu: 1 }}, net: {{ kind: network }}, lb: {{ kind: load_balancer, {fields} }} }} }}"
        )
    };
    for (fields, words) in [
        ("targets: wbe", "components.lb.targets: line 1"),
        ("targets: wbe", "no component is called `wbe`"),
        ("targets: net", "`net` is a network; name a machine"),
        ("attach: web", "a load_balancer has no `attach`; leave it out"),
        ("network: web", "`web` is a machine; name a network"),
        ("targets: web, settings: { targets: x }", "`settings` have `targets` too; write it in one place"),
        ("targets: [web]", "write one value, not a list"),
    ] {
        let said = Blueprint::from_yaml(&text(fields)).expect_err("a mistake").to_string();
        assert!(said.contains(words), "{fields}: {said}");
    }
    let odd =
        "{ name: x, components: { \"a}b\": { vcpu: 1 }, lb: { kind: load_balancer, targets: \"a}b\" } } }";
    let said = Blueprint::from_yaml(odd).expect_err("a mistake").to_string();
    assert!(said.contains("characters that no reference can have"), "{said}");
    let circle =
        "{ name: x, components: { web: { after: [lb] }, lb: { kind: load_balancer, targets: web } } }";
    let said = Blueprint::from_yaml(circle).expect_err("a circle").to_string();
    assert!(said.contains("wait for one another: web, lb"), "{said}");
    // Blueprints without relations have the digest that they had.
    let plain = blueprint("{ name: x, components: { web: { vcpu: 1 } } }");
    assert!(!serde_json::to_string(&plain).expect("JSON").contains("attach"));
    assert_eq!(digest_of(&plain).len(), 64);
}
