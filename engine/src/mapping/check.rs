//! What can be known to be wrong with a parsed expression: names, calls, nesting, and arguments that are literals. It
//! also notes which other flows and streams an expression asks.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, SourceInfo};
use cel::{ExecutionError, IdedExpr};

use super::environment::{CALLABLE, Callable, DOTTED_TYPES, LOOKUP, MACROS, OPTIONAL_FUNCTIONS, RECORD, TYPES, XREF};
use super::error::Problem;
use super::functions::{self, FUNCTIONS, Pattern};
use super::limits::MAX_COMPREHENSION_DEPTH;
use super::syntax::{binds, children, dotted, is_operator, literal_text, place};

/// What an expression needs beside the record.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Flows it asks for cross-references.
    pub(super) xrefs: BTreeSet<String>,
    /// Streams it looks records up in.
    pub(super) lookups: BTreeSet<String>,
    /// Its regular expressions, by their source.
    pub(super) patterns: Vec<(String, Pattern)>,
}

/// Checks a parsed expression.
pub(super) fn check(root: &IdedExpr, source: &str, info: &SourceInfo) -> Result<Uses, Vec<Problem>> {
    let mut checker =
        Checker { source, info, variables: Vec::new(), depth: 0, problems: Vec::new(), uses: Uses::default() };
    checker.node(root);
    if checker.problems.is_empty() { Ok(checker.uses) } else { Err(checker.problems) }
}

struct Checker<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    /// Variables of the comprehensions around the node.
    variables: Vec<String>,
    /// Comprehensions around the node.
    depth: usize,
    problems: Vec<Problem>,
    uses: Uses,
}

impl Checker<'_> {
    fn report(&mut self, id: u64, problem: Problem) {
        self.problems.push(problem.at(place(self.info, self.source, id)));
    }

    fn node(&mut self, node: &IdedExpr) {
        match &node.expr {
            Expr::Ident(name) => self.name(node.id, name),
            Expr::Select(_) if dotted(node).is_some_and(|name| DOTTED_TYPES.contains(&name.as_str())) => {}
            Expr::Call(call) => self.call(node.id, call),
            Expr::Comprehension(comprehension) => self.comprehension(node.id, comprehension),
            Expr::Struct(_) => {
                self.report(node.id, Problem::new("messages cannot be made", "write a map: `{\"name\": value}`"));
            }
            Expr::Unspecified => self
                .report(node.id, Problem::new("a part of the expression cannot be read", "correct what stands there")),
            Expr::Select(_) | Expr::List(_) | Expr::Map(_) | Expr::Literal(_) => self.under(node),
        }
    }

    fn under(&mut self, node: &IdedExpr) {
        for child in children(node) {
            self.node(child);
        }
    }

    fn name(&mut self, id: u64, name: &str) {
        let known = name == RECORD
            || name.starts_with('@')
            || TYPES.contains(&name)
            || self.variables.iter().any(|variable| variable == name);
        if !known {
            let problem = Problem::new(
                format!("there is no variable `{name}`"),
                format!(
                    "write `record.{}` for a field of the record, or `\"…\"` for a text",
                    name.trim_start_matches('.')
                ),
            );
            self.report(id, problem);
        }
    }

    fn comprehension(&mut self, id: u64, comprehension: &ComprehensionExpr) {
        self.node(&comprehension.iter_range);
        self.node(&comprehension.accu_init);
        if binds(comprehension) {
            self.variables.push(comprehension.accu_var.clone());
            self.node(&comprehension.result);
            self.variables.pop();
            return;
        }
        self.depth += 1;
        if self.depth > MAX_COMPREHENSION_DEPTH {
            let problem = Problem::new(
                format!("comprehensions nest more than {MAX_COMPREHENSION_DEPTH} deep"),
                "map a part of the record in a field of its own",
            );
            self.report(id, problem);
        } else {
            self.variables.push(comprehension.iter_var.clone());
            self.node(&comprehension.loop_step);
            self.variables.pop();
        }
        self.depth -= 1;
    }

    fn call(&mut self, id: u64, call: &CallExpr) {
        if is_operator(call) {
            call.args.iter().for_each(|argument| self.node(argument));
            return;
        }
        if let Some(Expr::Ident(target)) = call.target.as_deref().map(|target| &target.expr)
            && target == "optional"
            && !self.variables.contains(target)
        {
            self.optional_function(id, call);
        } else {
            self.function(id, call);
            if let Some(target) = &call.target {
                self.node(target);
            }
        }
        // What looks like a macro has variables that nothing binds.
        if !MACROS.iter().any(|(name, _)| *name == call.func_name) {
            call.args.iter().for_each(|argument| self.node(argument));
        }
    }

    fn optional_function(&mut self, id: u64, call: &CallExpr) {
        let known = OPTIONAL_FUNCTIONS.contains(&(call.func_name.as_str(), call.args.len()));
        if !known {
            let problem = Problem::new(
                format!("there is no function `optional.{}` with {} arguments", call.func_name, call.args.len()),
                "use `optional.of(x)`, `optional.ofNonZeroValue(x)` or `optional.none()`",
            );
            self.report(id, problem);
        }
    }

    fn function(&mut self, id: u64, call: &CallExpr) {
        let name = call.func_name.as_str();
        let Some(callable) = CALLABLE.iter().find(|callable| callable.name == name) else {
            self.report(id, unknown_function(name));
            return;
        };
        let counts = if call.target.is_some() { callable.member } else { callable.global };
        if !counts.contains(&call.args.len()) {
            self.report(id, wrong_call(callable));
            return;
        }
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (name, arguments.as_slice()) {
            ("matches", [_, pattern]) => self.pattern(pattern),
            (XREF | LOOKUP, [place, _]) => self.asks(name, place),
            ("formatTime", [_, format, zone]) => {
                self.literal(format, functions::check_format);
                self.literal(zone, |zone| functions::time_zone(zone).map(|_| ()));
            }
            ("minorUnits" | "fromMinorUnits", [_, currency]) => {
                self.literal(currency, |currency| functions::exponent(name, currency).map(|_| ()));
            }
            ("uuid5", [namespace, _]) => self.literal(namespace, |name| functions::namespace(name).map(|_| ())),
            _ => {}
        }
    }

    fn pattern(&mut self, node: &IdedExpr) {
        let Some(source) = literal_text(node) else {
            let problem = Problem::new(
                "the pattern of `matches` is no literal",
                "write it as a literal: `matches(x, \"^[A-Z]+$\")`",
            );
            self.report(node.id, problem);
            return;
        };
        if self.uses.patterns.iter().any(|(known, _)| known == source) {
            return;
        }
        match Pattern::compile(source) {
            Ok(pattern) => self.uses.patterns.push((source.to_owned(), pattern)),
            Err(problem) => self.report(node.id, problem),
        }
    }

    fn asks(&mut self, function: &str, node: &IdedExpr) {
        let (what, asked) = match function {
            XREF => ("flow", &mut self.uses.xrefs),
            _ => ("stream", &mut self.uses.lookups),
        };
        match literal_text(node) {
            Some(name) if !name.is_empty() => {
                asked.insert(name.to_owned());
            }
            Some(_) | None => {
                let problem = Problem::new(
                    format!("the {what} of `{function}` is no literal"),
                    format!("write its name as a literal: `{function}(\"name\", key)`"),
                );
                self.report(node.id, problem);
            }
        }
    }

    fn literal(&mut self, node: &IdedExpr, test: impl FnOnce(&str) -> Result<(), ExecutionError>) {
        if let Some(Err(ExecutionError::FunctionError { function, message })) = literal_text(node).map(test) {
            let (what, remedy) = message.split_once("; ").unwrap_or((&message, "correct it"));
            self.report(node.id, Problem::new(format!("`{function}`: {what}"), remedy));
        }
    }
}

