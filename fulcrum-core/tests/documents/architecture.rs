//! Reads the sources and fails on an arrow that points up, or on what a part must not know.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The parts, from the top down: each may import what stands after it.
const ORDER: [&str; 7] = ["federation", "purchase", "ledger", "compose", "catalogue", "provider", "model"];

/// A place that may import less than its part: itself and the paths given.
const STRICTER: [(&str, &[&str]); 3] = [
    ("compose", &["catalogue", "model"]),
    ("compose::verify", &["catalogue", "model"]),
    ("ledger", &["compose", "catalogue", "model"]),
];

/// Words that must not appear in a place, outside comments and tests.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "compose",
        &[
            "tokio",
            "sqlx",
            "reqwest",
            "async fn",
            "std::time",
            "Instant",
            "SystemTime",
            "Timestamp::now",
            "Zoned::now",
            "std::fs",
            "std::net",
            "thread_rng",
            "rand::rng",
            "RandomState",
            "HashMap",
            "HashSet",
        ],
    ),
    (
        "purchase::machine",
        &["tokio", "sqlx", "async fn", "Instant::now", "SystemTime", "Timestamp::now", "std::fs"],
    ),
    ("model", &["tokio", "sqlx", "reqwest", "Instant::now", "SystemTime::now", "std::fs", "std::net"]),
    // A dry run does not follow a task that an adapter spawns: its requests would be sent.
    ("provider::adapters", &["spawn", "spawn_local", "spawn_blocking", "JoinSet"]),
];

/// The only files of `compose` that may contain floats: they advise, and decide nothing.
const ADVISERS: [&str; 13] = [
    "compose::lp::simplex",
    "compose::bnb::pseudo_costs",
    "compose::colgen::separation",
    "compose::colgen::neighbourhood",
    "compose::colgen::branch_and_price",
    "compose::colgen::branch_costs",
    "compose::colgen::branch_rows",
    "compose::colgen::compact_lp",
    "compose::colgen::dive",
    "compose::lp::sparse",
    "compose::lp::sparse::dual",
    "compose::lp::sparse::inverse",
    "compose::lp::sparse::primal",
];

/// What panics on an amount out of range and is no operator, which clippy finds: a sum names its integer type, so that it is
/// none of decimals.
const PANICKING: [&str; 5] = [
    ".sum()",
    ".product()",
    ".sum::<Decimal>",
    ".sum::<rust_decimal::Decimal>",
    "Decimal::from_i128_with_scale(",
];

/// Whose amounts are all checked before.
const RECKONED: [&str; 2] = ["purchase::fail_over", "purchase::prices"];

/// The code without comments and without its test module, which stands last by convention.
fn code_of(source: &str) -> String {
    let tests = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    source[..tests]
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .fold(String::new(), |text, line| text + line + "\n")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word stands on its own.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

fn contains_word(code: &str, word: &str) -> bool {
    words(code, word).next().is_some()
}

/// Splits `a, b::{c, d}` at the commas outside braces.
fn split_outside_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Writes every path of a tree such as `a::{b, c::d}` out in full.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
        let prefix = format!("{prefix}{}", head.trim());
        split_outside_braces(inner).into_iter().for_each(|part| expand(&prefix, part, paths));
    } else if !tree.is_empty() {
        paths.push(format!("{prefix}{}", tree.split(" as ").next().unwrap_or(tree)));
    }
}

