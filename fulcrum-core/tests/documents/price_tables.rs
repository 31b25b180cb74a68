//! Catalogue files: what a row becomes, and that a mistake is an error that names its place.

use fulcrum_core::{
    federation::FederationConfig,
    model::{Charge, Offer, PriceAuthority, parse_json, read_text},
    provider::table::{ProviderDocument, Row, Table},
};

const HEADER: &str = "kind,sku,region,zone,vcpu,memory_mib,disk_gib,gpu,architecture,hourly,monthly,once,unit,\
    unit_price,currency,tax,market,term_months,stock,attributes,observed,source";

const PROVIDER: &str = r#"{"format": "fulcrum-provider/1", "id": "acme", "name": "Acme",
    "legal_name": "Acme GmbH", "country": "DE", "regions": [
        {"id": "r1", "country": "DE", "zones": ["r1-a", "r1-b"]}, {"id": "r2", "country": "FR"}]}"#;

fn provider() -> ProviderDocument {
    parse_json(PROVIDER).expect("a provider")
}

fn table(rows: &[&str]) -> Table {
    Table::from_csv(&provider(), &format!("{HEADER}\n{}\n", rows.join("\n"))).expect("a table")
}

fn mistake(rows: &[&str]) -> String {
    let csv = format!("{HEADER}\n{}\n", rows.join("\n"));
    Table::from_csv(&provider(), &csv).expect_err("a mistake").to_string()
}

/// A machine with other cells: `cells` are columns and their text.
fn row(cells: &[(&str, &str)]) -> String {
    let usual = [
        ("kind", "machine"),
        ("sku", "small"),
        ("region", "r1"),
        ("vcpu", "2"),
        ("memory_mib", "4096"),
        ("disk_gib", "40"),
        ("monthly", "10"),
        ("currency", "EUR"),
        ("tax", "net"),
        ("observed", "2026-11-01"),
        ("source", "a test"),
    ];
    let cell = |column: &str| {
        let of = |cells: &[(&str, &str)]| cells.iter().find(|it| it.0 == column).map(|it| it.1.to_owned());
        of(cells).or_else(|| of(&usual)).unwrap_or_default()
    };
    HEADER.split(',').map(|column| cell(column.trim())).collect::<Vec<_>>().join(",")
}

fn block(sku: &str, price: &str, attributes: &str) -> String {
    row(&[
        ("kind", "block_storage"),
        ("sku", sku),
        ("vcpu", ""),
        ("memory_mib", ""),
        ("disk_gib", ""),
        ("monthly", ""),
        ("unit", "GiB-month"),
        ("unit_price", price),
        ("attributes", attributes),
    ])
}

fn disk_of(offers: &[Offer]) -> Option<&str> {
    let machine = offers.iter().find(|offer| offer.sku.as_str() == "small").expect("the machine");
    machine.elastic_disk.as_ref().map(|disk| disk.sku.as_str())
}

