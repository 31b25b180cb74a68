//! A purchase as it happens: a bar for each step, or plain lines where nobody looks.

use std::time::Duration;

use fulcrum_core::{
    federation::Federation,
    model::{Lease, Order, OrderEvent, OrderEventKind, OrderState, StepState},
    purchase::TimelineEntry,
};
use futures::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Follows an order until it is final.
pub(crate) async fn watch(market: &Federation, order: &Order, is_silent: bool) {
    let mut bars = (!is_silent && console_is_there()).then(|| Bars::new(order));
    let mut events = market.follow(&order.id);
    while let Some(Ok(event)) = events.next().await {
        match &mut bars {
            Some(bars) => bars.tell(&event),
            None if is_silent => {}
            None => println!("  {}", TimelineEntry::new(order, &event)),
        }
    }
    if let Some(bars) = bars {
        bars.end();
    }
}

fn console_is_there() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// One bar for the order, one for each step.
struct Bars {
    order: ProgressBar,
    steps: Vec<ProgressBar>,
    all: MultiProgress,
}

impl Bars {
    /// Wanted, asked for, there, paid for.
    const STEP_STAGES: u64 = 3;

    fn new(order: &Order) -> Self {
        let all = MultiProgress::new();
        let template = "  {spinner} {prefix:<32} [{bar:12}] {pos}/{len} {wide_msg}";
        let whole = bar(&all, order.steps.len() as u64, template, "order".to_owned());
        let mut bars = Self { order: whole, steps: Vec::new(), all };
        order.steps.iter().for_each(|step| bars.add(&step.lease));
        bars
    }

    /// A bar for a step that buys a lease.
    fn add(&mut self, lease: &Lease) {
        let name = format!("{} {}", lease.place.provider, lease.sku);
        let template = "  {spinner} {prefix:<32.32} [{bar:12}] {wide_msg}";
        self.steps.push(bar(&self.all, Self::STEP_STAGES, template, name));
    }

    fn tell(&mut self, event: &OrderEvent) {
        match &*event.kind {
            OrderEventKind::Order { state, .. } => {
                self.order.set_message(state.word());
                if *state == OrderState::Committed {
                    self.order.set_position(self.order.length().unwrap_or_default());
                }
            }
            OrderEventKind::Step { index, step, .. } => {
                let Some(bar) = self.steps.get(*index as usize) else { return };
                bar.set_position(match step {
                    StepState::Planned | StepState::Compensated => 0,
                    StepState::Reserving { .. }
                    | StepState::Reserved { .. }
                    | StepState::Provisioning { .. }
                    | StepState::Compensating { .. }
                    | StepState::Stuck { .. } => 1,
                    StepState::Provisioned { .. } => 2,
                    StepState::Committed { .. } | StepState::Acting { .. } => Self::STEP_STAGES,
                });
                bar.set_message(step.description());
                let is_there = |bar: &&ProgressBar| bar.position() >= 2;
                self.order.set_position(self.steps.iter().filter(is_there).count() as u64);
            }
            OrderEventKind::Attempt { index, error, .. } => {
                if let Some(bar) = self.steps.get(*index as usize) {
                    bar.set_message(error.clone());
                }
            }
            OrderEventKind::FailedOver { plan, .. } => {
                plan.leases.iter().filter(|lease| lease.keeps.is_none()).for_each(|lease| self.add(lease));
                self.order.set_length(plan.leases.len() as u64);
            }
            _ => {}
        }
    }

    fn end(&self) {
        for bar in self.steps.iter().chain([&self.order]) {
            bar.abandon();
        }
    }
}

fn bar(all: &MultiProgress, length: u64, template: &str, prefix: String) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = all.add(ProgressBar::new(length)).with_style(style).with_prefix(prefix);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