/// All paths into the crate that a module's code names, as `part::…`: in `use` lines and in place.
fn imports(module: &str, code: &str) -> BTreeSet<String> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let tree = code[at + 3..].split(';').next().unwrap_or_default();
        expand("", tree, &mut paths);
    }
    for root in ["crate", "super"] {
        for at in words(code, root).filter(|&at| !code[..at].ends_with("::")) {
            let path = code[at..].split(|c| !is_word(c) && c != ':').next().unwrap_or_default();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths.iter().filter_map(|path| resolve(module, path)).collect()
}

/// `super::a` inside `x::y` is `x::a`; `crate::a` is `a`; what starts otherwise is another crate's.
fn resolve(module: &str, path: &str) -> Option<String> {
    let mut segments: Vec<_> = path.split("::").map(str::trim).filter(|name| *name != "self").collect();
    let mut base: Vec<_> = module.split("::").collect();
    match *segments.first()? {
        "crate" => {
            segments.remove(0);
            base.clear();
        }
        "super" => {
            while segments.first() == Some(&"super") {
                segments.remove(0);
                base.pop();
            }
        }
        _ => return None,
    }
    base.extend(segments);
    (!base.is_empty()).then(|| base.join("::"))
}

fn is_inside(path: &str, place: &str) -> bool {
    path == place || path.strip_prefix(place).is_some_and(|rest| rest.starts_with("::"))
}

/// Everything that a module does wrong, one line each.
fn violations(module: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut found = Vec::new();
    let rank = |path: &str| ORDER.iter().position(|part| is_inside(path, part));
    for path in imports(module, &code) {
        let (Some(from), Some(to)) = (rank(module), rank(&path)) else { continue };
        if to < from {
            found.push(format!("{module} imports {path}: that arrow points up"));
        }
        for (place, allowed) in STRICTER {
            // `super::{a, b}` names the parent too, by its head: only what is in it counts.
            let may = is_inside(&path, place)
                || is_inside(place, &path)
                || allowed.iter().any(|allowed| is_inside(&path, allowed));
            if is_inside(module, place) && !may {
                found
                    .push(format!("{module} imports {path}: {place} may import only {}", allowed.join(", ")));
            }
        }
        if let (Some(mine), Some(other)) = (adapter(module), adapter(&path))
            && mine != other
        {
            found.push(format!("{module} imports {path}: adapters do not know each other"));
        }
    }
    for (place, forbidden) in FORBIDDEN {
        for word in forbidden.iter().filter(|word| is_inside(module, place) && contains_word(&code, word)) {
            found.push(format!("{module} contains `{word}`: not in {place}"));
        }
    }
    if is_inside(module, "compose") && !ADVISERS.contains(&module) {
        for word in ["f64", "f32"].iter().filter(|word| contains_word(&code, word)) {
            found.push(format!("{module} contains `{word}`: floats only advise, in {ADVISERS:?}"));
        }
    }
    if contains_word(&code, "Decimal") && !RECKONED.contains(&module) {
        for call in PANICKING.iter().filter(|call| code.contains(**call)) {
            found.push(format!(
                "{module} calls `{call}`, which may panic; use `checked_sum`, or name an integer type"
            ));
        }
    }
    found
}

/// What adapters share beside the HTTP layer.
const SHARED: [&str; 5] = ["common", "dry_run", "kit", "operation_owner", "purchase_outcome"];

/// The adapter that a path belongs to.
fn adapter(path: &str) -> Option<&str> {
    path.strip_prefix("provider::adapters::")?.split("::").next().filter(|name| !SHARED.contains(name))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn module_of(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let names: Vec<_> =
        path.iter().map(|name| name.to_str().unwrap()).filter(|name| *name != "mod").collect();
    names.join("::")
}

#[test]
fn no_arrow_points_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let modules: Vec<_> = files
        .iter()
        .map(|file| (module_of(&root, file), fs::read_to_string(file).unwrap()))
        .filter(|(module, _)| !module.ends_with("::tests"))
        .collect();
    for part in ORDER {
        assert!(modules.iter().any(|(module, _)| module == part), "the part {part} is gone; mend ORDER");
    }
    for adviser in ADVISERS {
        assert!(modules.iter().any(|(module, _)| module == adviser), "{adviser} is gone; mend ADVISERS");
    }
    let arrows: usize = modules.iter().map(|(module, source)| imports(module, &code_of(source)).len()).sum();
    assert!(arrows > 100, "only {arrows} imports were understood; the reader of `use` lines is broken");
    let found: Vec<_> = modules.iter().flat_map(|(module, source)| violations(module, source)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    for (module, source) in [
        ("model::offer", "use crate::catalogue::Catalogue;"),
        ("catalogue::query", "use crate::{\n    compose::{self, Plan},\n    model::Offer,\n};"),
        ("provider::contract", "use super::super::ledger::Ledger;"),
        ("provider::layers::retry", "fn f() -> crate::purchase::Event {}"),
        ("compose::plan", "use crate::provider::Provider;"),
        ("compose::verify", "use super::formulation::problem::Problem;"),
        ("compose::verify", "use crate::compose::mip::model::Mip;"),
        ("ledger::sqlite", "use crate::{model::Order, provider::Provider};"),
        ("provider::adapters::one", "use super::two::Client;"),
        ("provider::adapters::one", "fn f() { tokio::spawn(async {}); }"),
        ("provider::adapters::one::wire", "use crate::provider::adapters::{one::Config, two};"),
        ("compose::solve", "let start = std::time::Instant::now();"),
        ("compose::bnb::branch_and_bound", "use tokio::sync::mpsc;"),
        ("compose::presolve", "let mut rng = rand::rng();"),
        ("compose::mip::model", "let ratio = 1 as f64;"),
        ("purchase::machine", "let now = jiff::Timestamp::now();"),
        (
            "model::plan",
            "use rust_decimal::Decimal;\nfn f() -> Decimal { lines.map(|line| line.once).sum() }",
        ),
        ("model::plan", "fn f() { let all = lines.sum::<Decimal>(); }"),
    ] {
        assert!(!violations(module, source).is_empty(), "not found in {module}: {source}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    for (module, source) in [
        ("federation", "use crate::{purchase::Engine, ledger::Ledger, provider::Provider};"),
        (
            "purchase::drive",
            "use super::machine; use crate::{ledger::Ledger, provider::{self, Provider as P}};",
        ),
        ("compose::verify", "use crate::{catalogue::Catalogue, model::Plan};\n// not tokio, not f64"),
        ("compose::lp::simplex", "let x: f64 = 0.0;"),
        ("model::offer", "use super::price;\n#[cfg(test)]\nmod tests { use crate::compose::compose; }"),
        ("provider::adapters::one::wire", "use super::Config; use crate::model::Offer;"),
        ("compose::formulation::problem", "let operand = Instantiated;"),
        ("model::plan", "use rust_decimal::Decimal;\nlet all = counts.sum::<u32>();"),
        ("model::plan", "let all = counts.sum();"),
    ] {
        assert_eq!(violations(module, source), Vec::<String>::new());
    }
}

/// Providers that pass calls on to another one, and are not kept from forgetting one by the lint.
fn careless_wrappers(source: &str) -> Vec<&str> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if !line.trim_start().starts_with("impl") || !line.contains("Provider for ") {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        let body: Vec<&str> = lines[at..].iter().copied().take_while(|line| *line != end).collect();
        let passes_on = body.iter().any(|line| line.contains(".capabilities()"));
        let is_kept =
            lines[at.saturating_sub(3)..at].iter().any(|line| line.contains("missing_trait_methods"));
        if passes_on && !is_kept {
            found.push(*line);
        }
    }
    found
}

#[test]
fn no_wrapper_of_a_provider_forgets_a_call() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["fulcrum-core", "fulcrum-ffi", "fulcrum-py/src", "benches", "examples/rust"] {
        sources(&root.join(folder), &mut files);
    }
    let mut wrappers = 0;
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        wrappers += source.matches("#[deny(clippy::missing_trait_methods)]").count();
        let found = careless_wrappers(&source);
        let file = file.display();
        assert!(found.is_empty(), "{file}: {found:?} needs #[deny(clippy::missing_trait_methods)]");
    }
    assert!(wrappers > 5, "only {wrappers} were understood");
    let planted = "impl Provider for Odd {\n    fn capabilities(&self) -> &Capabilities {\n        \
                   self.inner.capabilities()\n    }\n}\n";
    assert_eq!(careless_wrappers(planted).len(), 1);
}

