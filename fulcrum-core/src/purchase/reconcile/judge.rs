//! Judges a service from an order alone: whose it is, and whether it has drifted. No I/O, no clock.

use crate::model::{
    FindingKind, IdempotencyKey, Order, OrderState, ProviderId, Service, ServiceId, ServiceStatus, Step,
    StepState,
};

/// What an order says about a service with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The order is under way: the service is left to its driver.
    InProgress,
    /// A step of the order has it.
    Owned,
    /// No step has it.
    Surplus {
        kind: FindingKind,
        why: String,
        /// Why a scan must not release it, and what to do instead.
        spared: Option<&'static str>,
        /// The service that the step has instead, and where.
        instead: Option<(ProviderId, ServiceId)>,
    },
}

pub(super) const UNKNOWN: &str = "nothing is known of it here";

/// Judges a service at a provider that carries a key of this library's form.
pub(super) fn judge(
    order: Option<&Order>,
    key: &IdempotencyKey,
    provider: &ProviderId,
    service: &ServiceId,
) -> Verdict {
    // An order of another ledger may have the same id: its keys name another namespace.
    let Some(order) = order.filter(|order| order.namespace == key.namespace()) else {
        let why =
            "this ledger has no such order: it was restored from an older copy, or this is another one's";
        return surplus(FindingKind::Unknown, why.to_owned(), Some(UNKNOWN), None);
    };
    judge_steps(order.state, &order.steps, key, provider, service)
}

fn surplus(
    kind: FindingKind,
    why: String,
    spared: Option<&'static str>,
    instead: Option<(ProviderId, ServiceId)>,
) -> Verdict {
    Verdict::Surplus { kind, why, spared, instead }
}

fn judge_steps(
    state: OrderState,
    steps: &[Step],
    key: &IdempotencyKey,
    provider: &ProviderId,
    service: &ServiceId,
) -> Verdict {
    let holds = |step: &Step| {
        step.provider == *provider && step.state.service().is_some_and(|own| own.id == *service)
    };
    if steps.iter().any(holds) {
        return Verdict::Owned;
    }
    if !state.is_final() {
        return Verdict::InProgress;
    }
    let state = state.word();
    let Some(step) = steps.iter().find(|step| step.key == *key) else {
        let why = format!("its order is {state} and has no such step");
        return surplus(FindingKind::Unknown, why, Some(UNKNOWN), None);
    };
    match &step.state {
        StepState::Provisioned { service: own } | StepState::Committed { service: own } => {
            let why = format!("its order is {state} and holds {} at {} for that step", own.id, step.provider);
            let instead = Some((step.provider.clone(), own.id.clone()));
            surplus(FindingKind::Duplicate, why, None, instead)
        }
        StepState::Planned
        | StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Compensated => {
            let why = format!("its order is {state} and holds nothing for that step");
            surplus(FindingKind::Orphan, why, None, None)
        }
        StepState::Stuck { .. } => {
            let why = format!("its order is {state}, and so is that step");
            let spared = "its provider refused before, and a person must look: `retry` or `settle` the order";
            surplus(FindingKind::Orphan, why, Some(spared), None)
        }
        StepState::Provisioning { .. } | StepState::Acting { .. } | StepState::Compensating { .. } => {
            Verdict::InProgress
        }
    }
}

/// The service that a committed order has for a step, which should run.
pub(super) fn committed_service(order: &Order, index: u32) -> Option<(&Step, &Service)> {
    let step = order.steps.iter().find(|step| step.index == index)?;
    let service = step.state.service()?;
    (order.state == OrderState::Committed).then_some((step, service))
}

