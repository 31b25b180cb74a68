//! Step dependencies: which steps come first, and which of their attributes a step's settings refer to.
//!
//! A step depends on steps of a lower rank that carry a component which one of its own is `after`. Ranks fall along every
//! dependency, so there is no circular wait, even where components share machines crosswise.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::{
    model::{
        Plan, Reference, Service, Settings, Step, StepState, TemplatePart, check_substitution,
        may_hold_secrets, parse_template,
    },
    provider::Access,
};

/// Bytes of the value of one reference.
const MAX_VALUE_BYTES: usize = 16 << 10;
/// Bytes of all texts in a step's settings together, once references are replaced.
const MAX_SETTINGS_BYTES: usize = 1 << 20;
/// References in the settings of one lease.
pub(super) const MAX_REFERENCES: usize = 4096;

/// What opens the services that a step's user data refers to, by provider and id.
pub(super) type StepSecrets = BTreeMap<String, Access>;

/// A service among those of all providers.
pub(super) fn service_name(service: &Service) -> String {
    format!("{}/{}", service.provider, service.id)
}

/// What the steps of one order have become, for the steps that depend on them.
#[derive(Debug, Default)]
pub(super) struct StepDependencies {
    /// None: the step was tried, and has no service.
    resolved: Mutex<BTreeMap<u32, Option<Service>>>,
    changed: Notify,
}

/// Whether one step depends on another one.
fn depends_on(one: &Step, other: &Step) -> bool {
    other.lease.rank < one.lease.rank
        && other.lease.replicas.keys().any(|component| one.lease.after.contains(component))
}

/// For each step the positions of its prerequisites. Steps that were given up are left out.
pub(super) fn prerequisites(steps: &[Step]) -> Vec<Vec<u32>> {
    let is_waited_for = |other: &&Step| other.state != StepState::Compensated;
    steps
        .iter()
        .map(|one| {
            if one.lease.after.is_empty() {
                return Vec::new();
            }
            let others = steps.iter().filter(is_waited_for).filter(|other| depends_on(one, other));
            others.map(|other| other.index).collect()
        })
        .collect()
}

impl StepDependencies {
    /// Starts with the steps that have a service already.
    pub(super) fn start(&self, steps: &[Step]) {
        let made = steps.iter().filter_map(|step| Some((step.index, Some(service_of(step)?.clone()))));
        *self.resolved.lock().unwrap_or_else(PoisonError::into_inner) = made.collect();
    }

