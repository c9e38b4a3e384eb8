"""Small mistakes in a module's code, one at a time: what a test must notice.

Not touched: annotations, decorators, documentation, what is for type checkers or the start as a program, the words of
messages, and the numbers that a module's constants stand for.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

_OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
"""The operator that stands in place of another."""

_TEXT_METHODS = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "get", "split"}
_NOT_CODE = {"annotation", "returns", "decorator_list", "type_comment", "type_params"}
_SHOWN_CHARACTERS = 90


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake. name: the function, and what was changed into what; no two have the same.

    first, last: the lines of the statement that was changed. function: the qualified name of the outermost function
    around it; empty where the statement runs when the module is imported. constant: the name that the statement
    then gives a value, if no other statement at import uses it.
    """

    name: str
    first: int
    last: int
    function: str
    constant: str
    source: str


@dataclass(frozen=True)
class _Place:
    """A node in the tree, how to put another in its place, and where it stands.

    scope: the names of the classes and functions around it. function: those up to the outermost function, if any.
    """

    node: ast.AST
    put: Callable[[ast.AST], None]
    parent: ast.AST
    scope: str
    function: str
    statement: ast.stmt


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a module's source, in the order of its lines.

    >>> [mutant.name for mutant in mutants("def f(x):\\n    return x < 3\\n")]
    ['f: return x < 3 -> return None', 'f: x < 3 -> x <= 3', 'f: 3 -> 4']
    """
    tree, seen = ast.parse(text), Counter[str]()
    whole = [ast.unparse(ast.Module([statement], [])) for statement in tree.body]
    for place in _places(tree, _Place(tree, lambda _: None, tree, "", "", ast.Pass())):
        others = list(_others(place))
        before = ast.unparse(place.node) if others else ""
        for other in others:
            place.put(other)
            index = _index_around(tree, place.statement)
            changed = ast.unparse(ast.Module([ast.fix_missing_locations(tree.body[index])], []))
            after, source = ast.unparse(other), "\n".join([*whole[:index], changed, *whole[index + 1 :]]) + "\n"
            place.put(place.node)
            name = f"{place.scope}: {_short(before)} -> {_short(_left_out(place.node, other) or after)}"
            name = name.removeprefix(": ")
            seen[name] += 1
            if seen[name] > 1:
                name += f" (number {seen[name]})"
            constant = "" if place.function else _constant(tree, place.statement)
            yield Mutant(name, *_lines(place.statement), place.function, constant, source)


def _index_around(tree: ast.Module, inner: ast.stmt) -> int:
    """Which statement of the module has the statement in it, or is it, or has taken its place."""
    starts = [getattr(statement, "lineno", inner.lineno) for statement in tree.body]
    return max(index for index, start in enumerate(starts) if start <= inner.lineno)


def _constant(tree: ast.Module, statement: ast.stmt) -> str:
    """The name that a statement of the module gives a value, unless others that run at import may have used it."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            others = (part for part in tree.body if part is not statement)
            return "" if any(name in _names_at_import(part) for part in others) else name
    return ""


def _names_at_import(node: ast.AST) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return set().union(*(_names_at_import(part) for part in [node.args, *node.decorator_list]))
    own = {node.id} if isinstance(node, ast.Name) else set()
    return own.union(*(_names_at_import(part) for part in ast.iter_child_nodes(node)))


def _places(parent: ast.AST, around: _Place) -> Iterator[_Place]:
    for field, value in ast.iter_fields(parent):
        if field in _NOT_CODE or isinstance(parent, ast.JoinedStr):
            continue
        for index, node in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(node, ast.AST) or _is_for_others(node):
                continue
            statement = node if isinstance(node, ast.stmt) else around.statement
            put = partial(value.__setitem__, index) if isinstance(value, list) else partial(setattr, parent, field)
            place = _Place(node, put, parent, around.scope, around.function, statement)
            yield place
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                scope = f"{around.scope}.{node.name}".removeprefix(".")
                # Defaults run where the function is defined.
                if isinstance(node, ast.ClassDef):
                    yield from _places(node, replace(place, scope=scope))
                else:
                    yield from _places(node.args, replace(place, scope=scope))
                    yield from _places(
                        ast.Module(node.body, []), replace(place, scope=scope, function=around.function or scope)
                    )
            else:
                yield from _places(node, place)


