//! The sandbox clouds, and what the plan is compared with.

use std::{path::Path, time::Duration};

use fulcrum_core::{
    catalogue::Rates,
    compose::ComposeError,
    federation::Federation,
    ledger::SqliteLedger,
    model::{Blueprint, Constraint, FailureDomain, MaxDistinct, Plan, ProviderId},
    provider::{
        Call, portable_settings,
        sandbox::{Fault, FaultRule, Sandbox},
        table::Table,
    },
};

use super::{Arguments, Error};

/// The price tables; a fault that names none of their providers is refused.
pub(crate) fn tables(arguments: &Arguments, faults: &[(ProviderId, FaultRule)]) -> Result<Vec<Table>, Error> {
    let tables = Table::load(&arguments.catalogue)?;
    if let Some((unknown, _)) = faults.iter().find(|(id, _)| tables.iter().all(|table| table.provider != *id))
    {
        let known: Vec<_> = tables.iter().map(|table| table.provider.to_string()).collect();
        return Err(
            format!("--fault: no provider is called {unknown}; write one of {}", known.join(", ")).into()
        );
    }
    Ok(tables)
}

/// Reads a file; an error names it.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    Ok(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// The European Central Bank's rates, in either of its forms.
fn rates(path: &Path) -> Result<Rates, Error> {
    let text = read(path)?;
    let is_xml = text.trim_start().starts_with('<');
    let rates = if is_xml { Rates::from_ecb_xml(&text) } else { Rates::from_ecb_csv(&text) };
    Ok(rates.map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Clouds made from the tables, with some calls of theirs going wrong.
pub(crate) async fn open(
    arguments: &Arguments,
    tables: Vec<Table>,
    faults: &[(ProviderId, FaultRule)],
) -> Result<Federation, Error> {
    let ledger = match &arguments.ledger {
        Some(path) => SqliteLedger::open(path).await?,
        None => SqliteLedger::in_memory().await?,
    };
    // The shipped rates are of one day, and the demo runs on any.
    let mut builder =
        Federation::builder().ledger(ledger).rates(rates(&arguments.rates)?).max_rates_age_days(u32::MAX);
    for table in tables {
        let ms = Duration::from_millis;
        let of_it = faults.iter().filter(|(provider, _)| *provider == table.provider);
        let cloud = Sandbox::builder(table.provider.clone(), table.offers)
            .seed(arguments.seed)
            .declared_settings(portable_settings())
            .latency(ms(5), ms(20))
            .operation(ms(100), ms(600));
        let cloud = of_it.fold(cloud, |cloud, (_, fault)| cloud.fault(fault.clone()));
        builder = builder.provider(cloud.build());
    }
    let market = builder.build()?;
    market.refresh().await;
    Ok(market)
}

/// The plan's last product has run out.
pub(crate) fn last_is_sold_out(plan: &Plan) -> Vec<(ProviderId, FaultRule)> {
    let rule = |sku| FaultRule { call: Call::Provision, sku, nth: 1, times: u32::MAX, fault: Fault::SoldOut };
    plan.leases
        .last()
        .map(|lease| (lease.place.provider.clone(), rule(Some(lease.sku.clone()))))
        .into_iter()
        .collect()
}

/// The best plan at one provider, without surviving its loss or spreading over several, which cannot be had there.
pub(crate) fn at_one_provider(market: &Federation, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
    let mut single = blueprint.clone();
    single.constraints.retain(|constraint| match constraint {
        Constraint::FaultTolerance(survive) => survive.loss_of != FailureDomain::Provider,
        Constraint::Spread(spread) => spread.over != FailureDomain::Provider,
        _ => true,
    });
    single
        .constraints
        .push(Constraint::MaxDistinct(MaxDistinct { over: FailureDomain::Provider, at_most: 1 }));
    market.compose(&single)
}