/// Files of one part that use each other in a circle, so that none of them can be read alone. The list only shrinks.
const KNOWN_CIRCLES: [(&str, &[&str]); 4] = [
    ("catalogue", &["catalogue::snapshot", "catalogue::source"]),
    ("federation", &["federation::builder", "federation::market"]),
    (
        "model",
        &[
            "model::blueprint",
            "model::lease",
            "model::lenient",
            "model::order",
            "model::order_event",
            "model::own_service",
            "model::plan",
            "model::policy",
            "model::recorded",
            "model::running",
            "model::seller",
            "model::sovereignty",
            "model::step",
        ],
    ),
    (
        "provider",
        &[
            "provider::adapters::ec2::client",
            "provider::adapters::ec2::config",
            "provider::adapters::ec2::offers",
            "provider::adapters::ec2::provision",
            "provider::adapters::ec2::services",
            "provider::adapters::ec2::volumes",
            "provider::adapters::openstack::client",
            "provider::adapters::openstack::compute",
            "provider::adapters::openstack::config",
            "provider::adapters::openstack::offers",
            "provider::adapters::openstack::provision",
            "provider::adapters::openstack::scope",
            "provider::adapters::openstack::services",
            "provider::adapters::openstack::session",
            "provider::adapters::openstack::wire",
            "provider::adapters::proxmox::provision",
            "provider::adapters::proxmox::services",
            "provider::adapters::scaleway::lifecycle",
            "provider::adapters::scaleway::volumes",
            "provider::adapters::upcloud::services",
            "provider::adapters::upcloud::volumes",
            "provider::adapters::upcloud::wire",
            "provider::http::absence",
            "provider::http::error_mapper",
            "provider::http::lenient",
            "provider::http::redact",
            "provider::http::response",
            "provider::http::response_error",
            "provider::http::sanitiser",
        ],
    ),
];