def _left_out(node: ast.AST, other: ast.AST) -> str:
    """In words what the other node lacks, if it lacks a part: the whole of it may be long."""
    if isinstance(other, ast.Pass):
        return "nothing"
    parts = [getattr(side, "elts", None) or getattr(side, "keys", None) or [] for side in (node, other)]
    if not isinstance(other, type(node)) or len(parts[0]) < 2:
        return ""
    gone = next(part for part, other_part in zip_longest(*parts, fillvalue=node) if part is not other_part)
    return f"without {ast.unparse(gone) if gone is not None else '**'}"


def _is_for_others(node: ast.AST) -> bool:
    """Whether it is code for type checkers, or for those who start the module as a program."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith(("TYPE_CHECKING", "__name__ == '__main__'"))


def _others(place: _Place) -> Iterator[ast.AST]:
    """What may stand in the place of the node."""
    node, parent = place.node, place.parent
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Break() | ast.Continue() | ast.AugAssign():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)]) if name in _names(node.value):
            yield ast.Pass()  # a value that is only made narrower, or longer
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                operators = [*node.ops[:index], _OTHER[type(operator)](), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, operators, node.comparators)  # type: ignore[arg-type]
        case ast.BoolOp():
            yield ast.BoolOp(_OTHER[type(node.op)](), node.values)  # type: ignore[arg-type]
            for index in range(len(node.values)):
                rest = node.values[:index] + node.values[index + 1 :]
                yield ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]
        case ast.BinOp() if type(node.op) in _OTHER:
            yield ast.BinOp(node.left, _OTHER[type(node.op)](), node.right)  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant() if not _is_strict_of_zip(parent) and not _is_a_chosen_number(place):
            yield from _other_constants(node, parent)
        case ast.List() | ast.Set() | ast.Tuple() if not isinstance(parent, ast.Assign | ast.Return | ast.Subscript):
            if not isinstance(getattr(node, "ctx", None), ast.Store):
                for index in range(len(node.elts)):
                    kept = node.elts[:index] + node.elts[index + 1 :]
                    yield ast.Set(kept) if isinstance(node, ast.Set) else type(node)(kept, ast.Load())
        case ast.Dict():
            for index in range(len(node.keys)):
                fewer = (part[:index] + part[index + 1 :] for part in (node.keys, node.values))
                yield ast.Dict(*fewer)
        case ast.Call(func=ast.Attribute(attr="and_" | "or_")):  # of pyarrow.compute
            yield from node.args
    if isinstance(parent, ast.ExceptHandler) and parent.type is node and not isinstance(node, ast.Tuple):
        yield ast.Tuple([], ast.Load())
    is_condition = isinstance(parent, ast.If | ast.IfExp | ast.While) and parent.test is node
    if is_condition and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def _other_constants(node: ast.Constant, parent: ast.AST) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"?")
    elif isinstance(value, str) and _is_compared(parent):
        yield ast.Constant(value + "?")


def _is_compared(parent: ast.AST) -> bool:
    if isinstance(parent, ast.Call):
        return isinstance(parent.func, ast.Attribute) and parent.func.attr in _TEXT_METHODS
    return isinstance(parent, ast.Compare)


def _is_strict_of_zip(parent: ast.AST) -> bool:
    """It guards against mistakes that the code around it does not make, so no test can tell it from False."""
    return isinstance(parent, ast.keyword) and parent.arg == "strict"


def _is_a_chosen_number(place: _Place) -> bool:
    """A module's constant, such as `SECONDS = 60.0`. Its value is a choice, which a test would only repeat."""
    statement = place.statement
    if not (not place.scope and isinstance(statement, ast.Assign)):
        return False
    numbers = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return all(isinstance(node, numbers) for node in ast.walk(statement.value))


def _names(value: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a statement itself, without those of the statements in it."""
    inside = [part.lineno for part in ast.walk(statement) if isinstance(part, ast.stmt) and part is not statement]
    last = min([statement.end_lineno or statement.lineno, *(line - 1 for line in inside)])
    return statement.lineno, max(statement.lineno, last)


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"
