//! Secrets of other steps' services, for a step whose user data refers to them. They are asked for just before the request that
//! carries them, and stand in no ledger.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::{
    backoff::retry_transient,
    driver::Driver,
    step_dependencies::{StepSecrets, service_name},
};
use crate::{
    model::{Settings, Step, may_hold_secrets, parse_template, references_in, setting_text, text_values},
    provider::{ErrorKind, OperationHandle},
};

/// What a request is made with.
#[derive(Debug, Clone, Default)]
pub(super) struct ResolvedSettings {
    pub(super) settings: Settings,
    /// What of it is recorded nowhere.
    pub(super) secrets: Vec<SecretString>,
}

impl ResolvedSettings {
    /// Checks that a handle, which must stay unchanged, holds none of the secrets.
    pub(super) fn check_handle(&self, handle: OperationHandle) -> Result<OperationHandle, ErrorKind> {
        match self.secrets.iter().any(|secret| handle.as_str().contains(secret.expose_secret())) {
            false => Ok(handle),
            true => {
                let message =
                    "the operation's handle holds a secret of the request and is not stored".to_owned();
                Err(ErrorKind::Protocol { message })
            }
        }
    }
}

impl Driver<'_> {
    /// A step's settings with each reference replaced, also those to secrets. Its provider withholds the secrets from now on.
    ///
    /// # Errors
    /// In words: a service that is referred to does not exist, does not have that attribute, or does not give its secrets; or the
    /// step's provider does not take them.
    pub(super) async fn resolved_settings(&self, step: &Step) -> Result<ResolvedSettings, String> {
        let (told, mut secrets) = self.secrets_of(step).await?;
        let settings = self.dependencies.resolve_settings(step, &self.components, &self.order.plan, &told)?;
        if secrets.is_empty() {
            return Ok(ResolvedSettings { settings, secrets });
        }
        let provider = self.provider(step);
        if !provider.capabilities().takes_secrets() {
            return Err(format!("{} takes no secrets in `user_data`", step.provider));
        }
        // What stands in all records of this order is no secret, and hiding it would change them.
        let own = [
            step.key.as_str(),
            step.provider.as_str(),
            step.lease.sku.as_str(),
            step.lease.place.region.as_str(),
        ];
        if let Some(word) =
            secrets.iter().find_map(|it| own.iter().find(|own| own.contains(it.expose_secret())))
        {
            return Err(format!("a secret of the service that it refers to is a part of {word}"));
        }
        let coded = settings.iter().filter(|(name, _)| may_hold_secrets(name));
        let coded = coded.filter_map(|(_, value)| setting_text(value)).map(|text| STANDARD.encode(text));
        secrets.extend(coded.map(SecretString::from));
        provider.withhold(&secrets);
        Ok(ResolvedSettings { settings, secrets })
    }

    /// What opens the services that a step's user data refers to, and what of it the user data has.
    async fn secrets_of(&self, step: &Step) -> Result<(StepSecrets, Vec<SecretString>), String> {
        let (mut told, mut secrets) = (StepSecrets::new(), Vec::new());
        for (component, attribute) in secret_references(step) {
            for service in self.dependencies.services_of(&component, &self.components) {
                let Some(provider) = self.engine.providers.get(&service.provider) else { continue };
                let name = service_name(&service);
                let is_secret = provider.capabilities().secrets.values().any(|all| all.contains(&attribute))
                    && !service.attributes.contains_key(&attribute);
                if !is_secret {
                    continue;
                }
                if !told.contains_key(&name) {
                    let access = retry_transient(|| provider.access(&service.id)).await;
                    let access = access
                        .map_err(|error| format!("{component} does not give `{attribute}`: {error}"))?;
                    told.insert(name.clone(), access);
                }
                secrets.extend(told.get(&name).and_then(|access| access.get(&attribute)).cloned());
            }
        }
        Ok((told, secrets))
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