/// The files of the project's parts: the code of each module.
type Sources = BTreeMap<String, String>;

/// The names of the `use` trees in a file, as paths from where it stands: what it imports, or what it re-exports.
fn use_paths(code: &str, is_reexport: bool) -> Vec<String> {
    let mut paths = Vec::new();
    for at in words(code, "use") {
        let before = code[..at].rsplit(['\n', ';', '}']).next().unwrap_or_default();
        if before.trim_start().starts_with("pub") == is_reexport {
            expand("", code[at + 3..].split(';').next().unwrap_or_default(), &mut paths);
        }
    }
    paths
}

/// `super::a` and, in a folder's module, `child::a` as paths from the crate's root.
fn absolute(module: &str, path: &str, sources: &Sources) -> Option<String> {
    let path = path.trim_start_matches("self::");
    let first = path.split("::").next().unwrap_or_default().trim();
    let child = format!("{module}::{first}");
    if sources.contains_key(&child) { Some(format!("{module}::{path}")) } else { resolve(module, path) }
}

/// The file that a path leads to: through the re-exports of folders, which only pass names on.
fn file_of(path: &str, sources: &Sources) -> Option<String> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let mut module = path.clone();
        while !sources.contains_key(&module) {
            module = module.rsplit_once("::")?.0.to_owned();
        }
        let item = path[module.len()..].trim_start_matches("::").split("::").next().unwrap_or_default();
        let passed_on = use_paths(&sources[&module], true)
            .iter()
            .filter_map(|reexport| absolute(&module, reexport, sources))
            .find(|reexport| !item.is_empty() && reexport.rsplit("::").next() == Some(item));
        match passed_on {
            Some(further) if further != path => path = further,
            _ => return Some(module),
        }
    }
    None
}

/// The files of its own part that a file uses. A folder's own module and the files below it are one piece: they may
/// name each other.
fn uses(module: &str, sources: &Sources) -> BTreeSet<String> {
    let code = &sources[module];
    let mut paths = use_paths(code, false);
    for root in ["crate", "super"] {
        for at in words(code, root).filter(|&at| !code[..at].ends_with("::")) {
            let line = code[..at].rsplit([';', '}']).next().unwrap_or_default();
            if !contains_word(line, "use") {
                let path = code[at..].split(|c| !is_word(c) && c != ':').next().unwrap_or_default();
                paths.push(path.trim_end_matches(':').to_owned());
            }
        }
    }
    let part = module.split("::").next().unwrap_or_default();
    paths
        .iter()
        .filter_map(|path| file_of(&absolute(module, path, sources)?, sources))
        .filter(|used| is_inside(used, part) && !is_inside(used, module) && !is_inside(module, used))
        .collect()
}

