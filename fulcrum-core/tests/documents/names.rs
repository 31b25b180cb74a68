//! A name is the field's word (`docs/glossary.md`): words of our own may not come back, and a number says what it counts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What no file, type, function or constant is called any more, by part. A name is refused if it is one of these words,
/// however it is written: `Held`, `held` and `HELD` are one.
const REFUSED: [(&str, &[&str]); 7] = [
    (
        "compose",
        &[
            "aim",
            "drop_aside",
            "much",
            "sites",
            "comp",
            "comp_set",
            "alikeness",
            "figures_id",
            "ranked",
            "by_row",
            "gains",
            "gain",
            "promise",
            "team",
            "share_out",
            "little",
            "neighbours",
            "taken_out",
            "nearly",
            "stroll",
            "four_lists",
            "looked_up",
            "mixed",
            "asker",
            "noting",
            "serving",
            "shortfall",
            "reduce",
            "keep_cheapest",
            "unbeaten",
            "unscaled",
            "scaled_whole",
            "lagrange",
            "row_part",
            "elsewhere",
            "a_month",
            "relax",
            "solved",
        ],
    ),
    (
        "purchase and ledger",
        &[
            "act_on",
            "at_work",
            "begin_again",
            "besides",
            "can_hold",
            "cannot_act",
            "carry_out",
            "close_unkeyed",
            "counted_twice",
            "drop_cursor",
            "enter_gate",
            "find_made",
            "fresh_orders",
            "gate",
            "give_back",
            "go_on_with",
            "hear",
            "instead_of",
            "intend_unkeyed",
            "is_worth_another_try",
            "know_room",
            "leave_gate",
            "listings",
            "look_after",
            "look_unkeyed",
            "manners",
            "may",
            "nobody_said",
            "not_held",
            "note_as",
            "note_failed_drive",
            "note_gate",
            "note_text",
            "over_state",
            "parting",
            "patiently",
            "put_back",
            "reserve_rest",
            "steps_as",
            "stick",
            "stored",
            "take_room",
            "trace_of",
            "tried",
            "trip",
            "turns",
            "unbroken",
            "under",
            "unkeyed",
            "unmake",
            "unsent",
            "unsettled",
            "wants_hold",
            "was_there",
            "wind_all_back",
            "wind_back",
            "with_lease",
        ],
    ),
    (
        "model",
        &[
            "assume",
            "ways",
            "clash",
            "clash_among",
            "piece",
            "pieces",
            "locate",
            "colocate",
            "operator_wish",
            "wish",
            "sov",
            "may_buy_unkeyed",
            "may_buy_unchecked",
            "held_as",
            "longest_term",
        ],
    ),
    (
        "provider, catalogue and federation",
        &[
            "tape",
            "dialect",
            "sieve",
            "watched",
            "nonsense",
            "other_document",
            "says_its_status",
            "wire_answer",
            "wire_request",
            "tape_error",
            "refills",
            "refilling",
            "thinly_absent",
            "host_provider",
            "host_calls",
            "host_description",
            "worded",
            "steady",
            "strangers",
            "stranger",
            "behaves",
            "arrive",
            "depart",
            "sandbox_hold",
            "present_market",
            "outdate",
            "unconverted",
            "emptied",
            "way_back",
            "held_for_others",
            "named_rows",
            "odd_row",
            "leave_out",
            "proving",
            "left_out",
            "on_its_way",
            "heed",
            "scarce",
            "deepest",
            "largest_shown",
            "largest_kept",
            "shortest_part",
            "put_on",
            "refuses_who_asks",
            "is_said",
            "only_reads",
            "trial",
        ],
    ),
    (
        "adapters",
        &[
            "whose",
            "answered",
            "afterwards",
            "nobodys",
            "unnoted",
            "note_disks",
            "note_volumes",
            "left_of",
            "made_before",
            "poll_make",
            "make_handle",
            "clone_for",
            "ask_for",
            "note_gone",
            "was_gone",
            "witness_route",
            "is_passing",
            "has_lost_its_key",
            "as_the_cloud_has_it",
            "speak_of_cells",
            "speak_as",
            "tells_down_cells",
            "start_new",
            "is_begun",
            "numbers_of",
            "most_handle",
            "most_task",
            "paid_disk",
            "proof_for",
            "one_server",
            "one_task",
            "one_action",
            "one_image",
            "one_volume",
            "one_template",
            "one_storage",
            "one_pricing",
            "type_at",
            "price_at",
            "tells_state",
            "says_gone",
            "is_own_refusal",
            "end_disks",
            "end_volumes",
            "check_held",
            "check_left",
            "describe_left",
            "labelled",
            "check_whose",
            "may_end",
        ],
    ),
    (
        "bindings",
        &[
            "lend",
            "opened",
            "errand",
            "lent",
            "waiters",
            "mask_of_caller",
            "forget_broken_pipes",
            "most_idle",
            "most_depth",
            "for_ever",
            "grace",
            "fulcrum_answer",
            "fulcrum_answer_set",
            "wait_telling",
        ],
    ),
    ("benches and tests", &["least_gap", "dearer", "manner", "again_components", "usual_components"]),
];

