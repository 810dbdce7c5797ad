//! Where null passes an `orValue`: it stands in for what is absent, and a field that is null is there. Only a remark, because null may be wanted.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::syntax::{children, step};

/// Whether a field that is null would be taken as it is although an `orValue` stands behind it. What is compared or given to `ofNonZeroValue`, which
/// takes null for nothing, is left out; so is an `orValue(null)`.
pub(super) fn pass(root: &IdedExpr) -> bool {
    is_passed(root) || within(root)
}

fn within(node: &IdedExpr) -> bool {
    let minds_null = matches!(&node.expr, Expr::Call(call) if minds_null(call));
    children(node).into_iter().any(|child| (!minds_null && is_passed(child)) || within(child))
}

/// `a.?b.orValue(c)` with a `c` that is not null.
fn is_passed(node: &IdedExpr) -> bool {
    let Expr::Call(call) = &node.expr else { return false };
    let (Some(target), [otherwise]) = (&call.target, call.args.as_slice()) else { return false };
    call.func_name == "orValue"
        && step(target).is_some()
        && !matches!(otherwise.expr, Expr::Literal(LiteralValue::Null))
}

/// Whether a call makes no mistake of null.
fn minds_null(call: &CallExpr) -> bool {
    matches!(call.func_name.as_str(), "ofNonZeroValue" | operators::EQUALS | operators::NOT_EQUALS | operators::IN)
}

#[cfg(test)]
mod tests {
    use super::super::Expression;

    #[test]
    fn null_passes_an_or_value_that_nothing_behind_it_minds() {
        for (source, passes) in [
            ("record.?email.orValue('guest')", true),
            ("record.?customer.?email.orValue('guest')", true),
            ("record[?'email'].orValue('guest')", true),
            ("record.?tags.orValue('').contains('vip')", true),
            ("{'email': record.?email.orValue('guest')}", true),
            ("record.items.map(i, i.?sku.orValue('none'))", true),
            ("optional.ofNonZeroValue(record.?email.orValue('')).orValue('guest')", false),
            ("record.?email.orValue(null)", false),
            ("record.?email.orValue('') == ''", false),
            ("record.?email.optMap(email, lower(email)).orValue('guest')", false),
            ("record.?email", false),
            ("record.email", false),
        ] {
            assert_eq!(Expression::compile("f", source).unwrap().lets_null_pass(), passes, "{source}");
        }
    }
}
