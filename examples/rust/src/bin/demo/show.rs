//! Tables for people.

use std::collections::BTreeMap;

use fulcrum_core::{
    catalogue::Catalogue,
    compose::ComposeError,
    model::{Lease, LineKind, Order, Plan, StepState},
};
use iso_currency::Currency;
use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};

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

/// Amounts with as many digits as all of them need, at most the six that a plan is exact to: they add up as printed.
struct Digits(u32);

impl Digits {
    fn of(currency: Currency, amounts: impl IntoIterator<Item = Decimal>) -> Self {
        let minor = currency.exponent().map_or(2, u32::from);
        let is_short = |amount: Decimal| amount.normalize().scale() <= minor;
        Self(if amounts.into_iter().all(is_short) { minor } else { 6 })
    }

    /// Rounded half to even: the formatter alone would cut digits off.
    fn show(&self, amount: Decimal) -> String {
        let rounded = amount.round_dp_with_strategy(self.0, RoundingStrategy::MidpointNearestEven);
        format!("{rounded:.*}", self.0 as usize)
    }
}

/// The amounts that make up a plan's month, and those that are set beside it.
fn amounts(plan: &Plan) -> Vec<Decimal> {
    let leases = plan.leases.iter().map(month);
    let traffic = plan.traffic.iter().map(|line| line.monthly);
    let fees = plan.fees.iter().map(|line| line.monthly);
    leases.chain(traffic).chain(fees).chain([plan.monthly, plan.once, plan.objective, plan.bound]).collect()
}

fn month(lease: &Lease) -> Decimal {
    lease.lines.iter().map(|line| line.monthly).sum()
}

/// What is bought, line by line, and how good it is.
pub(crate) fn plan(plan: &Plan) {
    let digits = Digits::of(plan.currency, amounts(plan));
    lines(plan, &digits, true);
    let code = plan.currency.code();
    println!(
        "\n  {} {code} a month, net; no plan is below {} {code} (gap {} %).",
        digits.show(plan.objective),
        digits.show(plan.bound),
        plan.gap_percent
    );
    let work = plan.statistics;
    println!(
        "  {} offers, {} eligible, {} patterns, {} nodes searched.",
        work.offers, work.eligible, work.patterns, work.nodes
    );
}

/// The lines that a month's cost consists of, and their sum.
fn lines(plan: &Plan, digits: &Digits, with_texts: bool) {
    let line = |place: &str, product: &str, carries: &str, cost: &str| {
        println!("  {place:<26} {product:<22} {carries:<22} {cost:>12}");
    };
    line("place", "product", "carries", "a month");
    for lease in &plan.leases {
        let carries: Vec<_> = lease.replicas.iter().map(|(name, count)| format!("{count}×{name}")).collect();
        let cost = digits.show(month(lease));
        line(&lease.place.to_string(), lease.sku.as_str(), &carries.join(" "), &cost);
        for price in lease.lines.iter().filter(|_| with_texts) {
            // What is paid with the product is named: its disk, its address.
            let part = match price.kind {
                LineKind::Offer => String::new(),
                LineKind::Disk | LineKind::Surcharge => format!("{}: ", price.sku),
            };
            println!("  {:<26} · {part}{}", "", price.text);
        }
    }
    for traffic in &plan.traffic {
        let gib = format!("{} GiB", traffic.gib);
        line(traffic.provider.as_str(), "traffic", &gib, &digits.show(traffic.monthly));
    }
    for fee in &plan.fees {
        line(fee.provider.as_str(), "fee", "", &digits.show(fee.monthly));
    }
    line("in all", "", "", &digits.show(plan.monthly));
    if !plan.once.is_zero() {
        line("once, at the start", "", "", &digits.show(plan.once));
    }
}

/// The best plan at one provider beside it.
pub(crate) fn compare(best: &Plan, single: &Result<Plan, ComposeError>) {
    match single {
        Ok(single) => {
            println!(
                "\n  At one provider alone ({}), whose loss would end the application:\n",
                single.leases[0].place.provider
            );
            let digits = Digits::of(single.currency, amounts(single).into_iter().chain(amounts(best)));
            lines(single, &digits, false);
            let more = best.objective - single.objective;
            // The best of several providers may be cheaper than one that has everything.
            let words = if more.is_sign_negative() { "saves" } else { "costs" };
            println!(
                "\n  {} {}; living on without any one provider {words} {}.",
                digits.show(single.objective),
                single.currency.code(),
                digits.show(more.abs())
            );
        }
        Err(error) => println!("\n  At one provider alone: {error}."),
    }
}

/// An order as the ledger has it: each service, and how far it is.
pub(crate) fn order(order: &Order) {
    println!("  order {}  {}", order.id, order.state.word());
    println!("    {:<12} {:<34} {:<22} state", "provider", "service", "product");
    for step in &order.steps {
        let service = step.state.service_id().map_or("–", |id| id.as_str());
        let (provider, sku) = (step.provider.as_str(), step.lease.sku.as_str());
        println!("    {provider:<12} {service:<34} {sku:<22} {}", state_word(&step.state));
    }
}

/// A step's state in a word.
fn state_word(step: &StepState) -> String {
    match step {
        StepState::Planned => "planned".to_owned(),
        StepState::Reserving { .. } | StepState::Reserved { .. } => step.description(),
        StepState::Provisioning { .. } => "provisioning".to_owned(),
        StepState::Provisioned { .. } => "provisioned".to_owned(),
        StepState::Committed { .. } => "committed".to_owned(),
        StepState::Compensating { .. } => "compensating".to_owned(),
        StepState::Acting { .. } => "acting".to_owned(),
        StepState::Compensated => "compensated".to_owned(),
        StepState::Stuck { reason, .. } => format!("stuck: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_as_printed() {
        let decimal = |text: &str| text.parse::<Decimal>().expect("a decimal");
        let exact = Digits::of(Currency::EUR, [decimal("78.447737"), decimal("5")]);
        assert_eq!([exact.show(decimal("78.447737")), exact.show(decimal("5"))], ["78.447737", "5.000000"]);
        let short = Digits::of(Currency::EUR, [decimal("78.450000"), decimal("5")]);
        assert_eq!([short.show(decimal("78.45")), short.show(decimal("78.447737"))], ["78.45", "78.45"]);
        assert_eq!([short.show(decimal("0.125")), short.show(decimal("0.135"))], ["0.12", "0.14"]);
    }
}
