//! Documents as trees: text in YAML or JSON becomes a tree, and types are read from trees.
//!
//! So each type is compiled for one reader instead of one for each form, and mistakes have the same words in both.

mod fault;
mod json;
mod node;
mod read;
mod words;
mod yaml;

pub(crate) use fault::Fault;
pub(super) use json::{Rules, read as read_json};
pub(super) use node::{Field, Node, Position, Value};
pub(super) use read::{read, read_known};
pub(crate) use words::{bounded, nearest};
pub(super) use yaml::read as read_yaml;

/// Whether a scalar of YAML without quotes is nothing (YAML 1.2.2, section 10.3.2).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    const RULES: Rules = Rules { max_values: 100, may_repeat: false };

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        vcpu: u64,
        #[serde(default)]
        label: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Condition {
        Spread { over: String, at_least: u8 },
        OneOf(Vec<String>),
        Nothing,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        name: String,
        #[serde(default)]
        is_on: bool,
        #[serde(default)]
        ratio: Option<f64>,
        #[serde(default)]
        items: BTreeMap<String, Item>,
        #[serde(default)]
        conditions: Vec<Condition>,
        #[serde(default)]
        any: serde_json::Value,
    }

    fn yaml(text: &str) -> Result<Document, Fault> {
        read(&read_yaml(text)?)
    }

    fn fault_of(text: &str) -> (String, u32, u32, String) {
        let fault = yaml(text).expect_err(text);
        (fault.path(), fault.at.line, fault.at.column, fault.message.clone())
    }

    /// The type that reads a scalar decides what it is.
    #[test]
    fn a_scalar_is_what_its_reader_asks_for() {
        let read = yaml(
            "name: 1.10\nis_on: True\nratio: 3\nitems: { a: { vcpu: \"2\", label: 007 }, b: { vcpu: 0x10, label: ~ } }\n\
             any: [1, -2, 1.5, 007, 1_000, yes, true, ~, \"1\", !!str 5, 1e3]\n\
             conditions: [nothing, { one_of: [a, b] }, { spread: { over: zone, at_least: 2 } }]\n",
        )
        .expect("a document");
        assert_eq!((&*read.name, read.is_on, read.ratio), ("1.10", true, Some(3.0)));
        let item = |vcpu, label: Option<&str>| Item { vcpu, label: label.map(str::to_owned) };
        assert_eq!((&read.items["a"], &read.items["b"]), (&item(2, Some("007")), &item(16, None)));
        assert_eq!(read.any, serde_json::json!([1, -2, 1.5, 7.0, 1000, "yes", true, null, "1", "5", 1000.0]));
        let names = vec!["a".to_owned(), "b".to_owned()];
        let spread = Condition::Spread { over: "zone".to_owned(), at_least: 2 };
        assert_eq!(read.conditions, [Condition::Nothing, Condition::OneOf(names), spread]);
    }

    #[test]
    fn a_mistake_has_its_path_and_its_place() {
        for (text, path, line, column, words) in [
            ("name: x\nitems: { a: { vcpu: -1 } }\n", "items.a.vcpu", 2, 21, "a whole number from 0"),
            ("name: x\nitems: { a: { vcpus: 1 } }\n", "items.a.vcpus", 2, 15, "did you mean `vcpu`?"),
            ("name: x\nitems: { a: {} }\n", "items.a", 2, 13, "`vcpu` is missing"),
            ("name: x\nname: y\n", "", 2, 1, "`name` is written twice"),
            ("name: ~\n", "name", 1, 7, "nothing is written here"),
            ("name: x\nis_on: yes\n", "is_on", 2, 8, "write true or false"),
            ("name: x\nratio: .inf\n", "ratio", 2, 8, "a number such as 12.5"),
            ("name: x\nconditions: [spread]\n", "conditions[0]", 2, 14, "this word needs fields"),
            ("name: x\nconditions: [{ nothing: ~, one_of: [] }]\n", "conditions[0]", 2, 28, "only one word"),
            ("name: x\n? [a]\n: b\n", "", 2, 3, "cannot be a name"),
            ("name: !thing x\n", "name", 1, 14, "a !tag is not read"),
            ("name: [1", "name", 1, 7, "ends too early"),
        ] {
            let told = fault_of(text);
            assert_eq!((&*told.0, told.1, told.2), (path, line, column), "{text}{}", told.3);
            assert!(told.3.contains(words), "{text}{}", told.3);
        }
    }

    #[test]
    fn aliases_repeat_a_part_and_cannot_make_much_of_little() {
        let read =
            yaml("name: x\nitems: { a: &b { vcpu: 1 }, c: *b, d: { <<: *b, label: y } }\n").expect("read");
        assert_eq!((read.items["c"].vcpu, read.items["d"].vcpu), (1, 1));
        assert_eq!(read.items["d"].label.as_deref(), Some("y"));
        assert!(read_yaml("&a [*a]").is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..9 {
            let part = vec![format!("*a{}", at - 1); 10].join(", ");
            bomb += &format!("a{at}: &a{at} [{part}]\n");
        }
        let why = read_yaml(&bomb).expect_err("a bomb").message.clone();
        assert!(why.contains("repeats itself too often"), "{why}");
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(70) + "1" + &"}".repeat(70)] {
            read_yaml(&deep).expect_err("too deep");
        }
        let many: String = (0..20_000).map(|at| format!("k{at}: 1\n")).collect();
        assert!(
            matches!(read_yaml(&many).expect("many").value, Value::Fields(fields) if fields.len() == 20_000)
        );
    }

    #[test]
    fn json_has_so_many_values_and_each_name_once() {
        fn read(text: &str, rules: Rules) -> Result<Node<'_>, (String, String)> {
            read_json(text.as_bytes(), rules).map_err(|fault| (fault.path(), fault.message.clone()))
        }
        let long = format!("[{}1]", "1,".repeat(98));
        assert!(read(&long, RULES).is_ok());
        let (path, why) = read(&format!("[{}1]", "1,".repeat(99)), RULES).expect_err("too many");
        assert_eq!((&*path, &*why), ("[99]", "the document has more than 100 values; write fewer"));
        for text in [r#"{"a": {"b": 1, "b": 2}}"#, r#"{"a": {"b": 1, "c": 2, "\u0062": 2}}"#] {
            let (path, why) = read(text, RULES).expect_err("twice");
            assert!(path == "a" && why.contains("`b` is written twice"), "{path}: {why}");
            let node = read(text, Rules { may_repeat: true, ..RULES }).expect("the last one counts");
            let value: serde_json::Value = super::read(&node).expect("a value");
            assert_eq!(value["a"]["b"], 2);
        }
        for text in ["", "[", "{\"a\"}", "[1,]", "1 2", "nul"] {
            read(text, RULES).expect_err(text);
        }
    }

    #[test]
    fn a_path_leads_to_its_line_and_column() {
        let text = "\
name: x
components:
  web: { vcpu: 1, memory_mib: 5 }
  a.b:
    replicas:
      min: 2
constraints:
  - count: { components: [web], min: 1 }
  - conflict:
      component: web
      with:
        - db
";
        let json = "{\n  \"a\": [1, {\"b.c\": -2}],\n  \"d\": \"é\", \"e\": 7\n}\n";
        for (text, path, position) in [
            (text, "components", Some((2, 1))),
            (text, "components.web.vcpu", Some((3, 16))),
            (text, "components.web.disk_gib", Some((3, 3))),
            (text, "components.a.b.replicas", Some((5, 5))),
            (text, "components.a.b.replicas.min", Some((6, 12))),
            (text, "constraints[0]", Some((8, 5))),
            (text, "constraints[1].conflict", Some((9, 5))),
            (text, "constraints[1].conflict.with[0]", Some((12, 11))),
            (text, "budget", None),
            (json, "a", Some((2, 3))),
            (json, "a[0]", Some((2, 9))),
            (json, "a[1].b.c", Some((2, 20))),
            (json, "a[1].z", Some((2, 12))),
            (json, "a[7].z", Some((2, 3))),
            (json, "e", Some((3, 18))),
            (json, "z", None),
        ] {
            let found = read_yaml(text).expect("read").locate(path).map(|at| (at.line, at.column));
            assert_eq!(found, position, "{path}");
        }
    }
}
