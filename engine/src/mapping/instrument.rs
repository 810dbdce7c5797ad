//! Turns a checked expression into the one that runs. Operators become our own, which know decimals and views; calls
//! that ask for something outside become indexes of doors; regular expressions become compiled patterns; and the ranges
//! and variables of comprehensions are put on the meter.
//!
//! Why that bounds an evaluation: outside of comprehensions every node runs once. Inside, the range of a comprehension
//! is charged with its size times the nodes of its body, so that nesting multiplies. Each value is then made once and
//! taken by one node, and is charged where it is made (by functions, `+` and reads of text) or where it is used again
//! (as a comprehension's variable), in proportion to its size.

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators as cel_operators,
};

use super::check::Uses;
use super::environment::RECORD;
use super::functions::MATCHES;
use super::operators;
use super::scope::{door_variable, pattern_variable};
use super::syntax::{ACCUMULATOR, binds, count, literal_text, step};

/// Rewrites a checked expression in place.
pub(super) fn instrument(root: &mut IdedExpr, uses: &Uses) {
    let mut instrument = Instrument { uses, variables: Vec::new() };
    instrument.node(root);
}

/// A variable of a comprehension.
struct Variable {
    name: String,
    /// Whether it holds a part of the record, so that a copy costs nothing and reading from it is charged by itself.
    view: bool,
    /// Whether it goes over the elements of a range.
    element: bool,
}

struct Instrument<'u> {
    uses: &'u Uses,
    variables: Vec<Variable>,
}

impl Instrument<'_> {
    fn node(&mut self, node: &mut IdedExpr) {
        match &mut node.expr {
            Expr::Call(call) => {
                self.call(call);
                self.replace_call(node);
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Ident(name) => {
                if self.variables.iter().any(|variable| variable.name == *name) {
                    wrap(node, operators::USE, Vec::new());
                }
            }
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.node(element)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    self.entry(&mut entry.expr);
                }
            }
            Expr::Select(_) => self.selection(node),
            Expr::Struct(message) => {
                for entry in &mut message.entries {
                    self.entry(&mut entry.expr);
                }
            }
            Expr::Unspecified | Expr::Literal(_) => {}
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.node(&mut entry.key);
                self.node(&mut entry.value);
            }
            EntryExpr::StructField(field) => self.node(&mut field.value),
        }
    }

    /// `record.a` becomes `record["a"]`, which is the same of JSON: the `cel` crate first looks for a variable of the
    /// name `record.a` in every scope.
    fn selection(&mut self, node: &mut IdedExpr) {
        let Expr::Select(select) = &mut node.expr else {
            return;
        };
        self.read_from(&mut select.operand);
        if select.test || !self.is_json(&select.operand) {
            return;
        }
        let field = IdedExpr {
            id: node.id,
            expr: Expr::Literal(LiteralValue::String(std::mem::take(&mut select.field).into())),
        };
        node.expr = Expr::Call(CallExpr {
            func_name: cel_operators::INDEX.to_owned(),
            target: None,
            args: vec![*std::mem::take(&mut select.operand), field],
        });
    }

    /// Whether the value is certain to be JSON of the record, and no optional of it.
    fn is_json(&self, node: &IdedExpr) -> bool {
        match &node.expr {
            Expr::Ident(name) => match self.variable(name) {
                Some(variable) => variable.view && variable.element,
                None => name == RECORD,
            },
            Expr::Call(call) if call.func_name == cel_operators::INDEX => {
                call.args.first().is_some_and(|from| self.is_json(from))
            }
            _ => false,
        }
    }

    /// What is read from: a variable that is a view stays as it is, because the view charges what is read.
    fn read_from(&mut self, operand: &mut IdedExpr) {
        if !self.is_view_variable(operand) {
            self.node(operand);
        }
    }

    fn is_view_variable(&self, node: &IdedExpr) -> bool {
        match &node.expr {
            Expr::Ident(name) => self.variable(name).is_some_and(|variable| variable.view),
            _ => false,
        }
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }

    fn call(&mut self, call: &mut CallExpr) {
        if let Some(target) = &mut call.target
            && !matches!(&target.expr, Expr::Ident(name) if name == "optional")
        {
            self.node(target);
        }
        let reads = call.target.is_none()
            && matches!(
                call.func_name.as_str(),
                cel_operators::INDEX | cel_operators::OPT_INDEX | cel_operators::OPT_SELECT
            );
        for (index, argument) in call.args.iter_mut().enumerate() {
            if reads && index == 0 {
                self.read_from(argument);
            } else {
                self.node(argument);
            }
        }
    }

    /// The call by another name, or by other means.
    fn replace_call(&self, node: &mut IdedExpr) {
        let Expr::Call(call) = &mut node.expr else {
            return;
        };
        if call.func_name == "matches" {
            self.replace_pattern(call);
            return;
        }
        if call.target.is_some() {
            return;
        }
        if let Some(door) = door_variable(&call.func_name) {
            let question = IdedExpr { id: node.id, expr: Expr::List(ListExpr::new(std::mem::take(&mut call.args))) };
            cel_operators::INDEX.clone_into(&mut call.func_name);
            call.args = vec![ident(node.id, door), question];
        } else if let Some(operator) = own_operator(&call.func_name) {
            operator.clone_into(&mut call.func_name);
        }
    }

    fn replace_pattern(&self, call: &mut CallExpr) {
        let index = call.args.last().and_then(literal_text).and_then(|source| {
            let known = |(pattern, _): &(String, _)| pattern == source;
            self.uses.patterns.iter().position(known)
        });
        let (Some(index), Some(pattern)) = (index, call.args.last_mut()) else {
            return;
        };
        pattern.expr = Expr::Ident(pattern_variable(index));
        MATCHES.clone_into(&mut call.func_name);
        if let Some(target) = call.target.take() {
            call.args.insert(0, *target);
        }
    }

    fn comprehension(&mut self, comprehension: &mut ComprehensionExpr) {
        if binds(comprehension) {
            let view = self.is_view(&comprehension.accu_init);
            self.node(&mut comprehension.accu_init);
            let variable = Variable { name: comprehension.accu_var.clone(), view, element: false };
            self.with(variable, |inner| inner.node(&mut comprehension.result));
            return;
        }
        let view = self.is_view(&comprehension.iter_range);
        let steps = count(&comprehension.loop_cond) + count(&comprehension.loop_step);
        self.node(&mut comprehension.iter_range);
        let steps = Expr::Literal(LiteralValue::Int(i64::try_from(steps).unwrap_or(i64::MAX).into()));
        let steps = IdedExpr { id: comprehension.iter_range.id, expr: steps };
        wrap(&mut comprehension.iter_range, operators::ITERATE, vec![steps]);
        let variable = Variable { name: comprehension.iter_var.clone(), view, element: true };
        self.with(variable, |inner| inner.loop_step(&mut comprehension.loop_step));
    }

    fn with(&mut self, variable: Variable, inner: impl FnOnce(&mut Self)) {
        self.variables.push(variable);
        inner(self);
        self.variables.pop();
    }

    /// Rewrites what the macros took from the source, and leaves what they made: the `cel` crate knows the shape of
    /// `@result + [x]` and appends in place, where any other shape would copy the list for every element.
    fn loop_step(&mut self, step: &mut IdedExpr) {
        if let Expr::Call(call) = &mut step.expr
            && call.target.is_none()
        {
            match (call.func_name.as_str(), call.args.as_mut_slice()) {
                (
                    cel_operators::ADD | cel_operators::LOGICAL_AND | cel_operators::LOGICAL_OR,
                    [accumulator, element],
                ) if is_accumulator(accumulator) => return self.node(element),
                (cel_operators::CONDITIONAL, [condition, then, otherwise]) if is_accumulator(otherwise) => {
                    self.node(condition);
                    return self.loop_step(then);
                }
                _ => {}
            }
        }
        self.node(step);
    }

    /// Whether the value is certain to be a part of the record, or a list of such parts.
    fn is_view(&self, node: &IdedExpr) -> bool {
        if let Some((from, _)) = step(node) {
            return self.is_view(from);
        }
        match &node.expr {
            Expr::Ident(name) => match self.variable(name) {
                Some(variable) => variable.view,
                None => name == RECORD,
            },
            Expr::Call(call) => match (call.target.as_deref(), call.func_name.as_str(), call.args.as_slice()) {
                (Some(target), "value", []) => self.is_view(target),
                (Some(target), "orValue", [otherwise]) => {
                    let empty = matches!(&otherwise.expr, Expr::List(list) if list.elements.is_empty());
                    (empty || self.is_view(otherwise)) && self.is_view(target)
                }
                (None, cel_operators::CONDITIONAL, [_, then, otherwise]) => {
                    self.is_view(then) && self.is_view(otherwise)
                }
                _ => false,
            },
            Expr::Comprehension(inner) => is_filter(inner) && self.is_view(&inner.iter_range),
            _ => false,
        }
    }
}

