//! Promises under load and cancellation: stable prices, cancelled calls, concurrent calls, and sold-out SKUs.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all};
use tokio::time::{Instant, timeout};

use super::{Finding, Suite, ensure};
use crate::{
    model::{OfferId, Price, PurchaseOption, Shortage},
    provider::{Call, ErrorKind, OfferFilter, OperationHandle, OperationStatus, ProvisionRequest},
};

/// How long a cancelled call may still block its caller.
const MAX_CANCEL_LATENCY: Duration = Duration::from_millis(500);
/// Attempts of a cancellation: a busy machine is late sometimes, a blocking provider each time.
const CANCEL_ATTEMPTS: usize = 4;
/// Calls at once.
const CONCURRENT_CALLS: usize = 24;

impl Suite {
    pub(super) async fn check_stability(&mut self) {
        const PRICES: &str = "two lists in a row have the same prices";
        const GIVEN_UP: &str = "a call that is given up ends at once, and the next one is answered";
        const MANY: &str = "many calls at once are answered, or refused as too many";
        if self.can(&[Call::Offers]) {
            let finding = self.stable_prices().await;
            self.record(PRICES, finding);
        } else {
            self.skip(PRICES, "offers is not declared");
        }
        if self.can(&[Call::Offers]) || self.can(&[Call::FindByKey]) {
            let finding = self.cancelled_call().await;
            self.record(GIVEN_UP, finding);
        } else {
            self.skip(GIVEN_UP, "neither offers nor find_by_key is declared");
        }
        if self.can(&[Call::FindByKey]) {
            let finding = self.concurrent_calls().await;
            self.record(MANY, finding);
        } else {
            self.skip(MANY, "find_by_key is not declared");
        }
    }

    /// Spot prices may change at any moment; others at most daily.
    async fn stable_prices(&self) -> Finding {
        let list = async || -> Result<BTreeMap<OfferId, Price>, String> {
            let offers = self.all(self.provider.offers(&OfferFilter::default())).await?;
            let fixed =
                offers.into_iter().filter(|offer| offer.price.purchase_option != PurchaseOption::Spot);
            Ok(fixed.map(|offer| (offer.id(), offer.price)).collect())
        };
        let (first, second) = (list().await?, list().await?);
        let changed = first.iter().find(|(id, price)| second.get(*id).is_some_and(|now| now != *price));
        ensure(changed.is_none(), || format!("another price of {changed:?} a moment later"))
    }

    async fn cancelled_call(&mut self) -> Finding {
        const CANCEL_AFTER: Duration = Duration::from_millis(1);
        let at_once = |took: Option<Duration>, what: &str| {
            let late = took.filter(|took| *took >= MAX_CANCEL_LATENCY);
            ensure(late.is_none(), || format!("{what} went on for {late:?} after it was given up"))
        };
        if self.can(&[Call::Offers]) {
            let mut took = None;
            for _ in 0..CANCEL_ATTEMPTS {
                let began = Instant::now();
                drop(timeout(CANCEL_AFTER, self.provider.offers(&OfferFilter::default()).next()).await);
                took = took.into_iter().chain([began.elapsed()]).min();
            }
            at_once(took, "offers")?;
            self.all(self.provider.offers(&OfferFilter::default())).await?;
        }
        if self.can(&[Call::FindByKey]) {
            let (provider, key) = (self.provider.clone(), self.key());
            let mut took = None;
            for _ in 0..CANCEL_ATTEMPTS {
                let began = Instant::now();
                drop(timeout(CANCEL_AFTER, provider.find_by_key(&key)).await);
                took = took.into_iter().chain([began.elapsed()]).min();
            }
            at_once(took, "find_by_key")?;
            provider.find_by_key(&key).await.map_err(|error| format!("the next call: {error}"))?;
        }
        Ok(())
    }

    async fn concurrent_calls(&mut self) -> Finding {
        let (provider, key) = (self.provider.clone(), self.key());
        let calls = (0..CONCURRENT_CALLS).map(|_| provider.find_by_key(&key));
        let answers = timeout(self.config.timeout, join_all(calls)).await;
        let answers = answers.map_err(|_| {
            format!("{CONCURRENT_CALLS} calls were not answered in {:?}", self.config.timeout)
        })?;
        for answer in answers {
            match answer {
                Ok(found) => ensure(found.is_none(), || format!("an unknown key finds {found:?}"))?,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Requests a sold-out SKU twice: call or operation must fail as sold out each time.
    pub(super) async fn sold_out(&mut self, request: &ProvisionRequest) -> Finding {
        for _ in 0..2 {
            let key = self.key();
            let handle = match self.provider.provision(request, &key).await {
                Err(error) if matches!(error.kind, ErrorKind::CapacityExhausted { .. }) => continue,
                Err(error) => return Err(format!("it answers: {error}")),
                Ok(handle) => OperationHandle::new(handle.as_str().to_owned()),
            };
            let end = Instant::now() + self.config.timeout;
            let interval = Duration::from_millis(self.provider.capabilities().poll_interval_ms.max(1));
            loop {
                match self.provider.poll(&handle).await.map_err(|error| error.to_string())? {
                    OperationStatus::Failed { shortage: Some(Shortage::SoldOut), .. } => break,
                    OperationStatus::Running { .. } if Instant::now() < end => {
                        tokio::time::sleep(interval).await
                    }
                    other => return Err(format!("the operation ends as {other:?}")),
                }
            }
        }
        Ok(())
    }
}
