//! The programs that people start: what they print, refuse and return.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot start")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use fulcrum_core::federation::FederationConfig;
use rust_decimal::Decimal;

const PROVIDER: &str = r#"{"format": "fulcrum-provider/1", "id": "acme", "name": "Acme", "legal_name": "Acme GmbH",
    "country": "DE", "regions": [{"id": "r1", "country": "DE"}]}"#;
const HEADER: &str = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source";
const ROW: &str = "machine,small,r1,2,4096,40,10,EUR,net,2026-01-31,a test";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn check(path: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_check-catalogue")).arg(path).output().unwrap();
    (output.status.success(), text(&output))
}

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).output().unwrap()
}

#[test]
fn check_catalogue_names_what_is_wrong_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (is_right, said) = check(folder.path());
    assert!(!is_right && said.contains("no tables"), "{said}");
    fs::write(folder.path().join("acme.json"), PROVIDER).unwrap();
    let dearer = ROW.replace(",10,", ",11,");
    let to_come = ROW.replace("2026-01-31", "2099-12-31");
    for (rows, words) in [
        (String::new(), "the file is empty"),
        (format!("{HEADER}\n"), "no offers"),
        (format!("{HEADER}\n{ROW}\n{ROW}\n"), "line 3: small in acme/r1 is priced by line 2 already"),
        (format!("{HEADER}\n{ROW}\n{dearer}\n"), "keep one row for it"),
        (
            format!("{HEADER}\n{to_come}\n"),
            "acme/r1/small: its table's price is of 2099-12-31, a day to come",
        ),
    ] {
        fs::write(folder.path().join("acme.csv"), &rows).unwrap();
        let (is_right, said) = check(folder.path());
        assert!(!is_right && said.contains(words), "{rows}\n{said}");
    }
    fs::write(folder.path().join("acme.csv"), format!("{HEADER}\n{ROW}\n")).unwrap();
    let (is_right, said) = check(folder.path());
    assert!(is_right && said.contains("1 offers"), "{said}");
}

#[test]
fn the_shipped_tables_are_right() {
    let (is_right, said) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue"));
    assert!(is_right, "{said}");
}

/// Without rates the offers in dollars are left out, and so they are once the shipped rates are too old.
#[test]
fn the_documents_that_people_copy_have_rates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let yaml = readme.split("```yaml\n").find(|block| block.starts_with("ledger:")).unwrap();
    let config = FederationConfig::from_yaml(yaml.split("```").next().unwrap()).unwrap();
    assert!(root.join(config.rates.expect("rates")).is_file());
    assert_eq!(config.max_rates_age_days, 36_500);
    for example in ["rust/src/bin/buy.rs", "c/buy.c", "cpp/buy.cpp", "python/buy.py"] {
        let program = fs::read_to_string(root.join("examples").join(example)).unwrap();
        assert!(program.contains("examples/rates/ecb.csv"), "{example}");
        assert!(program.contains("max_rates_age_days") && program.contains("36500"), "{example}");
    }
}

/// The examples in four languages are one program: what one shows, the others show too.
#[test]
fn the_examples_take_the_same_steps() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let steps = |example: &str| -> Vec<String> {
        let program = fs::read_to_string(root.join(example)).unwrap();
        let comments = program.lines().map(|line| line.trim().trim_matches(['/', '*', '#', ' ']).to_owned());
        comments.filter(|comment| comment.starts_with(|c: char| c.is_ascii_digit())).collect()
    };
    let expected = steps("rust/src/bin/buy.rs");
    assert_eq!(expected.len(), 7, "{expected:#?}");
    for example in ["c/buy.c", "cpp/buy.cpp", "python/buy.py"] {
        assert_eq!(steps(example), expected, "{example}");
    }
}

#[test]
fn the_demo_names_a_file_that_is_not_there() {
    for option in ["--blueprint", "--rates", "--catalogue"] {
        let said = text(&demo(&["--plan-only", option, "nowhere"]));
        assert!(said.contains("demo: nowhere: "), "{option}: {said}");
    }
}

#[test]
fn the_demo_refuses_a_fault_of_an_unknown_provider_before_any_output() {
    let output = demo(&["--fault", "nobody={call: provision, fault: sold_out}"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "{}", text(&output));
    assert!(
        text(&output).contains("no provider is called nobody; write one of arubacloud, "),
        "{}",
        text(&output)
    );
}

#[test]
fn the_demo_lists_all_faults() {
    let said = text(&demo(&["--help"]));
    for fault in ["crash_before", "crash_after", "sold_out", "CSV or XML"] {
        assert!(said.contains(fault), "{fault}: {said}");
    }
}

/// A provider with odd prices, a blueprint, and rates as XML.
fn small_market(folder: &Path) -> Vec<String> {
    let odd = ROW.replace(",10,", ",10.004,").replace("small", "odd").replace(",2,4096", ",4,8192");
    fs::write(folder.join("acme.json"), PROVIDER).unwrap();
    fs::write(folder.join("acme.csv"), format!("{HEADER}\n{}\n{odd}\n", ROW.replace(",10,", ",5.004,")))
        .unwrap();
    fs::write(
        folder.join("shop.yaml"),
        "name: shop\ncomponents:\n  web: { vcpu: 2, memory_mib: 4096, replicas: 3 }\n",
    )
    .unwrap();
    fs::write(
        folder.join("rates.xml"),
        "<Envelope><Cube><Cube time='2026-08-13'><Cube currency='USD' rate='1.15'/></Cube></Cube></Envelope>",
    )
    .unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let catalogue = path("acme.csv");
    let rates = path("rates.xml");
    ["--no-fault", "--blueprint", &path("shop.yaml"), "--catalogue", &catalogue, "--rates", &rates]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn the_demos_lines_add_up_and_the_ledger_lists_services() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = small_market(folder.path());
    let output = demo(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let plan = said.split("The cheapest plan").nth(1).unwrap().split("offers,").next().unwrap();
    let figure = |line: &str| line.split_whitespace().last().and_then(|word| word.parse::<Decimal>().ok());
    let leases: Vec<_> = plan
        .lines()
        .filter(|line| line.contains("acme/r1") && line.contains("×"))
        .filter_map(figure)
        .collect();
    let total = plan.lines().find(|line| line.trim().starts_with("in all")).and_then(figure).unwrap();
    assert_eq!(leases.iter().sum::<Decimal>(), total, "{said}");
    assert_eq!(total.to_string(), "15.012000", "{said}");
    let ledger = said.split("The ledger:").nth(1).unwrap();
    assert!(ledger.contains("committed") && ledger.contains("small"), "{said}");
    assert!(!ledger.contains(" ms "), "the events are not printed again: {said}");
}
