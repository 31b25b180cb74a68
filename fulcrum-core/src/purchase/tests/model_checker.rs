//! All that two hosts can do with one order of two steps, one after the other in every order, with a lost reply, a failure, a
//! crash, a pause beyond a claim and a cancellation in every place: a breadth-first search over whole states. What comes
//! next is decided by [`next_effect`] and [`to_compensate`] themselves; what a driver does about it is said again here,
//! in short. Weakened in one place, the same search must find what then goes wrong: the shortest way there is printed.
//!
//! `FULCRUM_CLAIMS` says how many claims are given out, two if nothing is set: three let a crash and a pause take turns, and
//! take minutes and some gigabytes.
//!
//! One thing is one step that the driver does in some microseconds: the look at its own claim and the call after it.

use std::{collections::hash_map::Entry, time::Duration};

use jiff::Timestamp;
use rustc_hash::FxHashMap as HashMap;

use crate::{
    model::{
        CallProgress, ClaimId, Lease, OfferKind, OrderId, OwnService, Place, RequestSent, Service,
        ServiceStatus, Step, StepState,
    },
    purchase::{
        accept::planned_step,
        machine::{Effect, RetrySemantics, next_effect, to_compensate},
        provision_attempt::ProvisionAttempt,
    },
};

const STEP_COUNT: usize = 2;

/// A step's state as the search keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Planned,
    Intent(u8),
    Unknown(u8),
    Running(u8),
    Provisioned,
    Committed,
    Compensating { knows_service: bool, is_asked: bool },
    Compensated,
    Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Accepted,
    Provisioning,
    Committed,
    Compensating,
    Compensated,
}

/// What a key has come to at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Cloud {
    exists: bool,
    is_listed: bool,
    was_made: bool,
    /// What the first poll told, and every later one tells too.
    fate: Option<bool>,
}

/// What has come back and is not written down yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reply {
    Started,
    Lost,
    Refused,
    Found,
    Absent,
    Done,
    Failed,
    Released,
    Gone,
}

/// A host that drives, with what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Driver {
    token: u8,
    /// By its own clocks its claim lasts.
    is_sure: bool,
    phase: Phase,
    steps: [At; STEP_COUNT],
    replies: [Option<Reply>; STEP_COUNT],
    must_undo: bool,
    /// Whether something was there when it began to look, and whether it has looked for as long as lists lag.
    was_there: [bool; STEP_COUNT],
    has_waited: [bool; STEP_COUNT],
    /// Whether an earlier call, of which nothing is proven, may still show its effect.
    may_exist: [bool; STEP_COUNT],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    // The ledger.
    phase: Phase,
    steps: [At; STEP_COUNT],
    token: u8,
    holder: Option<u8>,
    is_cancelled: bool,
    // The rest.
    prices_hold: bool,
    hosts: [Option<Driver>; 2],
    clouds: [Cloud; STEP_COUNT],
    // What may still go wrong.
    lost: u8,
    failures: u8,
    crashes: u8,
    pauses: u8,
    claims: u8,
}

/// Where the search weakens what it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weakness {
    None,
    AsksAgainForAnothersIntent,
    TakesOneLookForProof,
    ForgetsWhatMayHaveBeenSent,
    CallsWithoutLookingAtItsClaim,
    WritesWithoutFence,
    BuysBeforePricesAreChecked,
    NeverLooksForWhatIsUnknown,
    TakesARefusedRepeatForProof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Claim,
    Pause,
    Lapse,
    Crash,
    Cancel,
    LetGo,
    PricesHold,
    PricesRefused,
    SeesCancellation,
    Intend(usize),
    MarkUnknown(usize),
    Ask(usize, Reply, bool),
    Wait(usize),
    Look(usize),
    Poll(usize, Reply),
    Release(usize, bool, bool),
    PollRelease(usize),
    Write(usize, Reply),
    Undo,
    Commit,
    End,
}

