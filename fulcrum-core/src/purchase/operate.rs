//! What a person does about an order that is stuck.

use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    Engine, PurchaseError, drive::Driver, engine::LEAST_WAIT, held::Held, machine::to_compensate,
    outcome::over_state_of,
};
use crate::{
    ledger::{Change, LedgerError},
    model::{
        Action, Operator, OperatorAction, Order, OrderEventKind, OrderId, OrderState, Step, StepState,
        is_hidden,
    },
};

/// What a person wants of an order.
pub(super) enum Wanted {
    /// That a stuck order be undone.
    Retry(Operator),
    /// That a stuck order be given up.
    Abandon(Operator),
    /// That a stuck step be closed.
    Settle { step: u32, by: Operator, evidence: String },
    /// That something be done to a service, or that it end.
    Change { step: u32, by: Operator, action: Option<Action> },
}

impl Engine {
    /// Writes down what a person wants, and carries it out. A claim that is lost before that is asked for again, and after that
    /// the order is followed: nobody hears that this host was away.
    pub(super) async fn want(&self, order: &OrderId, wanted: Wanted) -> Result<Order, PurchaseError> {
        loop {
            let held = match self.claim(order).await {
                Ok(held) => held,
                Err(LedgerError::Fenced(_)) => {
                    sleep(LEAST_WAIT).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let begun = self.begin(&held, &wanted).await;
            if begun.is_ok() && matches!(wanted, Wanted::Retry(_) | Wanted::Change { .. }) {
                return match self.drive_claimed(held).await {
                    Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => self.drive(order).await,
                    outcome => outcome,
                };
            }
            held.give_back().await;
            match begun {
                Ok(()) => return self.load(order).await,
                Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => sleep(LEAST_WAIT).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn begin(&self, held: &Held, wanted: &Wanted) -> Result<(), PurchaseError> {
        match wanted {
            Wanted::Retry(by) => self.begin_again(held, by.clone()).await,
            Wanted::Abandon(by) => self.give_up(held, by.clone()).await,
            Wanted::Settle { step, by, evidence } => {
                let present = self.load(held.order()).await?;
                self.settled(held.claim(), &present, *step, by.clone(), evidence.clone()).await
            }
            Wanted::Change { step, by, action } => {
                self.begin_change(held, *step, by.clone(), action.clone()).await
            }
        }
    }

    /// Tries once more to end what is stuck, as after rights or a provider were mended: of an order that was to be undone all,
    /// of one whose other services are wanted the stuck ones alone. Nothing is bought again. Who and why are recorded.
    ///
    /// # Errors
    /// * [`PurchaseError::NotStuck`]: there is nothing for a person to do.
    /// * [`PurchaseError::NobodySaid`]: `by` names nobody, or no reason.
    /// * As [`drive`](Self::drive).
    pub async fn retry(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.want(order, Wanted::Retry(by)).await
    }

    async fn begin_again(&self, held: &Held, by: Operator) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, held, self.load(held.order()).await?)?;
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
        driver.enter(OrderState::Changing, Some(reason), steps, events).await
    }

    /// Gives a stuck order up: it is no longer among those that wait for a person, though something of it may still be
    /// there and cost money. Who and why are recorded; [`reconcile`](Self::reconcile) goes on telling what it finds,
    /// and [`retry`](Self::retry) and [`settle`](Self::settle) still work.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn abandon(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.want(order, Wanted::Abandon(by)).await
    }

    async fn give_up(&self, held: &Held, by: Operator) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, held, self.load(held.order()).await?)?;
        driver.check_stuck()?;
        let reason = format!("given up by {}: {}", by.who, by.why);
        let events = vec![OrderEventKind::Operator { by, action: OperatorAction::Abandon }];
        driver.enter(OrderState::Abandoned, Some(reason), Vec::new(), events).await
    }

    /// Says that what a stuck step may have left at its provider is gone, or never was: somebody has looked, or ended it
    /// by hand. The evidence is recorded, with who and why. With the last stuck step the order
    /// goes on: it is committed again if other services are held, and else over.
    ///
    /// # Errors
    /// * [`PurchaseError::NotStuck`]: the order, or that step of it, is not stuck.
    /// * [`PurchaseError::NobodySaid`]: `by` names nobody, or no reason, or the evidence is empty.
    /// * [`LedgerError::Claimed`](crate::ledger::LedgerError::Claimed): a host is just driving it.
    pub async fn settle(
        &self,
        order: &OrderId,
        step: u32,
        by: Operator,
        evidence: String,
    ) -> Result<Order, PurchaseError> {
        by.check()?;
        if evidence.trim().is_empty() || hides(&evidence) {
            return Err(PurchaseError::NobodySaid("the evidence, in characters that show"));
        }
        self.want(order, Wanted::Settle { step, by, evidence }).await
    }

    async fn settled(
        &self,
        claim: &crate::ledger::Claim,
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
            Next::Stay => None,
            Next::Is(state) => Some(state),
            Next::Over => Some(over_state_of(&*self.ledger, &present.id).await?),
        };
        let change = Change {
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
enum Next {
    /// It stays stuck.
    Stay,
    /// On to this.
    Is(OrderState),
    /// It is over.
    Over,
}

fn after_settling<'a>(others: impl Iterator<Item = &'a StepState>) -> Next {
    let (mut is_held, mut is_acting, mut is_ending) = (false, false, false);
    for state in others {
        match state {
            // Bought in part: only to be undone as a whole.
            StepState::Stuck { .. }
            | StepState::Planned
            | StepState::Reserving { .. }
            | StepState::Reserved { .. }
            | StepState::Provisioning { .. }
            | StepState::Provisioned { .. } => return Next::Stay,
            StepState::Committed { .. } => is_held = true,
            StepState::Acting { .. } => is_acting = true,
            StepState::Compensating { .. } => is_ending = true,
            StepState::Compensated => {}
        }
    }
    match (is_acting, is_ending, is_held) {
        (true, _, _) | (_, true, true) => Next::Is(OrderState::Changing),
        (false, true, false) => Next::Is(OrderState::Compensating),
        (false, false, true) => Next::Is(OrderState::Committed),
        (false, false, false) => Next::Over,
    }
}

/// Whether a text, which may have several lines, has what does not show.
fn hides(text: &str) -> bool {
    text.chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t'))
}

impl Operator {
    pub(super) fn check(&self) -> Result<(), PurchaseError> {
        match self {
            _ if self.who.trim().is_empty() => Err(PurchaseError::NobodySaid("who does this")),
            _ if self.why.trim().is_empty() => Err(PurchaseError::NobodySaid("why")),
            // Who reads it later sees another name, or words that nobody has said.
            _ if self.who.chars().any(is_hidden) || hides(&self.why) => {
                Err(PurchaseError::NobodySaid("who and why in characters that show"))
            }
            _ => Ok(()),
        }
    }
}
