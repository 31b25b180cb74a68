//! The README of the shipped tables counts what they have and what their sources lack. `FULCRUM_BLESS=1` writes it again.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use fulcrum_core::{
    model::{Jurisdiction, OfferKind, parse_json},
    provider::table::{ProviderDocument, Row, Table},
};

const BEGIN: &str = "<!-- counted: `make schemas` writes this part again -->\n";
const END: &str = "<!-- end of what is counted -->";

/// A shipped table, as it is written and as it is sold.
struct Shipped {
    provider: ProviderDocument,
    rows: Vec<Row>,
    table: Table,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/catalogue"))
}

fn shipped() -> Vec<Shipped> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "csv"));
    files.sort();
    let read = |file: &PathBuf| {
        let provider = parse_json(&fs::read_to_string(file.with_extension("json")).unwrap()).unwrap();
        let rows = Table::rows(&fs::read_to_string(file).unwrap()).unwrap();
        let table = Table::load(file).unwrap().remove(0);
        Shipped { provider, rows: rows.into_iter().map(|(_, row)| row).collect(), table }
    };
    files.iter().map(read).collect()
}

impl Shipped {
    /// How many products of a kind have a row that holds.
    fn count(&self, kind: &str, holds: impl Fn(&Row) -> bool) -> usize {
        let rows = self.rows.iter().filter(|row| row.kind == kind && holds(row));
        rows.map(|row| (&row.sku, &row.purchase_option)).collect::<BTreeSet<_>>().len()
    }

    /// As [`count`](Self::count), of machines that can be had on demand.
    fn machines(&self, holds: impl Fn(&Row) -> bool) -> usize {
        let rows = self.rows.iter().filter(|row| row.kind == "machine" && holds(row));
        rows.map(|row| &row.sku).collect::<BTreeSet<_>>().len()
    }

    /// How many databases have no price of their storage.
    fn databases_without_storage(&self) -> usize {
        let offers = self.table.offers.iter().filter(|offer| offer.kind == OfferKind::Database);
        let bare = offers.filter(|offer| offer.elastic_disk.is_none() && offer.capacity.disk_gib == 0);
        bare.map(|offer| &offer.sku).collect::<BTreeSet<_>>().len()
    }
}

fn says(row: &Row, name: &str) -> bool {
    row.attributes.split(';').any(|pair| pair.split_once('=').is_some_and(|(it, _)| it == name))
}

/// Whether a machine has a graphics processor. Some sources name its model and do not count it.
fn has_gpu(row: &Row) -> bool {
    row.gpu.is_some() || says(row, "gpu_model")
}

/// One line for each provider: how many products of each kind have a price.
fn inventory(all: &[Shipped]) -> String {
    let mut text = String::from(
        "| provider | HQ | machines | with GPU | disks | objects | balancers | databases | Kubernetes | addresses | traffic | \
         certificates | owners | prices of |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for it in all {
        let any = |_: &Row| true;
        let cells = [
            it.machines(any),
            it.machines(has_gpu),
            it.count("block_storage", any),
            it.count("object_storage", any),
            it.count("load_balancer", any),
            it.count("database", any),
            it.count("kubernetes", any),
            it.count("public_ip", any),
            it.count("egress", any),
            it.provider.certifications.len(),
            it.provider.control_chain.len(),
        ];
        let cells = cells.map(|count| if count == 0 { "–".to_owned() } else { count.to_string() });
        let days: BTreeSet<_> = it.rows.iter().filter_map(|row| row.observed).collect();
        let (first, last) = (days.first().unwrap(), days.last().unwrap());
        let days = if first == last { first.to_string() } else { format!("{first} to {last}") };
        let (name, country, cells) = (&it.provider.name, it.provider.country, cells.join(" | "));
        writeln!(text, "| {name} | {country} | {cells} | {days} |").unwrap();
    }
    text
}

