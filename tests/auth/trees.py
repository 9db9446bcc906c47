"""Regular expressions and their trees, shown briefly."""

from pgproxy.auth.are_expr import Alt, Cat, Chars, Constraint, Expr, Repeat
from pgproxy.auth.are_tree import (
    CAP,
    LONGER,
    MIXED,
    SHORTER,
    Captured,
    Choice,
    Iteration,
    Split,
    Tree,
)


def show(expr: Expr) -> str:
    """Return *expr*, briefly: characters, ``(xy)``, ``(x|y)``, ``x{1,2}``."""
    match expr:
        case Chars(mask=mask):
            found = [chr(code) for code in range(256) if mask >> code & 1]
            return found[0] if len(found) == 1 else f"[{len(found)}]"
        case Constraint(kind=kind):
            return f"<{kind}>"
        case Cat(items=items):
            return f"({''.join(map(show, items))})"
        case Alt(branches=branches):
            return f"({'|'.join(map(show, branches))})"
        case Repeat(item=item, least=least, most=most):
            return f"{show(item)}{{{least},{most}}}"


def tree(found: Tree) -> str:
    """Return a tree, briefly, with what each part prefers."""
    bits = ((LONGER, "L"), (SHORTER, "S"), (MIXED, "M"), (CAP, "C"))
    flags = "".join(letter for bit, letter in bits if found.flags & bit)
    match found:
        case Captured():
            return f"{flags}:!{show(found.expr)}"
        case Split(left=left, right=right):
            return f"{flags}:<{tree(left)} {tree(right)}>"
        case Choice(branches=branches):
            return f"{flags}:<{' | '.join(map(tree, branches))}>"
        case Iteration(child=child, most=most):
            return f"{flags}:<{tree(child)}>{{{most}}}"
        case _:
            return f"{flags}:{show(found.expr)}"