type Next = Vec<((u8, Move), Result<World, &'static str>)>;

/// The real decisions, remembered.
struct Decisions {
    step: Step,
    semantics: RetrySemantics,
    weakness: Weakness,
    effects: HashMap<(At, u8), Effect>,
    undone: HashMap<At, At>,
    /// Whether a new intent proves that no earlier request shows its effect later.
    intent_is_proof: bool,
}

impl Decisions {
    fn new(semantics: RetrySemantics, weakness: Weakness) -> Self {
        let place = Place {
            provider: "acme".parse().expect("a name"),
            region: "r".parse().expect("a name"),
            zone: None,
            country: "DE".parse().expect("a country"),
            coordinates: None,
        };
        let lease = Lease {
            offer: "acme/r/s".parse().expect("a name"),
            sku: "s".parse().expect("a name"),
            kind: OfferKind::Machine,
            place,
            replicas: indexmap::IndexMap::new(),
            size_gib: 0,
            keeps: None,
            settings: Default::default(),
            after: Default::default(),
            rank: 0,
            partners: Default::default(),
            purchase_option: Default::default(),
            term_months: 0,
            disk_sku: None,
            lines: Vec::new(),
            checked: None,
            later: Default::default(),
        };
        let step = planned_step(None, &OrderId::generate(), 0, &lease);
        let mut decisions = Self {
            step,
            semantics,
            weakness,
            effects: HashMap::default(),
            undone: HashMap::default(),
            intent_is_proof: false,
        };
        let (unknown, intent) = (decisions.real(At::Unknown(1)), decisions.real(At::Intent(1)));
        let is_repeatable = semantics.is_repeatable;
        let may_exist = ProvisionAttempt::may_exist_in(false, &unknown, is_repeatable);
        decisions.intent_is_proof = !ProvisionAttempt::may_exist_in(may_exist, &intent, is_repeatable);
        decisions
    }

    fn real(&self, at: At) -> StepState {
        let service = || Service {
            id: "s".parse().expect("a name"),
            provider: self.step.provider.clone(),
            key: Some(self.step.key.clone()),
            sku: self.step.lease.sku.clone(),
            place: self.step.lease.place.clone(),
            status: ServiceStatus::Running,
            attributes: Default::default(),
        };
        let own = || OwnService::unchecked(service());
        let since = Timestamp::MAX;
        let provisioning = |claim: u8, progress| StepState::Provisioning {
            claim: ClaimId::of_token(claim.into()),
            since,
            progress,
            operation: None,
        };
        match at {
            At::Planned => StepState::Planned,
            At::Intent(claim) => provisioning(claim, CallProgress::IntentOnly),
            At::Unknown(claim) => provisioning(claim, CallProgress::OutcomeUnknown),
            At::Running(claim) => provisioning(claim, CallProgress::Running("op".to_owned())),
            At::Provisioned => StepState::Provisioned { service: own() },
            At::Committed => StepState::Committed { service: own() },
            At::Compensating { knows_service, is_asked } => StepState::Compensating {
                service: knows_service.then(|| service().id),
                operation: is_asked.then(|| "op".to_owned()),
                sent: RequestSent::Known,
                since,
            },
            At::Compensated => StepState::Compensated,
            At::Stuck => StepState::Stuck { reason: String::new(), service: None, operation: None },
        }
    }

    fn effect(&mut self, at: At, token: u8) -> Effect {
        if let Some(effect) = self.effects.get(&(at, token)) {
            return effect.clone();
        }
        let step = Step { state: self.real(at), ..self.step.clone() };
        let effect = next_effect(&step, &ClaimId::of_token(token.into()), self.semantics, true);
        let effect = match (self.weakness, effect) {
            (Weakness::AsksAgainForAnothersIntent, Effect::RecordUnknown) => Effect::Provision,
            (Weakness::NeverLooksForWhatIsUnknown, Effect::FindByKey { .. }) => Effect::Provision,
            (Weakness::TakesOneLookForProof, Effect::FindByKey { .. }) => {
                Effect::FindByKey { lag: Duration::ZERO }
            }
            (Weakness::TakesOneLookForProof, Effect::FindToRelease { .. }) => {
                Effect::FindToRelease { lag: Duration::ZERO }
            }
            (_, effect) => effect,
        };
        self.effects.insert((at, token), effect.clone());
        effect
    }

    fn undone(&mut self, at: At) -> At {
        if let Some(undone) = self.undone.get(&at) {
            return *undone;
        }
        let undone = match to_compensate(&self.real(at), Timestamp::MAX, true) {
            StepState::Compensated => At::Compensated,
            StepState::Compensating { service, operation, .. } => {
                At::Compensating { knows_service: service.is_some(), is_asked: operation.is_some() }
            }
            other => panic!("{at:?} is undone to {other:?}"),
        };
        let forgets = self.weakness == Weakness::ForgetsWhatMayHaveBeenSent;
        let undone = if forgets && matches!(at, At::Intent(_)) { At::Compensated } else { undone };
        self.undone.insert(at, undone);
        undone
    }
}

impl World {
    fn new() -> Self {
        Self {
            phase: Phase::Accepted,
            steps: [At::Planned; STEP_COUNT],
            token: 0,
            holder: None,
            is_cancelled: false,
            prices_hold: false,
            hosts: [None; 2],
            clouds: [Cloud::default(); STEP_COUNT],
            lost: 1,
            failures: 1,
            crashes: 1,
            pauses: 1,
            claims: std::env::var("FULCRUM_CLAIMS").ok().and_then(|text| text.parse().ok()).unwrap_or(2),
        }
    }

    fn is_final(&self) -> bool {
        matches!(self.phase, Phase::Committed | Phase::Compensated)
    }

    /// What must hold in every state.
    fn check(&self) -> Result<(), &'static str> {
        for (cloud, step) in self.clouds.iter().zip(&self.steps) {
            if cloud.exists && matches!(step, At::Planned | At::Compensated) {
                return Err("a service exists that the ledger cannot find");
            }
            if self.phase == Phase::Committed && !(cloud.exists && *step == At::Committed) {
                return Err("an order is committed without all of its services");
            }
            if self.phase == Phase::Compensated && (cloud.exists || *step != At::Compensated) {
                return Err("an order is compensated and something is left");
            }
            if *step == At::Stuck {
                return Err("a step is stuck though no provider refuses");
            }
        }
        Ok(())
    }

    /// All that can happen next.
    fn next(&self, decisions: &mut Decisions) -> Next {
        let mut next = Next::new();
        if !self.is_cancelled && self.phase != Phase::Compensated {
            next.push(((9, Move::Cancel), Ok(Self { is_cancelled: true, ..*self })));
        }
        for host in 0..2u8 {
            let is_holder = self.holder == Some(host);
            match self.hosts[usize::from(host)] {
                None => {
                    let waits = !self.is_final() || (self.is_cancelled && self.phase == Phase::Committed);
                    if is_holder {
                        // It died: the claim ends by itself.
                        next.push(((host, Move::Lapse), Ok(Self { holder: None, ..*self })));
                    } else if self.holder.is_none() && waits && self.claims > 0 {
                        next.push(((host, Move::Claim), Ok(self.claimed(host))));
                    }
                }
                Some(driver) => {
                    if self.crashes > 0 {
                        let world = Self { crashes: self.crashes - 1, ..self.with(host, None) };
                        next.push(((host, Move::Crash), Ok(world)));
                    }
                    if driver.is_sure && self.pauses > 0 {
                        let driver = Driver { is_sure: false, ..driver };
                        let world = Self { pauses: self.pauses - 1, ..self.with(host, Some(driver)) };
                        next.push(((host, Move::Pause), Ok(world)));
                    }
                    // The ledger counts from later than the host: the host is unsure first.
                    if is_holder && !driver.is_sure {
                        next.push(((host, Move::Lapse), Ok(Self { holder: None, ..*self })));
                    }
                    self.drive(host, driver, decisions, &mut next);
                }
            }
        }
        next
    }

    fn claimed(&self, host: u8) -> Self {
        let token = self.token + 1;
        let driver = Driver {
            token,
            is_sure: true,
            phase: self.phase,
            steps: self.steps,
            replies: [None; STEP_COUNT],
            must_undo: self.is_cancelled && self.phase != Phase::Compensating,
            was_there: self.clouds.map(|cloud| cloud.exists),
            has_waited: [false; STEP_COUNT],
            may_exist: self.steps.map(|at| matches!(at, At::Unknown(_))),
        };
        Self { token, holder: Some(host), claims: self.claims - 1, ..self.with(host, Some(driver)) }
    }

    fn with(&self, host: u8, driver: Option<Driver>) -> Self {
        let mut world = *self;
        world.hosts[usize::from(host)] = driver;
        world
    }

    /// A host that ends, and gives its claim back if it is still the newest.
    fn let_go(&self, host: u8) -> Self {
        let mut world = self.with(host, None);
        let is_newest = self.hosts[usize::from(host)].is_some_and(|driver| driver.token == self.token);
        if is_newest && world.holder == Some(host) {
            world.holder = None;
        }
        world
    }

    /// Writes what a driver knows; who holds no longer the newest claim ends.
    fn write(&self, host: u8, driver: Driver, is_fenced: bool) -> Self {
        if driver.token != self.token && is_fenced {
            return self.let_go(host);
        }
        Self { phase: driver.phase, steps: driver.steps, ..self.with(host, Some(driver)) }
    }

    fn drive(&self, host: u8, driver: Driver, decisions: &mut Decisions, next: &mut Next) {
        let is_quiet = driver.replies.iter().all(Option::is_none);
        let is_fenced = decisions.weakness != Weakness::WritesWithoutFence;
        let write = |name, driver| ((host, name), Ok(self.write(host, driver, is_fenced)));
        // Where asking again is safe it is not looked for long before.
        let is_weak = decisions.weakness == Weakness::TakesARefusedRepeatForProof;
        let is_proof = decisions.intent_is_proof || is_weak;
        for at in 0..STEP_COUNT {
            if let Some(reply) = driver.replies[at] {
                next.push(write(Move::Write(at, reply), self.taken_down(driver, at, reply, is_proof)));
            }
        }
        match driver.phase {
            _ if driver.must_undo && driver.phase != Phase::Compensating => {
                if is_quiet {
                    let steps = driver.steps.map(|at| decisions.undone(at));
                    let was_there = self.clouds.map(|cloud| cloud.exists);
                    let has_waited = [false; STEP_COUNT];
                    let undone = Driver {
                        phase: Phase::Compensating,
                        steps,
                        was_there,
                        has_waited,
                        must_undo: false,
                        ..driver
                    };
                    next.push(write(Move::Undo, undone));
                }
            }
            Phase::Accepted => {
                next.push(write(Move::PricesHold, Driver { phase: Phase::Provisioning, ..driver }));
                let steps = [At::Compensated; STEP_COUNT];
                next.push(write(Move::PricesRefused, Driver { phase: Phase::Compensated, steps, ..driver }));
                let last = next.len() - 2;
                if let Ok(world) = &mut next[last].1 {
                    world.prices_hold |= world.phase == Phase::Provisioning;
                }
                if decisions.weakness == Weakness::BuysBeforePricesAreChecked {
                    (0..STEP_COUNT).for_each(|at| self.act(host, driver, at, decisions, next));
                }
            }
            Phase::Provisioning => {
                if self.is_cancelled {
                    let driver = Driver { must_undo: true, ..driver };
                    next.push(((host, Move::SeesCancellation), Ok(self.with(host, Some(driver)))));
                }
                if driver.steps == [At::Provisioned; STEP_COUNT] && is_quiet {
                    let steps = [At::Committed; STEP_COUNT];
                    next.push(write(Move::Commit, Driver { phase: Phase::Committed, steps, ..driver }));
                }
                (0..STEP_COUNT).for_each(|at| self.act(host, driver, at, decisions, next));
            }
            Phase::Compensating => {
                if driver.steps == [At::Compensated; STEP_COUNT] && is_quiet {
                    next.push(write(Move::End, Driver { phase: Phase::Compensated, ..driver }));
                }
                (0..STEP_COUNT).for_each(|at| self.act(host, driver, at, decisions, next));
            }
            Phase::Committed | Phase::Compensated => {
                next.push(((host, Move::LetGo), Ok(self.let_go(host))));
            }
        }
    }

    /// What a driver writes once it has a reply.
    fn taken_down(&self, mut driver: Driver, at: usize, reply: Reply, is_proof: bool) -> Driver {
        driver.replies[at] = None;
        let is_buying = driver.phase == Phase::Provisioning;
        driver.steps[at] = match reply {
            Reply::Started => At::Running(driver.token),
            Reply::Lost => At::Unknown(driver.token),
            Reply::Refused => {
                driver.must_undo = true;
                if driver.may_exist[at] { At::Unknown(driver.token) } else { At::Planned }
            }
            Reply::Found if is_buying && self.clouds[at].fate == Some(false) => {
                driver.must_undo = true;
                driver.steps[at]
            }
            Reply::Found if is_buying => At::Provisioned,
            Reply::Found => At::Compensating { knows_service: true, is_asked: false },
            Reply::Absent if is_buying => At::Intent(driver.token),
            Reply::Absent => At::Compensated,
            Reply::Done => At::Provisioned,
            Reply::Failed => {
                driver.must_undo = true;
                driver.steps[at]
            }
            Reply::Released => At::Compensating { knows_service: true, is_asked: true },
            Reply::Gone => At::Compensating { knows_service: false, is_asked: false },
        };
        match reply {
            Reply::Lost => {
                driver.was_there[at] = self.clouds[at].exists;
                driver.has_waited[at] = false;
                driver.may_exist[at] = true;
            }
            Reply::Absent => driver.may_exist[at] = !is_proof,
            _ => {}
        }
        driver
    }

    /// What a driver does about one step.
    fn act(&self, host: u8, driver: Driver, at: usize, decisions: &mut Decisions, next: &mut Next) {
        if driver.replies[at].is_some() {
            return;
        }
        let cloud = self.clouds[at];
        let replied = |world: &Self, reply| {
            let mut driver = driver;
            driver.replies[at] = Some(reply);
            world.with(host, Some(driver))
        };
        let with_cloud = |cloud: Cloud| {
            let mut world = *self;
            world.clouds[at] = cloud;
            world
        };
        let is_late = driver.token != self.token;
        let makes_calls = driver.is_sure || decisions.weakness == Weakness::CallsWithoutLookingAtItsClaim;
        match decisions.effect(driver.steps[at], driver.token) {
            Effect::LookFirst { .. } => panic!("no ledger is restored from a copy here"),
            Effect::RecordIntent | Effect::RecordUnknown => {
                let is_intent = driver.steps[at] == At::Planned;
                let mut driver = driver;
                driver.steps[at] =
                    if is_intent { At::Intent(driver.token) } else { At::Unknown(driver.token) };
                driver.was_there[at] = cloud.exists;
                driver.has_waited[at] = false;
                driver.may_exist[at] |= !is_intent;
                let name = if is_intent { Move::Intend(at) } else { Move::MarkUnknown(at) };
                let is_fenced = decisions.weakness != Weakness::WritesWithoutFence;
                next.push(((host, name), Ok(self.write(host, driver, is_fenced))));
            }
            Effect::Provision if !makes_calls => next.push(((host, Move::LetGo), Ok(self.let_go(host)))),
            Effect::Provision => {
                let made = match () {
                    () if decisions.semantics.is_repeatable && cloud.was_made => Ok(cloud),
                    _ if cloud.exists => Err("a key has two services"),
                    _ => Ok(Cloud {
                        exists: true,
                        is_listed: decisions.semantics.lag.is_zero(),
                        was_made: true,
                        fate: None,
                    }),
                };
                let made = made.and_then(|cloud| match () {
                    () if !self.prices_hold => Err("something is bought before prices are checked"),
                    () if is_late => Err("a host buys after another one has taken over"),
                    () => Ok(with_cloud(cloud)),
                });
                let mut push =
                    |reply, happens, world| next.push(((host, Move::Ask(at, reply, happens)), world));
                push(Reply::Started, true, made.map(|world| replied(&world, Reply::Started)));
                if self.lost > 0 {
                    let lost = |world: Self| Self { lost: self.lost - 1, ..replied(&world, Reply::Lost) };
                    push(Reply::Lost, true, made.map(lost));
                    push(Reply::Lost, false, Ok(lost(*self)));
                }
                if self.failures > 0 {
                    let refused = Self { failures: self.failures - 1, ..replied(self, Reply::Refused) };
                    push(Reply::Refused, false, Ok(refused));
                }
            }
            Effect::FindByKey { lag } | Effect::FindToRelease { lag } => {
                if !lag.is_zero() && !driver.has_waited[at] {
                    let mut driver = driver;
                    driver.has_waited[at] = true;
                    let mut world = self.with(host, Some(driver));
                    // What was there when the wait began is listed by its end.
                    world.clouds[at].is_listed |= driver.was_there[at] && cloud.exists;
                    next.push(((host, Move::Wait(at)), Ok(world)));
                }
                // Not listed, its handle is asked, too.
                let has_handle =
                    driver.steps[at] == At::Compensating { knows_service: false, is_asked: true };
                if cloud.exists && (cloud.is_listed || (has_handle && driver.has_waited[at])) {
                    next.push(((host, Move::Look(at)), Ok(replied(self, Reply::Found))));
                } else if lag.is_zero() || driver.has_waited[at] {
                    next.push(((host, Move::Look(at)), Ok(replied(self, Reply::Absent))));
                }
            }
            Effect::Poll(_) => {
                let mut push = |reply, world: Self| {
                    next.push(((host, Move::Poll(at, reply)), Ok(replied(&world, reply))));
                };
                match cloud.fate {
                    Some(true) => push(Reply::Done, *self),
                    Some(false) => push(Reply::Failed, *self),
                    None => {
                        push(Reply::Done, with_cloud(Cloud { fate: Some(true), ..cloud }));
                        if self.failures > 0 {
                            // Something broken may stay.
                            for exists in [false, true] {
                                let exists = exists && cloud.exists;
                                let world = with_cloud(Cloud { fate: Some(false), exists, ..cloud });
                                push(Reply::Failed, Self { failures: self.failures - 1, ..world });
                            }
                        }
                    }
                }
            }
            Effect::Release(_) if !makes_calls => next.push(((host, Move::LetGo), Ok(self.let_go(host)))),
            Effect::Release(_) => {
                let gone = with_cloud(Cloud { exists: false, ..cloud });
                let late =
                    if is_late { Err("a host releases after another one has taken over") } else { Ok(()) };
                let mut push = |is_heard, happens, world: Self| {
                    next.push(((host, Move::Release(at, is_heard, happens)), late.map(|()| world)));
                };
                push(true, true, replied(&gone, Reply::Released));
                if self.lost > 0 {
                    push(false, true, Self { lost: self.lost - 1, ..gone });
                    push(false, false, Self { lost: self.lost - 1, ..*self });
                }
            }
            Effect::PollRelease(..) => {
                next.push(((host, Move::PollRelease(at)), Ok(replied(self, Reply::Gone))));
            }
            Effect::Nothing => {}
        }
    }
}

