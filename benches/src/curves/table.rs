//! The figures as Markdown tables.

use super::{Point, Recomposed};

/// A row for each market and application.
pub fn points(points: &[Point]) -> String {
    let rows = points.iter().map(|point| {
        let an_offer = |bytes| format!("{:.0}", point.an_offer(bytes));
        [
            format!("{} × {}", grouped(point.providers), point.regions),
            grouped(point.offers),
            point.components.to_string(),
            ms(Some(point.reduced_ms)),
            ms(point.first_ms),
            ms(point.one_percent_ms),
            point.gap_percent.map_or("–".to_owned(), |gap| format!("{gap:.2}")),
            an_offer(point.catalogue_bytes),
            an_offer(point.problem_bytes),
            an_offer(point.peak_bytes),
        ]
    });
    let heading = [
        "providers × regions",
        "offers",
        "components",
        "reduced, ms",
        "first plan, ms",
        "within 1 %, ms",
        "gap at the end, %",
        "catalogue, B/offer",
        "problem, B/offer",
        "peak, B/offer",
    ];
    table(heading.map(str::to_owned), rows)
}

/// A row for each market.
pub fn again(again: &[Recomposed]) -> String {
    let rows = again.iter().map(|row| {
        [
            grouped(row.offers),
            row.components.to_string(),
            ms(row.anew_ms),
            ms(row.again_ms),
            format!("{:.2}", row.anew_gap_percent),
            format!("{:.2}", row.again_gap_percent),
        ]
    });
    let heading = [
        "offers",
        "components",
        "anew within 1 %, ms",
        "again within 1 %, ms",
        "gap anew, %",
        "gap again, %",
    ];
    table(heading.map(str::to_owned), rows)
}

/// As wide as it must be, numbers to the right.
fn table<const N: usize>(heading: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heading).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if number == 0 {
            let rules: Vec<String> =
                widths.iter().map(|width| format!("{}:", "-".repeat(width - 1))).collect();
            text.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    text
}

/// Three digits say all that a run on a shared machine does.
fn ms(value: Option<f64>) -> String {
    match value {
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) if value < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
        None => "–".to_owned(),
    }
}

/// 1000000 as 1,000,000.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}
