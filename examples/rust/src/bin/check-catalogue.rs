//! Checks price tables: every row is read, and every price that is not to be trusted is named.

use std::{collections::HashSet, path::PathBuf, process::ExitCode};

use clap::Parser;
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    provider::table::Table,
};
use jiff::{Timestamp, tz::Offset};

/// Checks the price tables of a file or folder.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to check.
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalogue"))]
    path: PathBuf,
}

fn main() -> ExitCode {
    let path = Arguments::parse().path;
    let tables = match Table::load(&path) {
        Ok(tables) => tables,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if tables.is_empty() {
        eprintln!("{}: no tables; write <provider>.json and <provider>.csv", path.display());
        return ExitCode::FAILURE;
    }
    let now = Timestamp::now();
    let today = Offset::UTC.to_datetime(now).date();
    let mut seen = HashSet::new();
    let mut mistakes = 0;
    let mut complain = |what: String| {
        println!("  {what}");
        mistakes += 1;
    };
    let mut catalogue = CatalogueBuilder::new(now, Rates::default());
    for table in &tables {
        let days = || table.offers.iter().map(|offer| offer.provenance.observed);
        let age = days()
            .min()
            .zip(days().max())
            .map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
        println!("{}: {} offers{age}", table.name, table.offers.len());
        if table.offers.is_empty() {
            complain("no offers; write a row for each price".to_owned());
        }
        // No mistake: the row is right, and waits for the price of a part.
        if let Some(first) = table.rejected.first() {
            let (count, row, reason) = (table.rejected.len(), &first.row, &first.reason);
            println!("  {count} not offered, such as {row}: {reason}");
        }
        for left_out in &table.quarantined {
            complain(format!("left out: {} at {}: {}", left_out.sku, left_out.place, left_out.reason));
        }
        // A catalogue would say so only of two that differ.
        for offer in table.offers.iter().filter(|offer| !seen.insert(offer.id())) {
            complain(format!("written twice: {}; keep one row for it", offer.id()));
        }
        for offer in table.offers.iter().filter(|offer| offer.provenance.observed > today) {
            complain(format!("still to come: {} is of {}", offer.id(), offer.provenance.observed));
        }
        catalogue.extend(table.offers.iter().cloned());
    }
    // Whatever a federation would leave out besides.
    let doubles = "is offered twice";
    for left_out in catalogue.build().quarantined().iter().filter(|it| !it.reason.contains(doubles)) {
        complain(format!("left out: {} at {}: {}", left_out.sku, left_out.place, left_out.reason));
    }
    println!("{} providers read, {mistakes} mistakes", tables.len());
    if mistakes == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
