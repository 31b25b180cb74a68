//! Buying, and everything that happens to an order later. The engine does the work.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use jiff::Timestamp;

use super::Federation;
use crate::{
    ledger::{Ledger, OrderQuery},
    model::{Action, Operator, OperatorCommand, OperatorRequest, Order, OrderEvent, OrderId, Plan, Policy},
    provider::Access,
    purchase::{
        DryRun, OrderArchive, PurchaseError, PurchaseOptions, Reconciliation, RepairPolicy, Timeline,
    },
};

/// The most orders of one page.
const MAX_PAGE: u32 = 1000;

/// The stream of [`Federation::follow`].
pub type Events = BoxStream<'static, Result<OrderEvent, PurchaseError>>;

impl Federation {
    /// Buys a plan, all of it or nothing, and returns when the order is committed, compensated or stuck.
    /// Dropping the future leaves an order that [`resume`](Self::resume) takes up again.
    ///
    /// # Errors
    /// [`PurchaseError`]. A compensated order is not an error: see its state and reason.
    pub async fn purchase(&self, plan: &Plan, policy: Policy) -> Result<Order, PurchaseError> {
        self.purchase_with(plan, policy, PurchaseOptions::default()).await
    }

    /// As [`purchase`](Self::purchase), with an id of the caller's, so that a second click buys nothing, or with the digest
    /// of plan and policy that somebody has approved.
    ///
    /// # Errors
    /// As [`accept`](Self::accept) and [`drive`](Self::drive).
    pub async fn purchase_with(
        &self,
        plan: &Plan,
        policy: Policy,
        options: impl Into<PurchaseOptions>,
    ) -> Result<Order, PurchaseError> {
        let order = self.accept(plan, policy, options).await?;
        self.engine.drive(&order.id).await
    }

