//! Promises about a purchase: what is bought, found, listed, repeated and released.

use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::sleep;

use super::{Finding, MAX_IN_FLIGHT_TIME, Suite, ensure};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, SkuId},
    provider::{Call, IdempotencyClass, OperationHandle, ProviderError, ProvisionRequest},
};

impl Suite {
    pub(super) async fn check_purchase(&mut self) {
        const QUOTE: &str = "a quote has the price of the request";
        const TRY: &str =
            "a dry run of the request refuses nothing, buys nothing, and refuses another product";
        const HOLD: &str = "what is held is held once, can be given back twice, and is taken by its key";
        const MAKE: &str = "a purchase ends in the service that was asked for; its handle survives as text";
        const FIND: &str = "the key finds the service within the declared lag";
        const LIST: &str = "the list has the service once within the declared lag";
        const REPEAT: &str = "the same key twice makes one service";
        const LOST: &str = "a call whose answer is lost makes one service at most";
        const GONE: &str = "what is released twice is gone, with success both times";
        const SOLD_OUT: &str = "what is sold out is refused as that, each time";
        const CLEAN: &str = "nothing of this run is left";
        const BUYING: [&str; 8] = [MAKE, FIND, LIST, REPEAT, LOST, GONE, SOLD_OUT, CLEAN];
        let class = self.provider.capabilities().idempotency_of(Call::Provision);
        let is_unkeyed = class == IdempotencyClass::None;
        let lag = self.provider.capabilities().list_lag();
        let look = if is_unkeyed { Call::Services } else { Call::FindByKey };
        let needed = [Call::Provision, Call::Poll, Call::Describe, look, Call::Release];
        let Some(request) = self.config.request.clone() else {
            return [QUOTE, TRY, HOLD]
                .iter()
                .chain(&BUYING)
                .for_each(|name| self.skip(name, "nothing may be bought"));
        };
        if self.can(&[Call::Quote]) {
            let quote = self.provider.quote(&request).await;
            let finding = quote.map_err(|error| error.to_string()).and_then(|quote| {
                ensure(quote.price.purchase_option == request.purchase_option, || {
                    format!("another market: {quote:?}")
                })
            });
            self.record(QUOTE, finding);
        } else {
            self.skip(QUOTE, "quote is not declared");
        }
        if self.can(&[Call::DryRun]) {
            let finding = self.dry_run(&request).await;
            self.record(TRY, finding);
        } else {
            self.skip(TRY, "dry_run is not declared");
        }
        // Without these the suite could not release what it buys.
        if !self.can(&needed) {
            return [HOLD]
                .iter()
                .chain(&BUYING)
                .for_each(|name| self.skip(name, "not all calls of a purchase are declared"));
        }
        if self.can(&[Call::Reserve, Call::Unreserve]) && !is_unkeyed {
            let finding = self.reservation(&request).await;
            self.record(HOLD, finding);
        } else {
            self.skip(HOLD, "reserve and unreserve are not declared");
        }
        let key = self.key();
        match self.buy(&request, &key).await {
            Err(reason) => {
                self.record(MAKE, Err(reason));
                [FIND, LIST, REPEAT, LOST, GONE].iter().for_each(|name| self.skip(name, "nothing was made"));
            }
            Ok(service) => {
                self.record(MAKE, self.is_as_asked(&service, &request, &key));
                sleep(lag).await;
                if is_unkeyed {
                    self.bought.push(service.id.clone());
                    self.skip(FIND, "not declared; it is told by its absence from the list before");
                } else {
                    let finding = self.found(&key, &service.id).await;
                    self.record(FIND, finding);
                }
                if self.can(&[Call::Services]) {
                    let finding = match is_unkeyed {
                        true => self.listed_among_all(&service.id).await,
                        false => self.listed(&key, &service.id).await,
                    };
                    self.record(LIST, finding);
                } else {
                    self.skip(LIST, "services is not declared");
                }
                if class.is_repeatable() {
                    let finding = self.repeat(&request, &key, &service.id).await;
                    self.record(REPEAT, finding);
                } else {
                    self.skip(REPEAT, "not declared; a caller looks first");
                }
                if is_unkeyed {
                    self.skip(LOST, "not declared; such calls are serialised");
                } else {
                    let finding = self.lost_reply(&request, class).await;
                    self.record(LOST, finding);
                }
                let finding = self.released_service(&key, &service.id).await;
                self.record(GONE, finding);
            }
        }
        if let Some(request) = self.config.sold_out.clone() {
            let finding = self.sold_out(&request).await;
            self.record(SOLD_OUT, finding);
        } else {
            self.skip(SOLD_OUT, "the trial names nothing that is sold out");
        }
        let finding = self.release_leftovers(lag).await;
        self.record(CLEAN, finding);
    }

