//! What the demo can be asked.

use std::path::PathBuf;

use clap::Parser;
use fulcrum_core::{
    model::{ProviderId, parse_yaml},
    provider::sandbox::FaultRule,
};

/// Composes the cheapest plan for an application over dated price tables, and buys it on sandbox clouds made from the
/// same tables, of which one is sold out.
///
/// Nothing is bought in earnest, and the network is not used.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// What to compose
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../blueprints/three-tier.yaml"))]
    pub(crate) blueprint: PathBuf,
    /// The price tables: a file or a folder
    #[arg(long, value_name = "PATH", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalogue"))]
    pub(crate) catalogue: PathBuf,
    /// Exchange rates, as the European Central Bank writes them in CSV or XML
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../rates/ecb.csv"))]
    pub(crate) rates: PathBuf,
    /// The ledger's file; in memory without it
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Where the clouds' chance starts
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Let a call of a cloud go wrong, as PROVIDER={call: CALL, fault: FAULT, nth: N, times: N, sku: SKU}; repeatable.
    ///
    /// Calls: provision, quote, find_by_key, describe, release, poll, services. Faults: refused, unauthorised,
    /// forbidden, quota, sold_out, {rate_limited: {retry_after_ms: N}}, unavailable, not_sent, ambiguous_happened,
    /// ambiguous_lost, {late: {ms: N}}, {operation_fails: {leaves_resource: true}}, crash_before, crash_after (the
    /// caller is gone before or after the effect). Without any, the last product of the plan is sold out.
    #[arg(long = "fault", value_name = "PROVIDER=RULE")]
    fault: Vec<String>,
    /// Let every cloud deliver
    #[arg(long, conflicts_with = "fault")]
    pub(crate) no_fault: bool,
    /// Buy nothing
    #[arg(long)]
    pub(crate) plan_only: bool,
    /// Print one JSON document: plan, plan at one provider, orders, events; the plan alone with --plan-only
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// The faults of the user's choice.
    pub(crate) fn faults(&self) -> Result<Vec<(ProviderId, FaultRule)>, String> {
        let read = |text: &String| {
            let (provider, rule) =
                text.split_once('=').ok_or("write PROVIDER={call: provision, fault: sold_out}")?;
            let provider = provider.parse().map_err(|error| format!("{error}"))?;
            let rule = parse_yaml(rule).map_err(|error| error.to_string())?;
            Ok((provider, rule))
        };
        self.fault
            .iter()
            .map(|text| read(text).map_err(|error: String| format!("--fault {text}: {error}")))
            .collect()
    }
}
