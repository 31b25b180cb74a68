//! Hostile documents are refused at once, in words of a length that people read: messages repeat no megabytes, and no word is compared
//! letter by letter with one that it cannot be a slip of.

use fulcrum_core::{model::Blueprint, provider::table::Table};
use serde_json::json;

#[test]
fn a_word_of_megabytes_is_refused_at_once_in_few_words() {
    let long = "x".repeat(8_000_000);
    let number = format!("1{}", "0".repeat(1_000_000));
    let begin = std::time::Instant::now();
    let mut refused = Vec::new();
    for document in [
        json!({ "name": "n", "components": { "a": { "kind": long } } }),
        json!({ "name": "n", "components": { "a": { long.clone(): 1 } } }),
        json!({ "name": "n", "components": { long.clone(): {} } }),
        json!({ "name": "n", "components": { long.clone(): { "vcpu": "many" } } }),
        json!({ "name": "n", "components": { "a": { "vcpu": long } } }),
        json!({ "name": "n", "components": { "a": { "vcpu": number } } }),
        json!({ "name": "n", "components": { "a": { "replicas": long } } }),
        json!({ "name": "n", "components": {}, "currency": long }),
        json!({ "name": "n", "components": {}, "constraints": [{ long.clone(): 1 }] }),
        json!({ "name": "n", "components": {}, "objective": long }),
        json!({ "name": "n", "components": {}, "where": { "providers": { "allow": [long] } } }),
    ] {
        let text = document.to_string();
        refused.push(Blueprint::from_json(&text).expect_err("too long").to_string());
        refused.push(Blueprint::from_yaml(&text).expect_err("too long").to_string());
    }
    refused.push(Table::rows(&format!("kind,{long}\n")).expect_err("too long").to_string());
    for why in refused {
        assert!(why.len() < 10_000, "{} bytes: {}", why.len(), &why[..200]);
    }
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}
