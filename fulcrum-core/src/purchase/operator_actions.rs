//! What a person does about an order that is stuck.

use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    PurchaseError, claim_guard::ClaimGuard, claims::MIN_WAIT, driver::Driver, engine::Engine,
    machine::to_compensate, terminal_state::terminal_state_of,
};
use crate::{
    ledger::{Claim, LedgerError, OrderUpdate},
    model::{
        Action, CallProgress, Operator, OperatorAction, Order, OrderEventKind, OrderId, OrderState, Step,
        StepState, is_hidden,
    },
    provider::Call,
};

/// What a person wants of an order.
enum Request {
    /// That a stuck order be undone.
    Retry(Operator),
    /// That a stuck order be given up.
    Abandon(Operator),
    /// That a stuck step be closed.
    Settle { step: u32, by: Operator, evidence: String },
    /// That something be done to a service, or that it end.
    Act { step: u32, by: Operator, action: Option<Action> },
}

impl Engine {
    /// Starts, stops or resizes a service of a committed order, or does to it what its provider calls by another name.
    /// Who and why are recorded. What is as wanted already is left alone, so that repeating the call is safe; after a
    /// crash or a lost answer the provider is looked at before it is asked again. If the provider refuses, the
    /// service stays as it is and the order's reason says so. Another size is asked for only at a price that somebody tells,
    /// or where the policy buys unchecked, and within `max_total`.
    ///
    /// # Errors
    /// * [`PurchaseError::NoService`]: that step holds no service, or another action is under way.
    /// * [`PurchaseError::ActionUnsupported`]: the provider knows no actions.
    /// * [`PurchaseError::OperatorRequired`]: `by` names nobody, or no reason.
    /// * As [`drive`](Self::drive).
    pub async fn act(
        &self,
        order: &OrderId,
        step: u32,
        action: Action,
        by: Operator,
    ) -> Result<Order, PurchaseError> {
        by.check()?;
        self.request(order, Request::Act { step, by, action: Some(action) }).await
    }

    /// Ends one service of a committed order; with the last one the order is ended. Who and why are recorded.
    ///
    /// # Errors
    /// As [`act`](Self::act).
    pub async fn release(&self, order: &OrderId, step: u32, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.request(order, Request::Act { step, by, action: None }).await
    }

