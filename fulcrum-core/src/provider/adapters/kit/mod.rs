//! Products that are resources of an API: one implementation of the provider contract for all of them.
//!
//! An adapter implements [`Api`]: how one resource is made, listed, read and deleted. It describes each kind of product as a
//! [`Product`]: the resources that a purchase makes, in their order, and what the requests say. The rest is here.
//!
//! | file | does |
//! |---|---|
//! | `bucket.rs` | names of buckets |
//! | `order.rs` | what a purchase asks for, and the text of operation handles |
//! | `lookup.rs` | services by key, by id, and all of a region |
//! | `purchase.rs` | makes one part after the other |
//! | `release.rs` | ends them in the reverse order |
//!
//! A product of several parts is one service with one key, which each of its parts carries. So a process that knows the key alone
//! continues a purchase after a crash between any two requests, and finds all that is to be ended (`docs/adapters/kit.md`).

pub(super) mod bucket;
mod lookup;
mod order;
mod purchase;
mod release;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;

pub(super) use self::order::Order;
use self::purchase::Attempts;
use super::common::CallErrors;
use crate::{
    model::{IdempotencyKey, OfferKind, Place, RegionId, SkuId, ZoneId},
    provider::{Access, Call, ErrorKind, ProvisionRequest, Result},
};

/// The state of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is being made or changed.
    Pending,
    Ready,
    /// It is being deleted.
    Ending,
    /// It is broken, and why.
    Failed(String),
    /// It could not be made, as there is no capacity.
    SoldOut,
}

/// A resource as the API tells it.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub id: String,
    /// The key of the purchase that made it; none for what others made.
    pub key: Option<IdempotencyKey>,
    /// What was bought, if it says so.
    pub sku: Option<SkuId>,
    /// The bought zone.
    pub zone: Option<ZoneId>,
    /// Which of a service's parts of one sort it is.
    pub number: Option<u8>,
    pub state: State,
    /// What the API tells of it.
    pub value: Value,
}

impl Resource {
    /// The text at a JSON pointer.
    pub(super) fn text(&self, at: &str) -> Option<&str> {
        self.value.pointer(at)?.as_str()
    }
}

/// A sort of resource at an API.
pub(super) trait ResourceType: fmt::Debug + Copy + PartialEq + Send + Sync + 'static {
    /// What people call it: `volume`.
    fn word(self) -> &'static str;

    /// Which of a service's parts of one sort it is, where it has several.
    fn number(self) -> Option<u8> {
        None
    }

    /// The sort without its number: what one list is of.
    fn without_number(self) -> Self {
        self
    }

    /// Stands before the id of a service whose first part it is, behind the region.
    fn prefix(self) -> String {
        format!("{}/", self.word())
    }
}

/// How an API makes, lists, reads and deletes resources.
#[async_trait]
pub(super) trait Api: CallErrors + fmt::Debug + Send + Sync + 'static {
    type Type: ResourceType;
    /// What a creating request says.
    type Body: Send;

    /// The configured regions.
    fn regions(&self) -> Vec<RegionId>;

    /// A configured region without a zone.
    fn place(&self, region: &RegionId) -> Option<&Place>;

    /// How long a new resource may be missing from lists.
    fn list_lag(&self) -> Duration;

    /// Makes a resource with the order's key, SKU and zone. Returns its id.
    async fn create(&self, sort: Self::Type, order: &Order, body: Self::Body) -> Result<String>;

    /// All resources of a region with this key, or with any key, of every number: complete, or an error.
    async fn list(
        &self,
        sort: Self::Type,
        region: &RegionId,
        key: Option<&IdempotencyKey>,
        call: Call,
    ) -> Result<Vec<Resource>>;

    /// One resource; none only with proof of its absence.
    async fn get(
        &self,
        sort: Self::Type,
        region: &RegionId,
        id: &str,
        call: Call,
    ) -> Result<Option<Resource>>;

    /// Asks for a resource's end. False if its absence is proven.
    async fn delete(&self, sort: Self::Type, region: &RegionId, resource: &Resource) -> Result<bool>;
}

