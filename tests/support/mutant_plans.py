"""Which tests run which line of a module, and the pytest plugin that measures and runs them."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, product
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import pytest

IN_OTHER_PROCESSES = {"imagefeatures/decode_child.py", "imagefeatures/sandbox.py"}
"""Modules that run in processes of their own, where their lines are not seen: each mutant gets all their tests."""

SLOWEST_SECONDS = 8.0
"""Tests that take more processor time are left out, and those that take ten times as long by the clock."""

OTHER_SERVERS = {"minio", "rclone", "postgresql"}
"""Parameters of tests that run again on another server than moto or SQLite: left out."""

MOST_SECONDS = 20.0
"""No more tests are run for a mutant than take this long without a mistake."""

BASELINE_SECONDS = 3600.0


class Runner(Protocol):
    folder: Path

    def run(self, order: dict[str, Any], seconds: float) -> int | None: ...


@dataclass(frozen=True)
class Plan:
    """seconds: of processor time, of each test without a mistake; duration: by the clock.

    lines: the lines of the module that each test runs; None: not known. shared: those that fixtures run which several
    tests share, for each of these tests. at_import: the functions of the module that its import runs. killers: how many
    mutants each test has killed.
    """

    seconds: dict[str, float]
    duration: dict[str, float]
    lines: dict[str, set[int]] | None
    at_import: set[str] = field(default_factory=set)
    shared: dict[str, set[int]] = field(default_factory=dict)
    killers: Counter[str] = field(default_factory=Counter)

    def tests_for(self, first: int, last: int, at_import: bool) -> list[str]:
        """The tests that run one of the lines, or whose shared fixtures do; all where the import runs them.

        First of them come those that killed most, and where all are run, those that run the module at all. Where one
        test alone runs the lines, the others come after it: a result that is cached is computed in the first test that
        needs it, and others notice. Tests are left out where those before them have taken long enough; those of
        fixtures have a time of their own.
        """
        tests = sorted(self.seconds, key=lambda test: (-self.killers[test], self.seconds[test]))
        lines = self.lines
        if lines is None:
            return self._in_time(tests)
        if at_import:
            return self._in_time(sorted(tests, key=lambda test: not lines.get(test) and not self.shared.get(test)))
        wanted = set(range(first, last + 1))
        own = [test for test in tests if wanted & lines.get(test, set())]
        sharing = [test for test in tests if wanted & self.shared.get(test, set()) and test not in own]
        if len(own + sharing) == 1:
            return self._in_time([*own, *sharing, *(test for test in tests if test not in own + sharing)])
        chosen = {*self._in_time(own), *self._in_time(sharing)}
        return [test for test in tests if test in chosen]

    def _in_time(self, tests: list[str]) -> list[str]:
        spent = list(accumulate(self.seconds[test] for test in tests))
        return [test for test, until in zip(tests, spent, strict=True) if until <= MOST_SECONDS] or tests[:1]


def measured(runner: Runner, files: list[str], modules: list[Path]) -> dict[Path, Plan]:
    """Run the tests without a mistake. One that fails in the copy is left out, and so are slow ones; each is named."""
    notes = runner.folder.parent / "notes.json"
    notes.unlink(missing_ok=True)
    order = {"tests": files, "traced": [str(module) for module in modules], "notes": str(notes)}
    runner.run(order, BASELINE_SECONDS)
    if not notes.exists():
        log = (runner.folder.parent / "log.txt").read_text(encoding="utf-8")
        raise SystemExit(f"the tests cannot be run:\n{log[-6000:]}")
    found = json.loads(notes.read_text(encoding="utf-8"))
    failed, all_of_them = set(found["failed"]), found["seconds"]
    duration = found["duration"]
    quick = {
        test: spent
        for test, spent in all_of_them.items()
        if spent <= SLOWEST_SECONDS and duration[test] <= 10 * SLOWEST_SECONDS and test not in failed
    }
    left_out = "".join(f"\n  left out: {test}" for test in sorted(set(all_of_them) - set(quick)))
    print(f"  {len(quick)} tests, {sum(quick.values()):.0f} s{left_out}", flush=True)
    plans = {}
    for module in modules:
        lines = {test: set(files.get(str(module), ())) for test, files in found["lines"].items()}
        hidden = any(module.as_posix().endswith(name) for name in IN_OTHER_PROCESSES)
        shared = {test: set(files.get(str(module), ())) for test, files in found["shared"].items()}
        at_import = set(found["at_import"].get(str(module), ()))
        plans[module] = Plan(quick, duration, None if hidden else lines, at_import, shared)
    return plans


@dataclass(eq=False)  # pytest puts its plugins into sets
class Chosen:
    """A pytest plugin. It runs the given tests in the given order, or whole files, of which it notes time and lines.

    limits: the most seconds of a test. traced: the modules' files. notes: where to write what was found: of a baseline
    all that `measured` reads, else the name of the test that failed. A file stands for all its tests. of_fixture: the
    lines that a fixture runs which several tests share, by where its name is known and by its name.
    """

    tests: list[str]
    limits: dict[str, float] = field(default_factory=dict)
    traced: list[str] = field(default_factory=list)
    notes: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    fixtures: dict[str, set[str]] = field(default_factory=dict)
    of_fixture: dict[tuple[str, str], dict[str, set[int]]] = field(default_factory=dict)
    at_import: dict[str, set[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    running: str = ""
    set_up: dict[str, set[int]] | None = None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        items[:] = self.of(items)

    def of(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """The tests to be run, of those that were found."""
        if self.traced:
            files = set(self.tests)
            return [i for i in items if i.nodeid.partition("::")[0] in files and not _is_for_another_server(i)]
        order = {test: number for number, test in enumerate(self.tests)}
        kept = sorted((i for i in items if i.nodeid in order), key=lambda item: order[item.nodeid])
        for item in kept:
            # Without its fixtures: one of a package takes long for the first test that gets it, whichever that is.
            item.add_marker(pytest.mark.timeout(self.limits[item.nodeid], func_only=True))
        return kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        if not self.traced:
            return (yield)
        started, used = time.monotonic(), _processor_seconds()
        self.running = item.nodeid
        self.fixtures[item.nodeid] = set(getattr(item, "fixturenames", ()))
        traced = set(self.traced)

        def local(frame: FrameType, event: str, _: Any) -> Any:
            # A thread that an earlier test has started, and left running, works for the test that runs now.
            seen = self.lines[self.running] if self.set_up is None else self.set_up
            seen[frame.f_code.co_filename].add(frame.f_lineno)
            return local

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            return local(frame, event, _) if frame.f_code.co_filename in traced else None

        threading.settrace(trace)
        sys.settrace(trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            self.duration[item.nodeid] = time.monotonic() - started
            self.seconds[item.nodeid] = _processor_seconds() - used

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Any:
        around, self.set_up = self.set_up, None
        if fixturedef.scope != "function":
            here: dict[str, set[int]] = defaultdict(set)
            self.set_up = self.of_fixture.setdefault((fixturedef.baseid, fixturedef.argname), here)
        try:
            return (yield)
        finally:
            self.set_up = around

    def shared(self) -> dict[str, dict[str, list[int]]]:
        """The lines of each test's shared fixtures, by file."""
        found: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for (where, name), lines in self.of_fixture.items():
            users = [test for test, names in self.fixtures.items() if name in names and test.startswith(where)]
            for test, (file, numbers) in product(users, lines.items()):
                found[test][file] |= numbers
        return _sorted(found)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def write_notes(self) -> None:
        if not self.traced:
            Path(self.notes).write_text("".join(self.failed[:1]), encoding="utf-8")
            return
        functions = {file: sorted(names) for file, names in self.at_import.items()}
        found = {"seconds": self.seconds, "duration": self.duration, "failed": self.failed}
        found |= {"lines": _sorted(self.lines), "shared": self.shared(), "at_import": functions}
        Path(self.notes).write_text(json.dumps(found), encoding="utf-8")


def _sorted(lines: Mapping[str, Mapping[str, set[int]]]) -> dict[str, dict[str, list[int]]]:
    return {test: {file: sorted(seen) for file, seen in of.items()} for test, of in lines.items()}


def _processor_seconds() -> float:
    """Of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def _is_for_another_server(item: pytest.Item) -> bool:
    given = getattr(getattr(item, "callspec", None), "params", {}).values()
    return any(isinstance(value, str) and value in OTHER_SERVERS for value in given)