    /// Resolves a step for those that depend on it; none if it could not be written.
    pub(super) fn resolve(&self, index: u32, step: Option<&Step>) {
        let service = step.and_then(service_of).cloned();
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner).insert(index, service);
        self.changed.notify_waiters();
    }

    /// Waits until all prerequisites are resolved; whether each has a service.
    pub(super) async fn wait_for(&self, others: &[u32]) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the check, so that no change between check and wait is missed.
            changed.as_mut().enable();
            {
                let made = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
                if others.iter().any(|other| matches!(made.get(other), Some(None))) {
                    return false;
                }
                if others.iter().all(|other| made.contains_key(other)) {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// The services of the steps that hold a component.
    pub(super) fn services_of(&self, component: &str, steps: &BTreeMap<u32, Vec<String>>) -> Vec<Service> {
        let made = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let holds =
            |index: &u32| steps.get(index).is_some_and(|all| all.iter().any(|name| name == component));
        made.iter().filter(|(index, _)| holds(index)).filter_map(|(_, service)| service.clone()).collect()
    }

    /// A step's settings with each reference replaced by the attributes of its services, in the order of their steps. In user data,
    /// secrets of the services count as attributes.
    ///
    /// # Errors
    /// In words: a service that is referred to does not exist, or does not have that attribute.
    pub(super) fn resolve_settings(
        &self,
        step: &Step,
        steps: &BTreeMap<u32, Vec<String>>,
        plan: &Plan,
        secrets: &StepSecrets,
    ) -> Result<Settings, String> {
        let made = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        // A service that a fail-over keeps belongs to a step, too.
        let own: BTreeSet<String> = made.values().flatten().map(service_name).collect();
        let secret = |service: &Service, name: &str| {
            secrets.get(&service_name(service))?.get(name).map(|secret| secret.expose_secret().to_owned())
        };
        let of = |reference: Reference<'_>, has_secrets: bool| -> Result<String, String> {
            let mut is_secret = false;
            let Reference { component, attribute: what, .. } = reference;
            let services = made.iter().filter_map(|(index, service)| {
                let holds = steps.get(index)?.iter().any(|name| name == component);
                service.as_ref().filter(|_| holds)
            });
            let values: Option<Vec<String>> = services
                .map(|service| match (what, service.attributes.get(what)) {
                    ("id", _) => Some(service.id.to_string()),
                    (_, Some(told)) => Some(told.clone()),
                    (_, None) => {
                        is_secret = true;
                        secret(service, what).filter(|_| has_secrets)
                    }
                })
                .collect();
            let mut values = values.ok_or_else(|| format!("{component} has no `{what}`"))?;
            for lease in
                plan.leases.iter().filter(|it| it.replicas.keys().any(|name| name.as_str() == component))
            {
                let Some(kept) = lease.keeps.as_ref().map(|id| id.as_str()).filter(|id| !own.contains(*id))
                else {
                    continue;
                };
                if what != "id" {
                    return Err(format!("{component} ran before, as {kept}; only its id is known"));
                }
                let provider = format!("{}/", lease.place.provider);
                values.push(kept.strip_prefix(&provider).unwrap_or(kept).to_owned());
            }
            let checked = values.iter().try_for_each(|value| check_substitution(reference, value));
            // The words of an error would show a secret.
            checked.map_err(|why| match is_secret {
                true => {
                    format!("the `{what}` of {component} is no plain word; write ${{{component}.{what}|raw}}")
                }
                false => why,
            })?;
            let text = values.join(",");
            match text.len() {
                0 => Err(format!("{component} is not there")),
                size if size > MAX_VALUE_BYTES => Err(format!("`{what}` of {component} has {size} bytes")),
                _ => Ok(text),
            }
        };
        // The ids of the services of some leases of the plan. One that may be missing is left out.
        let partners = |positions: &[u32]| -> Result<Value, String> {
            let index_of = plan.steps_of_leases(steps.len());
            let id_of = |position: &u32| {
                let at = usize::try_from(*position).ok()?;
                let lease = plan.leases.get(at)?;
                let own = index_of.get(at)?.and_then(|index| made.get(&index)?.as_ref());
                let kept = || {
                    let name = lease.keeps.as_ref()?.as_str();
                    let provider = format!("{}/", lease.place.provider);
                    Some(name.strip_prefix(&provider).unwrap_or(name).to_owned())
                };
                own.map(|service| service.id.as_str().to_owned()).or_else(kept)
            };
            let ids: Vec<String> = positions.iter().filter_map(id_of).collect();
            if ids.is_empty() {
                return Err("what it belongs to is not there".to_owned());
            }
            let reference = Reference { component: "a partner", attribute: "id", is_raw: false };
            ids.iter().try_for_each(|id| check_substitution(reference, id))?;
            let text = ids.join(",");
            if text.len() > MAX_SETTINGS_BYTES {
                return Err(format!("the ids of what it belongs to have {} bytes", text.len()));
            }
            Ok(Value::String(text))
        };
        // Each reference is resolved once.
        let known: RefCell<BTreeMap<(String, String, bool, bool), String>> = RefCell::default();
        let total = Cell::new(0_usize);
        let in_text = |value: &str, has_secrets: bool| -> Result<String, String> {
            let mut text = String::new();
            for piece in parse_template(value, |name| step.lease.after.contains(name))? {
                match piece {
                    TemplatePart::Text(plain) => text += plain,
                    TemplatePart::Reference(reference) => {
                        let key = (
                            reference.component.to_owned(),
                            reference.attribute.to_owned(),
                            reference.is_raw,
                            has_secrets,
                        );
                        if !known.borrow().contains_key(&key) {
                            known.borrow_mut().insert(key.clone(), of(reference, has_secrets)?);
                        }
                        text += known.borrow().get(&key).map_or("", String::as_str);
                    }
                }
                if total.get().saturating_add(text.len()) > MAX_SETTINGS_BYTES {
                    return Err(format!(
                        "they would have more than {MAX_SETTINGS_BYTES} bytes; refer to less"
                    ));
                }
            }
            total.set(total.get().saturating_add(text.len()));
            Ok(text)
        };
        let value = |(name, value): (&String, &Value)| {
            let value = match step.lease.partners.get(name) {
                Some(positions) => partners(positions)?,
                None => with_texts(value, &|text| in_text(text, may_hold_secrets(name)))?,
            };
            Ok((name.clone(), value))
        };
        let settings: Result<_, String> = step.lease.settings.iter().map(value).collect();
        settings.map_err(|why| format!("its settings cannot be put together: {why}"))
    }
}

/// A value with each text in it replaced.
fn with_texts(value: &Value, replace: &impl Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(replace(text)?),
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| with_texts(value, replace)).collect::<Result<_, _>>()?)
        }
        Value::Object(values) => {
            let replaced = |(name, value): (&String, &Value)| Ok((name.clone(), with_texts(value, replace)?));
            Value::Object(values.iter().map(replaced).collect::<Result<_, String>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn service_of(step: &Step) -> Option<&Service> {
    match &step.state {
        StepState::Provisioned { service } | StepState::Committed { service } => Some(service),
        StepState::Planned
        | StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Provisioning { .. }
        | StepState::Acting { .. }
        | StepState::Compensating { .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => None,
    }
}
