//! What the fuzz targets do with bytes: plain functions, so that the stable compiler runs them too. A panic is a finding. Each
//! says whether the bytes got past the door, for tests of the generators themselves.
#![allow(dead_code, reason = "each program uses its own part")]

pub mod answers;
pub mod archive;
pub mod cassette;
pub mod compose;
mod documents;
pub mod draw;
pub mod edit;
pub mod fault;
pub mod federation;
pub mod headers;
pub mod host_json;
pub mod memory_ledger;
pub mod orders;
mod script;
pub mod texts;
mod wire;
mod words;

use crate::imitation;

/// What must be told to nobody.
pub const SECRET: &str = "secret-0000-canary";

/// What a target does with an input: whether it got past the door.
pub type Body = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A line of the list of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: &'static str,
    pub kind: &'static str,
    pub most_bytes: usize,
}

/// All targets; `tests/fuzz/TARGETS` is where they are listed.
pub fn targets() -> Vec<Target> {
    let lines = include_str!("../../fuzz/TARGETS").lines().filter(|line| !line.starts_with('#'));
    let target = |line: &'static str| {
        let mut words = line.split_whitespace();
        let mut next = || words.next().expect("three words");
        Target { name: next(), kind: next(), most_bytes: next().parse().expect("a number") }
    };
    lines.map(target).collect()
}

/// The body of a target; none for those that are elsewhere, as that of the C interface.
pub fn body(name: &str) -> Option<Body> {
    if let Some(adapter) = name.strip_prefix("answers_") {
        let api = imitation::ALL.into_iter().find(|api| api.name == adapter)?;
        return Some(Box::new(move |bytes| answers::answers(api, bytes)));
    }
    Some(match name {
        "blueprint" => Box::new(texts::blueprint),
        "catalogue" => Box::new(texts::catalogue),
        "compose" => Box::new(compose::plan),
        "headers" => Box::new(headers::headers),
        "cassette" => Box::new(cassette::cassette),
        "federation" => Box::new(federation::federation),
        "archive" => Box::new(archive::archive),
        "host_json" => Box::new(host_json::host_json),
        "orders" => Box::new(orders::orders),
        _ => return None,
    })
}

/// Runs a future to its end on this thread; waits take no time.
fn paused<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}
