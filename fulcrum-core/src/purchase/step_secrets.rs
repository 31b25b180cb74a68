//! Secrets of other steps' services, for a step whose user data refers to them. They are asked for just before the request that
//! carries them, and stand in no ledger.

use super::{
    backoff::retry_transient,
    driver::Driver,
    step_dependencies::{StepSecrets, service_name},
};
use crate::model::{Settings, Step, may_hold_secrets, parse_template, references_in, text_values};

impl Driver<'_> {
    /// A step's settings with each reference replaced, also those to secrets.
    ///
    /// # Errors
    /// In words: a service that is referred to does not exist, does not have that attribute, or does not give its secrets.
    pub(super) async fn resolved_settings(&self, step: &Step) -> Result<Settings, String> {
        let secrets = self.secrets_of(step).await?;
        self.dependencies.resolve_settings(step, &self.components, &self.order.plan, &secrets)
    }

    async fn secrets_of(&self, step: &Step) -> Result<StepSecrets, String> {
        let mut secrets = StepSecrets::new();
        for (component, attribute) in secret_references(step) {
            for service in self.dependencies.services_of(&component, &self.components) {
                let Some(provider) = self.engine.providers.get(&service.provider) else { continue };
                let name = service_name(&service);
                let is_secret = provider.capabilities().secrets.values().any(|all| all.contains(&attribute))
                    && !service.attributes.contains_key(&attribute);
                if is_secret && !secrets.contains_key(&name) {
                    let access = retry_transient(|| provider.access(&service.id)).await;
                    let access = access
                        .map_err(|error| format!("{component} does not give `{attribute}`: {error}"))?;
                    self.sent_secrets.add(&access, &provider.capabilities().secrets);
                    secrets.insert(name, access);
                }
            }
        }
        Ok(secrets)
    }
}

/// Components and attributes to which the user data of a step refers.
fn secret_references(step: &Step) -> Vec<(String, String)> {
    let texts = step.lease.settings.iter().filter(|(name, _)| may_hold_secrets(name));
    let texts = texts.flat_map(|(_, value)| text_values(value));
    let of_text = |text| {
        let pieces = parse_template(text, |name| step.lease.after.contains(name)).unwrap_or_default();
        references_in(pieces)
    };
    let all = texts.flat_map(of_text);
    all.map(|it| (it.component.to_owned(), it.attribute.to_owned())).collect()
}
