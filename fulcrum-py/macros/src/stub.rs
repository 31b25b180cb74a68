//! Docstrings of the stub, which is the manual: the module has the same, for `help()`.

use std::{fs, path::PathBuf};

/// The stub, below the package that is being built.
pub(crate) const PATH: &str = "python/fulcrum_market/_fulcrum.pyi";

/// The docstring of a class, of a method in it, or of a function (`class` is empty).
///
/// # Errors
/// In words: the stub is not there.
pub(crate) fn docstring(class: &str, function: Option<&str>) -> Result<Option<String>, String> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let text = fs::read_to_string(root.join(PATH)).map_err(|error| format!("{PATH}: {error}"))?;
    Ok(find(&text, class, function))
}

fn find(text: &str, class: &str, function: Option<&str>) -> Option<String> {
    let mut lines = text.lines();
    if !class.is_empty() {
        let head = format!("class {class}");
        lines.find(|line| line.strip_prefix(&head).is_some_and(|rest| rest.starts_with([':', '('])))?;
    }
    let Some(function) = function else { return after(lines, "") };
    let indent = if class.is_empty() { "" } else { "    " };
    let heads = [format!("{indent}def {function}("), format!("{indent}async def {function}(")];
    // A class ends where the next line begins at the left.
    let mut inside =
        lines.by_ref().take_while(|line| class.is_empty() || line.is_empty() || line.starts_with(' '));
    let head = inside.find(|line| heads.iter().any(|head| line.starts_with(head)))?;
    drop(inside);
    if head.ends_with("...") {
        return None;
    }
    if !head.ends_with(':') {
        // Arguments on lines of their own: the head ends with a line that is indented as it began.
        let end = |line: &&str| line.starts_with(&format!("{indent})"));
        let last = lines.find(end)?;
        if last.ends_with("...") {
            return None;
        }
    }
    after(lines, indent)
}

/// The docstring that stands next, without its indentation.
fn after<'a>(mut lines: impl Iterator<Item = &'a str>, indent: &str) -> Option<String> {
    let inner = format!("{indent}    ");
    let first = lines.next()?.strip_prefix(&inner)?.strip_prefix("\"\"\"")?;
    if let Some(only) = first.strip_suffix("\"\"\"") {
        return Some(only.to_owned());
    }
    let mut docstring = first.to_owned();
    for line in lines {
        let line = line.strip_prefix(&inner).unwrap_or(line.trim_start());
        docstring.push('\n');
        if let Some(last) = line.strip_suffix("\"\"\"") {
            docstring.push_str(last);
            break;
        }
        docstring.push_str(line);
    }
    Some(docstring.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUB: &str = r#"
def alone(it: str) -> None:
    """Stands alone."""

@final
class One:
    """The first.

    It has more.
    """

    @property
    def name(self) -> str:
        """Its name."""
    def long(
        self,
        it: str,
    ) -> None:
        """Does much.

        Raises:
            ValueError: Never.
        """
    def bare(self) -> None: ...

class Two:
    """The second."""

    def name(self) -> str:
        """Another name."""
"#;

    #[test]
    fn docstrings_are_those_of_their_class() {
        let found = |class, function| find(STUB, class, function);
        assert_eq!(found("", Some("alone")).as_deref(), Some("Stands alone."));
        assert_eq!(found("One", None).as_deref(), Some("The first.\n\nIt has more."));
        assert_eq!(found("One", Some("name")).as_deref(), Some("Its name."));
        assert_eq!(
            found("One", Some("long")).as_deref(),
            Some("Does much.\n\nRaises:\n    ValueError: Never.")
        );
        assert_eq!(found("Two", Some("name")).as_deref(), Some("Another name."));
    }

    #[test]
    fn what_has_none_gets_none() {
        assert_eq!(find(STUB, "One", Some("bare")), None);
        assert_eq!(find(STUB, "Two", Some("long")), None);
        assert_eq!(find(STUB, "Three", None), None);
    }
}
