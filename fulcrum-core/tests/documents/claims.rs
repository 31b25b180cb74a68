//! Pages and crate docs name what exists: files, types, commands, tests, features. A page that lies is found here, not by a reader.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Pages that tell what was, each with its commit: names of then are right there.
const HISTORY: [&str; 2] = ["CHANGELOG.md", "docs/proof.md"];

/// Files that a reader makes, by an example, and names of other projects.
const MADE: [&str; 21] = [
    "federation.yaml",
    "orders.db",
    "build/",
    "target/",
    "clouds/",
    "blueprint.yaml",
    "acme.csv",
    "acme/",
    "acme.rs",
    "acme.md",
    "prices.csv",
    "plan.json",
    "ca.pem",
    "recording.json",
    "order.json",
    "cidata.iso",
    "user-data",
    "meta-data",
    "shared/",
    "buy",
    "app/",
];

/// Names of other projects' things: databases, process managers, clouds, standards.
const FOREIGN: [&str; 25] = [
    "DependsOn",
    "HttpClient",
    "HttpErrorKind",
    "auto_delete",
    "fulcrum_set_aside",
    "max_limit",
    "InstancesFullAccess",
    "BlockStorageFullAccess",
    "posix_spawn",
    "ListUnitPrice",
    "BilledCost",
    "ChargeCategory",
    "PricingCategory",
    "synchronous_commit",
    "synchronous_standby_names",
    "preload_app",
    "Py_Initialize",
    "post_fork",
    "worker_process_init",
    "ContractedCost",
    "EffectiveCost",
    "BillingCurrency",
    "ProviderName",
    "ResourceId",
    "SkuPriceId",
];

const CODE: [&str; 10] = ["rs", "py", "pyi", "h", "hpp", "c", "cpp", "sh", "toml", "sql"];
const PAGES: [&str; 1] = ["md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files of the project but what is built, by their paths from its folder.
fn files() -> BTreeMap<String, PathBuf> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "build", ".git"].contains(&&*name)
                    && !name.starts_with('.')
                    && name != "__pycache__"
                {
                    walk(&path, found);
                }
            } else {
                found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned(), path);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), &mut found);
    found
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, it)| it)
}

/// Words of sources: identifiers, also those of the words that documents and databases have.
fn identifiers(files: &BTreeMap<String, PathBuf>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (name, path) in files {
        let is_code = CODE.contains(&extension(name))
            || ["json", "yaml", "csv", "cfg", "Makefile"].iter().any(|it| name.ends_with(it));
        let is_script = !name.contains('.') || name.starts_with("scripts/") || name.starts_with(".ci/");
        if !is_code && !is_script || name.ends_with("tests/documents/claims.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(path) else { continue };
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|it| !it.is_empty()) {
            if all.insert(word.to_owned()) && is_camel(word) {
                all.insert(snake(word));
            }
        }
    }
    all
}

/// The word of documents for a variant of Rust.
fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for c in camel.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// What stands between single backticks, outside of blocks, with its line.
fn quoted(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut is_block) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(|it| (number + 1, it.to_owned())));
        }
    }
    found
}

/// Targets of links to other files.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default().split('#').next().unwrap_or_default();
            if !target.is_empty()
                && !target.contains("://")
                && !target.starts_with("mailto:")
                && !target.contains("::")
            {
                found.push((number + 1, target.to_owned()));
            }
        }
    }
    found
}

/// Module docs of a source, as a page.
fn module_docs(source: &str) -> String {
    source
        .lines()
        .map(|line| line.trim_start().strip_prefix("//!").unwrap_or_default().to_owned() + "\n")
        .collect()
}

struct Project {
    files: BTreeMap<String, PathBuf>,
    folders: BTreeSet<String>,
    identifiers: BTreeSet<String>,
}

impl Project {
    fn read() -> Self {
        let files = files();
        let mut folders = BTreeSet::new();
        for name in files.keys() {
            let mut rest = &**name;
            while let Some((folder, _)) = rest.rsplit_once('/') {
                folders.insert(folder.to_owned());
                rest = folder;
            }
        }
        let identifiers = identifiers(&files);
        Self { files, folders, identifiers }
    }

