//! Checks price tables: every row is read, and every price that is not to be trusted is named.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use fulcrum_core::provider::table::Table;

/// Checks the price tables of a file or folder.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to check.
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalogue"))]
    path: PathBuf,
}

fn main() -> ExitCode {
    let tables = match Table::load(&Arguments::parse().path) {
        Ok(tables) => tables,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut quarantined = 0;
    for table in &tables {
        let days = || table.offers.iter().map(|offer| offer.provenance.observed);
        let age = days()
            .min()
            .zip(days().max())
            .map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
        println!("{}: {} offers{age}", table.name, table.offers.len());
        for left_out in &table.quarantined {
            println!("  left out: {} at {}: {}", left_out.sku, left_out.place, left_out.reason);
        }
        quarantined += table.quarantined.len();
    }
    println!("{} providers read, {quarantined} prices left out", tables.len());
    if quarantined == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
