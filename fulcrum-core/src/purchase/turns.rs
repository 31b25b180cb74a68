//! Whose turn it is: what a step needs is there before it, and ends after it.
//!
//! A step waits for those that hold a component which one of its own is `after`, and only for those of a lower rank: ranks
//! fall along every wait, so nobody waits in a circle, even where components share machines crosswise.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use serde_json::Value;

use crate::model::{
    Plan, Reference, Service, Settings, Step, StepState, TemplatePart, check_substitution, parse_template,
};

/// Bytes of what is put in place of a reference.
const MAX_VALUE: usize = 16 << 10;
/// Bytes of all texts in a step's settings together, once references are replaced: a script that fills them is nobody's.
const MAX_TEXTS: usize = 1 << 20;
/// References in the settings of one lease.
pub(super) const MAX_REFERENCES: usize = 4096;

/// What the steps of one order have come to, as far as others wait for them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// None: it was tried, and is not there.
    made: Mutex<BTreeMap<u32, Option<Service>>>,
    changed: Notify,
}

/// Whether one step needs another one.
fn needs(one: &Step, other: &Step) -> bool {
    other.lease.rank < one.lease.rank
        && other.lease.replicas.keys().any(|component| one.lease.after.contains(component))
}

/// For each step the positions of those that must be there before it. What was given up is not waited for.
pub(super) fn before(steps: &[Step]) -> Vec<Vec<u32>> {
    let is_waited_for = |other: &&Step| other.state != StepState::Compensated;
    steps
        .iter()
        .map(|one| {
            if one.lease.after.is_empty() {
                return Vec::new();
            }
            let others = steps.iter().filter(is_waited_for).filter(|other| needs(one, other));
            others.map(|other| other.index).collect()
        })
        .collect()
}

impl Turns {
    /// Starts from what is there.
    pub(super) fn begin(&self, steps: &[Step]) {
        let made = steps.iter().filter_map(|step| Some((step.index, Some(service_of(step)?.clone()))));
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = made.collect();
    }

    /// Tells what a step has come to; none if that cannot be written down.
    pub(super) fn tell(&self, index: u32, step: Option<&Step>) {
        let service = step.and_then(service_of).cloned();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(index, service);
        self.changed.notify_waiters();
    }

    /// Waits until others have come to something; whether all of them are there.
    pub(super) async fn wait(&self, others: &[u32]) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Heard from now on: what is told between the look and the wait is not missed.
            changed.as_mut().enable();
            {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// What a step is made with: references replaced by what others have become, in the order of their steps.
    ///
    /// # Errors
    /// In words: what is referred to is not there, or does not say that.
    pub(super) fn settings(
        &self,
        step: &Step,
        steps: &BTreeMap<u32, Vec<String>>,
        plan: &Plan,
    ) -> Result<Settings, String> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // What a fail-over keeps is a step's, too.
        let named = |service: &Service| format!("{}/{}", service.provider, service.id);
        let own: BTreeSet<String> = made.values().flatten().map(named).collect();
        let of = |reference: Reference<'_>| -> Result<String, String> {
            let Reference { component, attribute: what, .. } = reference;
            let services = made.iter().filter_map(|(index, service)| {
                let holds = steps.get(index)?.iter().any(|name| name == component);
                service.as_ref().filter(|_| holds)
            });
            let values: Option<Vec<&str>> = services
                .map(|service| match what {
                    "id" => Some(service.id.as_str()),
                    other => service.attributes.get(other).map(String::as_str),
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
                values.push(kept.strip_prefix(&provider).unwrap_or(kept));
            }
            values.iter().try_for_each(|value| check_substitution(reference, value))?;
            let text = values.join(",");
            match text.len() {
                0 => Err(format!("{component} is not there")),
                size if size > MAX_VALUE => Err(format!("`{what}` of {component} has {size} bytes")),
                _ => Ok(text),
            }
        };
        // Each is looked up once, however often it stands there.
        let known: RefCell<BTreeMap<(String, String, bool), String>> = RefCell::default();
        let total = Cell::new(0_usize);
        let in_text = |value: &str| -> Result<String, String> {
            let mut text = String::new();
            for piece in parse_template(value, |name| step.lease.after.contains(name))? {
                match piece {
                    TemplatePart::Text(plain) => text += plain,
                    TemplatePart::Reference(reference) => {
                        let key = (
                            reference.component.to_owned(),
                            reference.attribute.to_owned(),
                            reference.is_raw,
                        );
                        if !known.borrow().contains_key(&key) {
                            known.borrow_mut().insert(key.clone(), of(reference)?);
                        }
                        text += known.borrow().get(&key).map_or("", String::as_str);
                    }
                }
                if total.get().saturating_add(text.len()) > MAX_TEXTS {
                    return Err(format!("they would have more than {MAX_TEXTS} bytes; refer to less"));
                }
            }
            total.set(total.get().saturating_add(text.len()));
            Ok(text)
        };
        let value = |(name, value): (&String, &Value)| Ok((name.clone(), with_texts(value, &in_text)?));
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
        _ => None,
    }
}
