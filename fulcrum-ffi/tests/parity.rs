//! What one language can the others can: the table of docs/languages.md against the sources of all four.
#![expect(clippy::expect_used, reason = "a test stops at what it cannot read")]

use std::{collections::BTreeSet, path::Path};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of a language that each must have a row, and how a name of the table is looked up.
struct Language {
    name: &'static str,
    verbs: BTreeSet<String>,
    /// Whether a name that is no verb is there: of another type, or in words that the table has in code.
    knows: Box<dyn Fn(&str) -> bool>,
}

/// Names that stand between one of these beginnings and `(`, at the same depth.
fn names(text: &str, beginnings: &[&str]) -> BTreeSet<String> {
    let name = |line: &str| {
        let rest = beginnings.iter().find_map(|beginning| line.strip_prefix(beginning))?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rest[name.len()..].starts_with(['(', '<']).then_some(name)
    };
    text.lines().filter_map(name).collect()
}

fn rust() -> Language {
    let sources =
        ["market", "orders", "open"].map(|file| read(&format!("fulcrum-core/src/federation/{file}.rs")));
    // `open.rs` has another type, too, whose methods are named with it.
    let own = |source: &String| {
        let blocks = source.split("\nimpl Federation {\n").skip(1);
        blocks.map(|block| block.split("\n}\n").next().unwrap_or_default().to_owned()).collect::<String>()
    };
    let text: String = sources.iter().map(own).collect();
    let verbs = names(&text, &["    pub fn ", "    pub async fn "]);
    let api = read("docs/public-api.txt");
    let knows = move |name: &str| api.contains(&format!("::{name}("));
    Language { name: "Rust", verbs, knows: Box::new(knows) }
}

fn python() -> Language {
    let stub = read("fulcrum-py/python/fulcrum_market/_fulcrum.pyi");
    let class = |name: &str| {
        let (_, after) = stub.split_once(&format!("\nclass {name}:\n")).expect("the class");
        after.split("\nclass ").next().unwrap_or_default().to_owned()
    };
    let verbs = names(&class("Federation"), &["    def "]);
    let others: BTreeSet<String> = names(&stub, &["def "]);
    let (catalogue, plan) = (names(&class("Catalogue"), &["    def "]), names(&class("Plan"), &["    def "]));
    let knows = move |name: &str| match name.split_once('.') {
        Some(("Catalogue", name)) => catalogue.contains(name),
        Some(("Plan", name)) => plan.contains(name),
        _ => others.contains(name),
    };
    Language { name: "Python", verbs, knows: Box::new(knows) }
}

fn c() -> Language {
    let header = read("include/fulcrum.h");
    let is_declaration = |line: &&str| !line.starts_with([' ', '#', '/']);
    let all: BTreeSet<String> = header
        .lines()
        .filter(is_declaration)
        .filter_map(|line| Some(line.split_once('(')?.0.rsplit([' ', '*']).next()?.to_owned()))
        .filter(|name| name.starts_with("fulcrum_"))
        .collect();
    let verbs =
        all.iter().filter_map(|name| name.strip_prefix("fulcrum_federation_").map(str::to_owned)).collect();
    Language { name: "C", verbs, knows: Box::new(move |name| all.contains(name)) }
}

fn cpp() -> Language {
    let header = read("include/fulcrum.hpp");
    let class = |name: &str| {
        let (_, after) = header.split_once(&format!("\nclass {name} {{\npublic:\n")).expect("the class");
        after.split("\nprivate:\n").next().unwrap_or_default().to_owned()
    };
    // A method stands at the depth of the class; what is called in a body is deeper.
    let methods = |class: &str| -> BTreeSet<String> {
        let is_head = |line: &&str| {
            line.starts_with("    ") && !line.starts_with("     ") && !line.starts_with("    /*")
        };
        let heads = class.lines().filter(is_head);
        let name = |line: &str| {
            let head = line.trim_start().split_once('(')?.0;
            let name = head.rsplit([' ', '*', '&']).next()?;
            (!head.contains(['=', '"']) && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
                .then(|| name.to_owned())
        };
        heads.filter_map(name).collect()
    };
    let mut verbs = methods(&class("federation"));
    // What every handle has.
    assert!(verbs.remove("get"), "{verbs:?}");
    let (plan, task) = (methods(&class("plan")), methods(&class("task")));
    let functions: BTreeSet<String> = header
        .lines()
        .filter_map(|line| {
            Some(line.strip_prefix("inline ")?.split_once('(')?.0.rsplit(' ').next()?.to_owned())
        })
        .collect();
    let knows = move |name: &str| match name.split_once("::") {
        Some(("plan", name)) => plan.contains(name),
        Some(("task", name)) => task.contains(name),
        _ => functions.contains(name),
    };
    Language { name: "C++", verbs, knows: Box::new(knows) }
}

/// The cells of each row, without the heads.
fn table() -> Vec<Vec<String>> {
    let text = read("docs/languages.md");
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// What a cell has in code.
fn in_code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn a_verb_of_one_language_is_one_of_all_or_says_why_not() {
    let (languages, table) = ([rust(), python(), c(), cpp()], table());
    assert!(table.len() > 30 && table.iter().all(|row| row.len() == 5), "{table:?}");
    let mut wrong = Vec::new();
    for (at, language) in languages.iter().enumerate() {
        assert!(language.verbs.len() > 30, "{}: {:?}", language.name, language.verbs);
        let mut named = BTreeSet::new();
        for row in &table {
            let cell = &row[at + 1];
            if cell.is_empty() {
                wrong.push(format!("{}, {}: write its name, or why there is none", row[0], language.name));
            }
            // Words around code say how it is done instead.
            let is_in_words = !cell.starts_with('`');
            for name in in_code(cell) {
                named.insert(name.strip_prefix("fulcrum_federation_").unwrap_or(name).to_owned());
                if !is_in_words && !language.verbs.contains(name) && !(language.knows)(name) {
                    wrong.push(format!("{}, {}: there is no {name}", row[0], language.name));
                }
            }
        }
        for verb in language.verbs.iter().filter(|verb| !named.contains(*verb)) {
            wrong.push(format!("{} has {verb}: give it a row of docs/languages.md", language.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let open: Vec<&str> =
        table.iter().filter(|row| row.iter().any(|cell| cell == "open")).map(|row| row[0].as_str()).collect();
    println!("figure: {} verbs in four languages, {} of them open: {open:?}", table.len(), open.len());
}