    /// Reserves, ends the reservation, reserves again, and buys.
    async fn dry_run(&self, request: &ProvisionRequest) -> Finding {
        let list = async || match self.can(&[Call::Services]) {
            true => self.all(self.provider.services()).await.map(|all| all.len()),
            false => Ok(0),
        };
        let before = list().await?;
        let tried = |error: ProviderError| error.to_string();
        let refusals = self.provider.dry_run(std::slice::from_ref(request)).await.map_err(tried)?;
        ensure(refusals.is_empty(), || format!("refused: {refusals:?}"))?;
        let other =
            ProvisionRequest { sku: SkuId::new("conformance-none").expect("a name"), ..request.clone() };
        let refusals = self.provider.dry_run(&[request.clone(), other]).await.map_err(tried)?;
        let is_told = matches!(refusals.as_slice(), [refusal] if refusal.requests == [1]);
        ensure(is_told, || format!("a product that is not sold is not refused: {refusals:?}"))?;
        let after = list().await?;
        ensure(after <= before, || format!("{before} services became {after}"))
    }

    async fn reservation(&mut self, request: &ProvisionRequest) -> Finding {
        let (provider, key, unknown) = (self.provider.clone(), self.key(), self.key());
        let words = |error: ProviderError| error.to_string();
        for _ in 0..2 {
            let until = provider.reserve(request, &key).await.map_err(words)?;
            ensure(until > Timestamp::now(), || format!("the hold ended at {until}, before it was told"))?;
        }
        provider.unreserve(&unknown).await.map_err(|error| format!("of an unknown key: {error}"))?;
        let found = match self.can(&[Call::FindByKey]) {
            true => provider.find_by_key(&key).await.map_err(words)?,
            false => None,
        };
        ensure(found.is_none(), || format!("the hold is found as a service: {found:?}"))?;
        for _ in 0..2 {
            provider.unreserve(&key).await.map_err(words)?;
        }
        provider.reserve(request, &key).await.map_err(|error| format!("after it was given back: {error}"))?;
        let service = self.buy(request, &key).await?;
        provider.unreserve(&key).await.map_err(|error| format!("after it was taken: {error}"))?;
        let left = provider.describe(&service.id).await.map_err(words)?;
        ensure(left.is_some(), || format!("giving back ended {}, which was bought", service.id))?;
        self.release(&service.id).await
    }

    pub(super) async fn buy(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<Service, String> {
        let handle = self.provider.provision(request, key).await.map_err(|error| error.to_string())?;
        // A process that starts again has the text only.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        self.finish(&handle).await?.ok_or_else(|| "the operation succeeded without a service".to_owned())
    }

    fn is_as_asked(&self, service: &Service, request: &ProvisionRequest, key: &IdempotencyKey) -> Finding {
        let is_same = service.provider == *self.provider.id()
            && service.sku == request.sku
            && service.place == request.place
            && match self.is_unkeyed() {
                true => service.key.is_none(),
                false => service.key.as_ref() == Some(key),
            };
        ensure(is_same, || format!("asked for {request:?} with {key}, got {service:?}"))
    }

    async fn found(&self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_some_and(|it| it.id == *id), || format!("describe does not know {id}"))?;
        ensure(found.as_ref().is_some_and(|it| it.id == *id), || format!("find_by_key answers {found:?}"))
    }

    pub(super) fn is_unkeyed(&self) -> bool {
        self.provider.capabilities().idempotency_of(Call::Provision) == IdempotencyClass::None
    }

