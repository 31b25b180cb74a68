//! Checks price tables: every row is read, and every price that is not to be trusted is named.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use fulcrum_core::catalogue::CatalogueCheck;
use jiff::Timestamp;

/// Checks the price tables of a file or folder.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to check.
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalogue"))]
    path: PathBuf,
}

fn main() -> ExitCode {
    match CatalogueCheck::of(&Arguments::parse().path, Timestamp::now()) {
        Ok(check) => {
            println!("{check}");
            if check.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
