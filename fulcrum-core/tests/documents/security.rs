//! What SECURITY.md promises is true where it can be looked up: each promise has a test that would fail without it.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A promise, and the test that it has: file and name.
const PROVEN: [(&str, &str, &str); 21] = [
    ("a link was put there", "provider/trust.rs", "files_that_are_read_again_are_confined_again"),
    (
        "What a catalogue calls a provider is never a path",
        "provider/trust.rs",
        "a_sandbox_writes_below_its_folder_whatever_a_catalogue_says",
    ),
    (
        "Learn whether a variable of the environment is set",
        "provider/trust.rs",
        "a_confined_document_learns_nothing_of_variables",
    ),
    ("so is what is built from it", "documents/price_tables.rs", "what_rows_come_to_is_limited"),
    (
        "is a pipe or a device is an error at once",
        "provider/trust.rs",
        "a_pipe_in_the_place_of_a_file_keeps_nobody_waiting",
    ),
    ("A name shows all that it is", "../src/model/ids.rs", "a_name_shows_all_that_it_is"),
    (
        "no `..`, no path elsewhere, no link that leads out",
        "provider/trust.rs",
        "files_are_read_and_written_below_the_documents_folder_alone",
    ),
    (
        "Send a secret to a host that only the document names",
        "provider/trust.rs",
        "a_secret_is_sent_to_no_host_that_only_the_document_names",
    ),
    (
        "write a recording into a file that is none",
        "provider/trust.rs",
        "a_recording_is_not_written_into_another_file",
    ),
    (
        "A rotated one is read again when it is refused",
        "provider/rotation.rs",
        "a_rotated_token_is_read_again_and_the_order_goes_through",
    ),
    (
        "goes through no proxy of the environment",
        "provider/proxy.rs",
        "this_machine_is_reached_without_the_environments_proxy",
    ),
    (
        "A redirect is followed for reading only",
        "provider/http.rs",
        "reading_follows_on_the_same_host_and_ordering_does_not",
    ),
    ("never to another host", "provider/http.rs", "credentials_do_not_follow_to_another_host"),
    (
        "of all others type and\n  length",
        "adapter/recording.rs",
        "no_field_that_is_not_known_is_in_a_recording",
    ),
    ("It has mode 0600", "adapter/recording.rs", "a_recording_is_its_owners_alone"),
    (
        "An error repeats no more of a request",
        "adapter/recording.rs",
        "a_refusal_that_repeats_the_request_shows_nothing_of_it",
    ),
    (
        "not serialised, and no part of an error",
        "provider/http.rs",
        "a_server_that_repeats_the_request_does_not_make_us_show_a_secret",
    ),
    ("limited in size", "provider/http.rs", "an_answer_without_end_is_cut_off"),
    ("Nowhere else are they written", "adapter/secrets.rs", "no_canary_of_a_whole_order_shows_anywhere"),
    ("It causes no panic", "documents/fuzz_smoke.rs", "fn "),
    (
        "ends, changes and releases nothing that its own order did not create",
        "adapter/foreign_attachments.rs",
        "fn ",
    ),
];

/// What it said once, and was not so.
const UNTRUE: [&str; 2] =
    ["No part of this version takes credentials", "Documents (blueprints, catalogues, currency tables) and"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text() -> String {
    fs::read_to_string(root().join("SECURITY.md")).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

#[test]
fn each_promise_has_its_test() {
    let text = text();
    for (promise, file, test) in PROVEN {
        assert!(
            text.contains(promise),
            "SECURITY.md does not promise {promise:?} any more; take it out of PROVEN"
        );
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let source = fs::read_to_string(&path).unwrap();
        assert!(source.contains(test), "{promise:?} has lost its test {test} in {file}");
    }
    for untrue in UNTRUE {
        assert!(!text.contains(untrue), "{untrue:?} is not so");
    }
}

#[test]
fn what_it_says_of_unsafe_code_is_so() {
    let mut core = Vec::new();
    sources(&root().join("fulcrum-core/src"), &mut core);
    assert!(
        fs::read_to_string(root().join("fulcrum-core/src/lib.rs"))
            .unwrap()
            .contains("#![forbid(unsafe_code)]")
    );
    for (path, source) in &core {
        let is_allowed = source.lines().any(|line| line.contains("allow(unsafe_code"));
        assert!(!is_allowed, "{}", path.display());
    }
    assert!(text().contains("`#![forbid(unsafe_code)]`"));
    // Each block at the C boundary says why it is sound; clippy looks at that, and is told to.
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("undocumented_unsafe_blocks = \"warn\""));
}

/// Types, functions, variables and files that it names are there.
#[test]
fn what_it_names_is_there() {
    let mut all = Vec::new();
    sources(&root().join("fulcrum-core/src"), &mut all);
    let code: String = all.into_iter().map(|(_, source)| source).collect();
    let text = text();
    let mut looked = 0;
    for name in text.split('`').skip(1).step_by(2) {
        let is_path = name.ends_with(".toml");
        if is_path {
            assert!(root().join(name).is_file(), "{name}");
        } else if let Some((owner, function)) = name.split_once("::") {
            let function = function.split('(').next().unwrap();
            assert!(code.contains(&format!("impl {owner}")), "{owner}");
            let is_there =
                ["pub fn ", "pub async fn "].iter().any(|head| code.contains(&format!("{head}{function}(")));
            assert!(is_there, "{name}");
        } else if name.len() > 6 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
            assert!(code.contains(&format!("\"{name}\"")), "{name}");
        } else {
            continue;
        }
        looked += 1;
    }
    assert!(looked > 7, "{looked}");
}

/// Each kind of input is in the table, as trusted or hostile.
#[test]
fn each_input_is_trusted_or_hostile() {
    let text = text();
    let rows: Vec<_> =
        text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 4).collect();
    for input in [
        "blueprints, plans, policies",
        "what providers answer",
        "given as text",
        "opened by its file name",
        "archives",
    ] {
        assert!(rows.iter().any(|row| row.contains(input)), "{input}");
    }
    for row in rows.iter().skip(1) {
        let is = row.split('|').nth(2).unwrap().trim();
        assert!(is.starts_with("trusted") || is == "hostile", "{row}");
    }
}

/// Every credential that an adapter takes from the environment by default has the host that it is for.
#[test]
fn every_usual_variable_has_its_hosts_or_needs_a_host_anyway() {
    let mut all = Vec::new();
    sources(&root().join("fulcrum-core/src/provider"), &mut all);
    let base = fs::read_to_string(root().join("fulcrum-core/src/provider/document_access.rs")).unwrap();
    // What these adapters talk to has no public address.
    let private = ["OSB_PASSWORD", "PVE_TOKEN_SECRET", "OS_PASSWORD", "OS_APPLICATION_CREDENTIAL_SECRET"];
    let mut seen = 0;
    for (path, source) in all.iter().filter(|(path, _)| path.ends_with("config.rs")) {
        for part in source.split("Credential::env(\"").skip(1) {
            let name = part.split('"').next().unwrap();
            seen += 1;
            let is_known = base.contains(&format!("\"env:{name}\"")) || private.contains(&name);
            assert!(
                is_known,
                "{}: say in `DEFAULT_CREDENTIALS` to which hosts {name} may be sent",
                path.display()
            );
        }
    }
    assert!(seen >= 10, "{seen}");
}