    async fn begin_action(
        &self,
        guard: &ClaimGuard,
        index: u32,
        by: Operator,
        action: Option<Action>,
    ) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, guard, self.load(guard.order()).await?)?;
        let no_service = || PurchaseError::NoService { order: guard.order().clone(), step: index };
        let step = driver.order.steps.get(index as usize).cloned().ok_or_else(no_service)?;
        let StepState::Committed { service } = &step.state else { return Err(no_service()) };
        if driver.order.state != OrderState::Committed {
            return Err(no_service());
        }
        if action.is_some() && !driver.provider(&step).capabilities().can(Call::Act) {
            return Err(PurchaseError::ActionUnsupported(step.provider.clone()));
        }
        let since = Timestamp::now();
        let state = match action.clone() {
            Some(action) => {
                // Whoever takes the action up looks first whether it is done already.
                let (service, progress) = (service.clone(), CallProgress::IntentOnly);
                StepState::Acting { service, action, claim: None, since, progress }
            }
            None => to_compensate(&step.state, since, true),
        };
        let reason = format!(
            "{} {} wanted by {}: {}",
            action.as_ref().map_or("release", Action::word),
            step.lease.sku,
            by.who,
            by.why
        );
        let recorded = OperatorAction::Act { index, wanted: action };
        driver
            .apply(OrderUpdate {
                order: Some((OrderState::Changing, Some(reason))),
                steps: vec![Step { state, ..step }],
                events: vec![OrderEventKind::Operator { by, action: recorded }],
                plan: None,
            })
            .await
    }

    /// Writes down what a person wants, and carries it out. A claim that is lost before that is asked for again, and after that
    /// the order is followed: nobody hears that this host was away.
    async fn request(&self, order: &OrderId, request: Request) -> Result<Order, PurchaseError> {
        loop {
            let guard = match self.claim(order).await {
                Ok(guard) => guard,
                Err(LedgerError::Fenced(_)) => {
                    sleep(MIN_WAIT).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let begun = self.begin_request(&guard, &request).await;
            if begun.is_ok() && matches!(request, Request::Retry(_) | Request::Act { .. }) {
                return match self.drive_claimed(guard).await {
                    Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => self.drive(order).await,
                    outcome => outcome,
                };
            }
            guard.relinquish().await;
            match begun {
                Ok(()) => return self.load(order).await,
                Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => sleep(MIN_WAIT).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn begin_request(&self, guard: &ClaimGuard, request: &Request) -> Result<(), PurchaseError> {
        match request {
            Request::Retry(by) => self.begin_retry(guard, by.clone()).await,
            Request::Abandon(by) => self.begin_abandon(guard, by.clone()).await,
            Request::Settle { step, by, evidence } => {
                let present = self.load(guard.order()).await?;
                self.write_settlement(guard.claim(), &present, *step, by.clone(), evidence.clone()).await
            }
            Request::Act { step, by, action } => {
                self.begin_action(guard, *step, by.clone(), action.clone()).await
            }
        }
    }

    /// Tries once more to end what is stuck, as after rights or a provider were mended: of an order that was to be undone all,
    /// of one whose other services are wanted the stuck ones alone. Nothing is bought again. Who and why are recorded.
    ///
    /// # Errors
    /// * [`PurchaseError::NotStuck`]: there is nothing for a person to do.
    /// * [`PurchaseError::OperatorRequired`]: `by` names nobody, or no reason.
    /// * As [`drive`](Self::drive).
    pub async fn retry(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.request(order, Request::Retry(by)).await
    }

    async fn begin_retry(&self, guard: &ClaimGuard, by: Operator) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, guard, self.load(guard.order()).await?)?;
        driver.check_stuck()?;
        let reason = format!("taken up again by {}: {}", by.who, by.why);
        let events = vec![OrderEventKind::Operator { by, action: OperatorAction::Retry }];
        let stays =
            |step: &Step| matches!(step.state, StepState::Committed { .. } | StepState::Acting { .. });
        let is_wanted = driver.order.cancellation.is_none() && driver.order.steps.iter().any(stays);
        if !is_wanted {
            return driver.undo(reason, events).await;
        }
        // The rest of the order is wanted, and stays as it is.
        let now = Timestamp::now();
        let is_stuck = |step: &&Step| matches!(step.state, StepState::Stuck { .. });
        let again = |step: &Step| Step { state: to_compensate(&step.state, now, false), ..step.clone() };
        let steps = driver.order.steps.iter().filter(is_stuck).map(again).collect();
        driver.enter_state(OrderState::Changing, Some(reason), steps, events).await
    }

    /// Gives a stuck order up: it is no longer among those that wait for a person, though something of it may still be
    /// there and cost money. Who and why are recorded; [`reconcile`](Self::reconcile) goes on telling what it finds,
    /// and [`retry`](Self::retry) and [`settle`](Self::settle) still work.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn abandon(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.request(order, Request::Abandon(by)).await
    }

    async fn begin_abandon(&self, guard: &ClaimGuard, by: Operator) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, guard, self.load(guard.order()).await?)?;
        driver.check_stuck()?;
        let reason = format!("given up by {}: {}", by.who, by.why);
        let events = vec![OrderEventKind::Operator { by, action: OperatorAction::Abandon }];
        driver.enter_state(OrderState::Abandoned, Some(reason), Vec::new(), events).await
    }

    /// Says that what a stuck step may have left at its provider is gone, or never was: somebody has looked, or ended it
    /// by hand. The evidence is recorded, with who and why. With the last stuck step the order
    /// goes on: it is committed again if other services are there, and else over.
    ///
    /// # Errors
    /// * [`PurchaseError::NotStuck`]: the order, or that step of it, is not stuck.
    /// * [`PurchaseError::OperatorRequired`]: `by` names nobody, or no reason, or the evidence is empty.
    /// * [`LedgerError::Claimed`](crate::ledger::LedgerError::Claimed): a host is just driving it.
    pub async fn settle(
        &self,
        order: &OrderId,
        step: u32,
        by: Operator,
        evidence: String,
    ) -> Result<Order, PurchaseError> {
        by.check()?;
        if evidence.trim().is_empty() || has_hidden(&evidence) {
            return Err(PurchaseError::OperatorRequired("evidence in visible characters"));
        }
        self.request(order, Request::Settle { step, by, evidence }).await
    }

    async fn write_settlement(
        &self,
        claim: &Claim,
        present: &Order,
        index: u32,
        by: Operator,
        evidence: String,
    ) -> Result<(), PurchaseError> {
        let is_stuck = |step: &&Step| matches!(step.state, StepState::Stuck { .. });
        let not_stuck = || PurchaseError::NotStuck(present.id.clone());
        let step = present.steps.iter().filter(is_stuck).find(|step| step.index == index);
        let step = step
            .filter(|_| matches!(present.state, OrderState::Stuck | OrderState::Abandoned))
            .ok_or_else(not_stuck)?;
        let reason = format!("settled by {}: {}", by.who, by.why);
        let others = present.steps.iter().filter(|step| step.index != index);
        let next = match after_settling(others.map(|step| &step.state)) {
            AfterSettling::Stay => None,
            AfterSettling::Is(state) => Some(state),
            AfterSettling::Over => Some(terminal_state_of(&*self.ledger, &present.id).await?),
        };
        let change = OrderUpdate {
            order: next.map(|state| (state, Some(reason))),
            steps: vec![Step { state: StepState::Compensated, ..step.clone() }],
            events: vec![OrderEventKind::Operator { by, action: OperatorAction::Settle { index, evidence } }],
            plan: None,
        };
        self.ledger.write(claim, &change).await?;
        if let Some((state, _)) = change.order {
            crate::telemetry::order_entered(state, present.created);
        }
        Ok(())
    }
}

