//! Looking at parsed expressions: children, shape, size and place of nodes. Nothing is changed or evaluated.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SourceInfo, operators};

use super::error::Position;
use super::guard::position_at;

/// The variable in which a comprehension gathers its result. No expression can spell it.
pub(super) const ACCUMULATOR: &str = "@result";

/// The nodes directly under `node`.
pub(super) fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(inner) => {
            vec![&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_nodes(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(message) => message.entries.iter().flat_map(|entry| entry_nodes(&entry.expr)).collect(),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_nodes(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// The number of nodes in `node`.
pub(super) fn count(node: &IdedExpr) -> usize {
    children(node).into_iter().fold(1, |sum, child| sum + count(child))
}

/// The number of levels of nodes in `node`.
pub(super) fn levels(node: &IdedExpr) -> usize {
    1 + children(node).into_iter().map(levels).max().unwrap_or(0)
}

/// Whether the comprehension only binds a variable to a value, as `optMap` does: it iterates nothing.
pub(super) fn binds(comprehension: &ComprehensionExpr) -> bool {
    matches!(&comprehension.iter_range.expr, Expr::List(list) if list.elements.is_empty())
        && comprehension.accu_var != ACCUMULATOR
}

/// The text of a text literal.
pub(super) fn literal_text(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Whether the call is one of the operators, and not of a function by its name.
pub(super) fn is_operator(call: &CallExpr) -> bool {
    const OPERATORS: &[&str] = &[
        operators::CONDITIONAL,
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::SUBSTRACT,
        operators::ADD,
        operators::MULTIPLY,
        operators::DIVIDE,
        operators::MODULO,
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::GREATER_EQUALS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::LESS,
        operators::NEGATE,
        operators::INDEX,
        operators::OPT_INDEX,
        operators::OPT_SELECT,
        operators::NOT_STRICTLY_FALSE,
        operators::IN,
    ];
    call.target.is_none() && OPERATORS.contains(&call.func_name.as_str())
}

/// What a selection or index reads from.
pub(super) enum Step<'e> {
    /// `a.name`, `a.?name`, `a["name"]` or `a[?"name"]`.
    Name(&'e str),
    /// An index that is only known when it runs, or a position in a list.
    Any,
}

/// `node` as something read from something else, if it is.
pub(super) fn step(node: &IdedExpr) -> Option<(&IdedExpr, Step<'_>)> {
    match &node.expr {
        Expr::Select(select) => Some((&select.operand, Step::Name(&select.field))),
        Expr::Call(call) if is_operator(call) => {
            let [from, key] = call.args.as_slice() else {
                return None;
            };
            match call.func_name.as_str() {
                operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => {
                    Some((from, literal_text(key).map_or(Step::Any, Step::Name)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The names of `a.b.c`, if `node` is nothing but that.
pub(super) fn dotted(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", dotted(&select.operand)?, select.field)),
        _ => None,
    }
}

/// Where the node `id` stands in the source.
pub(super) fn place(info: &SourceInfo, source: &str, id: u64) -> Option<Position> {
    let (start, _) = info.offset_for(id)?;
    let offset = usize::try_from(start).ok().filter(|offset| source.is_char_boundary(*offset))?;
    Some(position_at(source, offset))
}
