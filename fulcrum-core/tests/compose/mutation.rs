//! Does anything notice when the engine is wrong? An engine that ignores a kind of condition, and plans that lie.
//!
//! An engine that ignores a condition does what the real one does for a blueprint without it; so that is how the
//! mutant is made. Its plan is then named after the full blueprint, so that a digest is not what gives it away.

use std::collections::BTreeMap;

use fulcrum_core::{
    catalogue::Catalogue,
    compose::{
        ComposeError,
        verify::{Violation, verify},
    },
    model::{Amount, Blueprint, Constraint, Measure, Plan, Relation, Share, digest_of},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;

use crate::brute::{best_of_leases, brute_force};
use crate::random::{KINDS, blueprint_with, catalogue, random_offers, seed, solve};

/// How often each kind must be caught, and the most blueprints that are tried for it.
const WANTED: usize = 3;
const MOST_CASES: usize = 3000;

/// Who must notice that a kind is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watchman {
    /// The plan breaks the condition: the verifier refuses it.
    Verifier,
    /// A plan of these leases can be told without a lie and is merely not the best: brute force finds a better one.
    BruteForce,
}

/// Who must notice, and at which places in plan or blueprint the verifier finds a condition of the kind broken.
fn watched(kind: &str) -> (Watchman, &'static [&'static str]) {
    use Watchman::{BruteForce, Verifier};
    match kind {
        "spread" | "max_percent" => (Verifier, &[".spread"]),
        // Plans in which nothing shares a machine are plans, only dearer.
        "share" | "share_all" => (BruteForce, &[]),
        "unshared" => (Verifier, &["leases["]),
        "resource" | "limit" => (Verifier, &[".limit"]),
        "budget" => (Verifier, &["budget"]),
        "where" | "sovereignty" | "within" => (Verifier, &["leases["]),
        "link_ms" => (Verifier, &["flows[", "links["]),
        "users_ms" => (Verifier, &["flows[", "users["]),
        "link" | "users" => (BruteForce, &["flows[", "links[", "traffic"]),
        "fees" => (BruteForce, &["fees"]),
        // It lets more in than a blueprint that does not say so.
        "markets" => (BruteForce, &[]),
        "in_turn" => (BruteForce, &["measures", "objective", "then"]),
        "weighted" => (BruteForce, &["measures", "objective"]),
        // Plans that buy everything again are plans, only dearer.
        "running" => (BruteForce, &["moves"]),
        "pinned" => (Verifier, &[".pinned"]),
        "max_moves" => (Verifier, &["max_moves"]),
        "settings" => (Verifier, &["leases["]),
        "attach" => (Verifier, &[".attach"]),
        "targets" => (Verifier, &[".targets"]),
        "network" => (Verifier, &[".network"]),
        "nodes_of" => (Verifier, &[".nodes_of"]),
        "conflict" => (Verifier, &[".conflict"]),
        "colocate" => (Verifier, &[".colocate"]),
        "everywhere" => (Verifier, &[".everywhere"]),
        "survive" => (Verifier, &[".survive"]),
        "distinct" => (Verifier, &[".distinct"]),
        "count" => (Verifier, &[".count"]),
        "serves" => (Verifier, &[".serves"]),
        "linear" => (Verifier, &[".linear"]),
        "one_of" => (Verifier, &[".one_of"]),
        other => panic!("{other} is new; say who must notice that the engine ignores it"),
    }
}