/// Files that reach each other, each circle sorted.
fn circles(sources: &Sources) -> BTreeSet<Vec<String>> {
    let arrows: BTreeMap<&String, BTreeSet<String>> =
        sources.keys().map(|module| (module, uses(module, sources))).collect();
    let reach = |from: &String| {
        let (mut found, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(next) = open.pop() {
            for to in &arrows[next] {
                if found.insert(to) {
                    open.push(to);
                }
            }
        }
        found
    };
    let reached: BTreeMap<&String, BTreeSet<&String>> = sources.keys().map(|it| (it, reach(it))).collect();
    reached
        .iter()
        .filter(|(module, to)| to.contains(*module))
        .map(|(module, to)| {
            to.iter().filter(|it| reached[**it].contains(*module)).map(|it| (*it).clone()).collect()
        })
        .collect()
}

fn sources_of(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(module, source)| ((*module).to_owned(), code_of(source))).collect()
}

#[test]
fn files_of_a_part_do_not_use_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let all: Sources = files
        .iter()
        .map(|file| (module_of(&root, file), code_of(&fs::read_to_string(file).unwrap())))
        .filter(|(module, _)| !module.ends_with("tests"))
        .collect();
    let arrows: usize = all.keys().map(|module| uses(module, &all).len()).sum();
    assert!(arrows > 300, "only {arrows} uses were understood");
    let (circles, mut found) = (circles(&all), BTreeSet::new());
    for circle in &circles {
        let part = circle[0].split("::").next().unwrap().to_owned();
        found.extend(circle.iter().map(|module| (part.clone(), module.clone())));
    }
    let known: BTreeSet<(String, String)> = KNOWN_CIRCLES
        .iter()
        .flat_map(|(part, modules)| modules.iter().map(|module| ((*part).to_owned(), (*module).to_owned())))
        .collect();
    let new: Vec<_> = found.difference(&known).map(|(_, module)| module).collect();
    assert!(new.is_empty(), "in a circle of `use`: {new:?}\n{circles:#?}");
    let gone: Vec<_> = known.difference(&found).map(|(_, module)| module).collect();
    assert!(gone.is_empty(), "not in a circle any more, or renamed; mend KNOWN_CIRCLES: {gone:?}");
}

#[test]
fn a_planted_circle_is_found() {
    let found = |files: &[(&str, &str)]| circles(&sources_of(files)).into_iter().collect::<Vec<_>>();
    let direct =
        [("a", ""), ("a::x", "use super::y::Y;"), ("a::y", "use crate::a::{x::X, z};"), ("a::z", "")];
    assert_eq!(found(&direct), [["a::x", "a::y"]]);
    let through_a_folder = [
        ("a", "mod x; mod y;\npub(crate) use y::Y;"),
        ("a::x", "use super::Y;"),
        ("a::y", "fn f(x: super::x::X) {}"),
    ];
    assert_eq!(found(&through_a_folder), [["a::x", "a::y"]]);
    let of_folders =
        [("a::x", ""), ("a::x::in", "use crate::a::y::Y;"), ("a::y", "fn f(x: super::x::in::X) {}")];
    assert_eq!(found(&of_folders), [["a::x::in", "a::y"]]);
}

#[test]
fn a_folder_and_its_files_are_no_circle() {
    let files = [
        ("a", "mod x;\nmod y;\npub use x::X;\npub(crate) use self::y::Y; fn f() { x::g() } struct S;"),
        ("a::x", "use super::{S, Y}; // and not use super::z::Z"),
        ("a::y", "use crate::b::B;\n#[cfg(test)]\nmod tests { use super::super::x::X; }"),
        ("b", "use crate::a::X; pub struct B;"),
    ];
    assert_eq!(circles(&sources_of(&files)), BTreeSet::new());
}