    /// Whether a path is one of the project's, from its folder, from the page's, or the end of one.
    fn has(&self, path: &str, page: &str) -> bool {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        if let Some(rest) = path.strip_prefix("../") {
            let above = page.rsplit_once('/').map_or("", |(folder, _)| folder);
            let above = above.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole = if above.is_empty() { rest.to_owned() } else { format!("{above}/{rest}") };
            return self.has(&whole, page);
        }
        let ends =
            |all: &String| all == path || all.strip_suffix(path).is_some_and(|before| before.ends_with('/'));
        self.files.keys().any(ends) || self.folders.iter().any(ends)
    }

    /// What a page says and is not so.
    fn lies(&self, page: &str, text: &str) -> Vec<String> {
        let mut lies = Vec::new();
        for (line, target) in links(text) {
            if !self.has(&target, page) && !is_made(&target) {
                lies.push(format!("{page}:{line}: the link to {target} leads nowhere"));
            }
        }
        for (line, words) in quoted(text) {
            lies.extend(self.command(&words).into_iter().map(|lie| format!("{page}:{line}: {lie}")));
            if words.contains(char::is_whitespace) || words.contains(['…', '*', '<', '{', '$', '=', '"', '@'])
            {
                continue;
            }
            if is_path(&words) {
                if !self.has(&words, page) && !is_made(&words) {
                    lies.push(format!("{page}:{line}: there is no file {words}"));
                }
            } else if let Some(missing) = self.missing_symbol(&words) {
                lies.push(format!("{page}:{line}: nothing is called {missing}"));
            }
        }
        lies
    }

    /// The first part of a symbol that no source has.
    fn missing_symbol<'a>(&self, words: &'a str) -> Option<&'a str> {
        let name = words.split('(').next().unwrap_or_default().trim_start_matches(['&', '.', '-']);
        let is_symbol = name.contains("::") || name.contains('_') || words.ends_with("()") || is_camel(name);
        if !is_symbol || !name.chars().all(|c| c.is_alphanumeric() || "_:.".contains(c)) {
            return None;
        }
        let parts = name.split([':', '.']).filter(|part| !part.is_empty());
        parts.into_iter().find(|part| {
            part.parse::<f64>().is_err() && !self.identifiers.contains(*part) && !FOREIGN.contains(part)
        })
    }

    /// What is wrong with a command of ours.
    fn command(&self, words: &str) -> Option<String> {
        let parts: Vec<&str> = words.split_whitespace().collect();
        let text =
            |path: &str| self.files.get(path).map(|it| fs::read_to_string(it).unwrap()).unwrap_or_default();
        if let [.., "make", target] | ["make", target, ..] = &*parts {
            let is_target = target.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let is_there = text("Makefile").lines().any(|line| line.starts_with(&format!("{target}:")));
            if is_target && !is_there {
                return Some(format!("make knows no target {target}"));
            }
        }
        if let Some(script) = parts.iter().find(|it| it.starts_with("scripts/"))
            && !self.has(script, "")
        {
            return Some(format!("there is no {script}"));
        }
        let after =
            |flag: &str| parts.iter().position(|it| *it == flag).and_then(|at| parts.get(at + 1)).copied();
        if !parts.contains(&"cargo") {
            return None;
        }
        let manifests: String =
            self.files.keys().filter(|it| it.ends_with("Cargo.toml")).map(|it| text(it)).collect();
        if let Some(package) = after("-p")
            && !manifests.contains(&format!("name = \"{package}\""))
        {
            return Some(format!("there is no package {package}"));
        }
        let program = after("--test").or_else(|| after("--bin"))?;
        let is_there =
            [format!("/{program}.rs"), format!("/{program}/main.rs"), format!("name = \"{program}\"")]
                .iter()
                .any(|end| self.files.keys().any(|it| it.ends_with(&**end)) || manifests.contains(&**end));
        if !is_there {
            return Some(format!("there is no program {program}"));
        }
        // A filter of tests names a module or a test.
        let at = parts.iter().position(|it| *it == program)?;
        let filter = parts.get(at + 1).filter(|it| !it.starts_with('-') && after("--test").is_some())?;
        let missing = filter.split("::").filter(|it| !it.is_empty()).find(|part| {
            let is_part = self.identifiers.iter().any(|name| name.contains(*part));
            let is_file = self.files.keys().any(|it| it.contains(*part));
            !is_part && !is_file
        })?;
        Some(format!("{program} has no test {missing}"))
    }
}