fn unknown_function(name: &str) -> Problem {
    if let Some((_, shape)) = MACROS.iter().find(|(known, _)| *known == name) {
        return Problem::new(format!("`{name}` is called in a way it does not know"), format!("write `{shape}`"));
    }
    let nearest = CALLABLE
        .iter()
        .map(|callable| callable.name)
        .chain(MACROS.iter().map(|(known, _)| *known))
        .map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known))
        .min();
    let remedy = match nearest {
        Some((distance, known)) if distance <= 2 => format!("did you mean `{known}`?"),
        Some(_) | None => "use a function of the CEL standard library or of the mapping guide".to_owned(),
    };
    Problem::new(format!("there is no function `{name}`"), remedy)
}

fn wrong_call(callable: &Callable) -> Problem {
    let documented = FUNCTIONS.iter().find(|function| function.name == callable.name);
    let remedy = match documented {
        Some(function) => format!("call it as `{}`", function.signature),
        None => {
            let global = callable.global.iter().map(|count| format!("{}({})", callable.name, blanks(*count)));
            let member = callable.member.iter().map(|count| format!("x.{}({})", callable.name, blanks(*count)));
            format!("call it as `{}`", global.chain(member).collect::<Vec<_>>().join("` or `"))
        }
    };
    Problem::new(format!("`{}` is called with arguments it does not take", callable.name), remedy)
}

fn blanks(count: usize) -> String {
    vec!["…"; count].join(", ")
}

/// The number of characters to insert, remove or change to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("lower", "lower"), 0);
        assert_eq!(distance("lowr", "lower"), 1);
        assert_eq!(distance("tolower", "lower"), 2);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn every_documented_function_can_be_called() {
        for function in FUNCTIONS {
            assert!(CALLABLE.iter().any(|callable| callable.name == function.name), "{}", function.name);
        }
    }
}