/// What a search came to.
struct Found {
    states: usize,
    transitions: usize,
    committed: usize,
    compensated: usize,
    /// What went wrong, and the shortest way there.
    wrong: Option<(&'static str, Vec<(u8, Move)>)>,
}

fn search(semantics: RetrySemantics, weakness: Weakness) -> Found {
    let mut decisions = Decisions::new(semantics, weakness);
    let first = World::new();
    // States in the order in which they were found, each with where it was found from.
    let mut numbers = HashMap::from_iter([(first, 0u32)]);
    let (mut states, mut ways) = (vec![first], vec![(0u32, (9, Move::Claim))]);
    let mut backwards: Vec<(u32, u32)> = Vec::new();
    let mut found = Found { states: 0, transitions: 0, committed: 0, compensated: 0, wrong: None };
    let way_to = |ways: &[(u32, (u8, Move))], mut number: u32| {
        let mut way = Vec::new();
        while number != 0 {
            let (before, by) = ways[number as usize];
            way.push(by);
            number = before;
        }
        way.reverse();
        way
    };
    let mut at = 0;
    while at < states.len() {
        let (world, here) = (states[at], at as u32);
        for (by, outcome) in world.next(&mut decisions) {
            found.transitions += 1;
            let outcome = outcome.and_then(|world| world.check().map(|()| world));
            let world = match outcome {
                Ok(world) => world,
                Err(why) => {
                    let mut way = way_to(&ways, here);
                    way.push(by);
                    found.states = states.len();
                    found.wrong = Some((why, way));
                    return found;
                }
            };
            let number = match numbers.entry(world) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let number = states.len() as u32;
                    new.insert(number);
                    states.push(world);
                    ways.push((here, by));
                    number
                }
            };
            backwards.push((number, here));
        }
        at += 1;
    }
    found.states = states.len();
    found.committed = states.iter().filter(|world| world.phase == Phase::Committed).count();
    found.compensated = states.iter().filter(|world| world.phase == Phase::Compensated).count();
    // From everywhere an end can be reached, or the search has given out its last claim.
    let is_end = |world: &World| world.is_final() || world.claims == 0;
    let mut has_end: Vec<bool> = states.iter().map(is_end).collect();
    let mut todo: Vec<u32> = (0..states.len() as u32).filter(|number| has_end[*number as usize]).collect();
    backwards.sort_unstable();
    while let Some(number) = todo.pop() {
        let from = backwards.partition_point(|(to, _)| *to < number);
        for (_, before) in backwards[from..].iter().take_while(|(to, _)| *to == number) {
            if !std::mem::replace(&mut has_end[*before as usize], true) {
                todo.push(*before);
            }
        }
    }
    if let Some(limbo) = has_end.iter().position(|has_end| !has_end) {
        found.wrong = Some(("an order is in limbo", way_to(&ways, limbo as u32)));
    }
    found
}

