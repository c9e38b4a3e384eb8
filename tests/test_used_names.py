"""What long tests and benchmarks use of our modules is there: they run too seldom for a name that is gone to show."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from types import ModuleType

from imagefeatures.settings import REPOSITORY

OURS = ("imagefeatures", "imagefeatures_spark", "deploy", "demo", "benchmarks", "support", "suites")
FOLDERS = ("benchmarks", "demo", "tests/suites", "tests/support")


def gone(code: str) -> Iterator[str]:
    """The line and the name of what this code uses of a module of ours, and the module does not have."""
    tree = ast.parse(code)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    modules: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in OURS:
            for alias in node.names:
                found = _of(node.module, alias.name)
                if found is None:
                    yield f"{node.lineno}: {node.module}.{alias.name}"
                elif isinstance(found, ModuleType) and (name := alias.asname or alias.name) not in bound:
                    modules[name] = found
    for node in _walk_what_runs(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            if isinstance(node.ctx, ast.Load) and not hasattr(module, node.attr):
                yield f"{node.lineno}: {node.value.id}.{node.attr}"


def _walk_what_runs(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of annotations, which nobody evaluates."""
    yield node
    for name, part in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for one in part if isinstance(part, list) else [part]:
                if isinstance(one, ast.AST):
                    yield from _walk_what_runs(one)


def _of(module: str, name: str) -> object | None:
    """What a module has by that name; None without it. For a module that cannot be imported here, the text says."""
    try:
        found = importlib.import_module(module)
        if hasattr(found, name):
            return getattr(found, name)
        if hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}"):
            return importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in OURS:
            return None
        return "a library that is not installed here"
    return None


def test_names_of_ours_are_there() -> None:
    seldom = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    long = [path for path in (REPOSITORY / "tests").rglob("test_*.py") if "mark.long" in path.read_text("utf-8")]
    found = {str(path.relative_to(REPOSITORY)): list(gone(path.read_text("utf-8"))) for path in {*seldom, *long}}
    assert {path: names for path, names in found.items() if names} == {}
    assert len(seldom) > 200
    assert len(long) > 30


def test_a_name_that_is_gone_would_be_seen() -> None:
    code = "from imagefeatures import images, nothing\nfrom imagefeatures.images import decode, decoded\n"
    assert list(gone(f"{code}images.resized(1)")) == [
        "1: imagefeatures.nothing",
        "2: imagefeatures.images.decoded",
        "3: images.resized",
    ]
    assert list(gone("from imagefeatures import images\ndef f(images):\n    return images.width\n")) == []
