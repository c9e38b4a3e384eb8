"""What the documents and docstrings say of folders, modules and imports is so."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from imagefeatures.settings import REPOSITORY
from support.snippets import plain, section

ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"

_LISTING = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
FILES = [
    Path(file)
    for file in subprocess.run(_LISTING, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    if (REPOSITORY / file).is_file()
]
"""What the repository holds, seen from its root."""

CODE = {
    file: ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    for file in FILES
    if file.suffix == ".py" and file.parts[0] != "tests"
}
PACKAGES = sorted(file for file in CODE if file.name == "__init__.py")
LOCAL = {file.parts[0] for file in PACKAGES} | {"support"}
LOCAL |= {file.parts[1].removesuffix(".py") for file in CODE if file.parts[0] in ("jobs", "plugins")}
"""The names by which this repository's own code is imported."""


def codes_of(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rows(document: Path, title: str) -> list[list[str]]:
    (table,) = section(document, title).tables
    return table


def files_of(cell: str) -> list[Path]:
    """The files and folders that a first column names: a folder's code ends in a slash, names after it lie in it."""
    codes = codes_of(cell)
    folder = codes.pop(0) if codes and codes[0].endswith("/") else ""
    inside = [Path(folder, code) if (REPOSITORY / folder / code).exists() else Path(code) for code in codes]
    return inside or [Path(folder)]


def imports_of(tree: ast.Module) -> set[str]:
    """The modules that are imported when the code runs, at module level or in a function, not for typing alone."""
    typing = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for part in branch.body
        for node in ast.walk(part)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


IMPORTS = {file: imports_of(tree) for file, tree in CODE.items()}


def top_level(file: Path) -> set[str]:
    return {module.partition(".")[0] for module in IMPORTS[file]}


def test_the_architecture_names_every_module_once() -> None:
    named = [file for row in rows(ARCHITECTURE, "Modules") for file in files_of(row[0])]
    assert len(named) == len(set(named))
    assert not [file for file in named if not (REPOSITORY / file).exists()]
    rows_of_folders = {file for file in named if (REPOSITORY / file).is_dir()}
    wanted = {
        file
        for file, tree in CODE.items()
        if file.parts[0] in ("imagefeatures", "jobs", "dags", "plugins")
        and (file.name != "__init__.py" or len(tree.body) > 1)
    }
    assert len(wanted) > 40
    left_out = wanted - set(named)
    inner = {file for file in left_out if rows_of_folders & set(file.parents) and file.parts[0] != "imagefeatures"}
    assert not left_out - inner  # outside the package the row of a folder stands for its modules


def test_every_folder_of_code_has_a_row_in_the_architecture() -> None:
    named = [file for row in rows(ARCHITECTURE, "Modules") for file in files_of(row[0])]
    tops = {file.parts[0] for file in CODE if len(file.parts) > 1}
    assert tops <= {file.parts[0] for file in named}


def test_whom_the_architecture_names_as_user_imports_the_module() -> None:
    said = 0
    for first, _, users in rows(ARCHITECTURE, "Modules"):
        modules = {
            file.with_suffix("").as_posix().removesuffix("/__init__").replace("/", ".") for file in files_of(first)
        }
        modules |= {module.removeprefix("plugins.").removeprefix("jobs.") for module in modules}
        for user in codes_of(users):
            importing = [file for file in IMPORTS if user in (*file.parts[:-1], file.stem)]
            assert any(
                module == found or found.startswith(f"{module}.")
                for file in importing
                for found in IMPORTS[file]
                for module in modules
            ), (first, user)
            said += 1
    assert said > 50


@pytest.mark.parametrize("row", section(ARCHITECTURE, "Who may import whom").tables[0], ids=lambda row: plain(row[0]))
def test_a_folder_imports_only_what_the_architecture_allows(row: list[str]) -> None:
    folder, may, may_not, keepers = row
    alone: dict[str, set[str]] = defaultdict(set)
    for module, file in re.findall(r"`(\w+)` in `([^`]+)` only", may):
        alone[module].add(file)
    watched = LOCAL | {"airflow", "pyspark"}
    allowed = {code for code in codes_of(may) if "/" not in code} | ({plain(folder)} & watched)
    inside = [file for file in CODE if file.is_relative_to(plain(folder))]
    assert inside
    for file in inside:
        found = top_level(file) & watched
        assert found <= allowed, file
        assert not [m for m in found if m in alone and file.as_posix() not in alone[m]], file
    assert not allowed & {code for code in codes_of(may_not) if "/" not in code}
    assert {code for code in codes_of(keepers) if not (REPOSITORY / code).is_file()} == set()


def test_a_library_is_imported_only_where_the_architecture_says() -> None:
    _, alone = section(ARCHITECTURE, "Who may import whom").tables
    for libraries, places in alone:
        for library in codes_of(libraries):
            using = [file for file in CODE if file.parts[0] == "imagefeatures" and library in top_level(file)]
            assert using, library
            for file in using:
                assert any(file.is_relative_to(place) for place in codes_of(places)), (library, file)


def test_contributing_names_every_top_level_folder() -> None:
    named = [plain(row[0]) for row in rows(CONTRIBUTING, "Layout")]
    assert sorted(named) == sorted({file.parts[0] for file in FILES if len(file.parts) > 1})


def test_every_folder_of_tests_mirrors_the_code_or_is_explained() -> None:
    explained, suites = section(CONTRIBUTING, "Tests").tables
    folders = {file.parts[1] for file in FILES if file.parts[0] == "tests" and len(file.parts) > 2}
    mirrored = {
        name for name in folders if (REPOSITORY / name).is_dir() or (REPOSITORY / "imagefeatures" / name).is_dir()
    }
    named = {Path(plain(row[0])).name for row in explained}
    assert folders - mirrored <= named <= folders
    real = {file.parts[2] for file in FILES if file.parts[:2] == ("tests", "suites") and len(file.parts) > 3}
    assert {Path(plain(row[0])).name for row in suites} == real
    makefile = (REPOSITORY / "Makefile").read_text()
    for suite, target in ((plain(row[0]), plain(row[1]).removeprefix("make ")) for row in suites):
        assert re.search(rf"^{target}:.*\n(\t.*\n)*\t.*{suite}\b", makefile, re.MULTILINE), suite


@pytest.mark.parametrize("package", PACKAGES, ids=Path.as_posix)
def test_the_list_of_modules_in_a_docstring_is_whole(package: Path) -> None:
    docstring = ast.get_docstring(CODE[package]) or ""
    modules = {file.stem for file in CODE if file.parent == package.parent} - {"__init__", "__main__"}
    entries = listed(docstring)
    others = {found.name for found in (REPOSITORY / package.parent).iterdir()}
    assert entries <= modules | others
    if entries:
        assert modules <= entries | set(re.findall(r"`(\w+)`", docstring))


def listed(docstring: str) -> set[str]:
    """The entries of a docstring's list: the names before "  what it holds", or alone on a line."""
    lines = re.findall(r"^ *([a-z][\w.]*(?:, [\w.]+)*)(?:  +\S.*)?$", docstring, re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


def test_a_list_in_a_docstring_is_read() -> None:
    text = "Words of one.\n\n    one     first\n    two, three.sql\n        no entry\n\nBesides, `four`.\n"
    assert listed(text) == {"one", "two", "three.sql"}


@pytest.mark.parametrize("file", sorted(CODE), ids=Path.as_posix)
def test_a_module_has_at_most_300_lines(file: Path) -> None:
    assert len((REPOSITORY / file).read_text(encoding="utf-8").splitlines()) <= 300


def test_no_test_imports_from_another() -> None:
    """What two files of tests need stands in tests/support, so that either can be renamed, split or run alone."""
    tests = [file for file in FILES if file.parts[0] == "tests" and file.suffix == ".py"]
    names = {file.stem for file in tests if file.stem.startswith("test_")}
    found = {
        (file.as_posix(), node.module)
        for file in tests
        for node in ast.walk(ast.parse((REPOSITORY / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in names
    }
    assert found == set()