    /// The list must have the service once and without a key.
    async fn listed_among_all(&self, id: &ServiceId) -> Finding {
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_some_and(|it| it.id == *id), || format!("describe does not know {id}"))?;
        let services = self.all(self.provider.services()).await?;
        let it: Vec<_> = services.iter().filter(|service| service.id == *id).collect();
        let is_fine = matches!(it.as_slice(), [one] if one.key.is_none());
        ensure(is_fine, || format!("made {id}, the list has {it:?}"))
    }

    async fn listed(&self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let of_key = self.of_key(key).await?;
        ensure(of_key == [id.clone()], || format!("made {id}, the list has {of_key:?}"))
    }

    /// All services of a key, from the list if there is one.
    async fn of_key(&self, key: &IdempotencyKey) -> Result<Vec<ServiceId>, String> {
        if !self.can(&[Call::Services]) {
            let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
            return Ok(found.into_iter().map(|service| service.id).collect());
        }
        let services = self.all(self.provider.services()).await?;
        let of_key = services.into_iter().filter(|service| service.key.as_ref() == Some(key));
        Ok(of_key.map(|service| service.id).collect())
    }

    async fn repeat(&self, request: &ProvisionRequest, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let again = self.buy(request, key).await?;
        ensure(again.id == *id, || format!("the key made {id}, and then {} too", again.id))?;
        self.listed(key, id).await
    }

    /// Drops a call in flight, then continues as the declared class allows.
    async fn lost_reply(&mut self, request: &ProvisionRequest, class: IdempotencyClass) -> Finding {
        let (key, lag) = (self.key(), self.provider.capabilities().list_lag());
        drop(self.provider.provision(request, &key).now_or_never());
        // The dropped call may still be in flight, and only then does its list lag begin.
        sleep(lag.saturating_add(MAX_IN_FLIGHT_TIME)).await;
        let is_made = !class.is_repeatable()
            && self.provider.find_by_key(&key).await.map_err(|error| error.to_string())?.is_some();
        if !is_made {
            self.buy(request, &key).await?;
            sleep(lag).await;
        }
        let of_key = self.of_key(&key).await?;
        ensure(of_key.len() == 1, || format!("{key} made {of_key:?}"))
    }

    async fn released_service(&mut self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        self.release(id).await?;
        self.release(id).await.map_err(|reason| format!("the second time: {reason}"))?;
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_none(), || format!("describe still finds {described:?}"))?;
        if self.is_unkeyed() {
            return Ok(());
        }
        let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
        ensure(found.is_none_or(|found| found.id != *id), || format!("the key still finds {id}"))
    }

    /// Releases all services of this run, also those that a wrong provider created in addition.
    async fn release_leftovers(&mut self, lag: Duration) -> Finding {
        sleep(lag).await;
        let mut broken = Vec::new();
        for service in self.owned_services().await? {
            if let Err(reason) = self.release(&service).await {
                broken.push(format!("{service}: {reason}"));
            }
        }
        broken
            .extend(self.owned_services().await?.iter().map(|service| format!("{service} is still listed")));
        ensure(broken.is_empty(), || format!("release these by hand: {}", broken.join("; ")))
    }

    async fn owned_services(&self) -> Result<Vec<ServiceId>, String> {
        if self.is_unkeyed() {
            let mut owned_services = Vec::new();
            for id in &self.bought {
                let now = self.provider.describe(id).await.map_err(|error| error.to_string())?;
                owned_services.extend(now.map(|service| service.id));
            }
            return Ok(owned_services);
        }
        let keys: Vec<_> = (1..=self.keys).map(|at| IdempotencyKey::of_step(&self.order, at)).collect();
        if !self.can(&[Call::Services]) {
            let mut owned_services = Vec::new();
            for key in &keys {
                owned_services.extend(self.of_key(key).await?);
            }
            return Ok(owned_services);
        }
        let services = self.all(self.provider.services()).await?;
        let owned_services =
            services.into_iter().filter(|it| it.key.as_ref().is_some_and(|key| keys.contains(key)));
        Ok(owned_services.map(|service| service.id).collect())
    }
}