/// Where names are read, from the project's folder. Tests of a part are in folders of their own.
const SOURCES: [&str; 7] = [
    "fulcrum-core/src",
    "fulcrum-core/fuzz",
    "fulcrum-ffi/src",
    "fulcrum-py/src",
    "fulcrum-py/macros/src",
    "examples/rust/src",
    "benches/src",
];

/// Types whose constants are numbers.
const NUMBERS: [&str; 15] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f64",
    "Duration", "Decimal",
];

const DECLARATIONS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a project").to_owned()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            files(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// One form for `CamelCase`, `snake_case` and `SCREAMING_CASE`.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

/// What a line of code declares: its kind, its name and, of a constant, its type.
fn declared(line: &str) -> Option<(&str, &str, Option<&str>)> {
    let code = line.split("//").next().unwrap_or_default();
    let mut words =
        code.split(|c: char| c.is_whitespace() || c == '(' || c == '<').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match word {
            "pub" | "pub(crate)" | "crate)" | "super)" | "async" | "unsafe" | "extern" | "\"C\""
            | "default" => {}
            kind if DECLARATIONS.contains(&kind) => {
                let mut name = words.next()?;
                let is_function = kind == "const" && matches!(name, "fn" | "unsafe" | "async");
                if is_function {
                    name = words.find(|it| !matches!(*it, "fn" | "unsafe" | "async"))?;
                }
                let name = name.trim_end_matches([':', ';', '{', ',']);
                let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
                let of = (!is_function && matches!(kind, "const" | "static"))
                    .then(|| code.split_once(':'))
                    .flatten();
                return is_name.then_some((kind, name, of.map(|(_, of)| of.trim())));
            }
            _ => return None,
        }
    }
    None
}

/// Whether a constant of this type is a number, or several.
fn is_number(of: &str) -> bool {
    let of = of.split('=').next().unwrap_or_default();
    let of: String = of.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    of.split_whitespace().next().is_some_and(|first| NUMBERS.contains(&first))
}

/// What is wrong with the names of a file.
fn judge(path: &str, source: &str, refused: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if refused.contains(&plain(stem)) {
        wrong.push(format!("{path}: the file's name is a word of our own"));
    }
    for (number, line) in source.lines().enumerate() {
        let Some((kind, name, of)) = declared(line) else { continue };
        let place = format!("{path}:{}: {kind} {name}", number + 1);
        // Python's own protocols have names like `__reduce__`.
        if refused.contains(&plain(name)) && !name.starts_with("__") {
            wrong.push(format!("{place} is a word of our own; take the field's (docs/glossary.md)"));
        }
        if of.is_some_and(is_number) && !name.trim_matches('_').contains('_') && name.len() > 1 {
            wrong.push(format!("{place} does not say of what it is the number, and in which unit"));
        }
    }
    wrong
}

#[test]
fn names_are_words_of_the_field() {
    let refused: BTreeSet<String> =
        REFUSED.iter().flat_map(|(_, words)| *words).map(|word| plain(word)).collect();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for folder in SOURCES {
        let mut found = Vec::new();
        files(&root().join(folder), &mut found);
        for path in found {
            count += 1;
            let name = path.strip_prefix(root()).expect("below it").display().to_string();
            wrong.extend(judge(&name, &fs::read_to_string(&path).expect("readable"), &refused));
        }
    }
    assert!(count > 300, "only {count} files were read");
    assert!(wrong.is_empty(), "{} names:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_word_of_our_own_is_found_wherever_it_is_declared() {
    let refused = BTreeSet::from([plain("held"), plain("give_back")]);
    for line in [
        "    pub(super) struct Held<'a> {",
        "async fn give_back(self) {",
        "const HELD: &str = \"\";",
        "mod held;",
        "pub const fn held() {}",
    ] {
        assert_eq!(judge("a.rs", line, &refused).len(), 1, "{line}");
    }
    assert_eq!(judge("src/held.rs", "", &refused).len(), 1);
    for line in
        ["const MOST: usize = 3;", "static LONGEST: Duration = X;", "pub const SIZES: [u32; 2] = [1, 2];"]
    {
        assert_eq!(judge("a.rs", line, &refused).len(), 1, "{line}");
    }
    for line in [
        "let held = 1;",
        "pub const fn new(most: u32) -> Self {",
        "// fn held()",
        "const MAX_ROWS: usize = 3;",
        "const KEY: &str = \"\";",
        "struct Holder;",
    ] {
        assert_eq!(judge("a.rs", line, &refused), Vec::<String>::new(), "{line}");
    }
}
