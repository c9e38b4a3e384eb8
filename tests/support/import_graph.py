"""Which module imports which, read from the code: imports inside functions too, those for type checkers alone not."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from imagefeatures.settings import REPOSITORY

ROOTS = {
    "imagefeatures": REPOSITORY,
    "imagefeatures_spark": REPOSITORY / "jobs",
    "imagefeatures_airflow": REPOSITORY / "plugins",
    "deploy": REPOSITORY,
    "demo": REPOSITORY,
    "benchmarks": REPOSITORY,
}
"""Our packages, and the folder that each lies in."""

Graph = Mapping[str, set[str]]


def imported(code: str, modules: Collection[str] = ()) -> set[str]:
    """The modules that this code may import when it runs.

    modules: those that `from package import module` is told apart by from `from module import name`.

    >>> sorted(imported("import os.path\\nfrom a import b, c\\ndef f():\\n    import d", modules={"a", "a.b"}))
    ['a', 'a.b', 'd', 'os.path']
    >>> imported("if TYPE_CHECKING:\\n    import a\\nelse:\\n    import b")
    {'b'}
    """
    found: set[str] = set()
    for node in _running(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "a relative import: ours are absolute"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= full & set(modules)
            if full - set(modules):
                found.add(node.module)
    return found


def import_graph() -> Graph:
    """Every module of ours, and those of ours that it imports itself.

    That Python runs a package's `__init__` before a module below it is no edge of its own.
    """
    files = {_name(path, folder): path for root, folder in ROOTS.items() for path in (folder / root).rglob("*.py")}
    return {
        name: (imported(path.read_text(encoding="utf-8"), files) & set(files)) - {name} for name, path in files.items()
    }


def reachable(start: str, graph: Graph) -> set[str]:
    """Every module that is imported from `start`, over however many others."""
    seen: set[str] = set()
    left = list(graph[start])
    while left:
        if (module := left.pop()) not in seen:
            seen.add(module)
            left += graph[module]
    return seen


def _name(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, without the bodies of `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _running(other)
        else:
            yield from _running(child)
