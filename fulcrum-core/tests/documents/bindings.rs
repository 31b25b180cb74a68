//! The C header and the Python stub say what the types say: parameters, states, calls and codes.

use std::{collections::BTreeSet, fs, path::Path};

use fulcrum_core::model::{OrderState, ServiceStatus};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Comment and declaration of each function in the header.
fn functions(header: &str) -> Vec<(&str, &str)> {
    let blocks = header.split("/**").skip(1).filter_map(|block| block.split_once("*/"));
    let declared = blocks.filter_map(|(comment, code)| Some((comment, code.trim_start().split_once(';')?.0)));
    declared
        .filter(|(_, code)| code.contains("fulcrum_") && code.contains('(') && !code.starts_with(['#', '}']))
        .collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect()
}

#[test]
fn each_param_of_the_header_names_a_parameter() {
    let (header, mut checked) = (read("include/fulcrum.h"), 0);
    for (comment, code) in functions(&header).into_iter().filter(|(_, code)| !code.starts_with("typedef")) {
        let inside = &code[code.find('(').expect("a parameter list")..];
        // The last word of each is its name.
        let names: BTreeSet<&str> = inside
            .trim_matches(['(', ')'])
            .split(',')
            .filter_map(|parameter| words(parameter.rsplit(['*', ' ']).next()?).pop_last())
            .filter(|name| *name != "void")
            .collect();
        let params: Vec<&str> =
            comment.lines().filter_map(|line| line.trim().strip_prefix("* @param ")).collect();
        let described: BTreeSet<&str> = params
            .iter()
            .flat_map(|param| param.split("  ").next().unwrap_or_default().split(", "))
            .collect();
        assert_eq!(described, names, "{code}");
        checked += 1;
    }
    assert!(checked > 50, "{checked} functions");
}

/// The descriptions of a function's parameters begin in one column.
#[test]
fn the_params_of_the_header_are_aligned() {
    let header = read("include/fulcrum.h");
    for (comment, code) in functions(&header) {
        let params = comment.lines().filter_map(|line| line.trim().strip_prefix("* @param "));
        let columns: BTreeSet<usize> = params.map(column).collect();
        assert!(columns.len() <= 1, "{columns:?}: {code}");
    }
}

/// Where the description behind the names begins.
fn column(param: &str) -> usize {
    let names = param.find("  ").unwrap_or(param.len());
    param.len() - param[names..].trim_start().len()
}

#[test]
fn the_states_of_an_order_are_the_same_everywhere() {
    let states: BTreeSet<String> = OrderState::ALL.iter().map(|state| state.word().to_owned()).collect();
    let header = read("include/fulcrum.h");
    assert_eq!(members(&header, "FULCRUM_ORDER_STATE_"), states, "fulcrum.h");
    let words = read("fulcrum-py/python/fulcrum_market/words.py");
    let (_, after) = words.split_once("class OrderState(Word):").expect("OrderState");
    let class = after.split("\n\n\n").next().expect("it ends");
    let values = class.lines().filter_map(|line| line.split_once(" = \"")?.1.strip_suffix('"'));
    assert_eq!(values.map(str::to_owned).collect::<BTreeSet<_>>(), states, "words.py");
    // No order of this version is in the one state that older ledgers had.
    let present: BTreeSet<&str> = OrderState::ALL
        .iter()
        .filter(|state| **state != OrderState::Compensated)
        .map(|state| state.word())
        .collect();
    let orders = read("docs/orders.md");
    let rows: BTreeSet<&str> = orders
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .map(|(cell, _)| cell)
        .collect();
    assert!(present.is_subset(&rows), "docs/orders.md: {rows:?}");
}