/// The parts of one service that exist, by their position in [`Product::parts`].
#[derive(Debug, Clone, Default)]
pub(super) struct Parts(Vec<Vec<Resource>>);

impl Parts {
    /// The part at a position; the one with the least id, if it was made twice.
    pub(super) fn get(&self, at: usize) -> Option<&Resource> {
        self.0.get(at)?.iter().min_by(|a, b| a.id.cmp(&b.id))
    }

    /// Whether a resource with this id is one of them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all().any(|part| part.id == id)
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    fn all(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter().flatten()
    }

    /// The first part that exists, and its position.
    fn first(&self) -> Option<(usize, &Resource)> {
        (0..self.0.len()).find_map(|at| Some((at, self.get(at)?)))
    }

    /// The key of the service.
    pub(super) fn key(&self) -> Option<&IdempotencyKey> {
        self.all().find_map(|part| part.key.as_ref())
    }
}

/// Whether a step of a purchase or of a release is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// A request was sent, or something is awaited.
    Running,
    Done,
}

/// One kind of product at an API.
#[async_trait]
pub(super) trait Product<A: Api>: fmt::Debug + Send + Sync {
    fn kind(&self) -> OfferKind;

    /// The parts that a purchase makes, in this order. The first one gives the service its id, and is deleted last.
    fn parts(&self) -> &[A::Type];

    /// Succeeds if exactly this can be bought, as far as that can be said before a part is made.
    async fn check(&self, api: &A, request: &ProvisionRequest, call: Call) -> Result<()>;

    /// What the request for a part says; none if this order needs no such part. Parts before it exist and are ready.
    async fn body(&self, api: &A, at: usize, order: &Order, parts: &Parts) -> Result<Option<A::Body>>;

    /// Makes the connections between parts, or with other services, that are no resources. Each request may be repeated.
    async fn connect(&self, _: &A, _: &Order, _: &Parts) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// Whether all parts exist that each service of this kind has.
    fn is_whole(&self, _: &Parts) -> bool {
        true
    }

    /// What hangs on the service that its purchase did not make, in words. It would end, or keep the service from ending.
    async fn foreign(&self, _: &A, _: &RegionId, _: &Parts, _: Call) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Undoes what [`connect`](Self::connect) has done, as far as the parts' end does not.
    async fn disconnect(&self, _: &A, _: &RegionId, _: &Parts) -> Result<Progress> {
        Ok(Progress::Done)
    }

    /// What opens a service.
    async fn access(&self, api: &A, _: &RegionId, _: &Parts) -> Result<Access> {
        Err(api.error(Call::Access, ErrorKind::Unsupported))
    }

    /// What a service tells of itself.
    fn attributes(&self, api: &A, region: &RegionId, parts: &Parts) -> BTreeMap<String, String>;
}

/// The products of one API. Clones share what they know of purchases under way.
#[derive(Debug)]
pub(super) struct Kit<A: Api> {
    api: Arc<A>,
    /// All that the adapter can buy.
    products: Arc<[Box<dyn Product<A>>]>,
    /// What it buys by its configuration.
    kinds: BTreeSet<OfferKind>,
    attempts: Arc<Attempts>,
}

impl<A: Api> Clone for Kit<A> {
    fn clone(&self) -> Self {
        let (api, products, attempts) = (self.api.clone(), self.products.clone(), self.attempts.clone());
        Self { api, products, kinds: self.kinds.clone(), attempts }
    }
}

impl<A: Api> Kit<A> {
    /// All products of an adapter, of which it buys some kinds.
    pub(super) fn new(api: Arc<A>, products: Vec<Box<dyn Product<A>>>, kinds: BTreeSet<OfferKind>) -> Self {
        Self { api, products: products.into(), kinds, attempts: Arc::default() }
    }

    fn configured(&self) -> impl Iterator<Item = &dyn Product<A>> {
        self.products.iter().map(|product| &**product).filter(|product| self.kinds.contains(&product.kind()))
    }

    fn product(&self, kind: OfferKind) -> Option<&dyn Product<A>> {
        self.configured().find(|product| product.kind() == kind)
    }
}
