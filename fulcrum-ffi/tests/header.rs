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

/// The groups of functions in the header, by what they begin with: a name counts for the first group that has it, whole or as a
/// beginning with `*`.
const GROUPS: [(&str, &[&str]); 15] = [
    (
        "The library",
        &["fulcrum_version", "fulcrum_set_log_callback", "fulcrum_metrics_text", "fulcrum_status_name"],
    ),
    ("fulcrum_text", &["fulcrum_text_*"]),
    ("fulcrum_error", &["fulcrum_error_*"]),
    (
        "fulcrum_federation, its life",
        &[
            "fulcrum_federation_open*",
            "fulcrum_federation_refresh",
            "fulcrum_federation_sources_json",
            "fulcrum_federation_settings_schema_json",
            "fulcrum_federation_run_conformance_json",
            "fulcrum_federation_interrupt",
            "fulcrum_federation_free",
            "fulcrum_reply_set",
        ],
    ),
    (
        "fulcrum_federation, offers and plans",
        &[
            "fulcrum_federation_offers",
            "fulcrum_federation_quarantined_json",
            "fulcrum_federation_compose",
            "fulcrum_federation_explain_json",
            "fulcrum_federation_why_not_json",
            "fulcrum_federation_pareto_json",
        ],
    ),
    (
        "fulcrum_federation, purchases and orders",
        &[
            "fulcrum_federation_dry_run_json",
            "fulcrum_federation_purchase",
            "fulcrum_federation_purchase_async",
            "fulcrum_federation_accept",
            "fulcrum_federation_accept_as",
            "fulcrum_federation_drive",
            "fulcrum_federation_order",
            "fulcrum_federation_orders",
            "fulcrum_federation_resume",
            "fulcrum_federation_serve",
            "fulcrum_federation_cancel",
            "fulcrum_federation_operate",
            "fulcrum_federation_access",
            "fulcrum_federation_reconcile_json",
        ],
    ),
    (
        "fulcrum_federation, what has happened",
        &[
            "fulcrum_federation_follow",
            "fulcrum_federation_events_json",
            "fulcrum_federation_timeline_*",
            "fulcrum_federation_deliver",
            "fulcrum_federation_export_json",
            "fulcrum_archive_verify",
            "fulcrum_federation_purge",
        ],
    ),
    (
        "fulcrum_federation, calls in the background",
        &[
            "fulcrum_federation_refresh_start",
            "fulcrum_federation_compose_start",
            "fulcrum_federation_explain_start",
            "fulcrum_federation_drive_start",
            "fulcrum_federation_resume_start",
            "fulcrum_federation_cancel_start",
            "fulcrum_federation_operate_start",
            "fulcrum_federation_reconcile_start",
        ],
    ),
    ("fulcrum_task", &["fulcrum_task_*"]),
    ("fulcrum_offers", &["fulcrum_offers_*"]),
    ("fulcrum_plan", &["fulcrum_plan_*"]),
    ("fulcrum_order", &["fulcrum_order_*"]),
    ("fulcrum_orders", &["fulcrum_orders_*"]),
    ("fulcrum_events", &["fulcrum_events_*"]),
    ("fulcrum_access", &["fulcrum_access_*"]),
];

/// The function that a block of comment and declaration declares.
fn declared(block: &str) -> Option<&str> {
    let (_, code) = block.split_once("*/\n")?;
    let head = code.split_once('(')?.0;
    let name = head.rsplit([' ', '*', '\n']).next()?;
    name.starts_with("fulcrum_").then_some(name)
}

/// Puts the functions into their groups, under headings, and writes the index of the manual.
fn grouped(header: &str) -> String {
    let (before, rest) = header.split_once("extern \"C\" {\n#endif // __cplusplus\n").expect("functions");
    let (functions, after) = rest.split_once("\n#ifdef __cplusplus\n}").expect("their end");
    let blocks: Vec<&str> = functions.split("\n/**\n").filter(|block| !block.trim().is_empty()).collect();
    let is_of =
        |name: &str, of: &str| of.strip_suffix('*').map_or(name == of, |begin| name.starts_with(begin));
    let place = |name: &str| {
        GROUPS
            .iter()
            .enumerate()
            .find_map(|(group, (_, names))| Some((group, names.iter().position(|of| is_of(name, of))?)))
    };
    let mut placed: Vec<_> = blocks
        .iter()
        .map(|block| {
            let name = declared(block).unwrap_or_else(|| panic!("no function: {block}"));
            (place(name).unwrap_or_else(|| panic!("give {name} a group")), name, block)
        })
        .collect();
    // Within a group by its list, and then as in the source.
    placed.sort_by_key(|(place, ..)| *place);
    let (mut functions, mut index) = (String::new(), Vec::new());
    for (group, (title, _)) in GROUPS.iter().enumerate() {
        let rule = "-".repeat(126_usize.saturating_sub(title.len()));
        write!(functions, "\n/* {title} {rule} */\n").expect("memory");
        let own = placed.iter().filter(|((of, _), ..)| *of == group);
        let mut names = Vec::new();
        for (_, name, block) in own {
            write!(functions, "\n/**\n{}\n", block.trim_end()).expect("memory");
            let short = name.strip_prefix(title.split(',').next().unwrap_or_default()).unwrap_or(name);
            names.push(short);
        }
        assert!(!names.is_empty(), "{title} has no function");
        index.extend(index_lines(title, &names));
    }
    let before = before.replace("@INDEX@", &index.join("\n"));
    format!("{before}extern \"C\" {{\n#endif // __cplusplus\n{functions}\n#ifdef __cplusplus\n}}{after}")
}

/// `title: name name`, in lines of the manual.
fn index_lines(title: &str, names: &[&str]) -> Vec<String> {
    let mut lines = vec![format!(" * {title}:")];
    for name in names {
        let last = lines.last_mut().expect("there is one");
        if last.len() + name.len() > 126 {
            lines.push(format!(" *     {name}"));
        } else {
            last.push(' ');
            last.push_str(name);
        }
    }
    lines
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
    let generated = grouped(&for_readers_of_c(&String::from_utf8(generated).expect("text")));
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
        let says = [
            "borrowed",
            "given up by the caller",
            "lent to the callback",
            "that the caller owns",
            "Static, never freed",
            "Static; never freed",
        ];
        assert!(says.iter().any(|word| comment.contains(word)), "who owns what?\n{block}");
    }
    assert!(functions > 30, "{functions}");
}
