//! An adapter is registered in each place that `docs/adapters/README.md` names, and has the files and headings of the others.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Files that each adapter has.
const FILES: [&str; 9] = [
    "config.rs",
    "errors.rs",
    "handle.rs",
    "lifecycle.rs",
    "mod.rs",
    "offers.rs",
    "provision.rs",
    "services.rs",
    "wire.rs",
];

/// Lines of the longest `mod.rs`: longer ones do what another file is for.
const MAX_MOD_LINES: usize = 300;

/// Headings that each page has, in this order.
const HEADINGS: [&str; 9] = [
    "Configuration",
    "Offers and prices",
    "Settings of a component",
    "Idempotency",
    "Actions",
    "Release",
    "Attributes and usage",
    "Known limits",
    "Tested against",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a project").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The adapters by the table that registers them, each with the type of its configuration.
fn registered() -> Vec<(String, String)> {
    let text = read("fulcrum-core/src/provider/adapters/mod.rs");
    let line = |line: &str| {
        let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" => ")?;
        let (_, config) = rest.strip_suffix(");")?.split_once('(')?;
        Some((name.to_owned(), config.to_owned()))
    };
    let all: Vec<_> = text.lines().filter_map(line).collect();
    assert!(all.len() >= 8, "the table has {} adapters", all.len());
    all
}

fn files_of(name: &str) -> BTreeSet<String> {
    let folder = root().join("fulcrum-core/src/provider/adapters").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

#[test]
fn each_adapter_is_registered_in_each_place() {
    let names: BTreeSet<String> = registered().into_iter().map(|(name, _)| name).collect();
    let folder = root().join("fulcrum-core/src/provider/adapters");
    let folders: BTreeSet<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| {
            entry.path().is_dir() && entry.file_name() != "catalogue_file" && entry.file_name() != "kit"
        })
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    assert_eq!(names, folders, "the table in `adapters/mod.rs` and the folders beside it");

    let manifest = read("fulcrum-core/Cargo.toml");
    let all = manifest.lines().find(|line| line.starts_with("adapters = [")).expect("the feature");
    let guide = read("docs/adapters/README.md");
    let readme = read("README.md");
    let row = readme.lines().find(|line| line.starts_with("| connect a cloud: ")).expect("the row");
    let mut missing = Vec::new();
    let mut need = |is_there: bool, name: &str, what: &str| {
        if !is_there {
            missing.push(format!("{name}: {what}"));
        }
    };
    for name in &names {
        let has = |path: String| root().join(path).is_file();
        let tests = "fulcrum-core/tests/adapter";
        need(manifest.contains(&format!("\n{name} = [\"http\"")), name, "the feature in Cargo.toml");
        need(all.contains(&format!("\"{name}\"")), name, "the name in the feature `adapters`");
        need(has(format!("{tests}/{name}.rs")), name, "its tests");
        need(read(&format!("{tests}/main.rs")).contains(&format!("\nmod {name};")), name, "`mod` in main.rs");
        need(has(format!("{tests}/imitation/{name}.rs")), name, "its imitation");
        let imitations = read(&format!("{tests}/imitation/mod.rs"));
        need(imitations.contains(&format!("mod {name};")), name, "`mod` in imitation/mod.rs");
        need(read(&format!("{tests}/matrix.rs")).contains(&format!("\"{name}\",")), name, "matrix.rs");
        need(read(&format!("{tests}/exact.rs")).contains(&format!("\"{name}\" =>")), name, "exact.rs");
        need(has(format!("docs/adapters/{name}.md")), name, "its page");
        need(guide.contains(&format!("({name}.md)")), name, "the link in docs/adapters/README.md");
        let title = read(&format!("docs/adapters/{name}.md"));
        let title = title.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let row = row.trim_start_matches("| connect a cloud: ").split('|').next().unwrap_or_default();
        let is_named = row.split(", ").any(|cloud| title.starts_with(cloud.trim()));
        need(is_named, name, "the row `connect a cloud` of README.md");
    }
    assert!(missing.is_empty(), "not registered:\n{}", missing.join("\n"));
}

#[test]
fn each_adapter_has_the_same_files() {
    let guide = read("docs/adapters/README.md");
    for (name, config) in registered() {
        let files = files_of(&name);
        for file in FILES {
            assert!(files.contains(file), "{name} has no {file}");
        }
        for file in files.iter().filter(|file| file.ends_with(".rs")) {
            assert!(
                guide.contains(&format!("`{file}`")),
                "{name}/{file}: docs/adapters/README.md does not name this file; is it for a new kind of thing?"
            );
        }
        let folder = format!("fulcrum-core/src/provider/adapters/{name}");
        let lines = read(&format!("{folder}/mod.rs")).lines().count();
        assert!(lines <= MAX_MOD_LINES, "{name}/mod.rs has {lines} lines");
        let module = read(&format!("{folder}/mod.rs"));
        for item in [
            "pub fn capabilities(",
            "pub fn with_transport(self, transport: Arc<dyn Transport>)",
            "provision::FIELDS",
        ] {
            assert!(module.contains(item), "{name}/mod.rs has no `{item}`");
        }
        let settings = read(&format!("{folder}/config.rs"));
        for item in [
            &format!("pub struct {config} "),
            "    pub id: ",
            "    pub http: HttpConfig",
            "    pub fn build(",
        ] {
            assert!(settings.contains(item), "{name}/config.rs has no `{}`", item.trim());
        }
        let handle = read(&format!("{folder}/handle.rs"));
        for item in [
            "enum Handle ",
            "    Provision",
            "    Act",
            "    Release",
            "fn parse(",
            "a_stored_handle_is_read",
        ] {
            assert!(handle.contains(item), "{name}/handle.rs has no `{}`", item.trim());
        }
    }
}

#[test]
fn each_page_has_the_same_headings() {
    for (name, _) in registered() {
        let page = read(&format!("docs/adapters/{name}.md"));
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "docs/adapters/{name}.md");
    }
}
