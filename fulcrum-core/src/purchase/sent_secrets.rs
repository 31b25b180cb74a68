//! Secrets that requests have carried, and changes of the ledger without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ledger::OrderUpdate,
    model::{OfferKind, Step},
    provider::Access,
};

/// Stands for a secret in what is recorded.
const HIDDEN: &str = "(secret)";
/// A shorter value is no secret: ordinary words would go with it.
const MIN_SECRET_CHARS: usize = 6;

/// The secrets that requests of a drive have carried. Whoever got one may repeat it, in an error, a handle or an attribute of
/// its service; nothing of that is recorded.
#[derive(Debug, Default)]
pub(super) struct SentSecrets(RwLock<Vec<SecretString>>);

impl SentSecrets {
    /// Adds what a provider declares as secrets.
    pub(super) fn add(&self, access: &Access, declared: &BTreeMap<OfferKind, BTreeSet<String>>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for name in declared.values().flatten() {
            let secret = access.get(name).filter(|it| it.expose_secret().len() >= MIN_SECRET_CHARS);
            let is_new =
                |it: &&SecretString| !known.iter().any(|own| own.expose_secret() == it.expose_secret());
            let secret = secret.filter(is_new).cloned();
            known.extend(secret);
        }
    }

    /// A text without secrets; none if it has none.
    fn hidden_text(&self, text: &str) -> Option<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut hidden: Option<String> = None;
        for secret in known.iter().map(ExposeSecret::expose_secret) {
            // As it is, and as it stands in JSON: a handle may be JSON within JSON.
            let mut form = secret.to_owned();
            for _ in 0..3 {
                let now = hidden.as_deref().unwrap_or(text);
                if now.contains(&form) {
                    hidden = Some(now.replace(&form, HIDDEN));
                }
                let quoted = serde_json::to_string(&form).unwrap_or_default();
                let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or_default();
                if inner == form {
                    break;
                }
                form = inner.to_owned();
            }
        }
        hidden
    }

    /// A value without secrets in its texts; none if it has none.
    fn hidden_value<T: Serialize + DeserializeOwned>(&self, value: &T) -> Option<T> {
        let hidden = self.hidden_text(&serde_json::to_string(value).ok()?)?;
        serde_json::from_str(&hidden).ok()
    }

    /// Steps without secrets.
    pub(super) fn hidden_steps(&self, steps: Vec<Step>) -> Vec<Step> {
        if self.is_empty() {
            return steps;
        }
        steps.into_iter().map(|step| self.hidden_value(&step).unwrap_or(step)).collect()
    }

    /// A change without secrets; none if it has none.
    pub(super) fn hidden(&self, change: &OrderUpdate) -> Option<OrderUpdate> {
        if self.is_empty() {
            return None;
        }
        let mut hidden = change.clone();
        hidden.steps = self.hidden_steps(hidden.steps);
        for event in &mut hidden.events {
            if let Some(without) = self.hidden_value(event) {
                *event = without;
            }
        }
        if let Some((_, Some(reason))) = &mut hidden.order
            && let Some(without) = self.hidden_text(reason)
        {
            *reason = without;
        }
        Some(hidden)
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
