//! The pages of a published package say which feature an item needs: docs.rs builds them with all features on.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{fs, path::Path};

const METADATA: &str = r#"[package.metadata.docs.rs]
all-features = true
rustdoc-args = ["--cfg", "docsrs"]
"#;
const ATTRIBUTE: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]\n";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

#[test]
fn each_published_package_says_which_feature_an_item_needs() {
    let workspace = read("Cargo.toml");
    let (_, members) = workspace.split_once("\nmembers = [").unwrap();
    let members = members.split_once(']').unwrap().0.split('"').skip(1).step_by(2);
    let is_published = |member: &&str| !read(&format!("{member}/Cargo.toml")).contains("\npublish = false\n");
    let published: Vec<&str> = members.filter(is_published).collect();
    assert!(published.contains(&"fulcrum-core"), "{published:?}");
    for member in published {
        assert!(
            read(&format!("{member}/Cargo.toml")).contains(METADATA),
            "{member}/Cargo.toml lacks {METADATA}"
        );
        assert!(
            read(&format!("{member}/src/lib.rs")).contains(ATTRIBUTE),
            "{member}/src/lib.rs lacks {ATTRIBUTE}"
        );
    }
}