fn is_camel(name: &str) -> bool {
    let capitals = name.chars().filter(char::is_ascii_uppercase).count();
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && capitals >= 2
        && name.chars().any(|c| c.is_ascii_lowercase())
        && name.chars().all(char::is_alphanumeric)
}

fn is_path(words: &str) -> bool {
    let is_plain =
        words.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c)) && !words.starts_with('/');
    let is_file = PAGES.iter().chain(&CODE).any(|it| extension(words) == *it)
        && words.len() > extension(words).len() + 1;
    let is_folder = words.ends_with('/')
        || ["docs/", "scripts/", "fulcrum-", "examples/", "schemas/", "benches/"]
            .iter()
            .any(|it| words.starts_with(it) && words.contains('/'));
    let is_format = words.rsplit('/').next().is_some_and(|last| last.parse::<u32>().is_ok());
    is_plain && !is_format && (is_file || is_folder) && !words.contains("//")
}

fn is_made(path: &str) -> bool {
    let path = path.trim_start_matches(['.', '/']);
    let name = path.rsplit('/').next().unwrap_or(path);
    MADE.iter().any(|made| path == *made || name == *made || made.ends_with('/') && path.contains(made))
}

#[test]
fn pages_name_what_exists() {
    let project = Project::read();
    let (mut lies, mut pages) = (Vec::new(), 0);
    for (name, path) in &project.files {
        if extension(name) != "md" || HISTORY.contains(&&**name) || name.starts_with("LICENSE") {
            continue;
        }
        pages += 1;
        lies.extend(project.lies(name, &fs::read_to_string(path).unwrap()));
    }
    assert!(pages > 20, "only {pages} pages were read");
    assert!(lies.is_empty(), "{} lies:\n{}", lies.len(), lies.join("\n"));
}

#[test]
fn module_docs_name_what_exists() {
    let project = Project::read();
    let mut lies = Vec::new();
    for (name, path) in project.files.iter().filter(|(name, _)| extension(name) == "rs") {
        let docs = module_docs(&fs::read_to_string(path).unwrap());
        // Links are checked by rustdoc.
        let wrong = project.lies(name, &docs);
        lies.extend(wrong.into_iter().filter(|lie| !lie.contains("leads nowhere")));
    }
    assert!(lies.is_empty(), "{} lies:\n{}", lies.len(), lies.join("\n"));
}

#[test]
fn what_does_not_exist_is_found() {
    let project = Project::read();
    for lie in [
        "see `compose/nowhere.rs`",
        "[here](docs/nowhere.md)",
        "call `Engine::nowhere_at_all`",
        "a `NowhereAtAll`",
        "`nowhere_at_all()`",
        "`make nowhere`",
        "`scripts/nowhere`",
        "`cargo test -p fulcrum-nowhere`",
        "`cargo test -p fulcrum-market-core --test nowhere`",
        "`cargo test -p fulcrum-market-core --test compose nowhere_at_all`",
    ] {
        assert!(!project.lies("README.md", lie).is_empty(), "{lie}");
    }
    for truth in [
        "see `model/order.rs`",
        "[here](docs/orders.md)",
        "call `Engine::drive`",
        "`make test`",
        "`scripts/test`",
        "`cargo test -p fulcrum-market-core --test compose oracle -- --nocapture`",
        "`federation.yaml`",
        "```\nnowhere_at_all()\n```",
    ] {
        assert_eq!(project.lies("README.md", truth), Vec::<String>::new(), "{truth}");
    }
}

