"""`make mutants MODULE=…`: breaks a module in one place at a time, and names the mistakes that no test notices.

Works on a copy of the repository. Every mutant is a file there, so decode processes and other programs that a test
starts have it too. A run of the tests without a mistake comes first; it writes down which test runs which line. A
mutant then gets those tests alone, up to the first failure. Each run is a fork (`support.mutant_forks`). Several
modules share the first run, so those that the same tests concern are best tried together.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support import mutant_plans, mutant_tests
from support.mutant_forks import CANNOT_CHANGE, INTERNAL_ERROR, NO_TESTS, Cold, Warm
from support.mutations import Mutant, mutants

REPOSITORY = Path(__file__).resolve().parents[2]
EQUIVALENT = REPOSITORY / "tests" / "equivalent_mutants.toml"
"""Mutants that no test can notice, and why: a table for each module, from a mutant's name to the reason."""

WANTED = 0.95
"""The share of a module's mutants that must be killed or argued equivalent."""

LEAST_SECONDS, TIMES_LONGER = 20.0, 5
"""A test may take as long as it did without a mistake, times this, and not less than the seconds."""

START_SECONDS = 60.0
"""How much longer than all of its tests a mutant may take, where not even their own limits end them."""

FIRST_FILES = 3
"""A mistake in what a module's import runs is tried with the tests of so many files before all others."""

LIBRARIES = ("_pytest.config", "pytest_timeout", "numpy", "PIL.Image", "pyarrow.parquet", "pyarrow.compute", "yaml",
             "pydantic", "pyiceberg.catalog.sql", "pyiceberg.table", "sqlalchemy", "boto3", "botocore.session",
             "moto.server", "tenacity", "obstore", "urllib3", "croniter")  # fmt: skip
AIRFLOW = ("airflow.sdk", "airflow.dag_processing.dagbag", "airflow.providers.apache.spark.hooks.spark_submit")
AIRFLOW_WEB = ("airflow.api_fastapi.app", "airflow.api_fastapi.core_api.routes.public",
               "airflow.api_fastapi.auth.managers.simple.simple_auth_manager")  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of a mutant. end: "killed", "timeout" or "survived"; "equivalent" when a reason is written down."""

    mutant: Mutant
    end: str


EVERY_LINE = range(1, 1_000_000)


@dataclass(frozen=True)
class Wanted:
    """Which mutants of a module are tried: those of some lines, and of these a random share, one in so many."""

    lines: range
    one_in: int

    @property
    def all(self) -> bool:
        return (self.lines, self.one_in) == (EVERY_LINE, 1)

    def has(self, module: str, mutant: Mutant) -> bool:
        lot = zlib.crc32(f"{module} {mutant.name}".encode())
        return mutant.first in self.lines and lot % self.one_in == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="+", help="such as imagefeatures/steps/reuse.py")
    parser.add_argument("--tests", nargs="*", default=[], help="only these files of tests, not all that concern them")
    parser.add_argument("--lines", default="", help="only mutants of these lines, such as 40-60")
    parser.add_argument("--one-in", type=int, default=1, help="only a random one of so many, the same each time")
    given = parser.parse_args()
    modules = [module for words in given.modules for module in words.split()]
    lines = EVERY_LINE
    if given.lines:
        first, _, last = given.lines.partition("-")
        lines = range(int(first), int(last or first) + 1)
    wanted = Wanted(lines, given.one_in)
    known = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no fork stays behind
    enough = True
    with tempfile.TemporaryDirectory(prefix="imagefeatures-mutants-") as folder:
        Path(folder).chmod(0o755)  # for tests of permissions, which become another user
        copy = _copy_of_the_repository(Path(folder))
        files = sorted(given.tests or {test for name in modules for test in mutant_tests.of_module(copy, name)})
        print(f"{len(files)} files of tests", flush=True)
        with contextlib.closing(Warm(copy, files)) as warm:
            plans = mutant_plans.measured(warm, files, [copy / module for module in modules])
            for module in modules:
                results = list(_results(warm, module, wanted, known.get(module, {}), plans[copy / module]))
                enough &= _report(module, results, known.get(module, {}) if wanted.all else {})
    return 0 if enough else 1


def _results(
    warm: Warm, module: str, chosen: Wanted, known: dict[str, str], plan: mutant_plans.Plan
) -> Iterator[Result]:
    path = warm.folder / module
    original = path.read_text(encoding="utf-8")
    wanted = [mutant for mutant in mutants(original) if chosen.has(module, mutant)]
    for number, mutant in enumerate(wanted):
        if number % 25 == 0:
            print(f"  {module}: {number} of {len(wanted)} mutants tried", flush=True)
        if mutant.name in known:
            yield Result(mutant, "equivalent")
            continue
        path.write_text(mutant.source, encoding="utf-8")
        # Python compiles a file again when its time differs, and counts whole seconds.
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
        end = _tried(warm, mutant, module, plan)
        if end != "killed":
            print(f"  {module}:{mutant.first}: {end}: {mutant.name}", flush=True)
        yield Result(mutant, end)
    path.write_text(original, encoding="utf-8")


def _tried(warm: Warm, mutant: Mutant, module: str, plan: mutant_plans.Plan) -> str:
    """What becomes of a mutant whose source is in the module's file."""
    at_import = not mutant.function or mutant.function in plan.at_import
    chosen = plan.tests_for(mutant.first, mutant.last, at_import)
    if not chosen:
        return "survived"
    limits = {test: max(LEAST_SECONDS, TIMES_LONGER * plan.duration[test]) for test in chosen}
    notes = warm.folder.parent / "failed.txt"
    notes.unlink(missing_ok=True)
    order = {"tests": chosen, "limits": limits, "notes": str(notes)}
    seconds = START_SECONDS + sum(limits.values())
    status: int | None = CANNOT_CHANGE
    if not at_import or mutant.constant:
        changed = (str(warm.folder / module), mutant.function or mutant.constant)
        status = warm.run(order | {"changed": changed}, seconds)
    if status == CANNOT_CHANGE or (status == 0 and mutant.constant):  # tests may have taken it when they were collected
        _import_libraries(module)
        for part in few_files_first(chosen):
            status = Cold(warm.folder).run(order | {"tests": part}, seconds)
            if status != 0:
                break
    if status in (INTERNAL_ERROR, NO_TESTS):
        raise SystemExit(f"{module}:{mutant.first}: {mutant.name}: pytest failed by itself, or found no test: {chosen}")
    if notes.exists() and (killer := notes.read_text(encoding="utf-8")):
        plan.killers[killer] += 1
    return {0: "survived", None: "timeout"}.get(status, "killed")


