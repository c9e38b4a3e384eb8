"""`make mutants` makes the mistakes that it should, gives each the tests that run it, and names the survivors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from imagefeatures.settings import REPOSITORY
from support import mutant_plans, mutant_tests, mutations
from support.mutants import EQUIVALENT, Wanted, few_files_first

CODE = '''
"""Words 1."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import one
LIMIT = 3

class Box:
    size: int = 2

    def room(self, used: int = 0) -> int:
        """Words 2."""
        if not used or used > LIMIT:
            raise ValueError(f"{used + 1} of {LIMIT}")
        try:
            self.last = used
        except (KeyError, OSError):
            log.warning("lost")
        names = [name for name in ("a", "b") if name != "a"]
        names = sorted(names)
        return list(zip(names, names, strict=True))
'''


def made() -> dict[str, mutations.Mutant]:
    return {mutant.name: mutant for mutant in mutations.mutants(CODE)}


def test_every_kind_of_mistake_is_made_and_no_other() -> None:
    assert list(made()) == [
        "Box: 2 -> 3",
        "Box.room: 0 -> 1",
        "Box.room: not used or used > LIMIT -> not used and used > LIMIT",
        "Box.room: not used or used > LIMIT -> used > LIMIT",
        "Box.room: not used or used > LIMIT -> not used",
        "Box.room: not used -> used",
        "Box.room: used > LIMIT -> used >= LIMIT",
        "Box.room: raise ValueError(f'{used + 1} of {LIMIT}') -> nothing",
        "Box.room: self.last = used -> nothing",
        "Box.room: (KeyError, OSError) -> without KeyError",
        "Box.room: (KeyError, OSError) -> without OSError",
        "Box.room: log.warning('lost') -> nothing",
        "Box.room: ('a', 'b') -> without 'a'",
        "Box.room: ('a', 'b') -> without 'b'",
        "Box.room: name != 'a' -> name == 'a'",
        "Box.room: 'a' -> 'a?'",
        "Box.room: names = sorted(names) -> nothing",
        "Box.room: return list(zip(names, names, strict=True)) -> return None",
    ]


def test_a_dictionary_lacks_one_part_at_a_time_also_where_it_takes_in_others() -> None:
    found = [mutant.name for mutant in mutations.mutants("x = {a: y, **b, **c, d: z}")]
    whole = "{a: y, **b, **c, d: z}"
    assert found == [f"{whole} -> without {gone}" for gone in ("a", "**", "** (number 2)", "d")]


def test_a_mutant_is_the_module_with_that_one_mistake_and_knows_its_lines() -> None:
    before = [line for line in mutations.ast.unparse(mutations.ast.parse(CODE)).splitlines() if line]
    for mutant in made().values():
        after = [line for line in mutant.source.splitlines() if line]
        compile(mutant.source, "mutant", "exec")
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1, mutant.name
    lines = {name: (mutant.first, mutant.last, mutant.function) for name, mutant in made().items()}
    assert lines["Box: 2 -> 3"] == (9, 9, "")
    assert not lines["Box.room: 0 -> 1"][2]  # a default: where the function is defined
    assert lines["Box.room: used > LIMIT -> used >= LIMIT"] == (13, 13, "Box.room")


def test_a_constant_is_known_by_its_name_unless_other_code_of_the_import_has_used_it() -> None:
    code = "A = f(1)\nB = f(2)\nC = B\ndef g(x=C):\n    return A\n"
    assert [(mutant.name, mutant.constant) for mutant in mutations.mutants(code)] == [
        ("1 -> 2", "A"),
        ("2 -> 3", ""),
        ("g: return A -> return None", ""),
    ]


def test_a_mutant_gets_the_tests_that_run_its_lines_those_that_killed_first_then_the_quickest() -> None:
    seconds = {"slow": 2.0, "quick": 0.1, "other": 0.5}
    lines: dict[str, set[int]] = {"slow": {7, 8}, "quick": {8}, "other": {9}}
    plan = mutant_plans.Plan(seconds, seconds, lines)
    assert plan.tests_for(8, 8, False) == ["quick", "slow"]
    assert plan.tests_for(5, 7, False) == ["slow", "quick", "other"]  # it may have run them for the others too
    assert plan.tests_for(1, 1, True) == ["quick", "other", "slow"]
    assert plan.tests_for(20, 21, False) == []
    plan.killers["slow"] += 1
    assert plan.tests_for(8, 8, False) == ["slow", "quick"]
    assert mutant_plans.Plan(seconds, seconds, lines | {"quick": set()}).tests_for(1, 1, True)[-1] == "quick"


def test_tests_of_a_few_files_come_before_all_others_where_each_file_is_found_anew() -> None:
    tests = ["b::1", "c::1", "a::1", "d::1", "b::2", "e::1"]
    assert few_files_first(tests) == [["b::1", "c::1", "a::1", "b::2"], ["d::1", "e::1"]]
    assert few_files_first(tests[:3]) == [tests[:3]]


def test_tests_whose_shared_fixtures_run_the_lines_are_chosen_beside_those_that_run_them_themselves() -> None:
    seconds = {"slow": 2.0, "quick": 0.1, "other": 0.5, "none": 0.0}
    lines = {"slow": {9}, "other": {9}}
    plan = mutant_plans.Plan(seconds, seconds, lines, shared={"slow": {7, 9}, "quick": {9}})
    assert plan.tests_for(9, 9, False) == ["quick", "other", "slow"]
    assert plan.tests_for(1, 1, True) == ["quick", "other", "slow", "none"]
    seconds["slow"] = seconds["quick"] = 15.0  # each kind has its own time
    assert plan.tests_for(9, 9, False) == ["other", "slow", "quick"]


@pytest.mark.parametrize(
    ("module", "some"),
    [
        ("imagefeatures/steps/reuse.py", "tests/steps/test_reuse_proven.py"),
        ("imagefeatures/formats/png.py", "tests/formats/test_format_sizes.py"),
        ("imagefeatures/catalog/undo.py", "tests/test_publications.py"),
        ("plugins/imagefeatures_airflow/retries.py", "tests/dags/test_image_features.py"),
    ],
)
def test_the_tests_of_a_module_are_found_by_name_by_import_or_in_the_table(module: str, some: str) -> None:
    found = mutant_tests.of_module(REPOSITORY, module)
    assert some in found
    assert all((REPOSITORY / test).is_file() for test in found)
    assert not [test for test in found if test.startswith(("tests/suites", "tests/integration"))]


def test_every_test_that_the_table_names_is_there() -> None:
    for module, tests in mutant_tests.ALSO.items():
        assert (REPOSITORY / module).exists()
        assert all((REPOSITORY / test).is_file() for test in tests)


def test_every_mutant_that_is_argued_equivalent_has_a_reason() -> None:
    for module, reasons in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).items():
        assert (REPOSITORY / module).is_file()
        assert all(" -> " in name and len(reason.split()) > 3 for name, reason in reasons.items())


def test_a_mistake_that_no_test_notices_is_named_and_one_that_a_test_notices_is_not(tmp_path: Path) -> None:
    """A repository of its own with a module and a test, through the real tool: in functions, a constant, a default."""
    files = {
        "things/__init__.py": "",
        "things/thing.py": (
            "def grown(x: int, more: int = 1) -> int:\n    if x > 7:\n        return 0\n    return x + more\n\n"
            "KINDS = frozenset({'a', 'b'})\ndef known(kind: str) -> bool:\n    return kind in KINDS\n"
            "def half(x: int) -> int:\n    return x // 2\n"
        ),
        "tests/test_shared.py": (
            "import pytest\nfrom things.thing import half\n"
            "@pytest.fixture(scope='module')\ndef halves():\n    return [half(9), half(8)]\n"
            "def test_there_are_two(halves):\n    assert len(halves) == 2\n"
            "def test_the_second(halves):\n    assert halves[1] == 4\n"
            "def test_the_function():\n    half(0)\n"
        ),
        "tests/test_thing.py": (
            "from things.thing import KINDS, grown, known\ndef test_growth():\n    assert grown(1) == 2\n"
            "def test_kinds():\n    assert known('a') and 'a' in KINDS\n"
        ),
        "tests/equivalent_mutants.toml": "",
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = [".", "tests"]\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tests" / "support").mkdir()
    for name in ("__init__", "mutants", "mutant_forks", "mutant_plans", "mutant_tests", "mutations"):
        shutil.copy(REPOSITORY / "tests" / "support" / f"{name}.py", tmp_path / "tests" / "support")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{tmp_path / 'tests'}"}
    command = [sys.executable, "-m", "support.mutants", "things/thing.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = done.stdout
    assert "things/thing.py: 13 mutants, 9 killed, 0 equivalent, 4 survived" in said, said + done.stderr
    assert said.splitlines()[-4:] == [
        "  things/thing.py:2: grown: x > 7 -> x >= 7",
        "  things/thing.py:2: grown: 7 -> 8",
        "  things/thing.py:3: grown: 0 -> 1",
        "  things/thing.py:6: {'a', 'b'} -> without 'b'",
    ]
    assert done.returncode == 1


def test_a_share_of_the_mutants_is_the_same_each_time_and_lines_are_those_asked_for() -> None:
    found = list(made().values())
    lots = [[one.name for one in found if Wanted(range(1, 100), 3).has("things/thing.py", one)] for _ in range(2)]
    assert lots[0] == lots[1]
    assert 0 < len(lots[0]) < len(found) / 2
    assert lots[0] != [one.name for one in found if Wanted(range(1, 100), 3).has("things/other.py", one)]
    assert {one.first for one in found if Wanted(range(13, 15), 1).has("things/thing.py", one)} == {13, 14}
    assert [Wanted(range(1, 1_000_000), 1).all, Wanted(range(1, 1_000_000), 2).all, Wanted(range(13, 15), 1).all] == [
        True, False, False,
    ]  # fmt: skip
