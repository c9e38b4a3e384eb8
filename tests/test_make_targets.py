"""The Makefile, CI and the hooks before a commit are what the documents say of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from imagefeatures.settings import REPOSITORY
from support.making import make
from support.snippets import DOCUMENTS, codes, plain, section, sections

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
"""The targets that have a description, in order."""

CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_every_phony_target_has_a_description_and_no_other() -> None:
    phony = [target for line in re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE) for target in line.split()]
    assert sorted(phony) == sorted(TARGETS)
    assert len(set(TARGETS)) == len(TARGETS) > 5


def test_make_alone_prints_every_target_once_under_its_heading() -> None:
    done = make()
    assert done.returncode == 0
    printed = done.stdout
    assert re.findall(r"^  make ([a-z-]+) ", printed, re.MULTILINE) == TARGETS
    headings = re.findall(r"^##@ (.+)$", MAKEFILE, re.MULTILINE)
    assert re.findall(r"^(\S.*)$", printed, re.MULTILINE) == headings
    assert len(headings) == 5


def test_the_readme_names_five_targets_that_exist() -> None:
    (table,) = section(REPOSITORY / "README.md", "Try it").tables
    named = [plain(row[0]).split()[:2] for row in table]
    assert len(named) == len({target for _, target in named}) == 5
    assert all(word == "make" and target in TARGETS for word, target in named)


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").split()) < 900


def test_contributing_lists_exactly_the_targets_of_the_makefile_under_their_headings() -> None:
    (table,) = section(CONTRIBUTING, "Targets").tables
    lines = re.findall(r"^##@ (.+)$|^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
    assert [plain(row[0]) for row in table] == [heading or f"make {target}" for heading, target in lines]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    shell = [code for part in sections(path) for language, code in part.blocks if language == "sh"]
    named = {found for code in [*codes(path), *shell] for found in re.findall(r"(?:^|\s)make ([a-z-]+)", code)}
    assert named <= set(TARGETS)


def test_contributing_says_what_ci_runs() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.sub(r"^\s*#.*$", "", script, flags=re.MULTILINE)
    run = re.findall(r"\bmake ([a-z-]+)", commands)
    for variable, values in re.findall(r"\bfor (\w+) in (.+); do", commands):
        if f'make "${variable}"' in commands:
            run += values.split()
    assert {"lint", "test"} < set(run) <= set(TARGETS)
    (sentence,) = re.findall(
        r"CI runs `\.ci/run`[^.]*: (.+?)\.", section(CONTRIBUTING, "Before a commit").text, re.DOTALL
    )
    assert re.findall(r"`make ([a-z-]+)`", sentence) == run


def test_the_hooks_before_a_commit_run_what_lint_runs() -> None:
    (recipe,) = re.findall(r"^lint:.*\n\t@(.+)$", MAKEFILE, re.MULTILINE)
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == recipe.replace("$(BIN)", ".venv/bin").split(" && ")
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