/// What an engine sees that ignores a kind of condition.
fn without(kind: &str, blueprint: &Blueprint) -> Blueprint {
    let mut less = blueprint.clone();
    let users = |less: &mut Blueprint, change: &dyn Fn(&mut fulcrum_core::model::UserGroup)| {
        less.components.values_mut().flat_map(|component| &mut component.users).for_each(change);
    };
    match kind {
        "spread" => less.constraints.retain(|c| !matches!(c, Constraint::Spread(s) if s.at_least.is_some())),
        "max_percent" => {
            less.constraints.retain(|c| !matches!(c, Constraint::Spread(s) if s.max_percent.is_some()))
        }
        "share" | "share_all" => less.constraints.retain(|c| !matches!(c, Constraint::Share(_))),
        "unshared" => less.constraints.push(Constraint::Share(Share::All)),
        "resource" => less.constraints.retain(|c| !matches!(c, Constraint::Limit(l) if l.resource.is_some())),
        "limit" => less.constraints.retain(|c| !matches!(c, Constraint::Limit(l) if l.measure.is_some())),
        "budget" => less.budget = None,
        "where" => less.filter.jurisdiction = None,
        "markets" => less.filter.pricing_categories.clear(),
        "sovereignty" => less.filter.sovereignty = None,
        "within" => less.filter.within = None,
        "link" => less.links.iter_mut().for_each(|link| link.traffic_gib = 0),
        "link_ms" => less.links.iter_mut().for_each(|link| link.max_ms = None),
        "users" => users(&mut less, &|group| group.traffic_gib = 0),
        "users_ms" => users(&mut less, &|group| group.max_ms = None),
        "fees" => less.provider_fees = Default::default(),
        "in_turn" | "weighted" => less.objective = Default::default(),
        "running" => less.running = Default::default(),
        "pinned" => less.running.services.iter_mut().for_each(|service| service.pinned = false),
        "max_moves" => less.running.max_moves = None,
        "settings" => less.components.values_mut().for_each(|component| component.settings.clear()),
        // What waits for it, or is made with it, does so still.
        "attach" | "targets" | "network" | "nodes_of" => less.components.values_mut().for_each(|component| {
            let related: Vec<_> = component.relations().map(|(_, name)| name.clone()).collect();
            component.after.extend(related);
            (component.attach, component.targets) = (None, None);
            (component.network, component.nodes_of) = (None, None);
        }),
        word => less.constraints.retain(|constraint| constraint.word() != word),
    }
    less
}

/// What one kind came to.
#[derive(Debug, Default)]
struct Score {
    cases: usize,
    /// The un-mutated engine's plans, which the verifier must let pass.
    sound: usize,
    /// The verifier named a condition of the kind.
    refused: usize,
    /// Where it matters: brute force knows that no plan exists, or another value than the mutant claims.
    denied: usize,
    /// The mutant's leases, told honestly: no plan of them meets the blueprint …
    broken: usize,
    /// … or one does and is worse than the best.
    worse: usize,
}

impl Score {
    fn is_enough(&self, watchman: Watchman) -> bool {
        match watchman {
            Watchman::Verifier => self.refused.min(self.denied).min(self.broken) >= WANTED,
            Watchman::BruteForce => self.denied.min(self.worse) >= WANTED,
        }
    }
}

fn is_same(a: &[Decimal], b: &[Decimal]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= Decimal::new(2, 6))
}

fn values(plan: &Plan) -> Vec<Decimal> {
    [plan.objective].into_iter().chain(plan.later_stages.iter().map(|stage| stage.value)).collect()
}

fn try_case(kind: &'static str, seed: u64, score: &mut Score) {
    let mut chance = StdRng::seed_from_u64(seed);
    let catalogue = catalogue(random_offers(&mut chance));
    let mut chosen = vec![kind];
    // In one case of three another condition beside it.
    if chance.random_ratio(1, 3) {
        chosen.push(KINDS.choose(&mut chance).expect("kinds"));
    }
    let blueprint = blueprint_with(&mut chance, &chosen, &mut BTreeMap::new());
    let context = || format!("{kind}, seed {seed}: {}", serde_json::to_string(&blueprint).expect("json"));
    score.cases += 1;
    let Ok(mut mutant) = solve(&catalogue, &without(kind, &blueprint)) else {
        return; // there is nothing to buy even so
    };
    if Relation::of_word(kind).is_some() {
        // It ignores where things stand, not what they are made with.
        for lease in &mut mutant.leases {
            let made_with = lease
                .replicas
                .keys()
                .flat_map(|name| blueprint.components[name].lease_settings().into_owned());
            lease.settings = made_with.collect();
        }
    }
    let plan = match solve(&catalogue, &blueprint) {
        Ok(plan) => Some(plan),
        Err(ComposeError::Infeasible(_)) => None,
        Err(error) => panic!("{error}; {}", context()),
    };
    if let Some(plan) = &plan {
        assert_eq!(verify(&catalogue, &blueprint, plan), Ok(()), "{}", context());
        score.sound += 1;
    }
    let honest = best_of_leases(&catalogue, &blueprint, &mutant.leases);
    let renamed = {
        let mut changed = mutant;
        changed.blueprint_digest = digest_of(&blueprint);
        changed
    };
    let (_, places) = watched(kind);
    if let Err(Violation { place, .. }) = verify(&catalogue, &blueprint, &renamed) {
        score.refused += usize::from(places.iter().any(|word| place.contains(word)));
    }
    let is_harmless = match (&honest, &plan) {
        (Some(honest), Some(plan)) => is_same(honest, &values(plan)),
        _ => false,
    };
    if is_harmless {
        return; // here the condition does not matter, and brute force takes its time
    }
    let expected = brute_force(&catalogue, &blueprint);
    let is_agreed = match (&expected, &plan) {
        (Some(expected), Some(plan)) => is_same(expected, &values(plan)),
        (expected, plan) => expected.is_none() && plan.is_none(),
    };
    assert!(is_agreed, "{:?} not {expected:?}; {}", plan.as_ref().map(values), context());
    score.denied += usize::from(!expected.as_ref().is_some_and(|best| is_same(best, &values(&renamed))));
    match (expected, honest) {
        (_, None) => score.broken += 1,
        (Some(best), Some(honest)) => score.worse += usize::from(!is_same(&best, &honest)),
        (None, Some(honest)) => panic!("brute force misses a plan of {honest:?}; {}", context()),
    }
}