    /// What a purchase of this plan would be refused for now: its form, its prices, and at each provider everything up to the
    /// first call that would cost something, such as credentials, quotas, images and keys. Buys and records nothing.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn dry_run(&self, plan: &Plan, policy: &Policy) -> Result<DryRun, PurchaseError> {
        self.engine.dry_run(plan, policy).await
    }

    /// One page of the ledger's orders, newest first: at most as many as the query's limit, and 1,000. For the next page, `before`
    /// is the last order of this one; the page after the last is empty.
    ///
    /// # Errors
    /// [`PurchaseError::Ledger`].
    pub async fn orders(&self, query: &OrderQuery) -> Result<Vec<Order>, PurchaseError> {
        let limit = if query.limit == 0 { MAX_PAGE } else { query.limit.min(MAX_PAGE) };
        let ledger = self.ledger();
        let mut orders = Vec::new();
        for id in ledger.list(&OrderQuery { limit, ..query.clone() }).await? {
            // One that is purged meanwhile is not there any more.
            orders.extend(ledger.load(&id).await?);
        }
        Ok(orders)
    }

    /// Writes an order down without buying yet. With an id of the caller's, repeating the call is safe: the same
    /// id and plan give the same order.
    ///
    /// # Errors
    /// [`PurchaseError`]: a provider is not in the federation, or cannot be bought from; or the id is taken.
    pub async fn accept(
        &self,
        plan: &Plan,
        policy: Policy,
        options: impl Into<PurchaseOptions>,
    ) -> Result<Order, PurchaseError> {
        self.engine.accept(plan.clone(), policy, options).await
    }

    /// Drives one order to its end.
    ///
    /// # Errors
    /// [`PurchaseError`]: another host drives it, or it does not exist.
    pub async fn drive(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.engine.drive(order).await
    }

    /// Resumes every order that an earlier run left unfinished. Call it once at the start.
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be read.
    pub async fn resume(&self) -> Result<Vec<Order>, PurchaseError> {
        self.engine.resume_all().await
    }

    /// Drives orders that wait in the ledger, at most `at_once` at a time, until `stop` is ready. Many hosts may do so
    /// side by side; [`accept`](Self::accept) on any of them is enough to have an order bought.
    pub async fn serve(&self, at_once: usize, stop: impl Future<Output = ()>) {
        self.engine.serve(at_once, stop).await;
    }

    /// Tries once more to undo a stuck order; who and why are recorded.
    ///
    /// # Errors
    /// [`PurchaseError`]: the order is not stuck, or `by` has no reason.
    pub async fn retry(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.retry(order, by).await
    }

    /// Abandons a stuck order, although services of it may be left; see [`Engine::abandon`](crate::purchase::Engine::abandon).
    ///
    /// # Errors
    /// [`PurchaseError`]: the order is not stuck, or `by` has no reason.
    pub async fn abandon(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.abandon(order, by).await
    }

    /// Declares that nothing is left of a stuck step, with evidence. When the last stuck step is settled, the order ends.
    ///
    /// # Errors
    /// [`PurchaseError`]: the step is not stuck, or who, why or the evidence is missing.
    pub async fn settle(
        &self,
        order: &OrderId,
        step: u32,
        by: Operator,
        evidence: String,
    ) -> Result<Order, PurchaseError> {
        self.engine.settle(order, step, by, evidence).await
    }

    /// Starts, stops or resizes a service of a committed order; see [`Engine::act`](crate::purchase::Engine::act).
    ///
    /// # Errors
    /// [`PurchaseError`]: the step has no service, its provider knows no actions, or `by` has no reason.
    pub async fn act(
        &self,
        order: &OrderId,
        step: u32,
        action: Action,
        by: Operator,
    ) -> Result<Order, PurchaseError> {
        self.engine.act(order, step, action, by).await
    }

    /// What opens the service of a step, such as the user name and the password of a database. Nothing of it is recorded; it is
    /// the same when it is asked for again.
    ///
    /// # Errors
    /// [`PurchaseError`]: the step has no service, or its provider has nothing of the kind, or does not answer.
    pub async fn access(&self, order: &OrderId, step: u32) -> Result<Access, PurchaseError> {
        self.engine.access(order, step).await
    }

    /// Ends one service of a committed order; see [`Engine::release`](crate::purchase::Engine::release).
    ///
    /// # Errors
    /// [`PurchaseError`]: the step has no service, or `by` has no reason.
    pub async fn release(&self, order: &OrderId, step: u32, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.release(order, step, by).await
    }

    /// Carries out an operator's request document: one of the calls above, or [`cancel_by`](Self::cancel_by), for hosts that receive it as JSON, such as an
    /// administration API.
    ///
    /// # Errors
    /// As the requested call.
    pub async fn operate(&self, order: &OrderId, request: OperatorRequest) -> Result<Order, PurchaseError> {
        let OperatorRequest { by, command } = request;
        match command {
            OperatorCommand::Retry => self.retry(order, by).await,
            OperatorCommand::Abandon => self.abandon(order, by).await,
            OperatorCommand::Settle { step, evidence } => self.settle(order, step, by, evidence).await,
            OperatorCommand::Act { step, action } => self.act(order, step, action, by).await,
            OperatorCommand::Cancel => self.cancel_by(order, by).await,
            OperatorCommand::Release { step } => self.release(order, step, by).await,
        }
    }

    /// Ends all services of a committed order, or stops one that is under way.
    ///
    /// # Errors
    /// [`PurchaseError`]: another host drives it, or it does not exist.
    pub async fn cancel(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.engine.cancel(order).await
    }

    /// As [`cancel`](Self::cancel), with who and why, which are recorded.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn cancel_by(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.cancel_by(order, by).await
    }

    /// Compares what the providers have with what the ledger holds; changes nothing.
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be read. A provider that fails leaves the others.
    pub async fn reconcile(&self) -> Result<Reconciliation, PurchaseError> {
        self.engine.reconcile().await
    }

    /// Compares, and then does what the policy says; see [`Engine::repair`](crate::purchase::Engine::repair).
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub async fn repair(&self, policy: &RepairPolicy) -> Result<Reconciliation, PurchaseError> {
        self.engine.repair(policy).await
    }

    /// Repairs at once and then again `interval` after each end, until `stop` is ready; see
    /// [`Engine::reconcile_every`](crate::purchase::Engine::reconcile_every).
    ///
    /// ```no_run
    /// # async fn example(market: fulcrum_core::federation::Federation) {
    /// use fulcrum_core::purchase::RepairPolicy;
    /// use std::time::Duration;
    /// let report = |outcome| println!("{outcome:?}");
    /// let policy = RepairPolicy::default(); // reports only
    /// market.reconcile_every(Duration::from_secs(3600), &policy, std::future::pending(), report).await;
    /// # }
    /// ```
    pub async fn reconcile_every(
        &self,
        interval: Duration,
        policy: &RepairPolicy,
        stop: impl Future<Output = ()>,
        report: impl FnMut(Result<Reconciliation, PurchaseError>),
    ) {
        self.engine.reconcile_every(interval, policy, stop, report).await;
    }

    /// An order with all that ever happened to it, as a document that proves itself; see [`Engine::export`](crate::purchase::Engine::export).
    ///
    /// # Errors
    /// [`PurchaseError`]: there is no such order, or the ledger is damaged.
    pub async fn export(&self, order: &OrderId) -> Result<OrderArchive, PurchaseError> {
        self.engine.export(order).await
    }

    /// Removes orders of which nothing exists and to which nothing has happened since `before`; see [`Engine::purge`](crate::purchase::Engine::forget).
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be used.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, PurchaseError> {
        self.engine.purge(before).await
    }

    /// Delivers the events of all orders to `sink`, each at least once, until `stop` is ready; see [`Engine::deliver`](crate::purchase::Engine::deliver).
    pub async fn deliver<F, E>(
        &self,
        name: &str,
        sink: impl FnMut(Vec<OrderEvent>) -> F,
        stop: impl Future<Output = ()>,
    ) where
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        self.engine.deliver(name, sink, stop).await;
    }

    /// The history of an order in sentences.
    ///
    /// # Errors
    /// [`PurchaseError`]: there is no such order.
    pub async fn timeline(&self, order: &OrderId) -> Result<Timeline, PurchaseError> {
        self.engine.timeline(order).await
    }

    /// The events of one order, those of the past first, then as they happen, until it is final.
    pub fn follow(&self, order: &OrderId) -> Events {
        self.engine.follow(order.clone())
    }

    /// Where purchases are remembered.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        self.engine.ledger()
    }
}
