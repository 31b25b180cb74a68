//! What is generated and committed is what the code says: the statuses, and the header.
#![expect(clippy::expect_used, reason = "a test stops at what it cannot read")]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Where the core numbers its errors, and what their statuses begin with.
const ERRORS: [(&str, &str); 5] = [
    ("provider/error.rs", "PROVIDER_"),
    ("purchase/error.rs", "PURCHASE_"),
    ("compose/error.rs", "COMPOSE_"),
    ("federation/error.rs", ""),
    ("ledger/contract.rs", "LEDGER_"),
];

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file").replace("\r\n", "\n")
}

/// Name, number and description of each error that the core gives a number to.
fn numbered() -> Vec<(String, u32, String)> {
    let mut found = Vec::new();
    for (file, prefix) in ERRORS {
        let source = read(&folder().join("../fulcrum-core/src").join(file));
        let (_, body) = source.split_once("pub fn code(&self) -> i32 {").expect("it numbers its errors");
        let (body, _) = body.split_once("\n    }\n").expect("the function ends");
        for line in body.lines() {
            let Some((pattern, number)) = line.split_once("=>") else { continue };
            let Ok(number) = number.trim().trim_end_matches(',').parse() else { continue };
            assert!(!pattern.contains('|'), "{file}: write one error a line: {line}");
            let variant: String = pattern.trim().trim_start_matches("Self::").chars().collect();
            let variant: String = variant.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            found.push((format!("FULCRUM_{prefix}{}", shout(&variant)), number, describe(&source, &variant)));
        }
    }
    found
}

fn shout(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// The comment over a variant.
fn describe(source: &str, variant: &str) -> String {
    let lines: Vec<_> = source.lines().collect();
    let is_variant = |line: &&str| {
        let rest = line.strip_prefix("    ").and_then(|line| line.strip_prefix(variant));
        rest.is_some_and(|rest| rest.starts_with([' ', '(', ',']))
    };
    let at = lines.iter().position(is_variant).expect("the variant");
    let above = lines[..at].iter().rev().skip_while(|line| !line.starts_with("    ///"));
    let mut comment: Vec<_> = above.map_while(|line| line.strip_prefix("    /// ")).collect();
    comment.reverse();
    comment.join(" ")
}

fn statuses() -> String {
    let mut text =
        "//! Statuses of the core's errors. Generated from their `code()` by `make header`; do not edit.\n\n\
        use std::ffi::CStr;\n\nuse crate::error::fulcrum_status;\n"
            .to_owned();
    let mut arms = String::new();
    for (name, number, description) in numbered() {
        write!(text, "\n/// {description}\npub const {name}: fulcrum_status = {number};").expect("memory");
        writeln!(arms, "        {name} => Some(c\"{name}\"),").expect("memory");
    }
    write!(
        text,
        "\n\n/// The name of a status of the core's.\npub(crate) fn name(status: fulcrum_status) -> \
         Option<&'static CStr> {{\n    match status {{\n{arms}        _ => None,\n    }}\n}}\n"
    )
    .expect("memory");
    text
}

/// The file is the generated one, or becomes it when that is asked for.
fn agree(path: &PathBuf, generated: &str) {
    if std::env::var_os("FULCRUM_BLESS").is_some() && read(path) != generated {
        std::fs::write(path, generated).expect("written");
    }
    assert!(
        read(path) == generated,
        "{} differs from the code; run `make header` and commit it",
        path.display()
    );
}

/// `# Safety` is a heading of Rust's; Doxygen and its readers call it a precondition.
fn for_readers_of_c(header: &str) -> String {
    header.replace("\n * # Safety\n * ", "\n * @pre ")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    // The header has the statuses in it, so that they come first.
    agree(&folder().join("src/status.rs"), &statuses());
    let config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).expect("a configuration");
    let bindings = cbindgen::generate_with_config(folder(), config).expect("bindings");
    let mut generated = Vec::new();
    bindings.write(&mut generated);
    let generated = for_readers_of_c(&String::from_utf8(generated).expect("text"));
    agree(&folder().join("../include/fulcrum.h"), &generated);
}

#[test]
fn no_number_is_used_twice() {
    let mut numbers: Vec<_> = numbered().into_iter().map(|(_, number, _)| number).collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.len() == all && all >= 30, "{numbers:?}");
}

#[test]
fn every_function_says_who_owns_what() {
    let header = read(&folder().join("../include/fulcrum.h"));
    let mut functions = 0;
    for block in header.split("/**").skip(1) {
        let (comment, code) = block.split_once("*/").expect("the comment ends");
        let declaration = code.trim_start();
        let is_function =
            declaration.split(';').next().is_some_and(|code| code.contains("fulcrum_") && code.contains('('));
        if !is_function || declaration.starts_with("typedef") || declaration.starts_with('#') {
            continue;
        }
        functions += 1;
        let says = ["borrowed", "given up by the caller", "Static, never freed", "Static; never freed"];
        assert!(says.iter().any(|word| comment.contains(word)), "who owns what?\n{block}");
    }
    assert!(functions > 30, "{functions}");
}
