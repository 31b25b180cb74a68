//! The published document shows the figures that the command has written, and nothing else.

use std::{fs, path::Path};

use fulcrum_benches::{
    curves::{self, Point, Recomposed, figures, table},
    published::Error,
};

#[test]
fn the_document_of_curves_shows_the_figures_of_its_csv() -> Result<(), Error> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let points: Vec<Point> = curves::read(&docs.join("curves.csv"))?;
    let unshared: Vec<Point> = curves::read(&docs.join("curves-unshared.csv"))?;
    let again: Vec<Recomposed> = curves::read(&docs.join("curves-again.csv"))?;
    let text = fs::read_to_string(docs.join("curves.md"))?;
    assert!(text.contains(&table::points(&points)), "docs/curves.md is out of date; run: make curves");
    assert!(text.contains(&table::points(&unshared)), "docs/curves.md is out of date; run: make curves");
    assert!(text.contains(&table::again(&again)), "docs/curves.md is out of date; run: make curves");
    for (name, _) in figures::all(&points)? {
        assert!(docs.join("img").join(name).exists(), "docs/img/{name} is missing; run: make curves");
        assert!(text.contains(&format!("(img/{name})")), "docs/curves.md does not show {name}");
    }
    Ok(())
}