#[test]
fn a_row_becomes_one_offer_for_each_of_its_places() {
    let places = |cells: &[(&str, &str)]| -> Vec<_> {
        let offers = table(&[&row(cells)]).offers;
        offers
            .iter()
            .map(|it| format!("{} {:?}", it.place.region, it.place.zone.as_ref().map(|z| z.as_str())))
            .collect()
    };
    assert_eq!(places(&[("region", "*")]), ["r1 None", "r2 None"]);
    assert_eq!(places(&[("region", "r2 r1")]), ["r2 None", "r1 None"]);
    assert_eq!(places(&[("zone", "r1-a r1-b")]), [r#"r1 Some("r1-a")"#, r#"r1 Some("r1-b")"#]);
}

#[test]
fn a_machine_without_a_disk_takes_the_cheapest_ssd_of_its_region() {
    let machine = row(&[("disk_gib", "")]);
    let (hdd, dear, cheap) = (
        block("hdd", "0.01", "media=hdd"),
        block("dear", "0.09", "media=ssd"),
        block("cheap", "0.05", "media=ssd"),
    );
    assert_eq!(disk_of(&table(&[&machine, &hdd, &dear, &cheap]).offers), Some("cheap"));
    assert_eq!(disk_of(&table(&[&machine]).offers), None);
    assert_eq!(disk_of(&table(&[&row(&[]), &cheap]).offers), None, "40 GiB are included");
    let elsewhere = row(&[("disk_gib", ""), ("region", "r2")]);
    assert_eq!(disk_of(&table(&[&elsewhere, &cheap]).offers), None, "a disk of another region");
}

#[test]
fn egress_is_no_offer_and_goes_with_those_of_its_region() {
    let egress = row(&[
        ("kind", "egress"),
        ("sku", "out"),
        ("monthly", ""),
        ("unit", "GB"),
        ("unit_price", "0:0 1000:0.01"),
    ]);
    let offers = table(&[&row(&[("region", "*")]), &egress]).offers;
    assert_eq!(offers.len(), 2);
    let with: Vec<_> = offers.iter().map(|offer| offer.egress.is_some()).collect();
    assert_eq!(with, [true, false]);
    let tiers = &offers[0].egress.as_ref().expect("egress").charge;
    assert!(matches!(tiers, Charge::PerUnit { tiers, .. } if tiers.len() == 2), "{tiers:?}");
}

#[test]
fn prices_that_nobody_means_are_left_out_and_named() {
    for (hourly, monthly, is_sane) in [
        ("", "10", true),
        ("0.01", "7", true),
        ("", "0", false),
        ("", "-1", false),
        ("", "1000001", false),
        ("0.01", "7.46", false),
        ("1", "10", false),
    ] {
        let table = table(&[&row(&[("hourly", hourly), ("monthly", monthly)])]);
        assert_eq!(table.quarantined.is_empty(), is_sane, "{hourly:?} {monthly:?}: {:?}", table.quarantined);
        assert_eq!(table.offers.len(), usize::from(is_sane), "{hourly:?} {monthly:?}");
    }
    assert_eq!(table(&[&block("free", "0:0 75:0.01", "")]).offers.len(), 1, "a free allowance");
    assert_eq!(table(&[&block("gift", "0", "")]).offers.len(), 0);
}

#[test]
fn a_mistake_names_its_line_and_what_to_write() {
    for (cells, words) in [
        ([("region", "r9")], "r1, r2"),
        ([("zone", "r9")], "no zone"),
        ([("currency", "EURO")], "ISO 4217"),
        ([("tax", "19")], "gross:19"),
        ([("kind", "machin")], "egress"),
        ([("market", "later")], "on_demand"),
        ([("vcpu", "two")], "number"),
        ([("memory_mib", "-1")], "size"),
        ([("monthly", "")], "price"),
        ([("attributes", "media")], "name=value"),
        ([("observed", "")], "2026"),
        ([("observed", "soon")], "date"),
        ([("observed", "2999-01-01")], "2999-01-01 is not the day of a price"),
        ([("vcpu", "0")], "vcpu"),
        ([("vcpu", "")], "vcpu"),
        ([("memory_mib", "0")], "memory_mib"),
        ([("kind", "egress")], "by quantity"),
    ] {
        let said = mistake(&[&row(&[]), &row(&cells)]);
        assert!(said.contains(words) && said.contains('3'), "{cells:?}: {said}");
    }
    assert!(mistake(&["machine,small"]).contains("columns"));
    let said = Table::from_csv(&provider(), "kind,sku,sku\n").expect_err("a mistake").to_string();
    assert!(said.contains("line 1: two columns are called `sku`"), "{said}");
    let said = Table::from_csv(&provider(), "kind,sku,regoin\n").expect_err("a mistake").to_string();
    assert!(said.contains("`regoin`") && said.contains("`region`"), "{said}");
}

#[test]
fn nobody_pays_for_traffic_to_leave() {
    let egress = |price| row(&[("kind", "egress"), ("monthly", ""), ("unit", "GB"), ("unit_price", price)]);
    assert_eq!(table(&[&egress("0")]).offers.len(), 0);
    for price in ["-0.01", "0:0 100:-0.01"] {
        assert!(mistake(&[&egress(price)]).contains("zero or more"), "{price}");
    }
}

#[test]
fn a_file_without_a_header_is_empty() {
    let said = Table::from_csv(&provider(), "").expect_err("a mistake").to_string();
    assert!(said.contains("the file is empty; write the line kind,sku,region"), "{said}");
}

/// Nobody can tell which of two prices is meant; the day does not say it, as a table has the prices of one time.
#[test]
fn a_row_that_stands_twice_is_a_mistake() {
    let later = row(&[("observed", "2026-11-02"), ("monthly", "11")]);
    let said = mistake(&[&row(&[("sku", "other")]), &row(&[]), &later]);
    assert!(
        said.contains("line 4") && said.contains("small in acme/r1 is priced by line 3 already"),
        "{said}"
    );
    let said = mistake(&[&row(&[("region", "r1")]), &row(&[("region", "*")])]);
    assert!(said.contains("line 3") && said.contains("keep one row for it"), "{said}");
    let traffic = bare("egress", &[("sku", "traffic"), ("unit", "GB"), ("unit_price", "0.01")]);
    let said = mistake(&[&traffic, &traffic.replace("traffic", "other")]);
    assert!(said.contains("line 3") && said.contains("the traffic in acme/r1 is priced by line 2"), "{said}");
    let text = serde_json::json!({ "format": "fulcrum-catalogue/1", "providers": [{ "id": "p", "name": "p", "legal_name": "p",
        "country": "DE", "regions": [{ "id": "r", "country": "DE" }], "offers": vec![serde_json::json!({ "kind": "machine",
        "sku": "m", "region": "r", "vcpu": 1, "memory_mib": 1, "monthly": 1, "currency": "EUR", "tax": "net",
        "observed": "2026-11-01", "source": "a test" }); 2] }] });
    let said = Table::from_json(&text.to_string()).expect_err("a mistake").to_string();
    assert!(said.contains("providers[0].offers[1].sku") && said.contains("by another row already"), "{said}");
    // Other places and other terms are other offers.
    let rows = [row(&[]), row(&[("region", "r2")]), row(&[("market", "spot")])];
    assert_eq!(table(&[&rows[0], &rows[1], &rows[2]]).offers.len(), 3);
}

/// Blueprints ask for one name of each.
#[test]
fn an_architecture_has_one_name() {
    for (written, words) in
        [("amd64", "write x86_64"), ("aarch64", "write arm64"), ("sparc", "write one of x86_64, ")]
    {
        let said = mistake(&[&row(&[("architecture", written)])]);
        assert!(said.contains("architecture: line 2") && said.contains(words), "{said}");
    }
    for right in ["", "x86_64", "arm64", "riscv64"] {
        assert_eq!(table(&[&row(&[("architecture", right)])]).offers.len(), 1, "{right}");
    }
}

#[test]
fn regions_are_different_ones_and_on_the_globe() {
    for (regions, words) in [
        (r#"{"id": "r1", "country": "DE"}, {"id": "r1", "country": "US"}"#, "regions[1].id: two regions are"),
        (
            r#"{"id": "r1", "country": "DE", "latitude": 500, "longitude": 9}"#,
            "regions[0].latitude: write degrees",
        ),
        (
            r#"{"id": "r1", "country": "DE", "latitude": 50, "longitude": -181}"#,
            "regions[0].longitude: write",
        ),
        (r#"{"id": "r1", "country": "DE", "zones": ["a", "a"]}"#, "regions[0].zones: two zones are"),
    ] {
        let provider = format!(
            r#"{{"id": "acme", "name": "Acme", "legal_name": "Acme GmbH", "country": "DE", "regions": [{regions}]}}"#
        );
        let said = Table::from_csv(&parse_json(&provider).expect("a form"), HEADER).expect_err("a mistake");
        assert!(said.to_string().contains(words), "{said}");
        let catalogue = format!("{{\"format\": \"fulcrum-catalogue/1\", \"providers\": [\n{provider}]}}");
        let said = Table::from_json(&catalogue).expect_err("a mistake");
        assert!(format!("{}: {}", said.path, said.message).contains(words) && said.line == 2, "{said}");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("acme.json"), &provider).expect("written");
        std::fs::write(folder.path().join("acme.csv"), HEADER).expect("written");
        let said = Table::load(folder.path()).expect_err("a mistake").to_string();
        assert!(said.contains("acme.json: ") && said.contains(": line 1, column "), "{said}");
    }
    let twice = format!(r#"{{"format": "fulcrum-catalogue/1", "providers": [{PROVIDER}, {PROVIDER}]}}"#);
    let said = Table::from_json(&twice).expect_err("a mistake").to_string();
    assert!(said.contains("providers[1].id: ") && said.contains("two providers are called `acme`"), "{said}");
}

#[test]
fn cells_are_taken_as_they_are_written() {
    for sku in ["0012", "1e3", "true", "007.0", "-0", "NaN", "null"] {
        assert_eq!(table(&[&row(&[("sku", sku)])]).offers[0].sku.as_str(), sku);
    }
    let exact = "0.1234567890123456789012345678";
    let offers = table(&[&row(&[("monthly", exact)])]).offers;
    assert!(matches!(&offers[0].price.charge, Charge::Monthly(price) if price.to_string() == exact));
}

#[test]
fn a_catalogue_in_json_is_read_as_strictly_as_one_in_csv() {
    let catalogue = |cells: &str| {
        let offer = format!(
            r#"{{"kind": "machine", "sku": "0012", "region": "r2", "vcpu": 2, "memory_mib": "4096", "disk_gib": 40,
                "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test", {cells}}}"#
        );
        let provider = PROVIDER.trim_end_matches('}').trim_end_matches(']');
        let provider = format!("{provider}], \"offers\": [{offer}]}}");
        Table::from_json(&format!(r#"{{"format": "fulcrum-catalogue/1", "providers": [{provider}]}}"#))
    };
    let tables = catalogue(r#""hourly": 0.01"#).expect("a catalogue");
    let offer = &tables[0].offers[0];
    assert_eq!((offer.sku.as_str(), offer.capacity.vcpu_milli), ("0012", 2000));
    assert!(matches!(&offer.price.charge, Charge::Hourly(price) if price.to_string() == "0.01"));
    for (cells, words) in [
        (r#""hourli": 1"#, "did you mean `hourly`"),
        (r#""hourly": 0.12345678901234567"#, "in quotes"),
        (r#""hourly": 1, "unit_price": 1"#, "not both"),
        (r#""hourly": true"#, "text or a number"),
        (r#""hourly": 1, "zone": "r9""#, "no zone"),
    ] {
        let said = catalogue(cells).expect_err(cells).to_string();
        assert!(said.contains(words) && said.contains("providers[0].offers[0]"), "{cells}: {said}");
        assert!(said.contains(": line "), "{cells}: {said}");
    }
}

#[test]
fn text_that_is_no_catalogue_is_an_error_and_never_a_panic() {
    for text in ["", "{", "[]", "null", "{\"format\":\"fulcrum-catalogue/9\",\"providers\":[]}"] {
        Table::from_json(text).expect_err(text);
    }
    let seed = 0x5eed_u64;
    let mut state = seed;
    let whole = format!("{HEADER}\n{}\n{}\n", row(&[]), block("b", "0:0 9:1", "media=ssd"));
    for round in 0..3000 {
        let mut bytes = whole.clone().into_bytes();
        for _ in 0..=round % 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = b"0,-\"\n:e9 *"[(state >> 20) as usize % 10];
        }
        let text = String::from_utf8_lossy(&bytes);
        let read = std::panic::catch_unwind(|| drop(Table::from_csv(&provider(), &text)));
        assert!(read.is_ok(), "seed {seed:#x}, round {round}: {text}");
    }
}

#[test]
fn all_that_is_missing_in_a_row_is_told_at_once() {
    let text = mistake(&[&row(&[("tax", ""), ("observed", ""), ("source", "")])]);
    let words = "line 2: tax, observed and source are missing; write tax: net, or gross:19 for 19 % inside; observed: the \
                 day of the price, such as 2026-11-20; source: where the price was read";
    assert_eq!(text, words);
    // A column that is not there is like one that is empty.
    let csv = "kind,sku,region,vcpu,memory_mib,monthly\nmachine,small,r1,2,4096,10\n";
    let text = Table::from_csv(&provider(), csv).expect_err("four columns are missing").to_string();
    assert!(text.starts_with("line 2: currency, tax, observed and source are missing; "), "{text}");
    let json = r#"{"format": "fulcrum-catalogue/1", "providers": [{"id": "acme", "name": "A", "legal_name": "A", "country": "DE",
        "regions": [{"id": "r1", "country": "DE"}], "offers": [{"kind": "machine", "sku": "s", "region": "r1", "monthly": 1}]}]}"#;
    let text = Table::from_json(json).expect_err("as much is missing").to_string();
    assert!(
        text.contains("providers[0].offers[0]: line 2, column") && text.contains("tax, observed and"),
        "{text}"
    );
    // Traffic has neither product code nor source.
    let text = mistake(&["egress,,,,,,,,,,,,,,,,,,,,,"]);
    assert!(text.starts_with("line 2: region, currency and tax are missing; "), "{text}");
}

#[test]
fn other_separators_are_recognised() {
    for (separator, words) in [(";", "`;`"), ("\t", "tabs"), ("|", "`|`")] {
        let csv = format!("{HEADER}\n{}\n", row(&[("monthly", "4.50")])).replace(',', separator);
        let text = Table::from_csv(&provider(), &csv).expect_err("no commas").to_string();
        assert_eq!(
            text,
            format!(
                "line 1: the columns are separated by {words}; separate them by commas: save the file as CSV with commas"
            )
        );
        let text = mistake(&[&row(&[]), &row(&[]).replace(',', separator)]);
        assert!(
            text.starts_with(&format!("line 3: the columns of this row are separated by {words}; ")),
            "{text}"
        );
    }
    let text = Table::from_csv(&provider(), "kind,sku,price;eur\n").expect_err("no such column").to_string();
    assert!(text.contains("unknown column `price;eur`"), "{text}");
}

#[test]
fn a_row_of_a_list_is_left_out_by_itself_and_named() {
    let good = Row {
        kind: "machine".to_owned(),
        sku: Some("small".parse().expect("a name")),
        region: "r1".to_owned(),
        vcpu: Some(2.into()),
        memory_mib: Some(4096.into()),
        monthly: Some(10.into()),
        currency: "EUR".to_owned(),
        tax: "net".to_owned(),
        observed: Some(jiff::civil::date(2026, 11, 1)),
        source: "GET /prices".to_owned(),
        ..Row::default()
    };
    let odd = Row { sku: Some("odd".parse().expect("a name")), currency: "eur".to_owned(), ..good.clone() };
    let table = Table::from_rows(&provider(), vec![odd, good, Row::default()]).expect("a table");
    let named: Vec<_> = table.rejected.iter().map(|row| format!("{}: {}", row.row, row.reason)).collect();
    assert_eq!(named[0], "rows[0], odd in r1: currency: \"eur\" is not a currency of ISO 4217; write EUR");
    assert!(
        named[1].starts_with("rows[2]: kind, sku, region, currency, tax, observed and source are missing"),
        "{named:?}"
    );
    let authorities: Vec<_> = table.offers.iter().map(|offer| offer.provenance.authority).collect();
    assert_eq!(authorities, [PriceAuthority::Listing]);
    // In a file the same is a mistake of its author.
    assert!(mistake(&[&row(&[("currency", "eur")])]).contains("line 2"));
    assert_eq!(self::table(&[&row(&[])]).offers[0].provenance.authority, PriceAuthority::Table);
}

#[test]
fn a_text_that_is_not_utf_8_says_so_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("acme.csv");
    std::fs::write(folder.path().join("acme.json"), PROVIDER).expect("written");
    let text = format!("{HEADER}\n{}\n", row(&[]));
    let wide = |mark: &[u8], of: fn(u16) -> [u8; 2]| {
        mark.iter().copied().chain(text.encode_utf16().flat_map(of)).collect::<Vec<u8>>()
    };
    for (bytes, words) in [
        (wide(&[0xff, 0xfe], u16::to_le_bytes), "the text is UTF-16, or no text; save it as UTF-8"),
        (wide(&[0xfe, 0xff], u16::to_be_bytes), "the text is UTF-16, or no text; save it as UTF-8"),
        (wide(&[], u16::to_le_bytes), "the text is UTF-16, or no text; save it as UTF-8"),
        ([text.as_bytes(), b"\xfc"].concat(), "line 3: the text is not UTF-8; save it as UTF-8"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let error = Table::load(&path).expect_err("no UTF-8").to_string();
        assert_eq!(error, format!("{}: {words}", path.display()));
    }
    let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    std::fs::write(&path, marked).expect("written");
    assert_eq!(Table::load(&path).expect("a table")[0].offers.len(), 1);
    assert_eq!(read_text(&path).expect("text"), text);
    let config = "\u{feff}{ ledger: ':memory:', providers: [] }";
    std::fs::write(&path, config).expect("written");
    let read = FederationConfig::from_yaml(&read_text(&path).expect("text")).expect("a configuration");
    assert_eq!((read.max_offer_age_hours, read.max_rates_age_days, read.max_table_age_days), (24, 7, 90));
}

/// What a few bytes can stand for: each row is built once for each place, with what is due there.
#[test]
fn what_rows_come_to_is_limited() {
    let said = mistake(&[&row(&[("region", "r1 r2 r1")])]);
    assert!(said.contains("\"r1\" is named twice; name it once"), "{said}");
    let said = mistake(&[&row(&[("zone", "r1-a r1-a")])]);
    assert!(said.contains("\"r1-a\" is named twice"), "{said}");
    let surcharge = row(&[("kind", "surcharge"), ("vcpu", ""), ("memory_mib", ""), ("disk_gib", "")]);
    assert_eq!(table(&[surcharge.as_str(); 32]).offers.len(), 0);
    let said = mistake(&[surcharge.as_str(); 33]);
    assert!(said.contains("more than 32 surcharges in acme/r1"), "{said}");
    let said = mistake(&[&row(&[("source", "a\u{202e}b")])]);
    assert!(said.contains("the text has invisible characters"), "{said}");
    let said = mistake(&[&row(&[("sku", "a\u{200b}")])]);
    assert!(said.contains("sku: "), "{said}");
    let said = mistake(&[&row(&[("source", &"x".repeat(1_001))])]);
    assert!(said.contains("write at most 1000 characters"), "{said}");
    let tiers = |count: usize| (0..count).map(|at| format!("{at}:1")).collect::<Vec<_>>().join(" ");
    assert_eq!(table(&[&block("b", &tiers(100), "")]).offers.len(), 1);
    let said = mistake(&[&block("b", &tiers(101), "")]);
    assert!(said.contains("write at most 100 tiers"), "{said}");

    let of = |regions: usize, rows: Vec<serde_json::Value>| {
        let regions: Vec<_> =
            (0..regions).map(|at| serde_json::json!({ "id": format!("r{at}"), "country": "DE" })).collect();
        let provider = serde_json::json!({ "id": "p", "name": "p", "legal_name": "p", "country": "DE",
            "regions": regions, "offers": rows });
        let text =
            serde_json::json!({ "format": "fulcrum-catalogue/1", "providers": [provider] }).to_string();
        Table::from_json(&text).map(|tables| tables.into_iter().flat_map(Table::into_listed).count())
    };
    let row = |kind: &str, unit_price: Option<String>| {
        let mut row = serde_json::json!({ "kind": kind, "sku": "m", "region": "*", "vcpu": 2, "memory_mib": 4096,
            "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test" });
        match unit_price {
            Some(price) => (row["unit"], row["unit_price"]) = ("GiB-month".into(), price.into()),
            None => row["monthly"] = "10".into(),
        }
        row
    };
    let numbered = |row: serde_json::Value, count: usize| -> Vec<serde_json::Value> {
        let with_sku = |at| {
            let mut row = row.clone();
            row["sku"] = format!("m{at}").into();
            row
        };
        (0..count).map(with_sku).collect()
    };
    for (regions, rows, words) in [
        (10_001, vec![], "regions: line"),
        (10_000, numbered(row("machine", None), 51), "more than 500000 offers; sell fewer"),
        (10_000, vec![row("surcharge", None); 51], "more than 32 surcharges"),
        (1_000, numbered(row("block_storage", Some(tiers(100))), 21), "more than 2000000 tiers of prices"),
        (1, vec![serde_json::json!({}); 510_001], "more than 500000 rows"),
    ] {
        let said = of(regions, rows).expect_err(words).to_string();
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(of(10_000, vec![row("machine", None), row("surcharge", None)]).expect("it fits"), 10_000);
    let csv = format!("{HEADER}\n{}", (",".repeat(21) + "\n").repeat(500_001));
    let said = Table::from_csv(&provider(), &csv).expect_err("too many").to_string();
    assert!(said.contains("more than 500000 rows"), "{said}");
}

/// Offers of one place have its place and what is due there together, not each for itself.
#[test]
fn offers_share_their_place_and_what_is_due_there() {
    let due = |sku: &str, with: &str, zone: &str| {
        let attributes = format!("with={with}");
        row(&[
            ("kind", "surcharge"),
            ("sku", sku),
            ("zone", zone),
            ("attributes", &attributes),
            ("vcpu", ""),
            ("memory_mib", ""),
            ("disk_gib", ""),
        ])
    };
    let table = table(&[
        &due("late", "machine machine machine", "r1-a"),
        &row(&[("sku", "a"), ("zone", "r1-a r1-b")]),
        &row(&[("sku", "b"), ("zone", "r1-a")]),
        &due("all", "machine", ""),
    ]);
    let [one, other, two] = table.offers.as_slice() else { panic!("{:?}", table.offers) };
    let skus = |offer: &Offer| offer.surcharges.iter().map(|it| it.sku.to_string()).collect::<Vec<_>>();
    assert_eq!((skus(one), skus(other)), (vec!["late".to_owned(), "all".to_owned()], vec!["all".to_owned()]));
    assert!(std::sync::Arc::ptr_eq(&one.surcharges, &two.surcharges));
    assert!(std::sync::Arc::ptr_eq(&one.place, &two.place));
}

/// One file may be named many times, and each time it is read anew.
#[tokio::test]
async fn all_catalogues_of_a_document_together_have_an_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let regions: Vec<_> =
        (0..5_000).map(|at| serde_json::json!({ "id": format!("r{at}"), "country": "DE" })).collect();
    let offer = |sku: usize| {
        serde_json::json!({ "kind": "machine", "sku": format!("m{sku}"), "region": "*", "vcpu": 2,
            "memory_mib": 4096, "disk_gib": 40, "monthly": "10", "currency": "EUR", "tax": "net",
            "observed": "2026-11-01", "source": "a test" })
    };
    let provider = serde_json::json!({ "id": "p", "name": "p", "legal_name": "p", "country": "DE",
        "regions": regions, "offers": (0..51).map(offer).collect::<Vec<_>>() });
    let text = serde_json::json!({ "format": "fulcrum-catalogue/1", "providers": [provider] }).to_string();
    std::fs::write(folder.path().join("c.json"), text).expect("written");
    let of = |count: usize| {
        let text =
            format!("{{ ledger: ':memory:', providers: [{}] }}", "catalogue_file: c.json,".repeat(count));
        FederationConfig::from_yaml(&text).expect("a document")
    };
    let why = of(5).open(folder.path()).await.expect_err("too many").to_string();
    assert!(why.contains("providers: the catalogues have more than 500000 offers together"), "{why}");
    let why = of(1_001).open(folder.path()).await.expect_err("too many").to_string();
    assert!(why.contains("these are 1001; write at most 1000"), "{why}");
}

/// A row of another kind, without the cells of a machine.
fn bare(kind: &str, cells: &[(&str, &str)]) -> String {
    let none = [("kind", kind), ("vcpu", ""), ("memory_mib", ""), ("disk_gib", ""), ("monthly", "")];
    // Of two cells of a column the first counts.
    row(&cells.iter().copied().chain(none).collect::<Vec<_>>())
}

fn address(with: &str) -> String {
    let attributes = format!("version=4;with={with}");
    bare("public_ip", &[("sku", "ipv4"), ("monthly", "0.50"), ("attributes", &attributes)])
}

fn lines(offer: &Offer) -> Vec<&str> {
    offer.surcharges.iter().map(|it| it.sku.as_str()).collect()
}

#[test]
fn a_row_is_paid_with_the_products_that_it_names() {
    let marked = row(&[("sku", "marked"), ("region", "r1"), ("attributes", "public_ipv4=extra")]);
    let included = row(&[("sku", "included"), ("attributes", "public_ipv4=included")]);
    let unmarked = row(&[("sku", "unmarked")]);
    let balancer =
        bare("load_balancer", &[("sku", "balancer"), ("monthly", "9"), ("attributes", "public_ipv4=extra")]);
    let elsewhere = row(&[("sku", "elsewhere"), ("region", "r2")]);
    let table = table(&[
        &marked,
        &included,
        &unmarked,
        &balancer,
        &elsewhere,
        &address("machine load_balancer public_ipv4=extra"),
    ]);
    assert!(table.rejected.is_empty() && table.quarantined.is_empty());
    let paid: Vec<_> = table.offers.iter().map(|offer| (offer.sku.as_str(), lines(offer))).collect();
    assert_eq!(
        paid,
        [
            ("marked", vec!["ipv4"]),
            ("included", vec![]),
            ("unmarked", vec![]),
            ("balancer", vec!["ipv4"]),
            ("elsewhere", vec![]),
            ("ipv4", vec![]),
        ]
    );
    // A surcharge may name them, too. It is not sold by itself.
    let surcharge = bare(
        "surcharge",
        &[("sku", "licence"), ("monthly", "3"), ("attributes", "with=machine public_ipv4=included")],
    );
    let offers = self::table(&[&included, &unmarked, &surcharge]).offers;
    assert_eq!(offers.iter().map(lines).collect::<Vec<_>>(), [vec!["licence"], vec![]]);
}

#[test]
fn a_product_of_which_a_part_has_no_price_is_left_out_and_named() {
    let marked = row(&[("region", "*"), ("attributes", "public_ipv4=extra")]);
    let table = table(&[&marked, &address("machine public_ipv4=extra")]);
    assert_eq!(table.offers.iter().filter(|offer| offer.sku.as_str() == "small").count(), 1);
    let [left_out] = table.rejected.as_slice() else { panic!("{:?}", table.rejected) };
    assert_eq!(left_out.row, "acme/r2/small");
    assert_eq!(
        left_out.reason,
        "its public_ipv4 is extra, and no row prices it there; add one with the attribute `with=machine public_ipv4=extra`"
    );
    // Of two rows that price the same part the first counts, as one address is ordered.
    let dearer = address("machine public_ipv4=extra").replace("ipv4,", "another,").replace("0.50", "0.60");
    let twice = self::table(&[&marked, &address("machine public_ipv4=extra"), &dearer]).offers;
    assert_eq!(lines(&twice[0]), ["ipv4"]);
    assert_eq!(twice[0].surcharges[0].price.charge, Charge::Monthly(rust_decimal::Decimal::new(50, 2)));
    // One that goes with all machines does not say that it is the address.
    assert_eq!(self::table(&[&marked, &address("machine")]).offers.len(), 1);
}

#[test]
fn a_disk_that_is_extra_is_bought_by_size() {
    let database = |sku: &str, attributes: &str| {
        bare("database", &[("sku", sku), ("vcpu", "2"), ("monthly", "20"), ("attributes", attributes)])
    };
    let disk = |sku: &str, price: &str, attributes: &str| {
        bare(
            "surcharge",
            &[("sku", sku), ("unit", "GiB-month"), ("unit_price", price), ("attributes", attributes)],
        )
    };
    let offers = table(&[
        &database("single", "storage=extra;ha=no"),
        &database("double", "storage=extra;ha=yes"),
        &database("none", ""),
        &disk("dear", "0.3", "with=database storage=extra ha=no"),
        &disk("cheap", "0.1", "with=database storage=extra ha=no;least_gib=20"),
        &disk("twice", "0.2", "with=database storage=extra ha=yes;least_gib=5;least_billed_gib=6"),
        &block("volume", "0.01", ""),
    ])
    .offers;
    let of = |sku: &str| offers.iter().find(|offer| offer.sku.as_str() == sku).expect("it is sold");
    let disk_of = |sku: &str| of(sku).elastic_disk.as_ref().map(|disk| disk.sku.to_string());
    assert_eq!(disk_of("single"), Some("cheap".to_owned()));
    assert_eq!(disk_of("double"), Some("twice".to_owned()));
    assert_eq!(disk_of("none"), None, "block storage is for machines");
    assert_eq!(offers.len(), 4, "disks of other products are not sold by themselves");
    // The least disk is there, and paid.
    let least = |sku: &str| (of(sku).capacity.disk_gib, of(sku).surcharges[0].price.charge.clone());
    let monthly = |cents: i64| Charge::Monthly(rust_decimal::Decimal::new(cents, 2));
    assert_eq!(least("single"), (20, monthly(200)));
    assert_eq!(least("double"), (5, monthly(120)));

    let machines = [row(&[("disk_gib", "")]), row(&[("sku", "other"), ("disk_gib", "")])];
    let table = table(&[
        &machines[0],
        &machines[1],
        &block("volume", "0.05", "least_gib=10"),
        &row(&[("sku", "own")]),
    ]);
    let [one, other, _, own] = table.offers.as_slice() else { panic!("{:?}", table.offers) };
    assert_eq!((one.capacity.disk_gib, lines(one), lines(own)), (10, vec!["volume"], vec![]));
    assert!(std::sync::Arc::ptr_eq(&one.surcharges, &other.surcharges), "their lines are shared");
}

#[test]
fn a_mistake_about_parts_is_told_in_words() {
    let surcharge =
        |attributes: &str| mistake(&[&bare("surcharge", &[("monthly", "1"), ("attributes", attributes)])]);
    for (attributes, words) in [
        ("with=", "with: no kind of product is named; write with=machine"),
        ("with=storage=extra", "with: no kind of product is named"),
        ("with=machin", "with: \"machin\" is not a kind of offer"),
        ("with=machine a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1", "with: name at most 8 attributes"),
    ] {
        let said = surcharge(attributes);
        assert!(said.contains("line 2") && said.contains(words), "{attributes}: {said}");
    }
    let by_size = |attributes: &str| {
        let cells = [("unit", "GiB-month"), ("unit_price", "0.1"), ("attributes", attributes)];
        mistake(&[&bare("surcharge", &cells)])
    };
    for (attributes, words) in [
        ("", "a price by quantity is the disk of other products; name them, as with=database"),
        ("with=database;least_gib=few", "least_gib: write a whole number of GiB, 1 or more"),
        ("with=database;least_gib=0", "least_gib: write a whole number of GiB"),
        ("with=database;least_billed_gib=9", "least_billed_gib: write least_gib, too"),
    ] {
        let said = by_size(attributes);
        assert!(said.contains("line 2") && said.contains(words), "{attributes}: {said}");
    }
    let spot = bare("public_ip", &[("monthly", "1"), ("market", "spot"), ("attributes", "with=machine")]);
    assert!(mistake(&[&spot]).contains("with: what goes with other products is on demand"));
}