/// Whether the comprehension yields elements of its range as they are.
fn is_filter(comprehension: &ComprehensionExpr) -> bool {
    let Expr::Call(conditional) = &comprehension.loop_step.expr else {
        return false;
    };
    let (cel_operators::CONDITIONAL, [_, then, _]) = (conditional.func_name.as_str(), conditional.args.as_slice())
    else {
        return false;
    };
    let Expr::Call(append) = &then.expr else {
        return false;
    };
    let Some(Expr::List(list)) = append.args.last().map(|last| &last.expr) else {
        return false;
    };
    matches!(list.elements.as_slice(), [only] if matches!(&only.expr, Expr::Ident(name) if *name == comprehension.iter_var))
}

fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == ACCUMULATOR)
}

/// Our own operator in place of one of the `cel` crate.
fn own_operator(function: &str) -> Option<&'static str> {
    Some(match function {
        cel_operators::ADD => operators::ADD,
        cel_operators::SUBSTRACT => operators::SUBTRACT,
        cel_operators::MULTIPLY => operators::MULTIPLY,
        cel_operators::DIVIDE => operators::DIVIDE,
        cel_operators::MODULO => operators::REMAINDER,
        cel_operators::EQUALS => operators::EQUAL,
        cel_operators::NOT_EQUALS => operators::NOT_EQUAL,
        cel_operators::LESS => operators::LESS,
        cel_operators::LESS_EQUALS => operators::LESS_OR_EQUAL,
        cel_operators::GREATER => operators::GREATER,
        cel_operators::GREATER_EQUALS => operators::GREATER_OR_EQUAL,
        cel_operators::IN => operators::CONTAINED,
        _ => return None,
    })
}

fn ident(id: u64, name: &str) -> IdedExpr {
    IdedExpr { id, expr: Expr::Ident(name.to_owned()) }
}

/// `node` becomes `function(node, others…)`.
fn wrap(node: &mut IdedExpr, function: &str, others: Vec<IdedExpr>) {
    let id = node.id;
    let inner = std::mem::take(node);
    *node = IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: None,
            args: std::iter::once(inner).chain(others).collect(),
        }),
    };
}
