//! Tables for people.

use std::collections::BTreeMap;

use fulcrum_core::{
    catalogue::Catalogue,
    compose::ComposeError,
    model::{Order, OrderEvent, OrderEventKind, Plan, Progress, StepState},
};
use jiff::civil::Date;
use rust_decimal::Decimal;

/// Who sells how much, and how old the prices are.
pub(crate) fn catalogue(catalogue: &Catalogue) {
    println!("The prices are dated facts for demonstration, not current offers.\n");
    let mut days: BTreeMap<&str, (Date, Date)> = BTreeMap::new();
    for ix in catalogue.ids() {
        let day = catalogue.provenance(ix).observed;
        let span = days.entry(catalogue.place(ix).provider.as_str()).or_insert((day, day));
        *span = (span.0.min(day), span.1.max(day));
    }
    for source in catalogue.sources() {
        let name = source.provider.as_str();
        let span = days.get(name).map_or_else(String::new, |(from, to)| format!("{from} to {to}"));
        println!("  {name:<12} {:>5} offers   {span}", source.offers);
    }
}

/// What is bought, line by line, and how good it is.
pub(crate) fn plan(plan: &Plan) {
    println!("  {:<26} {:<22} {:<22} {:>10}", "place", "product", "carries", "a month");
    for lease in &plan.leases {
        let carries: Vec<_> = lease.replicas.iter().map(|(name, count)| format!("{count}×{name}")).collect();
        let cost: Decimal = lease.lines.iter().map(|line| line.monthly).sum();
        println!(
            "  {:<26} {:<22} {:<22} {cost:>10.2}",
            lease.place.to_string(),
            lease.sku.to_string(),
            carries.join(" ")
        );
        for line in &lease.lines {
            println!("  {:<26} · {}", "", line.text);
        }
    }
    let code = plan.currency.code();
    println!(
        "\n  {:.2} {code} a month, net; no plan is below {:.2} {code} (gap {} %).",
        plan.objective, plan.bound, plan.gap_percent
    );
    let work = plan.statistics;
    println!(
        "  {} offers, {} eligible, {} patterns, {} nodes searched.",
        work.offers, work.eligible, work.patterns, work.nodes
    );
}

/// The best plan at one provider beside it.
pub(crate) fn compare(best: &Plan, single: &Result<Plan, ComposeError>) {
    match single {
        Ok(single) => {
            println!(
                "\n  At one provider alone ({}), whose loss would end the application:\n",
                single.leases[0].place.provider
            );
            for lease in &single.leases {
                let carries: Vec<_> =
                    lease.replicas.iter().map(|(name, count)| format!("{count}×{name}")).collect();
                let cost: Decimal = lease.lines.iter().map(|line| line.monthly).sum();
                println!(
                    "  {:<26} {:<22} {:<22} {cost:>10.2}",
                    lease.place.to_string(),
                    lease.sku.to_string(),
                    carries.join(" ")
                );
            }
            println!(
                "\n  {:.2} {}; living on without any one provider costs {:+.2}.",
                single.objective,
                single.currency.code(),
                best.objective - single.objective
            );
        }
        Err(error) => println!("\n  At one provider alone: {error}."),
    }
}

/// An event in one line.
pub(crate) fn event(kind: &OrderEventKind) -> String {
    match kind {
        OrderEventKind::Order { state, reason } => {
            let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("order {}{reason}", state.word())
        }
        OrderEventKind::Step { index, provider, step } => {
            format!("step {index} at {provider}: {}", step_word(step))
        }
        OrderEventKind::Attempt { index, provider, error } => format!("step {index} at {provider}: {error}"),
        OrderEventKind::PricesChecked { planned, current } => {
            format!("prices checked: planned {planned}, now {current}")
        }
        _ => "an event of a later version".to_owned(),
    }
}

/// A step's state in one line.
pub(crate) fn step_word(step: &StepState) -> String {
    match step {
        StepState::Planned => "planned".to_owned(),
        StepState::Provisioning { progress, .. } => match progress {
            Progress::IntentOnly => "intent written, asking".to_owned(),
            Progress::OutcomeUnknown => "no answer; looking for the key before anything else".to_owned(),
            Progress::Running(_) => "the cloud works on it".to_owned(),
        },
        StepState::Provisioned { service } => format!("provisioned {}", service.id),
        StepState::Committed { service } => format!("committed {}", service.id),
        StepState::Compensating { service: None, .. } => "to be undone: finding out what exists".to_owned(),
        StepState::Compensating { service: Some(id), operation: None, .. } => format!("releasing {id}"),
        StepState::Compensating { service: Some(id), operation: Some(_), .. } => {
            format!("releasing {id}, the cloud works on it")
        }
        StepState::Compensated => "compensated, nothing exists".to_owned(),
        StepState::Stuck { reason } => format!("stuck: {reason}"),
    }
}

/// All orders and what happened to them.
pub(crate) fn ledger(orders: &[Order], events: &[OrderEvent]) {
    for order in orders {
        println!("  order {}  {}", order.id, order.state.word());
        let own = events.iter().filter(|event| event.order == order.id);
        for event in own {
            let ms = event.at.duration_since(order.created).as_millis().max(0);
            println!("    {:>4}  {ms:>6} ms  {}", event.sequence, self::event(&event.kind));
        }
    }
}