/// The table of the crate docs has each feature of Cargo.toml, and whether it is on by default.
#[test]
fn the_table_of_features_is_that_of_the_manifest() {
    let manifest = fs::read_to_string(root().join("fulcrum-core/Cargo.toml")).unwrap();
    let features = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
    let rows: BTreeMap<&str, &str> = features
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .collect();
    let default = rows["default"];
    let expected: BTreeMap<String, bool> = rows
        .keys()
        .filter(|name| **name != "default")
        .map(|name| ((*name).to_owned(), default.contains(&format!("\"{name}\""))))
        .collect();
    let page = fs::read_to_string(root().join("fulcrum-core/src/lib.md")).unwrap();
    let table = page.split("# Features").nth(1).unwrap().split("\n# ").next().unwrap();
    let told: BTreeMap<String, bool> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let is_default = cells[1] == "yes";
            let names = format!("`{}", cells[0]);
            quoted(&names).into_iter().map(move |(_, name)| (name, is_default)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(told, expected);
}

/// Files whose code names a variant of a type, tests aside.
fn places(files: &BTreeMap<String, PathBuf>, of: &str, variants: &[&str]) -> BTreeSet<String> {
    let names: Vec<String> = variants.iter().map(|variant| format!("{of}::{variant}")).collect();
    let is_source =
        |name: &&String| extension(name) == "rs" && (name.contains("/src/") && !name.contains("/tests/"));
    let has = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: String = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        names.iter().any(|name| code.contains(&**name))
    };
    files.iter().filter(|(name, path)| is_source(name) && has(path)).map(|(name, _)| name.clone()).collect()
}

/// Whoever adds one finds each place to look at.
#[test]
fn the_map_lists_each_place_of_a_constraint_and_of_a_steps_state() {
    let files = files();
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (title, of, variants) in [
        (
            "### Places of a constraint",
            "Constraint",
            &["AntiAffinity", "FaultTolerance", "MaxDistinct", "Affinity", "Count", "OneOf", "Limit"][..],
        ),
        (
            "### Places of a step's state",
            "StepState",
            &[
                "Acting",
                "Reserving",
                "Reserved",
                "Compensating",
                "Planned",
                "Provisioning",
                "Provisioned",
                "Compensated",
            ],
        ),
    ] {
        let list = page.split(title).nth(1).unwrap_or_else(|| panic!("no {title}"));
        let list = list.split("\n#").next().unwrap_or_default();
        let told: BTreeSet<String> =
            quoted(list).into_iter().map(|(_, it)| it).filter(|it| it.ends_with(".rs")).collect();
        let missing: Vec<String> = places(&files, of, variants)
            .into_iter()
            .filter(|place| !told.iter().any(|it| place.ends_with(&**it)))
            .collect();
        assert_eq!(missing, Vec::<String>::new(), "{title} lacks these");
    }
}

/// Each whole document on a page is one that its reader takes.
#[cfg(all(feature = "adapters", feature = "sandbox", feature = "sqlite"))]
#[test]
fn documents_on_pages_are_read() {
    use fulcrum_core::{
        federation::FederationConfig,
        model::{Blueprint, Policy},
    };
    let mut read = (0, 0, 0);
    for (name, path) in
        files().iter().filter(|(name, _)| extension(name) == "md" && !HISTORY.contains(&&***name))
    {
        let text = fs::read_to_string(path).unwrap();
        let blocks = text.split("\n```").skip(1).step_by(2);
        for block in blocks {
            let (kind, body) = block.split_once('\n').unwrap();
            match kind {
                "yaml" if body.contains("ledger:") => {
                    FederationConfig::from_yaml(body).unwrap_or_else(|error| panic!("{name}: {error}"));
                    read.0 += 1;
                }
                "yaml" if body.contains("components:") && !body.contains("fail_over:") => {
                    Blueprint::from_yaml(body).unwrap_or_else(|error| panic!("{name}: {error}"));
                    read.1 += 1;
                }
                "json" => {
                    serde_json::from_str::<Policy>(body).unwrap_or_else(|error| panic!("{name}: {error}"));
                    read.2 += 1;
                }
                _ => {}
            }
        }
    }
    assert!(read.0 >= 9 && read.1 >= 1 && read.2 >= 1, "read were {read:?}");
}