#[test]
fn prop_an_engine_that_ignores_a_condition_is_caught() {
    let seed = seed();
    println!(
        "{:<12} {:>6} {:>6} | {:>9} {:>12} | {:>7} {:>6}",
        "ignored", "cases", "sound", "verifier", "brute force", "broken", "worse"
    );
    let mut missed = Vec::new();
    for (at, kind) in KINDS.into_iter().enumerate() {
        let (watchman, _) = watched(kind);
        let mut score = Score::default();
        while score.cases < MOST_CASES && !score.is_enough(watchman) {
            let case = (at * MOST_CASES + score.cases) as u64;
            try_case(kind, seed.wrapping_add(case), &mut score);
        }
        let Score { cases, sound, refused, denied, broken, worse } = score;
        println!(
            "{kind:<12} {cases:>6} {sound:>6} | {refused:>9} {denied:>12} | {broken:>7} {worse:>6}  by {watchman:?}"
        );
        if !score.is_enough(watchman) {
            missed.push(kind);
        }
    }
    assert_eq!(missed, Vec::<&str>::new(), "nobody notices that the engine ignores these; seed {seed}");
}

/// Sums, measures, objective and bound as the lines now say, so that nothing but the line itself is a lie.
fn with_new_sums(mut plan: Plan, horizon_months: u32) -> Plan {
    let lines = || plan.leases.iter().flat_map(|lease| &lease.lines);
    let traffic: Decimal = plan.traffic.iter().map(|line| line.monthly).sum();
    let months = Decimal::from(horizon_months);
    plan.monthly = lines().map(|line| line.monthly).sum::<Decimal>()
        + traffic
        + plan.fees.iter().map(|fee| fee.monthly).sum::<Decimal>();
    plan.once = lines().map(|line| line.once).sum::<Decimal>()
        + plan.fees.iter().map(|fee| fee.once).sum::<Decimal>();
    let fees: Decimal = plan.fees.iter().map(|fee| fee.monthly * months + fee.once).sum();
    let cost = (lines().map(|line| line.total).sum::<Decimal>() + fees) / months + traffic;
    plan.measures.0.insert(Measure::Cost, Amount(cost.round_dp(6)));
    plan.objective = cost.round_dp(6);
    plan.bound = plan.objective;
    plan
}

/// One way to lie: the changed plan, or `None` if this plan has no room for it.
type Lie = fn(&Catalogue, &Blueprint, Plan) -> Option<Plan>;

fn micro() -> Decimal {
    Decimal::new(1, 6)
}

