//! Which parts of the record an expression reads, as far as can be told without a record. Where it cannot be told, more
//! is named rather than less: drift analysis asks what a change can touch.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, operators};

use super::environment::{LOOKUP, RECORD, XREF};
use super::syntax::{ACCUMULATOR, Step, binds, literal_text, step};

/// Names from the record's root; [`ANY`] stands for every element or field.
type Path = Vec<String>;

/// The segment for every element of a list or field of an object.
const ANY: &str = "*";

/// Shapes larger than this are not followed further: all they hold counts as read.
const MAX_SHAPE: usize = 128;

/// The JSON pointers of what `root` reads, with `*` for every element: `/customer/email`, `/line_items/*/sku`; and those of the lists and objects
/// that it goes through, whatever it reads in them.
pub(super) fn reads(root: &IdedExpr) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut reader = Reader::default();
    let shape = reader.node(root);
    reader.read(shape);
    let Reader { read, iterated, .. } = reader;
    // A list that is iterated counts as read itself only if nothing in it is.
    let unused = iterated.iter().filter(|list| !read.iter().any(|path| path.starts_with(list))).collect::<Vec<_>>();
    (read.iter().chain(unused).map(pointer).collect(), iterated.iter().map(pointer).collect())
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, name| pointer + "/" + &name.replace('~', "~0").replace('/', "~1"))
}

/// Where a value comes from.
#[derive(Debug, Clone, Default)]
struct Shape {
    /// Parts of the record that it may be.
    paths: BTreeSet<Path>,
    /// What its elements are, if the expression made it as a list.
    elements: Option<Box<Shape>>,
    /// What its entries are, if the expression made it as a map.
    entries: BTreeMap<String, Shape>,
}

impl Shape {
    fn of(path: Path) -> Self {
        Shape { paths: BTreeSet::from([path]), ..Shape::default() }
    }

    fn size(&self) -> usize {
        let elements = self.elements.as_ref().map_or(0, |elements| elements.size());
        1 + self.paths.len() + elements + self.entries.values().map(Shape::size).sum::<usize>()
    }

    fn merge(&mut self, other: Shape) {
        self.paths.extend(other.paths);
        match (&mut self.elements, other.elements) {
            (Some(mine), Some(others)) => mine.merge(*others),
            (mine @ None, others) => *mine = others,
            (Some(_), None) => {}
        }
        for (name, entry) in other.entries {
            self.entries.entry(name).or_default().merge(entry);
        }
    }

    /// What is under that name, or any element.
    fn at(&self, name: Option<&str>) -> Shape {
        let segment = name.unwrap_or(ANY);
        let longer = |path: &Path| path.iter().cloned().chain([segment.to_owned()]).collect();
        let mut shape = Shape { paths: self.paths.iter().map(longer).collect(), ..Shape::default() };
        match name {
            Some(name) => shape.merge(self.entries.get(name).cloned().unwrap_or_default()),
            None => {
                self.entries.values().for_each(|entry| shape.merge(entry.clone()));
                if let Some(elements) = &self.elements {
                    shape.merge((**elements).clone());
                }
            }
        }
        shape
    }
}

#[derive(Default)]
struct Reader {
    variables: Vec<(String, Shape)>,
    read: BTreeSet<Path>,
    iterated: BTreeSet<Path>,
}

impl Reader {
    /// Counts all that is in the shape as read.
    fn read(&mut self, shape: Shape) {
        self.read.extend(shape.paths);
        if let Some(elements) = shape.elements {
            self.read(*elements);
        }
        for entry in shape.entries.into_values() {
            self.read(entry);
        }
    }

    fn read_all<'e>(&mut self, nodes: impl IntoIterator<Item = &'e IdedExpr>) {
        for node in nodes {
            let shape = self.node(node);
            self.read(shape);
        }
    }

    /// The shape of a node; what it reads on the way is counted.
    fn node(&mut self, node: &IdedExpr) -> Shape {
        let shape = self.shape(node);
        if shape.size() <= MAX_SHAPE {
            return shape;
        }
        self.read(shape);
        Shape::default()
    }

    fn shape(&mut self, node: &IdedExpr) -> Shape {
        if let Some((from, link)) = step(node) {
            return self.step(node, from, &link);
        }
        match &node.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                let mut elements = Shape::default();
                for element in &list.elements {
                    elements.merge(self.node(element));
                }
                Shape { elements: Some(Box::new(elements)), ..Shape::default() }
            }
            Expr::Map(map) => {
                let mut shape = Shape::default();
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.read_all([&entry.key]);
                        let name = literal_text(&entry.key).unwrap_or(ANY).to_owned();
                        let value = self.node(&entry.value);
                        shape.entries.entry(name).or_default().merge(value);
                    }
                }
                shape
            }
            // Steps are handled above; the others hold nothing of the record.
            Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified | Expr::Literal(_) => Shape::default(),
        }
    }

    fn step(&mut self, node: &IdedExpr, from: &IdedExpr, link: &Step<'_>) -> Shape {
        let from = self.node(from);
        match link {
            Step::Name(name) => from.at(Some(name)),
            Step::Any => {
                if let Expr::Call(call) = &node.expr {
                    self.read_all(call.args.last());
                }
                from.at(None)
            }
        }
    }

    fn variable(&self, name: &str) -> Shape {
        let variable = self.variables.iter().rev().find(|(variable, _)| variable == name);
        match variable {
            Some((_, shape)) => shape.clone(),
            None if name == RECORD => Shape::of(Vec::new()),
            None => Shape::default(),
        }
    }

    fn call(&mut self, call: &CallExpr) -> Shape {
        let parts: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (call.func_name.as_str(), parts.as_slice()) {
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.read_all([*condition]);
                let mut shape = self.node(then);
                shape.merge(self.node(otherwise));
                shape
            }
            ("value" | "orValue" | "or" | "of" | "ofNonZeroValue" | "dyn", _) => {
                let mut shape = Shape::default();
                for part in parts {
                    shape.merge(self.node(part));
                }
                shape
            }
            (XREF | LOOKUP, [place, key]) => {
                self.read_all([*place, *key]);
                Shape::default()
            }
            _ => {
                self.read_all(parts);
                Shape::default()
            }
        }
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Shape {
        if binds(comprehension) {
            let bound = self.node(&comprehension.accu_init);
            self.variables.push((comprehension.accu_var.clone(), bound));
            let shape = self.node(&comprehension.result);
            self.variables.pop();
            return shape;
        }
        let range = self.node(&comprehension.iter_range);
        self.variables.push((comprehension.iter_var.clone(), range.at(None)));
        self.iterated.extend(range.paths);
        let shape = self.loop_step(&comprehension.loop_step);
        self.variables.pop();
        shape
    }

    /// What a comprehension yields: the macros make `@result + [x]`, `condition ? @result + [x] : @result`, and
    /// `@result && x`.
    fn loop_step(&mut self, step: &IdedExpr) -> Shape {
        let accumulator = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if name == ACCUMULATOR);
        if let Expr::Call(call) = &step.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::ADD, [first, second]) if accumulator(first) => return self.node(second),
                (operators::CONDITIONAL, [condition, then, otherwise]) if accumulator(otherwise) => {
                    self.read_all([condition]);
                    return self.loop_step(then);
                }
                _ => {}
            }
        }
        self.read_all([step]);
        Shape::default()
    }
}