/// Where an order goes when its last stuck step is closed.
#[derive(Debug, PartialEq, Eq)]
enum AfterSettling {
    /// It stays stuck.
    Stay,
    /// On to this.
    Is(OrderState),
    /// It is over.
    Over,
}

fn after_settling<'a>(others: impl Iterator<Item = &'a StepState>) -> AfterSettling {
    let (mut is_there, mut is_acting, mut is_ending) = (false, false, false);
    for state in others {
        match state {
            // Bought in part: only to be undone as a whole.
            StepState::Stuck { .. }
            | StepState::Planned
            | StepState::Reserving { .. }
            | StepState::Reserved { .. }
            | StepState::Provisioning { .. }
            | StepState::Provisioned { .. } => return AfterSettling::Stay,
            StepState::Committed { .. } => is_there = true,
            StepState::Acting { .. } => is_acting = true,
            StepState::Compensating { .. } => is_ending = true,
            StepState::Compensated => {}
        }
    }
    match (is_acting, is_ending, is_there) {
        (true, _, _) | (_, true, true) => AfterSettling::Is(OrderState::Changing),
        (false, true, false) => AfterSettling::Is(OrderState::Compensating),
        (false, false, true) => AfterSettling::Is(OrderState::Committed),
        (false, false, false) => AfterSettling::Over,
    }
}

/// Whether a text, which may have several lines, has what does not show.
fn has_hidden(text: &str) -> bool {
    text.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t'))
}

impl Operator {
    pub(super) fn check(&self) -> Result<(), PurchaseError> {
        match self {
            _ if self.who.trim().is_empty() => Err(PurchaseError::OperatorRequired("the name of who acts")),
            _ if self.why.trim().is_empty() => Err(PurchaseError::OperatorRequired("a reason")),
            // Who reads it later sees another name, or words that nobody has said.
            _ if self.who.chars().any(is_hidden) || has_hidden(&self.why) => {
                Err(PurchaseError::OperatorRequired("a name and a reason in visible characters"))
            }
            _ => Ok(()),
        }
    }
}
