//! Dry runs of purchases: everything that an adapter does before the first request with an effect, and what the API would look
//! up by itself.

use async_trait::async_trait;

use crate::{
    model::{IdempotencyKey, OrderId},
    provider::{
        Call, ErrorKind, Provider, ProviderError, ProvisionRequest, Refusal, Result,
        http::{WithoutEffect, without_effect},
    },
};

/// What an adapter adds to a dry run. The purchase's own look-ups are made anyway.
#[async_trait]
pub(super) trait DryRun: Provider {
    /// Looks up what a request names and the API would look up by itself, such as keys.
    async fn look_up(&self, _: &ProvisionRequest) -> Result<()> {
        Ok(())
    }

    /// Holds the sum of some requests against the account's limits.
    async fn check_limits(&self, _: &[&ProvisionRequest]) -> Result<()> {
        Ok(())
    }
}

/// What would be refused of these purchases now. A question that could not be asked is among them, with its error.
pub(super) async fn dry_run<P: DryRun>(provider: &P, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
    let (mut refusals, mut accepted) = (Vec::new(), Vec::new());
    for positions in equal_ones(requests) {
        let Some(request) = positions.first().and_then(|at| requests.get(*at)) else { continue };
        let outcome = match purchase(provider, request).await {
            Ok(()) => provider.look_up(request).await.map_err(unless_refused),
            refused => refused,
        };
        match outcome {
            Ok(()) => accepted.extend(positions),
            Err(error) => refusals.push(Refusal { requests: positions, error }),
        }
    }
    accepted.sort_unstable();
    let asked: Vec<&ProvisionRequest> = accepted.iter().filter_map(|at| requests.get(*at)).collect();
    if !asked.is_empty()
        && let Err(error) = provider.check_limits(&asked).await.map_err(unless_refused)
    {
        refusals.push(Refusal { requests: accepted, error });
    }
    Ok(refusals)
}

/// A purchase under a key of nobody's, up to its first request with an effect.
async fn purchase<P: Provider>(provider: &P, request: &ProvisionRequest) -> Result<()> {
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    match without_effect(provider.provision(request, &key)).await {
        WithoutEffect::HeldBack => Ok(()),
        WithoutEffect::Ended(outcome) => outcome.map(drop),
    }
}

/// The error of a look-up that the purchase does not make. Credentials that may not look do not say that they may not buy.
fn unless_refused(error: ProviderError) -> ProviderError {
    let is_unknown =
        matches!(error.kind, ErrorKind::Forbidden | ErrorKind::Unauthorised | ErrorKind::Unsupported);
    match is_unknown {
        true => {
            let cause = format!("it cannot be looked up: {}", error.words());
            ProviderError { kind: ErrorKind::unavailable(cause), call: Call::DryRun, ..error }
        }
        false => error,
    }
}

/// The positions of requests that differ in nothing but their name.
fn equal_ones(requests: &[ProvisionRequest]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(ProvisionRequest, Vec<usize>)> = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        let nameless = ProvisionRequest { name: String::new(), ..request.clone() };
        match groups.iter_mut().find(|(one, _)| *one == nameless) {
            Some((_, positions)) => positions.push(at),
            None => groups.push((nameless, vec![at])),
        }
    }
    groups.into_iter().map(|(_, positions)| positions).collect()
}