#[test]
fn the_states_of_a_step_are_the_same_in_c() {
    let source = read("fulcrum-core/src/model/step.rs");
    let (_, after) = source.split_once("pub enum StepState {").expect("the type");
    let variants = after.split("\n}").next().unwrap_or_default().lines().filter_map(|line| {
        let name = line.strip_prefix("    ").filter(|name| name.starts_with(char::is_uppercase))?;
        Some(name.split([' ', ',']).next().unwrap_or_default().to_lowercase())
    });
    let states: BTreeSet<String> = variants.collect();
    assert!(states.len() > 8, "{states:?}");
    assert_eq!(members(&read("include/fulcrum.h"), "FULCRUM_STEP_STATE_"), states, "fulcrum.h");
}

#[test]
fn the_states_of_a_service_are_the_same_everywhere() {
    let states: BTreeSet<String> = ServiceStatus::ALL.iter().map(|status| status.word().to_owned()).collect();
    assert_eq!(members(&read("include/fulcrum.h"), "FULCRUM_SERVICE_STATUS_"), states, "fulcrum.h");
    let provider = read("fulcrum-py/python/fulcrum_market/provider.py");
    let (_, after) = provider.split_once("``status`` (").expect("a service's status");
    let listed = words(after.split(')').next().unwrap_or_default());
    assert!(states.iter().all(|state| listed.contains(state.as_str())), "provider.py: {listed:?}");
}

/// Members of an enum of the header, without what all begin with, in small letters.
fn members(header: &str, prefix: &str) -> BTreeSet<String> {
    let lines = header.lines().filter_map(|line| line.trim().strip_prefix(prefix)?.split_once(" = "));
    lines.map(|(name, _)| name.to_lowercase()).collect()
}

#[test]
fn python_knows_each_code_and_each_call() {
    let (header, errors) = (read("include/fulcrum.h"), read("fulcrum-py/python/fulcrum_market/errors.py"));
    let codes: BTreeSet<u32> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define FULCRUM_")?.rsplit_once(' ')?.1.parse().ok())
        .collect();
    assert!(codes.len() > 40, "{codes:?}");
    let (_, table) = errors.split_once("_BY_CODE").expect("a table of codes");
    let table = table.split("\n}").next().unwrap_or_default();
    let by_code: BTreeSet<u32> =
        table.lines().filter_map(|line| line.trim().split_once(':')?.0.parse().ok()).collect();
    for code in codes.iter().filter(|code| (100..200).contains(*code)) {
        assert!(by_code.contains(code), "errors.py has no class for {code}");
    }
    // In Python alone: the interpreter is ending.
    let unknown: Vec<_> = by_code.iter().filter(|code| !codes.contains(code) && **code != 906).collect();
    assert!(unknown.is_empty(), "errors.py has classes for {unknown:?}, which no error has");
    let provider = read("fulcrum-py/python/fulcrum_market/provider.py");
    let (_, class) = provider.split_once("class Provider:").expect("the class");
    let class = class.split("\n\n\n").next().unwrap_or_default();
    let calls: BTreeSet<&str> = class
        .lines()
        .filter_map(|line| line.strip_prefix("    def ")?.split('(').next())
        .filter(|name| !name.starts_with('_'))
        .collect();
    assert!(calls.len() > 10, "{calls:?}");
    let (_, after) = errors.split_once("What the provider was asked for").expect("the list of calls");
    let listed = after.split("call: str").next().unwrap_or_default();
    assert!(calls.is_subset(&words(listed)), "errors.py: {listed}");
}

/// Each public function of the stub has a docstring, and each property too.
#[test]
fn the_stub_describes_each_public_function() {
    let stub = read("fulcrum-py/python/fulcrum_market/_fulcrum.pyi");
    let mut silent = Vec::new();
    for part in stub.split("def ").skip(1) {
        let name = part.split('(').next().unwrap_or_default();
        let body = part.split_once(":\n        \"\"\"").or_else(|| part.split_once(":\n    \"\"\""));
        let ends_silent = part.trim_end().lines().any(|line| line.trim_end().ends_with(": ..."));
        if !name.starts_with('_') && (body.is_none() || ends_silent) {
            silent.push(name);
        }
    }
    assert!(silent.is_empty(), "no docstring: {silent:?}");
}