/// How a service differs from the one that its step has, in words; empty if in nothing that matters.
pub(super) fn differences(key: &IdempotencyKey, held: &Service, now: &Service) -> String {
    let mut found = Vec::new();
    let is_worse = match now.status {
        ServiceStatus::Failed | ServiceStatus::Releasing => true,
        // What was stopped when it was bought may stay so.
        ServiceStatus::Stopped => held.status != ServiceStatus::Stopped,
        ServiceStatus::Starting | ServiceStatus::Running => false,
    };
    if is_worse {
        found.push(format!("it is {}", now.status.word()));
    }
    if now.sku != held.sku {
        found.push(format!("it is a {}, and {} was bought", now.sku, held.sku));
    }
    let (place, bought) = (&now.place, &held.place);
    // A zone that only one side tells is no difference.
    let has_moved = place.region != bought.region
        || place.country != bought.country
        || matches!((&place.zone, &bought.zone), (Some(now), Some(bought)) if now != bought);
    if has_moved {
        let zone = |place: &crate::model::Place| {
            place.zone.as_ref().map_or_else(String::new, |zone| format!(" {zone}"))
        };
        found.push(format!(
            "it is in {}{} ({}), and was bought in {}{} ({})",
            place.region,
            zone(place),
            place.country,
            bought.region,
            zone(bought),
            bought.country,
        ));
    }
    // A provider whose services never told a key has lost none.
    if held.key.is_some() && now.key != held.key {
        found.push(match &now.key {
            None => format!("it no longer carries the key {key}, by which it could be found again"),
            Some(other) => format!("it carries the key {other} instead of {key}"),
        });
    }
    found.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CallProgress, ClaimId, CountryCode, Lease, OfferKind, OrderId, Place, RequestSent, ZoneId,
    };

    fn key() -> IdempotencyKey {
        IdempotencyKey::of_step(&"018f0000-0000-7000-8000-000000000001".parse::<OrderId>().expect("an id"), 0)
    }

    fn own(service: Service) -> crate::model::OwnService {
        crate::model::OwnService::unchecked(service)
    }

    fn service() -> Service {
        Service {
            id: "vm-1".parse().expect("a name"),
            provider: "acme".parse().expect("a name"),
            key: Some(key()),
            sku: "small".parse().expect("a name"),
            place: Place {
                provider: "acme".parse().expect("a name"),
                region: "r1".parse().expect("a name"),
                zone: None,
                country: "DE".parse().expect("a country"),
                coordinates: None,
            },
            status: ServiceStatus::Running,
            attributes: Default::default(),
        }
    }

    fn zone(name: &str) -> Option<ZoneId> {
        Some(name.parse().expect("a name"))
    }

    fn in_zone(name: &str) -> Service {
        let mut service = service();
        service.place.zone = zone(name);
        service
    }

    #[test]
    fn what_only_one_side_tells_is_no_difference() {
        let (held, now) = (service(), in_zone("a"));
        assert_eq!(differences(&key(), &held, &now), "");
        assert_eq!(differences(&key(), &now, &held), "");
        // Told apart by both sides it is one.
        assert!(differences(&key(), &in_zone("b"), &now).contains("r1 a"));
        let keyless = Service { key: None, ..service() };
        assert_eq!(differences(&key(), &keyless, &service()), "");
        let mut told = service();
        told.attributes.insert("ip".to_owned(), "192.0.2.1".to_owned());
        assert_eq!(differences(&key(), &held, &told), "");
    }

    #[test]
    fn what_was_bought_stopped_may_stay_so_and_what_is_broken_may_not() {
        let with = |status| Service { status, ..service() };
        let stopped = with(ServiceStatus::Stopped);
        assert_eq!(differences(&key(), &stopped, &stopped), "");
        for broken in [ServiceStatus::Failed, ServiceStatus::Releasing] {
            assert!(differences(&key(), &with(broken), &with(broken)).contains(broken.word()));
        }
        let starting = with(ServiceStatus::Starting);
        assert_eq!(differences(&key(), &service(), &starting), "", "it is on its way");
    }

    #[test]
    fn another_country_under_the_same_name_is_a_difference() {
        let mut now = service();
        now.place.country = "FR".parse::<CountryCode>().expect("a country");
        let told = differences(&key(), &service(), &now);
        assert!(told.contains("FR") && told.contains("DE"), "{told}");
    }

    fn step(state: StepState) -> Step {
        let service = service();
        Step {
            index: 0,
            key: key(),
            provider: service.provider,
            lease: Lease {
                offer: "acme/r1/small".parse().expect("a name"),
                sku: service.sku,
                kind: OfferKind::Machine,
                place: service.place,
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
            },
            state,
            attempts: Vec::new(),
        }
    }

    /// What is said of the service `vm-1` at `provider`, with the key of a step in that state.
    fn said(order: OrderState, state: StepState, provider: &str) -> Option<FindingKind> {
        let provider = provider.parse().expect("a name");
        match judge_steps(order, &[step(state)], &key(), &provider, &service().id) {
            Verdict::InProgress | Verdict::Owned => None,
            Verdict::Surplus { kind, .. } => Some(kind),
        }
    }

    #[test]
    fn what_a_step_holds_is_held_whatever_key_it_carries() {
        let committed = || StepState::Committed { service: own(service()) };
        assert_eq!(said(OrderState::Committed, committed(), "acme"), None);
        let other = IdempotencyKey::of_step(&OrderId::generate(), 0);
        let steps = [step(committed())];
        let acme = service().provider;
        assert_eq!(judge_steps(OrderState::Stuck, &steps, &other, &acme, &service().id), Verdict::Owned);
        // Two providers may use the same names.
        assert_eq!(said(OrderState::Committed, committed(), "other"), Some(FindingKind::Duplicate));
    }

    #[test]
    fn orders_and_steps_that_are_under_way_are_left_to_their_driver() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let claim = ClaimId::of_token(1);
        let asking = StepState::Provisioning {
            claim,
            since: now,
            progress: CallProgress::OutcomeUnknown,
            operation: None,
        };
        let ending =
            StepState::Compensating { service: None, operation: None, sent: RequestSent::Known, since: now };
        for order in [OrderState::Accepted, OrderState::Provisioning, OrderState::Compensating] {
            for state in [StepState::Planned, asking.clone(), ending.clone(), StepState::Compensated] {
                assert_eq!(said(order, state, "acme"), None, "{order:?}");
            }
        }
        assert_eq!(said(OrderState::Stuck, asking, "acme"), None);
        assert_eq!(said(OrderState::Compensated, StepState::Compensated, "acme"), Some(FindingKind::Orphan));
    }
}