fn drop_lease(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases.pop()?;
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn drop_lease_and_keep_the_sum(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases.pop()?;
    Some(plan)
}

fn add_lease(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let lease = plan.leases.first()?.clone();
    plan.leases.push(lease);
    Some(plan)
}

fn add_replica(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let (name, count) = plan.leases.first_mut()?.replicas.iter_mut().next()?;
    *count += blueprint.components[name].replicas.max?;
    Some(plan)
}

fn drop_replica(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let (_, count) = plan.leases.first_mut()?.replicas.iter_mut().next()?;
    *count -= 1;
    (*count == 0).then_some(plan)
}

fn cheaper(catalogue: &Catalogue, plan: &Plan) -> Option<fulcrum_core::model::Offer> {
    let old = plan.leases.first()?;
    let price = |offer: &fulcrum_core::model::Offer| offer.price.net_month(0);
    let of = |ix| catalogue.offer(ix);
    let old = price(&of(catalogue.find(&old.offer)?));
    catalogue.ids().map(of).find(|offer| price(offer) < old)
}

fn swap_offer_and_keep_the_price(catalogue: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let offer = cheaper(catalogue, &plan)?;
    let lease = &mut plan.leases[0];
    (lease.offer, lease.sku, lease.place) = (offer.id(), offer.sku.clone(), (*offer.place).clone());
    lease.lines[0].sku = offer.sku;
    Some(plan)
}

fn swap_offer_and_keep_its_name(catalogue: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases[0].offer = cheaper(catalogue, &plan)?.id();
    Some(plan)
}

fn invent_offer(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases[0].offer = "acme/one/nothing".parse().ok()?;
    Some(plan)
}

fn move_lease(catalogue: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let here = &plan.leases[0].place;
    let there = catalogue.ids().map(|ix| catalogue.place(ix)).find(|place| *place != here)?.clone();
    plan.leases[0].place = there;
    Some(plan)
}

fn change_price(blueprint: &Blueprint, mut plan: Plan, by: Decimal) -> Plan {
    let line = &mut plan.leases[0].lines[0];
    line.monthly += by;
    line.total += by * Decimal::from(blueprint.horizon_months);
    with_new_sums(plan, blueprint.horizon_months)
}

fn price_up(_: &Catalogue, blueprint: &Blueprint, plan: Plan) -> Option<Plan> {
    Some(change_price(blueprint, plan, micro()))
}

fn price_down(_: &Catalogue, blueprint: &Blueprint, plan: Plan) -> Option<Plan> {
    Some(change_price(blueprint, plan, -micro()))
}

fn price_down_and_keep_the_sum(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases[0].lines[0].monthly -= micro();
    Some(plan)
}

fn set_up_down(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let line = plan.leases.iter_mut().flat_map(|lease| &mut lease.lines).find(|line| !line.once.is_zero())?;
    line.once -= micro();
    line.total -= micro();
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn horizon_down(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases[0].lines[0].total -= micro();
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn drop_line(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.leases[0].lines.pop()?;
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn month_down(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.monthly -= micro();
    Some(plan)
}

fn understate_objective(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.objective -= Decimal::new(1, 2);
    plan.bound = plan.objective;
    Some(plan)
}

fn understate_measure(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.measures.0.values_mut().next()?.0 -= Decimal::new(1, 5);
    Some(plan)
}

fn bound_above_objective(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.bound = plan.objective + micro();
    Some(plan)
}

fn optimal_with_a_gap(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.bound = plan.objective - micro();
    Some(plan)
}

fn gap_that_is_none(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.stop = fulcrum_core::model::StopReason::Limit;
    plan.bound = plan.objective - Decimal::new(2, 2) * plan.objective;
    (plan.bound < plan.objective).then_some(plan)
}

fn drop_stage(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.later_stages.pop()?;
    Some(plan)
}

fn drop_fee(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.fees.pop()?;
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn fee_down(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let fee = plan.fees.last_mut()?;
    if fee.monthly.is_zero() {
        fee.once -= micro()
    } else {
        fee.monthly -= micro()
    }
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn drop_traffic(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.traffic.pop()?;
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn traffic_down(_: &Catalogue, blueprint: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.traffic.last_mut()?.monthly -= micro();
    Some(with_new_sums(plan, blueprint.horizon_months))
}

fn drop_flow(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.flows.pop()?;
    Some(plan)
}

fn send_less(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.flows.iter_mut().find(|flow| flow.gib > 0)?.gib -= 1;
    Some(plan)
}

fn faster_flow(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    let trip = plan.flows.first_mut()?.round_trip_us.as_mut()?;
    *trip = trip.checked_sub(1)?;
    Some(plan)
}

fn other_blueprint(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.blueprint_digest = digest_of(&"another");
    Some(plan)
}

fn other_name(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.blueprint.push('x');
    Some(plan)
}

fn other_catalogue(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.catalogue_digest = digest_of(&"another");
    Some(plan)
}

fn other_currency(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.currency = iso_currency::Currency::USD;
    Some(plan)
}

fn other_format(_: &Catalogue, _: &Blueprint, mut plan: Plan) -> Option<Plan> {
    plan.format.push('0');
    Some(plan)
}

const LIES: [(&str, Lie); 34] = [
    ("drop a lease", drop_lease),
    ("drop a lease, keep the sum", drop_lease_and_keep_the_sum),
    ("add a lease", add_lease),
    ("add replicas", add_replica),
    ("drop a replica", drop_replica),
    ("cheaper offer, same price", swap_offer_and_keep_the_price),
    ("cheaper offer, same name", swap_offer_and_keep_its_name),
    ("an offer that nobody makes", invent_offer),
    ("another place", move_lease),
    ("price up by a micro-unit", price_up),
    ("price down by a micro-unit", price_down),
    ("price down, keep the sum", price_down_and_keep_the_sum),
    ("set-up fee down", set_up_down),
    ("total of the horizon down", horizon_down),
    ("drop a price line", drop_line),
    ("sum of the month down", month_down),
    ("understate the objective", understate_objective),
    ("understate a measure", understate_measure),
    ("bound above the objective", bound_above_objective),
    ("optimal, yet with a gap", optimal_with_a_gap),
    ("a gap that is said to be 0", gap_that_is_none),
    ("drop a stage of the objective", drop_stage),
    ("drop a fee", drop_fee),
    ("fee down by a micro-unit", fee_down),
    ("drop a traffic line", drop_traffic),
    ("traffic down by a micro-unit", traffic_down),
    ("drop a flow", drop_flow),
    ("send a GiB less", send_less),
    ("a flow that is too fast", faster_flow),
    ("another blueprint", other_blueprint),
    ("another blueprint's name", other_name),
    ("another catalogue", other_catalogue),
    ("another currency", other_currency),
    ("another format", other_format),
];

#[test]
fn prop_a_plan_that_lies_is_refused() {
    let seed = seed();
    let mut tried = vec![0usize; LIES.len()];
    let mut reasons: Vec<BTreeMap<String, usize>> = vec![BTreeMap::new(); LIES.len()];
    let kinds: Vec<&'static str> = ["fees", "users", "link", "link_ms", "spread", "in_turn"].into();
    let mut plans = 0;
    for case in 0..400 {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let catalogue = catalogue(random_offers(&mut chance));
        let chosen: Vec<&'static str> = kinds.iter().copied().filter(|_| chance.random_bool(0.4)).collect();
        let blueprint = blueprint_with(&mut chance, &chosen, &mut BTreeMap::new());
        let Ok(plan) = solve(&catalogue, &blueprint) else { continue };
        assert_eq!(verify(&catalogue, &blueprint, &plan), Ok(()), "seed {seed}, case {case}");
        plans += 1;
        for (at, (what, lie)) in LIES.into_iter().enumerate() {
            let Some(false_plan) = lie(&catalogue, &blueprint, plan.clone()) else { continue };
            tried[at] += 1;
            match verify(&catalogue, &blueprint, &false_plan) {
                Ok(()) => panic!(
                    "{what}: accepted; seed {seed}, case {case}: {} for {}",
                    serde_json::to_string(&false_plan).expect("json"),
                    serde_json::to_string(&blueprint).expect("json")
                ),
                Err(Violation { place, .. }) => {
                    let word: String = place.chars().filter(|c| !c.is_ascii_digit()).collect();
                    *reasons[at].entry(word).or_default() += 1;
                }
            }
        }
    }
    println!("{plans} plans\n{:<30} {:>6}  refused at", "lie", "plans");
    for (at, (what, _)) in LIES.into_iter().enumerate() {
        println!("{what:<30} {:>6}  {:?}", tried[at], reasons[at]);
    }
    let untold: Vec<&str> =
        LIES.iter().zip(&tried).filter(|(_, tried)| **tried == 0).map(|((what, _), _)| *what).collect();
    assert_eq!(untold, Vec::<&str>::new(), "no plan had room for these; seed {seed}");
}
