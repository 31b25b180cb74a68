//! YAML 1.2 to a tree. Scalars without quotes stay text until a type asks for them.

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    super::limits,
    fault::Fault,
    is_null,
    node::{Field, FieldsBuilder, Node, Position, Value},
    words,
};

/// How deep lists and maps may stand in each other.
const MAX_DEPTH: usize = 64;
/// Values that aliases may add to a document.
const MAX_ALIASED_VALUES: usize = 100_000;

/// Reads the one document of a text.
pub(in crate::model) fn read(text: &str) -> Result<Node<'_>, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let told = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                // A list that is not closed has no item that is wrong.
                builder.open.pop_if(|open| matches!(open.kind, Kind::List(_)));
                Err(scan_fault(&error, text))
            }
        };
        told.map_err(|fault| builder.located(fault))?;
    }
    builder.document.filter(|_| !words::is_blank(text)).ok_or_else(Fault::empty_document)
}

fn position(span: Span) -> Position {
    let part = |number: usize| u32::try_from(number).unwrap_or(0);
    Position { line: part(span.start.line()), column: part(span.start.col() + 1) }
}

/// A list or a map that is not closed yet.
struct Open<'t> {
    at: Position,
    anchor: usize,
    kind: Kind<'t>,
}

enum Kind<'t> {
    List(Vec<Node<'t>>),
    Fields {
        fields: FieldsBuilder<'t>,
        /// Maps whose fields are added where they are not written (`<<`).
        merged: Vec<Node<'t>>,
        /// The name whose value comes next.
        name: Option<(Cow<'t, str>, Position)>,
    },
}

#[derive(Default)]
struct Builder<'t> {
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, Node<'t>>,
    /// Values that have been read, and those that aliases have added.
    count: usize,
    aliased: usize,
    document: Option<Node<'t>>,
    is_over: bool,
}

impl<'t> Builder<'t> {
    fn take(&mut self, event: Event<'t>, span: Span) -> Result<(), Fault> {
        let at = position(span);
        match event {
            Event::DocumentStart(..) if self.is_over => {
                Err(Fault::new("a second document starts here; write one in a file, without a line of ---")
                    .at(at))
            }
            Event::DocumentEnd => {
                self.is_over = true;
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style, tag.as_deref()).map_err(|fault| fault.at(at))?;
                self.put(Node { value, at }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(at, anchor, tag.as_deref(), Kind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let kind = Kind::Fields { fields: FieldsBuilder::default(), merged: Vec::new(), name: None };
                self.begin(at, anchor, tag.as_deref(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::new(
                        "a part cannot contain itself; write the text in place of the *alias",
                    )
                    .at(at));
                };
                self.aliased += node.size();
                if self.aliased > MAX_ALIASED_VALUES {
                    return Err(too_deep().at(at));
                }
                self.put(Node { at, ..node }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: Position, anchor: usize, tag: Option<&Tag>, kind: Kind<'t>) -> Result<(), Fault> {
        check_tag(tag).map_err(|fault| fault.at(at))?;
        if let Some(Open { kind: Kind::Fields { name: None, .. }, .. }) = self.open.last() {
            return Err(no_name().at(at));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep().at(at));
        }
        self.open.push(Open { at, anchor, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let value = match open.kind {
            Kind::List(items) => Value::List(items),
            Kind::Fields { mut fields, merged, .. } => {
                for node in merged {
                    merge(&mut fields, node)?;
                }
                fields.into_value()
            }
        };
        self.put(Node { value, at: open.at }, open.anchor)
    }

    /// Puts a whole value to where it belongs.
    fn put(&mut self, node: Node<'t>, anchor: usize) -> Result<(), Fault> {
        self.count += 1;
        if self.count > limits::MAX_DOCUMENT_VALUES {
            let many =
                format!("the document has more than {} values; write fewer", limits::MAX_DOCUMENT_VALUES);
            return Err(Fault::new(many).at(node.at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Fields { fields, merged, name } => match name.take() {
                Some((written, _)) if written == "<<" => merged.push(node),
                Some((written, at)) => fields.push(Field { name: written, at, node }),
                None => {
                    let Value::Scalar { text: written, is_quoted } = node.value else {
                        return Err(no_name().at(node.at));
                    };
                    if !is_quoted && is_null(&written) {
                        return Err(no_name().at(node.at));
                    }
                    if fields.find(&written).is_some() {
                        let twice = format!("`{written}` is written twice; keep one of them");
                        return Err(Fault::new(twice).at(node.at));
                    }
                    *name = Some((written, node.at));
                }
            },
        }
        Ok(())
    }

    /// A mistake below what is open.
    fn located(&self, fault: Fault) -> Fault {
        self.open.iter().rev().fold(fault, |fault, open| match &open.kind {
            Kind::List(items) => fault.of_item(items.len()),
            Kind::Fields { name: Some((name, _)), .. } => fault.below(name),
            Kind::Fields { name: None, .. } => fault,
        })
    }
}

/// Adds the fields of a merged map, or of several, where a name is not written yet.
fn merge<'t>(fields: &mut FieldsBuilder<'t>, node: Node<'t>) -> Result<(), Fault> {
    match node.value {
        Value::Fields(more) => {
            for field in more {
                if fields.find(&field.name).is_none() {
                    fields.push(field);
                }
            }
            Ok(())
        }
        Value::List(nodes) => nodes.into_iter().try_for_each(|node| merge(fields, node)),
        _ => Err(Fault::new("after << write an *alias of fields").at(node.at)),
    }
}

fn scalar<'t>(text: Cow<'t, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value<'t>, Fault> {
    check_tag(tag)?;
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str") || tag.suffix() == "!");
    Ok(Value::Scalar { text, is_quoted: style != ScalarStyle::Plain || is_text })
}

fn check_tag(tag: Option<&Tag>) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() && !tag.suffix().is_empty() => {
            Err(Fault::new("a !tag is not read here; leave it out, or put text that starts with ! in quotes"))
        }
        _ => Ok(()),
    }
}

fn too_deep() -> Fault {
    Fault::new("the document is too deep, or repeats itself too often; write it flatter, without *aliases")
}

fn no_name() -> Fault {
    Fault::new("a list, fields or nothing cannot be a name; write a word before the colon")
}

/// The scanner's words, said as what to write instead.
fn scan_fault(error: &ScanError, text: &str) -> Fault {
    let info = error.info();
    let words = match error.kind() {
        _ if words::is_blank(text) => words::EMPTY,
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnexpectedEofBlockSequence
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnclosedQuotedScalar
        | ErrorKind::UnexpectedEof => words::TOO_SHORT,
        ErrorKind::UnknownAnchor => {
            "nothing has the name of this *alias; name a part with & first, or put the text in quotes"
        }
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "indent with blanks instead of tabs"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "no name can be here; mend the indentation, or write text that holds a colon in quotes"
        }
        ErrorKind::RecursionLimitExceeded => return too_deep().at(mark(error)),
        _ => &info,
    };
    Fault::new(words).at(mark(error))
}

fn mark(error: &ScanError) -> Position {
    let part = |number: usize| u32::try_from(number).unwrap_or(0);
    Position { line: part(error.marker().line()), column: part(error.marker().col() + 1) }
}