const LIST_LAG: Duration = Duration::from_secs(5);
const BY_KEY: RetrySemantics = RetrySemantics { is_repeatable: true, lag: Duration::ZERO };
const LAGGING_KEY: RetrySemantics = RetrySemantics { is_repeatable: true, lag: LIST_LAG };
const LAGGING: RetrySemantics = RetrySemantics { is_repeatable: false, lag: LIST_LAG };

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unoptimised; the tests without debug assertions run it")]
fn two_hosts_keep_all_promises_whatever_happens_in_whatever_order() {
    // What the caller names is looked up like a key.
    for semantics in [BY_KEY, LAGGING_KEY, LAGGING] {
        let found = search(semantics, Weakness::None);
        println!(
            "figure: {semantics:?}: {} states, {} transitions; committed in {}, compensated in {}; all five promises hold",
            found.states, found.transitions, found.committed, found.compensated
        );
        assert_eq!(found.wrong, None, "{semantics:?}");
        assert!(found.committed > 100 && found.compensated > 100);
    }
}

#[test]
fn every_weakness_is_found_by_the_same_search() {
    let cases = [
        (Weakness::AsksAgainForAnothersIntent, LAGGING, "two services"),
        (Weakness::NeverLooksForWhatIsUnknown, LAGGING, "two services"),
        (Weakness::TakesOneLookForProof, LAGGING, "two services"),
        (Weakness::ForgetsWhatMayHaveBeenSent, LAGGING, "cannot find"),
        (Weakness::ForgetsWhatMayHaveBeenSent, BY_KEY, "cannot find"),
        (Weakness::CallsWithoutLookingAtItsClaim, LAGGING, "taken over"),
        (Weakness::TakesOneLookForProof, LAGGING_KEY, "cannot find"),
        (Weakness::TakesARefusedRepeatForProof, LAGGING_KEY, "cannot find"),
        (Weakness::WritesWithoutFence, BY_KEY, ""),
        (Weakness::BuysBeforePricesAreChecked, BY_KEY, "before prices"),
    ];
    for (weakness, semantics, expected) in cases {
        let found = search(semantics, weakness);
        let (why, way) = found.wrong.unwrap_or_else(|| panic!("{weakness:?}: nothing was found"));
        println!("{weakness:?}: {why}, after {} moves and {} states:", way.len(), found.states);
        way.iter().for_each(|(host, by)| println!("    host {host}: {by:?}"));
        assert!(why.contains(expected), "{weakness:?}: {why}");
    }
}