/// What no dated source tells: how many, and of whom.
fn lacks(all: &[Shipped]) -> String {
    let mut text = String::from("| the sources lack | how many | of whom |\n|---|---|---|\n");
    let mut add = |what: &str, counts: Vec<(&str, usize)>| {
        let total: usize = counts.iter().map(|(_, count)| count).sum();
        let each = |(name, count): &(&str, usize)| match count {
            0 => None,
            1 => Some((*name).to_owned()),
            count => Some(format!("{name} {count}")),
        };
        let names: Vec<_> = counts.iter().filter_map(each).collect();
        writeln!(text, "| {what} | {total} | {} |", names.join(", ")).unwrap();
    };
    let id = |it: &'_ Shipped| -> &'_ str { Box::leak(it.provider.id.to_string().into_boxed_str()) };
    let by = |count: &dyn Fn(&Shipped) -> usize| -> Vec<(&str, usize)> {
        all.iter().map(|it| (id(it), count(it))).collect()
    };
    for (what, kind) in [
        ("any price of further disk", "block_storage"),
        ("any price of object storage", "object_storage"),
        ("any price of load balancers", "load_balancer"),
        ("any price of managed databases", "database"),
        ("any price of managed Kubernetes, or it is free", "kubernetes"),
        ("any price of a public address", "public_ip"),
        ("any price of a private network, or it is free", "network"),
        ("any price of traffic to the internet", "egress"),
    ] {
        add(what, by(&|it| usize::from(it.count(kind, |_| true) == 0)));
    }
    add("any machine with a graphics processor", by(&|it| usize::from(it.machines(has_gpu) == 0)));
    add(
        "how many graphics processors such a machine has",
        by(&|it| it.machines(|row| has_gpu(row) && row.gpu.is_none())),
    );
    add(
        "the model of a machine's graphics processor",
        by(&|it| it.machines(|row| has_gpu(row) && !says(row, "gpu_model"))),
    );
    add("the storage of a database", by(&Shipped::databases_without_storage));
    add("a machine's architecture", by(&|it| it.machines(|row| row.architecture.is_empty())));
    add(
        "whether a machine's IPv4 address is included",
        by(&|it| {
            let prices_it = it.count("public_ip", |row| says(row, "with")) > 0;
            it.machines(|row| !says(row, "public_ipv4") && !prices_it)
        }),
    );
    add(
        "prices for a term (`committed`)",
        by(&|it| usize::from(!it.rows.iter().any(|row| row.purchase_option == "committed"))),
    );
    add("spot prices", by(&|it| usize::from(!it.rows.iter().any(|row| row.purchase_option == "spot"))));
    add("certificates", by(&|it| usize::from(it.provider.certifications.is_empty())));
    add(
        "the last day of a certificate",
        by(&|it| {
            it.provider.certifications.iter().filter(|certificate| certificate.valid_until.is_none()).count()
        }),
    );
    add(
        "the name of the company, other than the brand",
        by(&|it| usize::from(it.provider.legal_name == it.provider.name)),
    );
    add("who owns the company", by(&|it| usize::from(it.provider.control_chain.is_empty())));
    text
}

#[test]
fn the_readme_counts_what_the_tables_have_and_what_their_sources_lack() {
    let all = shipped();
    let counted = format!("{}\n{}", inventory(&all), lacks(&all));
    let file = folder().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (committed, after) = rest.split_once(END).unwrap();
    if std::env::var_os("FULCRUM_BLESS").is_some() {
        fs::write(&file, format!("{before}{BEGIN}\n{counted}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(committed.trim(), counted.trim(), "run `make schemas` and commit it");
}

#[test]
fn at_least_25_european_providers_are_shipped() {
    let europe: BTreeSet<_> = ["CH", "GB", "NO"].into_iter().collect();
    let all = shipped();
    let eu: Jurisdiction = "EU".parse().unwrap();
    let is_european = |it: &&Shipped| {
        eu.has(it.provider.country) || europe.contains(it.provider.country.to_string().as_str())
    };
    assert!(all.iter().filter(is_european).count() >= 25);
}

/// So that somebody can check each figure, and knows how old it is.
#[test]
fn each_shipped_row_has_its_day_and_its_source() {
    let mut sources: BTreeMap<String, usize> = BTreeMap::new();
    for it in shipped() {
        for row in &it.rows {
            let name = || format!("{}: {:?}", it.provider.id, row.sku);
            assert!(row.observed.is_some() && !row.source.is_empty(), "{}", name());
            assert!(!row.source.contains("github.com/github.com"), "{}", name());
            *sources.entry(row.source.clone()).or_default() += 1;
        }
        assert!(it.table.quarantined.is_empty(), "{:?}", it.table.quarantined);
    }
    assert!(sources.len() > 30, "{sources:?}");
}