def few_files_first(tests: list[str]) -> list[list[str]]:
    """The tests of the first few files, and then all others: a cold fork has to find the tests of each file anew."""
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    first = list(files)[:FIRST_FILES]
    parts = [[test for test in tests if (test.partition("::")[0] in first) is early] for early in (True, False)]
    return [part for part in parts if part]


def _report(module: str, results: list[Result], known: dict[str, str]) -> bool:
    """Print what became of a module's mutants. Returns whether enough were noticed."""
    ends = [result.end for result in results]
    killed, equivalent = ends.count("killed") + ends.count("timeout"), ends.count("equivalent")
    survivors = [result.mutant for result in results if result.end == "survived"]
    print(f"{module}: {len(ends)} mutants, {killed} killed, {equivalent} equivalent, {len(survivors)} survived")
    for mutant in survivors:
        print(f"  {module}:{mutant.first}: {mutant.name}")
    gone = set(known) - {result.mutant.name for result in results}
    for name in sorted(gone):
        print(f"  {EQUIVALENT.name}: there is no such mutant any more: {name}")
    sys.stdout.flush()
    return not gone and len(survivors) <= (1 - WANTED) * len(ends)


def _copy_of_the_repository(folder: Path) -> Path:
    """A copy of the working tree, with the compiled code and without what git ignores; first on the path of imports."""
    copy = folder / "repository"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in [*filter(None, names), *(f"imagefeatures/{path.name}" for path in _compiled())]:
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    # `support` is imported here already, and must come from the copy in the forks.
    sys.path[:] = [str(copy), *(str(copy / part) for part in ("plugins", "jobs", "tests")), *_others_of(sys.path)]
    for module in [name for name in sys.modules if name.partition(".")[0] == "support"]:
        del sys.modules[module]
    return copy


def _others_of(path: list[str]) -> list[str]:
    return [entry for entry in path if not Path(entry or ".").resolve().is_relative_to(REPOSITORY) or ".venv" in entry]


def _compiled() -> Iterator[Path]:
    return (REPOSITORY / "imagefeatures").glob("*.so")


@functools.cache
def _import_libraries(module: str) -> None:
    """Import once what the tests of all mutants need. Of ours nothing, or the forks would not see the mistakes."""
    wanted = LIBRARIES if module.startswith(("imagefeatures", "plugins", "jobs")) else ()
    if module.startswith("plugins"):
        # Airflow reads these when it is first imported.
        os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="imagefeatures-airflow-")
        os.environ |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__PLUGINS_FOLDER": "/nonexistent"}
        wanted += AIRFLOW + AIRFLOW_WEB * ("/web/" in module)
    for name in wanted:
        importlib.import_module(name)
    ours = {"imagefeatures", "imagefeatures_airflow", "imagefeatures_spark"}
    if found := ours & {name.partition(".")[0] for name in sys.modules}:
        raise SystemExit(f"{found} must not be imported before the forks")


if __name__ == "__main__":
    raise SystemExit(main())
